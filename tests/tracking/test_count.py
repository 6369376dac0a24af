"""How many people a first look finds: one in a real clip, two beside each other, nobody in an empty one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from josh_core.settings import Settings
from josh_core.tracking.count import guess_people, settled

CLIP = Path(__file__).parents[1] / "data" / "juggle_short.mp4"


def write(path: Path, pictures: list[np.ndarray]) -> Path:
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (width, height))
    assert writer.isOpened()
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def first_pictures(count: int) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(CLIP))
    pictures = [capture.read()[1] for _ in range(count)]
    capture.release()
    return pictures


def test_a_detection_in_one_frame_only_adds_nobody() -> None:
    assert settled([1, 2, 1]) == 1  # a tree beside a juggler
    assert settled([4, 3, 3]) == 3 and settled([2, 2, 3]) == 2
    assert settled([0, 0, 1]) == 1 and settled([0, 0, 0]) == 0 == settled([])


@pytest.mark.slow
def test_one_two_and_nobody(tmp_path: Path) -> None:
    look = Settings(seconds=0.3)
    assert guess_people(CLIP, look) == 1
    pictures = first_pictures(10)
    twice = write(tmp_path / "twice.mp4", [np.hstack([p, p[:, ::-1]]) for p in pictures])
    assert guess_people(twice, look) == 2
    empty = write(tmp_path / "empty.mp4", [np.full_like(p, 90) for p in pictures])
    assert guess_people(empty, look) == 0
