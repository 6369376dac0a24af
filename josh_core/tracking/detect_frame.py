"""Searching whole pictures for people, those behind others included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import cv2
import numpy as np

from josh_core.tracking.detection import Detection, Mask, covered, landmark_distance, overlap, size_of
from josh_core.tracking.landmarker import Landmarker, Square, tiles
from josh_core.tracking.masks import painted
from josh_core.tracking.tracklet import bodies
from josh_core.types import Clip, Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
SQUARE_OVER_SIZE = 1.4  # side of the square in which a person is looked at, over the size of the person
NEW_TRACK_SCORE = 0.65  # score from which a detection may begin a track
HIDDEN_SHARE = 0.5  # share of the limbs behind somebody from which a detection is dropped
TRIED_DETECTIONS = 3  # detections of one body that compete
# What a person adds to the clarity of a picture, as powers: of the size over that of the largest, and of the largest's
# size. Three of four people from nearby are no clearer than all four: one of the three may be two.
SMALLER, NEARER = 0.5, 0.1
SAME_SKELETON = 0.04  # distance of skeletons, in sizes of the person, below which they are the same detection


class Frame:
    """One frame in the forms that finding people needs."""

    def __init__(self, clip: Clip, index: int, label_scale: float) -> None:
        self.index = index
        self.image = clip.frame(index)
        self.label_scale = label_scale  # label px per frame px
        self.width = max(1, round(clip.width * label_scale))  # of the label image
        self.height = max(1, round(clip.height * label_scale))

    @cached_property
    def lab(self) -> UInt8:
        """The frame in Lab at label resolution."""
        small = cv2.resize(self.image, (self.width, self.height), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.uint8)

    def covering(self, masks: Iterable[Mask]) -> UInt8 | None:
        """The masks together as one image at label resolution; None without any."""
        masks = list(masks)
        return painted(masks, self.width, self.height) if masks else None


def search(frame: Frame, networks: Landmarker) -> list[Detection]:
    """Everybody in a picture, one detection for each body."""
    height, width = frame.image.shape[:2]
    squares = tiles(width, height, 0)
    if max(width, height) > 1.2 * min(width, height):
        squares += tiles(width, height, 1.0)
    seen = [d for square in squares for d in networks.search(frame.image, square)]
    found = [d for group in bodies(seen, frame.label_scale) for d in _clearest(frame, networks, group)]
    return [group[0] for group in bodies(found, frame.label_scale)]


def _clearest(frame: Frame, networks: Landmarker, group: Sequence[Detection]) -> list[Detection]:
    """The best of several detections of one body, and those who stand behind it.

    Each is painted over in turn: a skeleton that has mixed up two people hides both, the right one leaves the other
    to be seen.
    """
    tried: list[tuple[float, Detection, list[Detection]]] = []
    for detection in sorted(group, key=lambda d: -d.score):
        alike = [d for _, d, _ in tried if landmark_distance(d.landmarks_px, detection.landmarks_px) < SAME_SKELETON]
        if alike or len(tried) == TRIED_DETECTIONS:
            continue
        square = Square.around(detection.box, SQUARE_OVER_SIZE)
        revealed = networks.search(frame.image, square, frame.covering([detection.mask]))
        apart = [others[0] for others in bodies(revealed, frame.label_scale)]
        behind = [d for d in apart if _is_behind(d, detection, frame.label_scale)]
        tried.append((detection.score + sum(d.score for d in behind), detection, behind))
    _, best, behind = max(tried, key=lambda t: t[0])
    return [best, *behind]


def _is_behind(detection: Detection, front: Detection, label_scale: float) -> bool:
    """Whether a detection is somebody else near the one in front, and not mere remains of that one."""
    near = overlap(detection.box, front.box) > 0.05
    return near and detection.score >= NEW_TRACK_SCORE and covered(detection, front, label_scale) < HIDDEN_SHARE


def clarity(found: Sequence[Detection], label_scale: float) -> float:
    """How well a frame separates people: a sum over sure detections, less where they hide each other.

    Where people cross, or where one body is seen more than once, there are more detections than people: their boxes
    overlap, and limbs of one lie on the mask of the other. Of two who walk side by side the boxes alone overlap.
    """
    sure = [d for d in found if d.score >= NEW_TRACK_SCORE]
    sizes = np.array([size_of(d.landmarks_px) for d in sure])
    largest = max(sizes, default=1.0)
    worth = [d.score * (size / largest) ** SMALLER for d, size in zip(sure, sizes, strict=True)]
    apart = [_apart(d, [o for o in sure if o is not d], label_scale) for d in sure]
    return float(largest**NEARER * sum(a * v for a, v in zip(apart, worth, strict=True)))


def _apart(person: Detection, others: Sequence[Detection], label_scale: float) -> float:
    """Share of the box that is in nobody else's, times the share of the limbs that is on nobody else's mask."""
    within = max((_within(person.box, other.box) for other in others), default=0.0)
    hidden = max((covered(person, other, label_scale) for other in others), default=0.0)
    return (1 - within) * (1 - hidden)


def _within(a: Float, b: Float) -> float:
    """Share of an xyxy box `a` that lies in `b`."""
    span = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return float(np.prod(np.clip(span, 0, None)) / max(np.prod(a[2:] - a[:2]), 1e-9))
