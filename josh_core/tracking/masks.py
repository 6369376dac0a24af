"""Masks of people who overlap in the image: who owns a pixel, and hiding one person to see another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from josh_core.tracking.detection import Mask
from josh_core.types import Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
COLOUR_BINS = 8  # per channel of the whole-body colours
RARE_COLOUR = 1e-3  # share of a colour that a person may show without having been seen with it
SHADOW_LIGHTNESS = 0.5  # lightness of a shadow over that around it, at most
# Standard deviation of Lab's two colour channels in a shadow, at most; a person has skin and clothes
SHADOW_HUE_SPREAD = 3.5
SHADE_RING, EVERYBODY_GROWN = 10, 2  # label px about a mask that it is compared with, but for those so near to anybody


@dataclass(frozen=True)
class Claim:
    """One person's claim on pixels: the mask of this frame, the one expected from the last, and their colours."""

    mask: Mask
    expected: Mask | None
    colours: Float | None  # [bins] whole-body histogram


def body_colours(lab: UInt8, mask: Mask) -> Float | None:
    """Histogram [bins] of a Lab image at label resolution under a mask; None for an empty mask."""
    height, width = mask.patch.shape
    own = (mask.patch > 127).astype(np.uint8)
    if own.sum() < 20:
        return None
    window = np.ascontiguousarray(lab[mask.y : mask.y + height, mask.x : mask.x + width])
    counts = cv2.calcHist([window], [0, 1, 2], own, [COLOUR_BINS] * 3, [0, 256] * 3).ravel()
    return counts / counts.sum()


def divide(claims: Sequence[Claim], lab: UInt8) -> list[Mask]:
    """Masks in which every pixel belongs to at most one person, from a Lab image [h,w,3] at label resolution."""
    masks = [Mask(c.mask.x, c.mask.y, c.mask.patch.copy()) for c in claims]
    for i in range(len(claims)):
        for j in range(i + 1, len(claims)):
            _settle(claims[i], claims[j], masks[i], masks[j], lab)
    return masks


def _settle(first: Claim, second: Claim, mine: Mask, yours: Mask, lab: UInt8) -> None:
    """Take each pixel that two masks share away from the one whose claim is weaker, in place."""
    box = _common(mine, yours)
    if box is None:
        return
    a, b = _window(mine, box), _window(yours, box)
    contested = (a > 127) & (b > 127)
    if not contested.any():
        return
    strength: Float = (a.astype(np.float32) - b) / 255
    if first.expected is not None and second.expected is not None:
        strength += 0.6 * (_window(first.expected, box).astype(np.float32) - _window(second.expected, box)) / 255
    if first.colours is not None and second.colours is not None:
        bins = (lab[box[1] : box[3], box[0] : box[2]].astype(int) * COLOUR_BINS) // 256
        index = (bins[..., 0] * COLOUR_BINS + bins[..., 1]) * COLOUR_BINS + bins[..., 2]
        ratio = np.log((first.colours[index] + RARE_COLOUR) / (second.colours[index] + RARE_COLOUR))
        strength += 0.25 * np.clip(ratio, -2, 2).astype(np.float32)
    strength = cv2.blur(strength, (5, 5))
    _clear(mine, box, contested & (strength <= 0))
    _clear(yours, box, contested & (strength > 0))


def _common(a: Mask, b: Mask) -> tuple[int, int, int, int] | None:
    """The xyxy rectangle that two patches share."""
    x0, y0 = max(a.x, b.x), max(a.y, b.y)
    x1 = min(a.x + a.patch.shape[1], b.x + b.patch.shape[1])
    y1 = min(a.y + a.patch.shape[0], b.y + b.patch.shape[0])
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _window(mask: Mask, box: tuple[int, int, int, int]) -> UInt8:
    """Mask values in an xyxy rectangle of the label image, 0 outside the patch."""
    out = np.zeros((box[3] - box[1], box[2] - box[0]), np.uint8)
    common = _common(mask, Mask(box[0], box[1], out))
    if common is not None:
        x0, y0, x1, y1 = common
        out[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]] = mask.patch[
            y0 - mask.y : y1 - mask.y, x0 - mask.x : x1 - mask.x
        ]
    return out


def _clear(mask: Mask, box: tuple[int, int, int, int], where: np.ndarray) -> None:
    view = mask.patch[box[1] - mask.y : box[3] - mask.y, box[0] - mask.x : box[2] - mask.x]
    view[where] = 0


def painted(masks: Sequence[Mask], width: int, height: int) -> UInt8:
    """One image [height,width] u8 at label resolution of all masks together."""
    out = np.zeros((height, width), np.uint8)
    whole = Mask(0, 0, out)
    for mask in masks:
        box = _common(mask, whole)
        if box is not None:
            view = out[box[1] : box[3], box[0] : box[2]]
            np.maximum(view, _window(mask, box), out=view)
    return out


def in_shade(lab: UInt8, mask: Mask, everybody: UInt8) -> bool:
    """Whether what a mask covers looks like a cast shadow: far darker than around it, and of one hue.

    lab: [h,w,3] and everybody: [h,w], all masks together, at label resolution.
    """
    height, width = everybody.shape
    margin = SHADE_RING + EVERYBODY_GROWN
    left, top = max(0, mask.x - margin), max(0, mask.y - margin)
    right = min(width, mask.x + mask.patch.shape[1] + margin)
    bottom = min(height, mask.y + mask.patch.shape[0] + margin)
    own = _window(mask, (left, top, right, bottom)) > 127
    lab, everybody = lab[top:bottom, left:right], everybody[top:bottom, left:right]
    near = cv2.dilate(own.astype(np.uint8), _square(SHADE_RING)) > 0
    ring = near & (cv2.dilate(everybody, _square(EVERYBODY_GROWN)) <= 60)
    if own.sum() < 20 or ring.sum() < 20:
        return False
    inside, around = lab[own].astype(np.float32), lab[ring].astype(np.float32)
    darker = inside[:, 0].mean() < SHADOW_LIGHTNESS * around[:, 0].mean()
    return bool(darker and inside[:, 1:].std(0).mean() < SHADOW_HUE_SPREAD)


def _square(radius: int) -> UInt8:
    return np.ones((2 * radius + 1,) * 2, np.uint8)


def hide(picture: UInt8, hidden: UInt8) -> UInt8:
    """A picture [h,w,3] in which the region `hidden` [h,w] > 127 is filled with its blurred surroundings."""
    seen = (cv2.dilate(hidden, np.ones((3, 3), np.uint8)) <= 127).astype(np.float32)
    if seen.all() or not seen.any():
        return picture
    reach = (max(3, picture.shape[0] // 3),) * 2
    sums = cv2.blur(picture * seen[..., None], reach)
    weight = np.maximum(cv2.blur(seen, reach), 1e-3)
    return np.where(seen[..., None] > 0, picture, sums / weight[..., None]).astype(np.uint8)


def label_images(
    named: Sequence[Mapping[int, Mask]], unnamed: Sequence[Mapping[int, Mask]], shape: tuple[int, int, int]
) -> UInt8:
    """Label images [T,h,w] from masks by frame: 0 background, k + 1 for named[k], 255 for anybody else."""
    labels = np.zeros(shape, np.uint8)
    for frame in range(shape[0]):
        strength = np.full(shape[1:], 127, np.uint8)
        whole = Mask(0, 0, strength)
        for label, masks in [*enumerate(named, 1), *((255, masks) for masks in unnamed)]:
            box = _common(masks[frame], whole) if frame in masks else None
            if box is not None:
                x0, y0, x1, y1 = box
                mine = _window(masks[frame], box)
                stronger = mine > strength[y0:y1, x0:x1]
                labels[frame, y0:y1, x0:x1][stronger] = label
                strength[y0:y1, x0:x1][stronger] = mine[stronger]
    return labels
