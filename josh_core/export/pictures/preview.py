"""Pictures of a result without a browser: from above, from the side, from behind, or through its camera."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from josh_core.body.model import BodyModel
from josh_core.body.posing import posed_vertices
from josh_core.export.colors import CAMERA_COLOR, person_color, rgb
from josh_core.export.looks.body_colors import body_colors
from josh_core.export.looks.outfit import cloth_normals, plain_colors
from josh_core.export.pictures.raster import Canvas, View
from josh_core.geometry import intrinsics
from josh_core.types import Float, PersonMotion, Reconstruction, UInt8

Meshes = list[tuple[PersonMotion, Float]]
ViewName = Literal["top", "side", "front", "third", "camera"]

DARK = np.array([20, 23, 28], np.uint8)  # sRGB of the background
_GRID = np.array([58, 64, 74], np.uint8)
# Chosen by hand, except where a measurement or a source is given.
_FAR = 1000.0  # m, distance of the camera of an orthographic picture, which is one with a very long lens
_MARGIN = 1.5  # m of surroundings shown around people and camera


def render(
    result: Reconstruction,
    body: BodyModel,
    frame: int,
    view: ViewName | View = "third",
    size: tuple[int, int] = (960, 540),
) -> UInt8:
    """Picture [h,w,3] sRGB of one frame: the place, bodies, camera, paths and a 1 m grid on the floor.

    `view` is a name or any View (then `size`, (width, height) in px, is not used). "top" (-Z is up), "side" (looks
    along -X) and "front" (along -Z) are orthographic and leave out what lies between the picture's plane and the box
    around people and camera; "third" looks over the camera's shoulder; "camera" is the clip's own view.
    """
    chosen = view if isinstance(view, View) else named_view(result, view, size, frame)
    canvas = Canvas(chosen, DARK)
    if view != "camera":
        draw_grid(canvas, result)
    draw_place(canvas, result)
    draw_people(canvas, meshes_at(result, body, frame), body)
    if view != "camera":
        draw_paths(canvas, result, frame)
    return canvas.image


def save_preview(result: Reconstruction, body: BodyModel, path: Path, size: tuple[int, int]) -> None:
    """Write `path`, a JPEG of `size` px: the frame with most people, from outside. Raises OSError."""
    present = np.bincount(np.concatenate([[len(result.frame_times) // 2], *(p.frames for p in result.people)]))
    image = render(result, body, int(present.argmax()), "third", size)
    ok, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 86])
    assert ok
    path.write_bytes(jpeg.tobytes())


def draw_place(canvas: Canvas, result: Reconstruction) -> None:
    """The scene: its surface if there is one, else its points."""
    draw_surface(canvas, result, texture_of(result))


def draw_surface(canvas: Canvas, result: Reconstruction, texture: UInt8 | None, both_sides: bool = True) -> None:
    """The place with a texture that was read before, by `texture_of`; its points where there is none."""
    place = result.surface
    if place is None or texture is None:
        canvas.points(result.scene.points, result.scene.colors)
    else:
        canvas.textured(place.vertices, place.faces, place.uv, texture, both_sides)


def texture_of(result: Reconstruction) -> UInt8 | None:
    """Texture [h,w,3] sRGB of the place's surface; None without one, or when it cannot be read."""
    if result.surface is None:
        return None
    picture = cv2.imdecode(np.frombuffer(result.surface.texture, np.uint8), cv2.IMREAD_COLOR)
    return None if picture is None else np.ascontiguousarray(picture[..., ::-1])


def draw_people(canvas: Canvas, meshes: Meshes, body: BodyModel, plain: bool = False) -> None:
    """People with their vertices [V,3], as they look or, `plain`, in shades of their own colour."""
    for person, vertices in meshes:
        colors = plain_colors(body, person.id) if plain else body_colors(person, body)
        canvas.mesh(vertices, np.asarray(body.faces), colors, cloth_normals(body, vertices))


def meshes_at(result: Reconstruction, body: BodyModel, frame: int) -> Meshes:
    """Everybody present at `frame` with their vertices [V,3] m."""
    return [
        (person, posed_vertices(body, person.betas, person.pose[row], person.transl[row])[0])
        for person in result.people
        if len(row := np.flatnonzero(person.frames == frame))
    ]


def named_view(result: Reconstruction, name: ViewName, size: tuple[int, int], frame: int = 0) -> View:
    """The View of that name, which shows the paths of all people and of the camera."""
    width, height = size
    if name == "camera":
        return camera_view(result, frame, size)
    low, high = _bounds(result)
    if name == "third":
        return shoulder_view(result, _everything(result), size)
    right, down, ahead = {
        "top": (np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), np.array([0, -1.0, 0])),
        "front": (np.array([1.0, 0, 0]), np.array([0, -1.0, 0]), np.array([0, 0, -1.0])),
        "side": (np.array([0, 0, -1.0]), np.array([0, -1.0, 0]), np.array([-1.0, 0, 0])),
    }[name]
    centre, extent = (low + high) / 2, high - low
    px_per_m = min(width / abs(extent @ right), height / abs(extent @ down))
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = np.stack([right, down, ahead], 1)
    world_from_cam[:3, 3] = centre - _FAR * ahead
    return View(world_from_cam, intrinsics(px_per_m * _FAR, *size), width, height, _FAR - abs(extent @ ahead) / 2)


def camera_view(result: Reconstruction, frame: int, size: tuple[int, int]) -> View:
    """The clip's camera at `frame`, in pixels of a picture of `size` (width, height) of the clip's shape."""
    k = np.asarray(result.intrinsics, np.float64).copy()
    k[0] *= size[0] / result.width
    k[1] *= size[1] / result.height
    return View(np.asarray(result.world_from_cam[frame], np.float64), k, *size)


def look_at(eye: Float, target: Float) -> Float:
    """world_from_cam [4,4] of an upright camera at `eye` [3] that looks at `target` [3]."""
    ahead = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(ahead, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    out = np.eye(4)
    out[:3, :3] = np.stack([right, np.cross(ahead, right), ahead], 1)
    out[:3, 3] = eye
    return out


def _everything(result: Reconstruction) -> Float:
    """All camera centres and joints [N,3]."""
    centres = np.asarray(result.world_from_cam[:, :3, 3], np.float64)
    joints = [np.asarray(person.joints, np.float64).reshape(-1, 3) for person in result.people]
    return np.concatenate([centres, *joints])


def _bounds(result: Reconstruction) -> tuple[Float, Float]:
    """Corners [3] of the box around everybody's joints and the camera's path, with a margin."""
    every = _everything(result)
    return every.min(0) - _MARGIN, every.max(0) + _MARGIN


def shoulder_view(result: Reconstruction, every: Float, size: tuple[int, int]) -> View:
    """From behind, above and beside the camera's first position, just far enough to see all of the points [N,3]."""
    ahead = np.asarray(result.world_from_cam[0, :3, 2], np.float64) * [1, 0, 1]
    ahead /= max(float(np.linalg.norm(ahead)), 1e-9)
    side = np.cross(ahead, [0.0, 1.0, 0.0])
    centre = (every.min(0) + every.max(0)) / 2
    away = -0.75 * ahead + 0.5 * side + np.array([0, 0.6, 0])
    rotation = look_at(centre + away, centre)[:3, :3]
    k = intrinsics(0.9 * max(size), *size)
    x, y, z = ((every - centre) @ rotation).T
    # A point stays in the picture when its |x| is at most `edge` times its depth, distance + z.
    edge_x, edge_y = 0.85 * k[0, 2] / k[0, 0], 0.85 * k[1, 2] / k[1, 1]
    distance = float(np.maximum(np.abs(x) / edge_x - z, np.abs(y) / edge_y - z).max())
    return View(look_at(centre + distance * away / np.linalg.norm(away), centre), k, *size)


def draw_grid(canvas: Canvas, result: Reconstruction) -> None:
    """Lines on the floor around people and camera, one each metre."""
    low, high = _bounds(result)
    (x0, _, z0), (x1, _, z1) = np.floor(low), np.ceil(high)
    along_x, along_z = np.arange(x0, x1 + 1), np.arange(z0, z1 + 1)
    for x in along_x:
        canvas.line(np.stack([np.full_like(along_z, x), 0 * along_z, along_z], 1), _GRID, 1)
    for z in along_z:
        canvas.line(np.stack([along_x, 0 * along_x, np.full_like(along_x, z)], 1), _GRID, 1)


def draw_paths(canvas: Canvas, result: Reconstruction, frame: int) -> None:
    """The camera's path and its pyramid at `frame`, and everybody's path over the floor."""
    centres = np.asarray(result.world_from_cam[:, :3, 3], np.float64)
    if len(centres) > 1:
        canvas.line(centres, rgb(CAMERA_COLOR))
    canvas.line(frustum(result, frame, 0.5), rgb(CAMERA_COLOR))
    for person in result.people:
        if len(person.joints) > 1:
            ground = np.asarray(person.joints[:, 0], np.float64) * [1, 0, 1]
            canvas.line(ground, rgb(person_color(person.id)))


def frustum(result: Reconstruction, frame: int, depth: float) -> Float:
    """World points [11,3] of one line that draws the camera's pyramid at `frame`, `depth` m long."""
    k = np.asarray(result.intrinsics, np.float64)
    x, y = (np.array([0, result.width]) - k[0, 2]) / k[0, 0], (np.array([0, result.height]) - k[1, 2]) / k[1, 1]
    image = [np.array([x[i], y[j], 1.0]) * depth for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    apex = np.zeros(3)
    p_cam = np.array([apex, image[0], image[1], apex, image[2], image[3], apex, image[3], image[0], image[1], image[2]])
    world_from_cam = np.asarray(result.world_from_cam[frame], np.float64)
    return p_cam @ world_from_cam[:3, :3].T + world_from_cam[:3, 3]
