"""Feet judged by their body: a walker seen from behind, whose feet hardly move in the image."""

import numpy as np
import pytest

from josh_core.body.posing import PosedPoints
from josh_core.contact.stance import MOST_AGAINST, stance_odds
from josh_core.types import BodyTrack, CameraPath

FRAMES, FPS, SPEED = 40, 20.0, 1.2
TIMES = np.arange(FRAMES) / FPS


def walker(camera_z: np.ndarray, metres: float) -> tuple[CameraPath, BodyTrack, PosedPoints]:
    """One foot stands 4 m away, the other swings at twice the body's speed, all along the view; camera at camera_z."""
    pose = np.tile(np.eye(4), (FRAMES, 1, 1))
    pose[:, 2, 3] = camera_z / metres
    root, swinging = 4 + SPEED * TIMES, 3 + 2 * SPEED * TIMES
    joints, contacts = np.zeros((FRAMES, 24, 3)), np.zeros((FRAMES, 2, 3))
    joints[..., 2] = (root - camera_z)[:, None]
    contacts[..., 2] = np.stack([np.full(FRAMES, 4.0), swinging], 1) - camera_z[:, None]
    contacts[..., 1] = 1.5
    path = CameraPath("moving", pose, 700.0, 0.05, np.arange(0, FRAMES, 5), np.ones(FRAMES, bool))
    track = BodyTrack(
        0, np.arange(FRAMES), np.zeros(10), np.zeros((FRAMES, 24, 3, 3)), np.zeros((FRAMES, 3)), 700.0, 1.7
    )
    return path, track, PosedPoints(joints, contacts)


@pytest.mark.parametrize("metres", [1.0, 2.5])
@pytest.mark.parametrize("follows", [0.0, 1.0, 1.6])
def test_the_standing_foot_is_told_from_the_swinging_one(follows: float, metres: float) -> None:
    path, track, points = walker(follows * TIMES, metres)
    odds = stance_odds(path, metres, TIMES, track, points)
    assert (odds[:, 0] == 1).all() and (odds[:, 1] == -MOST_AGAINST).all()


def test_whose_feet_rest_under_a_resting_body_stands_on_both() -> None:
    path, track, points = walker(np.zeros(FRAMES), 1.0)
    points.joints[..., 2] = 4
    points.contacts[:, 1] = points.contacts[:, 0]
    assert (stance_odds(path, 1.0, TIMES, track, points) == 1).all()


def test_a_single_frame_says_nothing_against_contact() -> None:
    path, track, points = walker(np.zeros(FRAMES), 1.0)
    one = BodyTrack(0, np.array([7]), track.betas, track.rotations[:1], track.transl[:1], 700.0, 1.7)
    odds = stance_odds(path, 1.0, TIMES, one, PosedPoints(points.joints[:1], points.contacts[:1]))
    assert odds.shape == (1, 2) and np.isfinite(odds).all()
