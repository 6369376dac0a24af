"""The pose prior of walks against captured motion: what other steps say is nearer to the truth than noisy frames."""

import numpy as np
import pytest

from josh_core.body.model import load_body
from josh_core.bodyfit.fit_body import FitBody, Pose
from josh_core.bodyfit.gait import gait_prior, walk_phase
from josh_core.bodyfit.pose_prior import POSE_PRIOR, PosePrior
from josh_core.geometry import rotvec_to_rotmat
from josh_core.student.training.motions import MOCAP_FILE

FPS = 30.0
LIMBS = [1, 2, 4, 5, 16, 17, 18, 19]
LEFT_SHOULDER, RIGHT_SHOULDER = 16, 17


def captured(name: str) -> np.ndarray:
    """Local rotation vectors [T,24,3] of three seconds of a captured motion."""
    with np.load(MOCAP_FILE) as stored:
        return stored[f"{name}_rotvec"][:90].astype(np.float64)


def joints_of(turned: np.ndarray) -> tuple[Pose, np.ndarray, np.ndarray]:
    pose = Pose(rotvec_to_rotmat(turned), np.zeros((len(turned), 3)), np.zeros(10))
    joints = FitBody.of(load_body()).evaluate(pose, derivatives=False).points[:, :24]
    return pose, joints, np.arange(len(turned)) / FPS


def prior_of(turned: np.ndarray) -> PosePrior | None:
    return gait_prior(*joints_of(turned))


def off(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean((a - b)[:, LIMBS] ** 2)))


@pytest.mark.parametrize("name", ["walk", "run"])
def test_other_steps_tell_the_pose(name: str) -> None:
    true = captured(name)
    noisy = true + np.random.default_rng(0).normal(0, 0.15, true.shape)
    prior = prior_of(noisy)
    assert prior is not None
    assert off(prior.mean, true) < 0.6 * off(noisy, true)
    sure = prior.sigma[:, LIMBS] < POSE_PRIOR.sigma[LIMBS] - 1e-3
    assert sure.mean() > 0.7 and prior.sigma[:, LIMBS].min() > 0.04


def test_phase_goes_on_by_pi_a_step() -> None:
    _, joints, times = joints_of(captured("walk"))
    phase, step = walk_phase(joints, times)
    assert step == pytest.approx(0.63, abs=0.03)  # s, of the captured walk
    assert np.isfinite(phase).mean() > 0.9
    ahead = joints[:, 7, 2] - joints[:, 8, 2]  # left ankle before right; the root looks along +z
    known = np.isfinite(phase)
    assert np.corrcoef(ahead[known], np.sin(phase[known]))[0, 1] > 0.9
    assert np.nanmedian(np.diff(phase)) * FPS * step == pytest.approx(np.pi, rel=0.1)


def test_an_arm_that_does_not_swing_is_not_made_to() -> None:
    turned = captured("walk")
    swing = np.ptp(turned[:, RIGHT_SHOULDER], axis=0).max()
    turned[:, LEFT_SHOULDER] = turned[:, LEFT_SHOULDER].mean(0)  # carries something
    prior = prior_of(turned)
    assert prior is not None
    most = prior.sigma[:, LEFT_SHOULDER].max(-1).mean()
    assert most > 0.15 * swing  # a third of what the other arm's swing deviates from its mean


@pytest.mark.parametrize("name", ["dance_a", "dance_b", "jump", "crawl"])
def test_who_does_not_walk_has_no_gait(name: str) -> None:
    assert prior_of(captured(name)) is None


def test_a_single_frame_has_no_gait() -> None:
    assert prior_of(captured("walk")[:1]) is None
