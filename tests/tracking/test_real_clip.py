"""The real networks on a short real clip: a man with a football, in 17 frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from josh_core.clip.load import load_clip
from josh_core.errors import ClipError
from josh_core.settings import Settings
from josh_core.tracking import find_people
from josh_core.types import Clip, People

CLIP = Path(__file__).parents[1] / "data" / "juggle_short.mp4"


@pytest.fixture(scope="module")
def clip() -> Clip:
    return load_clip(CLIP, Settings())


@pytest.fixture(scope="module")
def people(clip: Clip) -> People:
    return find_people(clip, Settings())


def test_the_man_is_found_in_every_frame(clip: Clip, people: People) -> None:
    (man,) = people.tracks
    assert list(man.frames) == list(range(len(clip))) and man.detected.all()
    assert man.visibility.mean() > 0.8


def test_he_stands_upright_with_his_left_on_the_right(people: People) -> None:
    man = people.tracks[0]
    px, metres = man.landmarks_px, man.landmarks_m
    for points in (px, metres):
        nose, left, right, feet = points[:, 0], points[:, 11], points[:, 12], points[:, 31:33].mean(1)
        assert (nose[:, 1] < left[:, 1]).all() and (left[:, 1] < feet[:, 1]).all()  # y is down
        assert (left[:, 0] > right[:, 0]).all()  # he faces the camera
    assert np.median(np.linalg.norm(metres[:, 11] - metres[:, 23], axis=-1)) == pytest.approx(0.5, abs=0.1)
    assert (metres[:, 0, 2] < metres[:, [7, 8], 2].mean(1)).all()  # z is away from the camera: nose before ears


def test_the_mask_covers_him_and_not_the_rest(clip: Clip, people: People) -> None:
    man = people.tracks[0]
    mask = people.mask(8, clip.width, clip.height)
    x0, y0, x1, y1 = np.round(man.boxes[8]).astype(int)
    outside = mask.copy()
    outside[max(0, y0 - 4) : y1 + 4, max(0, x0 - 4) : x1 + 4] = False
    assert 0.25 < mask[y0:y1, x0:x1].mean() < 0.8 and not outside.any()
    torso = np.floor(man.landmarks_px[8, [11, 12, 23, 24]].mean(0)).astype(int)
    assert mask[torso[1], torso[0]]


def test_the_same_clip_gives_the_same_people(clip: Clip, people: People) -> None:
    again = find_people(clip, Settings())
    np.testing.assert_array_equal(again.tracks[0].landmarks_px, people.tracks[0].landmarks_px)
    np.testing.assert_array_equal(again.tracks[0].landmarks_m, people.tracks[0].landmarks_m)
    np.testing.assert_array_equal(again.labels, people.labels)


def test_the_networks_keep_silent(capfd: pytest.CaptureFixture[str], clip: Clip) -> None:
    capfd.readouterr()
    find_people(clip, Settings())
    assert capfd.readouterr() == ("", "")


def test_an_empty_place_has_nobody(clip: Clip) -> None:
    grass = [clip.frame(i)[: clip.height // 2, : clip.width // 4] for i in range(len(clip))]
    jpegs = [cv2.imencode(".jpg", image[..., ::-1])[1].tobytes() for image in grass]
    empty = Clip(jpegs, clip.times, grass[0].shape[1], grass[0].shape[0], clip.fps)
    with pytest.raises(ClipError, match="Nobody was found"):
        find_people(empty, Settings())
