"""Two bones reach where they are told, bend to the front, and stay as long as they are."""

from __future__ import annotations

import numpy as np
import pytest

from josh_core.body.two_bones import two_bones

REST = np.array([[0.1, 0.9, 0.0], [0.1, 0.5, 0.02], [0.12, 0.1, 0.0]])  # m: hip, knee, ankle of a straight leg


def reached(start: np.ndarray, end: np.ndarray, front: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knee and ankle [T,3] that the rotations give."""
    upper, lower = two_bones(REST, start, end, front)
    knee = start + upper @ (REST[1] - REST[0])
    return knee, knee + lower @ (REST[2] - REST[1])


def test_the_end_is_reached_with_the_knee_to_the_front() -> None:
    rng = np.random.default_rng(0)
    start = rng.normal(size=(50, 3))
    way = rng.normal(size=(50, 3))
    end = start + way / np.linalg.norm(way, axis=1, keepdims=True) * rng.uniform(0.2, 0.75, (50, 1))
    front = rng.normal(size=(50, 3))
    knee, ankle = reached(start, end, front)
    np.testing.assert_allclose(ankle, end, atol=1e-9)
    along = (end - start) / np.linalg.norm(end - start, axis=1, keepdims=True)
    across = front - along * (front * along).sum(1, keepdims=True)
    assert (((knee - start) * across).sum(1) > 0).all()


@pytest.mark.parametrize("far", [0.85, 3.0])
def test_what_is_out_of_reach_is_reached_for_with_a_straight_leg(far: float) -> None:
    start, end, front = np.zeros((1, 3)), np.array([[0.0, -far, 0.0]]), np.array([[0.0, 0.0, 1.0]])
    upper, lower = two_bones(REST, start, end, front)
    for turn in (upper, lower):
        np.testing.assert_allclose(turn @ turn.swapaxes(1, 2), np.eye(3)[None], atol=1e-9)
    _, ankle = reached(start, end, front)
    np.testing.assert_allclose(np.linalg.norm(ankle), np.linalg.norm(np.diff(REST, axis=0), axis=1).sum(), rtol=2e-2)
