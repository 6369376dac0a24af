"""Notes on body parts that the clip does not show."""

from __future__ import annotations

import numpy as np

from josh_core.body.names import FOOT_LANDMARKS
from josh_core.geometry import inside
from josh_core.types import Clip, People, Track

# Chosen by hand, except where a measurement or a source is given.
MOSTLY_SHARE = 0.8  # share of a person's frames


def unseen_notes(people: People, clip: Clip) -> tuple[str, ...]:
    """One sentence for those whose feet are outside the picture most of the time; none where all are seen."""
    without = [track.id + 1 for track in people.tracks if _feet_outside(track, clip) > MOSTLY_SHARE]
    if not without:
        return ()
    who = f"Person {without[0]}" if len(without) == 1 else f"{len(without)} people"
    feet = "has no feet" if len(without) == 1 else "have no feet"
    return (
        f"{who} {feet} in the picture: legs, contact with the ground and the floor are guessed. "
        "Film people from head to foot.",
    )


def _feet_outside(track: Track, clip: Clip) -> float:
    """Share of the frames in which no landmark of a foot lies in the picture."""
    px = track.landmarks_px[:, list(FOOT_LANDMARKS)]
    return float(np.mean(~inside(px, clip.width, clip.height).any(1)))
