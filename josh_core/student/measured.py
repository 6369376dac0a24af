"""How the landmark network really errs: a model of its errors, measured on people whose pose is known.

For a true pose and view it says the errors to expect (bias, limbs too flat in depth, sides that look alike from behind)
and draws what is left from recorded stretches of residuals, so that how long errors last, how the landmarks of a limb
err together and how rare large errors are is the network's own (a block bootstrap: Kuensch 1989).

Everything is in crop axes, since the network turns the picture before it looks: those of the line of sight, turned
about it until the trunk stands upright; lengths are those of a body of usual size.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from josh_core.body.names import LANDMARKS

ASSET = Path(__file__).parent / "assets" / "landmark_noise.npz"
USUAL = 1.30  # m, trunk and leg of the average body (between its landmarks)
ERRORS = 33 * (3 + 2 + 1)  # of the 3D guess, across the line of sight in the picture, of the visibility's log odds
HARMONICS = 5  # 1, cos, sin, cos 2, sin 2 of the direction that the person faces
MIRRORED = [LANDMARKS.index(n.replace("left", "?").replace("right", "left").replace("?", "right")) for n in LANDMARKS]
HIPS, SHOULDERS = [23, 24], [11, 12]  # left, right
NOSE = 0
LIMBS = [(a + s, b + s) for a, b in ((11, 13), (13, 15), (23, 25), (25, 27), (27, 31)) for s in (0, 1)]
POSE = 3 * (4 + len(LIMBS))  # numbers of a pose


@dataclass(frozen=True)
class Crop:
    """True landmarks as the network's crop shows them; `...` is any batch."""

    points: Tensor  # [...,33,3] about the middle of the hips, of a body of usual size
    axes: Tensor  # [...,3,3] sight_from_crop
    size: Tensor  # [...] m of the person a unit of `points`


@dataclass(frozen=True)
class MeasuredNoise:
    """The asset's arrays; F features of pose and view, K modes, N recorded stretches of S frames at 30 a second."""

    least: Tensor  # [POSE] range of the poses that were measured
    most: Tensor  # [POSE]
    expected: Tensor  # [F,ERRORS] by features
    modes: Tensor  # [K,ERRORS] of the residuals
    scores: Tensor  # [N,S,K]
    facing: Tensor  # [N,2] cosine and sine of the direction faced, middle of each stretch
    rest: Tensor  # [ERRORS] deviation of what the modes leave
    rest_white: Tensor  # [] share of its variance that changes from frame to frame


def crop(relative: Tensor) -> Crop:
    """True landmarks [...,33,3] m, in the axes of sight, as the crop shows them."""
    points = relative - relative[..., HIPS, :].mean(-2, keepdim=True)
    trunk = points[..., SHOULDERS, :].mean(-2)
    away = trunk[..., :2].norm(dim=-1).clamp_min(1e-3)
    c, s = -trunk[..., 1] / away, -trunk[..., 0] / away
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    axes = torch.stack([c, s, zero, -s, c, zero, zero, zero, one], -1).unflatten(-1, (3, 3))
    leg = (points[..., [25, 26], :] - points[..., HIPS, :]).norm(dim=-1) + (
        points[..., [27, 28], :] - points[..., [25, 26], :]
    ).norm(dim=-1)
    size = (trunk.norm(dim=-1) + leg.mean(-1)).clamp_min(1e-3) / USUAL
    return Crop(points @ axes / size[..., None, None], axes, size)


def pose_numbers(points: Tensor) -> Tensor:
    """[...,POSE] of points [...,33,3]: trunk, hips, shoulders, head and limbs as vectors."""
    shoulders, hips = (points[..., k, :] for k in (SHOULDERS, HIPS))
    middle = shoulders.mean(-2, keepdim=True)
    parts = [
        middle,
        hips[..., :1, :] - hips[..., 1:, :],
        shoulders[..., :1, :] - shoulders[..., 1:, :],
        points[..., [NOSE], :] - middle,
        points[..., [b for _, b in LIMBS], :] - points[..., [a for a, _ in LIMBS], :],
    ]
    return torch.cat(parts, -2).flatten(-2)


def facing(points: Tensor) -> Tensor:
    """Cosine and sine [...,2] of the direction faced, about the trunk: 1, 0 looks at the camera."""
    left = points[..., [11, 23], :].sum(-2) - points[..., [12, 24], :].sum(-2)
    return torch.nn.functional.normalize(torch.stack([left[..., 0], left[..., 2]], -1), dim=-1, eps=1e-3)


def features(points: Tensor, least: Tensor, most: Tensor) -> Tensor:
    """[...,F]: pose numbers within the measured range, times harmonics of the direction faced."""
    pose = pose_numbers(points)
    pose = torch.maximum(torch.minimum(pose, most), least)
    c, s = facing(points).unbind(-1)
    turns = torch.stack([torch.ones_like(c), c, s, c * c - s * s, 2 * c * s], -1)
    with_one = torch.cat([torch.ones_like(pose[..., :1]), pose], -1)
    return (with_one[..., None] * turns[..., None, :]).flatten(-2)


def pack(guess: Tensor, across: Tensor, odds: Tensor) -> Tensor:
    """[...,ERRORS] of errors [...,33,3], [...,33,2] and [...,33]."""
    return torch.cat([guess.flatten(-2), across.flatten(-2), odds], -1)


def unpack(errors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The inverse of pack."""
    guess, across, odds = errors.split([99, 66, 33], -1)
    return guess.unflatten(-1, (33, 3)), across.unflatten(-1, (33, 2)), odds


def mirror(errors: Tensor) -> Tensor:
    """The errors [...,ERRORS] of the person's mirror image."""
    guess, across, odds = unpack(errors)
    flip = guess.new_tensor([-1.0, 1.0, 1.0])
    return pack(guess[..., MIRRORED, :] * flip, across[..., MIRRORED, :] * flip[:2], odds[..., MIRRORED])


@cache
def measured_noise() -> MeasuredNoise:
    """The asset, read once."""
    with np.load(ASSET, allow_pickle=False) as stored:
        arrays = {f.name: torch.as_tensor(stored[f.name].astype(np.float32)) for f in fields(MeasuredNoise)}
        return MeasuredNoise(**{**arrays, "scores": arrays["scores"] * torch.as_tensor(stored["score_unit"])})
