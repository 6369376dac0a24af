"""Tracks of one person that overlap where somebody else was in the way become one; two people stay two."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from josh_core.tracking.detection import Detection, Mask
from josh_core.tracking.rejoin import rejoined
from josh_core.tracking.tracklet import Tracklet
from josh_core.types import Clip, Float

CLIP = Clip([b""] * 60, np.arange(60) / 30, 640, 360, 30.0)
RED, BLUE = 3, 9  # bins of the made-up colours


def detection_at(frame: int, colour: int, score: float = 0.9, low: float = 0.0) -> Detection:
    """Somebody 160 px tall who walks by 5 px a frame; low: share of the body, from above, that is not detected."""
    y = np.linspace(100 + 160 * low, 260, 33)
    x = 100 + 5 * frame + 25 * np.sin(np.arange(33))
    mask = Mask(80 + 5 * frame, round(y[0]), np.full((round(260 - y[0]), 40), 255, np.uint8))
    return Detection(np.stack([x, y], 1), np.ones(33), np.zeros((33, 3)), mask, histogram(colour), score)


def histogram(colour: int) -> Float:
    out = np.zeros((2, 16))
    out[:, colour] = 1.0
    return out


def tracklet(key: int, frames: range, colour: int, **odd: float) -> Tracklet:
    """Frames after the 24th as they are; those before, with the properties `odd`."""
    seen = {f: detection_at(f, colour, **(odd if f < 25 else {})) for f in frames}
    return Tracklet(key, seen, histogram(colour), histogram(colour)[0])


def test_one_person_followed_twice_behind_somebody_is_one() -> None:
    before, after = tracklet(0, range(25), RED), tracklet(1, range(16, 60), RED, score=0.6, low=0.6)
    (joined,) = rejoined([before, after], CLIP)
    assert sorted(joined.seen) == list(range(60))
    for f in range(16, 25):  # the surer detection, on everything that either of them covers
        assert np.ptp(joined.seen[f].landmarks_px[:, 1]) == pytest.approx(160)
        assert joined.seen[f].mask.patch.shape == (160, 40)


@pytest.mark.parametrize("second", ["other clothes", "beside", "long"])
def test_two_people_stay_two(second: str) -> None:
    first, other = tracklet(0, range(25), RED), tracklet(1, range(16, 60), RED)
    if second == "other clothes":
        other = tracklet(1, range(16, 60), BLUE)
    elif second == "beside":
        apart = {f: replace(d, landmarks_px=d.landmarks_px + [60.0, 0.0]) for f, d in other.seen.items()}
        other = replace(other, seen=apart)
    else:
        other = tracklet(1, range(5, 60), RED)  # for longer than somebody is in the way
    assert len(rejoined([first, other], CLIP)) == 2


def test_loose_ends_are_cut_and_their_colours_forgotten() -> None:
    """Somebody is lost behind another person, in whose clothes they are seen now and then."""
    seen = tracklet(0, range(30), RED)
    whole = Tracklet(0)
    for frame in [*range(30), 34, 35, 41]:
        whole.seen[frame] = detection_at(frame, RED if frame < 30 else BLUE)
        whole.body_colours_at[frame] = histogram(RED if frame < 30 else BLUE)[0]
        whole._learn(frame)
    assert whole.colours is not None and whole.colours[0, BLUE] > 0.1
    cut = whole.without_loose_ends(CLIP.times)
    assert sorted(cut.seen) == sorted(seen.seen)
    assert cut.colours is not None and cut.body_colours is not None
    assert cut.colours[0, BLUE] == 0 and cut.body_colours[BLUE] == 0
    few = tracklet(1, range(0, 60, 12), RED)  # never seen most of the time: judged elsewhere
    assert sorted(few.without_loose_ends(CLIP.times).seen) == sorted(few.seen)
