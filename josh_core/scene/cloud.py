"""One coloured point cloud from all keyframes' depth maps: seen by several, one point per cell, nobody in it."""

from __future__ import annotations

import numpy as np

from josh_core.scene.depth import MapGrid, compare, keyframe_points
from josh_core.types import Bool, Clip, Float, People, Scene, UInt8

LEAST_CONFIDENCE = 0.12
CELL = 0.9  # pixels of the map that a cell measures at its distance
STEEP = 0.08  # relative depth step to a neighbouring pixel: beyond it a point hangs between front and back
MOST_POINTS = 300_000


def point_cloud(clip: Clip, people: People, scene: Scene) -> tuple[Float, UInt8, Float]:
    """Points [P,3] in the CameraPath's world, colours [P,3] sRGB and confidence [P] in [0, 1].

    A point of a travelling camera must be confirmed by a second keyframe; where cells overlap the surest point stays.
    """
    grid = MapGrid.of(clip, scene.cameras.focal)
    moving = scene.cameras.kind == "moving"
    keys = range(len(scene.cameras.keyframes)) if scene.cameras.kind != "static" else _few(len(scene.cameras.keyframes))
    points, colors, confidence, sizes = [], [], [], []
    for k in keys:
        good = (scene.depths.depth[k] > 0) & (scene.depths.confidence[k] > LEAST_CONFIDENCE)
        if moving:
            good &= ~_hanging(scene.depths.depth[k]) & _confirmed(scene, grid, k)
        rgb = clip.frame(int(scene.cameras.keyframes[k]), max(grid.width, grid.height))
        points.append(keyframe_points(scene.depths, scene.cameras, grid, k, good))
        colors.append(rgb[good])
        confidence.append(scene.depths.confidence[k][good])
        sizes.append(scene.depths.depth[k][good] * CELL / grid.focal)
    p, rgb, c, s = (np.concatenate(rows) for rows in (points, colors, confidence, sizes))
    kept = _one_per_cell(p, s, c)
    if len(kept) > MOST_POINTS:
        kept = np.sort(np.random.default_rng(0).permutation(kept)[:MOST_POINTS])
    return p[kept].astype(np.float32), rgb[kept].astype(np.uint8), c[kept].astype(np.float32)


def _few(count: int) -> list[int]:
    """A few keyframes that see what people hide from each other."""
    return sorted(set(np.linspace(0, count - 1, min(count, 8)).round().astype(int).tolist()))


def _hanging(depth: Float) -> Bool:
    """[h,w] True at a jump in depth."""
    step = np.zeros(depth.shape)
    for axis in (0, 1):
        jump = np.abs(np.diff(depth, axis=axis)) / np.maximum(np.minimum(*_neighbours(depth, axis)), 1e-9)
        before = [slice(None)] * 2
        after = [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        step[tuple(before)] = np.maximum(step[tuple(before)], jump)
        step[tuple(after)] = np.maximum(step[tuple(after)], jump)
    return step > STEEP


def _neighbours(depth: Float, axis: int) -> tuple[Float, Float]:
    return np.take(depth, range(depth.shape[axis] - 1), axis), np.take(depth, range(1, depth.shape[axis]), axis)


def _confirmed(scene: Scene, grid: MapGrid, k: int) -> Bool:
    """[h,w] True where another keyframe sees the same surface and no more of them see through it."""
    count = len(scene.cameras.keyframes)
    yes, no = np.zeros(scene.depths.depth[k].shape, int), np.zeros(scene.depths.depth[k].shape, int)
    for other in (j for j in (k - 4, k - 2, k - 1, k + 1, k + 2, k + 4) if 0 <= j < count):
        same, through = compare(scene.depths, scene.cameras, grid, k, other)
        yes += same
        no += through
    return (yes >= min(1, count - 1)) & (yes >= no)


def _one_per_cell(points: Float, sizes: Float, confidence: Float) -> Float:
    """Rows of the surest point of each cell; cells are cubes of power-of-two size, about as large as `sizes` [n]."""
    level = np.floor(np.log2(np.maximum(sizes, 1e-9))).astype(np.int64)
    cell = np.floor(points / np.exp2(level)[:, None]).astype(np.int64)
    order = np.argsort(-confidence, kind="stable")
    _, first = np.unique(np.concatenate([cell, level[:, None]], -1)[order], axis=0, return_index=True)
    return np.sort(order[first])
