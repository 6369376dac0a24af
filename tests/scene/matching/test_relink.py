"""Tracks that flow loses at a jump are joined again by matching; others are left alone."""

from __future__ import annotations

import numpy as np

from josh_core.progress import Progress
from josh_core.scene.matching.follow import follow
from josh_core.scene.matching.relink import _renamed, link
from josh_core.scene.matching.tracks import Tracks
from tests.scene.matching.test_features import texture
from tests.scene.textured_plane import clip_of, nobody

JUMP = 130  # px, beyond what flow follows


def jumping(jump: int) -> Tracks:
    picture = texture(240, 480)
    places = [2 * t + (jump if t >= 6 else 0) for t in range(12)]
    clip = clip_of([np.ascontiguousarray(picture[:, x : x + 320]) for x in places])
    return follow(clip, nobody(clip), Progress())


def test_a_jump_is_bridged() -> None:
    tracks = jumping(JUMP)
    before = len(tracks.common(5, 10)[0])
    linked = link(tracks, Progress())
    ids, first, last = linked.common(5, 10)
    assert before < 10
    assert len(ids) > 30
    assert np.median(np.abs(first - last - [JUMP + 10, 0])) < 1.5
    for t in range(12):
        assert (np.diff(linked.frame(t)[0]) > 0).all()  # ascending, nobody twice
    assert len(linked.ids) == len(tracks.ids)


def test_what_flow_followed_is_left_alone() -> None:
    tracks = jumping(0)
    assert link(tracks, Progress()) is tracks


def test_two_tracks_of_one_frame_stay_two() -> None:
    tracks = Tracks(np.array([0, 2, 3, 4]), np.array([0, 1, 0, 2]), np.zeros((4, 2)), 3, (64, 48), np.zeros(0, int), ())
    joined = _renamed(tracks, [(0, 1), (1, 2)])
    assert joined.ids.tolist() == [0, 1, 0, 1]
