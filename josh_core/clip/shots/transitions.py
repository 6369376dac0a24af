"""Gradual changes from one shot to the next: dissolves, fades through a blank picture, slides, wipes.

A dissolve is a mixture of the pictures before and after it, which no camera motion is; a slide or wipe has a line that
crosses the picture from edge to edge. Both only count where the pictures before and after share no feature.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from josh_core.clip.shots.cuts import DIFFERENT_LEVELS, alike
from josh_core.clip.shots.replaced import find_replaced
from josh_core.clip.shots.sweeps import find_sweeps
from josh_core.geometry import true_runs
from josh_core.types import Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
WINDOW_SECONDS = (0.6, 1.2, 2.2)  # s: a dissolve lies within one of these
TINY_SIDE = (24, 16)  # px, so small that people and camera hardly move in it
MAX_UNMIXED = 0.3  # share of the change that a mixture of the two pictures leaves unexplained
MIN_DISSOLVED = 0.5  # share of the picture that a dissolve changes
MIN_BETWEEN = 3  # frames that are neither the one nor the other picture: fewer are a cut
BLANK_LEVELS = 6.0  # levels, standard deviation of a picture that shows nothing
MAX_FADE_SECONDS = 1.0  # s, fade on either side of a blank picture
MIN_LINE_LEVELS, MIN_LINE_RATIO = 14.0, 1.4  # levels across a wipe's line; and over the clearest lines of its picture
MAX_STRAY = 0.15  # share of a place's change by which it may stray from the straight way between its two colours
MIN_STRAIGHT = 0.75  # share of the places that stray no more
CALM_SHARE = 0.1  # share of the whole change before and after which people who move are as much
# Of a change's length, and s at most: what is left out beside it, since slices, irises and blurs begin softly.
SOFT, SOFT_SECONDS = 0.5, 0.3
CROSSING_SECONDS = (0.25, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5)  # that a line takes from edge to edge


def find_transitions(thumbs: Sequence[UInt8], times: Float) -> list[tuple[int, int]]:
    """Frames [first, end) that belong to no shot, from small BGR pictures [h,w,3] at times [T] s."""
    tiny = np.stack([cv2.resize(t, TINY_SIDE, interpolation=cv2.INTER_AREA) for t in thumbs]).astype(np.float32)
    found = [*_dissolves(thumbs, tiny, times), *_blanks(tiny, times), *_wipes(thumbs, times)]
    for more in (find_sweeps(thumbs, times), [*_replacements(thumbs, tiny, times), *find_replaced(thumbs, times)]):
        found += [r for r in more if not any(r[0] < b and a < r[1] for a, b in found)]
    shows = tiny.std((1, 2)).max(-1) >= BLANK_LEVELS
    apart = []
    for first, end in _merged(found):
        if (
            first > 0
            and end < len(thumbs)
            and shows[first - 1]
            and shows[end]
            and not alike(thumbs[first - 1], thumbs[end])
        ):
            apart.append((first, end))
    return apart


def soft_ends(changes: Sequence[tuple[int, int]], times: Float) -> list[tuple[int, int]]:
    """Changes [first, end) of frames at times [T] s, with what is left out beside them; where these meet, one."""
    frame = float(np.median(np.diff(times)))
    wider = []
    for first, end in changes:
        margin = min(round(SOFT * (end - first)), round(SOFT_SECONDS / frame))
        wider.append((max(0, first - margin), min(end + margin, len(times))))
    return _merged(wider)


def blank_ends(thumbs: Sequence[UInt8], times: Float) -> tuple[int, int]:
    """Frames [first, end) without what is blank (with its fade) at either end; all of a clip that is blank throughout.

    thumbs: small BGR pictures [h,w,3] at times [T] s.
    """
    tiny = np.stack([cv2.resize(t, TINY_SIDE, interpolation=cv2.INTER_AREA) for t in thumbs]).astype(np.float32)
    blanks = _blanks(tiny, times)
    first = next((b for a, b in blanks if a == 0), 0)
    end = next((a for a, b in blanks if b == len(thumbs)), len(thumbs))
    return (first, end) if first < end else (0, len(thumbs))


def _dissolves(thumbs: Sequence[UInt8], tiny: Float, times: Float) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    flat = tiny.reshape(len(tiny), -1)
    for seconds in WINDOW_SECONDS:
        for i in range(0, len(times), max(1, round(seconds / 8 / float(np.median(np.diff(times)))))):
            j = int(np.searchsorted(times, times[i] + seconds))
            if j >= len(times):
                break
            if any(first <= i + (j - i) // 2 < end for first, end in found):
                continue
            change = flat[j] - flat[i]
            everywhere = (np.abs(change) > DIFFERENT_LEVELS).mean() > MIN_DISSOLVED
            if j - i < MIN_BETWEEN + 2 or np.abs(change).mean() < 2 * DIFFERENT_LEVELS or not everywhere:
                continue
            rest = flat[i : j + 1] - flat[i]
            share = rest @ change / (change @ change)
            left = np.linalg.norm(rest - share[:, None] * change, axis=1) / np.linalg.norm(change)
            middle = np.flatnonzero((share > 0.1) & (share < 0.9))
            if len(middle) < MIN_BETWEEN or left[middle].max() > MAX_UNMIXED or np.diff(share).min() < -0.05:
                continue
            if middle[-1] - middle[0] + 1 != len(middle) or middle[0] < 2 or middle[-1] > j - i - 2:
                continue  # the window must hold the pictures before and after, not only a part of the change
            first, end = i + int(middle[0]) - 1, i + int(middle[-1]) + 2
            shows = min(tiny[k].std((0, 1)).max() for k in (first - 1, min(end, len(tiny) - 1))) >= BLANK_LEVELS
            if shows and not alike(thumbs[first - 1], thumbs[min(end, len(thumbs) - 1)]):
                found.append((first, end))
    return found


def _replacements(thumbs: Sequence[UInt8], tiny: Float, times: Float) -> list[tuple[int, int]]:
    """Stretches in which place after place of the picture goes from one scene over to another: soft wipes, irises.

    Every place changes once, straight from its old colour to its new one; under a camera that turns it does not.
    """
    found: list[tuple[int, int]] = []
    flat = tiny.reshape(len(tiny), -1, 3)
    frame = float(np.median(np.diff(times)))
    for seconds in WINDOW_SECONDS[:2]:
        for i in range(0, len(times), max(1, round(seconds / 8 / frame))):
            j = int(np.searchsorted(times, times[i] + seconds))
            if j >= len(times) or j - i < MIN_BETWEEN + 2 or any(first <= i < end for first, end in found):
                continue
            change = flat[j] - flat[i]  # [c,3]
            size = np.linalg.norm(change, axis=-1)
            changed = size > 3 * DIFFERENT_LEVELS
            if changed.mean() < MIN_DISSOLVED:
                continue
            share = np.einsum("tck,ck->tc", (flat[i : j + 1] - flat[i])[:, changed], change[changed])
            share = share / size[changed] ** 2
            straight = (share.min(0) > -MAX_STRAY) & (share.max(0) < 1 + MAX_STRAY)
            straight &= (share - np.maximum.accumulate(share, 0)).min(0) > -MAX_STRAY
            if straight.mean() > MIN_STRAIGHT and not alike(thumbs[i], thumbs[j]):
                going = np.flatnonzero(np.abs(share.clip(0, 1).mean(1) - 0.5) < 0.5 - CALM_SHARE)
                if len(going) < MIN_BETWEEN:
                    continue  # a cut, which cuts.py finds
                margin = len(going) // 4
                found.append((max(i + int(going[0]) - margin, 0), min(i + int(going[-1]) + 1 + margin, len(times))))
    return found


def _blanks(tiny: Float, times: Float) -> list[tuple[int, int]]:
    """Stretches of pictures of one colour, with the fades on either side."""
    contrast = tiny.std((1, 2)).max(-1)
    found = []
    for first, end in true_runs(contrast < BLANK_LEVELS):
        low, high = first, end
        while low > 0 and contrast[low - 1] > 1.02 * contrast[low] and times[first] - times[low] < MAX_FADE_SECONDS:
            low -= 1
        while (
            high < len(tiny)
            and contrast[high] > 1.02 * contrast[high - 1]
            and times[high] - times[end - 1] < MAX_FADE_SECONDS
        ):
            high += 1
        found.append((low, high))
    return found


def _wipes(thumbs: Sequence[UInt8], times: Float) -> list[tuple[int, int]]:
    gray = np.stack([cv2.cvtColor(t, cv2.COLOR_BGR2GRAY) for t in thumbs]).astype(np.float32)
    return [*_crossings(gray, times), *_crossings(gray.swapaxes(1, 2), times)]


def _crossings(gray: Float, times: Float) -> list[tuple[int, int]]:
    """Stretches in which a line over the whole height crosses frames [T,h,w] evenly from side to side."""
    width = gray.shape[2]
    step = np.quantile(np.abs(gray[:, :, 2:] - gray[:, :, :-2]), 0.4, axis=1)  # [T,w-2] levels
    least = np.maximum(MIN_LINE_LEVELS, MIN_LINE_RATIO * np.quantile(step, 0.98, axis=1))
    found: list[tuple[int, int]] = []
    frame = float(np.median(np.diff(times)))
    for seconds in CROSSING_SECONDS:
        reach = max(3, round(0.6 * width * frame / seconds))  # px that the line may be ahead of its time
        clear = cv2.dilate(step.astype(np.float32), np.ones((1, 2 * reach + 1), np.uint8)) > least[:, None]
        for i in range(len(times)):
            j = int(np.searchsorted(times, times[i] + seconds - 1e-6))
            if j >= len(times):
                break
            if j - i <= MIN_BETWEEN:
                continue
            rows = np.arange(i + 1, j)
            way = np.round((times[rows] - times[i]) / (times[j] - times[i]) * (width - 3)).astype(int)
            sweeps = (way, width - 3 - way)
            found.extend((i, j + 1) for columns in sweeps if clear[rows, columns].mean() > 0.8)
    return found


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if out and first <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((first, end))
    return out
