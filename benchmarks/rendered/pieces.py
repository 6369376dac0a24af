"""What a scene is drawn from: textured triangles, gathered by texture."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

from josh_core.types import Float

FLAT_UV = np.array([[0, 0], [1, 0], [1, 1], [0, 0], [1, 1], [0, 1.0]])


@dataclass(frozen=True)
class Texture:
    """A picture, and how large it is in the world."""

    image: Float  # [h,w,3] sRGB in [0,1], or [h,w,4] with alpha
    size: tuple[float, float]  # m, width and height of one repeat


@dataclass
class Pieces:
    """Triangles [3n,11] of each texture: position m, normal, texture coordinates, tint."""

    textures: dict[str, Texture] = field(default_factory=dict)
    triangles: dict[str, list[Float]] = field(default_factory=dict)

    def quad(self, corner: Float, right: Float, up: Float, texture: str, tint: Float | float = 1.0) -> None:
        """A rectangle from a corner and two edges; it faces right x up, and the picture runs along both."""
        corner, right, up = (np.asarray(v, np.float64) for v in (corner, right, up))
        size = self.textures[texture].size
        uv = FLAT_UV * [np.linalg.norm(right) / size[0], np.linalg.norm(up) / size[1]]
        shift = np.modf(np.abs(corner @ np.array([[0.37, 0.11], [0.53, 0.71], [0.29, 0.43]])))[0]
        self._add(texture, corner + FLAT_UV[:, :1] * right + FLAT_UV[:, 1:] * up, np.cross(right, up), uv + shift, tint)

    def sheet(self, corner: Float, right: Float, up: Float, texture: str, tint: Float | float = 1.0) -> None:
        """A rectangle with the whole picture once on it."""
        corner, right, up = (np.asarray(v, np.float64) for v in (corner, right, up))
        self._add(texture, corner + FLAT_UV[:, :1] * right + FLAT_UV[:, 1:] * up, np.cross(right, up), FLAT_UV, tint)

    def box(self, low: Float, high: Float, texture: str, top: str | None = None, tint: Float | float = 1.0) -> None:
        """A box along the axes, without its underside."""
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        x, y, z = np.diag(high - low)
        self.quad(low + z, x, y, texture, tint)
        self.quad(low + x, -x, y, texture, tint)
        self.quad(low + x + z, -z, y, texture, tint)
        self.quad(low, z, y, texture, tint)
        self.quad(low + y + z, x, -z, top or texture, tint)

    def column(self, base: Float, radius: float, height: float, texture: str, tint: Float | float = 1.0) -> None:
        """An upright prism of ten sides."""
        angles = np.linspace(0, 2 * np.pi, 11)
        ring = radius * np.stack([np.sin(angles), 0 * angles, np.cos(angles)], 1)
        for a, b in itertools.pairwise(ring):
            self.quad(np.asarray(base) + a, b - a, np.array([0, height, 0]), texture, tint)

    def foliage(self, rng: np.random.Generator, centre: Float, radii: Float, count: int, size: float) -> None:
        """A crown of `count` leaf sheets of `size` m in an ellipsoid."""
        out = rng.normal(0, 1, (count, 3))
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        places = np.asarray(centre) + out * np.asarray(radii) * rng.uniform(0.5, 1.0, (count, 1))
        for place, normal in zip(places, out + rng.normal(0, 0.4, out.shape), strict=True):
            right = np.cross(normal, rng.normal(0, 1, 3))
            right *= size * rng.uniform(0.7, 1.3) / np.linalg.norm(right)
            up = np.cross(normal, right)
            up *= np.linalg.norm(right) / np.linalg.norm(up)
            self.sheet(place - (right + up) / 2, right, up, "leaves", rng.uniform(0.7, 1.25))

    def _add(self, texture: str, points: Float, normal: Float, uv: Float, tint: Float | float) -> None:
        normal = normal / np.linalg.norm(normal)
        rows = np.hstack([points, np.tile(normal, (6, 1)), uv, np.tile(np.broadcast_to(tint, 3), (6, 1))])
        self.triangles.setdefault(texture, []).append(rows.astype(np.float32))
