"""Feet judged by the body they carry: a foot that stands is slower than its body, one that swings is faster.

Image motion says little about a foot that moves along the line of sight. The fitted body in a world of roughly known
scale says it in every direction, but only roughly: what it says is therefore bounded.
"""

from __future__ import annotations

import numpy as np

from josh_core.body.posing import PosedPoints
from josh_core.geometry import transform
from josh_core.types import BodyTrack, CameraPath, Float

SMOOTH_SECONDS = 0.25  # s, over which the depth of a fitted body becomes a velocity
AT_REST = 0.25  # m/s, what a resting foot of a resting body seems to move
OF_BODY = 0.7  # share of the body's speed below which a foot is judged to stand
SPEED_WIDTH = 0.15  # m/s for one unit of log odds
MOST_FOR, MOST_AGAINST = 1.0, 4.0  # log odds that this judgement can add or take


def stance_odds(cameras: CameraPath, metres: float, times: Float, track: BodyTrack, points: PosedPoints) -> Float:
    """Log odds [n,C] that each contact point, were it a foot's, stands.

    metres: m per unit of the CameraPath's world, roughly; times: [T] s of the clip's frames.
    """
    world_from_cam = cameras.world_from_cam[track.frames].astype(np.float64)
    world_from_cam[:, :3, 3] *= metres
    root = transform(world_from_cam, points.joints[:, :1])  # [n,1,3] m
    relative = transform(world_from_cam, points.contacts) - root
    seconds = np.asarray(times, np.float64)[track.frames]
    body = _velocity(root[:, 0], seconds)
    foot = np.linalg.norm(body[:, None] + _differences(relative, seconds), axis=-1)
    slower = AT_REST + OF_BODY * np.linalg.norm(body, axis=-1)[:, None] - foot
    return np.clip(slower / SPEED_WIDTH, -MOST_AGAINST, MOST_FOR)


def _velocity(path: Float, seconds: Float) -> Float:
    """Slope [n,3] of straight lines fitted to path [n,3] around each time (Gaussian weights)."""
    lag = seconds[None] - seconds[:, None]
    weight = np.exp(-0.5 * (lag / SMOOTH_SECONDS) ** 2)
    lag = lag - (weight * lag).sum(1, keepdims=True) / weight.sum(1, keepdims=True)
    spread = np.maximum((weight * lag**2).sum(1), 1e-9)
    return (weight * lag) @ path / spread[:, None]


def _differences(path: Float, seconds: Float) -> Float:
    """Velocity [n,C,3] from the frame before to the frame after; one-sided at the ends, zero for a single frame."""
    if len(path) < 2:
        return np.zeros_like(path)
    return np.gradient(path, seconds, axis=0)
