"""Re-identification: tracks of one person with a gap between them, joined by appearance and place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from josh_core.tracking.detection import colour_distance, size_of
from josh_core.tracking.tracklet import Tracklet
from josh_core.types import Clip, Float

# Chosen by hand, except where a measurement or a source is given.
MAX_COLOUR_DISTANCE = 0.2  # distance of torso and thighs' colours up to which two tracklets may show one person
MAX_BODY_COLOUR_DISTANCE = 0.2  # and of the whole body's
MAX_SIZE_CHANGE = 0.4  # and the difference of their sizes where they meet (natural logarithm)
SIZE_DETECTIONS = 10  # detections before and after the gap that tell these sizes
EDGE_SHARE = 0.12  # of the picture's width: who vanishes or appears so near its side has gone or come
MAX_GAP_DISTANCE, MAX_GAP_SECONDS = (
    0.8,
    2.0,
)  # sizes of the person and seconds between two detections within the picture
RIVAL_FACTOR = 1.5  # times as alike as any other tracklet that would fit


def rejoined(tracklets: Sequence[Tracklet], clip: Clip) -> list[Tracklet]:
    """The tracklets with those of one person made one, best fitting first; a doubtful case stays two."""
    tracklets = list(tracklets)
    while True:
        fits = sorted(
            (_unlike(a, b), i, j)
            for i, a in enumerate(tracklets)
            for j, b in enumerate(tracklets)
            if _follows(a, b, clip)
        )
        clear = next((f for f in fits if _is_clear(f, fits)), None)
        if clear is None:
            return tracklets
        _, i, j = clear
        joined = _joined(tracklets[i], tracklets[j])
        tracklets = [joined if k == i else t for k, t in enumerate(tracklets) if k != j]


def _is_clear(fit: tuple[float, int, int], fits: Sequence[tuple[float, int, int]]) -> bool:
    """Whether no other tracklet could as well be what came before the second or after the first."""
    unlike, i, j = fit
    rivals = [u for u, a, b in fits if (a == i) != (b == j)]
    return all(u > RIVAL_FACTOR * unlike for u in rivals)


def _follows(a: Tracklet, b: Tracklet, clip: Clip) -> bool:
    """Whether `b` may be the person of `a`, seen again later."""
    last, first = max(a.seen), min(b.seen)
    if first <= last or _unlike(a, b) > 1:
        return False
    before, after = a.seen[last], b.seen[first]
    size = _size(a, sorted(a.seen)[-SIZE_DETECTIONS:]), _size(b, sorted(b.seen)[:SIZE_DETECTIONS])
    if abs(np.log(size[1] / size[0])) > MAX_SIZE_CHANGE:
        return False
    edges = _edges(before.box, clip) & _edges(after.box, clip)
    apart = np.linalg.norm(np.median(after.landmarks_px, axis=0) - np.median(before.landmarks_px, axis=0))
    soon = clip.times[first] - clip.times[last] <= MAX_GAP_SECONDS
    return bool(edges.any() or (soon and apart < MAX_GAP_DISTANCE * max(size)))


def _size(tracklet: Tracklet, frames: Sequence[int]) -> float:
    """Usual size in px of a person in some frames: at the edge of the picture it is badly known in a single one."""
    return float(np.median([size_of(tracklet.seen[f].landmarks_px) for f in frames]))


def _edges(box: Float, clip: Clip) -> Float:
    """Which sides (left, right) of the picture a box xyxy px reaches or nearly reaches."""
    margin = EDGE_SHARE * clip.width
    return np.array([box[0] < margin, box[2] > clip.width - margin])


def _unlike(a: Tracklet, b: Tracklet) -> float:
    """How unlike two tracklets are: up to 1 is alike; infinite where their colours were never seen.

    Where neither torso nor thighs can be compared the whole body decides.
    """
    if a.colours is None or b.colours is None or a.body_colours is None or b.body_colours is None:
        return np.inf
    body = float(np.sqrt(np.clip(1 - np.sqrt(a.body_colours * b.body_colours).sum(), 0, 1))) / MAX_BODY_COLOUR_DISTANCE
    comparable = ((a.colours.sum(-1) > 0) & (b.colours.sum(-1) > 0)).any()
    return max(body, colour_distance(a.colours, b.colours) / MAX_COLOUR_DISTANCE) if comparable else body


def _joined(a: Tracklet, b: Tracklet) -> Tracklet:
    return Tracklet(a.id, {**a.seen, **b.seen}, a.colours, a.body_colours)
