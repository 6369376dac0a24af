"""Who is kept of what was followed: people in a jolting picture are; and feet that were never seen are said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from josh_core.clip.load import load_clip
from josh_core.settings import Settings
from josh_core.tracking.detection import Detection, Mask
from josh_core.tracking.finish import _is_person
from josh_core.tracking.tracklet import Tracklet
from josh_core.tracking.unseen import unseen_notes
from josh_core.types import People, Track
from tests.tracking.test_real_clip import CLIP
from tests.tracking.test_tracking import skeleton


def jolting(score: float, count: int = 36) -> Tracklet:
    """A person at one place while the picture jumps by a tenth of their size from frame to frame."""
    trail = Tracklet(0)
    for t in range(count):
        px = 200 * skeleton()[:, :2] / np.ptp(skeleton()[:, 1]) + [300 + 20 * (t % 2), 200]
        mask, ones = Mask(0, 0, np.zeros((4, 4), np.uint8)), np.ones(33)
        trail.add(t, Detection(px, ones, np.zeros((33, 3)), mask, np.zeros((2, 216)), score))
    return trail


def test_people_seen_all_the_time_are_kept_when_the_camera_jolts() -> None:
    times = np.arange(40) / 24
    assert _is_person(jolting(0.95), times)
    assert not _is_person(jolting(0.65), times)  # unsure and jumping: a chance find
    assert not _is_person(jolting(0.95, 15), times)  # too short to be trusted


def test_jumping_people_at_ten_frames_a_second_are_kept() -> None:
    """Up and down between frames a tenth of a second apart: a body does that, a chance find jumps farther."""

    def hopping(way: float) -> Tracklet:
        trail = jolting(0.7, 12)
        for t, d in trail.seen.items():
            px = d.landmarks_px + [-20 * (t % 2), way * (t % 2)]
            trail.seen[t] = replace(d, landmarks_px=px)
        return trail

    slow, fast = np.arange(12) / 10, np.arange(40) / 30
    assert _is_person(hopping(8.0), slow)
    assert not _is_person(hopping(20.0), slow)
    assert not _is_person(replace_frames(hopping(8.0), 36), fast)


def replace_frames(trail: Tracklet, count: int) -> Tracklet:
    """The trail's first two sightings in turn."""
    return Tracklet(0, {t: trail.seen[t % 2] for t in range(count)}, trail.colours)


def test_feet_outside_the_picture_are_reported() -> None:
    clip = load_clip(CLIP, Settings())
    px = np.full((4, 33, 2), 100.0)
    track = Track(0, np.arange(4), np.zeros((4, 4)), px, np.ones((4, 33)), np.zeros((4, 33, 3)), np.ones(4, bool))
    people = People((track,), np.zeros((len(clip), 9, 16), np.uint8))
    assert unseen_notes(people, clip) == ()
    px[:, 27:33, 1] = clip.height + 50
    assert "feet" in unseen_notes(people, clip)[0]
