"""The reduced image that depth maps are made on: its pixels, rays and points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from josh_core.geometry import pixel_grid, transform
from josh_core.types import Bool, CameraPath, Clip, DepthMaps, Float, Int

# Chosen by hand, except where a measurement or a source is given.
MAP_SIDE = 448  # px, longest side of a depth map


@dataclass(frozen=True)
class MapGrid:
    """The reduced image that depth maps are made on."""

    width: int
    height: int
    focal: float  # px of the map
    rays: Float  # [h,w,3] camera rays with z = 1

    @classmethod
    def of(cls, clip: Clip, focal: float, side: int = MAP_SIDE) -> MapGrid:
        """Grid for the frames of a clip and a focal in px of its frames."""
        scale = min(1.0, side / max(clip.width, clip.height))
        width, height = max(1, round(clip.width * scale)), max(1, round(clip.height * scale))
        centred = pixel_grid(width, height) - [width / 2, height / 2]
        small = focal * width / clip.width
        rays = np.concatenate([centred / small, np.ones((height, width, 1))], -1)
        return cls(width, height, small, rays.astype(np.float32))

    def pixels(self, p_cam: Float) -> Float:
        """Pixels [...,2] of camera points [...,3]; z is held above zero."""
        return self.focal * p_cam[..., :2] / np.maximum(p_cam[..., 2:], 1e-6) + [self.width / 2, self.height / 2]


def empty_depths(cameras: CameraPath, clip: Clip) -> DepthMaps:
    """Maps without any depth, for a camera that does not travel."""
    grid = MapGrid.of(clip, cameras.focal)
    shape = (len(cameras.keyframes), grid.height, grid.width)
    return DepthMaps(np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.bool_))


def keyframe_points(maps: DepthMaps, cameras: CameraPath, grid: MapGrid, k: int, good: Bool) -> Float:
    """World points [n,3] of the pixels of keyframe k that are True in good [h,w]."""
    p_cam = grid.rays[good] * maps.depth[k][good][:, None]
    return transform(cameras.world_from_cam[cameras.keyframes[k]], p_cam)


def frame_pixels(points_px: Float, clip: Clip, grid: MapGrid) -> Int:
    """Map pixels [...,2] (x, y) of clip pixels [...,2], held inside the map."""
    scaled = points_px * [grid.width / clip.width, grid.height / clip.height]
    return np.clip(np.floor(scaled), 0, [grid.width - 1, grid.height - 1]).astype(int)
