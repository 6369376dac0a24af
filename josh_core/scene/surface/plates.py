"""Pictures of the place without the people in front of it, for a camera that does not travel."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from josh_core.scene.depth.map_grid import MapGrid
from josh_core.scene.matching.tracks import background
from josh_core.types import Bool, CameraPath, Clip, Float, Int, People, UInt8

# Chosen by hand, except where a measurement or a source is given.
PLATE_SIDE = 960  # px, longest side of the clean plate
PLATE_FRAMES = 25  # pictures that a plate is made of
INPAINT_RADIUS = 3  # px of the plate at half its size, around a hole, that tell its colours


@dataclass(frozen=True)
class Plates:
    """The pictures of a camera that stands still or turns, with what is behind the people in their place."""

    clip: Clip
    people: People
    cameras: CameraPath
    _made: dict[int, UInt8] = field(default_factory=dict, compare=False, repr=False)

    def at(self, frame: int) -> UInt8:
        """The picture [h,w,3] sRGB of a frame; longest side PLATE_SIDE px at most. A still camera has one for all."""
        still = self.cameras.kind == "static"
        key = 0 if still else frame
        if key not in self._made:
            self._made[key] = clean_plate(self.clip, self.people) if still else self._turned(frame)
        return self._made[key]

    @cached_property
    def _others(self) -> list[tuple[int, UInt8, Bool]]:
        """Frame, picture, and where nobody is in it, of frames all over the clip."""
        pictures = [(int(f), self.clip.frame(int(f), PLATE_SIDE)) for f in _spread(self.clip)]
        return [(f, rgb, background(self.people, f, rgb.shape[1], rgb.shape[0])) for f, rgb in pictures]

    def _turned(self, frame: int) -> UInt8:
        """A frame's own pixels, and behind its people the median of what other frames see in the same directions."""
        plate = self.clip.frame(frame, PLATE_SIDE).copy()
        height, width = plate.shape[:2]
        covered = ~background(self.people, frame, width, height)
        grid = MapGrid.of(self.clip, self.cameras.focal, PLATE_SIDE)
        rays = grid.rays[covered]
        views = self.cameras.world_from_cam[:, :3, :3]
        seen = np.full((len(self._others), len(rays), 3), np.inf, np.float32)
        for colors, (other, rgb, free) in zip(seen, self._others, strict=True):
            along = rays @ (views[frame].T @ views[other]).astype(np.float32)
            at = grid.pixels(along).astype(np.float32) - np.float32(0.5)  # OpenCV counts from the first centre
            inside = (along[:, 2] > 0) & (at >= 0).all(1) & (at <= [width - 1, height - 1]).all(1)
            column, row = np.round(at[inside]).astype(int).T
            inside[inside] = free[row, column]
            colors[inside] = _sampled(rgb, at[inside])
        usual = lower_median(seen)
        never = covered.copy()
        never[covered] = np.isinf(usual[:, 0])
        plate[covered] = np.where(np.isinf(usual), 0, usual)
        return _painted(plate, never)


def clean_plate(clip: Clip, people: People, side: int = PLATE_SIDE) -> UInt8:
    """The picture [h,w,3] sRGB behind the people of a camera that stands still; longest side `side` px.

    Each pixel is the median of the frames in which nobody covers it, so a ball in flight or a shoe that the mask has
    missed is gone too. What is covered in every frame is painted in from its surroundings.
    """
    few = _spread(clip)
    rgb = np.stack([clip.frame(int(frame), side) for frame in few]).astype(np.float32)
    height, width = rgb.shape[1:3]
    covered = ~np.stack([background(people, int(frame), width, height) for frame in few])
    never = np.asarray(covered.all(0), np.bool_)
    rgb[covered] = np.inf
    rgb[:, never] = 0
    return _painted(lower_median(rgb).astype(np.uint8), never)


def lower_median(values: Float) -> Float:
    """Lower median [...] of the finite values of [K,...]; inf where there is none."""
    ordered = np.sort(values, 0)
    middle = np.maximum((np.isfinite(values).sum(0) - 1) // 2, 0)
    return np.take_along_axis(ordered, middle[None], 0)[0]


def _spread(clip: Clip) -> Int:
    """Frames all over the clip, PLATE_FRAMES at most."""
    return np.unique(np.linspace(0, len(clip) - 1, min(len(clip), PLATE_FRAMES)).round().astype(int))


def _sampled(rgb: UInt8, at: Float) -> Float:
    """Colours [n,3] of a picture at pixels [n,2], interpolated; the first pixel's centre is (0, 0)."""
    rows = max(1, -(-len(at) // 1024))  # OpenCV's pictures have fewer than 32768 rows
    filled = np.zeros((rows * 1024, 2), np.float32)
    filled[: len(at)] = at
    table = filled.reshape(rows, 1024, 2)
    return cv2.remap(rgb, table, None, cv2.INTER_LINEAR).reshape(-1, 3)[: len(at)].astype(np.float32)


def _painted(plate: UInt8, never: Bool) -> UInt8:
    """The picture with what no frame shows painted in from its surroundings, at half the size since it is smooth."""
    if not never.any():
        return plate
    height, width = plate.shape[:2]
    small = (max(1, width // 2), max(1, height // 2))
    hole = cv2.resize(never.astype(np.float32), small, interpolation=cv2.INTER_AREA) > 0
    shrunk = cv2.resize(plate, small, interpolation=cv2.INTER_AREA)
    filled = cv2.inpaint(shrunk, hole.astype(np.uint8), INPAINT_RADIUS, cv2.INPAINT_TELEA)
    return np.where(never[..., None], cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR), plate)
