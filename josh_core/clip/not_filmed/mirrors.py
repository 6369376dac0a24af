"""Sides filled with mirror images of the picture beside them, as editors fill a wider frame.

Only an editor makes a mirror image that is right to the pixel over the whole length of a side.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from josh_core.types import Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
LOOKED_SIDE = 480  # px, longest side of the pictures that are compared
MIN_WIDTH, MAX_WIDTH = 0.03, 0.46  # of the side: how wide a mirror image is
DETAIL_PX = 9  # px: larger shapes and the light are alike anywhere
MIN_CORRELATION = 0.8  # of the details with their mirror image, in every quarter of the side that shows any
MIN_DETAIL = 0.25  # of the details of the whole picture (standard deviation), from which a quarter tells
QUARTERS = 4


def mirrored_sides(frames: Sequence[UInt8]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom (px, half open) of what the frames [h,w,3] show between mirror images of it."""
    height, width = frames[0].shape[:2]
    scale = min(1.0, LOOKED_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = [cv2.resize(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA) for f in frames]
    fine = np.stack([g - cv2.blur(g, (DETAIL_PX, DETAIL_PX)) for g in np.asarray(small, np.float32)])
    down = fine.swapaxes(1, 2)
    left, right = _share(fine) * width, _share(fine[:, :, ::-1]) * width
    top, bottom = _share(down) * height, _share(down[:, :, ::-1]) * height
    return round(left), round(top), round(width - right), round(height - bottom)


def _share(fine: Float) -> float:
    """Share of the width of details [n,h,w] that the mirror image at the left takes; 0 without one."""
    width = fine.shape[2]
    least = MIN_DETAIL * float(fine.std())
    quarters = np.stack([_likeness(quarter, least) for quarter in np.array_split(fine, QUARTERS, axis=1)])
    told = np.isfinite(quarters).sum(0) > QUARTERS // 2
    likeness = np.where(told, np.where(np.isfinite(quarters), quarters, 1.0).min(0), 0.0)
    likeness[: round(2 * MIN_WIDTH * width)] = likeness[round(2 * MAX_WIDTH * width) :] = 0
    line = int(likeness.argmax())
    return line / 2 / width if likeness[line] > MIN_CORRELATION else 0.0


def _likeness(fine: Float, least: float) -> Float:
    """Correlation [w+1] of columns k and m - 1 - k of details [n,h,w], for every m; NaN where a side has less detail.

    The sum over k of f[k] f[m - 1 - k] is a convolution of f with itself, in which either side counts once.
    """
    width = fine.shape[2]
    spectrum = np.fft.rfft(fine, 2 * width, axis=2)
    both = np.fft.irfft((spectrum**2).sum((0, 1)), 2 * width)[:width]
    energy = np.append(0.0, np.cumsum((fine.astype(np.float64) ** 2).sum((0, 1))))  # [w+1] of the columns before
    m = np.arange(width + 1)
    side, beside = energy[m // 2], energy[m] - energy[(m + 1) // 2]
    middle = energy[(m + 1) // 2] - energy[m // 2]  # of an odd number of columns, which is its own mirror image
    pixels = fine.shape[0] * fine.shape[1] * np.maximum(m // 2, 1)
    out = (np.append(0.0, both) - middle) / 2 / np.sqrt(np.maximum(side * beside, 1e-6))
    return np.where(np.minimum(side, beside) > least**2 * pixels, out, np.nan)
