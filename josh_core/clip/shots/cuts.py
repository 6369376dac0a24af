"""Where a clip is cut: a sudden change of the picture that no common feature survives.

A fast pan changes every frame alike, a flash passes, somebody crossing leaves the rest of the picture in place;
none of them is a cut.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np

from josh_core.types import Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
THUMB_SIDE = 256  # px, longest side of the pictures compared here
GRID = 4  # colour histograms in GRID x GRID cells, so that layout counts as well
MIN_DISTANCE = 0.15  # histogram distance at a cut
DIFFERENT_LEVELS = 6.0  # levels of 255, from which two pictures differ: less is noise of the compression
MIN_PEAK_RATIO = 2.0  # change at a cut over that of the frames around it
MAX_FLASH = 5  # frames that a flash lasts
SAME_SHOT_SHARE = 0.10  # share of features that must fit one motion of the picture to be the same shot
MAX_GROWTH = 1.1  # size over that in the frame before: no zoom does that in one frame and not in those around it
MIN_FEATURES = 12  # fewer fitting features are chance


def find_cuts(thumbs: Sequence[UInt8]) -> list[int]:
    """Indices of the frames that begin a new shot, from small BGR pictures [h,w,3] of all frames."""
    histograms = [_histogram(thumb) for thumb in thumbs]
    jumps = np.array([_distance(a, b) for a, b in itertools.pairwise(histograms)])
    cuts = []
    for index in range(1, len(thumbs)):
        if not _stands_out(jumps, index - 1) or cv2.absdiff(thumbs[index - 1], thumbs[index]).mean() < DIFFERENT_LEVELS:
            continue
        if not _flash(histograms, jumps, index) and not _same_shot(thumbs, index):
            cuts.append(index)
    return cuts


def _histogram(thumb: UInt8) -> Float:
    """Colour histograms [GRID*GRID,bins] of the cells of a picture, each of sum one."""
    lab = cv2.cvtColor(thumb, cv2.COLOR_BGR2LAB)
    rows = np.array_split(lab, GRID)
    cells = [cell for row in rows for cell in np.array_split(row, GRID, axis=1)]
    bins = [cv2.calcHist([cell], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3).ravel() for cell in cells]
    return np.stack([b / max(b.sum(), 1) for b in bins])


def _distance(a: Float, b: Float) -> float:
    """Share of the picture, in [0, 1], whose colours changed: one minus histogram intersection."""
    return float(1 - np.minimum(a, b).sum(-1).mean())


def _stands_out(jumps: Float, at: int) -> bool:
    """Whether the change `at` is large and far larger than its two neighbours on each side."""
    around = np.concatenate([jumps[max(0, at - 2) : at], jumps[at + 1 : at + 3]])
    return bool(jumps[at] > MIN_DISTANCE and (len(around) == 0 or jumps[at] > MIN_PEAK_RATIO * around.max()))


def _flash(histograms: Sequence[Float], jumps: Float, index: int) -> bool:
    """Whether the picture before `index` is back soon after it, or that at `index` was there shortly before."""
    close = 0.5 * jumps[index - 1]
    back = any(_distance(histograms[index - 1], h) < close for h in histograms[index + 1 : index + 1 + MAX_FLASH])
    return back or any(
        _distance(histograms[index], h) < close for h in histograms[max(0, index - 1 - MAX_FLASH) : index - 1]
    )


def _same_shot(thumbs: Sequence[UInt8], index: int) -> bool:
    """Whether enough features on both sides of `index` agree on one motion of the picture that a camera makes.

    A cut to the same scene seen closer agrees on a motion too, but on a leap in size.
    """
    pairs = ((index - 1, index), (index - 1, index + 1), (index - 2, index))
    motions = [_motion(thumbs[a], thumbs[b]) for a, b in pairs if a >= 0 and b < len(thumbs)]
    return any(motion is not None and 1 / MAX_GROWTH < _growth(motion, thumbs[0]) < MAX_GROWTH for motion in motions)


def _growth(motion: Float, picture: UInt8) -> float:
    """How many times larger a homography [3,3] makes the middle of a picture."""
    height, width = picture.shape[:2]
    square = np.array([[[-1, -1], [1, -1], [1, 1], [-1, 1]]], np.float32) * min(width, height) / 4
    moved = cv2.perspectiveTransform(square + np.array([width / 2, height / 2], np.float32), motion)
    return float(np.sqrt(cv2.contourArea(moved) / cv2.contourArea(square)))


def alike(first: UInt8, second: UInt8) -> bool:
    """Whether features of two pictures agree on one motion."""
    return _motion(first, second) is not None


def _motion(first: UInt8, second: UInt8) -> Float | None:
    """The homography [3,3] on which features of two pictures agree, judged only where the picture changes.

    What stays exactly as it is (a caption, a logo) may have been printed on two shots alike.
    """
    off = (cv2.absdiff(first, second).max(-1) > DIFFERENT_LEVELS).astype(np.uint8)
    where = cv2.dilate(off, np.ones((9, 9), np.uint8))
    detector = cv2.ORB.create(nfeatures=500, fastThreshold=7)
    (points1, codes1), (points2, codes2) = (
        detector.detectAndCompute(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), where) for image in (first, second)
    )
    if codes1 is None or codes2 is None:
        return None
    matches = cv2.BFMatcher.create(cv2.NORM_HAMMING, crossCheck=True).match(codes1, codes2)
    if len(matches) < MIN_FEATURES:
        return None
    a = np.array([points1[m.queryIdx].pt for m in matches], np.float32)
    b = np.array([points2[m.trainIdx].pt for m in matches], np.float32)
    cv2.setRNGSeed(0)
    motion, inliers = cv2.findHomography(a, b, cv2.RANSAC, 4.0)
    count = 0 if motion is None else int(inliers.sum())
    return motion if count >= max(MIN_FEATURES, SAME_SHOT_SHARE * min(len(points1), len(points2))) else None
