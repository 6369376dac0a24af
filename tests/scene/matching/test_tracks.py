"""Points are carried along exactly, stay off people, and a blank clip has none."""

from __future__ import annotations

import time

import numpy as np
import pytest

from josh_core.errors import Cancelled
from josh_core.progress import Progress
from josh_core.scene.matching.features import FeatureMap
from josh_core.scene.matching.tracks import FrameFeatures, follow
from josh_core.types import People
from tests.scene.matching.test_features import texture
from tests.scene.textured_plane import clip_of, nobody

STEP = 3  # px a frame


def sliding() -> list[np.ndarray]:
    picture = texture(240, 400)
    return [np.ascontiguousarray(picture[:, STEP * t : STEP * t + 320]) for t in range(12)]


def test_points_move_with_the_picture() -> None:
    clip = clip_of(sliding())
    tracks = follow(clip, nobody(clip), Progress())
    ids, first, last = tracks.common(0, 10)
    assert len(ids) > 50
    assert np.median(np.abs(first - last - [10 * STEP, 0])) < 0.2
    assert tracks.frames.tolist() == [0, 5, 10, 11]
    assert [len(d) for d in tracks.descriptors] == [len(tracks.frame(t)[0]) for t in tracks.frames]


def test_people_carry_no_points() -> None:
    clip = clip_of(sliding())
    labels = np.zeros((len(clip), 30, 40), np.uint8)
    labels[:, :, 15:25] = 255
    tracks = follow(clip, People((), labels), Progress())
    assert len(tracks.ids) > 200
    assert not ((tracks.px[:, 0] > 120) & (tracks.px[:, 0] < 200)).any()


def test_blank_clip_has_no_tracks() -> None:
    clip = clip_of([np.full((240, 320, 3), 127, np.uint8)] * 8)
    tracks = follow(clip, nobody(clip), Progress())
    assert tracks.count == len(tracks.ids) == 0
    assert len(tracks.starts) == len(clip) + 1


def test_stops_when_asked() -> None:
    clip = clip_of(sliding())
    with pytest.raises(Cancelled):
        follow(clip, nobody(clip), Progress(cancelled=lambda: True))


def test_features_begun_before_give_the_same_tracks() -> None:
    clip = clip_of(sliding())
    alone = follow(clip, nobody(clip), Progress())
    with FrameFeatures(clip) as looks:
        ahead = follow(clip, nobody(clip), Progress(), looks)
    assert np.array_equal(alone.px, ahead.px)
    assert np.array_equal(alone.ids, ahead.ids)


def test_features_wait_for_memory_and_end_when_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Counted(FeatureMap):
        def __init__(self, rgb: np.ndarray) -> None:
            made.append(1)

    monkeypatch.setattr("josh_core.scene.matching.tracks.FeatureMap", Counted)
    monkeypatch.setattr("josh_core.scene.matching.tracks.MAPS_AHEAD", 2)
    with FrameFeatures(clip_of(sliding() * 3)) as looks:
        deadline = time.monotonic() + 10
        while len(made) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
    assert len(looks.frames) > 4
    assert len(made) == 2
