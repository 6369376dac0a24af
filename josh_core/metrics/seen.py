"""Coverage: how much of people and scene the clip shows, so that no verdict is given without evidence."""

from __future__ import annotations

import numpy as np

from josh_core.geometry import inside
from josh_core.types import Bool, CameraPath, Clip, Matches, People, Track

# Chosen by hand, except where a measurement or a source is given.
CELLS_A_SIDE = 8  # cells along each side of the image in which matches are counted
FREE_SHARE = 0.5  # share of a cell that people and overlays leave free, in half of the keyframes, for it to count
# Visibility up to which a landmark is a mere guess: the network gives hardly any to feet below the edge of the picture,
# of which it may guess a landmark inside.
GUESSED_VISIBILITY = 0.2
EYES = tuple(range(1, 7))  # BlazePose's: a picture that ends at the mouth does not show the head
FOOT_LANDMARKS_BY_SIDE = (
    (27, 29, 31),
    (28, 30, 32),
)  # BlazePose's ankle, heel and toe of the left and of the right foot


def feet_inside(track: Track, width: int, height: int) -> Bool:
    """[n,2] True where any landmark of the left, of the right foot lies in the picture and is no mere guess."""
    seen = inside(track.landmarks_px, width, height) & (track.visibility > GUESSED_VISIBILITY)
    return np.stack([seen[:, list(side)].any(1) for side in FOOT_LANDMARKS_BY_SIDE], 1)


def feet_seen_pct(people: People, clip: Clip) -> float | None:
    """Share of all frames of all people in which a foot is in the picture, in %; None without anybody."""
    seen = [feet_inside(track, clip.width, clip.height).any(1) for track in people.tracks]
    return 100 * float(np.concatenate(seen).mean()) if seen else None


def heads_seen_pct(people: People, clip: Clip) -> float | None:
    """Share of all frames of all people in which an eye is in the picture, in %; None without anybody."""
    seen = [inside(track.landmarks_px[:, list(EYES)], clip.width, clip.height).any(1) for track in people.tracks]
    return 100 * float(np.concatenate(seen).mean()) if seen else None


def match_cover_pct(matches: Matches, cameras: CameraPath, people: People, clip: Clip) -> float | None:
    """Share in % of the image's free cells, in which correspondences lie; None for a camera that stands still.

    Over the whole clip: a place counts that is seen well at any time.
    """
    if cameras.kind == "static":
        return None
    free = np.zeros((CELLS_A_SIDE, CELLS_A_SIDE))
    for frame in cameras.keyframes:
        free += ~people.mask(int(frame), CELLS_A_SIDE, CELLS_A_SIDE)
    usable = free >= FREE_SHARE * max(len(cameras.keyframes), 1)
    if not usable.any():
        return 0.0
    at = (matches.px.reshape(-1, 2) / [clip.width, clip.height] * CELLS_A_SIDE).astype(int).clip(0, CELLS_A_SIDE - 1)
    hit = np.zeros((CELLS_A_SIDE, CELLS_A_SIDE), bool)
    hit[at[:, 1], at[:, 0]] = True
    return 100 * float(hit[usable].mean())
