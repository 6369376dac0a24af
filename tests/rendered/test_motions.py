"""Rendered clips' motions: soles on the ground, standing feet and seats exactly still, legs long enough."""

import numpy as np
import pytest

from benchmarks.rendered.kinds import KINDS
from benchmarks.rendered.make import shot_of
from benchmarks.rendered.motions import LEGS, Motion
from benchmarks.rendered.truth import foot_gaps
from josh_core.body.model import BodyModel, load_body


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


def _steps(points: np.ndarray, stands: np.ndarray) -> np.ndarray:
    """Way in m of a point from frame to frame while it stands."""
    return np.linalg.norm(np.diff(points, axis=0), axis=1)[stands[1:] & stands[:-1]]


def _sole(motion: Motion, side: int, end: int) -> np.ndarray:
    """Path [T,3] of the rearmost (0) or foremost (-1) point of a shoe's sole."""
    shoe = motion.person.weights[:, [7 + side, 10 + side]].sum(1) > 0.5
    sole = np.flatnonzero(shoe & (motion.person.dressed[:, 1] < 1e-6))
    vertex = sole[np.argsort(motion.person.dressed[sole, 2])[end]]
    return np.array([motion.vertices(frame)[vertex] for frame in range(len(motion.root))])


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("seed", [1, 102])
def test_feet_stand_on_the_ground_and_still(kind: str, seed: int, body: BodyModel) -> None:
    shot = shot_of(kind, seed, body, frames=45)
    for motion in shot.motions:
        gaps, stands = foot_gaps(shot, motion), motion.touches.any(2)
        assert np.abs(gaps[stands]).max(initial=0.0) < 0.003
        assert gaps.min() > -0.003  # nor does a swinging foot pass through the ground
        for side, (hip, knee, ankle, ball) in enumerate(LEGS):
            heel, front, toe = motion.touches[:, side].T
            assert _steps(_sole(motion, side, 0), heel).max(initial=0.0) < 1e-4
            assert _steps(_sole(motion, side, -1), toe).max(initial=0.0) < 1e-4
            assert _steps(motion.joints[:, ball], front).max(initial=0.0) < 1e-4
            assert _steps(motion.joints[:, ankle], heel & front).max(initial=0.0) < 1e-4
            rest = motion.person.joints
            longest = np.linalg.norm(rest[knee] - rest[hip]) + np.linalg.norm(rest[ankle] - rest[knee])
            assert np.linalg.norm(motion.joints[:, ankle] - motion.joints[:, hip], axis=1).max() < 0.9999 * longest


def test_walking_feet_take_turns(body: BodyModel) -> None:
    motion = shot_of("tripod_depth", 1, body).motions[0]
    heel, ball = motion.touches[:, :, 0], motion.touches[:, :, 1]
    assert 0.5 < motion.touches.any(2).mean() < 0.75
    assert (heel & ~ball).any() and (ball & ~heel).any()  # rolls over the heel, then over the ball


def test_a_seat_at_rest_is_on_the_bench_and_still(body: BodyModel) -> None:
    shot = shot_of("bench", 1, body)
    motion = shot.motions[0]
    assert motion.seated.sum() > 15
    lowest = np.array([motion.vertices(f)[motion.person.seat, 1].min() for f in np.flatnonzero(motion.seated)])
    assert np.abs(lowest - shot.ground.top).max() < 0.003  # type: ignore[attr-defined]
    assert _steps(motion.joints[:, 0], motion.seated).max() < 1e-4


def test_gliding_feet_are_no_contacts(body: BodyModel) -> None:
    for kind in ("skater", "treadmill"):
        motion = shot_of(kind, 1, body, frames=45).motions[0]
        assert not motion.touches.any() and motion.slides.any()


def test_the_same_seed_makes_the_same_clip_and_another_another(body: BodyModel) -> None:
    first, again, other = (shot_of("crossing", seed, body, frames=3) for seed in (1, 1, 2))
    assert np.array_equal(first.motions[0].joints, again.motions[0].joints)
    assert np.array_equal(first.cameras, again.cameras)
    assert np.abs(first.motions[0].joints - other.motions[0].joints).max() > 0.05
    heights = sorted(round(motion.person.height, 2) for motion in first.motions)
    assert heights == [1.53, 1.80]
