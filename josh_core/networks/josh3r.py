"""JOSH3R: heads on MASt3R's decoder tokens that see one person in two frames (DESIGN section 9).

Attribute names are those of the published checkpoint. B persons in pairs, N image tokens, C decoder channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from josh_core.networks.architecture import Architecture
from josh_core.networks.layers import DecoderBlock
from josh_core.networks.loading import Pretrained
from josh_core.networks.mast3r import Mast3r, token_positions

_EPS = 1e-5  # keeps a division finite
_ROI = 7  # samples along each side of a person's box, as in the paper (DESIGN section 9)
_CONV_DIM = 256  # channels of the published heads


class RootMotion(NamedTuple):
    """The network's prediction for one person in a pair of frames; metres, cameras in OpenCV axes."""

    rel_trans: Tensor  # [B,3] root of frame 2 in the root's frame of frame 1
    rel_rot: Tensor  # [B,6] the same rotation, first two rows of its matrix before orthonormalisation
    trans1: Tensor  # [B,3] SMPL translation in camera 1
    trans2: Tensor  # [B,3] SMPL translation in camera 2
    scale1: Tensor  # [B,1] metres in a unit of view 1's points
    scale2: Tensor  # [B,1] the same for view 2


class BoxFeatures(nn.Module):
    """Samples of the tokens inside a person's box -> one token."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim, _CONV_DIM, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(_CONV_DIM)
        self.conv2 = nn.Conv2d(_CONV_DIM, _CONV_DIM, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(_CONV_DIM)
        self.conv3 = nn.Conv2d(_CONV_DIM, _CONV_DIM, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(_CONV_DIM)
        self.fc1 = nn.Linear(_CONV_DIM * _ROI**2, dim)
        self.bn_fc1 = nn.BatchNorm1d(dim)

    def forward(self, roi: Tensor) -> Tensor:
        """[B,C,7,7] -> [B,C]."""
        x = F.relu(self.bn1(self.conv1(roi)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.relu(self.bn3(self.conv3(x)))
        return self.bn_fc1(self.fc1(x.flatten(1)))


class ResidualLinear(nn.Module):
    """Two normed linear layers added to their input."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(dim, dim)
        self.norm1 = nn.BatchNorm1d(dim)
        self.linear2 = nn.Linear(dim, dim)
        self.norm2 = nn.BatchNorm1d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B,C] -> [B,C]."""
        return F.relu(x + self.norm2(self.linear2(F.relu(self.norm1(self.linear1(x))))))


class VectorHead(nn.Module):
    """Tokens -> a short vector."""

    def __init__(self, tokens: int, dim: int, out: int, bias: bool) -> None:
        super().__init__()
        self.head_layers = nn.Sequential(
            nn.Sequential(nn.Linear(tokens * dim, dim), nn.BatchNorm1d(dim), nn.ReLU()),
            nn.Sequential(ResidualLinear(dim)),
            nn.Sequential(ResidualLinear(dim)),
            nn.Linear(dim, out, bias=bias),
        )

    def forward(self, *tokens: Tensor) -> Tensor:
        """[B,C] each -> [B,out]."""
        return self.head_layers(torch.cat(tokens, -1))


def roi_align(features: Tensor, boxes: Tensor) -> Tensor:
    """7 x 7 samples of features [B,C,rows,columns] in boxes [B,4] xyxy, as shares of the image in [0, 1].

    The outermost samples lie on the box's edges; outside the image its border is repeated. -> [B,C,7,7]
    """
    x1, y1, x2, y2 = (2 * boxes - 1).unbind(-1)
    step = torch.linspace(0, 1, _ROI, device=boxes.device, dtype=boxes.dtype)
    x = x1[:, None] + (x2 - x1)[:, None] * step  # [B,7]
    y = y1[:, None] + (y2 - y1)[:, None] * step
    grid = torch.stack([x[:, None, :].expand(-1, _ROI, -1), y[:, :, None].expand(-1, -1, _ROI)], -1)
    return F.grid_sample(features, grid.to(features.dtype), mode="bilinear", padding_mode="border", align_corners=False)


class Josh3r(Pretrained):
    """MASt3R and what is added to it for people. `motion` reads tokens that `mast3r` has encoded and decoded."""

    unused_prefix = "smpl."  # the published file also holds the buffers of a licensed body model

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        arch = self.architecture = architecture or Architecture()
        dim = arch.dec_dim
        self.mast3r = Mast3r(arch)
        self.human_feat_extractor_1 = BoxFeatures(dim)
        self.human_feat_extractor_2 = BoxFeatures(dim)
        self.human_head_1 = VectorHead(1, dim, 3, bias=True)
        self.human_head_2 = VectorHead(1, dim, 3, bias=True)
        self.rel_trans_head = VectorHead(4, dim, 3, bias=False)
        self.rel_rot_head = VectorHead(4, dim, 6, bias=True)
        self.scene_head_1 = VectorHead(1, dim, 1, bias=False)
        self.scene_head_2 = VectorHead(1, dim, 1, bias=False)
        self.decoder_block_1 = DecoderBlock(dim, arch.dec_heads, _EPS)
        self.decoder_block_2 = DecoderBlock(dim, arch.dec_heads, _EPS)
        self.dec_norm = nn.LayerNorm(dim, _EPS)

    def motion(self, tokens1: Tensor, tokens2: Tensor, boxes: Tensor, grid: tuple[int, int]) -> RootMotion:
        """Motion of one person for each row.

        tokens1, tokens2: [B,N,C] last decoder tokens of both views; boxes: [B,2,4] xyxy as shares of the image.
        """
        assert tokens1.shape == tokens2.shape and boxes.shape == (len(tokens1), 2, 4), boxes.shape
        x1 = self._append(tokens1, self.human_token(self.human_feat_extractor_1, tokens1, boxes[:, 0], grid))
        x2 = self._append(tokens2, self.human_token(self.human_feat_extractor_2, tokens2, boxes[:, 1], grid))
        x1, x2 = self.mix(x1, x2, grid)
        human1, human2 = x1[:, -1], x2[:, -1]
        scene1, scene2 = x1[:, :-1].amax(1), x2[:, :-1].amax(1)
        return RootMotion(
            rel_trans=self.rel_trans_head(human1, human2, scene1, scene2),
            rel_rot=self.rel_rot_head(human1, human2, scene1, scene2),
            trans1=self.human_head_1(human1),
            trans2=self.human_head_2(human2),
            scale1=self.scene_head_1(scene1).exp(),
            scale2=self.scene_head_2(scene2).exp(),
        )

    def human_token(self, extractor: BoxFeatures, tokens: Tensor, boxes: Tensor, grid: tuple[int, int]) -> Tensor:
        """The person's token [B,C] from one view's tokens [B,N,C] and boxes [B,4]."""
        return extractor(roi_align(tokens.transpose(1, 2).unflatten(-1, grid), boxes))

    def mix(self, x1: Tensor, x2: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """One more decoder block over the tokens of both views with the person's token last: [B,N+1,C] each."""
        image = token_positions(grid, x1.device)
        rotary = self.mast3r.decoder_rotary(torch.cat([image, image.new_full((1, 2), -1)]))
        new1, new2 = self.decoder_block_1(x1, x2, rotary), self.decoder_block_2(x2, x1, rotary)
        return self.dec_norm(new1), self.dec_norm(new2)

    @staticmethod
    def _append(tokens: Tensor, human: Tensor) -> Tensor:
        return torch.cat([tokens, human[:, None].to(tokens.dtype)], 1)
