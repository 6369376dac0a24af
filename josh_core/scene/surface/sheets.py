"""Depth of all keyframes on a coarser grid, made consistent with each other, from which the surface is built.

Every keyframe's depth becomes the mean over all keyframes that see the same surface; its gaps are filled from others,
depths that others contradict are dropped, small holes are closed, and the sky is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from josh_core.geometry import invert, transform
from josh_core.scene.depth.map_grid import MapGrid
from josh_core.scene.matching.tracks import background
from josh_core.scene.surface.plates import lower_median
from josh_core.scene.surface.point_cloud import MIN_CONFIDENCE
from josh_core.threads import in_threads
from josh_core.types import Bool, Clip, Float, Int, People, Scene, UInt8

# Chosen by hand, except where a measurement or a source is given.
MAX_SHEETS = 30  # keyframes: each is held against every other, so that time grows with their square
GRID_SIDE = 224  # px, longest side of the grid: half of a depth map's, whose noise is correlated over pixels
SMOOTH_SIDE = 112  # px of it where the depth is only a floor and a backdrop
MAX_DISAGREEMENT = 0.06  # relative difference of depths up to which two keyframes see the same surface
SEEN_THROUGH = 0.15  # relative: a depth that much in front of what another keyframe sees is looked through
MIN_WITNESSES = 2  # other keyframes that fill a gap, or contradict a depth, together
PASSING_LEVELS = 45  # grey levels by which a shadow or a passer-by differs from the place; exposure changes less
CLOSING_PASSES = 4  # passes over holes: they close holes up to eight pixels wide
SKY_GROWTH, SKY_COLOR = 20, 24  # px of the grid, and levels of a channel, within which sky's rim is still sky
SQUARE_3X3 = np.ones((3, 3), np.uint8)  # structuring element of morphology


@dataclass(frozen=True)
class Sheets:
    """Depth of every keyframe on the reduced grid."""

    frames: Int  # [K] of the clip
    depth: Float  # [K,h,w], 0 where unknown
    world_from_cam: Float  # [K,4,4]
    free: Bool  # [K,h,w] nobody stands there, so that the picture shows the place
    gray: Float  # [K,h,w] grey levels
    grid: MapGrid

    def points(self, k: int) -> Float:
        """World points [h,w,3]; the camera itself where depth is unknown."""
        return transform(self.world_from_cam[k], (self.grid.rays * self.depth[k][..., None]).reshape(-1, 3)).reshape(
            *self.depth.shape[1:], 3
        )

    def seen_from(self, k: int, points: Float) -> tuple[Int, Float]:
        """Flat pixel [n] (-1 outside) and depth [n] in keyframe k of world points [n,3]."""
        p_cam = transform(invert(self.world_from_cam[k]), points)
        x, y = np.floor(self.grid.pixels(p_cam)).T
        inside = (p_cam[:, 2] > 1e-6) & (x >= 0) & (y >= 0) & (x < self.grid.width) & (y < self.grid.height)
        pixel = np.where(inside, y * self.grid.width + x, -1).astype(np.int64)
        return pixel, p_cam[:, 2]


def reduced(clip: Clip, people: People, scene: Scene) -> Sheets:
    """Depth on the reduced grid: the surest pixel of each block."""
    cameras, depths = scene.cameras, scene.depths
    most = 1 if cameras.kind == "static" else MAX_SHEETS  # all frames are the same
    rows = np.unique(np.linspace(0, len(cameras.keyframes) - 1, min(most, len(cameras.keyframes))).round().astype(int))
    grid = MapGrid.of(clip, cameras.focal, GRID_SIDE if cameras.kind == "moving" else SMOOTH_SIDE)
    frames = cameras.keyframes[rows]
    depth = np.stack(list(in_threads(lambda k: _surest(depths.depth[k], depths.confidence[k], grid), rows)))
    free = np.stack([background(people, int(f), grid.width, grid.height) for f in frames])
    if cameras.kind != "moving":  # the pictures are those of plates.py, without people
        free[:] = True
    pictures = [clip.frame(int(f), max(grid.width, grid.height)) for f in frames]
    if cameras.kind == "moving":
        free &= ~np.stack(list(in_threads(lambda inputs: _sky(*inputs), zip(depth, free, pictures, strict=True))))
    gray = np.stack([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]).astype(np.float32)
    world_from_cam = np.asarray(cameras.world_from_cam[frames], np.float64)
    return Sheets(frames, depth * free, world_from_cam, free, gray, grid)


def _sky(depth: Float, free: Bool, picture: UInt8) -> Bool:
    """[h,w] True where there is sky: unknown up to the picture's top, and what beside it looks just like it.

    Flow lends what it sees at a tree's edge to the sky around, so the rim of the sky has a depth too.
    """
    sky = np.logical_and.accumulate((depth == 0) & free, axis=0)
    channels = [channel.astype(np.float32) for channel in cv2.split(picture)]
    for _ in range(SKY_GROWTH):
        before = sky.copy()
        many = _box(sky.astype(np.float32))
        like = (many > 0) & free
        for channel in channels:
            like &= np.abs(channel - _box(channel * sky) / np.maximum(many, 1)) < SKY_COLOR
        sky |= like
        if (sky == before).all():
            break
    return sky


def _surest(depth: Float, confidence: Float, grid: MapGrid) -> Float:
    """Depth [grid] of the most confident pixel around each reduced one; 0 where none is confident."""
    sure = np.where((depth > 0) & (confidence > MIN_CONFIDENCE), confidence, 0)
    height, width = depth.shape
    step = max(1, round(width / grid.width))
    best_depth = np.zeros((grid.height, grid.width), np.float32)
    best = np.zeros((grid.height, grid.width), np.float32)
    rows = (np.arange(grid.height) * height / grid.height).astype(int)
    columns = (np.arange(grid.width) * width / grid.width).astype(int)
    for dy in range(step):
        for dx in range(step):
            at = np.ix_(np.minimum(rows + dy, height - 1), np.minimum(columns + dx, width - 1))
            better = sure[at] > best
            best[better], best_depth[better] = sure[at][better], depth[at][better]
    return best_depth


def agreed(sheets: Sheets) -> Sheets:
    """Depths that the keyframes agree on: averaged, gaps filled from others, contradicted ones removed.

    Pixels unlike the same place in most other keyframes (a shadow, a passer-by) are removed too.
    """
    count, shape = len(sheets.depth), sheets.depth.shape[1:]
    points = [sheets.points(k)[sheets.depth[k] > 0] for k in range(count)]
    shades = [sheets.gray[k][sheets.depth[k] > 0] for k in range(count)]

    def agreed_depth(k: int) -> Float:
        own = np.where(sheets.depth[k] > 0, sheets.depth[k], np.inf).ravel()
        depths, gray = np.full((2, count, own.size), np.inf, np.float32)
        depths[k], gray[k] = own, sheets.gray[k].ravel()
        for j in set(range(count)) - {k}:
            pixel, z = sheets.seen_from(k, points[j])
            shown = pixel >= 0
            pixel, z = pixel[shown], z[shown]
            nearest = np.full(own.size, np.inf)
            np.minimum.at(nearest, pixel, z)
            front = z == nearest[pixel]
            depths[j], gray[j][pixel[front]] = nearest, shades[j][shown][front]
        depth, agrees = _consensus(depths, own)
        usual = lower_median(np.where(agrees, gray, np.inf))
        passing = (agrees.sum(0) > 2 * MIN_WITNESSES) & (np.abs(gray[k] - usual) > PASSING_LEVELS)
        free = sheets.free[k] & ~cv2.dilate(passing.reshape(shape).astype(np.uint8), SQUARE_3X3).astype(bool)
        return _closed(depth.reshape(shape) * free) * free

    out = np.array(list(in_threads(agreed_depth, range(count))), sheets.depth.dtype).reshape(sheets.depth.shape)
    return replace(sheets, depth=out)


def _consensus(depths: Float, own: Float) -> tuple[Float, Bool]:
    """Depth [n] from the depths of the keyframes, [K,n] with inf for none, and which of them agree with it [K,n].

    own: [n] depth of the keyframe itself.
    """
    known = np.isfinite(depths)
    start = own.copy()
    gap = ~np.isfinite(own)
    start[gap] = lower_median(depths[:, gap])
    with np.errstate(invalid="ignore"):
        agrees = known & (np.abs(depths - start) < MAX_DISAGREEMENT * start)
        beyond = known & (depths > (1 + SEEN_THROUGH) * start)
    support = agrees.sum(0)
    mean = np.where(agrees, depths, 0).sum(0) / np.maximum(support, 1)
    good = np.isfinite(start) & (beyond.sum(0) < np.maximum(support, MIN_WITNESSES))
    good &= ~gap | (support >= MIN_WITNESSES)
    return np.where(good, mean, 0), agrees


def _closed(depth: Float) -> Float:
    """Depth [h,w] smoothed along its surfaces, and its small holes closed where what is around them is one surface."""
    inverse = np.where(depth > 0, 1 / np.maximum(depth, 1e-9), 0).astype(np.float32)
    for _ in range(CLOSING_PASSES):
        known = inverse > 0
        near, many = _box(inverse), _box(known.astype(np.float32))
        mean = near / np.maximum(many, 1e-6)
        low = -cv2.dilate(np.where(known, -inverse, -1e9).astype(np.float32), SQUARE_3X3)
        high = cv2.dilate(inverse, SQUARE_3X3)
        one_surface = (many > 0) & (high < (1 + 2 * MAX_DISAGREEMENT) * low)
        whole = many > SQUARE_3X3.size - 0.5  # at a rim the mean would lie to one side
        grown = one_surface & np.where(known, whole, many >= 4)
        inverse = np.where(grown, mean, inverse)
    return np.where(inverse > 0, 1 / np.maximum(inverse, 1e-9), 0)


def _box(image: Float) -> Float:
    """Sum over 3 x 3 pixels of [h,w]."""
    return np.asarray(cv2.boxFilter(image, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT))
