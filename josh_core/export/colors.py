"""Colours that people keep from the page to every export, and conversion to linear light."""

from __future__ import annotations

import numpy as np

from josh_core.types import Float, UInt8

# Eight hues that stay apart for colour-blind readers and on both dark and light ground (sRGB).
PALETTE = ("#2f7ed8", "#ee6c2f", "#2fb36a", "#b453d6", "#e5b32b", "#23b5c9", "#e0497f", "#8a8f3c")
CAMERA_COLOR = "#f5c518"


def person_color(person: int) -> str:
    """sRGB colour "#rrggbb" of the person with this track id."""
    return PALETTE[person % len(PALETTE)]


def rgb(color: str) -> UInt8:
    """sRGB bytes [3] of "#rrggbb"."""
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)


def linear(srgb: UInt8) -> Float:
    """Linear light in [0, 1] of sRGB bytes of any shape (IEC 61966-2-1)."""
    c = np.asarray(srgb, np.float64) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
