"""Tracks that optical flow lost, found again: LighterGlue between frames that share too few, checked by geometry.

Flow follows nearly all points at no cost; the network is used only where flow broke (a jump, a fast turn, a low frame
rate) and where the camera may have returned to a place seen before.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from josh_core.progress import Progress
from josh_core.scene.matching.features import match
from josh_core.scene.matching.tracks import Tracks
from josh_core.threads import in_threads
from josh_core.types import Bool, Float, Int

# Chosen by hand, except where a measurement or a source is given.
WEAK_LINK = 60  # shared tracks below which two feature frames in a row are matched
LOOP_GAP, LOOP_MAX_SHARED = 8, 20  # feature frames apart, and shared tracks below which a loop is considered
MAX_LOOPS, MAX_WEAK_LINKS = 8, 40  # pairs of each kind: about 0.2 s each
LOOP_DESCRIPTORS = 200  # descriptors of a frame that are compared to detect a loop
MIN_COSINE, MIN_MUTUAL = 0.85, 40  # cosine, and how many descriptors must find each other for that
MIN_INLIERS = 25  # matches consistent with one fundamental matrix


def link(tracks: Tracks, progress: Progress) -> Tracks:
    """The same observations, with tracks of one point under one id as far as matching can tell."""
    pairs = [*_weak_pairs(tracks), *_loops(tracks)]
    same: list[tuple[int, int]] = []
    for done, found in enumerate(in_threads(lambda pair: _confirmed(tracks, *pair), pairs)):
        progress.update(done / len(pairs))
        same += found
    return _renamed(tracks, same) if same else tracks


def _weak_pairs(tracks: Tracks) -> list[tuple[int, int]]:
    """Feature frames in a row that share few tracks."""
    indices = range(len(tracks.frames) - 1)
    weak = [(k, k + 1) for k in indices if _shared(tracks, k, k + 1) < WEAK_LINK]
    return weak[:MAX_WEAK_LINKS]


def _shared(tracks: Tracks, a: int, b: int) -> int:
    return len(tracks.common(int(tracks.frames[a]), int(tracks.frames[b]))[0])


def _loops(tracks: Tracks) -> list[tuple[int, int]]:
    """Feature frames far apart that share few tracks but have similar descriptors, the most similar first."""
    count = len(tracks.frames)
    step = max(1, count // 30)  # a return lasts longer than one frame
    found = []
    for a in range(0, count, step):
        for b in range(a + LOOP_GAP, count, step):
            if _shared(tracks, a, b) < LOOP_MAX_SHARED:
                mutual = _mutual_matches(tracks, a, b)
                if mutual >= MIN_MUTUAL:
                    found.append((-mutual, a, b))
    return [(a, b) for _, a, b in sorted(found)[:MAX_LOOPS]]


def _mutual_matches(tracks: Tracks, a: int, b: int) -> int:
    """How many descriptors of two feature frames are mutual nearest neighbours with a cosine over MIN_COSINE."""
    first, second = tracks.descriptors[a][:LOOP_DESCRIPTORS], tracks.descriptors[b][:LOOP_DESCRIPTORS]
    if len(first) == 0 or len(second) == 0:
        return 0
    cosine = first @ second.T
    there, back = cosine.argmax(1).numpy(), cosine.argmax(0).numpy()
    mutual = back[there] == np.arange(len(there))
    return int((mutual & (cosine.max(1).values.numpy() > MIN_COSINE)).sum())


def _confirmed(tracks: Tracks, a: int, b: int) -> list[tuple[int, int]]:
    """Pairs of track ids that show one point: matched by the network and consistent with one fundamental matrix."""
    (ids_a, px_a), (ids_b, px_b) = (tracks.frame(int(tracks.frames[k])) for k in (a, b))
    rows, _ = match(px_a, tracks.descriptors[a], px_b, tracks.descriptors[b], tracks.size)
    if len(rows) < MIN_INLIERS:
        return []
    good = _epipolar_inliers(px_a[rows[:, 0]], px_b[rows[:, 1]], 3 * tracks.noise)
    if good.sum() < MIN_INLIERS:
        return []
    return list(zip(ids_a[rows[good, 0]].tolist(), ids_b[rows[good, 1]].tolist(), strict=True))


def _epipolar_inliers(first: Float, second: Float, tolerance: float) -> Bool:
    """True [n] where correspondences [n,2] agree with the fundamental matrix that most of them agree with."""
    _, mask = cv2.findFundamentalMat(first, second, cv2.USAC_MAGSAC, tolerance, 0.999, 2000)
    return np.zeros(len(first), np.bool_) if mask is None else np.asarray(mask[:, 0] > 0, np.bool_)


def _renamed(tracks: Tracks, same: list[tuple[int, int]]) -> Tracks:
    """Tracks with the ids of each pair in `same` joined, unless both are seen in one frame: then they are two."""
    frames = tracks.of_frames()
    order = np.argsort(tracks.ids, kind="stable")
    bounds = np.searchsorted(tracks.ids[order], np.arange(tracks.count + 1))
    seen = {i: set(frames[order[bounds[i] : bounds[i + 1]]].tolist()) for pair in same for i in pair}
    name = np.arange(tracks.count)
    for a, b in same:
        one, other = _root(name, a), _root(name, b)
        if one != other and not seen[one] & seen[other]:
            name[max(one, other)] = min(one, other)
            seen[min(one, other)] = seen[one] | seen[other]
    ids = np.array([_root(name, i) for i in range(tracks.count)])[tracks.ids]
    return _sorted(tracks, ids)


def _root(name: Int, track: int) -> int:
    while name[track] != track:
        track = int(name[track])
    return track


def _sorted(tracks: Tracks, ids: Int) -> Tracks:
    """Tracks with new ids, ascending in every frame, descriptors alike."""
    order = np.lexsort((ids, tracks.of_frames()))
    descriptors = []
    for frame, rows in zip(tracks.frames.tolist(), tracks.descriptors, strict=True):
        start, end = int(tracks.starts[frame]), int(tracks.starts[frame + 1])
        descriptors.append(rows[order[start:end] - start])
    return replace(tracks, ids=ids[order], px=tracks.px[order], descriptors=tuple(descriptors))
