"""Jump cuts: the same scene filmed by the same camera, some seconds left out.

Features survive them, so cuts.py finds no cut. But the picture leaps between two frames, much further than in
those around, and what does not follow that leap (people, parallax) has changed far more too. A camera that is held by
somebody swings, blurs and swings back over several frames; frames that repeat, and times left out, are told by time.
A jump on a tripod leaves the picture in place: there people are suddenly elsewhere, for good, while they hardly moved
from one frame to the next before and after. Where an editor cuts to a closer part of the same picture ("punches in"),
nothing is left out, but the picture is suddenly larger, and was of one size before and after.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from josh_core.clip.shots.cuts import DIFFERENT_LEVELS, MAX_FLASH
from josh_core.types import Bool, Float, UInt8

# Over the frames around: a leap of the picture, and of what does not follow it. In six plain clips at their own rate,
# half and a quarter of it, both were at most 1.3; where a second is left out under a camera that moves, all of 40 cuts
# exceed both (python -m benchmarks.jumps CLIPS --left-out 1).
MIN_LEAP_RATIO, MIN_CHANGE_RATIO = 2.5, 2.0
MIN_LEAP_PX = 1.5  # px of the small pictures
MIN_CHANGE_AROUND = 0.003  # share of the picture: less change around a leap counts as this much
STILL_PX = 0.5  # px a frame: less motion around a leap counts as this much, which is how well it is measured
# s between frames: in a longer time a hand that holds a camera may go anywhere; in more than the first it may well aim
# anew, so that a leap must be larger. Chosen far above what plain clips at 7 to 9 frames a second show and below a
# clip with some seconds left out (row jump8 of `benchmarks.footage`)
MAX_STEP_SECONDS, USUAL_STEP_SECONDS, MIN_SLOW_LEAP_RATIO = 0.15, 0.1, 5.0
MIN_NEIGHBOURS = 3  # steps on either side with which one is compared
MAX_REPEAT_LEVELS = 0.2  # grey levels, mean difference of a frame that repeats the one before
# On a tripod. In the same clips the largest MIN_SUDDEN_RATIO is 1.4; where a second is left out 19 of 20 cuts are found
# of a man who walks and sits, 4 of 20 of one who juggles.
MIN_CHANGED, MAX_CHANGED = 0.015, 0.5  # share of the picture that changes strongly at once; more is a light switched on
MIN_SUDDEN_RATIO = 3.0  # that share over the largest one within NEARBY_SECONDS
MIN_REMAINING = 0.7  # share of the change that is still there a frame later
NEARBY_SECONDS = 0.5  # s to either side: somebody filmed at a few frames a second steps as far in every frame
# To a closer part: growth from one frame to the next that editors make, and that over the growth in the frames around,
# of which STEADY_GROWTH is how well it is measured. At 3 m a camera would go there and back at 3.6 m/s.
MIN_GROWTH, MIN_GROWTH_RATIO, STEADY_GROWTH = 1.04, 4.0, 1.004
MIN_LASTING = 0.7  # share of the growth that is still there a frame later
MIN_SHARED = 0.5  # share of the features that the growth explains
STRONG_LEVELS = 24.0  # grey levels of a strong change: compression makes none
MAX_STEP_RATIO = 1.5  # time between two frames over the usual one: a gap that the time stamps tell of is no jump
MAX_FEATURES, MIN_FEATURES = 300, 20  # features of a picture that are followed, and how many must be found again
FOLLOW_PX = 3  # px: what follows the camera's motion is found again within this distance


@dataclass(frozen=True)
class PictureStep:
    """From one frame to the next: how far the picture leaps, and how much changes that does not follow, over the steps
    around."""

    frame: int  # the later one
    moved_px: float  # of the small pictures
    leap: float
    change: float


def find_jumps(thumbs: Sequence[UInt8], times: Float) -> list[int]:
    """Indices of the frames after a jump cut, from small BGR pictures [h,w,3] of all frames at times [T] s."""
    leaps = [
        s.frame
        for s in moving_steps(thumbs, times, MIN_LEAP_RATIO)
        if s.moved_px > MIN_LEAP_PX and s.change > MIN_CHANGE_RATIO
    ]
    still = (s.frame for s in still_steps(thumbs, times) if s.is_jump())
    return sorted({*leaps, *still, *_closer(thumbs, times)})


def _closer(thumbs: Sequence[UInt8], times: Float) -> list[int]:
    """The frames from which on the same picture is suddenly shown larger or smaller; arguments as of find_jumps."""
    fresh, gray, steps = _fresh_pictures(thumbs, times)
    if len(steps) < 2 * MIN_NEIGHBOURS + 1:
        return []
    growth = np.array([_growth(a, b) for a, b in itertools.pairwise(gray)])
    found = []
    for k in range(MIN_NEIGHBOURS, len(steps) - MIN_NEIGHBOURS):
        if not abs(growth[k]) > np.log(MIN_GROWTH) or steps[k] > USUAL_STEP_SECONDS:
            continue
        around = np.concatenate([growth[max(0, k - MAX_FLASH) : k], growth[k + 1 : k + 1 + MAX_FLASH]])
        most = float(np.abs(around).max())  # NaN where the motion is not told
        if abs(growth[k]) > MIN_GROWTH_RATIO * max(most, np.log(STEADY_GROWTH)) and not np.isnan(most):
            later = _growth(gray[k - 1], gray[k + 2])
            if later / growth[k] > MIN_LASTING:
                found.append(fresh[k + 1])
    return found


def _growth(first: UInt8, second: UInt8) -> float:
    """Logarithm of the size of one picture [h,w] in the next; NaN where too few features share a motion."""
    a, b = _followed(first, second)
    if len(a) < MIN_FEATURES:
        return np.nan
    cv2.setRNGSeed(0)
    motion, shares = cv2.estimateAffinePartial2D(a, b, ransacReprojThreshold=1.5)
    if motion is None or shares.mean() < MIN_SHARED:
        return np.nan
    return float(np.log(np.hypot(motion[0, 0], motion[1, 0])))


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
        return (
            MIN_CHANGED < self.share < MAX_CHANGED and self.sudden > MIN_SUDDEN_RATIO and self.remains > MIN_REMAINING
        )


def still_steps(thumbs: Sequence[UInt8], times: Float) -> list[StillStep]:
    """The steps that leave the picture in place, of those that can be judged; arguments as of find_jumps."""
    fresh, gray, steps = _fresh_pictures(thumbs, times)
    at = times[fresh]
    if len(steps) < 2 * MIN_NEIGHBOURS + 1 or np.median(steps) > MAX_STEP_SECONDS:
        return []
    share = np.array([_elsewhere(a, b) for a, b in itertools.pairwise(gray)])
    found = []
    for k in range(MIN_NEIGHBOURS, len(steps) - MIN_NEIGHBOURS):
        around = np.abs(at[:-1] - at[k]) <= NEARBY_SECONDS
        around[k - MIN_NEIGHBOURS : k + MIN_NEIGHBOURS + 1], around[k] = True, False
        sudden = float(share[k] / max(share[around].max(), MIN_CHANGED / 10))
        late = steps[k] > MAX_STEP_RATIO * np.median(steps)
        if late or share[k] == 0 or (sudden > MIN_SUDDEN_RATIO and _moved_px(gray[k], gray[k + 1]) > MIN_LEAP_PX):
            continue
        remains = _elsewhere(gray[k - 1], gray[k + 2]) / float(share[k])
        found.append(StillStep(fresh[k + 1], float(share[k]), sudden, remains))
    return found


def _fresh_pictures(thumbs: Sequence[UInt8], times: Float) -> tuple[list[int], list[UInt8], Float]:
    """The frames that do not repeat the one before, in gray, and the seconds from each to the next."""
    fresh = [0, *(i for i in range(1, len(thumbs)) if cv2.absdiff(thumbs[i - 1], thumbs[i]).mean() > MAX_REPEAT_LEVELS)]
    gray = [np.asarray(cv2.cvtColor(thumbs[i], cv2.COLOR_BGR2GRAY), np.uint8) for i in fresh]
    return fresh, gray, np.diff(times[fresh])


def _elsewhere(first: UInt8, second: UInt8) -> float:
    """Share of two gray pictures [h,w] that either shows and the other does not, nearby."""
    return float((_beyond(first, second, STRONG_LEVELS) | _beyond(second, first, STRONG_LEVELS)).mean())


def moving_steps(thumbs: Sequence[UInt8], times: Float, least: float) -> list[PictureStep]:
    """The steps that leap at least so much (slow ones in proportion more), of those that can be judged."""
    fresh, gray, steps = _fresh_pictures(thumbs, times)
    if len(steps) < 2 * MIN_NEIGHBOURS + 1:
        return []
    moved = np.array([_moved_px(a, b) for a, b in itertools.pairwise(gray)])
    pace = moved / steps
    still = STILL_PX / float(np.median(steps))
    found = []
    for k in range(MIN_NEIGHBOURS, len(steps) - MIN_NEIGHBOURS):
        around = [*range(max(0, k - MAX_FLASH), k), *range(k + 1, min(len(steps), k + 1 + MAX_FLASH))]
        if steps[k] > MAX_STEP_SECONDS or not np.isfinite(moved[k]):
            continue
        leap = float(pace[k] / max(pace[around].max(), still))
        if leap < (least if steps[k] <= USUAL_STEP_SECONDS else least * MIN_SLOW_LEAP_RATIO / MIN_LEAP_RATIO):
            continue
        near = max(_changed(gray[j], gray[j + 1]) for j in around if abs(j - k) <= MIN_NEIGHBOURS)
        change = _changed(gray[k], gray[k + 1]) / max(near, MIN_CHANGE_AROUND)
        found.append(PictureStep(fresh[k + 1], float(moved[k]), leap, change))
    return found


def _followed(first: UInt8, second: UInt8) -> tuple[Float, Float]:
    """Places [n,2] px of features in two pictures [h,w]."""
    a = cv2.goodFeaturesToTrack(first, MAX_FEATURES, 0.01, 5)
    if a is None:
        return np.zeros((0, 2)), np.zeros((0, 2))
    b, found, _ = cv2.calcOpticalFlowPyrLK(first, second, a, a.copy(), winSize=(15, 15), maxLevel=4)
    kept = found[:, 0] == 1
    return a[kept, 0], b[kept, 0]


def _moved_px(first: UInt8, second: UInt8) -> float:
    """Median way of the features from one picture to the next; infinite where too few are followed."""
    a, b = _followed(first, second)
    return float(np.median(np.linalg.norm(b - a, axis=1))) if len(a) >= MIN_FEATURES else np.inf


def _changed(first: UInt8, second: UInt8) -> float:
    """Share of the second picture that the first one, moved as most of its features are, does not show nearby."""
    a, b = _followed(first, second)
    motion = None
    if len(a) >= MIN_FEATURES:
        cv2.setRNGSeed(0)
        motion, _ = cv2.estimateAffinePartial2D(a, b, ransacReprojThreshold=1.5)
    if motion is None:
        return 1.0
    size = (second.shape[1], second.shape[0])
    moved = cv2.warpAffine(first, motion, size)
    inside = cv2.erode(cv2.warpAffine(np.full_like(first, 255), motion, size), np.ones((2 * FOLLOW_PX + 1,) * 2)) == 255
    off = _beyond(moved, second) | _beyond(second, moved)
    return float(off[inside].mean()) if inside.any() else 1.0


def _beyond(picture: UInt8, other: UInt8, levels: float = DIFFERENT_LEVELS) -> Bool:
    """[h,w] True where a picture [h,w] is darker or brighter, by `levels`, than the other within FOLLOW_PX px."""
    window = np.ones((2 * FOLLOW_PX + 1,) * 2)
    low, high = cv2.erode(other, window).astype(np.float32), cv2.dilate(other, window).astype(np.float32)
    return np.asarray((picture < low - levels) | (picture > high + levels), np.bool_)
