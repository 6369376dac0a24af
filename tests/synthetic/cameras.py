"""Camera paths of the synthetic scenes: world_from_cam [T,4,4] in the world of the project.

The first camera stands over the world's origin and looks toward -Z, tilted down a little.
"""

from __future__ import annotations

import numpy as np

from josh_core.geometry import rigid, rotvec_to_rotmat
from josh_core.types import CameraKind, Float

EYE_HEIGHT = 1.5  # m
TILT = np.radians(8.0)  # downward
FACING_BACK = np.diag([1.0, -1.0, -1.0])  # an OpenCV camera that looks along -Z of a y-up world


def camera_path(kind: CameraKind, times: Float, travel: Float, pan: float) -> Float:
    """world_from_cam of a camera that is held by hand, turned on the spot, or on a tripod.

    times: [T] s; travel: [3] m from the first to the last frame (moving); pan: rad to the left in all (moving and
    rotating).
    """
    s = times / max(times[-1], 1e-9)
    n = len(times)
    yaw, tilt, roll = np.zeros(n), np.full(n, -TILT), np.zeros(n)
    place = np.tile([0.0, EYE_HEIGHT, 0.0], (n, 1))
    if kind != "static":
        yaw = pan * s + 0.006 * np.sin(5.0 * times)
        tilt = tilt + 0.008 * np.sin(3.7 * times)
        roll = 0.006 * np.sin(4.3 * times)
    if kind == "moving":
        sway = np.stack([0.012 * np.sin(5.5 * times), 0.015 * np.sin(8.0 * times), 0.01 * np.sin(4.7 * times)], 1)
        place = place + s[:, None] * travel + sway
    turn = _about(1, yaw) @ _about(0, tilt) @ _about(2, roll) @ FACING_BACK
    return rigid(turn, place)


def _about(axis: int, angle: Float) -> Float:
    vector = np.zeros((len(angle), 3))
    vector[:, axis] = angle
    return rotvec_to_rotmat(vector)
