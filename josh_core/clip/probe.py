"""A clip's file before its frames are used: whether it is a video, its size and length; or a refusal in a sentence."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from josh_core.clip.animation import read_animation
from josh_core.clip.video import Film, Video, film_of
from josh_core.errors import ClipError

# Chosen by hand, except where a measurement or a source is given.
MIN_SIDE, MAX_SIDE = 64, 8192  # px of the source
MAX_BYTES = 2 * 2**30  # of a clip: a minute of 4K from a phone takes about 0.4 GB
PLAUSIBLE_FPS = (1.0, 1000.0)  # what a container says outside this range is not a frame rate

# How the containers begin that are read; all else is refused before FFmpeg sees it.
_SIGNATURES = (
    *((4, box) for box in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")),  # MP4, MOV
    (0, b"\x1a\x45\xdf\xa3"),  # WebM, Matroska
    (0, b"RIFF"),  # AVI
    (0, b"OggS"),
    (0, b"GIF8"),
    (0, b"FLV\x01"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # WMV
    (0, b"\x00\x00\x01\xba"),  # MPEG program stream
    (0, b"\x00\x00\x01\xb3"),  # MPEG video without a container
    (0, b"\x00\x00\x00\x01"),  # H.264 or H.265 without a container
    (0, b"\x06\x0e\x2b\x34"),  # MXF
    (0, b"\x1f\x07\x00"),  # DV
    (0, b"YUV4MPEG2"),
)
# Transport streams begin every packet with "G": packets of 188 bytes, or 192 with a time stamp of 4 before (AVCHD).
_PACKETS = ((0, 188), (4, 192), (0, 204))
# What people take for videos, unless it is an animation.
_NO_FILMS = (
    (0, b".RMF", "RealMedia"),
    (0, b"\x89PNG", "a picture (PNG)"),
    (0, b"\xff\xd8\xff", "a picture (JPEG)"),
    (8, b"WEBP", "a picture (WebP)"),
    (4, b"ftypheic", "a picture (HEIC)"),
    (4, b"ftypavif", "a picture (AVIF)"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
)


@dataclass(frozen=True)
class ClipInfo:
    """What the container says about a video, without decoding it all."""

    width: int  # px, upright
    height: int  # px, upright
    fps: float  # average frames per second
    frames: int  # 0 when the container does not say
    seconds: float  # 0 when the container does not say
    film: Film = Film()  # where in the file the film is


def probe(path: str | os.PathLike[str]) -> ClipInfo:
    """Size, rate and length of a video file. Raises ClipError when it cannot be used at all."""
    _check_file(Path(path))
    animation = read_animation(Path(path))
    if animation is not None:  # before Pillow makes room for it
        _check_size(animation.width, animation.height)
    film = film_of(Path(path))
    with Video(Path(path), film) as video:
        width, height = video.width, video.height
    _check_size(width, height)
    fps = film.fps if PLAUSIBLE_FPS[0] <= film.fps <= PLAUSIBLE_FPS[1] else 30.0
    return ClipInfo(width, height, fps, film.frames, film.seconds, film)


def _check_file(path: Path) -> None:
    """Refuse what does not begin like a video, is empty or too large."""
    try:
        require(not path.is_dir(), "This is a folder: please name a video file in it.")
        require(path.is_file(), "The video file was not found: please check its path.")
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(256)
    except OSError as error:
        raise ClipError(f"The video file cannot be read ({error.strerror}): please check its path.") from None
    require(size > 0, "The file is empty: please copy or upload it again.")
    require(size <= MAX_BYTES, f"The file is larger than {MAX_BYTES / 2**30:.0f} GB: please cut or compress it first.")
    known = any(head[at : at + len(mark)] == mark for at, mark in _SIGNATURES)
    known = known or any(head[at : at + 1] == head[at + step : at + step + 1] == b"G" for at, step in _PACKETS)
    kind = next((f", it is {name}" for at, mark, name in _NO_FILMS if head[at : at + len(mark)] == mark), "")
    require(
        (known and not kind) or read_animation(path) is not None,
        f"This file is not a video{kind}: please use an MP4, MOV, WebM or AVI file.",
    )


def _check_size(width: int, height: int) -> None:
    require(
        min(width, height) >= MIN_SIDE,
        f"The picture is only {width} x {height} pixels: please use a clip of at least {MIN_SIDE} pixels a side.",
    )
    require(
        max(width, height) <= MAX_SIDE,
        f"The picture is {width} x {height} pixels: please reduce it to at most {MAX_SIDE} pixels a side.",
    )


def require(condition: bool, message: str) -> None:
    """Refuse the clip with `message` unless the condition holds."""
    if not condition:
        raise ClipError(message)
