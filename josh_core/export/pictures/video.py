"""H.264 videos that browsers play: the clip itself, the bodies over it, and the clip beside a view from outside.

Encoding goes through PyAV, whose wheels bring their own encoder. Every frame keeps its own time stamp, so frame k of
a video is frame k of the result even if the clip's frame rate varies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from josh_core.body.model import BodyModel
from josh_core.body.posing import meshes_by_frame
from josh_core.errors import ResultError
from josh_core.export.pictures.preview import (
    DARK,
    Meshes,
    camera_view,
    draw_paths,
    draw_people,
    draw_place,
    meshes_at,
    named_view,
)
from josh_core.export.pictures.raster import Canvas
from josh_core.progress import Progress
from josh_core.shapes import check_shapes
from josh_core.types import Clip, Float, Reconstruction, UInt8

# Chosen by hand, except where a measurement or a source is given.
CLIP_SIDE = 960  # px, longest side of the clip in a video
_OPACITY = 0.72  # of the bodies over the clip
_TICKS = 90_000  # per second, the usual resolution of time stamps in video
_KEYFRAME_EVERY = 15  # frames: seeking decodes at most this many


def save_clip(clip: Clip, path: Path, progress: Progress | None = None) -> None:
    """Write the clip as the result uses it (upright, resampled, trimmed) as `path` (.mp4)."""
    encode((clip.frame(f, CLIP_SIDE) for f in _counted(len(clip), progress)), clip.times, path)


def save_overlay(
    result: Reconstruction, body: BodyModel, clip: Clip, path: Path, progress: Progress | None = None
) -> None:
    """Write the clip with all bodies drawn half transparent over it as `path` (.mp4)."""
    encode(_overlays(result, body, clip, progress), result.frame_times, path)


def save_side_by_side(
    result: Reconstruction, body: BodyModel, clip: Clip, path: Path, progress: Progress | None = None
) -> None:
    """Write the clip and, right of it, the world from outside at the same time, as `path` (.mp4)."""
    encode(_pairs(result, body, clip, progress), result.frame_times, path)


def read_clip(path: Path, times: Float) -> Clip:
    """The frames of a stored clip that a result's times [T] s belong to, which count from the clip's first frame.

    Raises ResultError when a time has no frame.
    """
    check_shapes("read_clip", times=(times, "T"))
    capture, begin = cv2.VideoCapture(str(path)), None
    jpegs: list[bytes] = []
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    try:
        while len(jpegs) < len(times) and capture.grab():
            stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            begin = stamp if begin is None else begin
            late = stamp - begin - times[len(jpegs)]
            if late < -step / 4:  # a frame that the result does not use
                continue
            if late > step / 2:
                break
            image = capture.retrieve()[1]
            scale = min(1.0, CLIP_SIDE / max(image.shape[:2]))
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            height, width = small.shape[:2]
            jpegs.append(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
    finally:
        capture.release()
    if not jpegs or len(jpegs) != len(times):
        raise ResultError("The result's clip does not have the result's frames; run the clip again.")
    return Clip(jpegs, times, width, height, 1 / step)


def overlay(result: Reconstruction, body: BodyModel, clip: Clip, frame: int, longest: int = CLIP_SIDE) -> UInt8:
    """One frame [h,w,3] sRGB of the clip with the bodies over it, seen through the recovered camera."""
    return over_the_clip(clip.frame(frame, longest), result, meshes_at(result, body, frame), body, frame)


def over_the_clip(picture: UInt8, result: Reconstruction, meshes: Meshes, body: BodyModel, frame: int) -> UInt8:
    """A picture [h,w,3] sRGB of the clip's `frame` with the bodies over it, seen through the recovered camera."""
    canvas = Canvas(camera_view(result, frame, (picture.shape[1], picture.shape[0])), picture)
    draw_people(canvas, meshes, body, plain=True)  # so that they stand out from the people under them
    drawn = np.isfinite(canvas.depth)
    out = picture.copy()
    out[drawn] = (_OPACITY * canvas.image[drawn] + (1 - _OPACITY) * picture[drawn]).astype(np.uint8)
    return out


def _overlays(result: Reconstruction, body: BodyModel, clip: Clip, progress: Progress | None) -> Iterator[UInt8]:
    meshes = meshes_by_frame(result, body)
    for frame in _counted(len(result.frame_times), progress):
        yield over_the_clip(clip.frame(frame, CLIP_SIDE), result, next(meshes), body, frame)


def _pairs(result: Reconstruction, body: BodyModel, clip: Clip, progress: Progress | None) -> Iterator[UInt8]:
    first = clip.frame(0, CLIP_SIDE)
    size = first.shape[1], first.shape[0]
    scene = Canvas(named_view(result, "third", size), DARK)
    draw_place(scene, result)
    meshes = meshes_by_frame(result, body)
    for frame in _counted(len(result.frame_times), progress):
        canvas = scene.copy()
        draw_people(canvas, next(meshes), body)
        draw_paths(canvas, result, frame)
        yield np.concatenate([clip.frame(frame, CLIP_SIDE), canvas.image], 1)


def encode(frames: Iterable[UInt8], times: Float, path: Path) -> None:
    """Write frames [h,w,3] sRGB, shown from times [T] s on, as H.264 (yuv420p, fast start) in `path` (.mp4)."""
    import av

    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = None
        for picture, time in zip(frames, times, strict=True):
            even = np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
            if stream is None:
                stream = container.add_stream("libx264", rate=_rate(times))
                stream.width, stream.height, stream.pix_fmt = even.shape[1], even.shape[0], "yuv420p"
                stream.options = {"preset": "veryfast", "crf": "23", "g": str(_KEYFRAME_EVERY), "bf": "0"}
                stream.codec_context.time_base = Fraction(1, _TICKS)
            video_frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            video_frame.pts = round((float(time) - float(times[0])) * _TICKS)
            video_frame.time_base = Fraction(1, _TICKS)
            container.mux(stream.encode(video_frame))
        if stream is not None:
            container.mux(stream.encode())


def _rate(times: Float) -> Fraction:
    """Nominal frames per second for the file's header; the time stamps are exact."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / 30
    return Fraction(1 / step).limit_denominator(1001)


def _counted(count: int, progress: Progress | None) -> Iterator[int]:
    """Frame numbers, reported to `progress`; raises Cancelled when asked to stop."""
    for frame in range(count):
        if progress is not None:
            progress.update(frame / count)
        yield frame
