"""Where a film begins again behind a soft seam: what follows shows the same pictures as before, one for one.

Cuts and dissolves between unlike scenes are found by what changes; here both sides of the seam are of one scene, and
the people in it jump back.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from josh_core.geometry import true_runs
from josh_core.types import Bool, Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
TINY_SIDE = (64, 36)  # px: noise of the compression is gone, and what moves is still seen
MIN_LAG_SECONDS, MIN_AGAIN_SECONDS, MIN_AGAIN = 0.5, 0.4, 6  # s until it begins again; s and frames of what is repeated
MAX_SEAM_SECONDS, MIN_SEAM = 1.2, 2  # s and frames: a seam without any between is a cut
NEAR = 2  # frames beside the one that is repeated, which must be unlike it:
MAX_SAME_SHARE, MIN_NEAR_LEVELS = 0.35, 1.0  # of their difference, and levels of it, at least


def find_loops(thumbs: Sequence[UInt8], times: Float) -> list[tuple[int, int]]:
    """Frames [first, end) of seams behind which the film repeats itself, from small BGR pictures [h,w,3] at [T] s."""
    frame = float(np.median(np.diff(times)))
    least = max(MIN_AGAIN, round(MIN_AGAIN_SECONDS / frame))
    if len(thumbs) < round(MIN_LAG_SECONDS / frame) + least + NEAR:
        return []
    off = _differences(thumbs)
    found: list[tuple[int, int]] = []
    for lag in range(max(1, round(MIN_LAG_SECONDS / frame)), len(thumbs) - least):
        if any(first - 1 <= lag <= end for first, end in found):
            continue
        for begin, end in true_runs(_repeats(off, lag)):
            first = max(lag, begin + lag - round(MAX_SEAM_SECONDS / frame))
            if end - begin >= least and begin + lag - first >= MIN_SEAM:
                found.append((first, begin + lag))
                break
    return found


def _differences(thumbs: Sequence[UInt8]) -> Float:
    """[T,T] levels, root mean square, by which each picture differs from each."""
    flat = np.stack([cv2.resize(t, TINY_SIDE, interpolation=cv2.INTER_AREA).ravel() for t in thumbs]).astype(np.float64)
    flat -= flat.mean(0)
    size = (flat**2).sum(1)
    return np.sqrt(np.maximum(size[:, None] + size - 2 * flat @ flat.T, 0) / flat.shape[1])


def _repeats(off: Float, lag: int) -> Bool:
    """[T-lag] whether a frame is shown again so many frames later, and not one a little before or after it."""
    again = np.diagonal(off, -lag)
    count = len(again)
    rows = np.arange(count)
    beside = [off[rows + lag, np.clip(rows + near, 0, count - 1)] for near in (-NEAR, NEAR)]
    unlike = np.minimum(*beside)
    unlike[:NEAR], unlike[-NEAR:] = beside[1][:NEAR], beside[0][-NEAR:]
    return np.asarray((unlike > MIN_NEAR_LEVELS) & (again < MAX_SAME_SHARE * unlike), np.bool_)
