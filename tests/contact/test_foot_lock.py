"""Setting people down: a known drift of a standing body is undone, and nothing moves without contact."""

import numpy as np
import pytest

from josh_core.contact.foot_lock import lock_feet

NAMES = ("left_heel", "left_big_toe", "right_heel", "right_big_toe", "left_seat")


def standing_feet(n):
    feet = np.array([[0.1, 0, 0], [0.1, 0, 0.2], [-0.1, 0, 0], [-0.1, 0, 0.2], [0, 0.9, 0]])
    return np.broadcast_to(feet + [0, 0, -4.0], (n, 5, 3))


def touching(n):
    return np.broadcast_to([1.0, 1.0, 1.0, 1.0, 0.0], (n, 5))


def rays(n):
    return np.broadcast_to([0.0, -0.5, -4.0], (n, 3))


def test_depth_noise_along_the_ray_is_removed():
    n, rng = 60, np.random.default_rng(0)
    drift = np.cumsum(rng.normal(size=n) * 0.02)[:, None] * np.array([0, -0.12, -0.99])
    seen = standing_feet(n) + drift[:, None]
    shift = lock_feet(seen, touching(n), NAMES, rays(n), np.arange(n))
    put = seen + shift[:, None]
    assert np.linalg.norm(np.diff(seen, axis=0), axis=-1).max() > 0.03
    assert np.linalg.norm(np.diff(put, axis=0), axis=-1).max() < 0.005
    assert np.abs(put[:, :4, 1]).max() < 0.02


def test_a_foot_that_steps_is_not_held():
    n = 30
    seen = np.array(standing_feet(n))
    seen[15:, :2, 2] -= 0.6  # the left foot steps forward while the right one stands
    chance = np.array(touching(n))
    chance[12:18, :2] = 0.0
    shift = lock_feet(seen, chance, NAMES, rays(n), np.arange(n))
    assert np.abs(shift).max() < 0.005


def test_feet_rest_on_the_support_under_them():
    n = 30
    level = np.full((n, 5), 0.4)
    shift = lock_feet(standing_feet(n) + [0, 0.43, 0], touching(n), NAMES, rays(n), np.arange(n), level)
    onto_floor = lock_feet(standing_feet(n) + [0, 0.03, 0], touching(n), NAMES, rays(n), np.arange(n))
    assert shift == pytest.approx(onto_floor, abs=1e-9) and (shift[:, 1] < -0.02).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_nothing_touches_nothing_moves(n):
    assert not lock_feet(standing_feet(n) + 0.3, np.zeros((n, 5)), NAMES, rays(n), np.arange(n)).any()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_very_short_tracks_are_put_on_the_floor(n):
    shift = lock_feet(standing_feet(n) + [0, 0.1, 0], touching(n), NAMES, rays(n), np.arange(n) * 7)
    assert np.isfinite(shift).all() and (shift[:, 1] < -0.02).all()


def test_a_seat_does_not_pull_to_the_floor():
    chance = np.zeros((10, 5))
    chance[:, 4] = 1.0
    assert not lock_feet(standing_feet(10), chance, NAMES, rays(10), np.arange(10)).any()
