"""Synthetic motions with both feet fixed: squats, and sitting down on something and standing up again.

The freely licensed motion capture (assets/mocap.npz) contains neither, and in both the hips are lower than in any walk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from josh_core.body import BodyModel
from josh_core.body.two_bones import two_bones
from josh_core.geometry import rotvec_to_rotmat
from josh_core.types import Bool, Float

LEG_JOINTS = ((1, 4, 7), (2, 5, 8))  # hip, knee, ankle of the left and the right leg
# All numbers here are chosen by hand, not measured. Lengths are shares of the leg's length.
STANDING = 0.985  # height of the hips over the ankles while standing
SEATED = 0.97  # share of the way down from which the seat bears weight
SEAT_HEIGHTS, SQUAT_HEIGHTS = (0.42, 0.72), (0.25, 0.8)  # range of the hips' height over the ankles at the lowest point
SEAT_BACK, SQUAT_BACK = (0.3, 0.6), (0.05, 0.3)  # range of how far the hips move behind the ankles
WAY_FRAMES, REST_FRAMES = (18, 45), (5, 90)  # range of durations, frames at 30 a second, of a movement and of a rest


@dataclass(frozen=True)
class SquatMotion:
    """n frames, facing +z, the ankles at y = 0."""

    turned: Float  # [n,24,3,3] local rotations; only legs, feet and root differ from the rest pose
    pelvis: Float  # [n,3] leg lengths
    seated: Bool  # [n] whether the seat bears weight


def rest_legs(body: BodyModel) -> Float:
    """Rest joints [24,3] of the average body, in leg lengths."""
    joints = body.rest_joints(torch.zeros(1, 10))[0].double().numpy()
    leg = np.linalg.norm(joints[4] - joints[1]) + np.linalg.norm(joints[7] - joints[4])
    return joints / leg


def squat_or_sit(rng: np.random.Generator, rest: Float, n: int) -> SquatMotion:
    """n frames of squatting or of sitting down and standing up; rest: [24,3] of rest_legs."""
    sits = rng.random() < 0.6
    down = _down(rng, n)
    low = rng.uniform(*(SEAT_HEIGHTS if sits else SQUAT_HEIGHTS))
    back = rng.uniform(*(SEAT_BACK if sits else SQUAT_BACK))
    ankles = _ankles(rng)
    pelvis = np.zeros((n, 3))
    pelvis[:, 1] = rest[0, 1] - rest[1, 1] + STANDING + down * (low - STANDING)
    pelvis[:, 2] = -back * down - 0.08 * np.sin(np.pi * down)
    at_the_end = rng.uniform(-0.15, 0.3) if sits else rng.uniform(0.2, 0.8)
    lean = rng.uniform(0.2, 0.7) * np.sin(np.pi * down) + at_the_end * down
    turned = np.tile(np.eye(3), (n, 24, 1, 1))
    turned[:, 0] = rotvec_to_rotmat(np.stack([lean, 0 * lean, 0 * lean], 1))
    spread = rng.uniform(0, 0.5)
    for (hip, knee, ankle), at, side in zip(LEG_JOINTS, ankles, (1.0, -1.0), strict=True):
        start = pelvis + turned[:, 0] @ (rest[hip] - rest[0])
        yaw = side * spread
        front = np.tile([np.sin(yaw), 0.0, np.cos(yaw)], (n, 1)) + turned[:, 0, :, 2]
        end = start + _within_reach(at - start)
        thigh, shin = two_bones(rest[[hip, knee, ankle]], start, end, front)
        turned[:, hip] = turned[:, 0].swapaxes(1, 2) @ thigh
        turned[:, knee] = thigh.swapaxes(1, 2) @ shin
        turned[:, ankle] = shin.swapaxes(1, 2) @ rotvec_to_rotmat(np.array([0, yaw, 0.0]))
    return SquatMotion(turned, pelvis, sits & (down > SEATED))


def _down(rng: np.random.Generator, n: int) -> Float:
    """How far down [n] in [0, 1]: up and down in turns with rests between, starting at a random moment."""
    value = float(rng.random() < 0.5)
    moments, values = [0.0], [value]
    while moments[-1] < 3 * n + 200:
        moments += [moments[-1] + rng.uniform(*REST_FRAMES)]
        values += [value]
        value = 1 - value
        moments += [moments[-1] + rng.uniform(*WAY_FRAMES)]
        values += [value]
    at = rng.uniform(0, 2 * n) + np.arange(n)
    linear = gaussian_filter1d(np.interp(at, moments, values), 3.0, mode="nearest")
    return linear * linear * (3 - 2 * linear)


def _ankles(rng: np.random.Generator) -> Float:
    """Positions [2,3] of the left and the right ankle in leg lengths, one of them slightly ahead."""
    wide, ahead = rng.uniform(0.06, 0.25), 0.08 * rng.normal()
    return np.array([[wide, 0.0, ahead], [-wide, 0.0, -ahead]])


def _within_reach(way: Float) -> Float:
    """Vectors [n,3] from hip to ankle, in leg lengths, shortened to the length of the leg."""
    length = np.linalg.norm(way, axis=-1, keepdims=True)
    return way * np.minimum(1.0, 0.998 / length)
