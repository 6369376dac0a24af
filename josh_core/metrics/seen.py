"""Coverage: how much of people and scene the clip shows, so that no verdict is given without evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from josh_core.types import Bool, CameraPath, Clip, Float, Matches, People, Track

CELLS = 8  # cells along each side of the image in which matches are counted
FREE_SHARE = 0.5  # share of a cell that people and overlays leave free, in half of the keyframes, for it to count
BRISK, ABRUPT = 1.5, 40.0  # m/s and 10 m/s^3: a walk of that speed has a jerk of 5 to 10, five times as fast 125 times
RUNNING = 3.0  # m/s: whoever walks goes at 0.8 to 2 m/s, and from about 2.5 people run (Bramble, Lieberman 2004)
SIDES = ((27, 29, 31), (28, 30, 32))  # BlazePose's ankle, heel and toe of the left and of the right foot


def inside(px: Float, width: int, height: int) -> Bool:
    """Which pixels [...,2] lie in the picture."""
    return np.asarray(((px >= 0) & (px < [width, height])).all(-1))


def feet_inside(track: Track, width: int, height: int) -> Bool:
    """[n,2] True where any landmark of the left, of the right foot lies in the picture."""
    return np.stack([inside(track.landmarks_px[:, list(side)], width, height).any(1) for side in SIDES], 1)


def feet_seen_pct(people: People, clip: Clip) -> float | None:
    """Share of all frames of all people in which a foot is in the picture, in %; None without anybody."""
    seen = [feet_inside(track, clip.width, clip.height).any(1) for track in people.tracks]
    return 100 * float(np.concatenate(seen).mean()) if seen else None


def match_cover_pct(matches: Matches, cameras: CameraPath, people: People, clip: Clip) -> float | None:
    """Share in % of the image's free cells, in which correspondences lie; None for a camera that stands still.

    Over the whole clip: a place counts that is seen well at any time.
    """
    if cameras.kind == "static":
        return None
    free = np.zeros((CELLS, CELLS))
    for frame in cameras.keyframes:
        free += ~people.mask(int(frame), CELLS, CELLS)
    usable = free >= FREE_SHARE * max(len(cameras.keyframes), 1)
    if not usable.any():
        return 0.0
    at = (matches.px.reshape(-1, 2) / [clip.width, clip.height] * CELLS).astype(int).clip(0, CELLS - 1)
    hit = np.zeros((CELLS, CELLS), bool)
    hit[at[:, 1], at[:, 0]] = True
    return 100 * float(hit[usable].mean())


def pace_notes(quality: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence where somebody is faster, or moves far more abruptly, than people walk: runners, or a sped-up clip."""
    speeds = [_haste(person) for person in quality["people"]]
    if not speeds or max(speeds) == 0:
        return ()
    who = f"Person {1 + int(np.argmax(speeds))}" if len(speeds) > 1 else "The person"
    return (
        f"{who} moves at {max(speeds):.1f} m/s, faster or more abruptly than people walk: if nobody runs, rides or "
        "skates here, the clip is sped up (a time lapse?), and speeds and contacts are wrong. Give it at the speed of "
        "life.",
    )


def _haste(person: Mapping[str, Any]) -> float:
    """Speed in m/s of a person who is too fast or too abrupt for walking; 0 for others."""
    speed, jitter = person["speed_m_s"] or 0.0, person.get("jitter") or 0.0
    return speed if speed > RUNNING or (speed > BRISK and jitter > ABRUPT) else 0.0
