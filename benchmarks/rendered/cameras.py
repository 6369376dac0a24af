"""Camera paths: world_from_cam [T,4,4], OpenCV axes, in a world with +Y up."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from josh_core.geometry import rigid
from josh_core.types import Float

# Chosen by hand.
HAND = 0.010  # m a hand-held camera wanders
AIM = 0.006  # rad its direction wanders


def look_at(eye: Float, target: Float, roll: Float | float = 0.0) -> Float:
    """Cameras at eye [T,3] that look at target [T,3], rolled by `roll` rad (clockwise picture for positive)."""
    ahead = target - eye
    z = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    x = np.cross(z, [0.0, 1.0, 0.0])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = np.cross(z, x)
    c, s = np.cos(roll) * np.ones((len(eye), 1)), np.sin(roll) * np.ones((len(eye), 1))
    return rigid(np.stack([c * x + s * y, c * y - s * x, z], -1), eye)


def wander(rng: np.random.Generator, frames: int, seconds: float, fps: float) -> Float:
    """Smooth random paths [T,3] of unit deviation that change over `seconds`."""
    sigma = seconds * fps
    pad = int(4 * sigma) + 1
    path = gaussian_filter1d(rng.normal(0, 1, (frames + 2 * pad, 3)), sigma, axis=0)[pad : pad + frames]
    return np.asarray(path * np.sqrt(2 * np.sqrt(np.pi) * sigma))  # the filter's own gain


def tripod(frames: int, eye: Float, target: Float, roll: float = 0.0) -> Float:
    """A camera that does not move. eye, target: [3] m."""
    return look_at(np.tile(np.asarray(eye, np.float64), (frames, 1)), np.tile(target, (frames, 1)), roll)


def hand_held(rng: np.random.Generator, eye: Float, target: Float, fps: float, steps: float = 0.0) -> Float:
    """A camera carried along eye [T,3], aimed at target [T,3]; `steps`: of the bearer, a second."""
    frames = len(eye)
    t = np.arange(frames) / fps
    eye = eye + HAND * wander(rng, frames, 0.35, fps)
    if steps:
        eye[:, 1] += 0.012 * np.sin(2 * np.pi * steps * t + rng.uniform(0, 6))
    far = np.linalg.norm(target - eye, axis=1, keepdims=True)
    return look_at(eye, target + AIM * far * wander(rng, frames, 0.25, fps), AIM * wander(rng, frames, 0.4, fps)[:, :1])


def turning(rng: np.random.Generator, eye: Float, target: Float, fps: float) -> Float:
    """A camera that only turns, to follow target [T,3]; its centre eye [3] is fixed."""
    frames = len(target)
    lag = gaussian_filter1d(target, 0.2 * fps, axis=0, mode="nearest")
    far = np.linalg.norm(lag - eye, axis=1, keepdims=True)
    return look_at(np.tile(np.asarray(eye, np.float64), (frames, 1)), lag + 0.004 * far * wander(rng, frames, 0.4, fps))


def smooth(path: Float, seconds: float, fps: float) -> Float:
    """The path [T,3] low-pass filtered, as a person with a camera follows another."""
    pad = int(4 * seconds * fps)
    ends = [path[:1] + (path[:1] - path[1:2]) * np.arange(pad, 0, -1)[:, None],
            path, path[-1:] + (path[-1:] - path[-2:-1]) * np.arange(1, pad + 1)[:, None]]  # fmt: skip
    return np.asarray(gaussian_filter1d(np.concatenate(ends), seconds * fps, axis=0)[pad : pad + len(path)])
