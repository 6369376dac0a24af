"""Stance phases of feet whose motion is made by hand: they stand, swing or slide for known times."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

from josh_core.contact.stance_phases import FootMotion, foot_columns, load_model, marginals, with_stances
from josh_core.types import IN_CONTACT, Contacts

NAMES = ("left_heel", "left_sole", "left_ball_inner", "left_big_toe", "left_hand", "right_heel", "right_ball_outer")
LEFT, RIGHT = slice(0, 4), slice(5, 7)
STEP = 15  # frames of a stance, and of a swing
FRAMES = 6 * STEP
SWING_SPEED = 2.5  # m/s


def steps(fps: float = 30.0) -> tuple[FootMotion, np.ndarray]:
    """Feet that stand by turns for STEP frames at 30 a second; whether the left one stands [n]."""
    times = np.arange(0, FRAMES / 30, 1 / fps)
    left = (times * 30 // STEP) % 2 == 0
    speed, height = np.full((len(times), len(NAMES)), 0.05), np.zeros((len(times), len(NAMES)))
    for swings, columns in ((~left, LEFT), (left, RIGHT)):
        leaves = swings | np.append(swings[1:], swings[-1])  # a pair of frames is fast where either of them swings
        speed[leaves, columns], height[swings, columns] = SWING_SPEED, 0.15
    return FootMotion(times, speed, height, np.where(height > 0, -3.0, 3.0)), left


def stance(motion: FootMotion) -> np.ndarray:
    before = Contacts(np.full((len(motion.times), len(NAMES)), 0.3), NAMES)
    return with_stances(before, motion).probability


def agreement(probability: np.ndarray, stands: np.ndarray) -> float:
    return float(((probability > IN_CONTACT) == stands[:, None]).mean())


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
@pytest.mark.parametrize("kind", [True, False])
def test_feet_that_stand_by_turns_are_told_apart(fps: float, kind: bool) -> None:
    motion, left = steps(fps)
    probability = stance(motion if kind else replace(motion, odds=None))
    assert agreement(probability[:, LEFT], left) > 0.9
    assert agreement(probability[:, RIGHT], ~left) > 0.9


def test_only_feet_are_decided() -> None:
    assert (stance(steps()[0])[:, 4] == 0.3).all()


def test_a_foot_that_slides_along_the_ground_does_not_stand() -> None:
    motion, _ = steps()
    sliding = replace(motion, image_speed=np.full_like(motion.image_speed, 1.5), height=np.zeros_like(motion.height))
    assert (stance(replace(sliding, odds=None))[:, [0, 5]] < IN_CONTACT).mean() > 0.9


def test_a_foot_unseen_for_two_frames_goes_on_standing() -> None:
    motion, left = steps()
    speed = motion.image_speed.copy()
    speed[5:7] = np.nan
    assert agreement(stance(replace(motion, image_speed=speed))[:STEP, LEFT], left[:STEP]) > 0.9


def test_a_single_frame_has_a_probability() -> None:
    motion, _ = steps()
    one = FootMotion(motion.times[:1], motion.image_speed[:1] * np.nan, motion.height[:1], None)
    probability = stance(one)
    assert probability.shape == (1, len(NAMES)) and ((probability >= 0) & (probability <= 1)).all()


def test_marginals_are_those_of_all_paths() -> None:
    rng = np.random.default_rng(0)
    score, change = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    expected = np.zeros((4, 3))
    for path in product(range(3), repeat=4):
        turns = sum(change[a, b] for a, b in pairwise(path))
        weight = np.exp(score[range(4), path].sum() + turns)
        expected[range(4), path] += weight
    assert marginals(score, change) == pytest.approx(expected / expected[0].sum())


def test_the_shipped_numbers_fit_the_features() -> None:
    assert len(load_model("student").mean) == len(load_model("alone").mean) + 2


def test_columns_of_feet() -> None:
    assert foot_columns(NAMES) == [[[0], [1], [2, 3]], [[5], [], [6]]]
