"""Data association over frames: prediction, assignment, one detection per body. No image, no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from josh_core.tracking.detection import (
    Detection,
    Mask,
    colour_distance,
    landmark_distance,
    overlap,
    same_body,
    size_of,
)
from josh_core.tracking.masks import body_colours
from josh_core.types import Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
BRIDGE_SECONDS = 0.5  # longest gap that is filled by interpolation
COAST_SECONDS = 0.3  # s, longest extrapolation of a prediction
MASK_FRAMES = 2  # frames after which a mask is not carried on
VELOCITY_SECONDS = 0.25  # over which a velocity is measured
MAX_JUMP = 0.5  # a detection farther from its expectation, in sizes of the person, is somebody else
MAX_GROWTH = 0.5  # nor does anybody's size change by more than this (natural logarithm)
MAX_COLOUR_DISTANCE = 0.75  # nor their colours by more than this
COLOUR_MEMORY = 0.95  # share of the known colours that each new detection keeps
MIN_SEEN_SHARE = 0.65  # share of the frames in which somebody who is there is seen
END_SECONDS = 1 / 3  # s within which that share must be seen where a tracklet begins or ends
MIN_LIFETIME = 0.5  # s: chance finds rarely last longer
OUT_OF_REACH = 10.0  # cost of an assignment that is out of reach
# Detections in a row until a new track beside known people is confirmed (DeepSORT, Wojke et al. 2017)
CONFIRMING_DETECTIONS = 3


@dataclass(frozen=True)
class Expectation:
    """What one person should look like in a frame, from the detections before."""

    landmarks: Float  # [33,2] px
    mask: Mask
    colours: Float  # [2,bins] of torso and thighs
    body_colours: Float | None  # [bins] of the whole body
    score: float  # of the last detection, 0 when that is too long ago to say where the mask is now

    @property
    def box(self) -> Float:
        """Bounds xyxy px of the landmarks."""
        return np.concatenate([self.landmarks.min(0), self.landmarks.max(0)])


@dataclass
class Tracklet:
    """One person's detections while they are collected."""

    id: int
    seen: dict[int, Detection] = field(default_factory=dict)
    colours: Float | None = None  # [2,bins] running description of torso and thighs
    body_colours: Float | None = None  # [bins] running colours of the whole body
    body_colours_at: dict[int, Float] = field(default_factory=dict)  # [bins] of single frames
    beside: bool = False  # first seen in a picture in which others were known already

    @property
    def tentative(self) -> bool:
        """Whether this track is not confirmed yet: it may be a false detection on another person's body."""
        return self.beside and len(self.seen) < CONFIRMING_DETECTIONS

    def add(self, frame: int, detection: Detection, lab: UInt8 | None = None) -> None:
        """Record a detection and learn its colours; lab is the frame in Lab at label resolution."""
        self.seen[frame] = detection
        whole = None if lab is None else body_colours(lab, detection.mask)
        if whole is not None:
            self.body_colours_at[frame] = whole
        self._learn(frame)

    def _learn(self, frame: int) -> None:
        self.colours = _blend(self.colours, self.seen[frame].colours)
        if frame in self.body_colours_at:
            old, new = self.body_colours, self.body_colours_at[frame]
            self.body_colours = new if old is None else COLOUR_MEMORY * old + (1 - COLOUR_MEMORY) * new

    def without_loose_ends(self, times: Float) -> Tracklet:
        """The tracklet from where the person begins to be seen most of the time to where that ends.

        Few detections before and after it are mostly of somebody in front, with whose colours they spoil the own ones.
        """
        window = (
            max(CONFIRMING_DETECTIONS, round(END_SECONDS / float(np.median(np.diff(times))))) if len(times) > 1 else 1
        )
        least = MIN_SEEN_SHARE * min(window, len(self.seen))
        begins = [f for f in self.seen if sum(f <= g < f + window for g in self.seen) >= least]
        ends = [f for f in self.seen if sum(f - window < g <= f for g in self.seen) >= least]
        if not begins or min(begins) > max(ends):
            return self
        kept = Tracklet(self.id, body_colours_at=self.body_colours_at, beside=self.beside)
        for frame, detection in self.seen.items():
            if min(begins) <= frame <= max(ends):
                kept.seen[frame] = detection
                kept._learn(frame)
        return kept

    def latest(self, frame: int, direction: int) -> int | None:
        """The last frame seen before `frame` when time runs in `direction` (1 or -1)."""
        before = [f for f in self.seen if (frame - f) * direction > 0]
        return None if not before else max(before, key=lambda f: f * direction)

    def expect(self, frame: int, direction: int, times: Float, label_scale: float) -> Expectation | None:
        """What to expect at `frame` when time runs in `direction`; None when out of sight for too long.

        The whole skeleton moves on with the recent velocity of its landmarks' median.
        """
        last = self.latest(frame, direction)
        if last is None or abs(times[frame] - times[last]) > self._patience(times):
            return None
        now = self.seen[last]
        recent = [f for f in self.seen if (last - f) * direction > 0 and abs(times[last] - times[f]) < VELOCITY_SECONDS]
        step = np.zeros(2)
        if recent:
            first = min(recent, key=lambda f: f * direction)
            moved = np.median(now.landmarks_px - self.seen[first].landmarks_px, axis=0)
            step = moved * min(abs(times[frame] - times[last]), COAST_SECONDS) / abs(times[last] - times[first])
        score = now.score if abs(frame - last) <= MASK_FRAMES else 0.0
        assert self.colours is not None
        return Expectation(
            now.landmarks_px + step, now.mask.moved(step * label_scale), self.colours, self.body_colours, score
        )

    def _patience(self, times: Float) -> float:
        """Seconds for which this person is still expected after the last detection: the longer known, the longer."""
        frame = float(np.median(np.diff(times)))
        return max(1.5 * frame, min(BRIDGE_SECONDS, 0.1 + 0.5 * lifetime(self.seen, times)) * self._steady)

    @property
    def _steady(self) -> bool:
        """Whether this person is seen most of the time."""
        return len(self.seen) > MIN_SEEN_SHARE * (max(self.seen) - min(self.seen))

    def lasting(self, times: Float) -> bool:
        """Whether this track is so long and so complete that it is hardly a false detection."""
        return self._steady and lifetime(self.seen, times) >= MIN_LIFETIME


def _blend(known: Float | None, new: Float) -> Float:
    """Running mean of colours [2,bins], part by part; a part that is not seen now keeps what is known."""
    if known is None:
        return new.copy()
    seen, unknown = new.sum(-1) > 0, known.sum(-1) == 0
    keep = np.where(unknown, 0.0, np.where(seen, COLOUR_MEMORY, 1.0))[:, None]
    return keep * known + (1 - keep) * new


def bodies(detections: Sequence[Detection], label_scale: float) -> list[list[Detection]]:
    """Detections gathered by the body they lie on, each group begun by its best: the surest, of equals the largest."""
    groups: list[list[Detection]] = []
    for detection in sorted(detections, key=lambda d: -d.score * size_of(d.landmarks_px) ** 0.5):
        for group in groups:
            if same_body(detection, group[0], label_scale):
                group.append(detection)
                break
        else:
            groups.append([detection])
    return groups


def assign(expected: Sequence[Expectation], detections: Sequence[Detection]) -> list[tuple[int, int]]:
    """Pairs (expectation, detection) of least total cost; pairs out of reach are left out."""
    if not expected or not detections:
        return []
    cost = np.array([[mismatch(e, d) for d in detections] for e in expected])
    rows, columns = linear_sum_assignment(cost)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if cost[r, c] < OUT_OF_REACH]


def mismatch(expected: Expectation, detection: Detection) -> float:
    """Cost in [0, 1] of a detection for an expectation, by place, box and colours; OUT_OF_REACH beyond a limit."""
    apart = landmark_distance(expected.landmarks, detection.landmarks_px)
    growth = abs(np.log(size_of(detection.landmarks_px) / size_of(expected.landmarks)))
    unlike = colour_distance(expected.colours, detection.colours)
    if apart > MAX_JUMP or growth > MAX_GROWTH or unlike > MAX_COLOUR_DISTANCE:
        return OUT_OF_REACH
    return 0.35 * (1 - overlap(expected.box, detection.box)) + 0.35 * apart / MAX_JUMP + 0.3 * unlike


def lifetime(frames: Iterable[int], times: Float) -> float:
    """Seconds from the first to the last of the frames."""
    frames = list(frames)
    return float(times[max(frames)] - times[min(frames)]) if frames else 0.0
