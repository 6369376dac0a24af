"""Errors of a landmark network as assumed by the simulation, beside the measured ones (measured_noise.py).

The numbers come from a prototype that compared MediaPipe with ground truth on one rendered and one real clip (side view
of a walk, a man on a beam); they were then enlarged by hand and not measured again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AssumedNoise:
    """Errors in units of `landmark_sigma` where no other unit is given."""

    level: float = 0.4  # standard deviation, over people, of the log of the size of all errors
    occluded_factor: float = 2.5  # errors of a hidden landmark are larger by 1 + this
    across: tuple[float, float, float] = (0.6, 0.65, 0.6)  # white, slow and constant part, across the line of sight
    along: tuple[float, float, float] = (0.9, 1.3, 1.1)  # the same along the line of sight
    # Range of the share of a limb's swing along the line of sight that the 3D guess shows. On rendered people it was
    # 0.24 to 0.96 by limb and view (docs/STUDENT.md, "How the landmark network errs"); chosen a little wider.
    swing: tuple[float, float] = (0.0, 1.05)
    wrong_bend: float = 0.12  # probability that the depth of a limb's end is wrong for some time
    scale: float = 1.04  # mean size of the 3D guess over the truth
    rotation_constant: tuple[float, float, float] = (0.07, 0.10, 0.03)  # rad about x, y, z of the axes of sight
    rotation_slow: tuple[float, float, float] = (0.05, 0.19, 0.04)  # rad, the part that changes over time


ASSUMED_NOISE = AssumedNoise()
# A landmark inside a limb -> the landmark it is attached to, and the landmarks that move with it.
ATTACHED_LANDMARKS: dict[int, tuple[int, list[int]]] = {
    13: (11, [13, 15, 17, 19, 21]),
    14: (12, [14, 16, 18, 20, 22]),
    15: (13, [15, 17, 19, 21]),
    16: (14, [16, 18, 20, 22]),
    25: (23, [25, 27, 29, 31]),
    26: (24, [26, 28, 30, 32]),
    27: (25, [27, 29, 31]),
    28: (26, [28, 30, 32]),
}


def landmark_sigma() -> Tensor:
    """[33] m, standard deviation of a well visible landmark across the line of sight."""
    sigma = torch.full((33,), 0.028)
    sigma[:11] = 0.02
    sigma[[15, 16, 27, 28]] = 0.032
    sigma[17:23] = 0.045
    sigma[29:33] = 0.038
    return sigma
