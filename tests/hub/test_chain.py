"""Chaining: a known camera path comes back from pairwise answers, and everybody stands in one world."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from josh_core.body.model import load_body
from josh_core.body.move import move_body
from josh_core.geometry import invert, rigid, rotation_angle, rotvec_to_rotmat
from josh_core.hub.josh3r_chain import chain_cameras, every_frame, move_bodies, rotation_from_6d
from josh_core.hub.josh3r_pairs import PairPlan, plan_pairs
from josh_core.hub.josh3r_run import Answers, Known, assemble
from josh_core.types import CameraKind, CameraPath, Clip, People
from tests.hub.worlds import Truth, answers_of, fitted_bodies, make_clip, make_people, make_track, make_truth

PELVIS = np.array([0.01, -0.24, 0.03])
BOX = np.array([250.0, 100, 400, 300])
FRAMES = 41


def scene(spans: list[list[tuple[int, int]]]) -> tuple[Truth, Clip, People, PairPlan]:
    """One person for each entry, seen in the given spans of frames."""
    clip = make_clip(FRAMES, 640, 360)
    tracks = [make_track(k, np.concatenate([np.arange(*s) for s in span]), BOX) for k, span in enumerate(spans)]
    people = make_people(clip, tracks)
    return make_truth(FRAMES, len(spans), PELVIS), clip, people, plan_pairs(clip, people)


def path_error(truth: Truth, plan: PairPlan, people: People, pelvis: np.ndarray) -> tuple[float, float]:
    """Largest error of all frames' cameras, in m and in degrees."""
    bodies = fitted_bodies(truth, list(people.tracks))
    motions = answers_of(truth, plan)
    keyframe_cameras, lead = chain_cameras(plan, motions, bodies, np.tile(pelvis, (len(bodies), 1)))
    cameras, _ = every_frame(keyframe_cameras, lead, plan.keyframes, np.arange(FRAMES) / 30)
    want = invert(truth.world_from_cam[0]) @ truth.world_from_cam
    error = invert(want) @ cameras
    return float(np.linalg.norm(error[:, :3, 3], axis=-1).max()), float(
        np.degrees(rotation_angle(error[:, :3, :3]).max())
    )


def test_known_camera_path_comes_back_in_every_frame() -> None:
    truth, _, people, plan = scene([[(0, FRAMES)]])
    metres, degrees = path_error(truth, plan, people, PELVIS)
    assert metres < 1e-6
    assert degrees < 1e-4


def test_the_path_is_wrong_without_the_pelvis() -> None:
    truth, _, people, plan = scene([[(0, FRAMES)]])
    metres, _ = path_error(truth, plan, people, np.zeros(3))
    assert metres > 0.1


def test_another_person_is_used_where_the_best_is_not_seen() -> None:
    """Person 0 leaves for a while; person 1 enters in the middle and stays."""
    truth, _, people, plan = scene([[(0, 14), (22, FRAMES)], [(8, FRAMES - 5)]])
    metres, degrees = path_error(truth, plan, people, PELVIS)
    assert metres < 1e-6
    assert degrees < 1e-4


def test_the_camera_is_held_where_nobody_is_seen() -> None:
    truth, clip, people, plan = scene([[(0, 13), (18, FRAMES)]])
    bodies = fitted_bodies(truth, list(people.tracks))
    cameras, lead = chain_cameras(plan, answers_of(truth, plan), bodies, PELVIS[None])
    assert list(np.flatnonzero(lead < 0)) == [4, 5]  # pairs (12, 15) and (15, 18)
    assert np.allclose(cameras[4], cameras[6])
    _, registered = every_frame(cameras, lead, plan.keyframes, clip.times)
    assert list(np.flatnonzero(~registered)) == [13, 14, 15, 16, 17]


def test_a_prediction_behind_the_camera_is_not_used() -> None:
    truth, _, people, plan = scene([[(0, FRAMES)]])
    motions = answers_of(truth, plan)
    motions.trans[2, :, 2] = -1.0  # pair (6, 9): keyframes 6 and 9 still have their other pairs
    motions.trans[5, 0, 2] = motions.trans[6, 0, 2] = 0.0
    bodies = fitted_bodies(truth, list(people.tracks))
    cameras, lead = chain_cameras(plan, motions, bodies, PELVIS[None])
    assert np.isfinite(cameras).all()
    assert list(np.flatnonzero(lead < 0)) == [5, 6]


def test_bodies_take_the_networks_distance_and_keep_the_fits_motion() -> None:
    truth, clip, people, plan = scene([[(0, FRAMES)], [(7, 33)]])
    bodies = fitted_bodies(truth, list(people.tracks))
    wiggle = 0.01 * np.sin(np.arange(FRAMES) * 2 * np.pi / 3)  # vanishes at every keyframe but the last
    bodies[0].transl[:, 0] += wiggle
    moved = move_bodies(plan, answers_of(truth, plan), bodies, 700.0, clip.times)
    for person, body in enumerate(moved):
        want = truth.in_camera(person)[1][body.frames]
        want = want + [[1, 0, 0]] * wiggle[:, None] if person == 0 else want
        at_keyframes = np.isin(body.frames, plan.keyframes)
        assert np.abs(body.transl - want)[at_keyframes].max() < 0.011
        assert np.abs(body.transl - want).max() < 0.03
    assert moved[0].transl[1, 0] - truth.in_camera(0)[1][1, 0] == pytest.approx(wiggle[1], abs=2e-3)


def test_bodies_without_a_prediction_follow_the_focal() -> None:
    truth, clip, people, _ = scene([[(0, FRAMES)], [(20, 22)]])
    plan = plan_pairs(clip, people)
    bodies = fitted_bodies(truth, list(people.tracks))
    moved = move_bodies(plan, answers_of(truth, plan), bodies, 770.0, clip.times)
    assert np.allclose(moved[1].transl, bodies[1].transl * [1, 1, 1.1])
    assert moved[1].focal == 770.0


def test_everybody_stands_in_one_world() -> None:
    """Scene and bodies as the pipeline gets them: moved by world_from_cam, all people are where they truly are."""
    body = load_body()
    pelvis = body.pelvis(torch.zeros(1, 10))[0].double().numpy()
    clip = make_clip(FRAMES, 640, 360)
    tracks = [make_track(0, np.arange(FRAMES), BOX), make_track(1, np.arange(9, 34), BOX)]
    people = make_people(clip, tracks)
    truth, plan = make_truth(FRAMES, 2, pelvis), plan_pairs(clip, people)
    known = Known(clip, people, fitted_bodies(truth, tracks), body)
    scene, bodies = assemble(known, Answers(plan, answers_of(truth, plan), 700.0, 0.03))
    first = truth.world_from_cam[0]
    for person, track in enumerate(bodies):
        on_keyframe = np.isin(track.frames, plan.keyframes)
        at = track.frames[on_keyframe]
        rotation, transl = move_body(
            first @ scene.cameras.world_from_cam[at], track.rotations[on_keyframe, 0], track.transl[on_keyframe], pelvis
        )
        assert np.abs(rotation - truth.rotations[person, at]).max() < 1e-6
        assert np.abs(transl - truth.transl[person, at]).max() < 1e-6


@pytest.mark.parametrize(("kind", "focal"), [("static", 700.0), ("rotating", 900.0)])
def test_a_camera_that_does_not_travel_is_kept(kind: CameraKind, focal: float) -> None:
    truth, clip, people, plan = scene([[(0, FRAMES)]])
    turning = rigid(truth.world_from_cam[:, :3, :3], np.zeros((FRAMES, 3)))
    steady = CameraPath(kind, turning, 900.0, 0.01, np.arange(3), np.ones(FRAMES, bool))
    known = Known(clip, people, fitted_bodies(truth, list(people.tracks)), load_body(), steady)
    scene_, bodies = assemble(known, Answers(plan, answers_of(truth, plan), 700.0, 0.03))
    assert np.array_equal(scene_.cameras.world_from_cam, turning)
    assert scene_.cameras.keyframes.tolist() == plan.keyframes[:-1].tolist()
    assert scene_.cameras.focal == bodies[0].focal == focal


def test_depth_covers_what_the_network_saw_and_no_person() -> None:
    truth, clip, people, plan = scene([[(0, FRAMES)]])
    people.labels[:, 4:5, 8:9] = 1
    known = Known(clip, people, fitted_bodies(truth, list(people.tracks)), load_body())
    depths = assemble(known, Answers(plan, answers_of(truth, plan), 700.0, 0.03))[0].depths
    count, height, width = depths.depth.shape
    assert (count, width, height) == (len(plan.depth_pairs), 448, 252)
    inside = np.zeros((height, width), bool)
    inside[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = True
    seen = depths.depth[0] > 0
    assert not (seen & ~inside).any()
    assert np.unique(depths.depth[0][seen]).tolist() == [6.0]  # 3 units at 2 m each
    assert 0.9 < seen[inside].mean() < 1
    assert ((depths.confidence > 0) == (depths.depth > 0)).all()


def test_six_numbers_are_the_first_two_rows() -> None:
    rotation = rotvec_to_rotmat(np.array([[0.3, -2.0, 1.1], [0.0, 0.0, 0.0]]))
    assert np.abs(rotation_from_6d(rotation[:, :2].reshape(-1, 6)) - rotation).max() < 1e-12
    skewed = rotation_from_6d(np.array([3.0, 0, 0, 5, 2, 0]))
    assert np.allclose(skewed, np.eye(3))
