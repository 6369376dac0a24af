"""The surface of a made-up place, ground and a box: where they are, cut at the box's edges, in the clip's colours."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from josh_core.geometry import rigid, rotvec_to_rotmat
from josh_core.scene.depth.map_grid import MapGrid
from josh_core.scene.floor import lay_floor
from josh_core.scene.surface.atlas import TEXTURE_SIDE, _pack
from josh_core.scene.surface.mesh import _in_islands, surface
from josh_core.scene.surface.plates import Plates
from josh_core.scene.surface.sheets import agreed, reduced
from josh_core.types import (
    CameraKind,
    CameraPath,
    Clip,
    DepthMaps,
    Float,
    Floor,
    Matches,
    People,
    Scene,
    Surface,
    UInt8,
)

WIDTH, HEIGHT, FOCAL = 640, 360, 500.0
FRAMES = 5
GROUND = 1.6  # m under the cameras; y goes down
BOX = np.array([[-1.0, 0.4, 5.0], [1.0, GROUND, 7.0]])  # low and high corner
NOBODY = People((), np.zeros((FRAMES, 36, 64), np.uint8))
NO_MATCHES = Matches(np.zeros((0, 2), int), np.zeros(1, int), np.zeros((0, 2, 2)), np.zeros(0))
SKY = np.array([120, 180, 250], np.uint8)


def cameras(kind: CameraKind = "moving") -> CameraPath:
    """Straight ahead, 0.5 m a frame to the right."""
    world_from_cam = np.tile(np.eye(4), (FRAMES, 1, 1))
    if kind == "moving":
        world_from_cam[:, 0, 3] = 0.5 * (np.arange(FRAMES) - FRAMES // 2)
    return CameraPath(kind, world_from_cam, FOCAL, 0.01, np.arange(FRAMES), np.ones(FRAMES, bool))


def look(eye: Float, rays: Float) -> Float:
    """Depth [...] along rays [...,3] of z = 1 from `eye`, 0 where they meet nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ground = (GROUND - eye[1]) / rays[..., 1]
        near, far = np.sort(np.stack([(BOX[0] - eye) / rays, (BOX[1] - eye) / rays]), 0)
    enter, leave = near.max(-1), far.min(-1)
    depth = np.where((rays[..., 1] > 1e-6) & (ground < 30), ground, 0)
    return np.where((enter > 0) & (enter < leave), enter, depth)


def paint(points: Float) -> Float:
    """Colour [...,3] of the place at points [...,3]: smooth and different everywhere."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([110 + 60 * np.sin(x), 110 + 60 * np.sin(2 * y), 110 + 60 * np.sin(z / 2)], -1)


def place(kind: CameraKind = "moving") -> tuple[Clip, Scene]:
    path = cameras(kind)
    pictures: list[UInt8] = []
    like = Clip([b""] * FRAMES, np.arange(FRAMES) / 30, WIDTH, HEIGHT, 30.0)
    big, grid = MapGrid.of(like, FOCAL, WIDTH), MapGrid.of(like, FOCAL)
    maps = []
    for pose in path.world_from_cam:
        shots = look(pose[:3, 3], big.rays.astype(float))
        colors = paint(big.rays * shots[..., None] + pose[:3, 3])
        pictures.append(np.where(shots[..., None] > 0, colors, SKY).astype(np.uint8))
        maps.append(look(pose[:3, 3], grid.rays.astype(float)))
    jpegs = [cv2.imencode(".jpg", p[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes() for p in pictures]
    depth = np.stack(maps).astype(np.float32)
    clip = Clip(jpegs, like.times, WIDTH, HEIGHT, 30.0)
    return clip, Scene(path, NO_MATCHES, DepthMaps(depth, (depth > 0) * np.float32(0.9), np.zeros(depth.shape, bool)))


def off_the_place(points: Float) -> Float:
    """Distance [n] from the ground or the box's faces, m."""
    outside = np.maximum(np.maximum(BOX[0] - points, points - BOX[1]), 0)
    inside = np.minimum(points - BOX[0], BOX[1] - points).min(1)
    box = np.where((outside == 0).all(1), inside, np.linalg.norm(outside, axis=1))
    return np.minimum(np.abs(points[:, 1] - GROUND), box)


def area(mesh: Surface) -> float:
    a, b, c = mesh.vertices[mesh.faces].astype(float).swapaxes(0, 1)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def test_the_surface_is_the_place_in_its_colours() -> None:
    clip, scene = place()
    mesh = surface(clip, NOBODY, scene)
    assert mesh is not None
    off = off_the_place(mesh.vertices.astype(float)) / mesh.vertices[:, 2]
    assert np.percentile(off, 95) < 0.005 and off.max() < 0.04  # of the distance
    atlas = cv2.imdecode(np.frombuffer(mesh.texture, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    at = np.minimum((mesh.uv * atlas.shape[1::-1]).astype(int), np.array(atlas.shape[1::-1]) - 1)
    wrong = np.abs(atlas[at[:, 1], at[:, 0]] - paint(mesh.vertices.astype(float))).max(1)
    near = mesh.vertices[:, 2] < 12  # farther on, the ground's colours change within a pixel
    assert np.median(wrong[near]) < 6 and np.percentile(wrong[near], 95) < 25
    a, b, c = mesh.vertices[mesh.faces].astype(float).swapaxes(0, 1)
    toward = (np.cross(b - a, c - a) * (a + b + c) / 3).sum(1)
    assert (toward < 0).mean() > 0.99  # fronts face the cameras, which are near the origin


def test_no_triangle_spans_the_boxs_edge() -> None:
    clip, scene = place()
    mesh = surface(clip, NOBODY, scene)
    assert mesh is not None
    middles = mesh.vertices[mesh.faces].astype(float).mean(1)
    assert (off_the_place(middles) / middles[:, 2]).max() < 0.03
    behind = (np.abs(mesh.vertices[:, 0]) < 0.8) & (mesh.vertices[:, 1] > 1.5) & (mesh.vertices[:, 2] > 7.2)
    assert behind.sum() < 0.002 * len(behind)  # the box hides the ground right behind it from every camera


def test_sheets_add_only_what_is_missing() -> None:
    clip, scene = place()
    one = Scene(
        CameraPath("moving", scene.cameras.world_from_cam, FOCAL, 0.01, np.array([2]), np.ones(FRAMES, bool)),
        NO_MATCHES,
        DepthMaps(scene.depths.depth[2:3], scene.depths.confidence[2:3], scene.depths.backdrop[2:3]),
    )
    alone, all_together = surface(clip, NOBODY, one), surface(clip, NOBODY, scene)
    assert alone is not None and all_together is not None
    assert area(alone) < area(all_together) < 3 * area(alone)  # five times without leaving out
    assert all_together.vertices[:, 0].min() < alone.vertices[:, 0].min() - 0.8


def test_small_holes_close_large_ones_and_false_patches_do_not_show() -> None:
    clip, scene = place()
    depth = scene.depths.depth.copy()
    depth[:, 200:204, 100:104] = 0  # every keyframe lacks a little of the ground ...
    depth[:, 180:250, 250:420] = 0  # ... and a lot of it
    depth[1, 200:230, 190:230] = 2.5  # one sees a thing in the air that the others look through
    broken = Scene(scene.cameras, NO_MATCHES, DepthMaps(depth, (depth > 0) * np.float32(0.9), scene.depths.backdrop))
    sheets = agreed(reduced(clip, NOBODY, broken))
    small, large = sheets.depth[2][100:102, 50:52], sheets.depth[2][100:115, 150:190]
    true = look(np.zeros(3), sheets.grid.rays[100:102, 50:52].astype(float))
    assert small.min() > 0 and np.abs(small / true - 1).max() < 0.02
    assert (large == 0).mean() > 0.5
    patch = sheets.depth[1][102:113, 97:113]
    assert not ((patch > 0) & (patch < 3)).any()


def test_the_rim_of_the_sky_is_sky() -> None:
    clip, scene = place()
    depth = scene.depths.depth.copy()
    horizon = (depth[0] > 0).any(1).argmax()
    depth[:, horizon - 12 : horizon, 20:60] = 20.0  # sky that got the depth of what it touches
    rim = Scene(scene.cameras, NO_MATCHES, DepthMaps(depth, (depth > 0) * np.float32(0.9), scene.depths.backdrop))
    sheets = reduced(clip, NOBODY, rim)
    assert (sheets.depth[:, (horizon - 12) // 2 : horizon // 2 - 1, 10:30] == 0).all()
    assert (sheets.depth[:, horizon // 2 + 6 :] > 0).mean() > 0.95  # the ground beside it is not


def test_a_shadow_that_passes_is_not_on_the_surface() -> None:
    clip, scene = place()
    first = int(np.argmax((agreed(reduced(clip, NOBODY, scene)).depth > 0).sum((1, 2))))  # its sheet is taken first
    shot = clip.frame(first)
    shot[270:300, 100:160] = 5
    jpegs = list(clip.jpegs)
    jpegs[first] = cv2.imencode(".jpg", shot[..., ::-1])[1].tobytes()
    mesh = surface(replace(clip, jpegs=jpegs), NOBODY, scene)
    assert mesh is not None
    atlas = cv2.imdecode(np.frombuffer(mesh.texture, np.uint8), cv2.IMREAD_GRAYSCALE)
    at = np.minimum((mesh.uv * atlas.shape[::-1]).astype(int), np.array(atlas.shape[::-1]) - 1)
    assert atlas[at[:, 1], at[:, 0]].min() > 30
    assert area(mesh) > 0.95 * area(surface(clip, NOBODY, scene) or mesh)  # the others show what lies under it


def test_people_are_not_on_the_surface() -> None:
    clip, scene = place()
    labels = NOBODY.labels.copy()
    labels[:, 20:34, 8:12] = 1
    sheets = agreed(reduced(clip, People((), labels), scene))
    assert (sheets.depth[:, 75:110, 29:41] == 0).all()
    mesh, whole = surface(clip, People((), labels), scene), surface(clip, NOBODY, scene)
    assert mesh is not None and whole is not None
    assert area(mesh) > 0.9 * area(whole)  # other keyframes see behind them


@pytest.mark.parametrize("kind", ["static", "rotating"])
def test_a_camera_that_does_not_travel_has_a_closed_surface_without_people(kind: CameraKind) -> None:
    clip, scene = place("static")
    still = Scene(replace(scene.cameras, kind=kind), NO_MATCHES, backdrop(8.0, scene))
    labels = NOBODY.labels.copy()
    labels[:, 10:20, 10:20] = 1
    plates = Plates(clip, People((), labels), still.cameras)
    green = np.full((HEIGHT, WIDTH, 3), [30, 160, 60], np.uint8)
    plates._made.update(dict.fromkeys(range(FRAMES), green))
    mesh = surface(clip, People((), labels), still, plates)
    assert mesh is not None
    assert len(mesh.faces) == 2 * 111 * 62  # every square of the grid, once
    atlas = cv2.imdecode(np.frombuffer(mesh.texture, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(atlas.astype(int) - [30, 160, 60]).max() < 6


def test_a_camera_that_turns_is_made_of_few_pictures() -> None:
    """Of keyframes over 40 degrees the outer two show all that those in between do."""
    clip, scene = place("static")
    pan = rotvec_to_rotmat(np.linspace(-0.35, 0.35, FRAMES)[:, None] * [0, 1.0, 0])
    cameras = replace(scene.cameras, kind="rotating", world_from_cam=rigid(pan, np.zeros((FRAMES, 3))))
    plates = Plates(clip, NOBODY, cameras)
    room = lay_floor(cameras, clip, NOBODY, Floor(np.array([0, -1.0, 0]), GROUND, 1.0), 6.0)
    mesh = surface(clip, NOBODY, Scene(cameras, NO_MATCHES, room), plates)
    assert mesh is not None
    assert list(plates._made) == [0, 4]  # the ends; the middle lies between them


def backdrop(depth: float, scene: Scene) -> DepthMaps:
    """Maps of one depth all over."""
    maps = np.full_like(scene.depths.depth, depth)
    return DepthMaps(maps, maps * 0 + 0.3, maps > 100)


def test_islands_are_counted_by_their_triangles() -> None:
    strip = np.stack([np.arange(5), np.arange(5) + 1, np.arange(5) + 2], 1)  # five in a row, then two, then one
    triangles = np.concatenate([strip, strip[:2] + 20, strip[:1] + 40])
    assert _in_islands(triangles, 50, 2).tolist() == [True] * 7 + [False]
    assert _in_islands(triangles, 50, 5).tolist() == [True] * 5 + [False] * 3
    assert _in_islands(triangles[:0], 50, 1).tolist() == []


def test_nothing_known_is_no_surface() -> None:
    clip, scene = place()
    nothing = np.zeros_like(scene.depths.depth)
    assert surface(clip, NOBODY, Scene(scene.cameras, NO_MATCHES, DepthMaps(nothing, nothing, nothing > 0))) is None


@pytest.mark.parametrize("seed", [0, 1])
def test_packed_pictures_do_not_overlap(seed: int) -> None:
    size = np.random.default_rng(seed).integers(10, 900, (20, 2))
    places = _pack(size)
    assert places is not None and (places + size).max() <= TEXTURE_SIDE
    taken = np.zeros((TEXTURE_SIDE, TEXTURE_SIDE), np.uint8)
    for (x, y), (w, h) in zip(places, size, strict=True):
        taken[y : y + h, x : x + w] += 1
    assert taken.max() == 1
    assert _pack(np.full((30, 2), 1500)) is None
