"""What the student looks at: landmarks in the picture and the network's 3D guess, and how the camera moves.

Everything is in the axes of the line of sight (`sight`: the camera's axes turned the shortest way until z points at the
person), since a landmark network looks at a crop and knows nothing of where the crop lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import roma
import torch
from torch import Tensor

from josh_core.shapes import Shaped

LANDMARK_COUNT = 33  # of BlazePose
SIZE = LANDMARK_COUNT * 6 + 1 + 2 + 3 + 3 + 3  # rays, visibility, 3D guess, size, line of sight, turn, travel, kind
KINDS = ("static", "rotating", "moving")


@dataclass(frozen=True)
class StudentInput(Shaped):
    """One or many people's observations; `...` is any batch, T frames at 30 a second."""

    rays: Annotated[Tensor, "... T 33 2"]  # x/z and y/z of the landmarks in the camera
    visibility: Annotated[Tensor, "... T 33"]  # in [0, 1]
    guess: Annotated[Tensor, "... T 33 3"]  # m, 3D landmarks in the axes of `sight`
    turn: Annotated[Tensor, "... T 3"]  # rad/s, rotation vector of the camera, camera axes
    travel: Annotated[Tensor, "... T 3"]  # unit direction of the camera's motion, camera axes; zero without travel
    kind: Annotated[Tensor, "... T 3"]  # one-hot of KINDS


@dataclass(frozen=True)
class Inputs:
    """Features, and what leads back from the network's normalised answers to the camera."""

    features: Tensor  # [...,T,SIZE]
    sight: Tensor  # [...,T,3,3] cam_from_sight
    size: Tensor  # [...,T] spread of the landmarks, tangent of an angle
    middle: Tensor  # [...,T,2] their middle in the axes of sight


def lines_of_sight(rays: Tensor, visibility: Tensor) -> Tensor:
    """Rotations [...,3,3] that carry the camera's axis to the middle of the rays [...,33,2], the shortest way."""
    weight = visibility[..., None] + 1e-3
    middle = (weight * rays).sum(-2) / weight.sum(-2)
    axis = torch.stack([-middle[..., 1], middle[..., 0], 0 * middle[..., 0]], -1)
    tangent = axis.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    return roma.rotvec_to_rotmat(axis / tangent * tangent.atan())


def inputs(seen: StudentInput) -> Inputs:
    """Features of what was seen; finite for any input, even with every landmark unseen."""
    sight = lines_of_sight(seen.rays, seen.visibility)
    ahead = torch.cat([seen.rays, torch.ones_like(seen.rays[..., :1])], -1) @ sight  # rows times S are S^T x
    flat = (ahead[..., :2] / ahead[..., 2:].clamp_min(0.1)).clamp(-10, 10)
    weight = seen.visibility[..., None] ** 2 + 1e-3
    total = weight.sum(-2, keepdim=True)
    middle = (weight * flat).sum(-2, keepdim=True) / total
    spread = ((weight * (flat - middle) ** 2).sum((-1, -2)) / total[..., 0, 0]).sqrt().clamp_min(1e-4)
    guess = seen.guess - (weight * seen.guess).sum(-2, keepdim=True) / total
    parts = [
        ((flat - middle) / spread[..., None, None]).flatten(-2).clamp(-10, 10) * 0.5,
        seen.visibility,
        guess.flatten(-2).clamp(-3, 3) * 2.0,
        spread.log()[..., None],
        sight[..., :2, 2],
        (seen.turn[..., None, :] @ sight)[..., 0, :],
        (seen.travel[..., None, :] @ sight)[..., 0, :],
        seen.kind,
    ]
    return Inputs(torch.cat(parts, -1), sight, spread, middle[..., 0, :])
