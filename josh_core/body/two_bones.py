"""Inverse kinematics of two bones in a plane, for legs that have to reach their feet."""

from __future__ import annotations

import numpy as np

from josh_core.geometry import axes_along
from josh_core.shapes import check_shapes
from josh_core.types import Float


def two_bones(rest: Float, start: Float, end: Float, front: Float) -> tuple[Float, Float]:
    """World rotations [T,3,3] of the upper and the lower bone that reach from `start` to `end` [T,3] m.

    rest: [3,3] m, the first, middle and last joint of the rest pose, whose front is +z; front: [T,3] the direction in
    which the middle joint bends. For an end out of reach the limb is straight.
    """
    check_shapes("two_bones", rest=(rest, "3 3"), start=(start, "T 3"), end=(end, "T 3"), front=(front, "T 3"))
    upper, lower = rest[1] - rest[0], rest[2] - rest[1]
    a, b = np.linalg.norm(upper), np.linalg.norm(lower)
    way = end - start
    d = np.linalg.norm(way, axis=1)
    along = (a**2 - b**2 + d**2) / (2 * d)  # law of cosines
    out = np.sqrt(np.maximum(a**2 - along**2, 0))
    axes = axes_along(way, front)
    knee = start + along[:, None] * axes[..., 0] + out[:, None] * axes[..., 1]
    ahead, rest_ahead = axes[..., 1], np.array([[0.0, 0.0, 1.0]])
    first = axes_along(knee - start, ahead) @ axes_along(upper[None], rest_ahead).swapaxes(1, 2)
    second = axes_along(end - knee, ahead) @ axes_along(lower[None], rest_ahead).swapaxes(1, 2)
    return first, second
