"""XFeat's network, written after its paper (Potje et al., "XFeat: Accelerated Features for Lightweight Image Matching",
CVPR 2024), with the names that its published weights have.

kornia has it only in releases for Python 3.11 and newer; its outputs are compared in
tests/scene/matching/test_features.py.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

CELL = 8  # px of the image for each cell of the outputs


class _Layer(nn.Module):
    """Convolution, batch normalisation without parameters, ReLU."""

    def __init__(self, into: int, out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            nn.Conv2d(into, out, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(out, affine=False),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[b,into,h,w] to [b,out,h/stride,w/stride]."""
        y: torch.Tensor = self.layer(x)
        return y

    def fuse(self) -> None:
        """Make the normalisation part of the convolution."""
        convolution, normalisation, activation = self.layer
        assert isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d)
        self.layer = nn.Sequential(fuse_conv_bn_eval(convolution, normalisation), activation)


class XFeatNet(nn.Module):
    """Dense descriptors, logits of keypoints and reliability of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(1)
        self.skip1 = nn.Sequential(nn.AvgPool2d(4, 4), nn.Conv2d(1, 24, 1))
        self.block1 = nn.Sequential(_Layer(1, 4), _Layer(4, 8, stride=2), _Layer(8, 8), _Layer(8, 24, stride=2))
        self.block2 = nn.Sequential(_Layer(24, 24), _Layer(24, 24))
        self.block3 = nn.Sequential(_Layer(24, 64, stride=2), _Layer(64, 64), _Layer(64, 64, 1))
        self.block4 = nn.Sequential(_Layer(64, 64, stride=2), _Layer(64, 64), _Layer(64, 64))
        self.block5 = nn.Sequential(_Layer(64, 128, stride=2), _Layer(128, 128), _Layer(128, 128), _Layer(128, 64, 1))
        self.block_fusion = nn.Sequential(_Layer(64, 64), _Layer(64, 64), nn.Conv2d(64, 64, 1))
        self.heatmap_head = nn.Sequential(_Layer(64, 64, 1), _Layer(64, 64, 1), nn.Conv2d(64, 1, 1), nn.Sigmoid())
        self.keypoint_head = nn.Sequential(
            _Layer(64, 64, 1), _Layer(64, 64, 1), _Layer(64, 64, 1), nn.Conv2d(64, CELL**2 + 1, 1)
        )

    def fused(self) -> XFeatNet:
        """Itself, made for inference on CPUs: the same outputs but for rounding."""
        for module in self.modules():
            if isinstance(module, _Layer):
                module.fuse()
        return self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """image: [b,3,h,w] in [0, 1], h and w multiples of 32.

        Returns descriptors [b,64,h/8,w/8] (not of unit length), logits [b,65,h/8,w/8] of where in a cell the keypoint
        is (the last one: nowhere), and reliability [b,1,h/8,w/8] in [0, 1].
        """
        gray = self.norm(image.mean(1, keepdim=True))
        fine = self.block3(self.block2(self.block1(gray) + self.skip1(gray)))
        middle = self.block4(fine)
        coarse = self.block5(middle)
        size = fine.shape[-2:]
        descriptors = self.block_fusion(
            fine
            + functional.interpolate(middle, size, mode="bilinear")
            + functional.interpolate(coarse, size, mode="bilinear")
        )
        return descriptors, self.keypoint_head(functional.pixel_unshuffle(gray, CELL)), self.heatmap_head(descriptors)


def sample(dense: torch.Tensor, px: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Bicubic samples [b,n,c] of dense [b,c,h,w] at px [b,n,2] of the image of height and width (first pixel at 0)."""
    last = torch.tensor([width - 1, height - 1], dtype=px.dtype)
    grid = (2 * px / last - 1)[:, None]
    return functional.grid_sample(dense, grid, mode="bicubic", align_corners=False)[:, :, 0].mT
