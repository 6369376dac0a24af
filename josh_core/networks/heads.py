"""MASt3R's dense heads: DPT for points and confidence (Ranftl 2021), an MLP for local descriptors.

Attribute names are those of the published checkpoints. Numbers in Sequential matter for the same reason.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from josh_core.networks.architecture import HOOKS, PATCH
from josh_core.networks.layers import Mlp

# Sizes of the published checkpoint (MASt3R ViT-Large).
DESCRIPTOR_DIM = 24
_LAYER_DIMS = (96, 192, 384, 768)
_FEATURE_DIM = 256
_LAST_DIM = 128


def _double(x: Tensor) -> Tensor:
    """Twice the size [B,C,2H,2W], corners on corners."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class ResidualConv(nn.Module):
    """Two 3x3 convolutions, each after a ReLU, added to their input."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,H,W] -> [B,C,H,W]."""
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class Fusion(nn.Module):
    """Adds one level's features to the coarser level's and doubles the size."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(dim, dim, 1)
        self.resConfUnit1 = ResidualConv(dim)  # the coarsest level has none to add; its checkpoint entry is unused
        self.resConfUnit2 = ResidualConv(dim)

    def forward(self, coarse: Tensor, level: Tensor | None = None) -> Tensor:
        """coarse, level: [B,C,H,W] -> [B,C,2H,2W]."""
        if level is not None:
            coarse = coarse + self.resConfUnit1(level)
        return self.out_conv(_double(self.resConfUnit2(coarse)))


class Scratch(nn.Module):
    """The DPT's convolutions to a common width and its four fusions."""

    def __init__(self) -> None:
        super().__init__()
        for k, dim in enumerate(_LAYER_DIMS, start=1):
            self.add_module(f"layer{k}_rn", nn.Conv2d(dim, _FEATURE_DIM, 3, padding=1, bias=False))
        # The published model registers these four a second time as a list: two names, one tensor.
        self.layer_rn = nn.ModuleList(self.get_submodule(f"layer{k}_rn") for k in range(1, 5))
        self.refinenet1 = Fusion(_FEATURE_DIM)
        self.refinenet2 = Fusion(_FEATURE_DIM)
        self.refinenet3 = Fusion(_FEATURE_DIM)
        self.refinenet4 = Fusion(_FEATURE_DIM)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """levels: four of [B,dim_k,H/2^(k+1),W/2^(k+1)], fine to coarse -> [B,256,H/2,W/2]."""
        level1, level2, level3, level4 = (conv(level) for conv, level in zip(self.layer_rn, levels, strict=True))
        path = self.refinenet4(level4)[..., : level3.shape[-2], : level3.shape[-1]]  # an odd grid was rounded up
        path = self.refinenet3(path, level3)
        path = self.refinenet2(path, level2)
        return self.refinenet1(path, level1)


class Dpt(nn.Module):
    """Four of the decoder's token lists -> three coordinates and a confidence for every pixel, before activation."""

    def __init__(self, enc_dim: int, dec_dim: int) -> None:
        super().__init__()
        self.scratch = Scratch()
        self.head = nn.Sequential(
            nn.Conv2d(_FEATURE_DIM, _LAST_DIM, 3, padding=1),
            nn.UpsamplingBilinear2d(scale_factor=2),
            nn.Conv2d(_LAST_DIM, _LAST_DIM, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(_LAST_DIM, 4, 1),
        )
        a, b, c, d = _LAYER_DIMS
        self.act_postprocess = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(enc_dim, a, 1), nn.ConvTranspose2d(a, a, 4, stride=4)),
                nn.Sequential(nn.Conv2d(dec_dim, b, 1), nn.ConvTranspose2d(b, b, 2, stride=2)),
                nn.Sequential(nn.Conv2d(dec_dim, c, 1)),
                nn.Sequential(nn.Conv2d(dec_dim, d, 1), nn.Conv2d(d, d, 3, stride=2, padding=1)),
            ]
        )

    def forward(self, tokens: list[Tensor], grid: tuple[int, int]) -> Tensor:
        """tokens: 13 of [B,N,C], N = grid rows x columns -> [B,4,16 rows,16 columns]."""
        maps = [tokens[hook].transpose(1, 2).unflatten(-1, grid) for hook in HOOKS]
        levels = [resize(x) for resize, x in zip(self.act_postprocess, maps, strict=True)]
        return self.head(self.scratch(levels))


class DenseHead(nn.Module):
    """One view's head: points and confidence through the DPT, descriptors through an MLP on every token."""

    def __init__(self, enc_dim: int, dec_dim: int) -> None:
        super().__init__()
        self.dpt = Dpt(enc_dim, dec_dim)
        dim = enc_dim + dec_dim
        self.head_local_features = Mlp(dim, 4 * dim, (DESCRIPTOR_DIM + 1) * PATCH**2)

    def points(self, tokens: list[Tensor], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Points [B,H,W,3] in the first view's camera and their confidence [B,H,W] in [1, inf)."""
        raw = self.dpt(tokens, grid).permute(0, 2, 3, 1)  # [B,H,W,4]
        distance = raw[..., :3].norm(dim=-1, keepdim=True)
        points = raw[..., :3] / distance.clamp(min=1e-8) * torch.expm1(distance)
        return points, 1 + raw[..., 3].exp()

    def descriptors(self, tokens: list[Tensor], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Unit descriptors [B,H,W,24] and their confidence [B,H,W] in (0, inf)."""
        both = torch.cat([tokens[0], tokens[-1]], -1)  # [B,N,enc+dec]
        flat = self.head_local_features(both).transpose(1, 2).unflatten(-1, grid)  # [B,25*256,rows,columns]
        raw = F.pixel_shuffle(flat, PATCH).permute(0, 2, 3, 1)  # [B,H,W,25]
        return F.normalize(raw[..., :DESCRIPTOR_DIM], dim=-1), raw[..., DESCRIPTOR_DIM].exp()
