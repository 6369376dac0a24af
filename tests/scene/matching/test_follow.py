"""Points are carried along exactly, stay off people, and a blank clip has none."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from josh_core.errors import Cancelled
from josh_core.progress import Progress
from josh_core.scene.matching.follow import PointFollower, follow
from josh_core.types import Clip, People
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


def test_points_begun_before_give_the_same_tracks() -> None:
    clip = clip_of(sliding())
    alone = follow(clip, nobody(clip), Progress())
    with PointFollower(clip) as points:
        ahead = points.background_tracks(nobody(clip), Progress())
    assert np.array_equal(alone.px, ahead.px)
    assert np.array_equal(alone.ids, ahead.ids)


def test_a_track_ends_where_it_first_lies_on_somebody() -> None:
    clip = clip_of(sliding())
    labels = np.zeros((len(clip), 30, 40), np.uint8)
    labels[4:, :, 15:25] = 1  # somebody comes at frame 4
    before, after = follow(clip, nobody(clip), Progress()), follow(clip, People((), labels), Progress())
    assert np.array_equal(after.frame(3)[0], before.frame(3)[0])
    gone = np.setdiff1d(before.frame(4)[0], after.frame(4)[0])
    assert len(gone) > 10 and not np.isin(gone, after.ids[after.starts[5] :]).any()
    assert [len(d) for d in after.descriptors] == [len(after.frame(t)[0]) for t in after.frames]


def test_what_is_printed_over_the_picture_carries_no_points() -> None:
    clip = clip_of(sliding())
    overlay = np.zeros((24, 32), bool)
    overlay[:, :16] = True
    tracks = follow(replace(clip, overlay=overlay, inset=(0, 0, 320, 120)), nobody(clip), Progress())
    assert len(tracks.ids) > 100 and tracks.px[:, 0].min() > 160 and tracks.px[:, 1].min() > 120


def test_following_ends_when_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    clip = clip_of(sliding() * 10)

    def frame(self: Clip, index: int, longest: int | None = None) -> np.ndarray:
        asked.append(index)
        time.sleep(0.01)
        return Clip._decoded(self, index, longest)

    monkeypatch.setattr(Clip, "frame", frame)
    with PointFollower(clip):
        while not asked:
            time.sleep(0.01)
    assert len(asked) < len(clip)
