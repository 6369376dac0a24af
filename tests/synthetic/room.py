"""The room of the synthetic scenes: textured rectangles (ground, walls, a box) with exact ray intersections."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from josh_core.geometry import invert, pixel_grid, transform
from josh_core.types import Float, Int, UInt8

TEXELS = 100  # a metre
NO_HIT = -1
LEVELS = 5  # of the textures' pyramids


@dataclass(frozen=True)
class Rect:
    """A rectangle in the world: points corner + a u + b v with 0 <= a <= |u|, 0 <= b <= |v| (m along u and v)."""

    corner: Float  # [3] m
    u: Float  # [3] m
    v: Float  # [3] m
    textures: tuple[UInt8, ...]  # [h,w,3] sRGB, TEXELS a metre, mirrored beyond its size; each half the one before


@dataclass(frozen=True)
class Hits:
    """Where rays meet the room first."""

    distance: Float  # [N] in lengths of the ray's direction, inf where it meets nothing
    rect: Int  # [N] which rectangle, NO_HIT where none
    place: Float  # [N,2] m along u and v
    spread: Float  # [N] m on the surface that a radian of view covers, mean of both directions


@dataclass(frozen=True)
class Room:
    """All rectangles."""

    rects: tuple[Rect, ...]

    def cast(self, origin: Float, directions: Float) -> Hits:
        """First hit of each ray; origin: [3] m; directions: [N,3]."""
        n = len(directions)
        distance, which, place, spread = np.full(n, np.inf), np.full(n, NO_HIT), np.zeros((n, 2)), np.zeros(n)
        length = np.linalg.norm(directions, axis=1)
        for i, r in enumerate(self.rects):
            normal = np.cross(r.u, r.v) / np.linalg.norm(np.cross(r.u, r.v))
            towards = directions @ normal
            with np.errstate(divide="ignore", invalid="ignore"):
                t = ((r.corner - origin) @ normal) / towards
            near = np.flatnonzero((t > 1e-6) & (t < distance))
            sides = np.array([np.linalg.norm(r.u), np.linalg.norm(r.v)])
            at = (origin + t[near, None] * directions[near] - r.corner) @ (np.stack([r.u, r.v], 1) / sides)
            inside = ((at >= 0) & (at <= sides)).all(1)
            hit = near[inside]
            distance[hit], which[hit], place[hit] = t[hit], i, at[inside]
            spread[hit] = t[hit] * length[hit] / np.sqrt(np.abs(towards[hit]) / length[hit])
        return Hits(distance, which, place, spread)

    def cast_pixels(self, world_from_cam: Float, k: Float, width: int, height: int) -> Hits:
        """Hits of the rays through all pixel centres, row by row; `distance` is then depth (z in camera, m)."""
        return self.cast(world_from_cam[:3, 3], pixel_rays(k, width, height) @ world_from_cam[:3, :3].T)

    def colors(self, hits: Hits, focal: float) -> UInt8:
        """sRGB colours [N,3] of hits as a camera of `focal` px sees them; a pale sky where there is nothing."""
        out = np.full((len(hits.rect), 3), (196, 212, 226), np.uint8)
        level = np.clip(np.log2(np.maximum(hits.spread / focal * TEXELS, 1)).round(), 0, LEVELS - 1)
        for i, r in enumerate(self.rects):
            for step, texture in enumerate(r.textures):
                on = np.flatnonzero((hits.rect == i) & (level == step))
                out[on] = _sample(texture, hits.place[on] * TEXELS / 2**step)
        return out


def _sample(texture: UInt8, at: Float) -> UInt8:
    """Bilinear colours [N,3] at texels [N,2], the texture mirrored at its edges."""
    rows = -(-len(at) // 1024)  # cv2 takes no image with a side over 32767
    grid = np.zeros((rows * 1024, 2), np.float32)
    grid[: len(at)] = at - 0.5
    if not rows:
        return np.zeros((0, 3), np.uint8)
    x, y = cv2.split(grid.reshape(rows, 1024, 2))
    colors = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(colors.reshape(-1, 3)[: len(at)], np.uint8)


def pixel_rays(k: Float, width: int, height: int) -> Float:
    """Directions [h*w,3] in the camera, z = 1, through the pixel centres."""
    px = pixel_grid(width, height).reshape(-1, 2)
    return np.concatenate([(px - k[:2, 2]) / k[[0, 1], [0, 1]], np.ones((len(px), 1))], 1)


@dataclass(frozen=True)
class Box:
    """A box that stands on the ground: corners low and high [3] m in its own upright frame."""

    low: Float
    high: Float
    world_from_box: Float  # [4,4]

    def height_over(self, p_world: Float) -> Float:
        """Height [...] of points [...,3] over the top, inf beside it."""
        p = transform(invert(self.world_from_box), p_world.reshape(-1, 3)).reshape(p_world.shape)
        inside = ((p > self.low) & (p < self.high))[..., [0, 2]].all(-1)
        return np.where(inside, p[..., 1] - self.high[1], np.inf)


def make_room(seed: int = 0, box: Box | None = None) -> Room:
    """Ground 14 m x 17 m at y = 0, a back wall 9 m ahead, two side walls, and perhaps a box."""
    rects = [
        _rect((-7, 0, 8), (14, 0, 0), (0, 0, -17), _textures(seed, (128, 124, 116), (14, 17))),  # ground
        _rect((-7, 0, -9), (14, 0, 0), (0, 5, 0), _textures(seed + 1, (150, 120, 104), (14, 5))),  # back wall
        _rect((-7, 0, 8), (0, 0, -17), (0, 4, 0), _textures(seed + 2, (126, 134, 120), (17, 4))),  # left wall
        _rect((7, 0, -9), (0, 0, 17), (0, 4, 0), _textures(seed + 3, (122, 126, 138), (17, 4))),  # right wall
    ]
    return Room((*rects, *([] if box is None else _box_sides(box, _textures(seed + 4, (140, 110, 80), (2, 2))))))


def _rect(corner: tuple[float, ...], u: tuple[float, ...], v: tuple[float, ...], textures: tuple[UInt8, ...]) -> Rect:
    return Rect(np.array(corner, np.float64), np.array(u, np.float64), np.array(v, np.float64), textures)


def _box_sides(box: Box, textures: tuple[UInt8, ...]) -> list[Rect]:
    """Top and four sides."""
    turn, place = box.world_from_box[:3, :3], box.world_from_box[:3, 3]
    x, y, z = np.diag(box.high - box.low)
    a, b = box.low, box.high
    sides = [(a + y, x, z), (a, x, y), (a, z, y), (b - y, -x, y), (b - y, -z, y)]
    return [Rect(turn @ c + place, turn @ u, turn @ v, textures) for c, u, v in sides]


@lru_cache(maxsize=16)
def _textures(seed: int, base: tuple[int, int, int], size: tuple[int, int]) -> tuple[UInt8, ...]:
    """A surface of `size` m in stones of many tones with spots of every size, and its pyramid."""
    rng = np.random.default_rng(seed)
    width, height = size
    shape = (width * TEXELS, height * TEXELS)
    tone = rng.normal(0, 1, (3 * height, 3 * width, 1)) + 0.25 * rng.normal(0, 1, (3 * height, 3 * width, 3))
    out = cv2.resize(tone.astype(np.float32), shape, interpolation=cv2.INTER_NEAREST)
    for cells in (2, 7, 19, 40):  # a metre
        spots = rng.standard_normal((cells * height, cells * width), np.float32)
        out = out + cv2.resize(spots, shape, interpolation=cv2.INTER_CUBIC)[..., None]
    levels = [np.clip(np.array(base, np.float32) + 15 * out, 0, 255).astype(np.uint8)]
    while len(levels) < LEVELS:
        levels.append(np.asarray(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8))
    return tuple(levels)
