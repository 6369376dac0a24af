"""Parts of the body fit: its points against the body model, derivatives against differences, the solver, the sides."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from josh_core.body import load_body
from josh_core.body.names import JOINTS, LANDMARKS
from josh_core.bodyfit import frame_terms
from josh_core.bodyfit.fit_body import MOTION, FitBody, Pose
from josh_core.bodyfit.frame_terms import bones, pixels
from josh_core.bodyfit.initial_pose import initial_pose
from josh_core.bodyfit.left_right import HEIGHT, exchanged_strides, fix_left_right, mirror_names
from josh_core.bodyfit.objective import normal_equations, objective
from josh_core.bodyfit.observations import BONE_FROM, BONE_TO, CONFUSED_FACTOR, Observations, gather_observations
from josh_core.bodyfit.pose_prior import pose_prior
from josh_core.bodyfit.temporal_terms import smoothness
from josh_core.geometry import rotmat_to_rotvec, rotvec_to_rotmat
from josh_core.types import CameraPath, Clip, Track

N = 5


@pytest.fixture(scope="module")
def fit_body():
    return FitBody.of(load_body())


def some_pose(rng, n=N, size=0.4):
    rotations = rotvec_to_rotmat(rng.normal(0, size, (n, 24, 3)))
    return Pose(rotations, rng.normal(0, 0.2, (n, 3)) + [0, 0, 4.0], rng.normal(0, 1, 10))


def evidence_of(fit_body, pose, rng, noise=0.01):
    """What a camera at the origin would tell of a pose, with noise."""
    n = len(pose.transl)
    p = fit_body.evaluate(pose, derivatives=False).points[:, len(JOINTS) :]
    guess = p - p[:, [23, 24]].mean(1, keepdims=True) + rng.normal(0, noise, p.shape)
    return Observations(
        times=np.arange(n) / 25 + rng.uniform(0, 0.01, n),
        rays=p[..., :2] / p[..., 2:] + rng.normal(0, 0.2 * noise, p[..., :2].shape),
        ray_sigma=rng.uniform(0.004, 0.02, p.shape[:2]),
        bones=guess[:, BONE_TO] - guess[:, BONE_FROM],
        bone_sigma=rng.uniform(0.05, 0.1, (n, len(BONE_FROM), 3)),
        sight=rotvec_to_rotmat(rng.normal(0, 0.1, (n, 3))),
        depth=np.full(n, 4.0),
        world_from_cam=rotvec_to_rotmat(rng.normal(0, 0.3, (n, 3))),
        camera_stays=True,
        guess=guess,
        visibility=np.ones(p.shape[:2]),
        turned=np.zeros(n, bool),
        height=1.75,
    )


def test_rig_has_the_points_of_the_body(fit_body):
    body, pose = load_body().double(), some_pose(np.random.default_rng(0), size=0.8)
    with torch.no_grad():
        p = body.points(torch.tensor(pose.betas).expand(N, -1), torch.tensor(pose.rotations), torch.tensor(pose.transl))
        height = body.height(torch.tensor(pose.betas)[None]).item()
    mine = fit_body.evaluate(pose, derivatives=False).points
    assert np.abs(mine[:, :24] - p.joints.numpy()).max() < 1e-6
    assert np.abs(mine[:, 24:] - p.landmarks.numpy()).max() < 1e-6
    assert fit_body.stature[0] + fit_body.stature[1:] @ pose.betas == pytest.approx(height, abs=0.03)


def test_derivatives_of_the_points(fit_body):
    rng = np.random.default_rng(1)
    pose, h = some_pose(rng, size=0.8), 1e-6
    motion, betas = rng.normal(size=(N, MOTION)), rng.normal(size=10)
    posed = fit_body.evaluate(pose)
    there = fit_body.evaluate(pose.retract(h * motion, h * betas), derivatives=False).points
    back = fit_body.evaluate(pose.retract(-h * motion, -h * betas), derivatives=False).points
    told = (posed.by_motion @ motion[:, None, :, None])[..., 0] + posed.by_shape @ betas
    assert np.abs((there - back) / (2 * h) - told).max() < 1e-6


def test_gradient_of_the_whole_objective(fit_body):
    rng = np.random.default_rng(2)
    obs = evidence_of(fit_body, some_pose(rng), rng, noise=0.05)
    pose, smooth = some_pose(rng), smoothness(obs.times)
    normal = normal_equations(fit_body, pose, obs, smooth)
    for _ in range(5):
        motion, betas, h = rng.normal(size=(N, MOTION)), rng.normal(size=10), 1e-6
        ahead = objective(fit_body, pose.retract(h * motion, h * betas), obs, smooth)
        behind = objective(fit_body, pose.retract(-h * motion, -h * betas), obs, smooth)
        told = 2 * ((normal.gradient.numpy() * motion).sum() + normal.dense_gradient.numpy() @ betas)
        assert told == pytest.approx((ahead - behind) / (2 * h), rel=1e-4)


@pytest.mark.parametrize("term", [pixels, bones])
def test_rows_of_terms(fit_body, term, monkeypatch):
    """With all robust weights at one, rows are plain derivatives of the residuals."""
    monkeypatch.setattr(frame_terms, "PIXEL_CAUCHY_WIDTH", 1e9)
    monkeypatch.setattr(frame_terms, "BONE_WIDTH", 1e9)
    rng = np.random.default_rng(3)
    pose = some_pose(rng)
    obs = evidence_of(fit_body, pose, rng, noise=0.03)
    rows, h = term(fit_body.evaluate(pose), obs), 1e-6
    motion, betas = rng.normal(size=(N, MOTION)), rng.normal(size=10)
    # The scale of the guess follows the mean length of a bone over all frames; rows have that by the shape only.
    motion[:, :-3] *= 0.0 if term is bones else 0.1
    there = term(fit_body.evaluate(pose.retract(h * motion, h * betas), derivatives=False), obs).residual
    back = term(fit_body.evaluate(pose.retract(-h * motion, -h * betas), derivatives=False), obs).residual
    told = (rows.by_motion @ motion[..., None])[..., 0] + rows.by_shape @ betas
    assert np.abs(told).max() > 0.1
    assert np.abs((there - back) / (2 * h) - told).max() < 1e-5 * np.abs(told).max()


def test_smoothness_measures_acceleration_whatever_the_frame_rate():
    falling = [
        0.5 * 9.81 * t**2 for t in (np.arange(301) / 300, np.arange(31) / 30, np.array([0, 0.1, 0.3, 0.35, 0.7, 1]))
    ]
    times = (np.arange(301) / 300, np.arange(31) / 30, np.array([0, 0.1, 0.3, 0.35, 0.7, 1]))
    costs = [x @ (smoothness(t) @ x) for x, t in zip(falling, times, strict=True)]
    assert costs[0] == pytest.approx((9.81 / 27.0) ** 2 * 30, rel=0.01)
    assert costs[1] == pytest.approx(costs[0], rel=0.05)
    assert costs[2] == pytest.approx(costs[0], rel=0.5)
    assert smoothness(np.array([0.0, 1.0])).nnz == 0


def test_initial_pose_points_its_bones_as_the_guess(fit_body):
    rng = np.random.default_rng(5)
    pose = some_pose(rng, size=0.3)
    obs = evidence_of(fit_body, pose, rng, noise=1e-6)
    first = initial_pose(fit_body, replace(obs, height=1.75))
    p, q = (fit_body.evaluate(x, derivatives=False).points for x in (pose, first))
    for a, b in ((1, 4), (4, 7), (16, 18), (18, 20), (2, 5), (17, 19)):
        u, v = p[:, b] - p[:, a], q[:, b] - q[:, a]
        cosine = (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 8
    assert np.abs(q[:, 0, 2] - 4.0).max() < 0.2


def test_right_joints_mirror_the_left():
    h = pose_prior()
    left, right = JOINTS.index("left_elbow"), JOINTS.index("right_elbow")
    assert h.least[left, 1] == -h.most[right, 1] == -2.6
    assert h.most[left, 1] == h.least[right, 1] == 0
    assert np.allclose(h.mean[left], h.mean[right] * [1, -1, -1])
    assert (h.least <= h.mean).all() and (h.mean <= h.most).all()
    bent = rotmat_to_rotvec(rotvec_to_rotmat(np.array([1.2, 0, 0])))
    knee = JOINTS.index("left_knee")
    assert (h.least[knee] <= bent).all() and (bent <= h.most[knee]).all()


def waving(n):
    """A track of somebody whose hands and feet swing, far apart."""
    t = np.arange(n) / 30
    base = np.random.default_rng(6).uniform(0, 20, (33, 2))
    for name, (x, y) in {"shoulder": (40, 50), "hip": (25, 150), "elbow": (70, 90), "knee": (30, 220)}.items():
        for side, sign in (("left", 1), ("right", -1)):
            base[LANDMARKS.index(f"{side}_{name}")] = (200 + sign * x, y)
    px = np.repeat(base[None], n, 0)
    for name, y in (("wrist", 130), ("ankle", 300)):
        for side, sign in (("left", 1), ("right", -1)):
            k = LANDMARKS.index(f"{side}_{name}")
            px[:, k, 0] = 200 + sign * (60 + 20 * np.sin(6 * t))
            px[:, k, 1] = y
    m = np.concatenate([px / 200, np.zeros((n, 33, 1))], -1)
    ones = np.ones((n, 33))
    return Track(0, np.arange(n), np.zeros((n, 4)), px, ones, m, np.ones(n, bool))


def test_legs_exchanged_for_long_are_found_from_the_side_only():
    track, mirror, legs = waving(60), mirror_names(), np.arange(23, 33)
    late = np.ix_(range(48, 60), legs)
    for width, found in ((4.0, range(48, 60)), (50.0, range(0))):
        px = track.landmarks_px.copy()
        px[:, [LANDMARKS.index(f"{side}_hip") for side in ("left", "right")], 0] = 200 + 0.5 * width, 200 - 0.5 * width
        # the legs pass each other where they are exchanged, so that every single step is short
        px[..., 0] = np.where(np.isin(np.arange(33), legs[2:]), 200 + 0.3 * (px[..., 0] - 200), px[..., 0])
        px[late] = px[np.ix_(range(48, 60), mirror[legs])]
        _, exchanged = fix_left_right(
            replace(track, landmarks_px=px),
            np.full(len(track.frames), 350.0 / HEIGHT),
            np.arange(len(track.frames)) / 30,
        )
        assert np.flatnonzero(exchanged[:, 1]).tolist() == list(found)


def test_sides_are_settled_for_the_whole_body_and_for_the_legs_alone():
    track, mirror = waving(30), mirror_names()
    assert (mirror[mirror] == np.arange(33)).all()
    assert LANDMARKS[mirror[LANDMARKS.index("mouth_left")]] == "mouth_right"
    px = track.landmarks_px.copy()
    px[10:14] = px[10:14][:, mirror]
    legs = np.arange(23, 33)
    px[np.ix_(range(20, 22), legs)] = track.landmarks_px[np.ix_(range(20, 22), mirror[legs])]
    mended, exchanged = fix_left_right(
        replace(track, landmarks_px=px), np.full(len(track.frames), 350.0 / HEIGHT), np.arange(len(track.frames)) / 30
    )
    assert np.flatnonzero(exchanged[:, 0]).tolist() == [10, 11, 12, 13]
    assert np.flatnonzero(exchanged[:, 1]).tolist() == [10, 11, 12, 13, 20, 21]
    assert np.array_equal(mended.landmarks_px, track.landmarks_px)
    same, nothing = fix_left_right(track, np.full(len(track.frames), 350.0 / HEIGHT), np.arange(len(track.frames)) / 30)
    assert not nothing.any()
    assert np.array_equal(same.landmarks_px, track.landmarks_px)


def test_arms_stay_where_only_the_legs_are_exchanged() -> None:
    """Hands near each other, as from the side: nothing but the cost of a state tells that they are named right."""
    track, mirror, legs = waving(40), mirror_names(), np.arange(23, 33)
    px = track.landmarks_px.copy()
    px[:, :23, 0] = 200 + 0.1 * (px[:, :23, 0] - 200)
    px[np.ix_(range(15, 21), legs)] = px[np.ix_(range(15, 21), mirror[legs])]
    _, exchanged = fix_left_right(
        replace(track, landmarks_px=px), np.full(40, 350.0 / HEIGHT), np.arange(len(track.frames)) / 30
    )
    assert np.flatnonzero(exchanged[:, 1]).tolist() == list(range(15, 21))
    assert not exchanged[:, 0].any()


def test_depths_tell_exchanged_arms_that_hang_before_each_other() -> None:
    """From the side both arms are at one place in the picture, one nearer than the trunk and the other farther."""
    track, mirror, upper = waving(40), mirror_names(), np.arange(23)
    px, m = track.landmarks_px.copy(), track.landmarks_m.copy()
    px[:, :23, 0] = 200 + 0.1 * (px[:, :23, 0] - 200)
    for part in ("shoulder", "elbow", "wrist"):
        m[:, LANDMARKS.index(f"left_{part}"), 2], m[:, LANDMARKS.index(f"right_{part}"), 2] = -0.2, 0.2
    wrong = np.ix_(range(15, 21), upper)
    px[wrong], m[wrong] = px[np.ix_(range(15, 21), mirror[upper])], m[np.ix_(range(15, 21), mirror[upper])]
    for depths, found in ((m, range(15, 21)), (track.landmarks_m, range(0))):
        _, exchanged = fix_left_right(
            replace(track, landmarks_px=px, landmarks_m=depths), np.full(40, 350.0 / HEIGHT), np.arange(40) / 30
        )
        assert np.flatnonzero(exchanged[:, 0]).tolist() == list(found)
        assert not exchanged[:, 1].any()


def test_landmarks_are_less_sure_where_the_network_had_exchanged_them() -> None:
    track, mirror = waving(30), mirror_names()
    px = track.landmarks_px.copy()
    legs = np.arange(23, 33)
    px[np.ix_(range(20, 22), legs)] = px[np.ix_(range(20, 22), mirror[legs])]
    path = CameraPath("static", np.tile(np.eye(4), (30, 1, 1)), 500.0, 0.1, np.array([0, 29]), np.ones(30, np.bool_))
    clip = Clip([b""] * 30, np.arange(30) / 30, 400, 400, 30.0)
    sigma = gather_observations(replace(track, landmarks_px=px), path, clip, 1.7).ray_sigma
    assert sigma[20:22, legs] == pytest.approx(CONFUSED_FACTOR * sigma[[19, 19]][:, legs], rel=1e-6)
    assert sigma[20:22, :23] == pytest.approx(sigma[[19, 19]][:, :23], rel=1e-6)


def passing_ankles(times: np.ndarray, far: float) -> np.ndarray:
    """[n,2,2] ankles of somebody who walks across the image, two steps a second, over the height; `far`: noise."""
    swing = 0.25 * np.sin(2 * np.pi * times)[:, None] * [1.0, 0.1]
    noise = np.random.default_rng(5).normal(0, far, (len(times), 2, 2))
    return np.stack([1 + swing, 1 - swing], 1) + noise


@pytest.mark.parametrize("rate", [15, 25, 60])
@pytest.mark.parametrize("wrong", [(0.0, 0.5), (1.0, 1.5), (2.0, 3.1), (9, 9)])
def test_strides_between_crossings_are_found_exchanged(rate: int, wrong: tuple[float, float]) -> None:
    times = np.arange(0, 3, 1 / rate) + 0.02
    bad = (times > wrong[0]) & (times < wrong[1])
    ankles = passing_ankles(times, 0.01)
    ankles[bad] = ankles[bad][:, ::-1]
    assert (exchanged_strides(ankles, np.ones(len(times)), times) != bad).sum() <= 2
    hidden = exchanged_strides(ankles, np.full(len(times), 0.1), times)
    assert not hidden.any()


def test_feet_that_turn_back_side_by_side_are_not_exchanged() -> None:
    times = np.arange(0, 4, 1 / 30)
    for swing in (0.01 * np.sin(9 * times), 0.05 + 0.1 * np.sin(3 * times), 0.3 * np.abs(np.sin(times))):
        between = swing[:, None] * [1.0, 0.2]
        ankles = np.stack([1 + between, 1 - between], 1)
        assert not exchanged_strides(ankles, np.ones(len(times)), times).any()
