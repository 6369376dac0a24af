"""Software renderer, preview pictures and videos: pixels are where geometry says, frames when they should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from josh_core.body import BodyModel, load_body
from josh_core.body.posing import meshes_by_frame, posed_vertices
from josh_core.errors import Cancelled, ResultError
from josh_core.export.colors import person_color, rgb
from josh_core.export.pictures import split, turntable
from josh_core.export.pictures.preview import look_at, named_view, render
from josh_core.export.pictures.raster import Canvas, View
from josh_core.export.pictures.video import encode, overlay, save_clip, save_overlay, save_side_by_side
from josh_core.progress import Progress
from josh_core.types import Clip, PointCloud, Reconstruction, Surface
from tests.example_result import made_up_result

BLACK, RED, BLUE = (np.array(c, np.uint8) for c in ((0, 0, 0), (200, 0, 0), (0, 0, 200)))
FACING = np.array([[0, 2, 1]])  # of TRIANGLE, wound so that it is seen from z = 0
TRIANGLE = np.array([[0.0, 0, 2], [1, 0, 2], [0, 1, 2]])


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def result(body: BodyModel) -> Reconstruction:
    return made_up_result(body, frames=20, points=4000)


@pytest.fixture(scope="module")
def clip(result: Reconstruction) -> Clip:
    """Pictures of one green, which nobody's outfit has a shade of."""
    green = (np.full((540, 960, 3), [20, 150 + 5 * f, 20], np.uint8) for f in range(20))
    return Clip([cv2.imencode(".jpg", picture)[1].tobytes() for picture in green], result.frame_times, 960, 540, 30.0)


def _canvas(background: np.ndarray = BLACK) -> Canvas:
    return Canvas(View(np.eye(4), np.array([[80.0, 0, 20], [0, 80, 20], [0, 0, 1]]), 80, 70), background)


def test_triangle_covers_exactly_the_pixel_centres_inside() -> None:
    canvas = _canvas()
    canvas.mesh(TRIANGLE, FACING, RED)  # corners at (20, 20), (60, 20), (20, 60) px
    x, y = np.meshgrid(np.arange(80) + 0.5, np.arange(70) + 0.5)
    inside = (x >= 20) & (y >= 20) & (x + y <= 80)
    assert np.array_equal(canvas.image[..., 0] > 0, inside)
    assert np.array_equal(np.isfinite(canvas.depth), inside)
    np.testing.assert_allclose(canvas.depth[inside], 2, atol=1e-6)


def test_only_the_outside_is_drawn_and_nothing_behind_the_camera() -> None:
    canvas = _canvas()
    canvas.mesh(TRIANGLE, FACING[:, ::-1], RED)
    canvas.mesh(TRIANGLE - [0, 0, 4], FACING, RED)
    canvas.points(np.array([[0.0, 0, -1], [0, 0, 0.01], [9, 9, 2]]), np.stack([RED] * 3))
    assert not canvas.image.any()


def test_nearer_hides_farther_in_any_order() -> None:
    near, far = TRIANGLE, TRIANGLE * 2  # the same pixels
    for order in ((near, far), (far, near)):
        canvas = _canvas()
        for triangle in order:
            canvas.mesh(triangle, FACING, RED if triangle is near else BLUE)
        assert canvas.image[30, 30, 0] > 0 and canvas.image[30, 30, 2] == 0
    canvas.points(np.array([[0.2, 0.2, 1.0], [0.4, 0.4, 3.0]]), np.stack([BLUE, BLUE]), size=1)
    assert np.array_equal(canvas.image[36, 36], BLUE) and canvas.depth[36, 36] == 1
    assert np.array_equal(canvas.image[30, 30, 2], 0)


def test_large_triangles_and_those_across_the_border_are_filled() -> None:
    canvas = _canvas()
    canvas.mesh(np.array([[-3.0, -3, 2], [9, -3, 2], [-3, 9, 2]]), FACING, RED)
    assert (canvas.image[..., 0] > 0).all()


def test_look_at_sees_its_target_in_the_middle_and_upright() -> None:
    view = View(look_at(np.array([3.0, 2, 5]), np.array([0, 1.0, 0])), np.diag([100.0, 100, 1]), 10, 10)
    px, depth = view.project(np.array([[0, 1.0, 0], [0, 2.0, 0], [1.0, 1, -0.6]]))
    np.testing.assert_allclose(px[0], 0, atol=1e-9)
    assert depth[0] == pytest.approx(np.sqrt(35)) and px[1, 1] < 0 and abs(px[1, 0]) < 1e-9 and px[2, 0] > 0


@pytest.mark.parametrize("name", ["top", "side", "front", "third", "camera"])
def test_people_are_where_the_view_projects_them(result: Reconstruction, body: BodyModel, name: str) -> None:
    frame, size = 6, (480, 270)
    one_color = (np.tile(rgb(person_color(p.id)), (len(body.skin_weights), 1)) for p in result.people)
    people = (replace(p, colors=c, colors_seen=1.0) for p, c in zip(result.people, one_color, strict=True))
    result = replace(result, people=tuple(people))
    picture = render(result, body, frame, name, size)  # type: ignore[arg-type]
    assert picture.shape == (270, 480, 3)
    view = named_view(result, name, size, frame)  # type: ignore[arg-type]
    for person in result.people:
        row = np.flatnonzero(person.frames == frame)
        vertices = posed_vertices(body, person.betas, person.pose[row], person.transl[row])[0]
        px = view.project(vertices)[0].astype(int)
        seen = px[(px >= 0).all(1) & (px < size).all(1)]
        hue = picture[seen[:, 1], seen[:, 0]].astype(float)
        own = rgb(person_color(person.id)).astype(float)
        like = (hue @ own) / np.maximum(np.linalg.norm(hue, axis=1) * np.linalg.norm(own), 1)
        assert (like > 0.97).mean() > 0.6


def test_a_textured_square_shows_its_picture_from_both_sides() -> None:
    """A square that leans away shows each quarter of its texture where perspective has it."""
    corners = np.array([[-1.0, 1, 2], [1, 1, 2], [-1, 1, 6], [1, 1, 6]])  # a floor 1 m under the camera
    uv = np.array([[0.0, 1], [1, 1], [0, 0], [1, 0]])
    texture = np.zeros((40, 40, 3), np.uint8)
    texture[:20, :20], texture[:20, 20:], texture[20:, :20], texture[20:, 20:] = RED, BLUE, [0, 255, 0], [255, 255, 0]
    view = View(np.eye(4), np.array([[100.0, 0, 50], [0, 100, 10], [0, 0, 1]]), 100, 100)
    for faces in (np.array([[0, 1, 2], [1, 3, 2]]), np.array([[0, 2, 1], [1, 2, 3]])):
        canvas = Canvas(view, BLACK)
        canvas.textured(corners, faces, uv, texture)
        for point, color in (([-0.5, 1, 3.7], [0, 255, 0]), ([0.5, 1, 3.7], [255, 255, 0]),
                             ([-0.5, 1, 4.5], RED), ([0.5, 1, 4.5], BLUE)):  # fmt: skip
            x, y = view.project(np.array([point]))[0][0].astype(int)
            np.testing.assert_array_equal(canvas.image[y, x], color)


def test_pictures_show_the_surface_instead_of_points(result: Reconstruction, body: BodyModel) -> None:
    violet = cv2.imencode(".png", np.full((4, 4, 3), [200, 40, 160], np.uint8))[1].tobytes()
    x, z = np.meshgrid(np.arange(-20, 21), np.arange(-20, 21))
    ground = np.stack([x, 0 * x, z], -1).reshape(-1, 3).astype(np.float32)
    at = np.arange(41 * 41).reshape(41, 41)
    a, b, c, d = (q.ravel() for q in (at[:-1, :-1], at[:-1, 1:], at[1:, :-1], at[1:, 1:]))
    faces = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    place = Surface(ground, faces, np.zeros((len(ground), 2), np.float32), violet)
    picture = render(replace(result, surface=place), body, 6, "top", (480, 270))
    assert (np.abs(picture.astype(int) - [160, 40, 200]).max(-1) < 3).mean() > 0.5
    broken = render(replace(result, surface=replace(place, texture=b"no picture")), body, 6, "top", (480, 270))
    np.testing.assert_array_equal(broken, render(result, body, 6, "top", (480, 270)))


def test_orthographic_views_show_metres(result: Reconstruction) -> None:
    view = named_view(result, "top", (480, 270))
    px, _ = view.project(np.array([[0.0, 0, -3], [1, 0, -3], [0, 1.5, -3], [0, 0, -2]]))
    right, up, back = px[1:] - px[0]
    assert right[0] > 5 and abs(right[1]) < 1e-6
    assert np.abs(up).max() < 0.01 * right[0]  # height does not shift it: as good as orthographic
    np.testing.assert_allclose(back, [0, right[0]], atol=1e-6)


def test_meshes_by_frame_are_those_of_each_frame(result: Reconstruction, body: BodyModel) -> None:
    every = list(meshes_by_frame(result, body))
    assert [len(present) for present in every] == [
        sum(frame in person.frames for person in result.people) for frame in range(20)
    ]
    person, vertices = every[15][-1]
    row = np.flatnonzero(person.frames == 15)
    expected = posed_vertices(body, person.betas, person.pose[row], person.transl[row])[0]
    np.testing.assert_allclose(vertices, expected, atol=1e-5)


def _decode(path: Path) -> tuple[list[np.ndarray], list[float], str, str]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        pictures = [frame.to_ndarray(format="rgb24") for frame in frames]
        times = [float(frame.pts * frame.time_base) for frame in frames]
        return pictures, times, stream.codec_context.name, stream.codec_context.pix_fmt


def test_encoded_frames_keep_their_own_times(tmp_path: Path) -> None:
    times = np.array([2.0, 2.04, 2.07, 2.2, 2.21])
    encode((np.full((51, 65, 3), 40 * f, np.uint8) for f in range(5)), times, tmp_path / "v.mp4")
    pictures, seen, codec, pixels = _decode(tmp_path / "v.mp4")
    assert (codec, pixels) == ("h264", "yuv420p")
    np.testing.assert_allclose(seen, times - 2, atol=1e-4)
    assert [p.shape for p in pictures] == [(50, 64, 3)] * 5  # H.264 wants even sides
    np.testing.assert_allclose([p.mean() for p in pictures], 40 * np.arange(5), atol=4)
    assert (tmp_path / "v.mp4").read_bytes().find(b"moov") < (tmp_path / "v.mp4").read_bytes().find(b"mdat")


def test_videos_show_clip_and_bodies(result: Reconstruction, body: BodyModel, clip: Clip, tmp_path: Path) -> None:
    save_clip(clip, tmp_path / "clip.mp4")
    save_overlay(result, body, clip, tmp_path / "over.mp4")
    save_side_by_side(result, body, clip, tmp_path / "side.mp4")
    (plain, times, _, _), (over, _, _, _), (side, _, _, _) = (
        _decode(tmp_path / f"{name}.mp4") for name in ("clip", "over", "side")
    )
    np.testing.assert_allclose(times, result.frame_times, atol=1e-4)
    assert len(plain) == len(over) == len(side) == 20
    assert side[0].shape == (540, 1920, 3) and over[0].shape == (540, 960, 3)
    changed = np.abs(over[9].astype(int) - plain[9]).max(-1) > 30
    canvas = Canvas(named_view(result, "camera", (960, 540), 9), BLACK)
    for person, vertices in list(meshes_by_frame(result, body))[9]:
        canvas.mesh(vertices, np.asarray(body.faces), rgb(person_color(person.id)))
    drawn = np.isfinite(canvas.depth)
    assert (changed & drawn).sum() / (changed | drawn).sum() > 0.9
    np.testing.assert_allclose(side[9][:, :960].mean(), plain[9].mean(), atol=2)


def test_overlay_is_see_through(result: Reconstruction, body: BodyModel, clip: Clip) -> None:
    bright = Clip(
        [cv2.imencode(".png", np.full((540, 960, 3), 255, np.uint8))[1].tobytes()] * 20, clip.times, 960, 540, 30
    )
    dark, light = overlay(result, body, clip, 0), overlay(result, body, bright, 0)
    drawn = np.abs(dark.astype(int) - clip.frame(0)).max(-1) > 30
    lift = light[drawn].astype(float) - dark[drawn]
    assert 30 < lift.mean() < 90  # about a quarter of what is behind comes through


def test_cancelling_a_video_stops_it(result: Reconstruction, body: BodyModel, clip: Clip, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        save_overlay(result, body, clip, tmp_path / "v.mp4", Progress(cancelled=lambda: True))


def test_a_turntable_goes_round_everybody_and_ends_where_it_began(
    result: Reconstruction, body: BodyModel, tmp_path: Path
) -> None:
    """All around the people are in the picture; the last frame leads to the first as each does to the next."""
    part = turntable.part_of(result)
    orbit = turntable._orbit(result, part)
    seconds, joints = turntable._shown_joints(result, part)
    centres = []
    for turn in np.arange(8) / 8:
        for time, points in zip(seconds, joints, strict=True):
            px, depth = orbit.view(float(time), float(turn)).project(points)
            assert (depth > 1).all() and (px > 0).all() and (px < turntable.SIZE).all()
        centres.append(orbit.view(0.0, float(turn)).world_from_cam[:3, 3])
    around = np.stack(centres) - np.mean(centres, 0)
    np.testing.assert_allclose(np.linalg.norm(around, axis=1), np.linalg.norm(around[0]), rtol=1e-6)
    far = PointCloud(np.full((1, 3), 90.0, np.float32), np.zeros((1, 3), np.uint8), np.ones(1, np.float32))
    turntable.save_turntable(replace(result, scene=far), body, tmp_path / "t.mp4")  # single points only flicker
    pictures, times, codec, pixels = _decode(tmp_path / "t.mp4")
    assert (codec, pixels, pictures[0].shape) == ("h264", "yuv420p", (720, 1280, 3))
    assert len(times) == part.period * part.plays and 5 < times[-1] < 8

    def change(a: int, b: int) -> float:
        return float(np.abs(pictures[a].astype(int) - pictures[b]).mean())

    steps = [change(i, i + 1) for i in range(0, len(pictures) - 1, 5)]
    assert change(-1, 0) < 1.1 * max(steps)


def test_a_turntable_shows_the_part_with_most_people_at_their_own_times(
    result: Reconstruction, body: BodyModel
) -> None:
    late = replace(result.people[0], **{
        name: getattr(result.people[0], name)[-5:] for name in ("frames", "pose", "transl", "joints", "contact")
    })  # fmt: skip
    alone = replace(result, people=(late,))
    assert turntable._fullest(alone, 5 / 30) >= result.frame_times[14]
    half = turntable._at(result, (result.frame_times[3:6] + result.frame_times[4:7]) / 2)
    person = result.people[0]
    rows = np.searchsorted(person.frames, [3, 4, 5])
    middle = (person.transl[rows] + person.transl[rows + 1]) / 2
    np.testing.assert_allclose(half.people[0].transl, middle, atol=1e-6)
    assert len(half.people[0].frames) == 3
    with pytest.raises(ResultError, match="nobody"):
        turntable.save_turntable(replace(result, people=()), body, Path("none.mp4"))


def test_a_split_shows_both_results_of_one_clip(
    result: Reconstruction, body: BodyModel, clip: Clip, tmp_path: Path
) -> None:
    """Each half's bodies are where its own result has them; the line between is thin and bright."""
    moved = replace(result, people=tuple(replace(p, transl=p.transl + np.float32([0.8, 0, 0])) for p in result.people))
    split.save_split(result, moved, body, clip, tmp_path / "s.mp4")
    pictures, times, codec, _ = _decode(tmp_path / "s.mp4")
    np.testing.assert_allclose(times, result.frame_times, atol=1e-4)
    assert codec == "h264" and pictures[0].shape == (720, 1282, 3)
    assert pictures[9][:, 640:642].min() > 150
    for left, told in ((0, result), (642, moved)):
        canvas = Canvas(named_view(told, "camera", (640, 360), 9), BLACK)
        for person, vertices in list(meshes_by_frame(told, body))[9]:
            canvas.mesh(vertices, np.asarray(body.faces), rgb(person_color(person.id)))
        drawn, part = np.isfinite(canvas.depth), slice(left, left + 640)
        changed = np.abs(pictures[9][:360, part].astype(int) - clip.frame(9, 640)).max(-1) > 30
        changed[:40, :180] = drawn[:40, :180]  # the label
        assert (changed & drawn).sum() / (changed | drawn).sum() > 0.9
    with pytest.raises(ResultError, match="same clip"):
        split.save_split(replace(result, clip={"sha256": "other"}), moved, body, clip, tmp_path / "s.mp4")
