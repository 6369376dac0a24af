"""A small software renderer with a depth buffer (numpy): points, shaded meshes and lines seen by a pinhole camera."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from josh_core.export.rig import vertex_normals
from josh_core.geometry import invert, project, transform
from josh_core.types import Bool, Float, Int, UInt8

# Chosen by hand, except where a measurement or a source is given.
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
        inside = np.flatnonzero((xy >= 0).all(1) & (xy < (self.view.width, self.view.height)).all(1))
        pixel = xy[inside, 1] * self.view.width + xy[inside, 0]
        seen = self._nearest(pixel, z[inside // len(offset)])
        self.image.reshape(-1, 3)[pixel[seen]] = colors[inside[seen] // len(offset)]

    def mesh(self, vertices: Float, faces: Int, color: UInt8, normals: Float | None = None) -> None:
        """The outside of a closed mesh of world vertices [V,3], lit from beside the camera.

        color: sRGB [3], or [V,3] a vertex; normals: [V,3] unit, else those of the faces around each vertex.
        """
        px, z = self.view.project(vertices)
        if normals is None:
            normals = vertex_normals(np.asarray(vertices, np.float64), faces)
        lit = _shade(self.view, normals)[:, None] * color  # [V,3]
        solid = faces[(z[faces] > self.view.near).all(1) & _faces_camera(px[faces])]
        fragments = _Fragments(px, solid, self.view.width, self.view.height)
        seen = self._nearest(fragments.pixel, fragments.spread(z[solid]))
        shown = [fragments.spread(channel[solid], seen) for channel in lit.T]
        self.image.reshape(-1, 3)[fragments.pixel[seen]] = np.clip(np.stack(shown, 1), 0, 255).astype(np.uint8)

    def textured(self, vertices: Float, faces: Int, uv: Float, texture: UInt8, both_sides: bool = True) -> None:
        """A mesh in a texture's own sRGB colours [h,w,3], without light; uv: [V,2], (0, 0) top left.

        both_sides: else only where its corners run counter-clockwise as seen from here.
        """
        px, z = self.view.project(vertices)
        solid = faces[(z[faces] > self.view.near).all(1)]
        if not both_sides:
            solid = solid[_faces_camera(px[solid])]
        fragments = _Fragments(px, solid, self.view.width, self.view.height)
        near = 1 / z  # this and all that is divided by z grow evenly over the picture of a plane
        depth = 1 / fragments.spread(near[solid])
        seen = self._nearest(fragments.pixel, depth)
        x, y = (
            np.clip((fragments.spread((a * near)[solid], seen) * depth[seen] * side).astype(np.int64), 0, side - 1)
            for a, side in zip(uv.T, texture.shape[1::-1], strict=True)
        )
        self.image.reshape(-1, 3)[fragments.pixel[seen]] = texture[y, x]

    def line(self, p_world: Float, color: UInt8, width: int = 2) -> None:
        """A line through world points [N,3], over everything; the parts behind the camera are left out."""
        px, z = self.view.project(p_world)
        self._segments(np.stack([px[:-1], px[1:]], 1), np.minimum(z[:-1], z[1:]), [color] * (len(px) - 1), width)

    def segments(self, p_world: Float, colors: Float, width: int = 1) -> None:
        """Straight lines between pairs of world points [N,2,3], each of its own colour [N,3]; else as `line`."""
        px, z = self.view.project(p_world.reshape(-1, 3))
        self._segments(px.reshape(-1, 2, 2), z.reshape(-1, 2).min(1), colors, width)

    def _segments(self, px: Float, z: Float, colors: Iterable[Float], width: int) -> None:
        far = 16 * max(self.view.width, self.view.height)  # far outside the image cv2's fixed point would overflow
        fixed = np.round(np.clip(px, -far, far) * 16).astype(np.int32).tolist()
        for (a, b), shown, color in zip(fixed, z > self.view.near, colors, strict=True):
            if shown:
                cv2.line(self.image, a, b, [int(c) for c in color], width, cv2.LINE_AA, 4)

    def _nearest(self, pixel: Int, z: Float) -> Int:
        """Put fragments of depth z [M] into the depth buffer at flat indices `pixel` [M]; those [m] nearest so far."""
        depth = self.depth.reshape(-1)
        before = np.flatnonzero((z > self.view.near) & (z < depth[pixel]))
        np.minimum.at(depth, pixel[before], z[before])
        return before[depth[pixel[before]] == z[before]]


def _faces_camera(corners: Float) -> Bool:
    """Which triangles [F,3,2] px, wound as seen from outside, show their front (y goes down in the image)."""
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] < 0, np.bool_)


def _shade(view: View, normals: Float) -> Float:
    """Brightness [V] of a matt surface with normals [V,3]: a light up and left of the camera, and ambient light."""
    lamp = np.array([-0.35, -0.55, -0.76])  # camera axes
    return 0.45 + 0.65 * np.clip(normals @ view.world_from_cam[:3, :3] @ lamp, 0, 1)


class _Fragments:
    """All pixel centres inside triangles, as rows of pixels: no pixel outside of them is looked at.

    `pixel` [M] is the flat index of each, `face` [S] the triangle of each row, `span` [M] the row of each pixel.
    """

    def __init__(self, px: Float, faces: Int, width: int, height: int) -> None:
        """Of triangles `faces` [F,3] between points `px` [V,2] in a picture of that size."""
        corners = px[faces]  # [F,3,2]
        low, high = (of(of(corners[:, 0], corners[:, 1]), corners[:, 2]) for of in (np.minimum, np.maximum))
        first = np.clip(np.ceil(low[:, 1] - 0.5), 0, height).astype(np.int64)
        rows = np.clip(np.floor(high[:, 1] - 0.5) + 1, 0, height).astype(np.int64) - first
        large = high - low > _LARGEST_TRIANGLE
        chosen = np.flatnonzero((rows > 0) & (high[:, 0] > 0) & (low[:, 0] < width) & ~large[:, 0] & ~large[:, 1])
        face, row = _counted(chosen, rows[chosen])
        y, corners = np.repeat(first[chosen], rows[chosen]) + row, corners[face]
        left, right = _span(corners, y + 0.5)
        with np.errstate(invalid="ignore"):  # triangles seen edge-on have no inside
            start = np.clip(np.ceil(left - 0.5), 0, width).astype(np.int64)
            lengths = np.clip(np.floor(right - 0.5) + 1, 0, width).astype(np.int64) - start
        filled = np.flatnonzero(lengths > 0)
        face, y, start, corners, lengths = face[filled], y[filled], start[filled], corners[filled], lengths[filled]
        self.face = face
        self.span, self._column = _counted(np.arange(len(face)), lengths)
        self.pixel = (start + y * width)[self.span] + self._column
        # Barycentric weights of the second and third corner at the first pixel of a row, and their growth along it.
        u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
        dx, dy = start + 0.5 - corners[:, 0, 0], y + 0.5 - corners[:, 0, 1]
        self._weight = (dx * v[:, 1] - dy * v[:, 0]) / area, (dy * u[:, 0] - dx * u[:, 1]) / area
        self._growth = v[:, 1] / area, -u[:, 1] / area

    def spread(self, values: Float, chosen: Int | slice = slice(None)) -> Float:
        """Values [F,3] at the corners of all triangles, in between at the `chosen` fragments [m]."""
        at = values[self.face]
        second, third = at[:, 1] - at[:, 0], at[:, 2] - at[:, 0]
        first = at[:, 0] + self._weight[0] * second + self._weight[1] * third
        growth = self._growth[0] * second + self._growth[1] * third
        span = self.span[chosen]
        return np.asarray(first[span] + growth[span] * self._column[chosen])


def _counted(values: Int, counts: Int) -> tuple[Int, Int]:
    """Each value [n] as many times as its count [n] says, and beside it 0, 1, 2, ... anew for each."""
    begin = np.cumsum(counts) - counts
    return np.repeat(values, counts), np.arange(counts.sum()) - np.repeat(begin, counts)


def _span(corners: Float, y: Float) -> tuple[Float, Float]:
    """Where triangles [S,3,2] px begin and end [S] at the heights y [S], each between its lowest and highest corner."""
    left, right = np.full(len(y), np.inf), np.full(len(y), -np.inf)
    for i in range(3):
        a, b = corners[:, i], corners[:, i - 1]
        with np.errstate(divide="ignore", invalid="ignore"):  # level edges: their ends belong to the other two
            along = (y - a[:, 1]) / (b[:, 1] - a[:, 1])
        x = a[:, 0] + along * (b[:, 0] - a[:, 0])
        crossed = (along >= 0) & (along <= 1)
        left, right = np.where(crossed & (x < left), x, left), np.where(crossed & (x > right), x, right)
    return left, right
