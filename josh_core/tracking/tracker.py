"""Finds and follows everybody in a clip.

Whole pictures are searched a few times a second. From the one that shows people most clearly apart everybody is
followed to both ends of the clip, each with the others painted over, so that two who walk side by side stay two; who
turns up on the way is then followed to where they came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from josh_core.body.names import FOOT_LANDMARKS
from josh_core.errors import ClipError
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.tracking.detect_frame import NEW_TRACK_SCORE, SQUARE_OVER_SIZE, Frame, clarity, search
from josh_core.tracking.detection import Detection, Mask, colour_distance, same_body, with_mask
from josh_core.tracking.finish import finish
from josh_core.tracking.landmarker import Landmarker, Square
from josh_core.tracking.masks import Claim, divide, in_shade, painted
from josh_core.tracking.tracklet import Expectation, Tracklet, assign, bodies, mismatch
from josh_core.types import Clip, Float, People, UInt8

# Chosen by hand, except where a measurement or a source is given.
LABEL_SIDE = 480  # px, longest side of the label images
SEARCH_SECONDS = 0.4  # between two searches of the whole picture
SEARCH_SHARE = 0.4  # of the progress
WIDE_SQUARE = 2.0  # side of the square in which a lost person is searched, over the person's size
SURE_COLORS = 0.5  # distance of colours up to which a sure detection of a followed person is taken as it is
PAINT_OVER_SCORE = 0.55  # score of a detection from which the person is painted over for others
LOST_SCORE = 0.45  # score below which a follow begins afresh


def find_people(clip: Clip, settings: Settings, progress: Progress | None = None) -> People:
    """Tracks, landmarks and masks of everybody in the clip, best-tracked first.

    Raises ClipError when nobody is found, naming the times that were looked at.
    """
    progress = progress or Progress()
    scale = min(1.0, LABEL_SIDE / max(clip.width, clip.height))
    with Landmarker(scale) as networks, ThreadPoolExecutor(2) as pool:
        tracker = _Tracker(clip, networks, pool, scale)
        looked = tracker.search_all(progress)
        tracker.follow_all(progress)
    people = finish(tracker.tracklets, clip, settings, scale)
    if not people.tracks:
        shown = looked[:: max(1, len(looked) // 5)]
        raise ClipError(
            f"Nobody was found in this clip ({len(looked)} pictures were searched, among them those at "
            + ", ".join(f"{clip.start + clip.times[i]:.1f}" for i in shown)
            + f" s): {_short_sightings(tracker.tracklets)}please use a clip that shows somebody from head to foot."
            + "".join(f" {note}" for note in clip.notes)  # such as that only one shot was looked at
        )
    return people


def _short_sightings(tracklets: Iterable[Tracklet]) -> str:
    """What was seen although nobody could be followed, as the beginning of a sentence."""
    best = max(tracklets, key=lambda t: len(t.seen), default=None)
    if best is None:
        return ""
    score = max(d.score for d in best.seen.values())
    return (
        f"what may be a person was seen in {len(best.seen)} frames ({100 * score:.0f} % sure at most), "
        "too shortly or too unsteadily to follow; "
    )


@dataclass(frozen=True)
class _Attempt:
    """Key of one attempt to find a person: a second attempt with the same key would give the same."""

    key: int  # who is looked for
    frame: int
    last: int | None  # frame of the detection that tells where
    known: frozenset[int]  # who is seen or expected in the frame and can be painted over


class _Tracker:
    """The state of finding and following people in one clip."""

    def __init__(self, clip: Clip, networks: Landmarker, pool: ThreadPoolExecutor, label_scale: float) -> None:
        self.tracklets: list[Tracklet] = []
        self._clip, self._networks, self._pool, self._scale = clip, networks, pool, label_scale
        self._searched: dict[int, list[Detection]] = {}
        self._in_vain: set[_Attempt] = set()

    def search_all(self, progress: Progress) -> list[int]:
        """Search a few pictures a second; the frames that were searched."""
        grid = np.arange(0, self._clip.times[-1] + 1e-6, SEARCH_SECONDS)
        frames = sorted({int(i) for i in np.searchsorted(self._clip.times, grid - 1e-6)})
        found = self._pool.map(lambda index: search(Frame(self._clip, index, self._scale), self._networks), frames)
        for count, (index, seen) in enumerate(zip(frames, found, strict=True)):
            progress.update(SEARCH_SHARE * count / len(frames))
            self._searched[index] = seen
        return frames

    def follow_all(self, progress: Progress) -> None:
        """Follow everybody from the clearest picture to both ends, then latecomers to where they came from."""
        anchor = max(self._searched, key=lambda i: (clarity(self._searched[i], self._scale), -i))
        last = len(self._clip) - 1
        sweeps = (range(anchor, last + 1), range(anchor, -1, -1), range(last, -1, -1), range(last + 1))
        total = sum(len(s) for s in sweeps)
        done = 0
        for sweep in sweeps:
            for tracklet in self.tracklets:
                self._networks.forget(tracklet.id)
            for index in sweep:
                self._step(index, sweep.step)
                done += 1
                progress.update(SEARCH_SHARE + (1 - SEARCH_SHARE) * done / total)

    def _step(self, index: int, direction: int) -> None:
        """Look for those who are expected in a frame and not yet seen there."""
        expected, looks = self._expected(index, direction)
        searched = self._searched.pop(index, [])
        if not expected and not searched:
            return
        frame = Frame(self._clip, index, self._scale)
        followed = self._follow(frame, expected)
        given = self._assign(frame, expected, followed, searched)
        for key in expected:
            if given.get(key) is None or given[key] is not followed.get(key) or given[key].score < LOST_SCORE:
                self._networks.forget(key)
        self._in_vain |= {looks[key] for key in expected if key not in given}
        self._record(frame, expected, given)

    def _expected(self, index: int, direction: int) -> tuple[dict[int, Expectation], dict[int, _Attempt]]:
        """Who may be found in a frame, by id, and the looks for them.

        A failed attempt is repeated only for people who have been tracked for long, once other people are known better.
        """
        expected: dict[int, Expectation] = {}
        for tracklet in self.tracklets:
            if index not in tracklet.seen:
                expectation = tracklet.expect(index, direction, self._clip.times, self._scale)
                if expectation is not None:
                    expected[tracklet.id] = expectation
        known = frozenset(k for k in (*expected, *self._present(index)) if not self.tracklets[k].tentative)
        looks = {key: _Attempt(key, index, self.tracklets[key].latest(index, direction), known) for key in expected}
        again = {
            key for key in expected if looks[key] in self._in_vain and not self.tracklets[key].lasting(self._clip.times)
        }
        return {key: e for key, e in expected.items() if key not in again}, looks

    def _present(self, index: int) -> dict[int, Detection]:
        """Who has been seen in a frame already, by id."""
        return {tracklet.id: tracklet.seen[index] for tracklet in self.tracklets if index in tracklet.seen}

    def _follow(self, frame: Frame, expected: Mapping[int, Expectation]) -> dict[int, Detection]:
        """Look for each expected person with everybody else painted over; once more, wider, for who is not found."""
        people = {
            key: (d.landmarks_px, d.mask)
            for key, d in self._present(frame.index).items()
            if d.score >= PAINT_OVER_SCORE
        }
        people |= {key: (e.landmarks, e.mask) for key, e in expected.items() if e.score >= PAINT_OVER_SCORE}
        people = {key: person for key, person in people.items() if not self.tracklets[key].tentative}
        hidden = {key: _others(frame, expected[key], (p for k, p in people.items() if k != key)) for key in expected}

        def look(key: int) -> Detection | None:
            return self._networks.follow(
                key, frame.image, Square.around(expected[key].box, SQUARE_OVER_SIZE), hidden[key]
            )

        self._networks.prepare(expected)
        found = dict(zip(expected, self._pool.map(look, expected), strict=True))
        for key in [key for key, d in found.items() if d is None or not assign([expected[key]], [d])]:
            seen = self._networks.search(frame.image, Square.around(expected[key].box, WIDE_SQUARE), hidden[key])
            pairs = assign([expected[key]], seen)
            found[key] = seen[pairs[0][1]] if pairs else None
        return {key: d for key, d in found.items() if d is not None}

    def _assign(
        self,
        frame: Frame,
        expected: Mapping[int, Expectation],
        followed: Mapping[int, Detection],
        searched: list[Detection],
    ) -> dict[int, Detection]:
        """One detection for each person, by id; what a search saw of nobody known begins a new tracklet."""
        given: dict[int, Detection] = {}
        for key in sorted(followed, key=lambda k: (self.tracklets[k].tentative, mismatch(expected[k], followed[k]))):
            if _trusted(expected[key], followed[key]) and not self._doubled(followed[key], given.values()):
                given[key] = followed[key]
        taken = [*given.values(), *self._present(frame.index).values()]
        open_keys = [key for key in expected if key not in given]
        rest = [followed[key] for key in open_keys if key in followed]
        rest = [g[0] for g in bodies([*rest, *searched], self._scale) if not self._doubled(g[0], taken)]
        pairs = assign([expected[key] for key in open_keys], rest)
        given |= {open_keys[person]: rest[which] for person, which in pairs}
        used = {id(d) for d in given.values()}
        for detection in searched:
            if id(detection) not in used and any(detection is d for d in rest) and detection.score >= NEW_TRACK_SCORE:
                self.tracklets.append(Tracklet(len(self.tracklets), beside=bool(expected or taken)))
                given[self.tracklets[-1].id] = detection
        return given

    def _doubled(self, detection: Detection, others: Iterable[Detection]) -> bool:
        return any(same_body(detection, other, self._scale) for other in others)

    def _record(self, frame: Frame, expected: Mapping[int, Expectation], given: Mapping[int, Detection]) -> None:
        """Divide the pixels among the detections of one frame and add each to its tracklet."""
        present = [d.mask for d in self._present(frame.index).values()]
        claims = []
        for key, detection in given.items():
            known = expected.get(key)
            claims.append(Claim(detection.mask, known.mask if known else None, self.tracklets[key].body_colours))
        masks = self._divided(list(given), claims, frame.lab)
        everybody = painted([*masks, *present], frame.width, frame.height)
        for (key, detection), mask in zip(given.items(), masks, strict=True):
            shade = in_shade(frame.lab, mask, everybody)
            self.tracklets[key].add(frame.index, with_mask(detection, mask, frame.image, self._scale, shade), frame.lab)

    def _divided(self, keys: list[int], claims: list[Claim], lab: UInt8) -> list[Mask]:
        """Masks of disjoint people; tentative people only get pixels that nobody else has."""
        masks = divide(claims, lab)
        proven = [i for i, key in enumerate(keys) if not self.tracklets[key].tentative]
        if len(proven) == len(keys):
            return masks
        for i, mask in zip(proven, divide([claims[i] for i in proven], lab), strict=True):
            masks[i] = mask
        return masks


def _others(frame: Frame, person: Expectation, others: Iterable[tuple[Float, Mask]]) -> UInt8 | None:
    """Mask of what to paint over when looking for a person: the others, but not where the person is in front of them.

    others: landmarks and mask of each.
    A person who stands lower in the image is taken to be in front, as both stand on one ground plane.
    """
    nearer: list[Mask] = []
    farther: list[Mask] = []
    for landmarks, mask in others:
        in_front = landmarks[list(FOOT_LANDMARKS), 1].max() > person.landmarks[list(FOOT_LANDMARKS), 1].max()
        (nearer if in_front else farther).append(mask)
    behind = frame.covering(farther)
    if behind is not None:
        behind = np.where(painted([person.mask], frame.width, frame.height) > 127, 0, behind).astype(np.uint8)
    before = frame.covering(nearer)
    return behind if before is None else before if behind is None else np.maximum(behind, before)


def _trusted(expected: Expectation, detection: Detection) -> bool:
    """Whether a detection of a followed person needs no comparison with others."""
    like = colour_distance(expected.colours, detection.colours) <= SURE_COLORS
    return like and detection.score >= NEW_TRACK_SCORE and bool(assign([expected], [detection]))
