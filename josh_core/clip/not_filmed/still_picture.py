"""A film of one still picture: a photo held, or panned and zoomed over (the "Ken Burns effect").

Moved, turned and scaled as a whole, each frame is the next one: people do not move, and nothing near passes what is
far. A camera that turns bends the picture a little too, and living people move within seconds.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np

from josh_core.clip.picture_motion import FeatureSearch, shared_motion
from josh_core.types import Clip, Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
FRAME_SIDE, FRAMES = 480, 7  # px, longest side, and number of the frames that are compared
MIN_SECONDS = 0.8  # of a clip that can tell: shorter, people may stand still
SEARCH = FeatureSearch(most=300, fewest=30, apart=7, window=21, levels=4, within=1.0)
MIN_SHARING = 30  # features that one motion must explain
NEARBY_PX, DIFFERENT_LEVELS = 1, 10.0  # px around and grey levels by which a picture must differ from the next one
MAX_DIFFERENT = 1e-3  # share of the picture that differs from one frame to the next, at most
STILL_NOTE = (
    "Nothing moves in this clip but the picture as a whole: it seems to be a still picture (a photo that is held, "
    "panned or zoomed over?). People's pose is that of the photo; the camera's way, speeds and contacts mean nothing."
)


def marked(clip: Clip) -> Clip:
    """The clip; marked as still, and with a note, where it is a still picture."""
    return replace(clip, still=True, notes=(*clip.notes, STILL_NOTE)) if is_still_picture(clip) else clip


def is_still_picture(clip: Clip) -> bool:
    """Whether all frames show one picture, whole or in part, larger or smaller."""
    if clip.times[-1] < MIN_SECONDS:
        return False
    return bool(differences(clip).max() < MAX_DIFFERENT)


def differences(clip: Clip) -> Float:
    """Share [n] of each picture that the one before, moved and scaled, does not show; 1 where no motion fits."""
    at = np.linspace(0, len(clip) - 1, FRAMES).astype(int)
    gray = [np.asarray(cv2.cvtColor(clip.frame(int(t), FRAME_SIDE), cv2.COLOR_RGB2GRAY), np.uint8) for t in at]
    return np.array([_different(a, b) for a, b in itertools.pairwise(gray)])


def _different(first: UInt8, second: UInt8) -> float:
    found = shared_motion(first, second, SEARCH)
    if found is None or found[1].sum() < MIN_SHARING:
        return 1.0
    motion, _ = found
    size = second.shape[::-1]
    moved = cv2.warpAffine(first, motion, size, flags=cv2.INTER_CUBIC)
    window = np.ones((2 * NEARBY_PX + 1,) * 2)
    inside = cv2.erode(cv2.warpAffine(np.full_like(first, 255), motion, size), np.ones((9, 9))) == 255
    smooth = [cv2.blur(picture, (3, 3)) for picture in (moved, second)]
    off = np.zeros(second.shape, bool)
    for a, b in itertools.permutations(smooth):
        low, high = (f(b, window).astype(np.float32) for f in (cv2.erode, cv2.dilate))
        off |= (a < low - DIFFERENT_LEVELS) | (a > high + DIFFERENT_LEVELS)
    return float(off[inside].mean()) if inside.mean() > 0.2 else 1.0
