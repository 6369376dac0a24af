"""One coloured point cloud from all keyframes' depth maps: one point per cell, people left out."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from josh_core.geometry import best_of_each, row_keys
from josh_core.scene.depth.map_grid import MapGrid, keyframe_points
from josh_core.scene.matching.tracks import background
from josh_core.scene.surface.plates import Plates
from josh_core.threads import in_threads
from josh_core.types import Bool, Clip, DepthMaps, Float, Int, People, Scene, UInt8

# Chosen by hand, except where a measurement or a source is given.
MIN_CONFIDENCE = 0.12  # of a depth that is shown
CELL_PX = 1.2  # pixels of the map that a cell measures at its distance
MAX_DEPTH_STEP = 0.08  # relative depth step to a neighbouring pixel: beyond it a point is between front and back
MAX_POINTS = 300_000  # of a result: about 5 MB
_View = tuple[int, DepthMaps, UInt8]  # row and maps of one view of the scene, and its image [h,w,3]


def point_cloud(clip: Clip, people: People, scene: Scene, plates: Plates | None = None) -> tuple[Float, UInt8, Float]:
    """Points [P,3] in the CameraPath's world, colours [P,3] sRGB and confidence [P] in [0, 1].

    plates: of a camera that stands still, the picture without people, else it is made.
    Where several points share a cell the surest stays; what no second keyframe confirms has too little confidence.
    """
    grid = MapGrid.of(clip, scene.cameras.focal)

    def points_of(view: _View) -> tuple[Float, UInt8, Float, Float]:
        k, maps, rgb = view
        good = (maps.depth[k] > 0) & (maps.confidence[k] > MIN_CONFIDENCE)
        if scene.cameras.kind == "moving" and not maps.sparse:
            good &= ~_at_depth_jump(maps.depth[k])
        if scene.cameras.kind == "rotating":  # the picture shows the people; other keyframes see past them
            good &= background(people, int(scene.cameras.keyframes[k]), grid.width, grid.height)
        points = keyframe_points(maps, scene.cameras, grid, k, good)
        return points, rgb[good], maps.confidence[k][good], maps.depth[k][good] * CELL_PX / grid.focal

    seen = list(in_threads(points_of, _views(clip, people, scene, grid, plates)))
    p, rgb, c, s = (np.concatenate(rows) for rows in zip(*seen, strict=True))
    kept = _one_per_cell(p, s, c)
    while len(kept) > MAX_POINTS:
        s = s * 2**0.5
        kept = kept[_one_per_cell(p[kept], s[kept], c[kept])]
    return p[kept].astype(np.float32), rgb[kept].astype(np.uint8), c[kept].astype(np.float32)


def _views(clip: Clip, people: People, scene: Scene, grid: MapGrid, plates: Plates | None) -> Iterator[_View]:
    """Row and depth maps of every view of the scene, and its image [h,w,3]."""
    keyframes, side = scene.cameras.keyframes, max(grid.width, grid.height)
    if scene.cameras.kind == "static" and len(keyframes):
        plate = (plates or Plates(clip, people, scene.cameras)).at(int(keyframes[0]))
        yield _one_view(scene, cv2.resize(plate, (grid.width, grid.height), interpolation=cv2.INTER_AREA))
        return
    for k, frame in enumerate(keyframes):
        yield k, scene.depths, clip.frame(int(frame), side)


def _one_view(scene: Scene, plate: UInt8) -> _View:
    """All frames of a static camera as one view, with the clean plate as its image."""
    depths = scene.depths
    surest = depths.confidence.argmax(0)[None]
    depth, sure, backdrop = (
        np.take_along_axis(a, surest, 0) for a in (depths.depth, depths.confidence, depths.backdrop)
    )
    return 0, DepthMaps(depth, sure, backdrop), plate


def _at_depth_jump(depth: Float) -> Bool:
    """[h,w] True at a jump in depth."""
    step = np.zeros(depth.shape)
    for axis in (0, 1):
        jump = np.abs(np.diff(depth, axis=axis)) / np.maximum(np.minimum(*_neighbours(depth, axis)), 1e-9)
        before = [slice(None)] * 2
        after = [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        step[tuple(before)] = np.maximum(step[tuple(before)], jump)
        step[tuple(after)] = np.maximum(step[tuple(after)], jump)
    return step > MAX_DEPTH_STEP


def _neighbours(depth: Float, axis: int) -> tuple[Float, Float]:
    return np.take(depth, range(depth.shape[axis] - 1), axis), np.take(depth, range(1, depth.shape[axis]), axis)


def _one_per_cell(points: Float, sizes: Float, confidence: Float) -> Int:
    """Rows of the surest point of each cell; cells are cubes of about `sizes` [n], in steps of a half octave."""
    level = np.floor(2 * np.log2(np.maximum(sizes, 1e-9))).astype(np.int64)
    cell = np.floor(points / np.exp2(level / 2)[:, None]).astype(np.int64)
    return best_of_each(row_keys(np.concatenate([cell, level[:, None]], 1)), confidence)
