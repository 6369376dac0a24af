"""Background points followed from frame to frame: the tracks that the camera is solved from.

New points are XFeat keypoints found every few frames; sparse optical flow (pyramidal Lucas-Kanade) carries them on,
which is cheap, accurate to a fraction of a pixel, and gives points in every frame of the clip, not only in keyframes.
"""

from __future__ import annotations

from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from dataclasses import replace
from types import TracebackType

import cv2
import numpy as np
import torch

from josh_core.progress import Progress
from josh_core.scene.matching.features import FeatureMap
from josh_core.scene.matching.tracks import Tracks, background
from josh_core.types import Bool, Clip, Float, Int, People, UInt8

# Chosen by hand, except where a measurement or a source is given.
WORK_SIDE = 960  # px, longest side of the images that are tracked
MAX_TRACKED = 1600  # live points in a frame, those on people included, which are dropped later
KEYPOINT_SPACING = 0.011  # of the longest side: a new keypoint keeps this distance from live ones
MAX_ROUND_TRIP = 0.6  # px of the working image: a track that does not return to its start is dropped
REPORT_SECONDS = 0.1  # between two looks at how far the points have been followed


class PointFollower:
    """Follows points through a clip in a background thread, before anybody knows where people are.

    Points on people are told apart only when they are asked for, so both are found at the same time. Use it in a
    `with` statement.
    """

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self._side = min(WORK_SIDE, max(clip.width, clip.height))
        # Frames a sixth of a second apart, in which new points are searched.
        self._frames: list[int] = sorted({*range(0, len(clip), max(1, round(clip.fps / 6))), len(clip) - 1})
        self._ended, self._done = False, 0
        self._pool = ThreadPoolExecutor(2)  # points, and the keypoints of the next frame that gets new ones
        self._all = self._pool.submit(self._follow_all)

    def __enter__(self) -> PointFollower:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended = True
        self._pool.shutdown(cancel_futures=True)

    def background_tracks(self, people: People, progress: Progress) -> Tracks:
        """The tracks up to where they first lie on somebody. Raises WeightsError without XFeat's weights."""
        while not self._all.done():
            progress.update(self._done / len(self._clip))
            wait([self._all], timeout=REPORT_SECONDS)
        progress.update(1.0)
        return outside_people(self._all.result(), people, self._side)

    def _follow_all(self) -> Tracks:
        clip, side = self._clip, self._side
        scale = max(clip.width, clip.height) / side  # px of the frame per px of the working image
        live, last = _Live(), np.zeros((0, 0), np.uint8)
        places = iter(self._frames)
        ahead = self._pool.submit(self._features, next(places))
        rows: list[tuple[Int, Float]] = []
        descriptors: list[torch.Tensor] = []
        chosen = set(self._frames)
        for t in range(len(clip)):
            if self._ended:
                raise CancelledError
            gray = np.asarray(cv2.cvtColor(clip.frame(t, side), cv2.COLOR_RGB2GRAY), np.uint8)
            live.advance(last, gray)
            free = _filmed(clip, gray.shape)
            live.keep(_inside(live.px, free))
            if t in chosen:
                features = ahead.result()
                if t < self._frames[-1]:
                    ahead = self._pool.submit(self._features, next(places))
                live.add(features.keypoints(_away_from(live.px, free), MAX_TRACKED - len(live.px)))
                descriptors.append(features.describe(live.px))
            rows.append((live.ids.copy(), live.px * scale))
            last, self._done = gray, t
        return Tracks(
            starts=np.concatenate([[0], np.cumsum([len(ids) for ids, _ in rows])]),
            ids=np.concatenate([ids for ids, _ in rows]),
            px=np.concatenate([px for _, px in rows]),
            count=live.count,
            size=(clip.width, clip.height),
            frames=np.array(self._frames),
            descriptors=tuple(descriptors),
        )

    def _features(self, frame: int) -> FeatureMap:
        return FeatureMap(self._clip.frame(frame, self._side))


def follow(clip: Clip, people: People, progress: Progress) -> Tracks:
    """Background points followed through all frames of the clip."""
    with PointFollower(clip) as points:
        return points.background_tracks(people, progress)


def outside_people(tracks: Tracks, people: People, side: int) -> Tracks:
    """Every track up to the frame before the first in which it lies on somebody; side: px of the images followed in."""
    scale = max(tracks.size) / side
    width, height = (max(1, round(length / scale)) for length in tracks.size)
    frames = tracks.of_frames()
    free = np.ones(len(tracks.ids), np.bool_)
    for t in range(len(tracks.starts) - 1):
        rows = slice(int(tracks.starts[t]), int(tracks.starts[t + 1]))
        free[rows] = _inside(tracks.px[rows] / scale, background(people, t, width, height))
    end = np.full(tracks.count, len(tracks.starts))
    np.minimum.at(end, tracks.ids[~free], frames[~free])
    keep = frames < end[tracks.ids]
    starts = np.concatenate([[0], np.cumsum(keep)])[tracks.starts]
    descriptors = [
        d[torch.from_numpy(keep[tracks.starts[t] : tracks.starts[t + 1]])]
        for t, d in zip(tracks.frames.tolist(), tracks.descriptors, strict=True)
    ]
    return replace(tracks, starts=starts, ids=tracks.ids[keep], px=tracks.px[keep], descriptors=tuple(descriptors))


def _filmed(clip: Clip, shape: tuple[int, ...]) -> Bool:
    """True [h,w] where nothing is printed over the picture."""
    free = np.ones(shape[:2], np.bool_)
    if clip.overlay is not None:
        printed = cv2.resize(clip.overlay.astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
        free &= np.asarray(printed == 0)
    if clip.inset is not None:
        left, top, right, bottom = (round(at * shape[1] / clip.width) for at in clip.inset)
        free[top:bottom, left:right] = False
    return free


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
