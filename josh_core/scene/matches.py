"""Correspondences between keyframes that the solved cameras confirm."""

from __future__ import annotations

import numpy as np

from josh_core.geometry import transform
from josh_core.lsq.robust import Cauchy
from josh_core.scene.camera.lens import undistort
from josh_core.scene.camera.solve import CameraSolution
from josh_core.scene.matching.tracks import Tracks
from josh_core.types import CameraPath, Float, Matches

# Chosen by hand, except where a measurement or a source is given.
PAIR_GAPS = (1, 2, 3, 5, 8)  # keyframes between the two of a pair
MAX_MATCHES = 200  # correspondences of a pair
MIN_MATCHES = 15  # pairs with fewer may be chance matches


def keyframe_matches(tracks: Tracks, solution: CameraSolution, seed: int) -> Matches:
    """Matches in undistorted pixels; none for a static camera, whose frames all see the same."""
    path, noise = solution.path, tracks.noise
    rng = np.random.default_rng(seed)
    pairs, pixels, confidences = [], [], []
    if path.kind != "static":
        for a in range(len(path.keyframes)):
            for b in (a + gap for gap in PAIR_GAPS if a + gap < len(path.keyframes)):
                px, error = _pair(tracks, solution, int(path.keyframes[a]), int(path.keyframes[b]))
                good = np.nonzero(error < 4 * noise)[0]
                if len(good) < MIN_MATCHES:
                    continue
                good = np.sort(rng.permutation(good)[:MAX_MATCHES])
                pairs.append((a, b))
                pixels.append(px[good])
                confidences.append(Cauchy(2.0).slope((error[good] / noise) ** 2))
    return Matches(
        pairs=np.array(pairs, np.int64).reshape(-1, 2),
        offsets=np.concatenate([[0], np.cumsum([len(px) for px in pixels])]).astype(np.int64),
        px=np.concatenate([np.zeros((0, 2, 2)), *pixels]),
        confidence=np.concatenate([np.zeros(0), *confidences]),
    )


def _pair(tracks: Tracks, solution: CameraSolution, s: int, t: int) -> tuple[Float, Float]:
    """Undistorted pixels [n,2,2] of the tracks common to frames s and t, and the larger of their two errors [n] px."""
    ids, px_s, px_t = tracks.common(s, t)
    xy_s, xy_t = (undistort(solution.lens, px - tracks.centre) for px in (px_s, px_t))
    if solution.path.kind == "moving":
        row = np.searchsorted(solution.ids, ids).clip(0, len(solution.ids) - 1)
        known = solution.ids[row] == ids
        world = solution.points[row]
        error = np.maximum(_error(solution.path, s, world, xy_s), _error(solution.path, t, world, xy_t))
        error = np.where(known, error, np.inf)
    else:
        ray = np.concatenate([xy_s / solution.path.focal, np.ones((len(xy_s), 1))], -1)
        error = _error(solution.path, t, transform(solution.path.world_from_cam[s], ray), xy_t)
    return np.stack([xy_s, xy_t], 1) + tracks.centre, error


def _error(path: CameraPath, frame: int, p_world: Float, xy: Float) -> Float:
    """Distance [n] px between points [n,3] seen in a frame and the centred pixels [n,2] they should be at."""
    rotation, centre = path.world_from_cam[frame, :3, :3], path.world_from_cam[frame, :3, 3]
    p_cam = (p_world - centre) @ rotation
    return np.linalg.norm(path.focal * p_cam[:, :2] / np.maximum(p_cam[:, 2:], 1e-6) - xy, axis=-1)
