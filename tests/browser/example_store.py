"""A small example with a known picture: two people in a courtyard, whose clip is the result drawn by our renderer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from josh_core.body import load_body
from josh_core.export.bundle import save_bundle
from josh_core.export.pictures.preview import render
from josh_core.export.pictures.video import encode
from josh_core.export.scene3d.glb import glb_bytes
from josh_core.metrics.quality import measure
from josh_core.types import Reconstruction, Surface, UInt8
from tests.example_result import made_up_result

FRAMES = 30
SIZE = (480, 270)  # px of the clip


def write_example(root: Path, name: str = "courtyard") -> None:
    """Write root/name/ with clip.mp4 and a result for every mode; baseline stands 0.3 m aside."""
    body = load_body()
    truth = made_up_result(body, frames=FRAMES, points=30_000)
    folder = root / name
    folder.mkdir(parents=True)
    encode((picture(truth, frame) for frame in range(FRAMES)), truth.frame_times, folder / "clip.mp4")
    (root / "index.json").write_text('{"courtyard": "Courtyard"}')
    (folder / "LICENSE").write_text("Made for tests.\n")
    for mode in ("baseline", "fast", "refine"):
        result = replace(_aside(truth) if mode == "baseline" else truth, mode=mode)
        result = replace(
            _in_green(result, len(body.skin_weights)),
            quality=measure(result, body),
            surface=_ground(flat=mode == "fast"),
        )
        save_bundle(result, folder / "result" / mode, files={"result.glb": glb_bytes(result, body)})


def picture(result: Reconstruction, frame: int) -> UInt8:
    """What the camera sees at a frame, [h,w,3]."""
    return render(result, load_body(), frame, "camera", size=SIZE)


def silhouette(frame: int) -> np.ndarray:
    """Where people are in that picture, [h,w] bool: where it differs from the empty courtyard."""
    truth = made_up_result(load_body(), frames=FRAMES, points=30_000)
    empty = replace(truth, people=())
    return np.abs(picture(truth, frame).astype(int) - picture(empty, frame)).sum(-1) > 0


def _ground(flat: bool) -> Surface:
    """The courtyard's ground as one square, violet all over; it rises toward its far end unless it is flat."""
    corners = np.array([[-5, 0, -14], [5, 0, -14], [-5, 0, 1], [5, 0, 1]], np.float32)
    if not flat:
        corners[:2, 1] = 0.5  # more than a floor
    violet = cv2.imencode(".jpg", np.full((16, 16, 3), [200, 40, 160], np.uint8))[1].tobytes()
    uv = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    return Surface(corners, np.array([[0, 2, 1], [1, 2, 3]], np.int32), uv, violet)


def _in_green(result: Reconstruction, vertices: int) -> Reconstruction:
    """The first person with an own look, green all over; the second one's was hardly seen."""
    green = np.tile(np.array([70, 160, 80], np.uint8), (vertices, 1))
    first, second = result.people
    people = replace(first, colors=green, colors_seen=0.5), replace(second, colors=green, colors_seen=0.01)
    return replace(result, people=people)


def _aside(result: Reconstruction) -> Reconstruction:
    shift = np.array([0.3, 0, 0], np.float32)
    people = tuple(replace(p, transl=p.transl + shift, joints=p.joints + shift) for p in result.people)
    return replace(result, people=people, scale_source="assumed")
