"""A clip's file before its frames are used: whether it is a video, its size and length; or a refusal in a sentence."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# FFmpeg writes its complaints about broken files to stderr; the refusals below say what a user needs to know.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2

from josh_core.errors import ClipError

MIN_SIDE, MAX_SIDE = 64, 8192  # px of the source
MAX_BYTES = 2 * 2**30
PLAUSIBLE_FPS = (1.0, 1000.0)  # what a container says outside this range is not a frame rate

# Only these containers reach FFmpeg: text formats (playlists, concat scripts) could make it open other files.
_SIGNATURES = (
    *((4, box) for box in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")),  # MP4, MOV
    (0, b"\x1a\x45\xdf\xa3"),  # WebM, Matroska
    (0, b"RIFF"),  # AVI
    (0, b"OggS"),
    (0, b"GIF8"),
    (0, b"FLV\x01"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # WMV
    (0, b"\x00\x00\x01\xba"),  # MPEG program stream
    (0, b"G"),  # MPEG transport stream, 188-byte packets
)


@dataclass(frozen=True)
class ClipInfo:
    """What the container says about a video, without decoding it all."""

    width: int  # px, upright
    height: int  # px, upright
    fps: float  # average frames per second
    frames: int  # 0 when the container does not say
    seconds: float  # 0 when the container does not say
    size_bytes: int


def probe(path: str | os.PathLike[str]) -> ClipInfo:
    """Size, rate and length of a video file. Raises ClipError when it cannot be used at all."""
    size = _check_file(Path(path))
    capture = open_video(Path(path))
    try:
        _check_size(int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        # OpenCV knows the upright size for certain only once a frame has been decoded.
        decoded, image = capture.read()
        require(decoded, "No frame of this file can be decoded: please export it again as MP4 (H.264).")
        height, width = image.shape[:2]
        rate = capture.get(cv2.CAP_PROP_FPS)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    finally:
        capture.release()
    _check_size(width, height)
    fps = rate if PLAUSIBLE_FPS[0] <= rate <= PLAUSIBLE_FPS[1] else 30.0
    frames = int(count) if 0 < count < 1e8 else 0
    return ClipInfo(width, height, fps, frames, frames / fps, size)


def open_video(path: Path) -> cv2.VideoCapture:
    """The file opened at its first frame. Raises ClipError when it cannot be."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it would complain about broken files
    try:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        require(not _only_sound(path), "This file holds sound but no picture: please use a video.")
        raise ClipError("This video cannot be opened, it is damaged or incomplete: please copy or upload it again.")
    return capture


def _only_sound(path: Path) -> bool:
    """Whether the file can be read and has no picture."""
    import av

    try:
        with av.open(str(path)) as container:
            return bool(container.streams.audio) and not container.streams.video
    except av.FFmpegError:
        return False


def _check_file(path: Path) -> int:
    """Size in bytes of a file that begins like a video."""
    try:
        require(not path.is_dir(), "This is a folder: please name a video file in it.")
        require(path.is_file(), "The video file was not found: please check its path.")
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(189)
    except OSError as error:
        raise ClipError(f"The video file cannot be read ({error.strerror}): please check its path.") from None
    require(size > 0, "The file is empty: please copy or upload it again.")
    require(size <= MAX_BYTES, f"The file is larger than {MAX_BYTES / 2**30:.0f} GB: please cut or compress it first.")
    known = any(head[at : at + len(mark)] == mark for at, mark in _SIGNATURES)
    if head[:1] == b"G" and head[:4] != b"GIF8":
        known = head[188:189] == b"G"
    require(known, "This file is not a video: please use an MP4, MOV, WebM or AVI file.")
    return size


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
