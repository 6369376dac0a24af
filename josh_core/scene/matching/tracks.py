"""Background points followed from frame to frame, outside every person: what the camera is solved from.

New points are XFeat keypoints found every few frames; sparse optical flow (pyramidal Lucas-Kanade) carries them on,
which is cheap, accurate to a fraction of a pixel, and gives points in every frame of the clip, not only in keyframes.
"""

from __future__ import annotations

from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Semaphore
from types import TracebackType
from typing import Annotated

import cv2
import numpy as np
import torch

from josh_core.progress import Progress
from josh_core.scene.matching.features import FeatureMap
from josh_core.shapes import Shaped
from josh_core.types import Bool, Clip, Float, Int, People, UInt8

# Chosen by hand, except where a measurement or a source is given.
WORK_SIDE = 960  # px, longest side of the images that are tracked
MAX_TRACKED = 1200  # live points in a frame
KEYPOINT_SPACING = 0.011  # of the longest side: a new keypoint keeps this distance from live ones
REFERENCE_SIDE = 1280  # px: thresholds are for an image whose longest side is this
TRACK_SIGMA = 0.5  # px, standard deviation of a good track
MASK_GROWTH = 0.012  # of the longest side: how far person masks are grown
MAPS_AHEAD = 48  # feature maps that wait to be used: 2 MB each
MAX_ROUND_TRIP = 0.6  # px of the working image: a track that does not return to its start is dropped


@dataclass(frozen=True)
class Tracks(Shaped):
    """Observations of followed points, sorted by frame. Observation rows of frame t are starts[t]:starts[t+1]."""

    starts: Int  # [T+1]
    ids: Annotated[Int, "N"]  # track of each observation
    px: Annotated[Float, "N 2"]  # px of the decoded frame
    count: int  # number of tracks
    size: tuple[int, int]  # width, height of the decoded frame, px
    frames: Annotated[Int, "F"]  # frames where descriptors were taken, ascending
    descriptors: tuple[torch.Tensor, ...]  # F x [n,64], rows as the observations of that frame

    @property
    def centre(self) -> Float:
        """[2] px, where the principal point is taken to be."""
        return np.array(self.size) / 2

    @property
    def unit(self) -> float:
        """Pixels of the frame per pixel of an image 1280 px long: thresholds in px are stated for the latter."""
        return max(self.size) / REFERENCE_SIDE

    @property
    def noise(self) -> float:
        """px, standard deviation of a good track."""
        return TRACK_SIGMA * self.unit

    def frame(self, t: int) -> tuple[Int, Float]:
        """Track ids [n] ascending and pixels [n,2] of frame t."""
        rows = slice(int(self.starts[t]), int(self.starts[t + 1]))
        return self.ids[rows], self.px[rows]

    def common(self, s: int, t: int) -> tuple[Int, Float, Float]:
        """Track ids [n] that are seen in both frames s and t, and their pixels [n,2] in s and in t."""
        (ids_s, px_s), (ids_t, px_t) = self.frame(s), self.frame(t)
        ids, a, b = np.intersect1d(ids_s, ids_t, assume_unique=True, return_indices=True)
        return ids, px_s[a], px_t[b]

    def of_frames(self) -> Int:
        """Frame [N] of every observation."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


@dataclass(frozen=True)
class Sightings(Shaped):
    """Which camera sees which point where."""

    camera: Annotated[Int, "O"]
    point: Annotated[Int, "O"]
    xy: Annotated[Float, "O 2"]  # px relative to the principal point

    def where(self, keep: Bool) -> Sightings:
        """Only the rows [O] that are True."""
        return Sightings(self.camera[keep], self.point[keep], self.xy[keep])


def sightings_of(tracks: Tracks, frames: Int, least: int) -> tuple[Sightings, Int]:
    """Sightings in `frames` of the tracks seen in at least `least` of them, and the ids [P] of their points."""
    per_frame = [tracks.frame(int(t)) for t in frames]
    ids = np.concatenate([i for i, _ in per_frame])
    xy = np.concatenate([px for _, px in per_frame]) - tracks.centre
    camera = np.repeat(np.arange(len(frames)), [len(i) for i, _ in per_frame])
    keep = np.bincount(ids, minlength=tracks.count)[ids] >= least
    kept, point = np.unique(ids[keep], return_inverse=True)
    return Sightings(camera[keep], point, xy[keep]), kept


def background(people: People, frame: int, width: int, height: int) -> Bool:
    """True [height,width] where no person is, with a margin around each."""
    mask = people.mask(frame, width, height).astype(np.uint8)
    radius = max(1, round(MASK_GROWTH * max(width, height)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask, kernel) == 0, np.bool_)


class FrameFeatures:
    """XFeat's output for frames a sixth of a second apart, in which new points are searched.

    It does not depend on where people are, so a background thread computes it while people are being found.
    Use it in a `with` statement.
    """

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self.frames: list[int] = sorted({*range(0, len(clip), max(1, round(clip.fps / 6))), len(clip) - 1})
        self._room, self._ended = Semaphore(MAPS_AHEAD), False
        self._pool = ThreadPoolExecutor(1)
        self._maps = {t: self._pool.submit(self._make, t) for t in self.frames}

    def __enter__(self) -> FrameFeatures:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended = True
        self._room.release()
        self._pool.shutdown(cancel_futures=True)

    def take(self, frame: int) -> FeatureMap:
        """The output of one of `frames`; each can be taken once, in order. Raises WeightsError without weights."""
        features = self._maps.pop(frame).result()
        self._room.release()
        return features

    def _make(self, frame: int) -> FeatureMap:
        self._room.acquire()
        if self._ended:
            raise CancelledError
        return FeatureMap(self._clip.frame(frame, working_side(self._clip)))


def working_side(clip: Clip) -> int:
    """Longest side of the images that are tracked, px."""
    return min(WORK_SIDE, max(clip.width, clip.height))


def follow(clip: Clip, people: People, progress: Progress, features: FrameFeatures | None = None) -> Tracks:
    """Follow background points through all frames of the clip; features: of this clip, if they were begun before."""
    if features is None:
        with FrameFeatures(clip) as begun:
            return follow(clip, people, progress, begun)
    side = working_side(clip)
    scale = max(clip.width, clip.height) / side  # px of the frame per px of the working image
    live, places = _Live(), set(features.frames)
    last: UInt8 | None = None
    rows: list[tuple[Int, Float]] = []
    descriptors: list[torch.Tensor] = []
    for t in range(len(clip)):
        progress.update(t / len(clip))
        gray = np.asarray(cv2.cvtColor(clip.frame(t, side), cv2.COLOR_RGB2GRAY), np.uint8)
        free = background(people, t, gray.shape[1], gray.shape[0])
        if last is not None:
            live.advance(last, gray)
        live.keep(_inside(live.px, free))
        if t in places:
            of_frame = features.take(t)
            live.add(of_frame.keypoints(_away_from(live.px, free), MAX_TRACKED - len(live.px)))
            descriptors.append(of_frame.describe(live.px))
        rows.append((live.ids.copy(), live.px * scale))
        last = gray
    return Tracks(
        starts=np.concatenate([[0], np.cumsum([len(ids) for ids, _ in rows])]),
        ids=np.concatenate([ids for ids, _ in rows]),
        px=np.concatenate([px for _, px in rows]),
        count=live.count,
        size=(clip.width, clip.height),
        frames=np.array(features.frames),
        descriptors=tuple(descriptors),
    )


class _Live:
    """The points that are being followed, in px of the working image, ids ascending."""

    def __init__(self) -> None:
        self.px: Float = np.zeros((0, 2))
        self.ids: Int = np.zeros(0, np.int64)
        self.count = 0

    def add(self, px: Float) -> None:
        self.px = np.concatenate([self.px, px])
        self.ids = np.concatenate([self.ids, np.arange(self.count, self.count + len(px))])
        self.count += len(px)

    def keep(self, good: Bool) -> None:
        self.px, self.ids = self.px[good], self.ids[good]

    def advance(self, last: UInt8, gray: UInt8) -> None:
        """Carry the points from image `last` to image `gray`; those that do not come back are dropped."""
        if len(self.px) == 0:
            return
        start = (self.px - 0.5).astype(np.float32)  # OpenCV counts pixel centres as integers
        there, ok_there = _flow(last, gray, start)
        back, ok_back = _flow(gray, last, there)
        good = ok_there & ok_back & (np.linalg.norm(back - start, axis=-1) < MAX_ROUND_TRIP)
        self.px = there.astype(np.float64) + 0.5
        self.keep(good)


def _flow(first: UInt8, second: UInt8, px: Float) -> tuple[Float, Bool]:
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.01)
    out, status, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        px[:, None],
        None,
        winSize=(19, 19),
        maxLevel=4,
        criteria=criteria,
    )
    return np.asarray(out[:, 0]), np.asarray(status[:, 0] > 0, np.bool_)


def _inside(px: Float, free: Bool) -> Bool:
    """True [n] where points px [n,2] lie in the image, off its very edge, and on `free` [h,w]."""
    at = np.floor(px).astype(int)
    height, width = free.shape
    inside = (at[:, 0] >= 3) & (at[:, 0] < width - 3) & (at[:, 1] >= 3) & (at[:, 1] < height - 3)
    inside[inside] = free[at[inside, 1], at[inside, 0]]
    return inside


def _away_from(px: Float, free: Bool) -> Bool:
    """`free` [h,w] without a disc around each live point, so that new points fill the gaps."""
    taken = np.zeros(free.shape, np.uint8)
    at = np.floor(px).astype(int)
    taken[at[:, 1], at[:, 0]] = 1
    radius = max(2, round(KEYPOINT_SPACING * max(free.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return free & (cv2.dilate(taken, disc) == 0)
