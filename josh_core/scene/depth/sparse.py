"""Sparse depth maps: depth only at the pixels where points of the camera's solution are seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from josh_core.geometry import invert, transform
from josh_core.scene.camera.solve import CameraSolution
from josh_core.scene.depth.map_grid import MapGrid, empty_depths
from josh_core.scene.matching.tracks import Tracks
from josh_core.types import Clip, DepthMaps

# Chosen by hand, except where a measurement or a source is given.
SPARSE_CONFIDENCE = 0.6  # confidence: a point of the camera's solution agrees with three keyframes at least


def sparse_depths(clip: Clip, tracks: Tracks, solution: CameraSolution) -> DepthMaps:
    """Depth at the map's pixels that a solved point falls on, in the registered keyframes that saw it; else 0.

    clip: without lens distortion. Where points share a pixel the nearest stays.
    """
    cameras = solution.path
    grid, out = MapGrid.of(clip, cameras.focal), empty_depths(cameras, clip)
    row = np.full(tracks.count, -1)
    row[solution.ids] = np.arange(len(solution.ids))
    for k in np.nonzero(cameras.registered[cameras.keyframes])[0]:
        seen = row[tracks.frame(int(cameras.keyframes[k]))[0]]
        p_cam = transform(invert(cameras.world_from_cam[cameras.keyframes[k]]), solution.points[seen[seen >= 0]])
        x, y = np.floor(grid.pixels(p_cam)).astype(int).T
        good = (p_cam[:, 2] > 0) & (x >= 0) & (y >= 0) & (x < grid.width) & (y < grid.height)
        far_first = np.argsort(-p_cam[good, 2], kind="stable")  # the last that is written stays
        at = y[good][far_first], x[good][far_first]
        out.depth[k][at] = p_cam[good, 2][far_first]
        out.confidence[k][at] = SPARSE_CONFIDENCE
    return replace(out, sparse=True)


def without_points(maps: DepthMaps) -> DepthMaps:
    """The maps without the sparse points, that is the filled-in floor alone: single points make no surface."""
    return replace(maps, depth=np.where(maps.confidence < np.float32(SPARSE_CONFIDENCE), maps.depth, 0))
