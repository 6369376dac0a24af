"""People looked for in every second frame, and filled in between: mode `fast` has half of the work.

Landmarks between two frames follow the cubic through the two before and the two after; masks are those of both
neighbours, moved along with the landmarks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.tracking.detection import same_sides
from josh_core.tracking.tracker import find_people
from josh_core.types import Clip, Float, Int, People, Track, UInt8

MIN_FPS = 24.0  # frames a second from which every second one is enough; chosen by hand


def find_people_quickly(clip: Clip, settings: Settings, progress: Progress | None = None) -> People:
    """The same as `find_people` from every second frame of a clip of at least MIN_FPS. Raises ClipError like it."""
    if clip.fps < MIN_FPS:
        return find_people(clip, settings, progress)
    kept = np.unique(np.append(np.arange(0, len(clip), 2), len(clip) - 1))
    jpegs = tuple(clip.jpegs[int(t)] for t in kept)
    thinned = replace(clip, jpegs=jpegs, times=clip.times[kept], fps=clip.fps / 2)
    return filled(find_people(thinned, settings, progress), kept, clip)


def filled(people: People, kept: Int, clip: Clip) -> People:
    """People of the frames `kept` [m] of a clip, for all its frames."""
    times, scale = clip.times, people.labels.shape[2] / clip.width
    tracks = tuple(_filled_track(track, kept, times) for track in people.tracks)
    labels = np.zeros((len(times), *people.labels.shape[1:]), np.uint8)
    labels[kept] = people.labels
    for frame in np.setdiff1d(np.arange(len(times)), kept):
        row = int(np.searchsorted(kept, frame))
        share = (times[frame] - times[kept[row - 1]]) / (times[kept[row]] - times[kept[row - 1]])
        labels[frame] = _labels_between(people, row, float(share), scale)
    return People(tracks, labels)


def _filled_track(track: Track, kept: Int, times: Float) -> Track:
    """A track of the frames `kept`, with the frames between those that follow each other there."""
    frames = kept[track.frames]
    between = [k for k in range(len(frames) - 1) if track.frames[k + 1] == track.frames[k] + 1]
    added = [(k, int(f)) for k in between for f in range(frames[k] + 1, frames[k + 1])]
    order = np.argsort([*frames, *(f for _, f in added)], kind="stable")

    def merged(own: np.ndarray, new: list[Any]) -> np.ndarray:
        return np.concatenate([own, np.array(new, own.dtype).reshape(-1, *own.shape[1:])])[order]

    mixes = [_mix(track, frames, times, k, f) for k, f in added]
    return Track(
        id=track.id,
        frames=merged(frames, [f for _, f in added]),
        boxes=merged(track.boxes, [track.boxes[k : k + 2].mean(0) for k, _ in added]),
        landmarks_px=merged(track.landmarks_px, [_mixed(track.landmarks_px, mix) for mix in mixes]),
        visibility=merged(track.visibility, [track.visibility[k : k + 2].min(0) for k, _ in added]),
        landmarks_m=merged(track.landmarks_m, [_mixed(track.landmarks_m, mix) for mix in mixes]),
        detected=merged(track.detected, [np.all(track.detected[k : k + 2]) for k, _ in added]),
    )


Mix = tuple[list[int], Float, list[Int]]  # rows of a track, their weights, and the order of each one's landmarks


def _mix(track: Track, frames: Int, times: Float, k: int, frame: int) -> Mix:
    """How the rows about row k, which lies before `frame`, are mixed: by the cubic through them (Lagrange)."""
    rows = [r for r in range(k - 1, k + 3) if 0 <= r < len(frames) and abs(track.frames[r] - track.frames[k]) <= 2]
    orders = [same_sides(track.landmarks_px[k], track.landmarks_px[r]) for r in rows]
    if any((order != orders[0]).any() for order in orders):  # where sides are exchanged a cubic would swing too far
        rows, orders = [k, k + 1], orders[rows.index(k) : rows.index(k) + 2]
    at = times[frames[rows]]
    weights = [float(np.prod([(times[frame] - b) / (a - b) for b in at if b != a])) for a in at]
    return rows, np.array(weights), orders


def _mixed(values: Float, mix: Mix) -> Float:
    """Landmarks [33,...] from values [n,33,...]."""
    rows, weights, orders = mix
    return np.asarray(np.tensordot(weights, np.stack([values[r][o] for r, o in zip(rows, orders, strict=True)]), 1))


def _labels_between(people: People, row: int, share: float, scale: float) -> UInt8:
    """Label image [h,w] between the rows row - 1 and row of the labels; scale: label px per px of the clip."""
    before, after = people.labels[row - 1], people.labels[row]
    out = np.where((before == 255) | (after == 255), 255, 0).astype(np.uint8)
    for label, track in enumerate(people.tracks, 1):
        at = np.searchsorted(track.frames, [row - 1, row])
        if at[1] >= len(track.frames) or (track.frames[at] != [row - 1, row]).any():
            continue
        way = scale * np.median(track.landmarks_px[at[1]] - track.landmarks_px[at[0]], axis=0)
        for image, step in ((before, share), (after, share - 1)):
            out[_moved(image == label, step * way)] = label
    return out


def _moved(mask: np.ndarray, step: Float) -> np.ndarray:
    """A mask [h,w] moved by [2] px of its own, to the nearest whole one."""
    matrix = np.array([[1.0, 0.0, round(float(step[0]))], [0.0, 1.0, round(float(step[1]))]])
    return np.asarray(cv2.warpAffine(mask.astype(np.uint8), matrix, mask.shape[::-1], flags=cv2.INTER_NEAREST) > 0)
