"""Parts of the contact judgement on hand-made cases: runs, posture, up."""

import numpy as np

from josh_core.body.names import FEET, LIMBS, is_part
from josh_core.contact import detect


def test_short_and_weak_runs_are_pushed_under_one_half():
    p = np.array([0.1, 0.9, 0.1, 0.1, 0.5, 0.5, 0.5, 0.1, 0.1, 0.7, 0.9, 0.9, 0.8, 0.1])
    out = detect._hysteresis(p, shortest=2, gap=1)
    assert (out[:9] < 0.5).all()  # one frame alone, then a run that never passes 0.6
    assert (out[9:13] > 0.5).all()


def test_a_hole_inside_a_contact_is_filled():
    p = np.array([0.9, 0.9, 0.9, 0.0, 0.8, 0.9, 0.9, 0.0, 0.0, 0.0, 0.9, 0.9, 0.9])
    out = detect._hysteresis(p, shortest=1, gap=1)
    assert out[3] == 0.8
    assert (out[7:10] == 0).all()


def test_hysteresis_does_not_reach_across_missing_frames():
    p = np.full((6, 1), 0.9)
    frames = np.array([0, 1, 2, 9, 10, 11])
    assert (detect._hysteresis_by_run(p, frames, np.array([4.0])) < 0.5).all()
    assert (detect._hysteresis_by_run(p, np.arange(6), np.array([4.0])) > 0.5).all()


def test_who_sits_has_level_thighs():
    up = np.tile([0.0, 1.0, 0.0], (2, 1))
    joints = np.zeros((2, 24, 3))
    joints[:, [1, 2], 1] = [[0.9, 0.9], [0.5, 0.5]]
    joints[0, [4, 5], 1] = 0.45
    joints[1, [4, 5]] = [0.0, 0.5, 0.45]
    joints[:, [7, 8]] = joints[:, [4, 5]] - [0.0, 0.45, 0.0]
    standing, sitting = detect._seated(joints, up)
    assert standing < 0.1 and sitting > 0.9


def test_the_slower_side_counts_and_unknown_is_no_contact():
    speed = np.array([[0.1], [0.1], [3.0], [3.0], [np.nan]])
    out = detect._slower_of_pairs(speed)
    assert (out[:2] < 0.2).all() and out[3] > 2 and np.isfinite(out).all()


def test_names_tell_the_part():
    assert is_part("left_big_toe", FEET)
    assert not is_part("left_seat", FEET + LIMBS)


def test_a_point_behind_somebody_else_is_not_seen():
    others = np.zeros((20, 40), bool)
    others[:, 20:] = True
    covered = detect._covered(others, np.array([[5.0, 10.0], [30.0, 10.0], [np.nan, 10.0], [100.0, 10.0]]))
    assert covered.tolist() == [False, True, False, True]  # outside the picture the border counts
