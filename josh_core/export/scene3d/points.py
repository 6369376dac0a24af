"""Thinning of scene points so that files stay small and points evenly spread."""

from __future__ import annotations

import numpy as np

from josh_core.geometry import best_of_each
from josh_core.types import PointCloud

# Chosen by hand, except where a measurement or a source is given.
_FINEST = 0.01  # m, smallest voxel; chosen by hand
_COARSER = 1.25  # factor of the voxel size from one try to the next


def thin(cloud: PointCloud, most: int) -> PointCloud:
    """At most `most` points: the most confident one of each voxel, with the smallest voxel size that suffices."""
    voxel = _FINEST
    while len(cloud.points) > most:
        cloud = _one_per_voxel(cloud, voxel)
        voxel *= _COARSER
    return cloud


def _one_per_voxel(cloud: PointCloud, voxel: float) -> PointCloud:
    cell = np.floor((cloud.points - cloud.points.min(0)) / voxel).astype(np.int64)
    size = cell.max(0) + 1
    key = (cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]
    keep = best_of_each(key, cloud.confidence)
    return PointCloud(cloud.points[keep], cloud.colors[keep], cloud.confidence[keep])
