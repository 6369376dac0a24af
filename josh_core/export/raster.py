"""A small software renderer with a depth buffer (numpy): points, shaded meshes and lines seen by a pinhole camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from josh_core.export.rig import vertex_normals
from josh_core.geometry import invert, project, transform
from josh_core.types import Bool, Float, Int, UInt8

_LARGEST_TRIANGLE = 512  # px, a triangle with a longer side is left out: the body is inside the camera there


@dataclass(frozen=True)
class View:
    """An OpenCV camera in the world that a picture is rendered for."""

    world_from_cam: Float  # [4,4]
    intrinsics: Float  # [3,3] px
    width: int  # px
    height: int  # px
    near: float = 0.05  # m, nothing closer to the camera is drawn

    def project(self, p_world: Float) -> tuple[Float, Float]:
        """Pixels [N,2] and depth [N] m (z in camera) of world points [N,3]."""
        p_cam = transform(invert(np.asarray(self.world_from_cam, np.float64)), np.asarray(p_world, np.float64))
        return project(np.asarray(self.intrinsics, np.float64), p_cam), p_cam[:, 2]


class Canvas:
    """An image [h,w,3] u8 and its depth buffer [h,w] m; nearer things hide farther ones in any order of drawing."""

    def __init__(self, view: View, background: UInt8) -> None:
        self.view = view
        self.image = np.empty((view.height, view.width, 3), np.uint8)
        self.image[:] = background  # a colour [3] or a whole picture
        self.depth = np.full((view.height, view.width), np.inf)

    def copy(self) -> Canvas:
        """Another canvas with the same picture, to draw on."""
        other = Canvas(self.view, self.image)
        other.depth = self.depth.copy()
        return other

    def points(self, p_world: Float, colors: UInt8, size: int = 2) -> None:
        """Squares of `size` px at world points [N,3] in sRGB colours [N,3]."""
        px, z = self.view.project(p_world)
        corner = np.floor(px - (size - 1) / 2).astype(np.int64)
        offset = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).reshape(-1, 2)
        xy = (corner[:, None] + offset).reshape(-1, 2)
        self._write(xy, np.repeat(z, len(offset)), np.repeat(colors, len(offset), 0))

    def mesh(self, vertices: Float, faces: Int, color: UInt8, normals: Float | None = None) -> None:
        """The outside of a closed mesh of world vertices [V,3], lit from beside the camera.

        color: sRGB [3], or [V,3] a vertex; normals: [V,3] unit, else those of the faces around each vertex.
        """
        px, z = self.view.project(vertices)
        if normals is None:
            normals = vertex_normals(np.asarray(vertices, np.float64), faces)
        lit = _shade(self.view, normals)[:, None] * color  # [V,3]
        solid = (z[faces] > self.view.near).all(1) & _faces_camera(px[faces])
        xy, face, weight = _fragments(px, faces[solid], self.view.width, self.view.height)
        corners = faces[solid][face]
        depth = (z[corners] * weight).sum(1)
        shown = (lit[corners] * weight[..., None]).sum(1)
        self._write(xy, depth, np.clip(shown, 0, 255).astype(np.uint8))

    def textured(self, vertices: Float, faces: Int, uv: Float, texture: UInt8) -> None:
        """Both sides of a mesh in a texture's own sRGB colours [h,w,3], without light; uv: [V,2], (0, 0) top left."""
        px, z = self.view.project(vertices)
        solid = faces[(z[faces] > self.view.near).all(1)]
        xy, face, weight = _fragments(px, solid, self.view.width, self.view.height)
        corners = solid[face]
        near = weight / z[corners]  # straight lines of the texture stay straight in perspective
        near /= near.sum(1, keepdims=True)
        size = np.array(texture.shape[1::-1])
        at = np.clip(((uv[corners] * near[..., None]).sum(1) * size).astype(np.int64), 0, size - 1)
        self._write(xy, (z[corners] * near).sum(1), texture[at[:, 1], at[:, 0]])

    def line(self, p_world: Float, color: UInt8, width: int = 2) -> None:
        """A line through world points [N,3], over everything; the parts behind the camera are left out."""
        px, z = self.view.project(p_world)
        near = 16 * max(self.view.width, self.view.height)  # far outside the image cv2's fixed point would overflow
        fixed = np.round(np.clip(px, -near, near) * 16).astype(np.int32)
        for a in np.flatnonzero((z[:-1] > self.view.near) & (z[1:] > self.view.near)):
            ends = (int(fixed[a, 0]), int(fixed[a, 1])), (int(fixed[a + 1, 0]), int(fixed[a + 1, 1]))
            cv2.line(self.image, *ends, [int(c) for c in color], width, cv2.LINE_AA, 4)

    def _write(self, xy: Int, z: Float, colors: UInt8) -> None:
        """Fragments at pixels xy [M,2] of depth z [M] and colours [M,3]; the nearest one stays."""
        inside = (z > self.view.near) & (xy >= 0).all(1) & (xy[:, 0] < self.view.width) & (xy[:, 1] < self.view.height)
        pixel = xy[inside, 1] * self.view.width + xy[inside, 0]
        z, colors = z[inside], colors[inside]
        depth = self.depth.reshape(-1)
        np.minimum.at(depth, pixel, z)
        seen = depth[pixel] == z
        self.image.reshape(-1, 3)[pixel[seen]] = colors[seen]


def _faces_camera(corners: Float) -> Bool:
    """Which triangles [F,3,2] px, wound as seen from outside, show their front (y goes down in the image)."""
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] < 0, np.bool_)


def _shade(view: View, normals: Float) -> Float:
    """Brightness [V] of a matt surface with normals [V,3]: a light up and left of the camera, and ambient light."""
    lamp = np.array([-0.35, -0.55, -0.76])  # camera axes
    return 0.45 + 0.65 * np.clip(normals @ view.world_from_cam[:3, :3] @ lamp, 0, 1)


def _fragments(px: Float, faces: Int, width: int, height: int) -> tuple[Int, Int, Float]:
    """Pixels [M,2], face index [M] and barycentric weights [M,3] of all pixel centres inside triangles.

    Triangles are processed in groups of similar size, each over a square that covers it.
    """
    corners = px[faces]  # [F,3,2]
    low = np.floor(corners.min(1)).astype(np.int64)
    side = (np.ceil(corners.max(1)).astype(np.int64) - low).max(1)
    seen = (corners.max(1) > 0).all(1) & (low[:, 0] < width) & (low[:, 1] < height) & (side <= _LARGEST_TRIANGLE)
    parts = []
    size, smaller = 2, 0
    while smaller < _LARGEST_TRIANGLE:
        chosen = np.flatnonzero(seen & (side > smaller) & (side <= size))
        if len(chosen):
            parts.append(_inside(corners[chosen], low[chosen], chosen, size))
        size, smaller = size * 2, size
    if not parts:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.int64), np.zeros((0, 3))
    xy, face, weight = (np.concatenate(x) for x in zip(*parts, strict=True))
    return xy, face, weight


def _inside(corners: Float, low: Int, faces: Int, size: int) -> tuple[Int, Int, Float]:
    """Pixels of `size` x `size` squares at `low` [F,2] whose centres lie inside the triangles `corners` [F,3,2]."""
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).reshape(-1, 2)
    start = (low + 0.5 - corners[:, 0]).astype(np.float32)  # relative to the first corner, small: float32 is enough
    x, y = start[:, :1] + grid[:, 0].astype(np.float32), start[:, 1:] + grid[:, 1].astype(np.float32)  # [F,S]
    u, v = ((corners[:, i] - corners[:, 0]).astype(np.float32) for i in (1, 2))
    area = (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):  # triangles seen edge-on have no inside
        b = (x * v[:, 1:] - y * v[:, :1]) / area
        c = (y * u[:, :1] - x * u[:, 1:]) / area
        face, pixel = np.nonzero((b >= 0) & (c >= 0) & (b + c <= 1))
    b, c = b[face, pixel], c[face, pixel]
    return grid[pixel] + low[face], faces[face], np.stack([1 - b - c, b, c], -1)
