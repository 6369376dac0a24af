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
STEP = 6.0  # grey levels across a side, at least, in most frames
OVER_NEAR = 2.0  # times the step of the columns beside it
LASTS = 0.2  # share of the frames in which the step may be smaller: two films are alike here and there
NEAR = (4, 12)  # px: the columns beside it
COVERED, BEYOND = 0.7, 0.35  # share of each side that shows its step, at least; of what continues them, at most
SHORTEST = 0.1  # of the picture's side
SMALLEST, LARGEST = 0.015, 0.45  # of the picture's area
MOVES, MOVING_SHARE = 24, 0.01  # grey levels, and share of the inside in which they change
BESIDE = 6  # px to either side of a border that are compared
# Correlation of the changes on both sides of a border from which they are one film: 0.91 where somebody walks past a
# window, 0.71 at a caption that lets the film through, at most 0.46 around a small film. Chosen between these three.
ONE_FILM = 0.6
CANDIDATES = 12  # lines of each direction that are combined
JOIN = 3  # px by which the end of a line may miss another


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
    moved = np.ptp(gray, axis=0) > MOVES
    found = []
    for left, right in itertools.combinations(sorted(columns, key=_place), 2):
        for top, bottom in itertools.combinations(sorted(rows, key=_place), 2):
            box = left.at, top.at, right.at, bottom.at
            area = (box[2] - box[0]) * (box[3] - box[1]) / (height * width)
            if not SMALLEST < area < LARGEST or (left.edge and right.edge) or (top.edge and bottom.edge):
                continue
            sides = [(s.at, *box[1::2], upright) for s in (left, right) if not s.edge]
            sides += [(s.at, *box[::2], level) for s in (top, bottom) if not s.edge]
            closed = all(steps[begin:end, at].mean() > COVERED for at, begin, end, steps in sides)
            if not closed or np.mean([_beyond(*side) for side in sides]) >= BEYOND:
                continue
            if moved[box[1] : box[3], box[0] : box[2]].mean() > MOVING_SHARE and not _goes_on_outside(gray, box):
                found.append((len(sides), area, box))
    return max(found)[-1] if found else None


def _goes_on_outside(gray: Float, box: tuple[int, int, int, int]) -> bool:
    """Whether what changes inside of a border of the box also changes right outside of it; gray: [n,h,w]."""
    changed = np.abs(gray - np.median(gray, axis=0))
    left, top, right, bottom = box
    across = changed[:, top:bottom], changed[:, :, left:right].swapaxes(1, 2)
    borders = ((across[0], left), (across[0], right), (across[1], top), (across[1], bottom))
    return any(_alike(film, at) > ONE_FILM for film, at in borders)


def _alike(changed: Float, at: int) -> float:
    """Correlation of the changes [n,l,w] before and behind column `at`; 0 at the picture's own border."""
    if not BESIDE < at < changed.shape[2] - BESIDE:
        return 0.0
    before, behind = changed[:, :, at - BESIDE : at - 1].mean(2), changed[:, :, at + 1 : at + BESIDE].mean(2)
    if before.std() == 0 or behind.std() == 0:
        return 0.0
    return float(np.corrcoef(before.ravel(), behind.ravel())[0, 1])


def _place(line: _Line) -> int:
    return line.at


def _steps(gray: Float) -> Bool:
    """[h,w] True where the columns on both sides of one differ in most frames, more than those near it do."""
    step = np.zeros(gray.shape, np.float32)
    step[:, :, 1:] = np.abs(gray[:, :, 1:] - gray[:, :, :-1])
    lasting = np.quantile(step, LASTS, axis=0)
    mean = step.mean(0)
    near = np.zeros_like(mean)
    for shift in range(*NEAR):
        near += np.roll(mean, shift, 1) + np.roll(mean, -shift, 1)
    near /= 2 * (NEAR[1] - NEAR[0])
    return np.asarray((lasting > STEP) & (mean > OVER_NEAR * near), np.bool_)


def _lines(steps: Bool) -> list[_Line]:
    """The longest upright lines: in each column the rows that hold most steps over COVERED of their number."""
    height = len(steps)
    total = np.concatenate([np.zeros((1, steps.shape[1])), np.cumsum(steps - COVERED, axis=0)])  # [h+1,w]
    gain = total - np.minimum.accumulate(total, axis=0)
    found = []
    for at in np.flatnonzero(gain.max(0) > (1 - COVERED) / 2 * SHORTEST * height):
        end = int(gain[:, at].argmax())
        begin = int(total[: end + 1, at].argmin())
        if end - begin > SHORTEST * height:
            found.append(_Line(int(at), begin, end))
    return sorted(found, key=lambda line: line.begin - line.end)[:CANDIDATES]


def _beyond(at: int, begin: int, end: int, steps: Bool) -> float:
    """Share of steps in the continuation of a side, at both ends together; 0 at the border of the picture."""
    reach = max(8, (end - begin) // 6)
    parts = steps[max(0, begin - reach) : max(0, begin - JOIN), at], steps[end + JOIN : end + reach, at]
    beyond = np.concatenate(parts)
    return float(beyond.mean()) if len(beyond) else 0.0
