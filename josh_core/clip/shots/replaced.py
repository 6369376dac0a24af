"""The scene is another one though the camera has hardly moved: changes of any form, drawn or mixed, that are no cut.

From one frame to the next most of the picture stays or moves together, and these steps add up to a motion after which
the first picture should still be in view; but none of it is left. A fast pan leads away from it, and somebody who
crosses the picture leaves it as it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np

from josh_core.clip.picture_motion import FeatureSearch, shared_motion
from josh_core.clip.shots.cuts import alike
from josh_core.clip.shots.sweeps import SMALL_SIDE, changed, is_another, reduced, windows
from josh_core.types import Float, UInt8

# Chosen by hand.
WINDOW_SECONDS = (0.7, 1.4)  # s: the whole change lies within one of these
MIN_CHANGED = 0.5  # share of the picture that changes
MIN_IN_VIEW = 0.6  # share of the first picture that the last should still show
CHANGE_RANGE = (0.1, 0.9)  # share of the change at which it has begun, and is over
# Of the window, at either end, in which the change has not begun, and is over: at 0.06 a camera that passes a street
# quickly seemed to change it.
REST_SHARE = 0.12
MIN_CHANGE_FRAMES = 3  # a shorter change is a cut, which cuts.py judges
MIN_TOLD = 0.5  # share of the steps whose motion is told
GOES_ON = 2.0  # times the motion beside it that a camera may make where its motion is not told
STILL = np.eye(2, 3)
SEARCH = FeatureSearch(most=200, fewest=20, apart=5, window=15, levels=3, within=2.0)
MIN_AGREEING = 0.5  # share of the features that one motion explains


def find_replaced(thumbs: Sequence[UInt8], times: Float) -> list[tuple[int, int]]:
    """Frames [first, end) of each such change, from small BGR pictures [h,w,3] at times [T] s."""
    small = reduced(thumbs, SMALL_SIDE)
    found: list[tuple[int, int]] = []
    for i, j in windows(times, WINDOW_SECONDS):
        if any(first < j and i < end for first, end in found) or changed(small[i], small[j]) < MIN_CHANGED:
            continue
        first, end = _going(small[i : j + 1])
        margin = max(2, round(REST_SHARE * (j - i)))
        if (
            first < margin
            or end > j - i - margin
            or end - first < MIN_CHANGE_FRAMES
            or not is_another(thumbs, times, i, j)
        ):
            continue
        before, behind = max(0, 2 * i - j), min(2 * j - i, len(thumbs) - 1)
        if (
            alike(thumbs[before], thumbs[i])
            and alike(thumbs[j], thumbs[behind])
            and _in_view(thumbs[i : j + 1]) > MIN_IN_VIEW
        ):
            found.append((i + first, i + end))
    return found


def _going(pictures: Float) -> tuple[int, int]:
    """Pictures [first, end) of [n,h,w,3] that are neither like the first nor like the last."""
    flat = pictures.reshape(len(pictures), -1, 3)
    change = flat[-1] - flat[0]  # [c,3]
    told = np.abs(change).max(-1) > np.abs(change).max(-1).mean()
    if not told.any():  # the pictures at both ends are the same
        return 0, 0
    share = np.einsum("tck,ck->tc", (flat - flat[0])[:, told], change[told]) / (change[told] ** 2).sum(-1)
    way = share.clip(0, 1).mean(1)
    first = int(np.argmax(way > CHANGE_RANGE[0]))
    return first, int(len(way) - np.argmax(way[::-1] < CHANGE_RANGE[1]))


def _in_view(thumbs: Sequence[UInt8]) -> float:
    """Share of the first picture that the last one should show, by the motions in between; 0 where most are not told.

    Where one is not told (drawn in blocks, blurred, squeezed), the camera is taken to go on as beside it, and faster:
    one that turns too fast to be followed does so before and after.
    """
    gray = [np.asarray(cv2.cvtColor(t, cv2.COLOR_BGR2GRAY), np.uint8) for t in thumbs]
    steps = [_step(first, second) for first, second in itertools.pairwise(gray)]
    known = [k for k, step in enumerate(steps) if step is not None]
    if len(known) < MIN_TOLD * len(steps):
        return 0.0
    way = np.eye(3)
    for k, told in enumerate(steps):
        step = told
        if step is None:
            before, behind = (i for i in known if i < k), (i for i in known if i > k)
            beside = max(before, default=known[0]), min(behind, default=known[-1])
            step = max((_faster(steps[i]) for i in beside), key=lambda s: float(np.abs(s - STILL).sum()))
        way = np.vstack([step, [0, 0, 1]]) @ way
    height, width = gray[0].shape
    picture = np.ones((height, width), np.float32)
    shown = cv2.warpAffine(picture, way[:2], (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return float(shown.mean())


def _faster(step: Float | None) -> Float:
    """The shift of a motion [2,3], GOES_ON times as far."""
    shift = STILL.copy()
    shift[:, 2] = GOES_ON * (STILL if step is None else step)[:, 2]
    return shift


def _step(first: UInt8, second: UInt8) -> Float | None:
    """The motion [2,3] that most features of two gray pictures [h,w] share; None where they do not."""
    found = shared_motion(first, second, SEARCH)
    return None if found is None or found[1].mean() <= MIN_AGREEING else found[0]
