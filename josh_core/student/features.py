"""The student's input: landmarks in the picture, the landmark network's 3D guess, and the motion of the camera.

Everything is in the axes of the line of sight (`sight`: the camera's axes turned the shortest way until z points at the
person), since a landmark network sees a crop and does not know where in the picture the crop lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import roma
import torch
from torch import Tensor

from josh_core.shapes import Shaped

FPS = 30.0  # frames a second of the student, and of the motions that teach it
LANDMARK_COUNT = 33  # of BlazePose
# Rays, visibility and 3D guess of each landmark; size, line of sight, turn, travel, kind of camera.
FEATURE_COUNT = LANDMARK_COUNT * 6 + 1 + 2 + 3 + 3 + 3
CAMERA_KINDS = ("static", "rotating", "moving")


@dataclass(frozen=True)
class StudentInput(Shaped):
    """Observations of one or many people; `...` is any batch, T frames at 30 a second."""

    rays: Annotated[Tensor, "... T 33 2"]  # x/z and y/z of the landmarks in the camera
    visibility: Annotated[Tensor, "... T 33"]  # in [0, 1]
    guess: Annotated[Tensor, "... T 33 3"]  # m, 3D landmarks in the axes of `sight`
    turn: Annotated[Tensor, "... T 3"]  # rad/s, angular velocity of the camera, camera axes
    travel: Annotated[Tensor, "... T 3"]  # unit direction of the camera's motion, camera axes; zero without travel
    kind: Annotated[Tensor, "... T 3"]  # one-hot of CAMERA_KINDS


@dataclass(frozen=True)
class StudentFeatures:
    """Features, and what is needed to convert the network's normalised outputs back to the camera."""

    features: Tensor  # [...,T,FEATURE_COUNT]
    sight: Tensor  # [...,T,3,3] cam_from_sight
    size: Tensor  # [...,T] spread of the landmarks in the picture, as x/z
    middle: Tensor  # [...,T,2] their weighted mean, x/z and y/z in the axes of sight


def lines_of_sight(rays: Tensor, visibility: Tensor) -> Tensor:
    """Rotations cam_from_sight [...,3,3] that turn the camera's axis to the weighted mean of the rays [...,33,2].

    visibility: [...,33] in [0, 1], the weights. The rotation is the shortest one.
    """
    weight = visibility[..., None] + 1e-3
    middle = (weight * rays).sum(-2) / weight.sum(-2)
    axis = torch.stack([-middle[..., 1], middle[..., 0], 0 * middle[..., 0]], -1)
    tangent = axis.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    return roma.rotvec_to_rotmat(axis / tangent * tangent.atan())


def student_features(seen: StudentInput) -> StudentFeatures:
    """Normalised features of the observations; finite for any input, even where no landmark is visible."""
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
    return StudentFeatures(torch.cat(parts, -1), sight, spread, middle[..., 0, :])
