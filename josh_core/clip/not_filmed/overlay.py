"""What stays in the image while the rest moves: logos, captions, timers, the frame of an app, a bonnet.

Such pixels follow no camera, so features, flow and depth must leave them out. They are found by their gradients: an
edge that is printed on the image keeps its gradient, one of the scene takes it along. An edge along the motion keeps
its gradient too, so only corners count, and nothing tells where the camera leaves the scene in place: in the middle of
a zoom.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from josh_core.types import Bool, Clip, Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
FRAME_SIDE = 480  # px, longest side of the images that are looked at
WINDOW_SECONDS = (1.0, 3.0)  # a caption stays at least the first; a slow camera tells only in the second
WINDOW_FRAMES = 8  # frames of a window
# levels a pixel, from which a gradient counts: usually, and in a plain scene
STRONG_GRADIENT, FAINT_GRADIENT = 6.0, 3.0
MAX_MEDIAN_STAYING = 0.55  # share of a strong gradient that stays, median over the pixels of a picture that moves
MIN_STAYING = 0.9  # the same share at a pixel of an overlay
# px of FRAME_SIDE that the scene must move in half a window: at 3.5 px leaves of a wood seemed to stay
MIN_MOTION_PX = 5.0
MIN_CORNER = 2.5  # grey levels a pixel: smaller side of the structure around a pixel that stays
MARGIN, JOIN_GAP = 0.012, 0.02  # of the longest side: margin around an overlay, gap between letters that is closed
MIN_FEATURES, MIN_AGREEING = 20, 0.5  # features that move, and share of them that one affine motion explains
MIN_SHARE, MAX_SHARE = 1e-3, 0.6  # share of the image that an overlay takes


def find_overlay(clip: Clip) -> Bool | None:
    """[h,w] True (h,w: of the clip at FRAME_SIDE) on overlays; None without any, and where the picture hardly moves."""
    for seconds in WINDOW_SECONDS:
        seen = _windows(clip, seconds)
        if seen:
            mask = _joined(np.sum(seen, axis=0) >= min(2, len(seen)))
            return mask if MIN_SHARE < mask.mean() < MAX_SHARE else None
    return None


def _windows(clip: Clip, seconds: float) -> list[Bool]:
    """What stays [h,w] in each stretch of so many seconds in which the picture moves enough to tell."""
    windows = []
    for begin in np.arange(0, max(float(clip.times[-1]), 1e-6), seconds):
        inside = np.flatnonzero((clip.times >= begin) & (clip.times < begin + seconds))
        if len(inside) >= 4:
            windows.append(inside[np.unique(np.linspace(0, len(inside) - 1, WINDOW_FRAMES).astype(int))])
    with ThreadPoolExecutor(2) as pool:
        seen = list(pool.map(lambda frames: _staying(clip, frames), windows))
    return [stays for stays in seen if stays is not None]


def _staying(clip: Clip, frames: Float) -> Bool | None:
    """[h,w] True at corners that stay through the frames; None where the picture does not move enough to tell."""
    gradients = np.stack([_gradient(clip, int(t)) for t in frames])  # [n,h,w,2]
    size = np.median(np.linalg.norm(gradients, axis=-1), axis=0)
    median = np.median(gradients, axis=0)
    strong = size > STRONG_GRADIENT
    share = np.linalg.norm(median, axis=-1) / np.maximum(size, 1e-6)
    telling = size > np.clip(np.percentile(size, 80), FAINT_GRADIENT, STRONG_GRADIENT)
    if telling.sum() < 100 or np.median(share[telling]) > MAX_MEDIAN_STAYING:
        return None
    moved = _moved_px(clip, frames)
    if np.median(moved) < MIN_MOTION_PX:
        return None
    spread = np.median(np.linalg.norm(gradients - median, axis=-1), axis=0)
    stays = strong & (share > MIN_STAYING) & (spread < (1 - MAX_MEDIAN_STAYING) * size) & (moved > MIN_MOTION_PX)
    kept = (median * stays[..., None]).astype(np.float32)
    a, b, c = (cv2.blur(p, (9, 9)) for p in (kept[..., 0] ** 2, kept[..., 1] ** 2, kept[..., 0] * kept[..., 1]))
    smaller = (a + b) / 2 - np.sqrt(((a - b) / 2) ** 2 + c**2)
    return np.asarray(stays & (smaller > MIN_CORNER**2), np.bool_)


def _moved_px(clip: Clip, frames: Float) -> Float:
    """[h,w] px by which the camera moves the scene in half of the frames; infinite where no one motion tells."""
    first, second = (_gray(clip, int(frames[round(k * (len(frames) - 1))])) for k in (0.25, 0.75))
    height, width = first.shape
    everywhere = np.full((height, width), np.inf)
    a = cv2.goodFeaturesToTrack(first, 400, 0.01, 6)
    if a is None:
        return everywhere
    b, found, _ = cv2.calcOpticalFlowPyrLK(first, second, a, a.copy())
    went = (found[:, 0] == 1) & (np.linalg.norm(b - a, axis=-1)[:, 0] > 1)  # what is printed does not move
    if went.sum() < MIN_FEATURES:
        return everywhere
    cv2.setRNGSeed(0)
    matrix, fits = cv2.estimateAffine2D(a[went], b[went], ransacReprojThreshold=2.0)
    if matrix is None or fits.mean() < MIN_AGREEING:
        return everywhere
    y, x = np.mgrid[:height, :width]
    way = (matrix[:, :2] - np.eye(2)) @ np.stack([x.ravel(), y.ravel()]) + matrix[:, 2:]
    return np.asarray(np.linalg.norm(way, axis=0).reshape(height, width))


def _gray(clip: Clip, t: int) -> UInt8:
    return np.asarray(cv2.cvtColor(clip.frame(t, FRAME_SIDE), cv2.COLOR_RGB2GRAY), np.uint8)


def _gradient(clip: Clip, t: int) -> Float:
    gray = _gray(clip, t).astype(np.float32)
    return np.stack([cv2.Sobel(gray, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(gray, cv2.CV_32F, 0, 1) / 8], -1)


def _joined(seeds: Bool) -> Bool:
    """Corners joined to texts and logos, with a margin; single ones are chance."""
    longest = max(seeds.shape)
    joined = cv2.dilate(seeds.astype(np.uint8), _disc(JOIN_GAP * longest))
    count, labels, _, _ = cv2.connectedComponentsWithStats(joined)
    corners = np.bincount(labels[seeds], minlength=count)
    keep = (corners >= 12)[labels] & (labels > 0)
    near = cv2.erode((joined * keep).astype(np.uint8), _disc((JOIN_GAP - MARGIN) * longest))
    return np.asarray(near > 0, np.bool_)


def _disc(radius: float) -> Float:
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
