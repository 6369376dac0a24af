"""Interlaced pictures, told by their pixels: many files do not say that they are interlaced.

An interlaced frame weaves two fields: its even lines were filmed half a frame before the odd ones, or after. Whatever
moves then shows combs. Stripes of the scene look like combs too, so the frame is compared with others, woven from one
of its own fields and one of a frame beside it (as FFmpeg's filter idet does). In a progressive film such pairs fit
alike in either order, and worse than the frame itself; in an interlaced one those in the right order fit as well as
the frame, and those in the wrong order far worse.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from josh_core.types import Bool, Float

# Chosen by hand, except where a measurement or a source is given.
MAX_COLUMNS = 96  # of a frame that are looked at: somebody who is 5 % of the picture wide covers five of them
MIN_MOVING = 24.0  # grey levels between frames, from which a pixel moves: compression makes less
MIN_PIXELS = 200  # that move, or nothing tells
MIN_ORDER = 1.2  # misfit of pairs in the wrong order over the right one, from which a frame has combs
MIN_OWN = 0.5  # misfit of the frame over pairs in the right order: frames of a telecine without combs fit far better
LATELY = 60  # frames that tell, by which one that does not is judged
FEW, MOSTLY = 0.2, 0.7  # share of them with combs, from which a frame may have some, and from which all have


class CombFinder:
    """Decoded frames of one film, one after the other; tells which have combs."""

    def __init__(self) -> None:
        self._lately: deque[bool] = deque(maxlen=LATELY)

    def judged(self, frames: Iterator[Any]) -> Iterator[tuple[Any, bool]]:
        """Each frame (av.VideoFrame), and whether it has combs. One frame is read ahead."""
        before: Float | None = None
        luma: Float | None = None
        frame: Any = None
        for following in frames:
            after = _luma(following)
            if frame is not None:
                yield frame, self._is_combed(before, luma, after)
            before, frame, luma = luma, following, after
        if frame is not None:
            yield frame, self._is_combed(before, luma, None)

    def _is_combed(self, before: Float | None, luma: Float | None, after: Float | None) -> bool:
        told = None if before is None or luma is None or after is None else has_combs(before, luma, after)
        if told is not None:
            self._lately.append(told)
        share = sum(self._lately) / max(len(self._lately), 1)
        return share > MOSTLY or (bool(told) and share > FEW)


def has_combs(before: Float, luma: Float, after: Float) -> bool | None:
    """Whether the middle one of three frames [h,w] is woven from two moments; None where too little moves to tell."""
    if not before.shape == luma.shape == after.shape:
        return None
    moved = np.maximum(np.abs(luma - before), np.abs(after - luma)) > MIN_MOVING
    moving = (moved[0::2] | moved[1::2])[:-1]
    if moving.sum() < MIN_PIXELS:
        return None

    def misfit(even: Float, odd: Float) -> float:
        return _misfit(even[0::2], odd[1::2], moving)

    even_first = misfit(luma, before) + misfit(after, luma)
    odd_first = misfit(before, luma) + misfit(luma, after)
    right, wrong = sorted((even_first, odd_first))
    return 2 * misfit(luma, luma) > MIN_OWN * right and wrong > MIN_ORDER * right


def _misfit(even: Float, odd: Float, where: Bool) -> float:
    """Distance of each line from the mean of those above and below it, summed where [h/2-1,w]; fields [h/2,w]."""
    between = np.abs(even[:-1] + even[1:] - 2 * odd[:-1]) + np.abs(odd[:-1] + odd[1:] - 2 * even[1:])
    return float(between[where].sum())


def _luma(frame: Any) -> Float | None:
    """Brightness [h,w] in grey levels of an even number of lines and some columns; None where it is no plane alone."""
    first = frame.format.components[0]
    if not frame.format.is_planar or frame.format.is_rgb or not 8 <= first.bits <= 16 or frame.format.is_big_endian:
        return None
    plane, wide = frame.planes[0], first.bits > 8
    lines = np.frombuffer(plane, np.uint16 if wide else np.uint8).reshape(plane.height, -1)
    step = max(1, frame.width // MAX_COLUMNS)
    few = lines[: frame.height // 2 * 2, step // 2 : frame.width : step]
    return np.asarray(few * np.float32(2.0 ** (8 - first.bits)), np.float32)
