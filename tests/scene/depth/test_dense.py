"""Depth of a filmed room against the truth, the floor in it, and the cloud made of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from josh_core.geometry import rigid, rotvec_to_rotmat, transform
from josh_core.progress import Progress
from josh_core.scene.depth.dense import choose_neighbours, estimate_depths
from josh_core.scene.depth.flow_depth import blank_above
from josh_core.scene.depth.map_grid import MapGrid, empty_depths
from josh_core.scene.floor import HIDDEN_CONFIDENCE, fill_floor, fit_floor, fit_plane, floor_depth, lay_floor
from josh_core.scene.surface.point_cloud import point_cloud
from josh_core.types import CameraPath, Clip, DepthMaps, Float, Floor, Matches, People, Scene, Track
from tests.scene.textured_plane import camera_path, clip_of, film_room, nobody, room_path

FOCAL, SIZE, FRAMES = 240.0, (320, 192), 17
NO_MATCHES = Matches(np.zeros((0, 2), int), np.zeros(1, int), np.zeros((0, 2, 2)), np.zeros(0))


@pytest.fixture(scope="module")
def room() -> tuple[Clip, Float, CameraPath, DepthMaps]:
    """The film of a camera that goes a metre sideways, its true depth, its path and the estimated maps."""
    world_from_cam = room_path(FRAMES, np.array([1.0, 0.0, -0.2]))
    clip, depth = film_room(world_from_cam, FOCAL, SIZE)
    path = camera_path(world_from_cam, FOCAL)
    points = np.random.default_rng(0).uniform([-4, 0, -9], [4, 3, -3], (200, 3))
    return clip, depth, path, estimate_depths(clip, nobody(clip), path, points, Progress())


def test_depth_is_close_to_the_truth(room: tuple) -> None:
    _, depth, path, maps = room
    true = depth[path.keyframes]
    known = (maps.depth > 0) & (true > 0)
    error = np.abs(maps.depth[known] / true[known] - 1)
    assert known.mean() > 0.7
    assert np.median(error) < 0.015
    sure = maps.confidence[known] > 0.5
    assert sure.mean() > 0.5
    assert (error[sure] < 0.05).mean() > 0.95


def test_confidence_tells_good_from_bad(room: tuple) -> None:
    _, depth, path, maps = room
    true = depth[path.keyframes]
    known = (maps.depth > 0) & (true > 0)
    error, confidence = np.abs(maps.depth[known] / true[known] - 1), maps.confidence[known]
    assert np.mean(error[confidence < 0.2]) > 3 * np.mean(error[confidence > 0.6])
    assert (maps.confidence >= 0).all()
    assert (maps.confidence <= 1).all()
    assert (maps.confidence[maps.depth == 0] == 0).all()


def test_people_and_a_camera_that_is_not_registered_have_no_depth(room: tuple) -> None:
    clip, _, path, _ = room
    labels = np.zeros((FRAMES, 24, 40), np.uint8)
    labels[:, 8:20, 10:20] = 1
    lost = replace(path, registered=np.arange(FRAMES) != path.keyframes[1])
    points = np.array([[0.0, 1.0, -6.0]])
    maps = estimate_depths(clip, People((), labels), lost, points, Progress())
    assert (maps.depth[:, 70:150, 85:155] == 0).all()
    assert (maps.depth[1] == 0).all()
    assert (maps.depth[2] > 0).any()


def test_no_points_no_depth(room: tuple) -> None:
    clip, _, path, _ = room
    maps = estimate_depths(clip, nobody(clip), path, np.zeros((0, 3)), Progress())
    assert (maps.depth == 0).all()


def test_neighbours_have_parallax_and_look_the_same_way(room: tuple) -> None:
    clip, _, path, _ = room
    near = choose_neighbours(clip, path, 8, FOCAL / 5)
    assert len(near) == len(set(near)) >= 4
    assert 8 not in near
    assert min(near) < 8 < max(near)
    turned = path.world_from_cam.copy()
    turned[12:] = turned[12:] @ rigid(rotvec_to_rotmat(np.array([0, 0.8, 0.0])), np.zeros(3))
    assert max(choose_neighbours(clip, replace(path, world_from_cam=turned), 8, FOCAL / 5)) < 12
    still = replace(path, world_from_cam=np.tile(np.eye(4), (FRAMES, 1, 1)))
    assert choose_neighbours(clip, still, 8, FOCAL / 5) == []


def test_sky_is_blank_and_a_wall_is_not() -> None:
    gray = np.full((60, 80), 200, np.uint8)
    gray[30:] = np.random.default_rng(0).integers(0, 255, (30, 80))
    gray[40:50, 30:50] = 120  # blank, but not up to the top
    blank = blank_above(gray)
    assert blank[:26].all()
    assert not blank[32:].any()


# Floor


def test_floor_of_the_room(room: tuple) -> None:
    clip, _, path, maps = room
    floor = fit_floor(Scene(path, NO_MATCHES, maps), nobody(clip), clip)
    assert floor is not None
    assert floor.normal @ [0, 1, 0] > np.cos(np.radians(1.0))
    assert abs(floor.offset) < 0.03
    assert floor.confidence > 0.3


def test_feet_say_which_of_two_levels_is_the_floor() -> None:
    """A large low ground and a smaller step: the person stands on the step."""
    focal, size = 200.0, (320, 240)
    clip = clip_of([np.zeros((240, 320, 3), np.uint8)] * 8)
    cameras = CameraPath("moving", np.tile(np.eye(4), (8, 1, 1)), focal, 0.1, np.array([0, 7]), np.ones(8, bool))
    grid = MapGrid.of(clip, focal)
    ground, step = (floor_depth(cameras, Floor(np.array([0, -1.0, 0]), h, 1.0), 0, grid) for h in (1.6, 1.2))
    on_step = np.zeros(ground.shape, bool)
    on_step[:, 120:200] = True
    depth = np.where(on_step, step, ground)
    maps = DepthMaps(np.stack([depth] * 2), np.stack([(depth > 0) * 0.8] * 2), np.zeros((2, *depth.shape), bool))
    foot = np.array([160.0, 200.0])
    marks = np.tile(foot, (8, 33, 1))
    box = np.tile([140.0, 60.0, 180.0, 205.0], (8, 1))
    track = Track(0, np.arange(8), box, marks, np.ones((8, 33)), np.zeros((8, 33, 3)), np.ones(8, bool))
    labels = np.zeros((8, 24, 32), np.uint8)
    floor = fit_floor(Scene(cameras, NO_MATCHES, maps), People((track,), labels), clip)
    assert floor is not None
    assert floor.offset == pytest.approx(1.2, abs=0.05)
    assert size == (clip.width, clip.height)


def test_plane_survives_outliers_and_nonsense_has_none() -> None:
    rng = np.random.default_rng(0)
    up = np.array([0.1, -0.95, 0.2]) / np.linalg.norm([0.1, -0.95, 0.2])
    flat = rng.uniform(-3, 3, (600, 3))
    flat -= (flat @ up + 1.3)[:, None] * up
    points = np.concatenate([flat + rng.normal(0, 0.01, flat.shape), rng.uniform(-3, 3, (400, 3))])
    floor = fit_plane(points, np.ones(1000), np.full(1000, 0.03), np.array([0, -1.0, 0]), np.zeros((1, 3)))
    assert floor is not None
    assert floor.normal @ up > np.cos(np.radians(0.5))
    assert floor.offset == pytest.approx(1.3, abs=0.01)
    scattered = rng.uniform(-3, 3, (1000, 3))
    assert fit_plane(scattered, np.ones(1000), np.full(1000, 0.005), np.array([0, -1.0, 0]), np.zeros((1, 3))) is None
    wall = rng.uniform(-3, 3, (600, 3)) * [1, 1, 0.001]
    assert fit_plane(wall, np.ones(600), np.full(600, 0.01), np.array([0, -1.0, 0]), np.zeros((1, 3))) is None


def test_a_plane_over_the_cameras_is_no_floor() -> None:
    rng = np.random.default_rng(0)
    up = np.array([0, -1.0, 0])
    ceiling = np.stack([rng.uniform(-3, 3, 600), np.full(600, -1.0), rng.uniform(1, 6, 600)], -1)
    given = (np.ones(600), np.full(600, 0.03), up)
    assert fit_plane(ceiling, *given, np.zeros((3, 3))) is None
    over = fit_plane(ceiling, *given, np.array([[0, -2.0, 0], [0, -1.5, 0], [0, 0, 0]]))  # two of three are higher
    assert over is not None and over.offset == pytest.approx(-1.0, abs=0.01)
    ground = np.concatenate([ceiling, ceiling[:300] + [0, 2.5, 0]])
    floor = fit_plane(ground, np.ones(900), np.full(900, 0.03), up, np.zeros((3, 3)))
    assert floor is not None and floor.offset == pytest.approx(1.5, abs=0.01)


def test_an_empty_scene_has_no_floor(room: tuple) -> None:
    clip, _, path, _ = room
    assert fit_floor(Scene(path, NO_MATCHES, empty_depths(path, clip)), nobody(clip), clip) is None


def test_holes_in_the_floor_are_filled_at_low_confidence(room: tuple) -> None:
    clip, depth, path, maps = room
    holed = DepthMaps(maps.depth.copy(), maps.confidence.copy(), maps.backdrop)
    holed.depth[:, 150:170, 100:140] = 0
    holed.confidence[:, 150:170, 100:140] = 0
    filled = fill_floor(holed, path, clip, nobody(clip), Floor(np.array([0, 1.0, 0]), 0.0, 1.0))
    hole = filled.depth[:, 150:170, 100:140]
    assert hole == pytest.approx(depth[path.keyframes][:, 150:170, 100:140], rel=0.01)
    assert (filled.confidence[:, 150:170, 100:140] < 0.25).all()
    sure = holed.confidence > 0.2
    assert (filled.depth[sure] == maps.depth[sure]).all()


@pytest.mark.parametrize("kind", ["static", "rotating"])
def test_floor_laid_under_a_camera_that_stays(kind: str) -> None:
    clip = clip_of([np.full((240, 320, 3), 99, np.uint8)] * 8)
    pan = rotvec_to_rotmat(np.linspace(0, 0.3, 8)[:, None] * [0, 1.0, 0] * (kind == "rotating"))
    cameras = CameraPath(kind, rigid(pan, np.zeros((8, 3))), 300.0, 0.3, np.array([0, 7]), np.ones(8, bool))  # type: ignore[arg-type]
    labels = np.zeros((8, 24, 32), np.uint8)
    labels[:, 10:20, 10:14] = 1
    floor = Floor(np.array([0, -1.0, 0]), 1.5, 0.8)
    maps = lay_floor(cameras, clip, People((), labels), floor, 4.0)
    grid = MapGrid.of(clip, 300.0)
    laid = (maps.depth[1] > 0) & ~maps.backdrop[1]
    p_world = transform(cameras.world_from_cam[7], grid.rays[laid] * maps.depth[1][laid][:, None])
    assert laid.sum() > 1000
    assert p_world @ floor.normal + floor.offset == pytest.approx(0, abs=1e-4)
    assert maps.backdrop[1][:115, 200:].all()  # above the horizon
    person = maps.depth[:, 110:190, 105:135], maps.confidence[:, 110:190, 105:135]
    assert (person[0] > 0).all()  # the plane is known behind the person as well, and marked as filled
    assert (person[1] == np.float32(HIDDEN_CONFIDENCE)).all()
    standing = maps.backdrop[1]
    behind = transform(cameras.world_from_cam[7], grid.rays[standing] * maps.depth[1][standing][:, None])
    assert np.ptp(np.linalg.norm(behind[:, [0, 2]], axis=-1)) < 0.01  # upright
    assert np.linalg.norm(behind[0, [0, 2]]) == pytest.approx(7.5, rel=1e-3)  # five camera heights: nobody is far
    far = lay_floor(cameras, clip, People((), labels), floor, 30.0)
    onto = transform(cameras.world_from_cam[7], grid.rays * far.depth[1][..., None])
    rim = far.backdrop[1][:-1] & ~far.backdrop[1][1:]  # the lowest pixels of the backdrop, the floor's end below them
    assert rim.any(0).all()
    assert np.linalg.norm(onto[1:][rim] - onto[:-1][rim], axis=-1).max() < 0.25 * 45  # no gap: one row of the floor
    assert (maps.confidence[0] < 0.5).all()


# Cloud


def test_cloud_of_the_room_lies_on_the_room(room: tuple) -> None:
    clip, _, path, maps = room
    points, colors, confidence = point_cloud(clip, nobody(clip), Scene(path, NO_MATCHES, maps))
    assert 20_000 < len(points) < 320 * 192 * len(path.keyframes)
    assert points.dtype == np.float32
    assert colors.dtype == np.uint8
    assert len(points) == len(colors) == len(confidence)
    off = np.min(np.abs([points[:, 1], points[:, 2] + 9, points[:, 0] + 7, points[:, 0] - 7]), axis=0)
    assert np.median(off) < 0.05
    assert (off < 0.4).mean() > 0.97


def test_cloud_of_nothing_is_empty(room: tuple) -> None:
    clip, _, path, _ = room
    points, colors, confidence = point_cloud(clip, nobody(clip), Scene(path, NO_MATCHES, empty_depths(path, clip)))
    assert points.shape == colors.shape == (0, 3)
    assert confidence.shape == (0,)


def test_a_second_view_from_the_same_place_adds_nothing() -> None:
    rng = np.random.default_rng(0)
    clip = clip_of([rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)] * 8)
    cameras = CameraPath("rotating", np.tile(np.eye(4), (8, 1, 1)), 60.0, 0.1, np.array([0, 7]), np.ones(8, bool))
    depth = np.full((2, 48, 64), 4.0, np.float32)
    maps = DepthMaps(depth, np.full(depth.shape, 0.9, np.float32), np.zeros(depth.shape, bool))
    both = point_cloud(clip, nobody(clip), Scene(cameras, NO_MATCHES, maps))[0]
    maps.confidence[1] = 0
    assert len(both) == len(point_cloud(clip, nobody(clip), Scene(cameras, NO_MATCHES, maps))[0]) > 1500


def test_a_still_camera_sees_through_what_passes() -> None:
    rng = np.random.default_rng(0)
    wall = np.full((48, 64, 3), 120, np.uint8)
    pictures = [wall.copy() for _ in range(9)]
    for i, picture in enumerate(pictures):
        picture[10:20, 7 * i : 7 * i + 7] = 255  # a ball flies past, nobody's mask knows it
        picture[30:40, 20:30] = rng.integers(0, 50)  # somebody stands here; seen without them in one picture
    pictures[4][30:40, 20:30] = 120
    labels = np.zeros((9, 48, 64), np.uint8)
    labels[:, 30:40, 20:30] = 1
    labels[4] = 0
    clip = clip_of(pictures)
    cameras = CameraPath("static", np.tile(np.eye(4), (9, 1, 1)), 60.0, 0.1, np.arange(9), np.ones(9, bool))
    depth = np.full((9, 48, 64), 4.0, np.float32)
    depth[:, 30:40, 20:30] = 0
    depth[4, 30:40, 20:30] = 4.0
    depth[:, :5, :5] = 0  # hidden throughout
    maps = DepthMaps(depth, np.where(depth > 0, np.float32(0.9), np.float32(0)), np.zeros(depth.shape, bool))
    points, colors, _ = point_cloud(clip, People((), labels), Scene(cameras, NO_MATCHES, maps))
    assert 0.8 * 48 * 64 < len(points) < 48 * 64 - 20
    assert np.abs(colors.astype(int) - 120).max() < 12
