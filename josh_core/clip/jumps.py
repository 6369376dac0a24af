"""Jump cuts: the same scene filmed by the same camera, some seconds left out.

Features survive them, so shots.py finds no cut. But the picture leaps between two frames, much further than in
those around, and what does not follow that leap (people, parallax) has changed far more too. A camera that is held by
somebody swings, blurs and swings back over several frames; frames that repeat, and times left out, are told by time.
A jump on a tripod leaves the picture in place: there people are suddenly elsewhere, for good, while they hardly moved
from one frame to the next before and after.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from josh_core.clip.shots import FLASH, LEVELS
from josh_core.types import Bool, Float, UInt8

# Over the frames around: a leap of the picture, and of what does not follow it. In six plain clips at their own rate,
# half and a quarter of it, both were at most 1.3; where a second is left out under a camera that moves, all of 40 cuts
# exceed both (python -m benchmarks.jumps CLIPS --left-out 1).
LEAPS, CHANGES = 2.5, 2.0
LEAST_PX, LEAST_CHANGE = 1.5, 0.003  # px of the small pictures, and share of them
STILL_PX = 0.5  # px a frame, to which a camera that stands still is known
LONGEST_STEP = 0.1  # s: at fewer frames a second a hand may have gone anywhere
ASIDE = 3  # frames on either side, at least
REPEATS = 0.2  # levels, mean difference of a frame that repeats the one before
# On a tripod: share of the picture that changes strongly at once, at least and at most (a light that is switched on);
# that over the most in any step of NEARBY s around; and what of it is still there a frame later. In the same clips the
# most over those around is 1.4; of a second left out 19 of 20 cuts are found where a man walks and sits, 4 of 20 where
# one juggles.
ELSEWHERE, EVERYWHERE, SUDDEN, REMAINS = 0.015, 0.5, 3.0, 0.7
NEARBY = 0.5  # s: somebody filmed at a few frames a second steps as far in every frame
STRONG = 24.0  # levels of a strong change: compression makes none
ON_TIME = 1.5  # times the usual step between frames, at most: what time stamps tell is no jump
FEATURES, LEAST_FEATURES = 300, 20
FOLLOWS = 3  # px within which what follows the camera's motion lies


@dataclass(frozen=True)
class Step:
    """From one frame to the next: how far the picture leaps, and how much changes that does not follow, over the steps
    around."""

    frame: int  # the later one
    moved_px: float  # of the small pictures
    leap: float
    change: float


def find_jumps(thumbs: Sequence[UInt8], times: Float) -> list[int]:
    """Indices of the frames after a jump cut, from small BGR pictures [h,w,3] of all frames at times [T] s."""
    leaps = [s.frame for s in measured(thumbs, times, LEAPS) if s.moved_px > LEAST_PX and s.change > CHANGES]
    return sorted({*leaps, *(s.frame for s in still_steps(thumbs, times) if s.is_jump())})


@dataclass(frozen=True)
class StillStep:
    """From one frame to the next on a tripod: share of the picture that changes strongly, that over the most around,
    and what is left of the change a frame later."""

    frame: int  # the later one
    share: float
    sudden: float
    remains: float

    def is_jump(self) -> bool:
        """Whether somebody is suddenly elsewhere."""
        return ELSEWHERE < self.share < EVERYWHERE and self.sudden > SUDDEN and self.remains > REMAINS


def still_steps(thumbs: Sequence[UInt8], times: Float) -> list[StillStep]:
    """The steps that leave the picture in place, of those that can be judged; arguments as of find_jumps."""
    fresh = _fresh(thumbs)
    gray = [np.asarray(cv2.cvtColor(thumbs[i], cv2.COLOR_BGR2GRAY), np.uint8) for i in fresh]
    at, steps = times[fresh], np.diff(times[fresh])
    if len(steps) < 2 * ASIDE + 1 or np.median(steps) > LONGEST_STEP:
        return []
    share = np.array([_elsewhere(a, b) for a, b in itertools.pairwise(gray)])
    found = []
    for k in range(ASIDE, len(steps) - ASIDE):
        around = np.abs(at[:-1] - at[k]) <= NEARBY
        around[k - ASIDE : k + ASIDE + 1], around[k] = True, False
        sudden = float(share[k] / max(share[around].max(), ELSEWHERE / 10))
        late = steps[k] > ON_TIME * np.median(steps)
        if late or share[k] == 0 or (sudden > SUDDEN and _moved_px(gray[k], gray[k + 1]) > LEAST_PX):
            continue
        remains = _elsewhere(gray[k - 1], gray[k + 2]) / float(share[k])
        found.append(StillStep(fresh[k + 1], float(share[k]), sudden, remains))
    return found


def _fresh(thumbs: Sequence[UInt8]) -> list[int]:
    """The frames that do not repeat the one before."""
    return [0, *(i for i in range(1, len(thumbs)) if cv2.absdiff(thumbs[i - 1], thumbs[i]).mean() > REPEATS)]


def _elsewhere(first: UInt8, second: UInt8) -> float:
    """Share of two gray pictures [h,w] that either shows and the other does not, nearby."""
    return float((_beyond(first, second, STRONG) | _beyond(second, first, STRONG)).mean())


def measured(thumbs: Sequence[UInt8], times: Float, least: float) -> list[Step]:
    """The steps that leap at least so much, of those that can be judged."""
    fresh = _fresh(thumbs)
    gray = [np.asarray(cv2.cvtColor(thumbs[i], cv2.COLOR_BGR2GRAY), np.uint8) for i in fresh]
    steps = np.diff(times[fresh])
    if len(steps) < 2 * ASIDE + 1:
        return []
    moved = np.array([_moved_px(a, b) for a, b in itertools.pairwise(gray)])
    pace = moved / steps
    still = STILL_PX / float(np.median(steps))
    found = []
    for k in range(ASIDE, len(steps) - ASIDE):
        around = [*range(max(0, k - FLASH), k), *range(k + 1, min(len(steps), k + 1 + FLASH))]
        leap = float(pace[k] / max(pace[around].max(), still))
        if steps[k] > LONGEST_STEP or not np.isfinite(moved[k]) or leap < least:
            continue
        near = max(_changed(gray[j], gray[j + 1]) for j in around if abs(j - k) <= ASIDE)
        change = _changed(gray[k], gray[k + 1]) / max(near, LEAST_CHANGE)
        found.append(Step(fresh[k + 1], float(moved[k]), leap, change))
    return found


def _followed(first: UInt8, second: UInt8) -> tuple[Float, Float]:
    """Places [n,2] px of features in two pictures [h,w]."""
    a = cv2.goodFeaturesToTrack(first, FEATURES, 0.01, 5)
    if a is None:
        return np.zeros((0, 2)), np.zeros((0, 2))
    b, found, _ = cv2.calcOpticalFlowPyrLK(first, second, a, a.copy(), winSize=(15, 15), maxLevel=4)
    kept = found[:, 0] == 1
    return a[kept, 0], b[kept, 0]


def _moved_px(first: UInt8, second: UInt8) -> float:
    """Median way of the features from one picture to the next; infinite where too few are followed."""
    a, b = _followed(first, second)
    return float(np.median(np.linalg.norm(b - a, axis=1))) if len(a) >= LEAST_FEATURES else np.inf


def _changed(first: UInt8, second: UInt8) -> float:
    """Share of the second picture that the first one, moved as most of its features are, does not show nearby."""
    a, b = _followed(first, second)
    motion = None
    if len(a) >= LEAST_FEATURES:
        cv2.setRNGSeed(0)
        motion, _ = cv2.estimateAffinePartial2D(a, b, ransacReprojThreshold=1.5)
    if motion is None:
        return 1.0
    size = (second.shape[1], second.shape[0])
    moved = cv2.warpAffine(first, motion, size)
    inside = cv2.erode(cv2.warpAffine(np.full_like(first, 255), motion, size), np.ones((2 * FOLLOWS + 1,) * 2)) == 255
    off = _beyond(moved, second) | _beyond(second, moved)
    return float(off[inside].mean()) if inside.any() else 1.0


def _beyond(picture: UInt8, other: UInt8, levels: float = LEVELS) -> Bool:
    """[h,w] True where a picture [h,w] is darker or brighter, by `levels`, than the other within FOLLOWS px."""
    window = np.ones((2 * FOLLOWS + 1,) * 2)
    low, high = cv2.erode(other, window).astype(np.float32), cv2.dilate(other, window).astype(np.float32)
    return np.asarray((picture < low - levels) | (picture > high + levels), np.bool_)
