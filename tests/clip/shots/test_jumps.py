"""Jump cuts are found where the picture leaps, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from josh_core.clip.shots.jumps import find_jumps
from josh_core.types import UInt8

SCENE = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 255, (144, 900, 3), np.uint8), (0, 0), 2.0)
SCENE = cv2.normalize(SCENE, None, 0, 255, cv2.NORM_MINMAX)
SOMEBODY = cv2.resize(np.random.default_rng(4).integers(0, 255, (12, 5, 3), np.uint8), (40, 96))
RATE = 30  # frames a second


def picture(moment: float, lean: float = 0.0) -> UInt8:
    """The scene at so many seconds: a camera that pans by 45 px a second, somebody who walks the other way."""
    left, walked = 40 + 45 * moment + lean, 150 - 30 * moment
    matrix = np.array([[1, 0, -left], [0, 1, 0]])
    image = cv2.warpAffine(SCENE, matrix, (256, 144))
    at = round(walked)
    image[40:136, at : at + 40] = SOMEBODY
    return np.asarray(image, np.uint8)


def filmed(moments: np.ndarray, lean: np.ndarray | None = None) -> list[UInt8]:
    return [picture(t, 0.0 if lean is None else lean[k]) for k, t in enumerate(moments)]


TIMES = np.arange(50) / RATE


@pytest.mark.parametrize("left_out", [0.7, 1.5])
def test_seconds_left_out_are_found(left_out: float) -> None:
    assert find_jumps(filmed(np.where(TIMES < 0.8, TIMES, TIMES + left_out)), TIMES) == [24]


def test_what_time_stamps_tell_is_no_jump() -> None:
    gap = np.where(TIMES < 0.8, TIMES, TIMES + 0.7)
    assert find_jumps(filmed(gap), gap) == []
    uneven = np.delete(TIMES, np.arange(2, 50, 3))
    assert find_jumps(filmed(uneven), uneven) == []


def test_frames_that_repeat_and_then_catch_up_are_no_jump() -> None:
    hung = np.where((TIMES > 0.3) & (TIMES < 1.0), TIMES[9], TIMES)
    assert find_jumps(filmed(hung), TIMES) == []


def test_a_hand_that_is_pushed_is_no_jump() -> None:
    push = 14 * np.exp(-0.5 * ((TIMES - 0.8) / 0.05) ** 2)
    assert find_jumps(filmed(TIMES, push), TIMES) == []


def test_seconds_left_out_at_eight_frames_a_second_are_found_and_a_new_aim_is_none() -> None:
    times = np.arange(24) / 8
    slow = times / 9  # 5 px a second
    assert find_jumps(filmed(np.where(times < 1.5, slow, slow + 1.5)), times) == [12]
    aim = np.where(times < 1.5, 0.0, 2.0)  # px, in one step: 4 times as far as in those around
    assert find_jumps(filmed(slow, aim), times) == []


def test_few_frames_a_second_tell_nothing() -> None:
    slow = np.arange(20) / 5
    moments = np.arange(20) / RATE
    assert find_jumps(filmed(np.where(slow < 2, moments, moments + 1)), slow) == []
    assert find_jumps(filmed(TIMES[:4]), TIMES[:4]) == []


def on_tripod(places: np.ndarray) -> list[UInt8]:
    """The scene from one place, and somebody at so many px from the left."""
    frames = [np.ascontiguousarray(SCENE[:, 100:356]) for _ in places]
    noise = np.random.default_rng(5)
    for frame, at in zip(frames, places.round().astype(int), strict=True):
        frame[40:136, at : at + 40] = SOMEBODY
    return [cv2.add(frame, noise.integers(0, 3, frame.shape, np.uint8)) for frame in frames]


WALK = 20 + 60 * TIMES


def test_seconds_left_out_on_a_tripod_are_found() -> None:
    assert find_jumps(on_tripod(np.where(TIMES < 0.8, WALK, WALK + 70)), TIMES) == [24]
    assert find_jumps(on_tripod(WALK), TIMES) == []


def test_on_a_tripod_a_flash_a_gap_and_few_frames_a_second_are_no_jump() -> None:
    flash = on_tripod(WALK)
    flash[24][20:80, 150:250] = 255
    late = np.where(TIMES < 0.8, TIMES, TIMES + 0.7)
    stutter = on_tripod(20 + 100 * (np.arange(50) // 6 * 6 / RATE))
    assert find_jumps(flash, TIMES) == find_jumps(on_tripod(20 + 60 * late), late) == find_jumps(stutter, TIMES) == []
