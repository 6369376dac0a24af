"""Tracks of background points, outside every person: what the camera is solved from. follow.py makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import torch

from josh_core.shapes import Shaped
from josh_core.types import Bool, Float, Int, People

# Chosen by hand, except where a measurement or a source is given.
REFERENCE_SIDE = 1280  # px: thresholds are for an image whose longest side is this
TRACK_SIGMA = 0.5  # px, standard deviation of a good track
MASK_GROWTH = 0.012  # of the longest side: how far person masks are grown


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
