"""From trails of sightings to finished tracks and label images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from josh_core.people.detection import Detection, same_body, size_of
from josh_core.people.track import BRIDGE_SECONDS, Trail, lifetime
from josh_core.settings import Settings
from josh_core.types import Clip, Float, People, Track, UInt8

GHOST_SECONDS = 0.5  # a shorter trail is no person
GHOST_SCORE = 0.5  # nor is one of a lower mean score


def finish(trails: Sequence[Trail], clip: Clip, settings: Settings, label_scale: float) -> People:
    """Tracks and label images of the trails that are people, best first, at most as many as asked for."""
    real = [trail for trail in trails if _is_person(trail, clip)]
    real.sort(key=lambda trail: -_worth(trail))
    real = _without_shadows(real, label_scale)
    most = settings.people or settings.max_people
    tracks = tuple(_track(trail, index, clip, label_scale) for index, trail in enumerate(real[:most]))
    return People(tracks, _labels(real, most, clip, label_scale))


def _is_person(trail: Trail, clip: Clip) -> bool:
    scores = [d.score for d in trail.seen.values()]
    needed = min(GHOST_SECONDS, 0.5 * float(clip.times[-1]))
    lasting = len(scores) >= 3 and lifetime(trail.seen, clip.times) >= needed
    return lasting and float(np.mean(scores)) >= GHOST_SCORE


def _without_shadows(trails: Sequence[Trail], label_scale: float) -> list[Trail]:
    """Leaves out trails that mostly lie on the body of a better one."""
    kept: list[Trail] = []
    for trail in trails:
        shadow = [
            any(f in other.seen and same_body(d, other.seen[f], label_scale) for other in kept)
            for f, d in trail.seen.items()
        ]
        if np.mean(shadow) < 0.5:
            kept.append(trail)
    return kept


def _worth(trail: Trail) -> float:
    """How much there is to see of a person: how long, how surely and how large."""
    return float(sum(d.score * np.sqrt(size_of(d.landmarks_px)) for d in trail.seen.values()))


def _track(trail: Trail, index: int, clip: Clip, label_scale: float) -> Track:
    seen = np.array(sorted(trail.seen))
    frames = _bridged(seen, clip.times)
    at, times = clip.times[frames], clip.times[seen]
    sightings = [trail.seen[f] for f in seen]

    def filled(values: Float) -> Float:
        flat = values.reshape(len(values), -1)
        return np.stack([np.interp(at, times, column) for column in flat.T], -1).reshape(-1, *values.shape[1:])

    detected = np.isin(frames, seen)
    visibility = filled(np.stack([d.visibility for d in sightings]))
    return Track(
        id=index,
        frames=frames,
        boxes=filled(np.stack([_box(d, clip, label_scale) for d in sightings])),
        landmarks_px=filled(np.stack([d.landmarks_px for d in sightings])),
        visibility=np.where(detected[:, None], visibility, 0.5 * visibility),
        landmarks_m=filled(np.stack([d.landmarks_m for d in sightings])),
        detected=detected,
    )


def _bridged(seen: np.ndarray, times: Float) -> np.ndarray:
    """The frames seen, and those in gaps of up to BRIDGE_SECONDS between them."""
    frames = [seen[:1]]
    for a, b in zip(seen[:-1], seen[1:], strict=True):
        short = times[b] - times[a] <= BRIDGE_SECONDS + 1e-6
        frames.append(np.arange(a + 1, b + 1) if short else np.array([b]))
    return np.concatenate(frames)


def _box(detection: Detection, clip: Clip, label_scale: float) -> Float:
    """Bounds xyxy px of landmarks and mask together, cut to the image."""
    box = detection.box
    masked = detection.mask.box()
    if masked is not None:
        masked = masked / label_scale
        box = np.concatenate([np.minimum(box[:2], masked[:2]), np.maximum(box[2:], masked[2:])])
    return np.clip(box, 0, [clip.width, clip.height] * 2)


def _labels(people: Sequence[Trail], most: int, clip: Clip, label_scale: float) -> UInt8:
    """Label images [T,h,w]: 0 background, k + 1 the k-th person, 255 people beyond the number asked for."""
    height, width = max(1, round(clip.height * label_scale)), max(1, round(clip.width * label_scale))
    labels = np.zeros((len(clip), height, width), np.uint8)
    strength = np.zeros((height, width), np.uint8)
    for frame in range(len(clip)):
        strength[:] = 127
        for index, trail in enumerate(people):
            if frame not in trail.seen:
                continue
            mask = trail.seen[frame].mask
            window = np.s_[mask.y : mask.y + mask.patch.shape[0], mask.x : mask.x + mask.patch.shape[1]]
            stronger = mask.patch > strength[window]
            labels[frame][window][stronger] = index + 1 if index < most else 255
            strength[window][stronger] = mask.patch[stronger]
    return labels
