"""A picture whose size swings, as a lens does that breathes with its focus: told once a travelling camera is solved.

To a solver without zoom the swings are steps forth and back. But a step moves near points more than far ones, so that
frames which may have a size of their own fit the points better.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from josh_core.geometry import rotvec_to_rotmat
from josh_core.lsq.robust import Cauchy
from josh_core.scene.camera.sfm import KeyMap
from josh_core.scene.camera.sparse_model import SparseModel, pose_derivatives, residuals, sum_by
from josh_core.scene.matching.tracks import Sightings, Tracks
from josh_core.types import Float

# Chosen by hand, except where a measurement or a source is given.
TRIED_POINTS, TRIED_STEPS = 400, 10
# Cost with sizes over that without, at most, and standard deviation of the sizes' logarithms, at least, of a picture
# whose size swings. `python -m benchmarks.camera_fit CLIPS` prints both; chosen between what it prints of clips as they
# were filmed and of those that `benchmarks.spoiled` lets breathe.
MAX_COST_SHARE, MIN_SWING = 0.93, 0.008


def breathing(tracks: Tracks, key_map: KeyMap) -> float:
    """Standard deviation, relative, of a size of the picture that swings; 0 where it does not."""
    share, swing = size_swing(tracks, key_map)
    return swing if share < MAX_COST_SHARE and swing > MIN_SWING else 0.0


def size_swing(tracks: Tracks, key_map: KeyMap) -> tuple[float, float]:
    """Cost of the keyframes with a size of the picture each, over that without; and the spread of these sizes."""
    small, few = key_map.sample(tracks, TRIED_POINTS)
    (without, _), (sized, sizes) = (_located(small, few, tracks.noise, free) for free in (False, True))
    return sized / max(without, 1e-12), float(sizes.std())


def _located(model: SparseModel, sightings: Sightings, noise: float, sized: bool) -> tuple[float, Float]:
    """Robust cost of the cameras, each moved on its own to where it fits best, and logarithms [K] of their sizes.

    sized: whether each may have a size of its own; points and lens stay.
    """
    robust, count = Cauchy(2 * noise), len(model.centres)
    sizes = np.zeros(count)
    for _ in range(TRIED_STEPS):
        factor = np.exp(sizes)[sightings.camera, None]
        error, jacobian = pose_derivatives(model, sightings)
        pixel = factor * (error + sightings.xy)
        error = pixel - sightings.xy
        jacobian = np.concatenate([factor[..., None] * jacobian, pixel[..., None]], -1)[..., : 7 if sized else 6]
        weight = robust.slope((error**2).sum(-1))
        weighted = (weight[:, None, None] * jacobian).swapaxes(-1, -2)
        left = sum_by(weighted @ jacobian, sightings.camera, count)
        right = sum_by((weighted @ error[..., None])[..., 0], sightings.camera, count)
        trace = np.trace(left, axis1=1, axis2=2)[:, None, None]
        move = -np.linalg.solve(left + np.eye(left.shape[-1]) * 1e-6 * (1 + trace), right[..., None])[..., 0]
        turns = rotvec_to_rotmat(np.clip(move[:, :3], -0.2, 0.2))
        model = replace(model, rotations=model.rotations @ turns, centres=model.centres + move[:, 3:6])
        sizes = sizes + np.clip(move[:, 6:].sum(-1), -0.1, 0.1)
    left_over = np.exp(sizes)[sightings.camera, None] * (residuals(model, sightings) + sightings.xy) - sightings.xy
    return float(robust.value((left_over**2).sum(-1)).sum()), sizes
