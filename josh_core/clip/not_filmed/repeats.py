"""Frames that repeat the one before: a slide show, held drawings of an animation, a film at a tenth of its rate."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np

from josh_core.types import Int, UInt8

# Levels of 255, at the pixel that changes most: up to 7 where a coder refines a picture that is held, over 150 where
# the next one follows (two clips, x264); somebody who moves slowly changes by what lies between.
MAX_HELD_CHANGE, MIN_NEXT_CHANGE = 8, 40  # levels
MAX_FRESH_SHARE = 0.34  # share of the frames that show something new, up to which the others are left out


def fresh_frames(thumbs: Sequence[UInt8]) -> Int | None:
    """Indices of the frames that do not repeat the one before, where these are few; None where most are new.

    thumbs: small BGR pictures [h,w,3] of all frames. None for a picture that never changes, too.
    """
    changes = np.array([int(cv2.absdiff(a, b).max()) for a, b in itertools.pairwise(thumbs)])
    new = np.flatnonzero(changes > MAX_HELD_CHANGE)
    if not 0 < len(new) < MAX_FRESH_SHARE * len(thumbs) or np.median(changes[new]) < MIN_NEXT_CHANGE:
        return None
    return np.append(0, new + 1)
