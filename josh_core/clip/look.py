"""A first look at a video file: its facts, then a strip of small pictures, as far as it comes in a short time.

It runs in a process that can be killed (page/protection/upload_checks.py), so nothing heavy is imported here.
"""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from josh_core.clip.probe import ClipInfo, probe
from josh_core.clip.trim import MIN_FRAMES
from josh_core.clip.video import Film, Video
from josh_core.errors import ClipError
from josh_core.types import Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
STRIP_SHAPE = 6.25  # width over height of the strip above the trim handles: 300 px wide on the page, 48 px high
STRIP_PICTURES = (3, 12)  # fewest and most in it, as wide and as upright as clips may be
STRIP_HEIGHT = 96  # px, twice what the page shows: for screens with small pixels
STRIP_SECONDS = 1.0  # s for all pictures; one that takes longer than its share is that which was reached by then
FIRST_WINDOW = 10.0  # s offered at first
EDGES = 0.2  # share of a picture's pixels that are its edges, for seems_still. Chosen
# px of the strip; a quarter of its pairs of pictures stay below it where a camera stands still. Measured on rendered
# and real clips: cameras on a tripod up to 0.09; others from 0.55, but one real clip 0.37.
STILL_PX = 0.3


@dataclass(frozen=True)
class Look:
    """What is known of an upload before anything is computed."""

    info: ClipInfo
    strip: str  # data URL of pictures side by side, evenly spaced over the clip; "" if none could be read
    whole: bool = True  # False when the time was up before all pictures were read: this clip is slow to decode
    still: bool = False  # whether the camera seems to stand still; a guess from the pictures of the strip

    @property
    def seconds(self) -> float:
        """Length of the file; a stream that does not say is taken for one window."""
        return self.info.seconds or FIRST_WINDOW

    def to_json(self) -> str:
        """As text, for another process."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Look:
        """What to_json wrote."""
        said = json.loads(text)
        info = ClipInfo(**{**said["info"], "film": Film(**said["info"]["film"])})
        return Look(info, said["strip"], said["whole"], said["still"])


def look_at(path: Path, keep: Callable[[Look], None]) -> None:
    """Look at a file, handing each better Look to `keep`, facts first. Raises ClipError when it cannot be used."""
    info = probe(path)
    if 0 < info.frames < MIN_FRAMES:
        raise ClipError(f"The clip has only {info.frames} frames; choose one of at least {MIN_FRAMES}.")
    keep(Look(info, "", whole=False))
    size = (max(8, round(STRIP_HEIGHT * info.width / info.height)), STRIP_HEIGHT)
    count = int(np.clip(round(STRIP_SHAPE * size[1] / size[0]), *STRIP_PICTURES)) if info.seconds else 1
    begin, whole, pictures = time.monotonic(), True, []
    with Video(path, info.film) as video:
        for k in range(count):
            until = begin + STRIP_SECONDS * (k + 1) / count
            picture = video.at(info.seconds * (k + 0.5) / count, size, until)
            whole = whole and time.monotonic() < until
            pictures += [picture] if picture is not None else []
            if pictures:
                keep(Look(info, _strip(pictures, count), whole and k == count - 1, seems_still(pictures)))


def seems_still(pictures: list[UInt8]) -> bool:
    """Whether small BGR pictures of a clip, all of one size, seem to come from a camera that stands still.

    Where edges are, two pictures differ by slope times displacement, so the ratio tells by how far the background has
    moved; the median over the edges leaves people out. False for fewer than two pictures.
    """
    grey = [cv2.GaussianBlur(cv2.cvtColor(p, cv2.COLOR_BGR2GRAY).astype(np.float32), (0, 0), 1.0) for p in pictures]
    moved = [_displacement(*pair) for pair in itertools.pairwise(grey)]
    return bool(moved) and float(np.quantile(moved, 0.25)) < STILL_PX


def _displacement(before: Float, after: Float) -> float:
    """px by which the edges of a grey picture [h,w] have moved; 0 where there are none."""
    mean = (before + after) / 2
    slope = np.hypot(cv2.Sobel(mean, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(mean, cv2.CV_32F, 0, 1, scale=1 / 8))
    edges = (slope > 0) & (slope >= np.quantile(slope, 1 - EDGES))
    return float(np.median(np.abs(after - before)[edges] / slope[edges])) if edges.any() else 0.0


def _strip(pictures: list[UInt8], count: int) -> str:
    """BGR pictures side by side as a data URL; those that are missing at the end repeat the last."""
    filled = [*pictures, *[pictures[-1]] * (count - len(pictures))]
    _, jpeg = cv2.imencode(".jpg", np.concatenate(filled, 1), [cv2.IMWRITE_JPEG_QUALITY, 70])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
