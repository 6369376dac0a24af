"""A round film inside the picture, with a sharp or a soft edge; looked for around somebody.

The picture steps across its edge far more than across any other circle about the same middle, and does so all around.
Round things that were filmed have other edges beside theirs, and texture is the same at every radius.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from josh_core.shapes import check_shapes
from josh_core.types import Bool, Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
LOOKED_SIDE, LOOKED_FRAMES = 320, 6  # px, longest side, and number of the pictures that are looked at
REDUCED = (1, 2, 4)  # times, by which they are made smaller: an edge that is soft over 8 px is sharp in the last
MIN_EDGE, MAX_EDGE, MAX_MISSING = 4.0, 20.0, 0.25  # grey levels a pixel that vote, at least and most; frames without
MIN_RADIUS, MAX_RADIUS, MIN_RADIUS_PX = 0.06, 0.42, 7  # of the shorter side of the picture; of a reduced picture
MIN_RADIUS_SHARE, MAX_OFF_MIDDLE = 0.3, 0.9  # radius over the longer side of somebody's box; their distance over it
TRIED_RINGS, TRIED_PX = 4, (-1.0, -0.5, 0.0, 0.5, 1.0)  # rings with most votes; px around the best one's middle
# Of the radius, from which other circles are compared; px on either side of the ring to which its parts are; and px of
# the edge itself, which are not.
INNERMOST, REACH_PX, EDGE_PX = 0.3, 10, 2
MIN_INSIDE = 0.7  # share of a ring that lies in the picture
PARTS, WEAKEST, MIN_BESIDE = 12, 2, 2.0  # parts of a ring; which of them must step; levels beside it, at least
# Step across the ring over the largest across others about its middle, and, in its third weakest part, over that beside
# it: the smaller of the two. Chosen between what round films with edges of 1 and 16 px give and what is found around
# people in real and rendered clips without any.
MIN_RATIO = 1.5


@dataclass(frozen=True)
class Ring:
    """A circle, in shares of the longest side of a picture."""

    x: float
    y: float
    radius: float


def find_ring(pictures: Sequence[UInt8], box: Float) -> Ring | None:
    """The round film in pictures [h,w,3] around a box (left, top, right, bottom, px of them); None without one."""
    check_shapes("find_ring", picture=(pictures[0], "h w 3"), box=(box, "4"))
    longest = max(pictures[0].shape[:2])
    found = []
    for times in REDUCED:
        size = pictures[0].shape[1] // times, pictures[0].shape[0] // times
        small = [cv2.resize(p, size, interpolation=cv2.INTER_AREA).astype(np.float32) for p in pictures]
        rings = [(_ratio(small, *ring), ring) for ring in _voted(small, box / times)]
        if rings:
            x, y, radius = max(rings)[1]
            tried = [(x + dx, y + dy, radius) for dx in TRIED_PX for dy in TRIED_PX]
            found.append(max((_ratio(small, *ring), times, ring) for ring in tried))
    ratio, times, (x, y, radius) = max(found, default=(0.0, 1, (0.0, 0.0, 0.0)))
    if ratio < MIN_RATIO:
        return None
    return Ring((x + 0.5) * times / longest, (y + 0.5) * times / longest, radius * times / longest)


def _voted(pictures: Sequence[Float], box: Float) -> list[tuple[float, float, float]]:
    """x, y, radius of the rings around a box to whose middle most edges point that last through pictures [h,w,3]."""
    size, direction = _lasting_edges(pictures)
    height, width = size.shape
    left, top, right, bottom = box
    y, x = np.nonzero(size > MIN_EDGE)
    weight = np.minimum(size[y, x], MAX_EDGE)
    across, down = direction[y, x].T
    x, y = x.astype(np.float32), y.astype(np.float32)
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    least = max(MIN_RADIUS_PX, MIN_RADIUS_SHARE * max(right - left, bottom - top), MIN_RADIUS * min(height, width))
    found = []
    for radius in range(int(least), int(MAX_RADIUS * min(height, width)) + 1):
        reach = MAX_OFF_MIDDLE * radius
        low_x, high_x = max(0, int(middle_x - reach)), min(width, int(middle_x + reach) + 2)  # px where middles may be
        low_y, high_y = max(0, int(middle_y - reach)), min(height, int(middle_y + reach) + 2)
        if low_x >= high_x or low_y >= high_y:
            continue
        votes = np.zeros((high_y - low_y) * (high_x - low_x))
        for signed in (radius, -radius):
            at_x, at_y = np.rint(x + signed * across), np.rint(y + signed * down)
            near = (at_x - middle_x) ** 2 + (at_y - middle_y) ** 2 < reach**2
            near &= (at_x >= 0) & (at_x < width) & (at_y >= 0) & (at_y < height)
            cell = (at_y[near].astype(int) - low_y) * (high_x - low_x) + at_x[near].astype(int) - low_x
            votes += np.bincount(cell, weight[near], len(votes))
        votes = votes.reshape(high_y - low_y, high_x - low_x)
        summed = cv2.boxFilter(votes, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
        row, column = np.unravel_index(int(summed.argmax()), votes.shape)
        place = float(column + low_x), float(row + low_y), float(radius)
        found.append((float(summed[row, column]) / radius, *place))
    return [ring[1:] for ring in sorted(found, reverse=True)[:TRIED_RINGS]]


def _lasting_edges(pictures: Sequence[Float]) -> tuple[Float, Float]:
    """Slope [h,w] in grey levels a pixel that lasts through pictures [h,w,3], and its direction [h,w,2]."""
    slopes = []
    for picture in pictures:
        both = np.stack([cv2.Sobel(picture, cv2.CV_32F, *d) / 8 for d in ((1, 0), (0, 1))], -1)  # [h,w,3,2]
        strongest = (both**2).sum(-1).argmax(-1)[..., None, None]
        slopes.append(np.take_along_axis(both, strongest, 2)[:, :, 0])
    stack = np.stack(slopes)  # [n,h,w,2]
    size = np.quantile(np.linalg.norm(stack, axis=-1), MAX_MISSING, axis=0)
    xx, yy, xy = ((stack[..., i] * stack[..., j]).sum(0) for i, j in ((0, 0), (1, 1), (0, 1)))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)  # signs may differ from frame to frame: the axis of most change
    return size, np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32)


def _ratio(pictures: Sequence[Float], x: float, y: float, radius: float) -> float:
    """How much more pictures [h,w,3] step across a ring than across others, in all and in its weak parts."""
    height, width = pictures[0].shape[:2]
    angle = np.linspace(0, 2 * np.pi, max(32, int(2 * np.pi * radius)), endpoint=False)
    first = max(1, int(INNERMOST * radius))
    radii = np.arange(first, int(radius) + REACH_PX)
    at_x, at_y = x + np.cos(angle)[:, None] * radii, y + np.sin(angle)[:, None] * radii
    inside = ((at_x >= 1) & (at_x < width - 2) & (at_y >= 1) & (at_y < height - 2))[:, 1:-1]
    step = np.mean([_across(picture, at_x, at_y) for picture in pictures], axis=0)  # [a,r]
    at = round(radius) - first - 1
    own, before, behind = slice(at - 1, at + 2), slice(0, at - EDGE_PX), slice(at + EDGE_PX + 1, None)
    near = slice(max(0, at - REACH_PX), at - EDGE_PX)
    if inside[:, at].mean() < MIN_INSIDE:
        return 0.0
    mean = (step * inside).sum(0) / np.maximum(inside.sum(0), 1)
    ratio = float(mean[own].max() / max(*mean[before], *mean[behind], 1e-3))
    beside = np.concatenate([step[:, near], step[:, behind]], 1)
    return min(ratio, _weak_part(step[:, own].max(1), beside, inside[:, at]))


def _across(picture: Float, x: Float, y: Float) -> Float:
    """Step [a,r-2] of the colour that changes most, from one radius to the next but one, at places [a,r]."""
    around = cv2.remap(
        picture, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(np.abs(around[:, 2:] - around[:, :-2]).max(-1))


def _weak_part(own: Float, beside: Float, inside: Bool) -> float:
    """Step across a ring [a] over that beside it [a,r], in one of the weakest parts of it that lie in the picture."""
    begins = np.linspace(0, len(own), PARTS, endpoint=False).astype(int)
    sums = np.add.reduceat(np.column_stack([own, beside]) * inside[:, None], begins)
    count = np.add.reduceat(inside.astype(float), begins)
    enough = count > 0.5 * np.diff([*begins, len(own)])
    if not enough.any():
        return 0.0
    means = sums[enough] / count[enough, None]
    parts = means[:, 0] / np.maximum(np.percentile(means[:, 1:], 75, axis=1), MIN_BESIDE)
    return float(np.sort(parts)[min(WEAKEST, len(parts) - 1)])
