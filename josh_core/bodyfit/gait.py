"""Gait prior: while walking, each side repeats the other's motion half a stride later.

The phase of a walk is read from the times at which the ankles pass each other. The mean pose of other steps at the
same phase, and of mirrored poses at the opposite phase, is a prior for each frame. Its standard deviation is the RMS
difference to the fitted poses over the clip, so a limp, a bag in one hand or a wave makes the prior wide.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from josh_core.body.names import MIRRORED_JOINTS
from josh_core.bodyfit.fit_body import Pose
from josh_core.bodyfit.pose_prior import MIRRORED_ROTATION, POSE_PRIOR, PosePrior
from josh_core.geometry import rotmat_to_rotvec
from josh_core.shapes import check_shapes
from josh_core.types import Bool, Float

# Chosen by hand, except where a measurement or a source is given.
STEP_SECONDS = (0.3, 0.9)  # s, from a run to a slow walk
MAX_STEP_DEVIATION = 0.3  # share by which a step may differ from the median step of its walk
MIN_STEPS = 3  # of one walk, at least: fewer have no repetition
MIN_SWING = 0.15  # of the leg's length, that the ankles part
SMOOTH_SECONDS = 0.06  # s, smoothing of the ankles' paths
PHASE_WIDTH = 0.3  # rad, about 1/20 of a stride: poses nearer than this are of one phase
MIN_SIGMA = 0.05  # rad: the two sides of healthy walkers differ by a few degrees (Sadeghi et al. 2000)
LASTING_SECONDS = 2.0  # s over which a gait is taken as constant


def gait_prior(pose: Pose, joints: Float, times: Float) -> PosePrior | None:
    """The usual pose [n,24,3] of every frame, from other steps of the same walk; None where nobody walks steadily.

    pose: a first fit; joints: [n,24,3] m of it; times: [n] s.
    """
    check_shapes("gait_prior", rotations=(pose.rotations, "n 24 3 3"), joints=(joints, "n 24 3"), times=(times, "n"))
    phase, step = walk_phase(joints, times)
    if step is None:
        return None
    turned = rotmat_to_rotvec(pose.rotations)
    seen_in_mirror = MIRRORED_ROTATION * turned[:, list(MIRRORED_JOINTS)]
    apart = times[:, None] - times[None]
    lasting = np.exp(-0.5 * (apart / LASTING_SECONDS) ** 2) * (np.abs(apart) > 0.6 * step)
    between = phase[:, None] - phase[None]
    same, opposite = (_alike(between - turn) * lasting for turn in (0.0, np.pi))
    total = (same + opposite).sum(1)
    known = total > 1e-3
    weight = np.where(known, 1 / np.maximum(total, 1e-3), 0.0)[:, None, None]
    usual = weight * (np.tensordot(same, turned, 1) + np.tensordot(opposite, seen_in_mirror, 1))
    if not known.any():
        return None
    return _joined(usual, np.sqrt(np.mean((turned - usual)[known] ** 2, axis=0)), known)


def walk_phase(joints: Float, times: Float) -> tuple[Float, float | None]:
    """Gait phase [n] in rad, NaN outside the walk, and the step time in s (None without a walk).

    At phase 0 the left ankle passes the right one, at pi the right ankle the left one.
    """
    nowhere = np.full(len(times), np.nan)
    lead = _lead(joints)
    lag = times[:, None] - times[None]
    near = np.exp(-0.5 * (lag / SMOOTH_SECONDS) ** 2)
    lead = near @ lead / near.sum(1)
    at = np.flatnonzero(lead[:-1] * lead[1:] < 0)
    if len(at) < MIN_STEPS:
        return nowhere, None
    share = lead[at] / (lead[at] - lead[at + 1])
    passing = times[at] + share * (times[at + 1] - times[at])
    swing = np.array([np.abs(lead[a + 1 : b + 1]).max() for a, b in itertools.pairwise(at)])
    first, last = _steady_run(np.diff(passing), swing)
    if last - first < MIN_STEPS - 1:
        return nowhere, None
    step = float(np.median(np.diff(passing[first : last + 1])))
    passing = np.concatenate([[passing[first] - step], passing[first : last + 1], [passing[last] + step]])
    begin = 0.0 if lead[at[first] + 1] > 0 else np.pi
    phase = begin + np.pi * np.interp(times, passing, np.arange(len(passing)) - 1.0, np.nan, np.nan)
    return phase, step


def _lead(joints: Float) -> Float:
    """How far [n] the left ankle is before the right, over the leg's length."""
    hips, ankles, neck = joints[:, [1, 2]], joints[:, [7, 8]], joints[:, 12]
    ahead = np.cross(hips[:, 0] - hips[:, 1], neck - ankles.mean(1))
    ahead /= np.maximum(np.linalg.norm(ahead, axis=-1, keepdims=True), 1e-9)
    leg = np.median(
        np.linalg.norm(joints[:, 1] - joints[:, 4], axis=-1) + np.linalg.norm(joints[:, 4] - joints[:, 7], axis=-1)
    )
    return np.einsum("nd,nd->n", ankles[:, 0] - ankles[:, 1], ahead) / leg


def _steady_run(seconds: Float, swing: Float) -> tuple[int, int]:
    """First and last passing of the longest run of steps alike, of which each lasts `seconds` [k] and swings [k]."""
    good = (seconds > STEP_SECONDS[0]) & (seconds < STEP_SECONDS[1]) & (swing > MIN_SWING)
    good &= np.abs(np.log(seconds / np.median(seconds))) < MAX_STEP_DEVIATION
    best, begin = (0, 0), 0
    for i, fits in enumerate([*good, False]):
        if not fits:
            best = max(best, (begin, i), key=lambda run: run[1] - run[0])
            begin = i + 1
    return best


def _alike(angle: Float) -> Float:
    """Weight of a difference of phases; 0 where either is not known."""
    wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
    return np.nan_to_num(np.exp(-0.5 * (wrapped / PHASE_WIDTH) ** 2))


def _joined(usual: Float, sigma: Float, known: Bool) -> PosePrior:
    """Product of the everyday and the gait prior, two Gaussians; the root keeps the former, as its heading changes."""
    precision = np.where(known[:, None, None], np.maximum(sigma, MIN_SIGMA) ** -2.0, 0.0)
    precision[:, 0] = 0.0
    everyday = POSE_PRIOR.sigma**-2.0
    mean = (precision * usual + everyday * POSE_PRIOR.mean) / (precision + everyday)
    return replace(POSE_PRIOR, mean=mean, sigma=(precision + everyday) ** -0.5)
