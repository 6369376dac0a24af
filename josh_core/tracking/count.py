"""How many people a clip shows: a first look at a few of its frames, before any run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from josh_core.clip.probe import probe
from josh_core.clip.video import Video
from josh_core.settings import Settings
from josh_core.tracking.landmarker import Landmarker, Square, tiles
from josh_core.tracking.tracklet import bodies

# Chosen by hand, except where a measurement or a source is given.
SEARCHED_FRAMES = 3  # frames that a first look searches for people
FRAME_SIDE = 960  # px, longest side of a frame in a first look
TILE_SHARE = 0.8  # side of a searched square over the picture's shorter side, beside the whole picture
COUNT_SCORE = 0.75  # score from which a detection counts


def guess_people(path: Path, settings: Settings) -> int:
    """How many people a few frames of the chosen part show at once; a guess before the run."""
    info = probe(path)
    span = min(settings.seconds or info.seconds, max(info.seconds - settings.start, 0.0))
    counts = []
    with Landmarker(1.0) as networks, Video(path, info.film) as video:
        for k in range(SEARCHED_FRAMES):
            image = video.at(settings.start + span * (k + 0.5) / SEARCHED_FRAMES, video.reduced(FRAME_SIDE))
            if image is None:
                break
            rgb = np.ascontiguousarray(image[..., ::-1])
            whole = Square.around(np.array([0, 0, rgb.shape[1], rgb.shape[0]], float), 1.0)
            parts = [whole, *tiles(rgb.shape[1], rgb.shape[0], TILE_SHARE)]
            seen = [d for part in parts for d in networks.search(rgb, part) if d.score >= COUNT_SCORE]
            counts.append(len(bodies(seen, 1.0)))
    return settled(counts)


def settled(counts: Sequence[int]) -> int:
    """People by the counts of several frames: as many as two frames agree on, so that one chance find adds nobody.

    A single person may be there in one frame only.
    """
    most, second = (*sorted(counts, reverse=True), 0, 0)[:2]
    return max(second, min(most, 1))
