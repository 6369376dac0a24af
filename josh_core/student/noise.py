"""How a landmark network errs, for the simulation.

The numbers are those of a prototype that compared MediaPipe with ground truth on one rendered and one real clip (side
view of a walk, a man on a beam) and widened them by hand. They were not measured again here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Noise:
    """Errors in units of a landmark's standard deviation across the line of sight, unless said otherwise."""

    level: float = 0.4  # log deviation of the errors of one person to the next
    worst: float = 2.5  # times more where a landmark is hidden
    across: tuple[float, float, float] = (0.6, 0.65, 0.6)  # white, slow, constant
    along: tuple[float, float, float] = (0.9, 1.3, 1.1)
    misbent: float = 0.12  # share of limbs whose bend in depth is wrong for a while
    scale: float = 1.04  # of the 3D guess
    turned_constant: tuple[float, float, float] = (0.07, 0.10, 0.03)  # rad about x, y, z of the line of sight
    turned_slow: tuple[float, float, float] = (0.05, 0.19, 0.04)


NOISE = Noise()
# Middle joint of a limb -> the joint it hangs on, and the landmarks that err with it.
CHAINS: dict[int, tuple[int, list[int]]] = {
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
    """[33] m across the line of sight of a well seen landmark."""
    sigma = torch.full((33,), 0.028)
    sigma[:11] = 0.02
    sigma[[15, 16, 27, 28]] = 0.032
    sigma[17:23] = 0.045
    sigma[29:33] = 0.038
    return sigma
