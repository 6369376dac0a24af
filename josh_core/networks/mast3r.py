"""MASt3R (Leroy 2024): one encoder for both images, two decoders that look at each other, two dense heads.

Attribute names are those of the published checkpoint. B pairs, N = rows x columns tokens of 16 x 16 px.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from josh_core.networks.architecture import PATCH, Architecture
from josh_core.networks.heads import DenseHead
from josh_core.networks.layers import DecoderBlock, EncoderBlock, Rotary, rotary_table
from josh_core.networks.loading import Pretrained

_EPS = 1e-6  # keeps a division finite


class PatchEmbed(nn.Module):
    """Image -> one token for each 16 x 16 px patch, row by row."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, stride=PATCH)

    def forward(self, images: Tensor) -> Tensor:
        """[B,3,H,W] -> [B,N,C]."""
        return self.proj(images).flatten(2).transpose(1, 2)


class Mast3r(Pretrained):
    """The network in pieces: `encode` each image once, `decode` each pair, then ask a head for what is needed."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        arch = self.architecture = architecture or Architecture()
        self.mask_token = nn.Parameter(torch.zeros(1, 1, arch.dec_dim))  # of the pre-training; unused
        self.patch_embed = PatchEmbed(arch.enc_dim)
        self.enc_blocks = nn.ModuleList(EncoderBlock(arch.enc_dim, arch.enc_heads, _EPS) for _ in range(arch.enc_depth))
        self.enc_norm = nn.LayerNorm(arch.enc_dim, _EPS)
        self.decoder_embed = nn.Linear(arch.enc_dim, arch.dec_dim)
        self.dec_blocks = _decoder(arch)
        self.dec_norm = nn.LayerNorm(arch.dec_dim, _EPS)
        self.dec_blocks2 = _decoder(arch)
        self.downstream_head1 = DenseHead(arch.enc_dim, arch.dec_dim)
        self.downstream_head2 = DenseHead(arch.enc_dim, arch.dec_dim)

    def encode(self, images: Tensor) -> Tensor:
        """Images [B,3,H,W], RGB in [-1, 1], H and W multiples of 16 -> tokens [B,N,enc]."""
        assert images.shape[-2] % PATCH == 0 and images.shape[-1] % PATCH == 0, images.shape
        grid = (images.shape[-2] // PATCH, images.shape[-1] // PATCH)
        head_dim = self.architecture.enc_dim // self.architecture.enc_heads
        rotary = rotary_table(token_positions(grid, images.device), head_dim)
        x = self.patch_embed(images)
        for block in self.enc_blocks:
            x = block(x, rotary)
        return self.enc_norm(x)

    def decode(self, tokens1: Tensor, tokens2: Tensor, grid: tuple[int, int]) -> tuple[list[Tensor], list[Tensor]]:
        """Encoder tokens [B,N,enc] of both views -> for each view the encoder's and every block's output.

        13 tensors a view, the last one normed. Each block reads the other view's tokens of the layer before.
        """
        rotary = self.decoder_rotary(token_positions(grid, tokens1.device))
        all1, all2 = [tokens1], [tokens2]
        x1, x2 = self.decoder_embed(tokens1), self.decoder_embed(tokens2)
        for block1, block2 in zip(self.dec_blocks, self.dec_blocks2, strict=True):
            x1, x2 = block1(x1, x2, rotary), block2(x2, x1, rotary)
            all1.append(x1)
            all2.append(x2)
        all1[-1], all2[-1] = self.dec_norm(x1), self.dec_norm(x2)
        return all1, all2

    def decoder_rotary(self, positions: Tensor) -> Rotary:
        """Rotary angles for decoder tokens at positions [N,2]."""
        return rotary_table(positions, self.architecture.dec_dim // self.architecture.dec_heads)


def token_positions(grid: tuple[int, int], device: torch.device) -> Tensor:
    """(y, x) [N,2] of the tokens of a grid of rows x columns, row by row."""
    y, x = torch.meshgrid(torch.arange(grid[0], device=device), torch.arange(grid[1], device=device), indexing="ij")
    return torch.stack([y, x], -1).flatten(0, 1)


def _decoder(arch: Architecture) -> nn.ModuleList:
    return nn.ModuleList(DecoderBlock(arch.dec_dim, arch.dec_heads, _EPS) for _ in range(arch.dec_depth))
