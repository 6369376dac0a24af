"""The synthetic scenes themselves: truth and stages agree where there is no noise, and feet stand still."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from josh_core.body.posing import posed_points, posed_vertices, track_points
from josh_core.geometry import intrinsics, invert, project, rotation_angle, transform, unproject
from tests.synthetic import Noise, Synthetic, make_scene, rendered_clip, write_video

CASES = [("walk", "moving"), ("sit", "static"), ("two_people", "rotating"), ("march", "moving")]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def exact(request: pytest.FixtureRequest) -> Synthetic:
    return make_scene(*request.param, frames=40, seed=3, noise=Noise.none())


def test_stance_feet_stand_still_on_the_floor(exact: Synthetic) -> None:
    for person in exact.truth.people:
        _, points, _ = posed_points(exact.body, person.betas, person.pose, person.transl)
        assert posed_vertices(exact.body, person.betas, person.pose, person.transl)[..., 1].min() > -0.002
        touching = person.contact > 0.5
        stays = touching[1:] & touching[:-1]
        assert np.linalg.norm(np.diff(points, axis=0), axis=-1)[stays].max() < 0.001
        heel = exact.body.contact_names.index("left_heel")
        assert touching[:, heel].mean() > 0.2
        assert not touching.all(1).any()


def test_only_who_sits_touches_with_the_seat(exact: Synthetic) -> None:
    seat = [i for i, name in enumerate(exact.body.contact_names) if "seat" in name or "thigh" in name]
    seated = exact.truth.people[0].contact[:, seat].mean()
    assert seated > 0.2 if len(exact.room.rects) > 4 else seated == 0


def test_world_is_the_projects(exact: Synthetic) -> None:
    first = exact.truth.world_from_cam[0]
    np.testing.assert_allclose(first[[0, 2], 3], 0, atol=1e-12)
    ahead = first[:3, 2]
    assert abs(ahead[0]) < 1e-12 and ahead[2] < -0.9 and ahead[1] < 0
    place = exact.truth.world_from_cam[:, :3, 3]
    turned = rotation_angle(first[:3, :3].T @ exact.truth.world_from_cam[-1, :3, :3])
    kind = exact.truth.camera_kind
    assert (np.ptp(place, axis=0).max() > 0.2) == (kind == "moving")
    assert (turned > 0.01) == (kind != "static")
    cameras = exact.scene.cameras.world_from_cam
    if kind != "moving":
        np.testing.assert_allclose(cameras[0], np.eye(4), atol=1e-9)
        np.testing.assert_allclose(cameras[:, :3, 3], 0, atol=1e-9)


def test_bodies_and_landmarks_are_the_truth_seen_from_the_camera(exact: Synthetic) -> None:
    for person, track, seen in zip(exact.truth.people, exact.bodies, exact.people.tracks, strict=True):
        cam_from_world = invert(exact.truth.world_from_cam[person.frames])
        p_cam = transform(cam_from_world, person.joints)
        np.testing.assert_allclose(track_points(track, exact.body).joints, p_cam, atol=1e-4)
        rows = np.searchsorted(person.frames, seen.frames)
        landmarks = posed_points(exact.body, person.betas, person.pose[rows], person.transl[rows])[2]
        in_cam = transform(cam_from_world[rows], landmarks)
        np.testing.assert_allclose(seen.landmarks_px, project(exact.truth.intrinsics, in_cam), atol=1e-6)
        np.testing.assert_allclose(seen.landmarks_m[:, [23, 24]].mean(1), 0, atol=1e-9)
        offset = in_cam - seen.landmarks_m
        assert np.abs(offset - offset[:, :1]).max() < 1e-9
        waist = seen.landmarks_px[:, [11, 12, 23, 24]].mean(1)
        on_label = [
            exact.people.mask(frame, 640, 360, seen.id)[int(y), int(x)]
            for frame, (x, y) in zip(seen.frames, waist, strict=True)
        ]
        assert np.mean(on_label) > 0.7  # hidden now and then where two people pass
        assert ((waist > seen.boxes[:, :2]) & (waist < seen.boxes[:, 2:])).all()


def test_scene_is_the_truth_in_another_frame_and_scale(exact: Synthetic) -> None:
    cameras, depths, s = exact.scene.cameras, exact.scene.depths, exact.scene_from_world
    np.testing.assert_allclose(cameras.world_from_cam, s.cameras(exact.truth.world_from_cam), atol=1e-9)
    h, w = depths.depth.shape[1:]
    k = intrinsics(cameras.focal * w / exact.truth.width, w, h)
    xy = np.stack(np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5), -1)
    for i, frame in enumerate(cameras.keyframes):
        low = np.zeros((h, w), bool)
        low[-h // 8 :] = depths.confidence[i, -h // 8 :] > 0  # the lowest rows see the ground
        p = transform(cameras.world_from_cam[frame], unproject(k, xy[low], depths.depth[i][low].astype(float)))
        np.testing.assert_allclose(p @ exact.floor.normal + exact.floor.offset, 0, atol=1e-4)
        assert (depths.depth[i][exact.people.labels[frame] > 0] == 0).all()


def test_matches_are_one_point_seen_twice(exact: Synthetic) -> None:
    matches, keyframes = exact.scene.matches, exact.scene.cameras.keyframes
    assert matches.offsets[-1] == len(matches.px) == len(matches.confidence) > 500
    for (i, j), a, b in zip(matches.pairs, matches.offsets[:-1], matches.offsets[1:], strict=True):
        first, second = exact.truth.world_from_cam[keyframes[[i, j]]]
        px = matches.px[a:b]
        rays = unproject(exact.truth.intrinsics, px[:, 0], np.ones(b - a))
        depth = exact.room.cast(first[:3, 3], rays @ first[:3, :3].T).distance
        p_cam = transform(invert(second) @ first, rays * depth[:, None])
        np.testing.assert_allclose(project(exact.truth.intrinsics, p_cam), px[:, 1], atol=1e-6)


def test_truth_points_lie_on_the_room(exact: Synthetic) -> None:
    p = exact.truth.scene.points
    on_ground, on_back = np.abs(p[:, 1]) < 1e-3, np.abs(p[:, 2] + 9) < 1e-3
    assert on_ground.mean() > 0.3 and on_back.mean() > 0.2
    assert len(p) == len(exact.truth.scene.colors) > 10_000


def test_noise_is_as_large_as_it_says() -> None:
    noise = Noise(focal=0.1, match_outliers=0.0)
    exact, noisy = (make_scene("walk", "moving", frames=40, seed=1, noise=n) for n in (Noise.none(), noise))
    assert noisy.scene.cameras.focal == pytest.approx(1.1 * exact.scene.cameras.focal)
    px = noisy.people.tracks[0].landmarks_px - exact.people.tracks[0].landmarks_px
    assert px.std() == pytest.approx(noise.landmarks_px, rel=0.1)
    turn = exact.bodies[0].rotations.swapaxes(-1, -2) @ noisy.bodies[0].rotations
    per_axis = np.degrees(rotation_angle(turn)) / np.sqrt(3)
    assert np.sqrt((per_axis**2).mean()) == pytest.approx(noise.body_degrees, rel=0.25)
    pelvis = [track_points(s.bodies[0], s.body).joints[:, 0] for s in (exact, noisy)]
    ratio = pelvis[1][:, 2] / pelvis[0][:, 2] / 1.1
    assert 0.005 < np.abs(ratio - 1).mean() < 0.2
    flipped = np.abs(exact.contacts[0].probability - noisy.contacts[0].probability) > 0.5
    assert 0.005 < flipped.mean() < 0.05


def test_same_arguments_same_scene() -> None:
    a, b, c = (make_scene("walk", frames=12, seed=s) for s in (5, 5, 6))
    np.testing.assert_array_equal(a.scene.matches.px, b.scene.matches.px)
    np.testing.assert_array_equal(a.bodies[0].rotations, b.bodies[0].rotations)
    assert not np.array_equal(a.truth.people[0].betas, c.truth.people[0].betas)


def test_pictures_show_the_people_where_the_labels_are(tmp_path: Path) -> None:
    scene = make_scene("march", "static", frames=4, seed=2)
    clip = rendered_clip(scene)
    assert len(clip) == 4 and clip.frame(0).shape == (360, 640, 3)
    picture, mask = clip.frame(3).astype(int), scene.people.mask(3, 640, 360)
    red = (picture[..., 0] - picture[..., 1:].max(-1)) > 60  # the shirt
    assert red.sum() > 500 and (red & mask).sum() > 0.95 * red.sum()
    write_video(scene, tmp_path / "clip.mp4")
    video = cv2.VideoCapture(str(tmp_path / "clip.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    ok, frame = video.read()
    assert ok and np.abs(frame[..., ::-1].astype(int) - clip.frame(0)).mean() < 12
