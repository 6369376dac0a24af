"""People drawn as coloured boxes, seen by a made-up network: crossings, gaps, ghosts, doubles, shared pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import pytest

from josh_core.body.names import MIRRORED_LANDMARKS
from josh_core.errors import Cancelled, ClipError
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.tracking import tracker
from josh_core.tracking.detect_frame import Frame, clarity, search
from josh_core.tracking.detection import Detection, Mask, colours_of, landmark_distance, overlap, score_of
from josh_core.tracking.finish import _cast_by, finish
from josh_core.tracking.landmarker import Square
from josh_core.tracking.masks import Claim, divide
from josh_core.tracking.tracklet import Tracklet
from josh_core.types import Clip, People

WIDTH, HEIGHT, FRAMES, STEP = 480, 270, 60, 4  # STEP: grey levels by which a frame's corner tells its number
RED, BLUE, GREEN = (220, 40, 40), (40, 60, 220), (40, 180, 60)


def skeleton() -> np.ndarray:
    """A standing person's 33 landmarks in a unit box, left at larger x."""
    rows = {0: (0.5, 0.05), 11: (0.75, 0.2), 13: (0.85, 0.35), 15: (0.85, 0.5), 23: (0.62, 0.5), 25: (0.62, 0.75)}
    rows |= {27: (0.62, 0.94), 29: (0.6, 0.98), 31: (0.7, 1.0), 17: (0.87, 0.53), 19: (0.85, 0.55), 21: (0.83, 0.53)}
    rows |= {1: (0.53, 0.04), 2: (0.55, 0.04), 3: (0.57, 0.04), 7: (0.6, 0.05), 9: (0.53, 0.08)}
    for left, (x, y) in list(rows.items()):
        rows[MIRRORED_LANDMARKS[left]] = (1 - x, y)
    return np.array([rows[i] for i in range(33)])


@dataclass(frozen=True)
class Actor:
    """A box of one colour; `at(frame)` is its centre x and feet y."""

    colour: tuple[int, int, int]
    at: Callable[[int], tuple[float, float]]
    height: float = 140.0
    frames: range = range(FRAMES)

    def box(self, frame: int) -> tuple[int, int, int, int]:
        """Bounds xyxy."""
        x, y = self.at(frame)
        return round(x - 0.2 * self.height), round(y - self.height), round(x + 0.2 * self.height), round(y)


def film(actors: Sequence[Actor]) -> Clip:
    """A clip of the actors, the later ones in front; the top left corner tells the frame number."""
    jpegs = []
    for frame in range(FRAMES):
        image = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
        for actor in actors:
            if frame in actor.frames:
                x0, y0, x1, y1 = actor.box(frame)
                cv2.rectangle(image, (x0, y0), (x1 - 1, y1 - 1), actor.colour, -1)
        image[:16, :16] = STEP * frame
        jpegs.append(cv2.imencode(".jpg", image[..., ::-1])[1].tobytes())
    return Clip(jpegs, np.arange(FRAMES) / 30, WIDTH, HEIGHT, 30.0)


@dataclass
class MadeUpNetworks:
    """Sees each actor of whom enough is in sight, but of two that are close, while neither is painted over, only one:
    in a small square the nearer, in a large one a mixture of both.
    """

    actors: Sequence[Actor]
    blind: Sequence[int] = ()  # frames in which nothing is seen
    ghosts: Sequence[int] = ()  # frames in which somebody is seen who is not there
    doubles: Sequence[int] = ()  # frames in which somebody is seen once more, beside where they are
    looks: list[int] = field(default_factory=list)

    def __enter__(self) -> MadeUpNetworks:
        return self

    def __exit__(self, *_: object) -> None: ...

    def forget(self, key: int) -> None: ...

    def prepare(self, keys: Sequence[int]) -> None: ...

    def follow(self, key: int, image: np.ndarray, square: Square, hidden: np.ndarray | None = None) -> Detection | None:
        seen = self.search(image, square, hidden)
        centre = np.array([square.x, square.y]) + square.side / 2
        return min(seen, key=lambda d: np.linalg.norm(d.landmarks_px.mean(0) - centre), default=None)

    def search(self, image: np.ndarray, square: Square, hidden: np.ndarray | None = None) -> list[Detection]:
        frame = round(image[2:12, 2:12].mean() / STEP)
        self.looks.append(frame)
        if frame in self.blind:
            return []
        free = np.zeros((HEIGHT, WIDTH), bool)
        x0, y0 = max(0, round(square.x)), max(0, round(square.y))
        free[y0 : round(square.y + square.side), x0 : round(square.x + square.side)] = True
        if hidden is not None:
            free &= hidden <= 127
        owners = np.zeros((HEIGHT, WIDTH), int)
        for k, actor in enumerate(self.actors, 1):
            if frame in actor.frames:
                a, b, c, d = actor.box(frame)
                owners[max(0, b) : d, max(0, a) : max(0, c)] = k
        found = []
        for k, actor in enumerate(self.actors, 1):
            if frame in actor.frames and (free & (owners == k)).sum() > 0.4 * 0.4 * actor.height**2:
                found.append(self._sighting(image, np.array(actor.box(frame), float), free & (owners == k)))
        if frame in self.ghosts:
            x = 60 + 37 * (frame % 5)
            found.append(self._sighting(image, np.array([x, 20.0, x + 40, 120.0]), free))
        if frame in self.doubles:
            found += [self._sighting(image, d.box + [24, -20, 24, -20], free) for d in found]
            return found
        return self._mixed_up(image, found, square.side > 300)

    def _mixed_up(self, image: np.ndarray, found: list[Detection], large: bool) -> list[Detection]:
        for i, a in enumerate(found):
            for b in found[i + 1 :]:
                if abs(a.landmarks_px[0, 0] - b.landmarks_px[0, 0]) < 45:
                    rest = [d for d in found if d is not a and d is not b]
                    if not large:
                        return [*rest, b]
                    both = np.concatenate([np.minimum(a.box[:2], b.box[:2]), np.maximum(a.box[2:], b.box[2:])])
                    seen = (a.mask.patch > 127) | (b.mask.patch > 127)
                    return [*rest, self._sighting(image, both, seen)]
        return found

    @staticmethod
    def _sighting(image: np.ndarray, box: np.ndarray, seen: np.ndarray) -> Detection:
        px = box[:2] + skeleton() * (box[2:] - box[:2])
        inside = np.zeros(seen.shape, bool)
        inside[max(0, round(box[1])) : round(box[3]), max(0, round(box[0])) : round(box[2])] = True
        mask = Mask(0, 0, np.where(seen & inside, 255, 0).astype(np.uint8))
        visible = np.full(33, 0.95)
        metres = (skeleton() - skeleton()[[23, 24]].mean(0))[:, [0, 1, 1]] * [0.6, 1.7, 0]
        return Detection(px, visible, metres, mask, colours_of(image, px, mask, 1.0), score_of(px, visible, mask, 1.0))


def people_of(monkeypatch: pytest.MonkeyPatch, actors: Sequence[Actor], **network: object) -> People:
    """What is found in a film of the actors."""
    monkeypatch.setattr(tracker, "Landmarker", lambda _: MadeUpNetworks(actors, **network))  # type: ignore[arg-type]
    monkeypatch.setattr(tracker, "ThreadPoolExecutor", lambda _: ThreadPoolExecutor(1))
    return tracker.find_people(film(actors), Settings())


def offsets(people: People, actor: Actor) -> list[float]:
    """Median distance of each track's hips from an actor, in px, over the frames both have."""
    out = []
    for track in people.tracks:
        rows = [i for i, f in enumerate(track.frames) if f in actor.frames]
        hips = track.landmarks_px[rows][:, [23, 24]].mean(1)[:, 0]
        out.append(float(np.max(np.abs(hips - [actor.at(int(track.frames[i]))[0] for i in rows]))))
    return out


def test_two_people_who_cross_keep_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = Actor(RED, lambda f: (100 + 5 * f, 210))
    front = Actor(BLUE, lambda f: (380 - 5 * f, 240))
    people = people_of(monkeypatch, [behind, front])
    assert [len(t.frames) for t in people.tracks] == [FRAMES, FRAMES]
    assert min(offsets(people, behind)) < 30 and min(offsets(people, front)) < 30  # the other one is up to 310 away
    assert np.argmin(offsets(people, behind)) != np.argmin(offsets(people, front))


def test_two_side_by_side_are_not_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are always too close for the network: only painting one over shows the other."""
    left, right = Actor(RED, lambda f: (200 + f, 200)), Actor(BLUE, lambda f: (238 + f, 215))
    people = people_of(monkeypatch, [left, right])
    assert [len(t.frames) for t in people.tracks] == [FRAMES, FRAMES]
    assert min(offsets(people, left)) < 12 and min(offsets(people, right)) < 12


def test_a_search_finds_who_stands_behind() -> None:
    actors = [Actor(RED, lambda f: (200, 200)), Actor(BLUE, lambda f: (236, 215))]
    found = search(Frame(film(actors), 0, 1.0), MadeUpNetworks(actors))  # type: ignore[arg-type]
    assert sorted(round(d.landmarks_px[0, 0]) for d in found) == [200, 236]


def test_a_short_gap_is_bridged_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    people = people_of(monkeypatch, [Actor(RED, lambda f: (100 + 3 * f, 220))], blind=range(30, 38))
    (track,) = people.tracks
    assert list(track.frames) == list(range(FRAMES))
    assert list(np.where(~track.detected)[0]) == list(range(30, 38))
    np.testing.assert_allclose(track.boxes[:, 0], 72 + 3 * np.arange(FRAMES), atol=3)
    assert track.visibility[33].max() < 0.6 < track.visibility[29].min()
    assert people.labels[34, 150, 100 + 3 * 34] == 1


def test_a_long_gap_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    people = people_of(monkeypatch, [Actor(RED, lambda f: (240, 220))], blind=range(32, 48))
    (track,) = people.tracks
    assert track.frames.max() == 31


def out_and_back(frame: int) -> tuple[float, float]:
    """Out of the picture at its right side, and in again."""
    return 300 + 9 * min(frame, FRAMES - frame), 220


def test_who_walks_out_and_comes_back_is_one_person_with_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    (track,) = people_of(monkeypatch, [Actor(RED, out_and_back)]).tracks
    assert track.frames[0] == 0 and track.frames[-1] == FRAMES - 1
    assert np.diff(track.frames).max() > 15  # nothing is made up where nobody was seen


def test_somebody_else_who_comes_in_is_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    gone, new = Actor(RED, out_and_back, frames=range(30)), Actor(BLUE, out_and_back, frames=range(30, FRAMES))
    assert len(people_of(monkeypatch, [gone, new]).tracks) == 2
    across = Actor(RED, lambda f: (out_and_back(f)[0] if f < 30 else 480 - out_and_back(f)[0], 220))
    assert len(people_of(monkeypatch, [across]).tracks) == 2  # alike, but from the other side


def test_whoever_is_away_from_the_clearest_picture_is_followed_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    stays, early = Actor(RED, lambda f: (100, 220)), Actor(GREEN, lambda f: (240, 220), 100, range(22))
    late = Actor(BLUE, lambda f: (380, 220), frames=range(30, FRAMES))
    people = people_of(monkeypatch, [stays, early, late])
    assert sorted(len(t.frames) for t in people.tracks) == [22, 30, FRAMES]


@pytest.mark.parametrize(("first", "frames", "wide"), [(0, 28, 28), (24, 5, 5)])
def test_lost_people_are_not_searched_in_every_frame(
    monkeypatch: pytest.MonkeyPatch, first: int, frames: int, wide: int
) -> None:
    """In each frame until patience ends there are two looks, the second one wider. Who was there for long is looked
    for by a later sweep again, who was not is not.
    """
    actors = [Actor(GREEN, lambda f: (100, 220)), Actor(RED, lambda f: (380, 220), frames=range(first, 30))]
    networks = MadeUpNetworks(actors)
    monkeypatch.setattr(tracker, "Landmarker", lambda _: networks)
    monkeypatch.setattr(tracker, "ThreadPoolExecutor", lambda _: ThreadPoolExecutor(1))
    tracker.find_people(film(actors), Settings())
    gone = [frame for frame in range(30, FRAMES) if frame % 12]  # at the others the whole picture is searched
    assert sum(networks.looks.count(frame) - 1 for frame in gone) == frames + wide  # one look is for who stays


def test_false_detections_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    people = people_of(monkeypatch, [Actor(RED, lambda f: (400, 230))], ghosts=[*range(9), 24, 36, 48])
    assert len(people.tracks) == 1 and people.tracks[0].boxes[:, 0].min() > 350


def test_who_is_seen_twice_in_a_picture_loses_no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    actor = Actor(RED, lambda f: (150 + 2 * f, 220))
    people = people_of(monkeypatch, [actor], doubles=[24])
    (track,) = people.tracks
    assert len(track.frames) == FRAMES
    x0, y0, x1, y1 = actor.box(24)
    assert (people.labels[24, y0 + 3 : y1 - 3, x0 + 3 : x1 - 3] == 1).mean() > 0.95


def test_the_clearest_picture_shows_people_apart() -> None:
    networks = MadeUpNetworks([Actor(RED, lambda f: (150, 220)), Actor(BLUE, lambda f: (300, 220))])
    apart = search(Frame(film(networks.actors), 0, 1.0), networks)  # type: ignore[arg-type]
    beside = replace(apart[0], landmarks_px=apart[0].landmarks_px + [20, -15])
    assert clarity(apart, 1.0) > clarity(apart[:1], 1.0) > clarity([apart[0], beside], 1.0)


def test_all_people_side_by_side_are_clearer_than_fewer_from_nearby() -> None:
    """Boxes of two who walk side by side overlap; seen from nearby they may be taken for one."""
    networks = MadeUpNetworks([Actor(RED, lambda f: (150, 220)), Actor(BLUE, lambda f: (300, 220))])
    couple = search(Frame(film(networks.actors), 0, 1.0), networks)  # type: ignore[arg-type]
    noses = [np.eye(33)[0][:, None] * [way, 0] for way in (90, -90)]
    wide = [replace(d, landmarks_px=d.landmarks_px + nose) for d, nose in zip(couple, noses, strict=True)]
    assert overlap(wide[0].box, wide[1].box) > 0.1
    nearer = replace(couple[0], landmarks_px=2 * couple[0].landmarks_px)
    assert clarity(wide, 1.0) > clarity([nearer], 1.0) > clarity(couple[:1], 1.0)


def test_labels_belong_to_whom_they_show(monkeypatch: pytest.MonkeyPatch) -> None:
    actors = [Actor(RED, lambda f: (150, 210)), Actor(BLUE, lambda f: (195, 240))]
    people = people_of(monkeypatch, actors)
    assert {int(people.labels[30, 120, 130]), int(people.labels[30, 200, 215])} == {1, 2}
    assert people.labels[30, 150, 170] == people.labels[30, 200, 215]  # the overlap is the nearer one's
    assert people.labels[30, 20, 20] == 0


def test_nobody_is_an_error_that_says_where_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClipError, match=r"Nobody was found .*0\.0, 0\.4, 0\.8"):
        people_of(monkeypatch, [])


def test_cancelling_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    actor = Actor(RED, lambda f: (100, 220))
    networks = MadeUpNetworks([actor])
    monkeypatch.setattr(tracker, "Landmarker", lambda _: networks)
    with pytest.raises(Cancelled):
        tracker.find_people(film([actor]), Settings(), Progress(cancelled=lambda: len(networks.looks) > 20))
    assert len(networks.looks) < 40


def test_people_beyond_the_number_asked_for_are_masked_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    actors = [Actor(RED, lambda f: (100, 220)), Actor(BLUE, lambda f: (380, 220), height=90)]
    monkeypatch.setattr(tracker, "Landmarker", lambda _: MadeUpNetworks(actors))
    people = tracker.find_people(film(actors), Settings(people=1))
    assert len(people.tracks) == 1 and set(np.unique(people.labels)) == {0, 1, 255}


def test_shared_pixels_go_to_whose_colours_they_have() -> None:
    lab = np.full((40, 60, 3), 128, np.uint8)
    lab[:, :30, 0], lab[:, 30:, 0] = 40, 220
    bins = [np.zeros(512) for _ in range(2)]
    bins[0][1 * 64 + 4 * 8 + 4] = bins[1][6 * 64 + 4 * 8 + 4] = 1.0
    everything = Mask(0, 0, np.full((40, 60), 255, np.uint8))
    dark, light = divide([Claim(everything, None, c) for c in bins], lab)
    assert (dark.patch[:, :26] > 0).all() and not dark.patch[:, 34:].any()
    assert (light.patch[:, 34:] > 0).all() and not light.patch[:, :26].any()


def test_exchanged_sides_are_the_same_body() -> None:
    a = skeleton() * 100
    assert landmark_distance(a, a[list(MIRRORED_LANDMARKS)]) == 0
    assert landmark_distance(a, a + [30, 0]) == pytest.approx(0.3, abs=0.02)


def test_a_shadow_lies_at_the_feet_of_its_owner() -> None:
    owner = skeleton() * [60, 150] + [100, 50]
    lying = (skeleton()[:, ::-1] - [1, 0.5]) * [-150, 40] + owner[[31]]
    assert _cast_by(lying, owner)
    assert not _cast_by(lying + [400, 0], owner)  # at nobody's feet
    assert not _cast_by(owner + [40, 0], owner)  # somebody who stands beside


def test_a_tracklet_that_is_always_within_another_is_dropped() -> None:
    actor = Actor(RED, lambda f: (200, 230))
    clip = film([actor])
    whole, part = Tracklet(0), Tracklet(1)
    for f in range(20):
        image = clip.frame(f)
        seen = MadeUpNetworks([actor]).search(image, Square(0, -105, 480))[0]
        whole.add(f, seen)
        part.add(f, MadeUpNetworks._sighting(image, np.array([180.0, 150, 215, 225]), np.ones((HEIGHT, WIDTH), bool)))
    assert len(finish([part, whole], clip, Settings(), 1.0).tracks) == 1
