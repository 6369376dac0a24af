"""The wanted part of a video file, decoded frame by frame: upright, resampled by timestamp, kept as JPEG."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from josh_core.clip.probe import ClipInfo
from josh_core.clip.shots.cuts import THUMB_SIDE
from josh_core.clip.video import Video
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.types import UInt8

JPEG_QUALITY = 95  # of frames kept in memory; chosen by hand


@dataclass
class DecodedFrames:
    """Frames of a clip while they are collected and trimmed."""

    jpegs: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # s from `begin`
    thumbs: list[UInt8] = field(default_factory=list)  # small copies, for finding cuts
    begin: float = 0.0  # s in the file of the first kept frame
    width: int = 0
    height: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, image: UInt8, time: float) -> None:
        """Keep one BGR frame at `time` seconds of the film."""
        if not self.jpegs:
            self.begin, (self.height, self.width) = time, image.shape[:2]
        self.jpegs.append(_jpeg(image))
        self.times.append(time - self.begin)
        self.thumbs.append(_reduced(image, THUMB_SIDE))

    def image(self, index: int) -> UInt8:
        """A kept frame as BGR [h,w,3]."""
        return np.asarray(cv2.imdecode(np.frombuffer(self.jpegs[index], np.uint8), cv2.IMREAD_COLOR), np.uint8)

    def replace(self, index: int, image: UInt8) -> None:
        """Keep another picture in the place of a kept frame."""
        self.jpegs[index], self.thumbs[index] = _jpeg(image), _reduced(image, THUMB_SIDE)

    def drop_last(self) -> None:
        """Forget the last frame."""
        self.keep(0, len(self.jpegs) - 1)

    def keep(self, first: int, end: int) -> None:
        """Forget all frames but [first, end)."""
        self.pick(range(first, end))

    def pick(self, indices: Iterable[int]) -> None:
        """Forget all frames but these, in order."""
        kept = list(indices)
        begin = self.times[kept[0]] if kept else 0.0
        self.jpegs, self.thumbs = [self.jpegs[i] for i in kept], [self.thumbs[i] for i in kept]
        self.times = [self.times[i] - begin for i in kept]
        self.begin += begin


def decode(path: Path, info: ClipInfo, settings: Settings, progress: Progress) -> DecodedFrames:
    """The frames that `settings` asks for; notes say where the file is incomplete or damaged."""
    out = DecodedFrames()
    wanted = settings.seconds or settings.max_seconds
    if info.seconds:
        wanted = min(wanted, info.seconds - settings.start)
    pace = info.film.pace or 1.0
    thinning = _Thinning(info.fps / pace, settings.max_fps)
    end = -1.0
    with Video(path, info.film, settings.turn) as video:
        size = video.reduced(settings.max_side)
        for picture in video.pictures(settings.start):
            if out.jpegs and picture.time - out.begin >= wanted - 0.25 / info.fps:
                end = picture.time
                break
            if thinning.keeps(pace * picture.time):
                out.add(picture(size), picture.time)
                if len(out.jpegs) % 8 == 0:
                    progress.update((picture.time - out.begin) / max(wanted, 1e-6))
            end = picture.time
        hurt = [time for time in video.damage if time >= settings.start]
    missing = settings.start + wanted - end - 1.5 / info.fps
    if out.jpegs and info.frames and (missing > max(0.2, 2 / info.fps) or not info.film.whole):
        out.drop_last()  # the last frame before a break is often half decoded
        out.notes.append(f"The file is incomplete: only what could be read, up to {end:.1f} s, was used.")
    elif hurt:
        out.notes.append(
            f"The file is damaged: {len(hurt)} frame{'s' * (len(hurt) > 1)} from {hurt[0]:.1f} s on cannot be decoded, "
            "and what follows may be smeared."
        )
    return out


class _Thinning:
    """Chooses frames by timestamp so that at most `max_fps` remain; keeps all of a clip that is slow enough."""

    def __init__(self, fps: float, max_fps: float) -> None:
        self._step = 1 / max_fps if fps > max_fps * 1.02 else 0.0
        self._slack = 0.5 / fps
        self._due = self._last = -np.inf

    def keeps(self, time: float) -> bool:
        """Whether the frame at `time` is kept; timestamps that do not increase are dropped."""
        if time <= self._last or time < self._due - self._slack:
            return False
        self._last = time
        # The next due time follows the grid, unless a gap in the timestamps has left the grid behind.
        self._due = max(self._due, time - self._slack) + self._step if np.isfinite(self._due) else time + self._step
        return True


def _jpeg(image: UInt8) -> bytes:
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())


def _reduced(image: UInt8, longest: int) -> UInt8:
    height, width = image.shape[:2]
    scale = longest / max(width, height)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
