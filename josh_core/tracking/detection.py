"""One person seen in one frame, and how alike two such detections are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from josh_core.body.names import HIP_LANDMARKS, LIMB_LANDMARKS, MIRRORED_LANDMARKS, SHOULDER_LANDMARKS
from josh_core.types import Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
LAB_BINS = (6, 6, 6)  # of a Lab colour histogram


@dataclass(frozen=True)
class Mask:
    """A person's mask at label resolution: a patch [h,w] u8 (255 = surely person) at column x, row y."""

    x: int
    y: int
    patch: UInt8

    def at(self, points: Float) -> Float:
        """Mask values in [0, 1] at points [N,2] in label px; 0 outside the patch."""
        column = np.floor(points[:, 0]).astype(int) - self.x
        row = np.floor(points[:, 1]).astype(int) - self.y
        height, width = self.patch.shape
        inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
        out = np.zeros(len(points))
        out[inside] = self.patch[row[inside], column[inside]] / 255
        return out

    def moved(self, step: Float) -> Mask:
        """The mask moved by [2] label px, to the nearest whole one."""
        x, y = np.round(step).astype(int).tolist()
        return Mask(self.x + x, self.y + y, self.patch)


@dataclass(frozen=True)
class Detection:
    """One person detected in one frame."""

    landmarks_px: Float  # [33,2] px of the frame
    visibility: Float  # [33] in [0, 1]
    landmarks_m: Float  # [33,3] m, camera axes, origin between the hips
    mask: Mask
    colours: Float  # [2,bins] histograms of torso and thighs, each of sum one, or zero where unseen
    score: float  # [0, 1], how sure it is that this is one person
    shade: bool = False  # what the mask covers looks like a shadow

    @property
    def box(self) -> Float:
        """Bounds xyxy px of the landmarks, not cut to the image."""
        return np.concatenate([self.landmarks_px.min(0), self.landmarks_px.max(0)])


def size_of(landmarks_px: Float) -> float:
    """Size in px of a person [33,2]: the longer side of the box, but no less than the torso allows."""
    extent = np.ptp(landmarks_px, axis=0).max()
    torso = landmarks_px[list(SHOULDER_LANDMARKS)].mean(0) - landmarks_px[list(HIP_LANDMARKS)].mean(0)
    return float(max(extent, 2.5 * np.linalg.norm(torso), 1.0))


def score_of(landmarks_px: Float, visibility: Float, mask: Mask, label_scale: float) -> float:
    """How sure a detection is: visibility of the limbs, and how many of them lie on the mask."""
    limbs = list(LIMB_LANDMARKS)
    on_mask = mask.at(landmarks_px[limbs] * label_scale) > 0.4
    weight = visibility[limbs] + 1e-6
    return float(np.sqrt(visibility[limbs].mean() * (weight * on_mask).sum() / weight.sum()))


def colours_of(image: UInt8, landmarks_px: Float, mask: Mask, label_scale: float) -> Float:
    """Lab histograms [2,bins] of the torso and the thighs of a person in an RGB image, on the mask only."""
    torso = landmarks_px[[11, 12, 24, 23]]
    thighs = landmarks_px[[23, 24, 26, 25]]
    return np.stack([_histogram(image, part, mask, label_scale) for part in (torso, thighs)])


def _histogram(image: UInt8, corners: Float, mask: Mask, label_scale: float) -> Float:
    """Colours under a grid of points in the quadrangle [4,2], counted where the mask holds."""
    u, v = np.meshgrid(np.linspace(0.1, 0.9, 12), np.linspace(0.1, 0.9, 16))
    u, v = u.reshape(-1, 1), v.reshape(-1, 1)
    points = (1 - v) * ((1 - u) * corners[0] + u * corners[1]) + v * ((1 - u) * corners[3] + u * corners[2])
    column, row = np.floor(points).astype(int).T
    good = (column >= 0) & (row >= 0) & (column < image.shape[1]) & (row < image.shape[0])
    good &= mask.at(points * label_scale) > 0.5
    if good.sum() < 10:
        return np.zeros(int(np.prod(LAB_BINS)))
    pixels = image[row[good], column[good]].reshape(-1, 1, 3)
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    counts = cv2.calcHist([lab], [0, 1, 2], None, list(LAB_BINS), [0, 256, 64, 192, 64, 192])
    for axis in range(3):  # neighbouring colours are alike: light changes should not count as another colour
        counts = 0.5 * counts + 0.25 * (_shifted(counts, 1, axis) + _shifted(counts, -1, axis))
    return counts.ravel() / max(counts.sum(), 1)


def _shifted(counts: Float, step: int, axis: int) -> Float:
    """The histogram moved by one bin along an axis, its end repeated."""
    index = np.clip(np.arange(counts.shape[axis]) - step, 0, counts.shape[axis] - 1)
    return np.take(counts, index, axis)


def with_mask(detection: Detection, mask: Mask, image: UInt8, label_scale: float, shade: bool) -> Detection:
    """The detection with another mask, and with the colours and the score that follow from it."""
    px = detection.landmarks_px
    return replace(
        detection,
        mask=mask,
        colours=colours_of(image, px, mask, label_scale),
        score=score_of(px, detection.visibility, mask, label_scale),
        shade=shade,
    )


def colour_distance(a: Float, b: Float) -> float:
    """Distance in [0, 1] of two colour descriptions [2,bins]; 0.5, undecided, where neither part can be compared."""
    both = (a.sum(-1) > 0) & (b.sum(-1) > 0)
    if not both.any():
        return 0.5
    return float(np.sqrt(np.clip(1 - np.sqrt(a[both] * b[both]).sum(-1), 0, 1)).mean())


def landmark_distance(a: Float, b: Float) -> float:
    """Median distance of the limb landmarks of two skeletons [33,2], as a share of the person's size.

    Left and right may be exchanged: the network sometimes takes a back for a front.
    """
    limbs = list(LIMB_LANDMARKS)
    ways = [
        np.median(np.linalg.norm(a[limbs] - b[order][limbs], axis=-1))
        for order in (np.arange(33), list(MIRRORED_LANDMARKS))
    ]
    return float(min(ways) / min(size_of(a), size_of(b)))


def same_body(a: Detection, b: Detection, label_scale: float) -> bool:
    """Whether two detections in one frame are of one body: alike, or one within the other."""
    if landmark_distance(a.landmarks_px, b.landmarks_px) < 0.07:
        return True
    return max(covered(a, b, label_scale), covered(b, a, label_scale)) > 0.75


def covered(a: Detection, b: Detection, label_scale: float) -> float:
    """Share of the limbs of `a`, by visibility, that lies on the mask of `b`."""
    limbs = list(LIMB_LANDMARKS)
    weight = a.visibility[limbs] + 0.05
    return float((weight * (b.mask.at(a.landmarks_px[limbs] * label_scale) > 0.5)).sum() / weight.sum())


def overlap(a: Float, b: Float) -> float:
    """Intersection over union of two xyxy boxes."""
    span = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    inter = float(np.prod(np.clip(span, 0, None)))
    area = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - inter
    return inter / max(area, 1e-9)
