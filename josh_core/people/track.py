"""Who is who from frame to frame: prediction, assignment, and the tidying of finished tracks. No image, no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from josh_core.people.detection import (
    Detection,
    colour_distance,
    landmark_distance,
    overlap,
    same_body,
    size_of,
)
from josh_core.types import Float

BRIDGE_SECONDS = 0.5  # longest gap that is filled by interpolation
COAST_SECONDS = 0.3  # a prediction does not run on for longer than this
REACH = 0.5  # a sighting farther from its prediction, in sizes of the person, is somebody else
GROWTH = 0.5  # nor does anybody's size change by more than this (natural logarithm)
FAITHFUL = 0.95  # share of the known colours that each new sighting keeps


@dataclass
class Trail:
    """One person's sightings while they are collected."""

    id: int
    seen: dict[int, Detection] = field(default_factory=dict)
    colours: Float | None = None  # running description

    def add(self, frame: int, detection: Detection) -> None:
        """Record a sighting and learn its colours."""
        self.seen[frame] = detection
        if self.colours is None:
            self.colours = detection.colours.copy()
            return
        known = detection.colours.sum(-1) > 0
        fresh = self.colours.sum(-1) == 0
        keep = np.where(fresh, 0.0, FAITHFUL)[:, None]
        mixed = keep * self.colours + (1 - keep) * detection.colours
        self.colours = np.where(known[:, None], mixed, self.colours)

    def latest(self, frame: int, direction: int) -> int | None:
        """The last frame seen before `frame` when time runs in `direction` (1 or -1)."""
        before = [f for f in self.seen if (frame - f) * direction > 0]
        return None if not before else max(before, key=lambda f: f * direction)

    def predict(self, frame: int, direction: int, times: Float) -> Float | None:
        """Landmarks [33,2] expected at `frame` from the sightings before it; None without any.

        The whole skeleton moves on with the recent velocity of its centre and growth of its size.
        """
        last = self.latest(frame, direction)
        if last is None:
            return None
        now = self.seen[last].landmarks_px
        recent = [f for f in self.seen if 0 < (last - f) * direction and abs(times[last] - times[f]) < 0.25]
        if not recent:
            return now
        first = min(recent, key=lambda f: f * direction)
        then = self.seen[first].landmarks_px
        steps = min(abs(times[frame] - times[last]), COAST_SECONDS) / abs(times[last] - times[first])
        return now + steps * np.median(now - then, axis=0)


def without_doubles(detections: Sequence[Detection], label_scale: float) -> list[Detection]:
    """Of the sightings that lie on one body, the surest; of two equally sure ones, the larger."""
    kept: list[Detection] = []
    for detection in sorted(detections, key=lambda d: -d.score * size_of(d.landmarks_px) ** 0.5):
        if not any(same_body(detection, other, label_scale) for other in kept):
            kept.append(detection)
    return kept


def assign(expected: Sequence[tuple[Float, Float | None]], detections: Sequence[Detection]) -> list[tuple[int, int]]:
    """Pairs (person, detection) of least total cost.

    expected: per person the predicted landmarks [33,2] and the known colours. Nothing is paired beyond REACH.
    """
    if not expected or not detections:
        return []
    cost = np.array([[_cost(landmarks, colours, d) for d in detections] for landmarks, colours in expected])
    rows, columns = linear_sum_assignment(np.minimum(cost, 10.0))
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if cost[r, c] < 10.0]


def _cost(landmarks: Float, colours: Float | None, detection: Detection) -> float:
    """How unlike a sighting is to what was expected, in [0, 1]; infinite when out of reach."""
    apart = landmark_distance(landmarks, detection.landmarks_px)
    unlike = 0.5 if colours is None else colour_distance(colours, detection.colours)
    growth = abs(np.log(size_of(detection.landmarks_px) / size_of(landmarks)))
    if apart > REACH or growth > GROWTH:
        return np.inf
    box = np.concatenate([landmarks.min(0), landmarks.max(0)])
    return 0.35 * (1 - overlap(box, detection.box)) + 0.35 * apart / REACH + 0.3 * unlike


def lifetime(frames: Iterable[int], times: Float) -> float:
    """Seconds from the first to the last of the frames."""
    frames = list(frames)
    return float(times[max(frames)] - times[min(frames)]) if frames else 0.0
