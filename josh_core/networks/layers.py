"""Transformer parts of the networks: rotary positions in two dimensions, attention, encoder and decoder blocks.

Attribute names are those of the published checkpoints, so that a state dict fits key by key.
B batch, N and M tokens, C channels, h heads, D = C / h channels of one head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROPE_BASE = 100.0  # of the published networks


class Rotary(NamedTuple):
    """Cosine and sine of every token's rotary angles, both [N,D]."""

    cos: Tensor
    sin: Tensor


def rotary_table(positions: Tensor, head_dim: int) -> Rotary:
    """Angles of tokens at positions [N,2] = (y, x), any float: half of a head turns with y, half with x.

    Within a half of size d the frequencies are 100^(-2k/d), k = 0 .. d/2 - 1, each used for a pair of channels.
    """
    half = head_dim // 2
    frequency = ROPE_BASE ** (-torch.arange(0, half, 2, device=positions.device, dtype=torch.float32) / half)
    angle = positions.float()[:, :, None] * frequency  # [N,2,D/4]
    angle = torch.cat([angle, angle], -1).flatten(1)  # [N,D]
    return Rotary(angle.cos(), angle.sin())


def rotate(x: Tensor, rotary: Rotary) -> Tensor:
    """Queries or keys [B,h,N,D] turned by their tokens' angles."""
    first, second = x.unflatten(-1, (2, 2, -1)).unbind(-2)  # [B,h,N,2,D/4] each
    turned = torch.stack([-second, first], -2).flatten(-3)
    return (x * rotary.cos + turned * rotary.sin).to(x.dtype)


def _split_heads(x: Tensor, heads: int) -> Tensor:
    """[B,N,C] -> [B,h,N,D]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _merge_heads(x: Tensor) -> Tensor:
    """[B,h,N,D] -> [B,N,C]."""
    return x.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Tokens of one image attend to each other."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, rotary: Rotary) -> Tensor:
        """x: [B,N,C] -> [B,N,C]."""
        q, k, v = (_split_heads(part, self.heads) for part in self.qkv(x).chunk(3, -1))
        return self.proj(_merge_heads(F.scaled_dot_product_attention(rotate(q, rotary), rotate(k, rotary), v)))


class CrossAttention(nn.Module):
    """Tokens of one image attend to those of the other."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projq = nn.Linear(dim, dim)
        self.projk = nn.Linear(dim, dim)
        self.projv = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, y: Tensor, rotary: Rotary) -> Tensor:
        """x: [B,N,C] asks, y: [B,N,C] answers; both have the same token positions."""
        q = rotate(_split_heads(self.projq(x), self.heads), rotary)
        k = rotate(_split_heads(self.projk(y), self.heads), rotary)
        v = _split_heads(self.projv(y), self.heads)
        return self.proj(_merge_heads(F.scaled_dot_product_attention(q, k, v)))


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, dim: int, hidden: int, out: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        """[...,dim] -> [...,out]."""
        return self.fc2(F.gelu(self.fc1(x)))


class EncoderBlock(nn.Module):
    """Self-attention and MLP, each after its norm and added to its input."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps)
        self.attn = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps)
        self.mlp = Mlp(dim, 4 * dim, dim)

    def forward(self, x: Tensor, rotary: Rotary) -> Tensor:
        """x: [B,N,C] -> [B,N,C]."""
        x = x + self.attn(self.norm1(x), rotary)
        return x + self.mlp(self.norm2(x))


class DecoderBlock(nn.Module):
    """An encoder block with cross-attention to the other image between its two halves."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps)
        self.attn = SelfAttention(dim, heads)
        self.cross_attn = CrossAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps)
        self.norm3 = nn.LayerNorm(dim, eps)
        self.mlp = Mlp(dim, 4 * dim, dim)
        self.norm_y = nn.LayerNorm(dim, eps)

    def forward(self, x: Tensor, y: Tensor, rotary: Rotary) -> Tensor:
        """x: [B,N,C] of this image, y: [B,N,C] of the other -> [B,N,C] of this image."""
        x = x + self.attn(self.norm1(x), rotary)
        x = x + self.cross_attn(self.norm2(x), self.norm_y(y), rotary)
        return x + self.mlp(self.norm3(x))
