"""How one small grey picture moved to become the next: a similarity (turn, size, shift) that its features share."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from josh_core.types import Bool, Float, UInt8


@dataclass(frozen=True)
class FeatureSearch:
    """How features are followed; px of the pictures that are compared."""

    most: int  # features
    fewest: int  # that must be found again
    apart: int  # px between features, at least
    window: int  # px, side of the patch that is followed
    levels: int  # of the pyramid over the picture itself
    within: float  # px from the common motion, at which a feature still shares it


def shared_motion(first: UInt8, second: UInt8, search: FeatureSearch) -> tuple[Float, Bool] | None:
    """The motion [2,3] (px of the first to px of the second) of two grey pictures [h,w], and which features share it.

    None where too few features are found again, or no motion is found. The same pictures give the same motion.
    """
    a = cv2.goodFeaturesToTrack(first, search.most, 0.01, search.apart)
    if a is None:
        return None
    size = (search.window, search.window)
    b, found, _ = cv2.calcOpticalFlowPyrLK(first, second, a, a.copy(), winSize=size, maxLevel=search.levels)
    kept = found[:, 0] == 1
    if kept.sum() < search.fewest:
        return None
    cv2.setRNGSeed(0)
    motion, shares = cv2.estimateAffinePartial2D(a[kept], b[kept], ransacReprojThreshold=search.within)
    return None if motion is None else (np.asarray(motion), np.asarray(shares[:, 0] == 1))
