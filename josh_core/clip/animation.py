"""Animated pictures (WebP, PNG), which FFmpeg reads in part or not at all: frames through Pillow, times from chunks.

Sources: RFC 9649 (WebP) and the third edition of the PNG specification (acTL, fcTL).
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
from PIL import Image

from josh_core.errors import ClipError

KINDS = {b"RIFF": "WEBP", b"\x89PNG": "PNG"}  # how they begin, and what Pillow calls them
MAX_BYTES = 256 * 2**20  # Pillow holds the whole file in memory
MAX_CHUNKS = 100_000  # parts of a file that are read; chosen by hand, against files made to take long
SHORTEST_MS, SHOWN_MS = 10, 100  # a frame that lasts no longer than the first is shown for the second, as browsers do


@dataclass(frozen=True)
class Animation:
    """What the chunks of an animated picture say."""

    kind: str  # Pillow's name of the format
    width: int  # px
    height: int  # px
    milliseconds: tuple[int, ...]  # that each frame is shown


def read_animation(path: Path) -> Animation | None:
    """The animation in a file; None for anything else, pictures that stand still included.

    Raises ClipError when it is too large.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[8:] == b"WEBP" and head.startswith(b"RIFF"):
            size, shown = _webp(file)
        elif head.startswith(b"\x89PNG\r\n\x1a\n"):
            file.seek(8)
            size, shown = _png(file)
        else:
            return None
    if len(shown) < 2 or size is None:
        return None
    if os.path.getsize(path) > MAX_BYTES:
        raise ClipError(
            f"This animated picture is larger than {MAX_BYTES >> 20} MB: please export it as MP4 (H.264) instead."
        )
    return Animation(KINDS[head[:4]], *size, tuple(SHOWN_MS if ms <= SHORTEST_MS else ms for ms in shown))


def pictures(path: Path, animation: Animation) -> Iterator[Any]:
    """Its frames (av.VideoFrame, RGB, with time stamps), up to the first that cannot be decoded."""
    begins = itertools.accumulate(animation.milliseconds[:-1], initial=0)
    try:
        with Image.open(path, formats=(animation.kind,)) as image:
            first = int(bool(image.info.get("default_image")))  # a PNG may begin with a picture that is no frame
            for k, begin in enumerate(begins):
                image.seek(first + k)
                frame = av.VideoFrame.from_image(image.convert("RGB"))
                frame.pts, frame.time_base = begin, Fraction(1, 1000)
                yield frame
    except (OSError, EOFError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError):
        return  # Pillow's errors for damaged files; what came before the damage counts


def _webp(file: BinaryIO) -> tuple[tuple[int, int] | None, list[int]]:
    size, shown = None, []
    for name, length in _chunks(file, "<4sI"):
        data = file.read(min(length, 16))
        if name == b"VP8X" and len(data) >= 10:
            size = 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
        elif name == b"ANMF" and len(data) == 16:
            shown.append(int.from_bytes(data[12:15], "little"))
        file.seek(length + length % 2 - len(data), os.SEEK_CUR)
    return size, shown


def _png(file: BinaryIO) -> tuple[tuple[int, int] | None, list[int]]:
    size, shown = None, []
    for length, name in _chunks(file, ">I4s"):
        data = file.read(min(length, 26))
        if name == b"IHDR" and len(data) >= 8:
            size = struct.unpack(">II", data[:8])
        elif name == b"fcTL" and len(data) == 26:
            share, of = struct.unpack(">HH", data[20:24])
            shown.append(round(1000 * share / (of or 100)))
        file.seek(length + 4 - len(data), os.SEEK_CUR)
    return size, shown


def _chunks(file: BinaryIO, layout: str) -> Iterator[Any]:
    """The two words before each chunk, as `layout` has them; whoever asks for the next has gone over the last."""
    for _ in range(MAX_CHUNKS):
        words = file.read(8)
        if len(words) < 8:
            return
        yield struct.unpack(layout, words)
