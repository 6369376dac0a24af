"""Frames that repeat the one before: a slide show, held drawings of an animation, a film at a tenth of its rate; a film
that stands still for a while.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np

from josh_core.geometry import true_runs
from josh_core.types import Float, Int, UInt8

# Levels of 255, at the pixel that changes most: up to 7 where a coder refines a picture that is held, over 150 where
# the next one follows (two clips, x264); somebody who moves slowly changes by what lies between.
MAX_HELD_CHANGE, MIN_NEXT_CHANGE = 8, 40  # levels
MAX_FRESH_SHARE = 0.34  # share of the frames that show something new, up to which the others are left out
# A picture that is held stands still but for what a coarse coder changes. Chosen between that and the least that
# frames of real and rendered clips change, people who sit included.
MIN_HELD_SECONDS, MAX_STILL_CHANGE, MAX_STILL_MEAN = 0.4, 20, 0.6  # s, levels, levels


def fresh_frames(thumbs: Sequence[UInt8]) -> Int | None:
    """Indices of the frames that do not repeat the one before, where these are few; None where most are new.

    thumbs: small BGR pictures [h,w,3] of all frames. None for a picture that never changes, too.
    """
    changes = _changes(thumbs)
    new = np.flatnonzero(changes > MAX_HELD_CHANGE)
    if not 0 < len(new) < MAX_FRESH_SHARE * len(thumbs) or np.median(changes[new]) < MIN_NEXT_CHANGE:
        return None
    return np.append(0, new + 1)


def held_stretches(thumbs: Sequence[UInt8], times: Float) -> list[tuple[int, int]]:
    """Frames [first, last] that show one picture for MIN_HELD_SECONDS and more; none where the picture never changes.

    thumbs: small BGR pictures [h,w,3] of all frames at times [T] s.
    """
    mean = np.array([float(cv2.absdiff(a, b).mean()) for a, b in itertools.pairwise(thumbs)])
    changes = _changes(thumbs)
    held = (changes <= MAX_STILL_CHANGE) & (mean <= MAX_STILL_MEAN)
    if held.all() or np.median(changes[~held]) < MIN_NEXT_CHANGE:
        return []  # a photo, which the coder refines for some frames
    return [(a, b) for a, b in true_runs(held) if times[b] - times[a] >= MIN_HELD_SECONDS]


def _changes(thumbs: Sequence[UInt8]) -> Int:
    """[T-1] levels by which the pixel that changes most does, from one picture [h,w,3] to the next."""
    return np.array([int(cv2.absdiff(a, b).max()) for a, b in itertools.pairwise(thumbs)])
