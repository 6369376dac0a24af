"""Pace: walkers and runners are as fast as people are, clips at another speed than life's are told from them."""

from __future__ import annotations

import numpy as np
import pytest

from josh_core.metrics.pace import fall, pace, pace_notes, steps
from josh_core.metrics.verdicts import rows
from josh_core.types import Float


def walker(speed: float, cadence: float, rate: float, seconds: float = 6.0) -> tuple[Float, Float]:
    """Joints and times of a walk, played `rate` times as fast; the feet pass each other sideways of the way's line."""
    times = np.arange(0, seconds / rate, 1 / 30)
    life = times * rate
    joints = np.zeros((len(times), 24, 3))
    joints[:, :, 2] = -speed * life[:, None]
    for ankle, side in ((7, 1), (8, -1)):
        joints[:, ankle, 2] -= side * 0.5 * speed / cadence * np.cos(np.pi * cadence * life)
        joints[:, ankle, 0] += side * 0.1
    joints[:, 0, 0] += 0.03 * np.sin(np.pi * cadence * life)
    return joints, times


def told(speed: float, cadence: float, rate: float, jitter: float = 8.0) -> str:
    hz, length = steps(*walker(speed, cadence, rate))
    return pace({"speed_m_s": speed * rate, "jitter": jitter, "steps_hz": hz, "step_m": length})


def test_steps_are_counted_and_measured() -> None:
    cadence, length = steps(*walker(1.3, 1.85, 1.0))
    assert cadence == pytest.approx(1.85, rel=0.03) and length == pytest.approx(1.3 / 1.85, rel=0.03)


@pytest.mark.parametrize(("speed", "cadence"), [(0.6, 1.3), (1.3, 1.85), (2.0, 2.3), (3.5, 2.8), (8.0, 4.4)])
def test_only_walks_at_an_unnatural_speed_are_reported(speed: float, cadence: float) -> None:
    assert told(speed, cadence, 1.0) == told(speed, cadence, 1.15) == told(speed, cadence, 0.9) == ""
    assert told(speed, cadence, 2.0) == told(speed, cadence, 4.0) == "fast"
    assert told(speed, cadence, 0.5) == told(speed, cadence, 0.25) == "slow"


def test_slow_motion_of_two_steps_is_found_by_their_length() -> None:
    joints, times = walker(1.3, 1.85, 0.2, seconds=1.2)
    cadence, length = steps(joints, times)
    assert cadence is None
    assert pace({"speed_m_s": 0.26, "jitter": 0.1, "steps_hz": cadence, "step_m": length}) == "slow"


def test_who_steps_on_the_spot_or_stands_is_left_out() -> None:
    joints, times = walker(1.3, 3.0, 1.0)
    joints[:, :, 2] += 1.3 * times[:, None]  # a treadmill
    assert steps(joints, times) == (None, None)
    assert steps(np.zeros((30, 24, 3)), np.arange(30) / 30) == (None, None)
    assert steps(np.zeros((1, 24, 3)), np.zeros(1)) == (None, None)


def test_pace_notes_name_the_person_and_lower_the_verdicts() -> None:
    def person(speed: float | None, jitter: float = 8.0) -> dict[str, float | None]:
        return {"speed_m_s": speed, "jitter": jitter, "frames_share": 1.0}

    assert pace_notes({"people": []}) == pace_notes({"people": [person(None), person(2.0)]}) == ()
    (note,) = pace_notes({"people": [person(1.2), person(4.7)]})
    assert note.startswith("Person 2 moves at 4.7 m/s") and "sped up" in note
    (note,) = pace_notes({"people": [{**person(0.2), "step_m": 0.7, "steps_hz": 0.4}]})
    assert note.startswith("The person moves at 0.20 m/s") and "slow motion" in note
    assert pace_notes({"people": [person(2.1, 67.0)]}) and pace_notes({"people": [person(2.4, 32.0)]})
    assert not pace_notes({"people": [person(2.4, 15.0)]}) and not pace_notes({"people": [person(0.3, 67.0)]})
    sure = {"scale_sigma_pct": 2.0, "scale_source": "contact", "jitter": 8.0, "foot_slide_mm": 1.0}
    for speed, verdict in ((1.2, "good"), (4.7, "fair")):
        table = {row.key: row for row in rows({**sure, "people": [person(speed)]})}
        judged = [table[key] for key in (*sure, "scale") if key != "scale_source"]
        assert {row.verdict for row in judged} == {verdict}
        assert all(("another pace" in row.sentence) == (verdict == "fair") for row in judged)


@pytest.mark.parametrize(("rate", "told"), [(1.0, ""), (1.5, "falls"), (2.0, "falls")])
def test_nobody_falls_faster_than_by_gravity_unless_the_clip_is_sped_up(rate: float, told: str) -> None:
    """Somebody jumps up half a metre and comes down, filmed at 60 frames a second with noise of 3 mm."""
    times = np.arange(60) / 60
    joints = np.zeros((60, 24, 3)) + np.random.default_rng(0).normal(0, 0.003, (60, 24, 3))
    joints[..., 1] += np.maximum(0.3, 0.8 - 9.81 / 2 * (times - 0.5) ** 2)[:, None]
    found = fall(joints, times / rate)
    assert found == pytest.approx(9.81 * rate**2, rel=0.15)
    person = {"speed_m_s": 0.1, "fall_m_s2": found}
    assert pace(person) == told and len(pace_notes({"people": [person]})) == (told != "")


def test_frames_too_far_apart_tell_no_fall() -> None:
    assert fall(np.zeros((30, 24, 3)), np.arange(30) / 10) is None


def test_a_still_picture_has_no_good_rows_on_time() -> None:
    numbers = {"foot_slide_mm": 1.0, "foot_slide_mm_s": 9.0, "jitter": 3.0, "scale_sigma_pct": 4.0, "people": []}
    for still, verdict in ((False, "good"), (True, "fair")):
        judged = [row for row in rows({**numbers, "still_picture": still}) if row.key in numbers and row.verdict]
        assert len(judged) == 4 and all(row.verdict == verdict for row in judged)
