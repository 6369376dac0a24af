"""Borders of one colour around the picture (letterbox, caption bands), and two pictures in one (split screen).

A border is a band from the edge whose rows hold its colour and nothing else, texts between such rows included; it ends
in a straight line, which a bright sky does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from josh_core.clip.not_filmed.overlay import MAX_MEDIAN_STAYING
from josh_core.geometry import true_runs
from josh_core.types import Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
COMPARED_FRAMES = 6  # frames that are compared
SAME_LEVELS = 10  # levels of 255, by which compression changes a border's colour at most
MAX_NOISE_LEVELS = 20  # the same by which noise does
MIN_BORDER_SHARE = 0.98  # share of a border row that has the border's colour
MIN_CAPTION_SHARE = 0.4  # the same where a caption runs through it
MAX_PICTURE_SHARE = 0.6  # the same a few rows into the picture, at most
MAX_CAPTION_CHANGE = 24  # levels by which a pixel of a caption changes over time at most
MIN_WIDTH, MAX_WIDTH = 0.015, 0.45  # of the side: how wide a border is
LINE_PLACES = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4)  # shares at which editors put the line between two films
OUTER_PLACES = (1 / 4, 3 / 4)  # those at which one line alone may be a post
EDGE_LEVELS = 3.0  # grey levels a pixel, from which a gradient is strong
MIN_EDGE_SHARE = 0.01  # share of the picture with strong gradients, from which they tell whether it moves
MIN_BAR_PX, MAX_BAR_SHARE = 3, 0.08  # width of a bar between two films, in px and as a share of the side
MIN_FILM_SHARE = 0.2  # share of the side that is film on either side of a bar
PLACE_TOLERANCE = 0.012  # share of the side by which the line may lie beside a place
MIN_JUDGED_SIDE = 200  # px: in smaller pictures the blocks of the compression make lines of their own
MIN_MIRROR_CORRELATION = 0.8  # correlation of the details of a picture with its mirror image
SMOOTH_CORRELATION = 0.5  # correlation of neighbouring columns from which a picture is smooth enough to judge
LINE_PARTS, MAX_ALIKE = 8, 2  # parts of the line, and how many of them may look alike on both sides
# levels: a part of the line is alike whose two sides differ by no more, even where it shows no detail
PLAIN_LEVELS = 2.0
MAX_CORRELATION = 0.12  # correlation of the two columns across the line
MAX_CORRELATION_RATIO = 0.2  # that over the correlation of columns nearby

# A line is also told by the step of grey levels across it.
MIN_STEP_RATIO = 3.0  # step over the largest one nearby; at most 1.6 in seven clips without a line
MAX_STEP_CORRELATION = 0.4  # correlation of the columns across such a line, over that of columns nearby
MIN_QUARTER_STEP = 0.3  # step in the weakest quarter of the height, over the mean
MIN_STEP_SPREAD = 0.2  # standard deviation of the step along the line, over its mean size


def find_borders(frames: Sequence[UInt8]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom (px, half open) of the picture within its borders, from frames [h,w,3]."""
    stack = np.stack(frames)
    height, width = stack.shape[1:3]
    top, bottom = _band(stack), _band(stack[:, ::-1])
    inner = stack[:, top : height - bottom].swapaxes(1, 2)
    left, right = _band(inner), _band(inner[:, ::-1])
    return left, top, width - right, height - bottom


def _band(stack: UInt8) -> int:
    """Rows of the border at the top of frames [n,h,w,3]; 0 without one."""
    height = stack.shape[1]
    colour = np.median(stack[:, :2].reshape(-1, 3), axis=0)
    off = np.abs(stack[:, :2] - colour).max(-1).max(0)  # [2,w]
    same = float(np.clip(1.5 * np.percentile(off, 100 * MIN_BORDER_SHARE), SAME_LEVELS, MAX_NOISE_LEVELS))
    if (off[0] <= same).mean() < MIN_BORDER_SHARE:
        return 0
    part = stack[:, : int(MAX_WIDTH * height) + 4].astype(np.int16)
    like = np.abs(part - colour).max(-1) <= same  # [n,r,w]
    share = like.all(0).mean(-1)
    still = (np.ptp(part, axis=0).max(-1) <= MAX_CAPTION_CHANGE).mean(-1) > 0.97
    texts = still | (like.mean(-1).min(0) > MIN_CAPTION_SHARE)
    end = 0
    for row in range(len(share) - 4):
        if share[row] >= MIN_BORDER_SHARE:
            end = row + 1
        elif not texts[row]:
            break
    straight = end > 0 and share[min(end + 3, len(share) - 1)] < MAX_PICTURE_SHARE
    return end if straight and end >= max(2, MIN_WIDTH * height) else 0


def is_split(frames: Sequence[UInt8]) -> bool:
    """Whether the frames [h,w,3] hold two pictures side by side or above each other.

    Columns a few pixels apart are alike everywhere in a picture; across the line between two they are not, over the
    whole height and all the time.
    """
    gray = np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames]).astype(np.float32)
    if min(gray.shape[1:]) < MIN_JUDGED_SIDE:
        return False
    return any(_has_line(g) or _has_bar(g) for g in (gray, gray.swapaxes(1, 2)))


def is_mirrored(frames: Sequence[UInt8]) -> bool:
    """Whether one half of the frames [h,w,3] is the mirror image of the other, left and right or above and below."""
    gray = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY).astype(np.float32) for f in frames]
    fine = np.stack([g - cv2.blur(g, (9, 9)) for g in gray])
    return any(
        float((fine * np.flip(fine, axis)).sum() / max((fine**2).sum(), 1e-6)) > MIN_MIRROR_CORRELATION
        for axis in (1, 2)
    )


def _has_line(gray: Float) -> bool:
    """Whether frames [n,h,w] are divided by an upright line.

    One line alone near a side may be a post or the edge of a wall: it counts only where the picture moves beside it.
    """
    likeness = _likeness(gray)
    lines = [(place, at) for place in LINE_PLACES if (at := _line_near(gray, likeness, place)) is not None]
    if len(lines) == 1 and lines[0][0] in OUTER_PLACES:
        at = lines[0][1]
        return _moves(gray[:, :, : at - 1]) or _moves(gray[:, :, at + 2 :])
    return bool(lines)


def _has_bar(gray: Float) -> bool:
    """Whether an upright bar of one colour, with pictures on both sides, runs through frames [n,h,w]."""
    width = gray.shape[2]
    colour = np.median(gray, axis=(0, 1))  # [w]
    plain = (np.abs(gray - colour) <= SAME_LEVELS).mean((0, 1)) >= MIN_BORDER_SHARE
    for first, end in true_runs(plain):
        between = first >= MIN_FILM_SHARE * width and end <= (1 - MIN_FILM_SHARE) * width
        if not between or not MIN_BAR_PX <= end - first <= MAX_BAR_SHARE * width:
            continue
        even = np.ptp(colour[first + 1 : end - 1]) <= SAME_LEVELS
        beside = [np.abs(gray[:, :, at] - colour[(first + end) // 2]) <= SAME_LEVELS for at in (first - 3, end + 2)]
        if even and max(float(side.mean()) for side in beside) < MAX_PICTURE_SHARE:
            return True
    return False


def _line_near(gray: Float, likeness: Float, place: float) -> int | None:
    """Column of the line between two pictures near a place in [0, 1]; None without one. likeness: [w] by column."""
    width = gray.shape[2]
    near = np.arange(width)[np.abs(np.arange(width) / width - place) < PLACE_TOLERANCE]
    at = int(near[likeness[near].argmin()])
    sides = likeness[max(0, at - 16) : max(0, at - 4)], likeness[at + 5 : at + 17]
    around = max(float(np.percentile(side, 25)) for side in sides)  # one of the two may be gravel or leaves
    if around <= SMOOTH_CORRELATION:
        return None
    if likeness[at] < min(MAX_CORRELATION, MAX_CORRELATION_RATIO * around) and _runs_through(gray, at):
        return at
    return at if likeness[at] < MAX_STEP_CORRELATION * around and _is_step(gray, at) else None


def _moves(gray: Float) -> bool:
    """Whether most strong gradients of frames [n,h,w] do not stay where they are."""
    steps = np.diff(gray, axis=2)
    size = np.median(np.abs(steps), axis=0)
    strong = size > EDGE_LEVELS
    if strong.mean() < MIN_EDGE_SHARE:
        return False
    return bool(np.median(np.abs(np.median(steps, axis=0))[strong] / size[strong]) < MAX_MEDIAN_STAYING)


def _runs_through(gray: Float, at: int) -> bool:
    """Whether the columns beside `at` are unlike from end to end, which those beside a post or a window are not."""
    parts = np.array_split(gray[:, :, at - 1 : at + 2], LINE_PARTS, axis=1)
    alike = sum(bool(_likeness(part)[1] > SMOOTH_CORRELATION or _step(part) < PLAIN_LEVELS) for part in parts)
    return alike <= MAX_ALIKE and _is_uneven(gray, at)


def _step(part: Float) -> float:
    """Mean step from the first to the last column of frames [n,h,3]."""
    return float(np.abs(part[:, :, 2] - part[:, :, 0]).mean())


def _is_uneven(gray: Float, at: int) -> bool:
    """Whether the step across the line varies along it: that of a horizon or the edge of a door does not."""
    step = gray[:, :, at + 1] - gray[:, :, at - 1]
    return bool(step.std(1).mean() > MIN_STEP_SPREAD * np.abs(step).mean())


def _is_step(gray: Float, at: int) -> bool:
    """Whether the columns beside `at` differ far more than any nearby, from top to bottom.

    So does a plain wall beside a meadow, in every quarter of the height and unevenly along it; the edge of a door is
    as even as its two sides.
    """
    columns = [c for c in (*range(at - 16, at - 4), at, *range(at + 5, at + 17)) if 0 < c < gray.shape[2] - 1]
    steps = np.stack([gray[:, :, c + 1] - gray[:, :, c - 1] for c in columns], -1)  # [n,h,c]
    here = columns.index(at)
    quarters = np.stack([np.abs(q).mean((0, 1)) for q in np.array_split(steps, 4, axis=1)])  # [4,c]
    sizes = quarters.mean(0)
    across, beside = sizes[here], np.delete(sizes, here).max()
    everywhere = bool((quarters[:, here] > MIN_QUARTER_STEP * across).all())
    return bool(across > MIN_STEP_RATIO * max(beside, 1.0)) and everywhere and _is_uneven(gray, at)


def _likeness(gray: Float) -> Float:
    """Correlation [w] of the columns on either side of each, over all rows and frames [n,h,w].

    What is smooth along a column (a gradient of the light) is taken out first; it would be alike in any two pictures.
    """
    fine = gray - np.stack([cv2.blur(g, (1, max(3, gray.shape[1] // 6) | 1)) for g in gray])
    columns = fine.transpose(2, 0, 1).reshape(gray.shape[2], -1)
    columns = columns / np.maximum(np.linalg.norm(columns, axis=1, keepdims=True), 1e-6)
    out = np.ones(len(columns))
    out[1:-1] = (columns[:-2] * columns[2:]).sum(1)
    return out
