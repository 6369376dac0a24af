"""A model of the landmark network's errors, measured on people whose pose is known.

For a true pose and view it predicts the expected errors (bias, limbs too flat in depth, confused sides from behind) and
draws the remaining error from recorded sequences of residuals, so that correlation over time, correlation between
landmarks and the frequency of large errors are those of the network (a block bootstrap: Kuensch 1989).

Everything is in crop axes, since the network rotates the picture before it looks: the axes of the line of sight, turned
about it until the trunk is upright; lengths are those of a body of average size.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from josh_core.body.names import HIP_LANDMARKS, LANDMARKS, MIRRORED_LANDMARKS, SHOULDER_LANDMARKS

NOISE_FILE = Path(__file__).parent / "assets" / "landmark_noise.npz"
# Chosen by hand, except where a measurement or a source is given.
BODY_SIZE = 1.30  # m, trunk and leg of the average body (between its landmarks)
ERROR_COUNT = 33 * (3 + 2 + 1)  # of the 3D guess, of the picture across the line of sight, of the visibility's log odds
HARMONICS = 5  # 1, cos, sin, cos 2, sin 2 of the direction that the person faces
_HIPS, _SHOULDERS, _NOSE = list(HIP_LANDMARKS), list(SHOULDER_LANDMARKS), LANDMARKS.index("nose")
LIMB_BONES = [
    (a + s, b + s) for a, b in ((11, 13), (13, 15), (23, 25), (25, 27), (27, 31)) for s in (0, 1)
]  # of the limbs
POSE_COUNT = 3 * (4 + len(LIMB_BONES))  # numbers that describe a pose, see pose_numbers


@dataclass(frozen=True)
class Crop:
    """True landmarks in the axes of the network's crop; `...` is any batch."""

    points: Tensor  # [...,33,3] m about the middle of the hips, of a body of average size
    axes: Tensor  # [...,3,3] sight_from_crop
    size: Tensor  # [...] size of the person over that of the average body


@dataclass(frozen=True)
class MeasuredNoise:
    """The asset's arrays; F features of pose and view, K modes, N recorded sequences of S frames at 30 a second."""

    least: Tensor  # [POSE_COUNT] smallest pose numbers that were measured
    most: Tensor  # [POSE_COUNT] largest ones
    expected: Tensor  # [F,ERROR_COUNT] linear map from features to expected errors
    modes: Tensor  # [K,ERROR_COUNT] principal components of the residuals
    scores: Tensor  # [N,S,K] their coefficients
    facing: Tensor  # [N,2] cosine and sine of the direction faced, in the middle of each sequence
    rest: Tensor  # [ERROR_COUNT] standard deviation of the residuals outside the modes
    rest_white: Tensor  # [] share of that variance that is white in time


def crop(relative: Tensor) -> Crop:
    """True landmarks [...,33,3] m in the axes of sight, brought to crop axes and average size."""
    points = relative - relative[..., _HIPS, :].mean(-2, keepdim=True)
    trunk = points[..., _SHOULDERS, :].mean(-2)
    away = trunk[..., :2].norm(dim=-1).clamp_min(1e-3)
    c, s = -trunk[..., 1] / away, -trunk[..., 0] / away
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    axes = torch.stack([c, s, zero, -s, c, zero, zero, zero, one], -1).unflatten(-1, (3, 3))
    leg = (points[..., [25, 26], :] - points[..., _HIPS, :]).norm(dim=-1) + (
        points[..., [27, 28], :] - points[..., [25, 26], :]
    ).norm(dim=-1)
    size = (trunk.norm(dim=-1) + leg.mean(-1)).clamp_min(1e-3) / BODY_SIZE
    return Crop(points @ axes / size[..., None, None], axes, size)


def pose_numbers(points: Tensor) -> Tensor:
    """[...,POSE_COUNT] of points [...,33,3]: trunk, hips, shoulders, head and bones as vectors."""
    shoulders, hips = (points[..., k, :] for k in (_SHOULDERS, _HIPS))
    middle = shoulders.mean(-2, keepdim=True)
    parts = [
        middle,
        hips[..., :1, :] - hips[..., 1:, :],
        shoulders[..., :1, :] - shoulders[..., 1:, :],
        points[..., [_NOSE], :] - middle,
        points[..., [b for _, b in LIMB_BONES], :] - points[..., [a for a, _ in LIMB_BONES], :],
    ]
    return torch.cat(parts, -2).flatten(-2)


def facing(points: Tensor) -> Tensor:
    """Cosine and sine [...,2] of the direction faced, about the trunk: (1, 0) faces the camera."""
    left = points[..., [11, 23], :].sum(-2) - points[..., [12, 24], :].sum(-2)
    return torch.nn.functional.normalize(torch.stack([left[..., 0], left[..., 2]], -1), dim=-1, eps=1e-3)


def features(points: Tensor, least: Tensor, most: Tensor) -> Tensor:
    """[...,F]: pose numbers clipped to the measured range [POSE_COUNT], times harmonics of the direction faced."""
    pose = pose_numbers(points)
    pose = torch.maximum(torch.minimum(pose, most), least)
    c, s = facing(points).unbind(-1)
    turns = torch.stack([torch.ones_like(c), c, s, c * c - s * s, 2 * c * s], -1)
    with_one = torch.cat([torch.ones_like(pose[..., :1]), pose], -1)
    return (with_one[..., None] * turns[..., None, :]).flatten(-2)


def pack(guess: Tensor, across: Tensor, odds: Tensor) -> Tensor:
    """Errors [...,33,3] of the guess, [...,33,2] across and [...,33] of log odds as one vector [...,ERROR_COUNT]."""
    return torch.cat([guess.flatten(-2), across.flatten(-2), odds], -1)


def unpack(errors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The inverse of pack."""
    guess, across, odds = errors.split([99, 66, 33], -1)
    return guess.unflatten(-1, (33, 3)), across.unflatten(-1, (33, 2)), odds


def mirror(errors: Tensor) -> Tensor:
    """Errors [...,ERROR_COUNT] turned into those of the person's mirror image."""
    guess, across, odds = unpack(errors)
    flip = guess.new_tensor([-1.0, 1.0, 1.0])
    return pack(
        guess[..., MIRRORED_LANDMARKS, :] * flip,
        across[..., MIRRORED_LANDMARKS, :] * flip[:2],
        odds[..., MIRRORED_LANDMARKS],
    )


@cache
def measured_noise() -> MeasuredNoise:
    """The asset, read once."""
    with np.load(NOISE_FILE, allow_pickle=False) as stored:
        arrays = {f.name: torch.as_tensor(stored[f.name].astype(np.float32)) for f in fields(MeasuredNoise)}
        return MeasuredNoise(**{**arrays, "scores": arrays["scores"] * torch.as_tensor(stored["score_unit"])})
