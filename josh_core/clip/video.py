"""The one reader of video files: which stream, from when to when, and its frames as a player shows them (PyAV).

Animated pictures, which FFmpeg does not know, are read by animation.py and look the same from here on.

Times are seconds from the first frame that is shown, whatever the file's own time stamps begin with. Edit lists hold:
what they leave out is not read.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import av
import numpy as np

from josh_core.clip.animation import Animation, pictures, read_animation
from josh_core.clip.capture_rate import capture_fps, pace_of
from josh_core.clip.interlace import CombFinder
from josh_core.clip.pixels import SQUARE_UPRIGHT, DisplayTransform, shown_by
from josh_core.errors import ClipError
from josh_core.types import UInt8

# Only these reach FFmpeg's demuxers: text formats (playlists, concat scripts) could make it open other files.
DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,ogg,gif,webp_pipe,webp,webp_anim,flv,asf,mpeg,mpegts,mpegvideo"
DEMUXERS += ",mxf,dv,yuv4mpegpipe,h264,hevc"
# Chosen by hand, except where a measurement or a source is given.
MAX_PACKETS = 20_000  # of the film, that are counted; a longer file's length is what its container says
MIN_STREAM_FRAMES = 8  # a stream of fewer frames beside a longer one is a cover or a thumbnail
FOCAL_TAG = "camera.focal_length.35mm_equivalent"  # after "com.apple.quicktime."
PLAUSIBLE_35MM = (8.0, 800.0)  # mm, from fisheye to long telephoto
SEEK_MARGIN = 0.05  # s by which a seek may land late and still be right


@dataclass(frozen=True)
class Film:
    """The stream of a file that is its film, as counted from its packets without decoding."""

    stream: int = 0  # index of the stream in the file
    begin: float = 0.0  # s, time stamp of the first shown frame
    frames: int = 0  # 0 when not counted
    seconds: float = 0.0  # 0 when not known
    fps: float = 0.0  # mean; 0 when not known
    whole: bool = True  # False when the file ends before its container says
    focal_35mm: float | None = None  # mm, focal length of the same view on 35 mm film, where the phone wrote it
    captured: float | None = None  # pictures a second that were taken, where the camera wrote it
    pace: float | None = 1.0  # real s in a second of the film, as the camera wrote; None where that varies
    animated: bool = False  # an animated picture, not a stream of a container


@dataclass(frozen=True)
class Picture:
    """A decoded frame and its time; called, it becomes BGR."""

    time: float  # s
    _frame: Any
    _shown: DisplayTransform
    _combed: bool = False  # woven from two moments, though the file may not say so

    def __call__(self, size: tuple[int, int]) -> UInt8:
        """BGR [h,w,3] u8 of upright `size` (width, height)."""
        return self._shown.picture(self._frame, size, self._combed)


class Video:
    """An opened film. Use it in a `with` statement; raises ClipError when it cannot be opened or decoded.

    turn: degrees clockwise, a multiple of 90, by which its pictures are turned beyond what the file says.
    """

    def __init__(self, path: Path, film: Film, turn: int = 0) -> None:
        self._path, self._film = path, film
        self.damage: list[float] = []  # s after which packets or frames were found damaged, in order of decoding
        self._memory_ran_out = False
        self._open()
        try:
            first = next(self._decoded(), None)
            if first is None and self._memory_ran_out:  # which is no fault of the file
                raise MemoryError
            if first is None:
                raise ClipError("No frame of this file can be decoded: please export it again as MP4 (H.264).")
            shown = SQUARE_UPRIGHT if self._container is None else shown_by(self._stream, first)
            self._shown = shown.turned(turn)
            self.width, self.height = self._shown.size(first.width, first.height)  # px, upright, square
        except BaseException:
            self.close()
            raise
        self._fresh = False

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._container is not None:
            self._container.close()

    def reduced(self, longest: int) -> tuple[int, int]:
        """Size (width, height) with the longest side at most `longest` px."""
        scale = min(1.0, longest / max(self.width, self.height))
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))

    def pictures(self, start: float = 0.0) -> Iterator[Picture]:
        """Frames shown from `start` seconds on, in order of time; what cannot be decoded is left out."""
        frames = self._from(start)
        plain = self._container is None  # an animated picture, which nobody interlaces
        judged = ((frame, False) for frame in frames) if plain else CombFinder().judged(frames)
        step, previous = 1 / (self._film.fps or 30.0), -np.inf
        for frame, combed in judged:
            time = previous + step if frame.pts is None else self._time(frame)
            if not np.isfinite(time):
                time = 0.0
            if time <= previous:  # no usable time stamps: count frames
                time = previous + step
            previous = time
            if time >= start - 1e-3:
                yield Picture(time, frame, self._shown, combed)

    def at(self, time: float, size: tuple[int, int], until: float = np.inf) -> UInt8 | None:
        """The picture shown at `time` seconds as BGR [h,w,3] of `size`; the last one after the end; None without.

        At `until`, by time.monotonic(), decoding ends and the picture that was reached is taken.
        """
        shown = None
        for picture in self._pictures_about(time):
            if shown is not None and picture.time > time:
                break
            shown = picture
            if monotonic() > until:
                break
        return None if shown is None else shown(size)

    def _pictures_about(self, time: float) -> Iterator[Picture]:
        for frame in self._from(time):
            yield Picture(self._time(frame), frame, self._shown)

    def _time(self, frame: Any) -> float:
        return float(frame.pts * frame.time_base) - self._film.begin if frame.pts is not None else 0.0

    def _open(self) -> None:
        self._container = None if self._film.animated else open_container(self._path)
        if self._container is None:
            return
        self._stream = self._container.streams[self._film.stream]
        self._stream.thread_type = "AUTO"

    def _from(self, start: float) -> Iterator[Any]:
        """Decoded frames from the last key frame before `start`; from the beginning where seeking fails."""
        if start > 0 and self._container is not None:
            try:
                ticks = int((self._film.begin + start) / self._stream.time_base)
                self._container.seek(ticks, stream=self._stream, backward=True)
                frames = self._decoded()
                first = next(frames, None)
                if first is not None and first.pts is not None and self._time(first) <= start + SEEK_MARGIN:
                    return itertools.chain([first], frames)
            except av.FFmpegError:
                pass
        self.close()
        self._open()
        return self._decoded()

    def _decoded(self) -> Iterator[Any]:
        if self._container is None:
            animation = read_animation(self._path)
            yield from pictures(self._path, animation) if animation else ()
            return
        packets = self._container.demux(self._stream)
        time = 0.0
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError):
                return
            try:
                for frame in packet.decode():
                    time = self._time(frame)
                    if frame.is_corrupt:
                        self.damage.append(time)
                    else:
                        yield frame
            except av.FFmpegError as error:
                self.damage.append(time)  # later packets may be whole
                self._memory_ran_out |= isinstance(error, MemoryError)


def open_container(path: Path) -> Any:
    """The file as PyAV's container. Raises ClipError when it cannot be opened."""
    try:
        # A file name may hold a colon, which FFmpeg would take for a protocol's.
        name = "file:" + os.path.abspath(path)
        return av.open(name, options={"protocol_whitelist": "file", "format_whitelist": DEMUXERS})
    except (av.FFmpegError, UnicodeError):
        raise ClipError(
            "This video cannot be opened, it is damaged or incomplete: please copy or upload it again."
        ) from None


def film_of(path: Path) -> Film:
    """The stream that is the film: the largest picture among those with more than a few frames.

    Raises ClipError when nothing in the file is a film.
    """
    animation = read_animation(path)
    if animation is not None:
        return _animated(animation)
    with open_container(path) as container:
        if not container.streams.video:
            sound = bool(container.streams.audio)
            raise ClipError(
                "This file holds sound but no picture: please use a video."
                if sound
                else "This file holds no picture: please use a video."
            )
        known = [stream for stream in container.streams.video if stream.codec_context is not None]
        if not known:
            raise ClipError("The video in this file is of a kind unknown here: please export it again as MP4 (H.264).")
        counted = _count(container)
        stream = max(known, key=lambda s: _worth(s, counted.stamps.get(s.index, [])))
        captured = capture_fps(path, {**stream.metadata, **container.metadata})
        return replace(
            _film(container, stream, counted),
            focal_35mm=_focal_35mm(container, stream),
            captured=captured,
            pace=pace_of(captured, np.sort(np.array(counted.stamps[stream.index]))),
        )


def _animated(animation: Animation) -> Film:
    frames, seconds = len(animation.milliseconds), sum(animation.milliseconds) / 1000
    return Film(frames=frames, seconds=seconds, fps=frames / seconds, animated=True)


@dataclass
class _Counted:
    """What the packets of a file say."""

    stamps: dict[int, list[float]]  # per video stream, s of each shown packet
    end: float = -np.inf  # s, latest of any stream
    all: bool = True  # the file was read to its end


def _count(container: Any) -> _Counted:
    out = _Counted({s.index: [] for s in container.streams.video})
    try:
        for packet in container.demux():
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or packet.is_discard:
                continue
            time = float(stamp * packet.time_base)
            out.end = max(out.end, time + float((packet.duration or 0) * packet.time_base))
            own = out.stamps.get(packet.stream_index)
            if own is not None:
                own.append(time)
                if len(own) >= MAX_PACKETS:
                    out.all = False
                    break
    except av.FFmpegError:
        pass  # what came before the damage counts
    return out


def _worth(stream: Any, stamps: list[float]) -> tuple[bool, int, int]:
    """Films before stills and covers, large ones before thumbnails, earlier ones before later ones."""
    cover = bool(int(getattr(stream, "disposition", 0) or 0) & av.stream.Disposition.attached_pic)
    size = (stream.codec_context.width or 0) * (stream.codec_context.height or 0)
    return len(stamps) >= MIN_STREAM_FRAMES and not cover, size, -stream.index


def _focal_35mm(container: Any, stream: Any) -> float | None:
    """The focal length that a phone wrote beside its film (QuickTime's metadata), in mm of 35 mm film."""
    for tags in (stream.metadata, container.metadata):
        for key, value in tags.items():
            if key.endswith(FOCAL_TAG):
                with contextlib.suppress(ValueError):
                    focal = float(value)
                    if PLAUSIBLE_35MM[0] <= focal <= PLAUSIBLE_35MM[1]:
                        return focal
    return None


def _film(container: Any, stream: Any, counted: _Counted) -> Film:
    stamps = np.sort(np.array(counted.stamps[stream.index]))
    says = float(container.duration / av.time_base) if container.duration else 0.0
    start = float(container.start_time / av.time_base) if container.start_time else 0.0
    if len(stamps) < 2:
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        begin = float(stamps[0]) if len(stamps) else 0.0
        return Film(stream.index, begin, len(stamps), len(stamps) / rate if rate else 0.0, rate, True)
    step = float(np.median(np.diff(stamps)))
    if step <= 0:  # no time stamps to speak of
        step = 1 / float(stream.average_rate or stream.guessed_rate or 30)
    if not counted.all:
        fps = (len(stamps) - 1) / max(float(stamps[-1] - stamps[0]), step)
        seconds = says or float(stamps[-1] - stamps[0])
        return Film(stream.index, float(stamps[0]), round(seconds * fps), seconds, fps, True)
    seconds = float(stamps[-1] - stamps[0]) + step
    # Some containers count their length from zero, some from the first time stamp: the shorter is believed.
    missing = min(says, start + says) - max(counted.end, float(stamps[-1]) + step)
    whole = missing < max(0.5, 3 * step)
    return Film(stream.index, float(stamps[0]), len(stamps), seconds, len(stamps) / seconds, whole)
