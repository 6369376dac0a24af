"""The student's estimate beside the landmark network's: what each weighs in the bones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from josh_core.bodyfit.observations import BONE_FROM, BONE_TO, Observations
from josh_core.geometry import rotvec_to_rotmat
from josh_core.student.evidence import BONE_SHARE, LIMB_SWINGS, NETWORK_ALONG, with_full_swing, with_student

FRAMES = 5
SIGMA = 0.06  # m, of the network's bones in every direction
SIGHT = rotvec_to_rotmat(np.tile([0.1, -0.3, 0.0], (FRAMES, 1)))  # people stand beside the camera's axis


def _joined(network: np.ndarray) -> Observations:
    """Bones of the network (one for all, [3] m in the axes of sight) with a student that sees bones of length zero."""
    none = np.zeros((FRAMES, 33, 3))
    obs = Observations(
        times=np.arange(FRAMES) / 30,
        rays=none[..., :2],
        ray_sigma=none[..., 0] + 0.01,
        bones=np.broadcast_to((SIGHT @ network)[:, None], (FRAMES, len(BONE_FROM), 3)),
        bone_sigma=np.full((FRAMES, len(BONE_FROM), 3), SIGMA),
        sight=SIGHT,
        depth=np.full(FRAMES, 4.0),
        world_from_cam=np.tile(np.eye(3), (FRAMES, 1, 1)),
        camera_stays=True,
        guess=none,
        visibility=none[..., 0] + 1,
        turned=np.zeros(FRAMES, np.bool_),
        height=1.67,
    )
    # Ends that err by SIGMA / (BONE_SHARE sqrt 2) make a bone that errs by SIGMA, as the network's do.
    end = np.full((FRAMES, 33), SIGMA / BONE_SHARE / np.sqrt(2))
    return with_student(obs, cast(Any, SimpleNamespace(landmarks=none, landmark_sigma=end)))


@pytest.mark.parametrize(("axis", "share"), [(0, 1 / 2), (1, 1 / 2), (2, 1 / (1 + NETWORK_ALONG**2))])
def test_the_network_counts_less_along_the_line_of_sight(axis: int, share: float) -> None:
    """Bones that are equally sure meet in the middle across it; along it the network's have a fifth of the weight."""
    found = _joined(np.eye(3)[axis])
    assert np.allclose(found.bones @ SIGHT, share * np.eye(3)[axis])


def test_two_that_are_not_independent_are_no_surer_than_the_surer_one() -> None:
    """Covariance intersection: equal ones together are as sure as one, and along the line of sight less."""
    found = _joined(np.ones(3)).bone_sigma
    assert np.allclose(found[..., :2], SIGMA)
    assert (found[..., 2] > SIGMA).all()
    assert len(BONE_TO) == found.shape[1]


@pytest.mark.parametrize("frames", [1, 2, 90])
def test_limbs_swing_farther_along_the_line_of_sight_alone(frames: int) -> None:
    times, rng = np.arange(frames) / 30, np.random.default_rng(4)
    sight = rotvec_to_rotmat(np.tile([0.1, -0.3, 0.0], (frames, 1)))
    obs = cast(Observations, SimpleNamespace(times=times, sight=sight))
    still = np.broadcast_to(rng.normal(0, 0.3, (33, 3)), (frames, 33, 3))
    assert np.allclose(with_full_swing(still, obs), still)
    swing = 0.15 * np.sin(2 * np.pi * times)
    for start, end, members, factor in LIMB_SWINGS:
        for axis, expected in ((0, 1.0), (1, 1.0), (2, factor)):
            landmarks = still.copy()
            landmarks[:, members] += (swing[:, None] * sight[..., axis])[:, None]
            moved = with_full_swing(landmarks, obs)
            limb = np.einsum("nji,nj->ni", sight, moved[:, end] - moved[:, start])[:, axis]
            middle = slice(frames // 3, 2 * frames // 3)
            if frames == 90:
                assert np.ptp(limb[middle]) == pytest.approx(expected * np.ptp(swing[middle]), rel=0.05)
            others = [k for k in range(33) if k not in members]
            assert np.array_equal(moved[:, others], landmarks[:, others])
