"""The silhouette benchmark: a body that fits has an IoU near 1, one that stands beside itself a known lower one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.silhouette import ious, silhouettes
from josh_core.body import load_body
from josh_core.types import People, Reconstruction, Track, UInt8
from tests.example_result import made_up_result

FRAMES = 6


def _people(result: Reconstruction, labels: UInt8) -> People:
    """Tracks that only say how many people there are; the masks are the labels'."""
    none = [np.zeros((0, *shape)) for shape in ((), (4,), (33, 2), (33,), (33, 3), ())]
    tracks = tuple(Track(k, *none) for k in range(len(result.people)))
    return People(tracks, labels)


def test_right_bodies_cover_their_masks_and_moved_ones_do_not() -> None:
    body = load_body()
    result = made_up_result(body, frames=FRAMES)
    size = (384, 216)
    labels = np.zeros((FRAMES, size[1], size[0]), np.uint8)
    for frame, shapes in enumerate(silhouettes(result, body, size, 1)):
        for who, shape in shapes.items():
            labels[frame][shape] = 2 - who  # the tracks are numbered the other way round
    first, second = ious(result, body, _people(result, labels))
    assert len(first) == FRAMES and first.min() > 0.97
    assert 0 < len(second) < FRAMES and second.min() > 0.95  # is not there in every frame
    across = np.array([0.5, 0, 0])  # about a body's width
    moved = replace(result, people=tuple(replace(p, transl=p.transl + across) for p in result.people))
    assert max(row.max() for row in ious(moved, body, _people(result, labels))) < 0.5


def test_nobody_found_is_no_number() -> None:
    body = load_body()
    result = made_up_result(body, frames=FRAMES)
    empty = People((), np.zeros((FRAMES, 216, 384), np.uint8))
    assert all(len(row) == 0 for row in ious(result, body, empty))
