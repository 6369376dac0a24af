"""Leaves out the people of a smaller film within the picture: a small or round one in a corner, a screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from josh_core.clip.not_filmed.rings import LOOKED_FRAMES, LOOKED_SIDE, Ring, find_ring
from josh_core.errors import ClipError
from josh_core.types import Bool, Clip, People, Track

# Chosen by hand, except where a measurement or a source is given.
AROUND_SHARE = 0.15  # of the sides of a person's box: how far it is looked around them
OVERLAY_SHARE = 0.5  # share of what is around somebody that stays in the image, from which it is another film
SAMPLED_FRAMES = 12  # frames of a track
MAX_BEYOND = 0.15  # share of somebody's place that may lie beyond a ring around them
RING_REACH = 1.3  # of a ring's radius, up to which a film with a soft edge reaches
IN_A_RING = "A smaller, round picture lies in the picture (a film in a corner?)"


def without_inset_people(people: People, clip: Clip) -> tuple[People, tuple[str, ...]]:
    """People but for those of a smaller film and those whom something surrounds that stays in the image; notes on it.

    The label images mark both, so that nothing is taken for background there. Raises ClipError when a smaller film
    shows everybody.
    """
    people = outside_inset(people, clip)
    people, notes = _outside_rings(people, clip)
    if clip.overlay is None:
        return people, notes
    kept = [k for k in range(len(people.tracks)) if _around(people, k, clip, clip.overlay) < OVERLAY_SHARE]
    gone = len(people.tracks) - len(kept)
    if kept and gone:  # where it is everybody, the film is one of somebody in front of a screen
        people = only(people, kept)
        who = "One person is" if gone == 1 else f"{gone} people are"
        around = "what is around them stays in the image while the rest moves (a film in a corner?)"
        notes = (*notes, f"{who} left out: {around}.")
    return without_overlay(people, clip.overlay), notes


def outside_inset(people: People, clip: Clip) -> People:
    """People but for those whom a smaller film in the picture shows; their places and all of it are marked.

    Raises ClipError when nobody is left.
    """
    if clip.inset is None:
        return people
    left, top, right, bottom = clip.inset
    middles = [(track.boxes[:, :2] + track.boxes[:, 2:]) / 2 for track in people.tracks]
    inside = [float(((m >= [left, top]) & (m < [right, bottom])).all(1).mean()) > 0.5 for m in middles]
    kept = [k for k, within in enumerate(inside) if not within]
    if not kept:
        raise ClipError(" ".join(["Nobody was found outside a smaller picture in this clip.", *clip.notes]))
    mask = np.zeros((clip.height, clip.width), np.bool_)
    mask[top:bottom, left:right] = True
    return without_overlay(only(people, kept), mask)


def _outside_rings(people: People, clip: Clip) -> tuple[People, tuple[str, ...]]:
    """People but for those whom a round film in the picture shows, where others are left; notes.

    Where it is everybody they are kept: they may be seen through a round window.
    """
    pictures = [clip.frame(int(t), LOOKED_SIDE) for t in np.linspace(0, len(clip) - 1, LOOKED_FRAMES)]
    scale = max(pictures[0].shape[:2]) / max(clip.width, clip.height)
    rings = {}
    for index, track in enumerate(people.tracks):
        ring = find_ring(pictures, np.median(track.boxes, axis=0) * scale)
        if ring is not None and _beyond(people, index, ring) < MAX_BEYOND:
            rings[index] = ring
    kept = [k for k in range(len(people.tracks)) if k not in rings]
    if not rings:
        return people, ()
    if not kept:
        return people, (f"{IN_A_RING} with everybody in it: place and scale may not be theirs. Crop the clip to it.",)
    mask = np.zeros((clip.height, clip.width), np.uint8)
    for ring in rings.values():
        x, y, radius = (round(v * max(mask.shape)) for v in (ring.x, ring.y, RING_REACH * ring.radius))
        cv2.circle(mask, (x, y), radius, 1, -1)
    who = "one person is" if len(rings) == 1 else f"{len(rings)} people are"
    note = f"{IN_A_RING}: {who} in it and left out. To have it instead, crop the clip to it."
    return without_overlay(only(people, kept), np.asarray(mask > 0, np.bool_)), (note,)


def _beyond(people: People, index: int, ring: Ring) -> float:
    """Share of somebody's place, over their frames, that lies beyond a ring and its soft edge."""
    labels = people.labels[people.tracks[index].frames]
    _, y, x = np.nonzero(labels == index + 1)
    pixel = 1 / max(labels.shape[1:])
    away = np.hypot((x + 0.5) * pixel - ring.x, (y + 0.5) * pixel - ring.y)
    return float((away > RING_REACH * ring.radius).mean()) if len(away) else 1.0


def only(people: People, kept: Sequence[int]) -> People:
    """The tracks of these indices, numbered anew; the places of all others are marked as somebody's."""
    values = np.full(256, 255, np.uint8)
    values[0] = 0
    values[[k + 1 for k in kept]] = np.arange(1, len(kept) + 1)
    return People(tuple(replace(people.tracks[k], id=i) for i, k in enumerate(kept)), values[people.labels])


def without_overlay(people: People, overlay: Bool) -> People:
    """People whose label images mark an overlay [h,w] too, so that nothing is taken for background there."""
    mask = _sized(overlay, people)
    return replace(people, labels=np.where((people.labels == 0) & mask, 255, people.labels).astype(np.uint8))


def _around(people: People, index: int, clip: Clip, overlay: Bool) -> float:
    """Median share of the overlay [h,w] in the background around a person, over some frames."""
    track, mask = people.tracks[index], _sized(overlay, people)
    few = np.unique(np.linspace(0, len(track.frames) - 1, SAMPLED_FRAMES).astype(int))
    shares = [_share(people.labels[track.frames[i]] == 0, mask, _grown(track, int(i), clip, mask.shape)) for i in few]
    return float(np.median(shares))


def _share(background: Bool, mask: Bool, box: tuple[slice, slice]) -> float:
    near = background[box]
    return float(mask[box][near].mean()) if near.any() else 0.0


def _grown(track: Track, at: int, clip: Clip, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of the label image [h,w] in and around a person's box."""
    scale = np.array([shape[1] / clip.width, shape[0] / clip.height] * 2)
    left, top, right, bottom = track.boxes[at] * scale
    x, y = AROUND_SHARE * (right - left), AROUND_SHARE * (bottom - top)
    ends = np.array([left - x, right + x, top - y, bottom + y]).round().astype(int).clip(0)
    return slice(ends[2], ends[3]), slice(ends[0], ends[1])


def _sized(overlay: Bool, people: People) -> Bool:
    height, width = people.labels.shape[1:]
    return np.asarray(cv2.resize(overlay.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0)
