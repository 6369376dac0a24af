"""A smaller film inside the picture: in a corner of it (a reaction, a phone's second camera), or on a screen that is
filmed squarely.

Its sides are level or upright lines, one pixel sharp, at the same place in every frame, that end where they meet; and
something moves inside that does not go on outside. A picture on a wall has the first only; a window that somebody walks
past, or a caption that lets the film through, shows the same changes on both sides of a border.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from josh_core.types import Bool, Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
MIN_STEP = 6.0  # grey levels across a side, in most frames
MIN_STEP_RATIO = 2.0  # times the step of the columns beside it
MAX_MISSING = 0.2  # share of the frames in which the step may be smaller: two films may be alike for a while
NEAR_PX = (4, 12)  # px from a side, between which columns are compared with it
MIN_COVERED, MAX_BEYOND = 0.7, 0.35  # share that shows the step: of each side; of the lines that continue the sides
MIN_LENGTH = 0.1  # of a side, over that of the picture
MIN_AREA, MAX_AREA = 0.015, 0.45  # over that of the picture
MOTION_LEVELS, MIN_MOVING = 24, 0.01  # grey levels of a change, and share of the inside that changes so much
BESIDE_PX = 6  # px to either side of a border that are compared
# Correlation of the changes on both sides of a border from which they are one film: 0.91 where somebody walks past a
# window, 0.71 at a caption that lets the film through, at most 0.46 around a small film. Chosen between these three.
ONE_FILM_CORRELATION = 0.6
MAX_LINES = 12  # lines of each direction that are combined
JOIN_PX = 3  # px by which the end of a line may miss another


@dataclass(frozen=True)
class _Line:
    """A side of a rectangle: at `at`, from `begin` to `end` px; `edge` for the picture's own."""

    at: int
    begin: int
    end: int
    edge: bool = False


def find_inset(frames: Sequence[UInt8]) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom (px, half open) of the largest smaller film in frames [h,w,3]; None without one."""
    gray = np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames]).astype(np.float32)
    height, width = gray.shape[1:]
    upright, level = _steps(gray), _steps(gray.swapaxes(1, 2))  # [h,w], [w,h]
    columns = [_Line(0, 0, height, True), *_lines(upright), _Line(width, 0, height, True)]
    rows = [_Line(0, 0, width, True), *_lines(level), _Line(height, 0, width, True)]
    moved = np.ptp(gray, axis=0) > MOTION_LEVELS
    found = []
    for left, right in itertools.combinations(sorted(columns, key=_place), 2):
        for top, bottom in itertools.combinations(sorted(rows, key=_place), 2):
            box = left.at, top.at, right.at, bottom.at
            area = (box[2] - box[0]) * (box[3] - box[1]) / (height * width)
            if not MIN_AREA < area < MAX_AREA or (left.edge and right.edge) or (top.edge and bottom.edge):
                continue
            sides = [(s.at, *box[1::2], upright) for s in (left, right) if not s.edge]
            sides += [(s.at, *box[::2], level) for s in (top, bottom) if not s.edge]
            closed = all(steps[begin:end, at].mean() > MIN_COVERED for at, begin, end, steps in sides)
            if not closed or np.mean([_beyond(*side) for side in sides]) >= MAX_BEYOND:
                continue
            if moved[box[1] : box[3], box[0] : box[2]].mean() > MIN_MOVING and not _goes_on_outside(gray, box):
                found.append((len(sides), area, box))
    return max(found)[-1] if found else None


def _goes_on_outside(gray: Float, box: tuple[int, int, int, int]) -> bool:
    """Whether what changes inside of a border of the box also changes right outside of it; gray: [n,h,w]."""
    changed = np.abs(gray - np.median(gray, axis=0))
    left, top, right, bottom = box
    across = changed[:, top:bottom], changed[:, :, left:right].swapaxes(1, 2)
    borders = ((across[0], left), (across[0], right), (across[1], top), (across[1], bottom))
    return any(_alike(film, at) > ONE_FILM_CORRELATION for film, at in borders)


def _alike(changed: Float, at: int) -> float:
    """Correlation of the changes [n,l,w] before and behind column `at`; 0 at the picture's own border."""
    if not BESIDE_PX < at < changed.shape[2] - BESIDE_PX:
        return 0.0
    before, behind = changed[:, :, at - BESIDE_PX : at - 1].mean(2), changed[:, :, at + 1 : at + BESIDE_PX].mean(2)
    if before.std() == 0 or behind.std() == 0:
        return 0.0
    return float(np.corrcoef(before.ravel(), behind.ravel())[0, 1])


def _place(line: _Line) -> int:
    return line.at


def _steps(gray: Float) -> Bool:
    """[h,w] True where the columns on both sides of one differ in most frames, more than those near it do."""
    step = np.zeros(gray.shape, np.float32)
    step[:, :, 1:] = np.abs(gray[:, :, 1:] - gray[:, :, :-1])
    lasting = np.quantile(step, MAX_MISSING, axis=0)
    mean = step.mean(0)
    near = np.zeros_like(mean)
    for shift in range(*NEAR_PX):
        near += np.roll(mean, shift, 1) + np.roll(mean, -shift, 1)
    near /= 2 * (NEAR_PX[1] - NEAR_PX[0])
    return np.asarray((lasting > MIN_STEP) & (mean > MIN_STEP_RATIO * near), np.bool_)


def _lines(steps: Bool) -> list[_Line]:
    """The longest upright lines: in each column the rows that hold most steps over MIN_COVERED of their number."""
    height = len(steps)
    total = np.concatenate([np.zeros((1, steps.shape[1])), np.cumsum(steps - MIN_COVERED, axis=0)])  # [h+1,w]
    gain = total - np.minimum.accumulate(total, axis=0)
    found = []
    for at in np.flatnonzero(gain.max(0) > (1 - MIN_COVERED) / 2 * MIN_LENGTH * height):
        end = int(gain[:, at].argmax())
        begin = int(total[: end + 1, at].argmin())
        if end - begin > MIN_LENGTH * height:
            found.append(_Line(int(at), begin, end))
    return sorted(found, key=lambda line: line.begin - line.end)[:MAX_LINES]


def _beyond(at: int, begin: int, end: int, steps: Bool) -> float:
    """Share of steps in the continuation of a side, at both ends together; 0 at the border of the picture."""
    reach = max(8, (end - begin) // 6)
    parts = steps[max(0, begin - reach) : max(0, begin - JOIN_PX), at], steps[end + JOIN_PX : end + reach, at]
    beyond = np.concatenate(parts)
    return float(beyond.mean()) if len(beyond) else 0.0
