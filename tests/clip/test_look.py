"""The first look at a clip: whether its camera seems to stand still."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from josh_core.clip.look import seems_still
from josh_core.types import UInt8


def pictures(shift: float, count: int = 4) -> list[UInt8]:
    """Small noisy pictures of a place, each `shift` px beside the one before, across which somebody walks."""
    rng = np.random.default_rng(0)
    place = cv2.GaussianBlur(rng.uniform(0, 255, (96, 400, 3)).astype(np.float32), (0, 0), 3) * 4 % 255
    taken = []
    for k in range(count):
        moved = cv2.warpAffine(place, np.array([[1, 0, -k * shift], [0, 1, 0]]), (170, 96))
        moved[20:90, 20 + 30 * k : 50 + 30 * k] = 40
        taken.append(np.clip(moved + rng.normal(0, 2, moved.shape), 0, 255).astype(np.uint8))
    return taken


@pytest.mark.parametrize(("shift", "still"), [(0.0, True), (0.1, True), (2.0, False), (11.0, False)])
def test_a_camera_that_stands_still_is_seen(shift: float, still: bool) -> None:
    assert seems_still(pictures(shift)) == still


def test_one_picture_tells_nothing() -> None:
    assert not seems_still(pictures(0.0)[:1]) and not seems_still([])
    assert seems_still([np.zeros((96, 170, 3), np.uint8)] * 3)  # nothing moves, though there is nothing to see
