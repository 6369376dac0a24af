"""Squats and seats for training: feet that stay where they are under a body that keeps its bones."""

from __future__ import annotations

import numpy as np
import torch

from josh_core.body import load_body
from josh_core.student.parts import PARTS
from josh_core.student.training.motions import make_pool
from josh_core.student.training.squats import LEG_JOINTS, SEAT_HEIGHTS, SEATED, rest_legs, squat_or_sit


def test_feet_stay_and_knees_bend_forward() -> None:
    body, rng = load_body(), np.random.default_rng(0)
    rest = rest_legs(body)
    leg = np.linalg.norm(rest[4] - rest[1]) + np.linalg.norm(rest[7] - rest[4])
    np.testing.assert_allclose(leg, 1.0)
    average = body.rest_joints(torch.zeros(1, 10))[0].numpy()
    metres = np.linalg.norm(average[4] - average[1]) / np.linalg.norm(rest[4] - rest[1])
    deep = 0.0
    for _ in range(12):
        made = squat_or_sit(rng, rest, 60)
        with torch.no_grad():
            joints = (
                body.joints(torch.zeros(60, 10), torch.as_tensor(made.turned, dtype=torch.float32)).numpy() / metres
            )
        joints += (made.pelvis - joints[:, 0])[:, None]
        for hip, knee, ankle in LEG_JOINTS:
            assert np.ptp(joints[:, ankle], axis=0).max() < 0.06  # a straight leg may not quite reach
            bent = np.degrees(np.linalg.norm(joints[:, hip] - joints[:, ankle], axis=1)) < 50  # well under a leg
            ahead = joints[:, knee, 2] - 0.5 * (joints[:, hip, 2] + joints[:, ankle, 2])
            assert (ahead[bent] > 0).all()
        deep = max(deep, float(np.ptp(made.pelvis[:, 1])))
        hips = made.pelvis[made.seated, 1] - (rest[0, 1] - rest[1, 1])
        assert ((hips > SEAT_HEIGHTS[0] - 1e-6) & (hips < SEAT_HEIGHTS[1] + (1 - SEATED))).all()
    assert deep > 0.3  # somebody goes down within two seconds


def test_some_motions_sit_with_the_seat_in_contact() -> None:
    body = load_body()
    pool = make_pool(body, 40, 32, seed=0)
    seat = pool.touch[..., PARTS.index("seat")]
    assert seat.any() and seat.mean() < 0.5
    rest = body.rest_joints(torch.as_tensor(pool.betas)).numpy()
    standing = rest[:, 0, 1] - rest[:, 10, 1]  # m, pelvis over the toes
    low = pool.joints[:, :, 0, 1] / standing[:, None]
    assert low[seat].max() < 1  # not by how much: the toes may point down under who sits
