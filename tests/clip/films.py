"""Video files of every kind, written with PyAV in a fraction of a second each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

TICKS = Fraction(1, 90_000)


def encode(
    path: Path,
    frames: Sequence[np.ndarray],
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: Iterable[float] | None = None,
    **options: Any,
) -> Path:
    """A file of RGB frames [h,w,3].

    times: s of each frame; options: `fps`, `format` and `muxer` (dict) of the file, all else is set on the encoder.
    """
    muxer, kind = options.pop("muxer", {}), options.pop("format", None)
    with av.open(str(path), "w", format=kind, options=muxer) as file:
        write(file, [add_stream(file, frames[0], codec, pixels, **options)], [frames], times)
    return path


def add_stream(file: Any, frame: np.ndarray, codec: str = "libx264", pixels: str = "yuv420p", **options: Any) -> Any:
    """A stream for frames like this one in an open file."""
    fast = {"preset": "ultrafast", "crf": "12"} if codec.startswith("libx26") else {}
    if codec == "libx265":
        fast["x265-params"] = "log-level=none"
    stream = file.add_stream(codec, rate=options.pop("fps", 30), options=fast)
    stream.height, stream.width = frame.shape[:2]
    stream.pix_fmt = pixels
    if codec.startswith("mpeg"):
        stream.codec_context.bit_rate = 8_000_000
    for name, value in options.items():
        setattr(stream.codec_context, name, value)
    return stream


def write(
    file: Any, streams: Sequence[Any], films: Sequence[Sequence[np.ndarray]], times: Iterable[float] | None = None
) -> None:
    """Encode each film into its stream, all added before."""
    file.start_encoding()
    stamps = None if times is None else list(times)
    for stream, frames in zip(streams, films, strict=True):
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt)
            if stamps is not None:
                frame.pts, frame.time_base = round(stamps[i] / TICKS), TICKS
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def cut_without_decoding(source: Path, path: Path, start: float) -> Path:
    """The file from `start` s on by copying packets from the key frame before: an edit list hides what is too early."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        old.seek(int(start / stream.time_base), stream=stream)
        first = round(start / stream.time_base)
        for packet in old.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - first, packet.dts - first, copy
                new.mux(packet)
    return path
