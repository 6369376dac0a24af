"""Reduced frames that a clip keeps decoded."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest

from josh_core import kept_frames
from josh_core.types import Clip


def made_clip(count: int) -> Clip:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (90, 160, 3), np.uint8) for _ in range(count)]
    jpegs = tuple(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames)
    return Clip(jpegs, np.arange(count) / 30, 160, 90, 30.0)


def test_a_reduced_frame_is_decoded_once_and_read_only() -> None:
    clip = made_clip(2)
    frame = clip.frame(1, 80)
    assert frame.shape == (45, 80, 3)
    assert clip.frame(1, 80) is frame
    assert clip.frame(np.int64(1), 80) is frame
    assert (clip.frame(0, 80) != frame).any() and clip.frame(1, 40).shape == (22, 40, 3)
    np.testing.assert_array_equal(made_clip(2).frame(1, 80), frame)
    with pytest.raises(ValueError, match="read-only"):
        frame[:] = 0


def test_whole_frames_belong_to_who_asked() -> None:
    clip = made_clip(1)
    first = clip.frame(0)
    first[:] = 0
    assert clip.frame(0).any()


def test_few_frames_are_kept_and_none_travels_with_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_frames, "KEPT_FRAMES", 2)
    clip = made_clip(3)
    size = len(pickle.dumps(clip))
    oldest, newer = clip.frame(0, 80), clip.frame(1, 80)
    clip.frame(2, 80)
    assert clip.frame(1, 80) is newer
    assert clip.frame(0, 80) is not oldest
    assert len(pickle.dumps(clip)) < size + 200
    assert pickle.loads(pickle.dumps(clip)).frame(1, 80) is not newer
