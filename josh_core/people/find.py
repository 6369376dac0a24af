"""Finds and follows everybody in a clip: forwards, then backwards to fill what was seen too late."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from josh_core.errors import ClipError
from josh_core.people.clean import finish
from josh_core.people.detect import Landmarker, Square, tiles
from josh_core.people.detection import Detection, same_body
from josh_core.people.track import BRIDGE_SECONDS, Trail, assign, without_doubles
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.types import Clip, Float, People, UInt8

LABEL_SIDE = 480  # px, longest side of the label images
SEARCH_SECONDS = 0.3  # between two searches of the whole picture
FOLLOW_MARGIN = 1.5  # side of the followed square over the size of the person
SURE = 0.6  # score from which a sighting may begin a track


def find_people(clip: Clip, settings: Settings, progress: Progress | None = None) -> People:
    """Tracks, landmarks and masks of everybody in the clip, best-tracked first.

    Raises ClipError when nobody is found, naming the times that were looked at.
    """
    progress = progress or Progress()
    scale = min(1.0, LABEL_SIDE / max(clip.width, clip.height))
    with Landmarker(scale) as networks, ThreadPoolExecutor(2) as pool:
        search = _Search(clip, networks, pool, scale)
        search.sweep(range(len(clip)), 1, progress)
        search.sweep(range(len(clip) - 1, -1, -1), -1, progress)
    people = finish(search.trails, clip, settings, scale)
    if not people.tracks:
        looked = clip.times[:: max(1, len(clip) // 4)]
        raise ClipError(
            "Nobody was found in this clip (looked at every frame, for example at "
            + ", ".join(f"{t + clip.start:.1f} s" for t in looked)
            + "): please use a clip that shows at least one person from head to foot."
        )
    return people


class _Search:
    """The state of one search through a clip."""

    def __init__(self, clip: Clip, networks: Landmarker, pool: ThreadPoolExecutor, label_scale: float) -> None:
        self.trails: list[Trail] = []
        self._clip, self._networks, self._pool, self._scale = clip, networks, pool, label_scale

    def sweep(self, frames: Iterable[int], direction: int, progress: Progress) -> None:
        """Look at the frames in order. The first sweep searches; the second only follows where something is missing."""
        next_search = -np.inf
        forwards = direction > 0
        for trail in self.trails:
            self._networks.forget(trail.id)
        for count, frame in enumerate(frames):
            time = self._clip.times[frame]
            expected = self._expected(frame, direction)
            due = forwards and time >= next_search
            if due or expected:
                image = self._clip.frame(frame)
                found = self._follow(image, expected)
                if due or (forwards and len(found) < len(expected)):
                    found += self._look_around(image, expected)
                    next_search = time + SEARCH_SECONDS
                self._record(frame, expected, found, forwards)
            progress.update((0.75 if forwards else 0.25) * count / len(self._clip) + 0.75 * (not forwards))

    def _expected(self, frame: int, direction: int) -> dict[int, Float]:
        """Predicted landmarks of the trails that should be in sight but have not been seen at `frame`."""
        out = {}
        for trail in self.trails:
            last = trail.latest(frame, direction)
            if frame in trail.seen or last is None:
                continue
            if abs(self._clip.times[frame] - self._clip.times[last]) > BRIDGE_SECONDS:
                continue
            predicted = trail.predict(frame, direction, self._clip.times)
            if predicted is not None:
                out[trail.id] = predicted
        return out

    def _follow(self, image: UInt8, expected: dict[int, Float]) -> list[Detection]:
        def look(item: tuple[int, Float]) -> Detection | None:
            key, landmarks = item
            box = np.concatenate([landmarks.min(0), landmarks.max(0)])
            return self._networks.follow(key, image, Square.around(box, FOLLOW_MARGIN))

        return [d for d in self._pool.map(look, expected.items()) if d is not None]

    def _look_around(self, image: UInt8, expected: dict[int, Float]) -> list[Detection]:
        height, width = image.shape[:2]
        squares = tiles(width, height, 0) + tiles(width, height, 1.0) * (max(width, height) > 1.2 * min(width, height))
        return [d for square in squares for d in self._networks.search(image, square)]

    def _record(self, frame: int, expected: dict[int, Float], found: list[Detection], may_begin: bool) -> None:
        """Give the sightings of a frame to the trails; what is left over and sure begins a new trail."""
        present = [trail.seen[frame] for trail in self.trails if frame in trail.seen]
        fresh = [
            d
            for d in without_doubles(found, self._scale)
            if not any(same_body(d, other, self._scale) for other in present)
        ]
        keys = list(expected)
        pairs = assign([(expected[k], self.trails[k].colours) for k in keys], fresh)
        for person, detection in pairs:
            self.trails[keys[person]].add(frame, fresh[detection])
        taken = {detection for _, detection in pairs}
        for index, detection in enumerate(fresh):
            if may_begin and index not in taken and detection.score >= SURE:
                trail = Trail(len(self.trails))
                trail.add(frame, detection)
                self.trails.append(trail)
