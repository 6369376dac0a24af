"""Bodies straight from the student: placed where their landmarks are seen, as tall as they should be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from josh_core.body import load_body
from josh_core.bodyfit.observations import Observations
from josh_core.errors import SettingsError
from josh_core.geometry import rotvec_to_rotmat
from josh_core.settings import Settings
from josh_core.student.estimate import StudentEstimate
from josh_core.student.feed_forward import betas_of_height, feed_forward_bodies, place
from josh_core.types import USUAL_HEIGHT_SIGMA, Float, People, Track

BODY = load_body()


def estimate(frames: int) -> StudentEstimate:
    """Somebody who swings arms and legs, and turns."""
    rng = np.random.default_rng(3)
    swing = rng.normal(0, 0.3, (24, 3)) * np.sin(np.arange(frames) / 5)[:, None, None]
    swing[:, 0] += [np.pi, 0, 0]  # SMPL's y up in an OpenCV camera
    return StudentEstimate(
        frames=np.arange(frames),
        rotations=rotvec_to_rotmat(swing),
        betas=np.eye(10)[1],
        pelvis=np.tile([0.0, 0.0, 4.0], (frames, 1)),
        landmarks=np.zeros((frames, 33, 3)),
        landmark_sigma=np.full((frames, 33), 0.05),
        up=np.tile([0.0, -1.0, 0.0], (frames, 1)),
        contact=np.zeros((frames, len(BODY.contact_names))),
        known=np.zeros(len(BODY.contact_names), np.bool_),
    )


def landmarks_of(given: StudentEstimate, betas: Float) -> Float:
    n = len(given.frames)
    shape = torch.as_tensor(betas, dtype=torch.float32).expand(n, -1)
    rotations = torch.as_tensor(given.rotations, dtype=torch.float32)
    with torch.no_grad():
        return BODY.points(shape, rotations, torch.zeros(n, 3)).landmarks.double().numpy()


def observed(points: Float, height: float = 1.67) -> Observations:
    """Somebody whose landmarks [n,33,3] m in the camera are seen exactly."""
    n = len(points)
    none = np.zeros((n, 33, 3))
    return Observations(
        times=np.arange(n) / 30,
        rays=points[..., :2] / points[..., 2:],
        ray_sigma=np.full((n, 33), 0.005),
        bones=np.zeros((n, 23, 3)),
        bone_sigma=np.ones((n, 23, 3)),
        sight=np.tile(np.eye(3), (n, 1, 1)),
        depth=np.full(n, 4.0),
        world_from_cam=np.tile(np.eye(3), (n, 1, 1)),
        camera_stays=True,
        guess=none,
        visibility=none[..., 0] + 1,
        turned=np.zeros(n, np.bool_),
        height=height,
    )


def way(frames: int) -> Float:
    """A walk across and away, m."""
    t = np.arange(frames)[:, None] / 30
    return np.array([-0.6, 0.2, 3.5]) + t * [0.9, 0.0, 0.7]


@pytest.mark.parametrize("frames", [1, 2, 60])
def test_landmarks_fall_where_they_are_seen(frames: int) -> None:
    given, true = estimate(frames), way(frames)
    landmarks = landmarks_of(given, given.betas)
    found = place(landmarks, given.pelvis[:, 2], observed(landmarks + true[:, None]))
    assert np.abs(found - true).max() < 2e-3


def test_wrong_landmarks_and_unseen_frames_hardly_move_the_body() -> None:
    given, true = estimate(60), way(60)
    landmarks = landmarks_of(given, given.betas)
    seen = observed(landmarks + true[:, None])
    rng = np.random.default_rng(0)
    rays = seen.rays + 0.2 * (rng.random((60, 33, 1)) < 0.1)
    sigma = seen.ray_sigma.copy()
    sigma[20:26] = 50.0  # behind something
    rays[20:26] += 0.5
    hurt = Observations(**{**vars(seen), "rays": rays, "ray_sigma": sigma})
    assert np.abs(place(landmarks, given.pelvis[:, 2], hurt) - true).max() < 0.03


def test_nothing_seen_is_finite() -> None:
    given = estimate(10)
    landmarks = landmarks_of(given, given.betas)
    nothing = Observations(**{**vars(observed(landmarks + way(10)[:, None])), "ray_sigma": np.full((10, 33), 1e6)})
    assert np.isfinite(place(landmarks, given.pelvis[:, 2], nothing)).all()


@pytest.mark.parametrize("height", [1.2, 1.67, 1.95])
def test_bodies_are_as_tall_as_asked_for(height: float) -> None:
    betas = betas_of_height(np.linspace(1, -1, 10), height, BODY)
    assert BODY.height(torch.as_tensor(betas, dtype=torch.float32)[None]).item() == pytest.approx(height, abs=1e-3)
    assert np.array_equal(betas[1:], np.linspace(1, -1, 10)[1:])


@pytest.mark.parametrize(("known", "sigma"), [(None, USUAL_HEIGHT_SIGMA), (1.8, 0.01)])
def test_a_track_gets_the_students_pose_and_shape(known: float | None, sigma: float) -> None:
    given, true = estimate(20), way(20)
    height = known or 1.67
    betas = betas_of_height(given.betas, height, BODY)
    seen = observed(landmarks_of(given, betas) + true[:, None], height)
    none = np.zeros((20, 33, 2))
    track = Track(5, np.arange(20), np.zeros((20, 4)), none, none[..., 0], np.zeros((20, 33, 3)), np.ones(20, np.bool_))
    people = People((track,), np.zeros((20, 4, 4), np.uint8))
    (body,) = feed_forward_bodies((given,), people, (seen,), 500.0, BODY, known)
    assert (body.id, body.focal, body.height_sigma) == (5, 500.0, sigma)
    assert np.array_equal(body.rotations, given.rotations) and np.abs(body.transl - true).max() < 2e-3
    assert body.height_m == pytest.approx(height, abs=1e-3)


def test_it_needs_the_student() -> None:
    with pytest.raises(SettingsError, match="needs use_student"):
        Settings(feed_forward=True, use_student=False)
