"""How fast a file plays what it shows, as its camera wrote it: slow motion and time lapse.

Android's cameras write the rate at which pictures were taken ("com.android.capture.fps"), Sony's an XML text with
"captureFps" in a box of its own, which FFmpeg leaves out. Where the frames come at that rate, the film plays as it was:
many phones store 240 pictures a second that way, and only their own players slow them down. Apple's tag
"full-frame-rate-playback-intent" tells nothing: it is 0 in plain films and in slow motion, and frames have true times.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from josh_core.types import Float

ANDROID_TAG = "com.android.capture.fps"
_SONY_TAG = re.compile(rb'captureFps="([0-9.]{1,9})p"')
# Chosen by hand.
MAX_BOXES, MAX_META_BYTES = 1000, 1 << 20  # of a file, that are looked at
PLAUSIBLE_FPS = (0.01, 10_000.0)  # pictures a second
MIN_RATIO = 1.5  # captured over played, or the other way round: in the dark phones take fewer pictures than they say
PART_RATIO = 3.0  # slow over fast steps within a file, from which only a part of it is in slow motion
SAME_RATE = 1.25  # captured over the rate of those fast steps: that part plays as it was


def capture_fps(path: Path, tags: Mapping[str, str]) -> float | None:
    """Pictures a second that a file with these tags says were taken; None where it does not say."""
    with contextlib.suppress(KeyError, ValueError):
        return _plausible(float(tags[ANDROID_TAG]))
    with contextlib.suppress(OSError), path.open("rb") as file:
        said = _SONY_TAG.search(_meta(file))
        return _plausible(float(said[1])) if said is not None and said[1].count(b".") < 2 else None
    return None


def pace_of(captured: float | None, stamps: Float) -> float | None:
    """Real seconds in a second of a film whose frames have these sorted times [n] s; None where that varies."""
    if captured is None or len(stamps) < 3:
        return 1.0
    steps = np.diff(stamps)
    fast, slow = (float(np.quantile(steps, q)) for q in (0.1, 0.9))
    if slow > PART_RATIO * fast > 0 and fast * captured < SAME_RATE:
        return None
    pace = (len(stamps) - 1) / float(stamps[-1] - stamps[0]) / captured if stamps[-1] > stamps[0] else 1.0
    return pace if max(pace, 1 / pace) > MIN_RATIO else 1.0


def _plausible(fps: float) -> float | None:
    return fps if PLAUSIBLE_FPS[0] <= fps <= PLAUSIBLE_FPS[1] else None


def _meta(file: BinaryIO) -> bytes:
    """What the outermost "meta" box of an MP4 holds (ISO 14496-12); nothing where there is none."""
    at, end = 0, file.seek(0, 2)
    for _ in range(MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            break
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        if kind == b"meta" and size <= MAX_META_BYTES:
            file.seek(at)
            return file.read(size)
        if size < 8 or at + size > end:
            break
        at += size
    return b""
