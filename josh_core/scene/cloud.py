"""One coloured point cloud from all keyframes' depth maps: seen by several, one point per cell, nobody in it."""

from __future__ import annotations

import numpy as np

from josh_core.scene.depth import MapGrid, keyframe_points
from josh_core.types import Bool, Clip, Float, Int, People, Scene, UInt8

LEAST_CONFIDENCE = 0.12
CELL = 1.2  # pixels of the map that a cell measures at its distance
STEEP = 0.08  # relative depth step to a neighbouring pixel: beyond it a point hangs between front and back
MOST_POINTS = 300_000


def point_cloud(clip: Clip, people: People, scene: Scene) -> tuple[Float, UInt8, Float]:
    """Points [P,3] in the CameraPath's world, colours [P,3] sRGB and confidence [P] in [0, 1].

    Where several points share a cell the surest stays; what no second keyframe confirms has too little confidence.
    """
    grid = MapGrid.of(clip, scene.cameras.focal)
    moving = scene.cameras.kind == "moving"
    keys = range(len(scene.cameras.keyframes)) if scene.cameras.kind != "static" else _few(len(scene.cameras.keyframes))
    points, colors, confidence, sizes = [], [], [], []
    for k in keys:
        good = (scene.depths.depth[k] > 0) & (scene.depths.confidence[k] > LEAST_CONFIDENCE)
        if moving:
            good &= ~_hanging(scene.depths.depth[k])
        rgb = clip.frame(int(scene.cameras.keyframes[k]), max(grid.width, grid.height))
        points.append(keyframe_points(scene.depths, scene.cameras, grid, k, good))
        colors.append(rgb[good])
        confidence.append(scene.depths.confidence[k][good])
        sizes.append(scene.depths.depth[k][good] * CELL / grid.focal)
    p, rgb, c, s = (np.concatenate(rows) for rows in (points, colors, confidence, sizes))
    kept = _one_per_cell(p, s, c)
    while len(kept) > MOST_POINTS:
        s = s * 2**0.5
        kept = kept[_one_per_cell(p[kept], s[kept], c[kept])]
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


def _one_per_cell(points: Float, sizes: Float, confidence: Float) -> Int:
    """Rows of the surest point of each cell; cells are cubes of about `sizes` [n], in steps of a half octave."""
    level = np.floor(2 * np.log2(np.maximum(sizes, 1e-9))).astype(np.int64)
    cell = np.floor(points / np.exp2(level / 2)[:, None]).astype(np.int64)
    # One number per cell: large primes keep different cells apart, and sorting one number is quick.
    key = cell[:, 0] * 73_856_093 + cell[:, 1] * 19_349_663_111 + cell[:, 2] * 83_492_791_000_003 + level * 7_919
    order = np.argsort(-confidence, kind="stable")
    _, first = np.unique(key[order], return_index=True)
    return np.sort(order[first])
