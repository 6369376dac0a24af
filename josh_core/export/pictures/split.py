"""A video for sharing: the assembly line on the left, JOSH on the right, a thin line between, the same frames.

Each half shows its bodies over the clip, through its own camera, and the same people from outside on a floor with a
line each metre, from one viewpoint: through the camera both fit, and from outside it shows what contact is good for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from josh_core.body.model import BodyModel
from josh_core.body.posing import meshes_by_frame
from josh_core.errors import ResultError
from josh_core.export.pictures.preview import DARK, draw_grid, draw_people, draw_place, shoulder_view
from josh_core.export.pictures.raster import Canvas, View
from josh_core.export.pictures.video import encode, over_the_clip
from josh_core.progress import Progress
from josh_core.types import Clip, Float, Reconstruction, UInt8

LABELS = ("Assembly line", "JOSH")
# Chosen by hand, except where a measurement or a source is given.
_SIDE = 640  # px, longest side of each of the four pictures
_LINE = 2  # px between the halves
_WHITE = (240, 243, 247)
_TEXT = 0.6  # size of the labels, of OpenCV's font


def save_split(
    line: Reconstruction,
    josh: Reconstruction,
    body: BodyModel,
    clip: Clip,
    path: Path,
    progress: Progress | None = None,
) -> None:
    """Both results of one clip side by side as `path` (.mp4, H.264). Raises ResultError when they are of two clips."""
    if len(line.frame_times) != len(josh.frame_times) or line.clip.get("sha256") != josh.clip.get("sha256"):
        raise ResultError("The two results are not of the same clip; run the clip again.")
    encode(_frames((line, josh), body, clip, progress), josh.frame_times, path)


def _frames(
    results: tuple[Reconstruction, Reconstruction], body: BodyModel, clip: Clip, progress: Progress | None
) -> Iterator[UInt8]:
    first = clip.frame(0, _SIDE)
    size = first.shape[1], first.shape[0]
    view = shoulder_view(results[1], _joints(results), size)
    outside = [_stage(result, view) for result in results]
    under = size[0] >= size[1]  # pictures of a wide clip stand one under the other, of an upright one beside it
    for frame, meshes in enumerate(zip(*(meshes_by_frame(result, body) for result in results), strict=True)):
        if progress is not None:
            progress.update(frame / len(clip))
        picture = clip.frame(frame, _SIDE)
        halves = []
        for result, stage, people, label in zip(results, outside, meshes, LABELS, strict=True):
            seen = over_the_clip(picture, result, people, body, frame)
            world = stage.copy()
            draw_people(world, people, body)
            halves.append(_labelled(np.concatenate([seen, world.image], 0 if under else 1), label))
        bar = np.full((halves[0].shape[0], _LINE, 3), _WHITE, np.uint8)
        yield np.concatenate([halves[0], bar, halves[1]], 1)


def _stage(result: Reconstruction, view: View) -> Canvas:
    """The place without people, on a floor with a line each metre."""
    canvas = Canvas(view, DARK)
    draw_grid(canvas, result)
    draw_place(canvas, result)
    return canvas


def _joints(results: Iterable[Reconstruction]) -> Float:
    """Everybody's joints [N,3] m, or what is a metre before the cameras where there is nobody."""
    cameras = [result.world_from_cam[:1, :3, 3] + result.world_from_cam[:1, :3, 2] for result in results]
    joints = [person.joints.reshape(-1, 3) for result in results for person in result.people]
    return np.concatenate(joints or cameras).astype(np.float64)


def _labelled(picture: UInt8, text: str) -> UInt8:
    """The picture with a small label in its upper left corner."""
    out = np.ascontiguousarray(picture)
    (width, height), under = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, _TEXT, 1)
    box = out[10 : 10 + height + under + 10, 10 : 10 + width + 16]
    box[:] = (box * 0.35 + np.asarray(DARK) * 0.65).astype(np.uint8)
    cv2.putText(out, text, (18, 15 + height), cv2.FONT_HERSHEY_DUPLEX, _TEXT, _WHITE, 1, cv2.LINE_AA)
    return out
