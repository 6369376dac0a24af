"""Contact labels judged as their own task: precision, recall and F1 by frames and by events.

A label is one part of one person at one frame; an event is one unbroken run of such frames. A true event is found
when a predicted one overlaps it by half of their union, one to one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from josh_core.geometry import true_runs
from josh_core.metrics.accuracy import align_cameras, match_people, same_moments
from josh_core.metrics.ground_truth import GroundTruth, TruePerson
from josh_core.types import IN_CONTACT, Bool, Float, Int, Reconstruction

# Chosen by hand, except where a measurement or a source is given.
MIN_IOU = 0.5  # intersection over union of two runs that are the same event

# Words in the names of a result's contact points that tell a part of the truth.
LABEL_PARTS = {
    "heel": ("heel",),
    "ball": ("ball",),
    "toe": ("toe",),
    "seat": ("seat", "thigh"),
    "hand": ("hand", "knuckles"),
}
GROUPS = {"feet": ("heel", "ball", "toe"), "seat": ("seat",), "hands": ("hand",)}


@dataclass(frozen=True)
class Score:
    """Counts of one kind of label; they add up over people and clips."""

    hit: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(self.hit + other.hit, self.false + other.false, self.missed + other.missed)

    @property
    def precision(self) -> float | None:
        """Share of the predicted labels that are true; None when nothing was predicted."""
        return self.hit / (self.hit + self.false) if self.hit + self.false else None

    @property
    def recall(self) -> float | None:
        """Share of the true labels that were predicted; None when there are none."""
        return self.hit / (self.hit + self.missed) if self.hit + self.missed else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both; None when nothing is true and nothing was predicted."""
        total = 2 * self.hit + self.false + self.missed
        return 2 * self.hit / total if total else None


def contact_scores(result: Reconstruction, truth: GroundTruth) -> dict[str, tuple[Score, Score]]:
    """By group of parts ("feet", "seat", "hands"): scores of frames and of events, over all true people.

    A true person whom nobody in the result stands for has all labels missed. Empty when the truth has no labels.
    """
    if not truth.contact_names:
        return {}
    out = {group: (Score(), Score()) for group in GROUPS}
    for group, probability, is_true in predictions(result, truth):
        predicted = probability > IN_CONTACT
        frames, events = out[group]
        out[group] = frames + frame_score(predicted, is_true), events + event_score(predicted, is_true)
    return out


def reliability(probability: Float, is_true: Bool) -> list[tuple[float, float, int]]:
    """Mean predicted probability, share that is true, and count, in each tenth of probability [n] that has any."""
    tenth = np.minimum((10 * probability).astype(int), 9)
    chosen = [tenth == i for i in range(10)]
    return [(float(probability[c].mean()), float(is_true[c].mean()), int(c.sum())) for c in chosen if c.any()]


def predictions(result: Reconstruction, truth: GroundTruth) -> Iterator[tuple[str, Float, Bool]]:
    """Group, probability [n] (zero where the result has nobody) and truth [n] of every labelled part of everybody."""
    for true, person, moments in labelled_people(result, truth):
        assert true.contact is not None
        predicted = np.zeros((len(true.frames), len(result.contact_names)))
        if person is not None and moments is not None:
            predicted[moments[1]] = result.people[person].contact[moments[0]]
        asked = np.isin(true.frames, _true_rows(result, truth))  # frames of the truth that the result has
        for group, parts in GROUPS.items():
            for name in (n for n in truth.contact_names if n.split("_", maxsplit=1)[1] in parts):
                probability = part_probability(predicted, result.contact_names, name)[asked]
                yield group, probability, true.contact[asked, truth.contact_names.index(name)]


def labelled_people(
    result: Reconstruction, truth: GroundTruth
) -> Iterator[tuple[TruePerson, int | None, tuple[Int, Int] | None]]:
    """Everybody with true labels, who of the result stands for them, and rows of both at the same moments."""
    rows = _true_rows(result, truth)
    world = align_cameras(result.world_from_cam[: len(rows)].astype(np.float64), truth.world_from_cam[rows])
    pairs = match_people(result, truth, rows, world)
    for i, true in enumerate(truth.people):
        if true.contact is not None:
            yield true, pairs.get(i), same_moments(result.people[pairs[i]], true, rows) if i in pairs else None


def _true_rows(result: Reconstruction, truth: GroundTruth) -> Int:
    """Frames of the truth at the result's frames, as many as there are."""
    begin = float(result.clip.get("start") or 0.0)
    rows = np.round((result.frame_times + begin) * truth.fps).astype(np.int64)
    return rows[rows < len(truth.world_from_cam)]


def part_probability(contact: Float, names: tuple[str, ...], part: str) -> Float:
    """Probability [n] that a part such as "left_toe" touches: the largest of its contact points' in contact [n,C]."""
    side, kind = part.split("_", maxsplit=1)
    columns = [c for c, n in enumerate(names) if n.startswith(side) and any(word in n for word in LABEL_PARTS[kind])]
    return np.asarray(contact[:, columns].max(1, initial=0.0))


def frame_score(predicted: Bool, is_true: Bool) -> Score:
    """Counts of frames; predicted, is_true: [n]."""
    return Score(int((predicted & is_true).sum()), int((predicted & ~is_true).sum()), int((~predicted & is_true).sum()))


def event_score(label: Bool, is_true: Bool) -> Score:
    """Counts of events; label: [n] predicted, is_true: [n]."""
    predicted, true = true_runs(label), true_runs(is_true)
    if not predicted or not true:
        return Score(0, len(predicted), len(true))
    overlap = np.array([[_overlap(a, b) for b in true] for a in predicted])
    chosen = linear_sum_assignment(-overlap)
    hit = int((overlap[chosen] >= MIN_IOU).sum())
    return Score(hit, len(predicted) - hit, len(true) - hit)


def _overlap(a: tuple[int, int], b: tuple[int, int]) -> float:
    both = min(a[1], b[1]) - max(a[0], b[0])
    return max(both, 0) / (max(a[1], b[1]) - min(a[0], b[0]))
