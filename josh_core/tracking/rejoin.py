"""Re-identification: tracks of one person after each other, joined by appearance and place.

Between them the person was out of sight; or, behind somebody, was taken for a second person for some frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from josh_core.tracking.detection import Detection, Mask, colour_distance, size_of
from josh_core.tracking.tracklet import Tracklet
from josh_core.types import Clip, Float

# Chosen by hand, except where a measurement or a source is given.
MAX_COLOUR_DISTANCE = 0.2  # distance of torso and thighs' colours up to which two tracklets may show one person
MAX_BODY_COLOUR_DISTANCE = 0.2  # and of the whole body's
MAX_SIZE_CHANGE = 0.4  # and the difference of their sizes where they meet (natural logarithm)
SIZE_DETECTIONS = 10  # detections before and after the gap that tell these sizes
EDGE_SHARE = 0.12  # of the picture's width: who vanishes or appears so near its side has gone or come
# Sizes of the person and seconds between two detections within the picture
MAX_GAP_DISTANCE, MAX_GAP_SECONDS = 0.8, 2.0
MAX_DOUBLE_SECONDS = 0.5  # s for which one person may be tracked twice, who comes out from behind somebody
MIN_BOX_OVERLAP = 0.6  # mean share of the smaller of their two boxes that is within the larger one
NEAR_COLOUR_FACTOR = 1.5  # on the distances of colours where place and time agree: light and what is seen change
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
    """Whether `b` may be the person of `a`, seen again later or tracked twice where the two meet."""
    last, first, unlike = max(a.seen), min(b.seen), _unlike(a, b)
    earlier, later = [f for f in sorted(a.seen) if f < first], [f for f in sorted(b.seen) if f > last]
    if not earlier or not later or unlike > NEAR_COLOUR_FACTOR:
        return False
    size = _size(a, earlier[-SIZE_DETECTIONS:]), _size(b, later[:SIZE_DETECTIONS])
    if abs(np.log(size[1] / size[0])) > MAX_SIZE_CHANGE:
        return False
    gap = float(clip.times[first] - clip.times[last])
    if first <= last:
        return _overlap(a, b) > MIN_BOX_OVERLAP and -gap <= MAX_DOUBLE_SECONDS
    before, after = a.seen[last], b.seen[first]
    apart = np.linalg.norm(np.median(after.landmarks_px, axis=0) - np.median(before.landmarks_px, axis=0))
    near = gap <= MAX_GAP_SECONDS and apart < MAX_GAP_DISTANCE * max(size)
    return bool(near or (unlike <= 1 and (_edges(before.box, clip) & _edges(after.box, clip)).any()))


def _overlap(a: Tracklet, b: Tracklet) -> float:
    """Mean share of the smaller box within the larger one, over the frames that both tracklets have; 0 without any."""
    shares = [_box_overlap(a.seen[f].box, b.seen[f].box) for f in a.seen.keys() & b.seen.keys()]
    return float(np.mean(shares)) if shares else 0.0


def _box_overlap(a: Float, b: Float) -> float:
    """Share of the smaller of two boxes xyxy that is within the other one."""
    common = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(common / max(min((a[2:] - a[:2]).prod(), (b[2:] - b[:2]).prod()), 1e-6))


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
    twice = {f: _surer(a.seen[f], b.seen[f]) for f in a.seen.keys() & b.seen.keys()}
    return Tracklet(a.id, {**a.seen, **b.seen, **twice}, a.colours, a.body_colours)


def _surer(a: Detection, b: Detection) -> Detection:
    """The surer of two detections of one person in one frame, with the masks of both."""
    return replace(max(a, b, key=lambda d: d.score), mask=_united(a.mask, b.mask))


def _united(a: Mask, b: Mask) -> Mask:
    """All that is on either mask."""
    if not a.patch.size or not b.patch.size:
        return a if a.patch.size else b
    left, top = min(a.x, b.x), min(a.y, b.y)
    right, bottom = max(m.x + m.patch.shape[1] for m in (a, b)), max(m.y + m.patch.shape[0] for m in (a, b))
    patch = np.zeros((bottom - top, right - left), np.uint8)
    for m in (a, b):
        height, width = m.patch.shape
        part = patch[m.y - top : m.y - top + height, m.x - left : m.x - left + width]
        np.maximum(part, m.patch, out=part)
    return Mask(left, top, patch)
