"""A picture that holds the same film twice, side by side or one above the other: a stereo film, for two eyes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np

from josh_core.types import Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
COMPARED_SIDE, PARTS = 320, 4  # px, longest side of the pictures that are compared; parts of a half along either side
MAX_DISPARITY = 0.06  # of the width of a half, by which something lies elsewhere in the other one
DETAIL_PX = 9  # px: larger shapes and the light are alike anywhere
# Correlation of the details of both halves, median over their parts: those of a stereo film are the same, those of
# other pictures have little in common.
MIN_ALIKE = 0.8
MIN_TWICE = 0.6  # correlation of what changes over time in both halves
STILL_LEVELS = 1.0  # levels, standard deviation of what is neither a detail nor a change


def is_doubled(frames: Sequence[UInt8]) -> bool:
    """Whether both halves of the frames [h,w,3] show the same, side by side or above each other: a stereo film.

    What moves must be there twice too, as it is not before a fence or a front of windows.
    """
    gray = np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames]).astype(np.float32)
    scale = COMPARED_SIDE / max(gray.shape[1:])
    size = max(2, round(gray.shape[2] * scale)), max(2, round(gray.shape[1] * scale))
    small = np.stack([cv2.resize(g, size, interpolation=cv2.INTER_AREA) for g in gray])
    return any(_repeats(film) for film in (small, small.swapaxes(1, 2)))


def _repeats(film: Float) -> bool:
    """Whether the right half of frames [n,h,w] shows what the left one does, every part moved by a little."""
    half, height = film.shape[2] // 2, film.shape[1]
    reach = max(1, round(MAX_DISPARITY * half))
    fine = film - np.stack([cv2.blur(f, (DETAIL_PX, DETAIL_PX)) for f in film])
    change = film - np.median(film, axis=0)
    edges = np.linspace(reach, half - reach, PARTS + 1).astype(int)
    likeness, twice = [], []
    for rows in np.array_split(np.arange(height), PARTS):
        lines = slice(rows[0], rows[-1] + 1)
        for begin, end in itertools.pairwise(edges):
            part = fine[:, lines, begin:end]
            if part.std() < STILL_LEVELS:
                continue
            places = [slice(half + begin + shift, half + end + shift) for shift in range(-reach, reach + 1)]
            likeness.append(max(_correlation(part, fine[:, lines, place]) for place in places))
            moves, there = change[:, lines, begin:end], change[:, lines, half + begin : half + end]
            if max(float(moves.std()), float(there.std())) > STILL_LEVELS:
                twice.append(max(_correlation(moves, change[:, lines, place]) for place in places))
    if len(likeness) <= PARTS**2 // 2 or np.median(likeness) < MIN_ALIKE:
        return False
    return not twice or bool(np.median(twice) > MIN_TWICE)


def _correlation(a: Float, b: Float) -> float:
    return float((a * b).sum() / max(float(np.sqrt((a**2).sum() * (b**2).sum())), 1e-6))
