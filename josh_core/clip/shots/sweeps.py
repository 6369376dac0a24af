"""Wipes and slides: a line crosses the picture from edge to edge, and brings another film with it.

Every picture on the way is put together of the one before and the one after, beside each other at the line; each of
them stands still, or moves along with the line. Only the line's place is free in each picture, so it may be faster at
first and slower in the end, as editors make it. A camera that turns shows the same while it has not come to rest, so
before and after the line little may change.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np

from josh_core.clip.shots.cuts import DIFFERENT_LEVELS, alike
from josh_core.types import Bool, Float, Int, UInt8

# Chosen by hand, except where a measurement or a source is given.
SMALL_SIDE = 40  # px, longest side of the pictures that are compared: people and camera hardly move in them
WINDOW_SECONDS = (0.6, 1.2, 2.2)  # s: the whole change lies within one of these
MAX_PICTURES = 16  # pictures of a window that are compared, evenly spread
REST_PICTURES, MIN_MOVING_PICTURES = 2, 3  # of these: before and after the line moves, each; and while it moves
NEAR_LEVELS = 2 * DIFFERENT_LEVELS  # levels of a colour by which a place may be off the range of those around it
MIN_CHANGED, MAX_REST_CHANGE = 0.5, 0.35  # share of the picture that changes: in all; within REST_PICTURES
# Share of the places that the line explains, in every picture and on average on the way; what that is over the share
# without a line; way of the line from one picture to the next, of the whole. Of eight wipes and slides between real
# clips, by ffmpeg's xfade: 0.70 to 0.90, 0.77 to 0.95, 0.10 to 0.48, 0.12 to 0.23. Where there was none (dissolves,
# irises, plain clips) the line leapt by 0.32 to 1.
MIN_EXPLAINED, MIN_MEAN_EXPLAINED, MIN_GAIN, MAX_LEAP = 0.68, 0.77, 0.1, 0.27
# Step across the line over that across others, where both films move along: 1.8 to 2.6 in four such slides, 1.05 in a
# turn by just the width of the picture. Chosen between them.
MIN_STEP_RATIO = 1.5
RETURN_SECONDS = (0.25, 0.5, 1.0, 1.5)  # s after which the scene may be back, where somebody has only crossed it
MAX_STEP_BACK = 0.1  # of the whole way, by which the line may seem to go back


def find_sweeps(thumbs: Sequence[UInt8], times: Float) -> list[tuple[int, int]]:
    """Frames [first, end) of each wipe or slide, from small BGR pictures [h,w,3] at times [T] s."""
    small = reduced(thumbs, SMALL_SIDE)
    found: list[tuple[int, int]] = []
    for i, j in windows(times, WINDOW_SECONDS):
        if any(first < j and i < end for first, end in found):
            continue
        few = np.unique(np.linspace(i, j, MAX_PICTURES).round().astype(int))
        if len(few) < MIN_MOVING_PICTURES + 2 * REST_PICTURES or not _may_sweep(small[few]):
            continue
        going = _sweep(small[few])
        if going is not None:
            first, end = int(few[going[0] - 1]) + 1, int(few[going[1]])
            if is_another(thumbs, times, first - 1, end):
                found.append((first, end))
    return found


def is_another(thumbs: Sequence[UInt8], times: Float, first: int, second: int) -> bool:
    """Whether the scene of one frame is not that of a later one, nor soon back, nor was the later one there before."""
    wait = np.array([0.0, *RETURN_SECONDS])
    later = np.searchsorted(times, times[second] + wait)
    before = np.searchsorted(times, times[first] - wait[1:])
    back = any(alike(thumbs[first], thumbs[k]) for k in np.unique(later[later < len(thumbs)]))
    return not back and not any(alike(thumbs[k], thumbs[second]) for k in np.unique(before[times[first] > wait[1:]]))


def reduced(thumbs: Sequence[UInt8], longest: int) -> Float:
    """Pictures [T,h,w,3] whose longest side is so many px."""
    height, width = thumbs[0].shape[:2]
    scale = longest / max(height, width)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    return np.stack([cv2.resize(t, size, interpolation=cv2.INTER_AREA) for t in thumbs]).astype(np.float32)


def windows(times: Float, lengths: Sequence[float]) -> list[tuple[int, int]]:
    """First and last frame of windows of so many seconds, that follow each other by an eighth of their length."""
    frame = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    found = []
    for seconds in lengths:
        for i in range(0, len(times), max(1, round(seconds / 8 / frame))):
            j = int(np.searchsorted(times, times[i] + seconds))
            if j >= len(times):
                break
            found.append((i, j))
    return found


def changed(first: Float, second: Float) -> float:
    """Share of a picture [h,w,3] that the other one does not show, nor around the same place."""
    return 1 - float(_like(second, *_range(first)).mean())


def _may_sweep(pictures: Float) -> bool:
    """Whether most of pictures [n,h,w,3] changes in all, and little of it at the beginning and in the end."""
    calm = (
        changed(pictures[0], pictures[REST_PICTURES]) < MAX_REST_CHANGE
        and changed(pictures[-1], pictures[-1 - REST_PICTURES]) < MAX_REST_CHANGE
    )
    return calm and changed(pictures[0], pictures[-1]) > MIN_CHANGED


def _sweep(pictures: Float) -> tuple[int, int] | None:
    """Pictures [first, end) of [n,h,w,3] that a line crosses; None where they are not put together so."""
    found = []
    for turned in (pictures, pictures.swapaxes(1, 2)):
        for film in (turned, turned[:, :, ::-1]):
            left, right = _shares(film, film[0]), _shares(film[:, :, ::-1], film[-1, :, ::-1])
            for (old, _), (new, pushes) in itertools.product(left, right):
                share = old[::-1] + new  # [w+1,n]: the line has come 0..w columns from the right
                way, best = share.argmax(0) / film.shape[2], share.max(0)
                going = np.flatnonzero((way > 0) & (way < 1))
                if (
                    len(going) < MIN_MOVING_PICTURES
                    or going[0] < REST_PICTURES
                    or going[-1] >= len(way) - REST_PICTURES
                ):
                    continue
                evenly = (way - np.maximum.accumulate(way)).min() > -MAX_STEP_BACK and np.diff(way).max() < MAX_LEAP
                gain = (best - np.maximum(share[0], share[-1]))[going].mean()
                if (
                    evenly
                    and gain > MIN_GAIN
                    and best.min() > MIN_EXPLAINED
                    and best[going].mean() > MIN_MEAN_EXPLAINED
                ):
                    if not pushes or _step(film, way, going) > MIN_STEP_RATIO:
                        found.append((float(best[going].mean()), int(going[0]), int(going[-1]) + 1))
    return max(found)[1:] if found else None


def _step(film: Float, way: Float, going: Int) -> float:
    """Step across the line over that across other lines of pictures [n,h,w,3], median over those on the way."""
    width = film.shape[2]
    ratios = []
    for t in going:
        steps = np.abs(film[t, :, 2:] - film[t, :, :-2]).max(-1).mean(0)  # [w-2]
        at = int(np.clip(round((1 - way[t]) * width) - 1, 1, width - 4))
        ratios.append(steps[at - 1 : at + 2].max() / max(float(np.median(steps)), 1.0))
    return float(np.median(ratios))


def _shares(film: Float, shown: Float) -> tuple[tuple[Float, bool], ...]:
    """Share of the places [w+1,n] of [n,h,w,3] at which the left 0..w columns are `shown` [h,w,3]: still, pushed.

    Pushed: what is there are the right columns of `shown`.
    """
    count, height, width = film.shape[:3]
    low, high = _range(shown)
    columns = _like(film, low, high).sum(1)  # [n,w]
    still = np.concatenate([np.zeros((count, 1)), np.cumsum(columns, 1)], 1).T
    pushed = [
        _like(film[:, :, :at], low[:, width - at :], high[:, width - at :]).sum((1, 2)) for at in range(width + 1)
    ]
    return (still / (height * width), False), (np.stack(pushed) / (height * width), True)


def _range(picture: Float) -> tuple[Float, Float]:
    """Lowest and highest levels [h,w,3] around each place of a picture, and NEAR_LEVELS beyond."""
    window, picture = np.ones((3, 3), np.uint8), np.ascontiguousarray(picture)
    return np.asarray(cv2.erode(picture, window) - NEAR_LEVELS), np.asarray(cv2.dilate(picture, window) + NEAR_LEVELS)


def _like(pictures: Float, low: Float, high: Float) -> Bool:
    """Where pictures [...,h,w,3] lie within a range in all colours."""
    return np.asarray(((pictures >= low) & (pictures <= high)).all(-1))
