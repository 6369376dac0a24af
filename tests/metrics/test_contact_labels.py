"""Scores of contact labels on labels made by hand."""

import numpy as np
import pytest

from josh_core.geometry import true_runs
from josh_core.metrics.contact_labels import (
    Score,
    event_score,
    frame_score,
    part_probability,
    reliability,
)


def _label(text: str) -> np.ndarray:
    return np.array([c == "x" for c in text])


def test_frames_are_counted() -> None:
    score = frame_score(_label("xx..x."), _label(".xx.x."))
    assert score == Score(hit=2, false=1, missed=1)
    assert score.precision == pytest.approx(2 / 3) and score.recall == pytest.approx(2 / 3)
    assert score.f1 == pytest.approx(2 / 3)


def test_no_predicted_and_no_true_label_has_no_score() -> None:
    score = frame_score(_label("...."), _label("...."))
    assert score.precision is None and score.recall is None and score.f1 is None
    assert frame_score(_label("x..."), _label("....")).f1 == 0.0  # a foot that only glides was called static


def test_events_need_half_of_their_union_in_common() -> None:
    true = _label("..xxxx....xx..")
    assert event_score(true, true) == Score(hit=2)
    assert event_score(_label("...xxxx......."), true) == Score(hit=1, missed=1)  # 3 of 5 frames
    assert event_score(_label(".....xxxx....."), true) == Score(false=1, missed=2)  # 1 of 7 frames
    assert event_score(_label("..xxxxxxxxxx.."), true) == Score(false=1, missed=2)  # two steps run together


def test_reliability_is_given_by_tenths() -> None:
    said = np.array([0.02, 0.04, 0.91, 0.95, 0.99, 1.0])
    rows = reliability(said, _label(".xxx.x"))
    assert [row[1:] for row in rows] == [(0.5, 2), (0.75, 4)]
    assert [row[0] for row in rows] == pytest.approx([0.03, 0.9625])


def test_runs() -> None:
    assert true_runs(_label("x..xx.x")) == [(0, 1), (3, 5), (6, 7)]
    assert true_runs(_label("....")) == []


def test_a_part_is_as_sure_as_its_surest_point() -> None:
    names = ("left_heel", "left_ball_inner", "left_ball_outer", "right_ball_inner", "left_big_toe", "left_knuckles")
    contact = np.array([[0.1, 0.2, 0.7, 0.9, 0.3, 0.4]])
    assert part_probability(contact, names, "left_ball")[0] == pytest.approx(0.7)
    assert part_probability(contact, names, "right_ball")[0] == pytest.approx(0.9)
    assert part_probability(contact, names, "left_hand")[0] == pytest.approx(0.4)
    assert part_probability(contact, names, "right_toe")[0] == 0.0
