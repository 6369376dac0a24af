"""From tracklets to finished tracks: false detections and shadows left out, gaps bridged, hidden landmarks marked."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from josh_core.body.names import FOOT_LANDMARKS, HIP_LANDMARKS, LIMB_LANDMARKS, MIRRORED_LANDMARKS, SHOULDER_LANDMARKS
from josh_core.settings import Settings
from josh_core.tracking.detection import (
    Mask,
    same_body,
    size_of,
)
from josh_core.tracking.masks import label_images
from josh_core.tracking.rejoin import rejoined
from josh_core.tracking.tracklet import BRIDGE_SECONDS, MIN_LIFETIME, MIN_SEEN_SHARE, Tracklet, lifetime
from josh_core.types import Clip, Float, Int, People, Track, UInt8

# Chosen by hand, except where a measurement or a source is given.
GHOST_SCORE = 0.6  # a tracklet of a lower mean score is no person,
GHOST_SHAKE = 0.035  # nor one whose torso shakes by more than this, in sizes of the person, and more than it moves;
# Sizes/s^2 of a person: who jumps or lands is as fast, which shows where frames are far apart
FALL_ACCELERATION = 9.81 / 1.7
SURE_SCORE, SURE_SECONDS, SURE_SHARE = 0.8, 1.0, 0.9  # who is seen so surely, so long and so steadily is no ghost
SHADOW_TILT = 45.0  # degrees from which a shadow lies otherwise than its owner
SHADOW_GAP = 0.2  # distance of a shadow from its owner's feet, in sizes of the owner
HIDDEN_VISIBILITY = 0.3  # factor for a landmark that lies on somebody else
BRIDGED_VISIBILITY = 0.5  # factor for landmarks that were interpolated


def finish(tracklets: Sequence[Tracklet], clip: Clip, settings: Settings, label_scale: float) -> People:
    """Tracks and label images of the tracklets that are people, best first, at most as many as asked for."""
    real = rejoined([t.without_loose_ends(clip.times) for t in tracklets if _is_person(t, clip.times)], clip)
    real = sorted(real, key=_worth, reverse=True)
    real = _without_doubles(real, label_scale)
    shadows = [t for t in real if _is_shadow(t, real)]
    real = [t for t in real if t not in shadows]
    most = settings.people or settings.max_people
    chosen, unnamed = real[:most], [*real[most:], *shadows]
    labels = label_images(
        [_masks(t, clip.times, label_scale) for t in chosen],
        [_masks(t, clip.times, label_scale) for t in unnamed],
        (len(clip), max(1, round(clip.height * label_scale)), max(1, round(clip.width * label_scale))),
    )
    return People(tuple(_track(t, i, clip, labels) for i, t in enumerate(chosen)), labels)


def _is_person(tracklet: Tracklet, times: Float) -> bool:
    """Whether a tracklet lasts, is sure, is there most of the time and moves like a body."""
    frames, scores = sorted(tracklet.seen), [d.score for d in tracklet.seen.values()]
    lasting = len(frames) >= 3 and lifetime(frames, times) >= min(MIN_LIFETIME, 0.5 * float(times[-1]))
    share = len(frames) / max(frames[-1] - frames[0], 1)
    if not lasting or share <= MIN_SEEN_SHARE or float(np.mean(scores)) < GHOST_SCORE:
        return False
    # A camera that jolts shakes everybody in the image: it must not make ghosts of those who are seen all the time.
    sure = float(np.mean(scores)) >= SURE_SCORE and share >= SURE_SHARE
    return (sure and lifetime(frames, times) >= SURE_SECONDS) or not _shakes(tracklet, times)


def _shakes(tracklet: Tracklet, times: Float) -> bool:
    """Whether the torso jumps to and fro from frame to frame, as chance finds do."""
    triples = [f for f in tracklet.seen if f - 1 in tracklet.seen and f + 1 in tracklet.seen]
    if len(triples) < 3:
        return False
    torso = list(SHOULDER_LANDMARKS + HIP_LANDMARKS)
    size = np.array([size_of(tracklet.seen[f].landmarks_px) for f in triples])[:, None, None]
    before, now, after = (
        np.stack([tracklet.seen[f + s].landmarks_px[torso] for f in triples]) / size for s in (-1, 0, 1)
    )
    shake = np.median(np.linalg.norm(before - 2 * now + after, axis=-1).mean(1))
    move = np.median(np.linalg.norm(after - now, axis=-1).mean(1))
    step = float(np.median(np.diff(times)))
    return bool(shake > GHOST_SHAKE + FALL_ACCELERATION * step**2 and shake > move)


def _without_doubles(tracklets: Sequence[Tracklet], label_scale: float) -> list[Tracklet]:
    """Leaves out tracklets that mostly lie on the body of a better one."""
    kept: list[Tracklet] = []
    for tracklet in tracklets:
        doubled = [
            any(f in other.seen and same_body(d, other.seen[f], label_scale) for other in kept)
            for f, d in tracklet.seen.items()
        ]
        if np.mean(doubled) < 0.5:
            kept.append(tracklet)
    return kept


def _is_shadow(tracklet: Tracklet, others: Sequence[Tracklet]) -> bool:
    """Whether a tracklet mostly looks like a shadow that lies at the feet of somebody who stands otherwise."""
    cast = [
        d.shade
        and any(f in o.seen and _cast_by(d.landmarks_px, o.seen[f].landmarks_px) for o in others if o != tracklet)
        for f, d in tracklet.seen.items()
    ]
    return bool(np.mean(cast) > 0.5)


def _cast_by(shadow: Float, owner: Float) -> bool:
    """Whether a skeleton [33,2] touches the feet of another and leans otherwise."""
    axes = [p[list(HIP_LANDMARKS)].mean(0) - p[list(SHOULDER_LANDMARKS)].mean(0) for p in (shadow, owner)]
    cosine = axes[0] @ axes[1] / max(np.linalg.norm(axes[0]) * np.linalg.norm(axes[1]), 1e-6)
    gap = np.linalg.norm(shadow[:, None] - owner[list(FOOT_LANDMARKS)], axis=-1).min()
    return bool(cosine < np.cos(np.radians(SHADOW_TILT)) and gap < SHADOW_GAP * size_of(owner))


def _worth(tracklet: Tracklet) -> float:
    """How much there is to see of a person: how long, how surely and how large."""
    return float(sum(d.score * np.sqrt(size_of(d.landmarks_px)) for d in tracklet.seen.values()))


def _masks(tracklet: Tracklet, times: Float, label_scale: float) -> dict[int, Mask]:
    """Mask per frame; in a bridged gap the nearer detection's, moved along."""
    seen = sorted(tracklet.seen)
    out = {f: tracklet.seen[f].mask for f in seen}
    for a, b in _gaps(seen, times):
        for f in range(a + 1, b):
            near, far = (a, b) if f - a <= b - f else (b, a)
            way = np.median(tracklet.seen[far].landmarks_px - tracklet.seen[near].landmarks_px, axis=0)
            share = (times[f] - times[near]) / (times[far] - times[near])
            out[f] = tracklet.seen[near].mask.moved(way * share * label_scale)
    return out


def _gaps(seen: Sequence[int], times: Float) -> list[tuple[int, int]]:
    """Neighbouring seen frames with a gap between them that is short enough to be bridged."""
    pairs = itertools.pairwise(seen)
    return [(a, b) for a, b in pairs if b > a + 1 and times[b] - times[a] <= BRIDGE_SECONDS + 1e-6]


def _track(tracklet: Tracklet, index: int, clip: Clip, labels: UInt8) -> Track:
    """The finished track of a tracklet; `index` is its id and, plus one, its label."""
    seen = sorted(tracklet.seen)
    bridged = [f for a, b in _gaps(seen, clip.times) for f in range(a + 1, b)]
    frames = np.array(sorted({*seen, *bridged}), np.int64)
    rows = [_between(tracklet, int(f), clip.times) for f in frames]
    px, visibility, metres = (np.stack(column) for column in zip(*rows, strict=True))
    detected = np.isin(frames, seen)
    visibility = visibility * np.where(detected, 1.0, BRIDGED_VISIBILITY)[:, None]
    label_scale = labels.shape[2] / clip.width
    hidden = np.stack([_on_others(p, labels[f], index + 1, label_scale) for p, f in zip(px, frames, strict=True)])
    return Track(
        id=index,
        frames=frames,
        boxes=np.stack([_box(p, labels[f] == index + 1, clip) for p, f in zip(px, frames, strict=True)]),
        landmarks_px=px,
        visibility=visibility * np.where(hidden, HIDDEN_VISIBILITY, 1.0),
        landmarks_m=metres,
        detected=detected,
    )


def _between(tracklet: Tracklet, frame: int, times: Float) -> tuple[Float, Float, Float]:
    """Landmarks in px, visibility and landmarks in metres at a frame that was seen or lies in a gap."""
    if frame in tracklet.seen:
        d = tracklet.seen[frame]
        return d.landmarks_px, d.visibility, d.landmarks_m
    before, later = max(f for f in tracklet.seen if f < frame), min(f for f in tracklet.seen if f > frame)
    a, b = tracklet.seen[before], tracklet.seen[later]
    share = (times[frame] - times[before]) / (times[later] - times[before])
    order = _same_sides(a.landmarks_px, b.landmarks_px)
    return (
        (1 - share) * a.landmarks_px + share * b.landmarks_px[order],
        (1 - share) * a.visibility + share * b.visibility[order],
        (1 - share) * a.landmarks_m + share * b.landmarks_m[order],
    )


def _same_sides(a: Float, b: Float) -> Int:
    """Order of the landmarks of `b` [33,2] in which left and right are on the same sides as in `a`."""
    limbs, mirror = list(LIMB_LANDMARKS), np.array(MIRRORED_LANDMARKS)
    b = b - np.median(b - a, axis=0)
    ways = [np.linalg.norm(a[limbs] - b[order][limbs], axis=-1).sum() for order in (np.arange(33), mirror)]
    return np.arange(33) if ways[0] <= ways[1] else mirror


def _on_others(landmarks_px: Float, labels: UInt8, own: int, label_scale: float) -> np.ndarray:
    """Which landmarks [33,2] lie on another person and not next to the own label."""
    height, width = labels.shape
    at = np.floor(landmarks_px * label_scale).astype(int)
    hidden = np.zeros(len(at), bool)
    for i, (x, y) in enumerate(at):
        if 0 <= x < width and 0 <= y < height and labels[y, x] not in (0, own):
            hidden[i] = not (labels[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] == own).any()
    return hidden


def _box(landmarks_px: Float, mask: np.ndarray, clip: Clip) -> Float:
    """Bounds xyxy px of landmarks [33,2] and mask [h,w] together, cut to the image."""
    low, high = landmarks_px.min(0), landmarks_px.max(0)
    rows, columns = np.where(mask)
    if len(rows) > 3:
        scale = np.array([clip.width / mask.shape[1], clip.height / mask.shape[0]])
        low = np.minimum(low, np.array([columns.min(), rows.min()]) * scale)
        high = np.maximum(high, np.array([columns.max() + 1, rows.max() + 1]) * scale)
    size = np.array([clip.width, clip.height])
    return np.concatenate([np.clip(low, 0, size), np.clip(high, 0, size)])
