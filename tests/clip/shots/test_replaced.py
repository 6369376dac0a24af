"""Changes from one film to another of every form are found, and a camera that turns fast, however far, makes none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from josh_core.clip.shots.replaced import find_replaced
from josh_core.clip.shots.sweeps import find_sweeps
from josh_core.types import UInt8
from tests.clip.test_load import pan, texture

SIZE = (256, 144)
TIMES = np.arange(72) / 30
BEGIN, LONG = 30, 12  # first frame of the change, and how many


def filmed(seed: int) -> list[UInt8]:
    return [cv2.blur(f, (3, 3)) for f in pan(seed, len(TIMES), 0.4, SIZE)]


OLD, NEW = filmed(31), [cv2.add(frame, (50, 40, 60, 0)) for frame in filmed(32)]


Y, X = np.mgrid[: SIZE[1], : SIZE[0]]
TURN = (np.arctan2(Y - 72, X - 128) + np.pi) / (2 * np.pi)
BLOCKS = np.kron(np.random.default_rng(0).uniform(size=(9, 16)), np.ones((16, 16)))


def _half_way(how: str, old: UInt8, new: UInt8, t: float) -> UInt8:
    """The picture at a share t of the change."""
    at = round(t * SIZE[1])
    if how == "coarse":
        size = [max(1, round(n * abs(1 - 2 * t) ** 3)) for n in SIZE]
        few = cv2.resize(old if t < 0.5 else new, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(few, SIZE, interpolation=cv2.INTER_NEAREST), np.uint8)
    if how == "squeeze":
        squeezed, left = new.copy(), max(2, round((1 - t) * SIZE[1]))
        top = (SIZE[1] - left) // 2
        squeezed[top : top + left] = cv2.resize(old, (SIZE[0], left), interpolation=cv2.INTER_AREA)
        return squeezed
    if how in ("clock", "blocks"):
        return np.where(((TURN if how == "clock" else BLOCKS) < t)[..., None], new, old)
    above = old[at:] if how == "push" else old[: SIZE[1] - at]
    return np.concatenate([above, new[SIZE[1] - at :] if how == "wipe" else new[:at]])


def changing(how: str) -> list[UInt8]:
    """The old film, then the new one, and `how` they change; slowly at first and in the end."""
    frames = [*OLD[:BEGIN], *NEW[BEGIN:]]
    for k in range(LONG):
        t = 0.5 - 0.5 * np.cos(np.pi * (k + 0.5) / LONG)
        frames[BEGIN + k] = _half_way(how, OLD[BEGIN + k], NEW[BEGIN + k], t)
    return frames


@pytest.mark.parametrize("how", ["wipe", "push", "cover"])
def test_a_line_that_brings_another_film_is_found(how: str) -> None:
    ((first, end),) = find_sweeps(changing(how), TIMES)
    assert abs(first - BEGIN) <= 3 and abs(end - BEGIN - LONG) <= 3


@pytest.mark.parametrize("how", ["clock", "blocks", "coarse", "squeeze"])
def test_a_change_of_any_form_is_found(how: str) -> None:
    ((first, end),) = find_replaced(changing(how), TIMES)
    assert BEGIN - 10 <= first < end <= BEGIN + LONG + 10


@pytest.mark.parametrize("way", [0.5, 1.0, 1.6])
def test_a_fast_turn_from_rest_to_rest_is_none(way: float) -> None:
    """A camera that turns by so many widths of its picture in half a second."""
    wide = cv2.blur(texture(33, 1200, SIZE[1]), (3, 3))
    turned = way * SIZE[0] * (0.5 - 0.5 * np.cos(np.pi * np.clip((np.arange(72) - 28) / 15, 0, 1)))
    focal, frames = 230.0, []
    for shift in turned:
        angle = np.arctan((X - 128) / focal)
        high = ((Y - 72) * np.cos(angle) + 72).astype(np.float32)  # a cylinder seen through a straight lens
        frames.append(cv2.remap(wide, (focal * angle + 200 + shift).astype(np.float32), high, cv2.INTER_LINEAR))
    assert find_sweeps(frames, TIMES) == [] and find_replaced(frames, TIMES) == []


def test_who_crosses_close_to_the_camera_is_none() -> None:
    frames = [frame.copy() for frame in OLD]
    for k in range(24):
        left = -120 + 20 * k
        frames[20 + k][:, max(0, left) : max(0, left + 160)] = (60, 80, 120)
    assert find_sweeps(frames, TIMES) == [] and find_replaced(frames, TIMES) == []
