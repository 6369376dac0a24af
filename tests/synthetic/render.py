"""The scene as images: a rendered clip with a textured room and dressed people, in memory or as an mp4 file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from josh_core.body.names import JOINTS
from josh_core.body.posing import meshes_by_frame
from josh_core.export.pictures.raster import Canvas, View
from josh_core.types import Clip, Float, Int, UInt8
from tests.synthetic.scene import Synthetic

SKIN, HAIR, SHOES = (214, 168, 140), (58, 40, 30), (40, 40, 46)
SHIRTS, TROUSERS = ((176, 54, 48), (58, 96, 170)), ((44, 52, 84), (92, 84, 66))


def rendered_frames(synthetic: Synthetic) -> Iterator[UInt8]:
    """RGB pictures [h,w,3], one a frame."""
    truth, body = synthetic.truth, synthetic.body
    parts = [_clothing(synthetic, who) for who in range(len(truth.people))]
    grain = np.random.default_rng(0)
    for frame, meshes in enumerate(meshes_by_frame(truth, body)):
        view = View(truth.world_from_cam[frame], truth.intrinsics, truth.width, truth.height)
        hits = synthetic.room.cast_pixels(view.world_from_cam, view.intrinsics, view.width, view.height)
        canvas = Canvas(view, synthetic.room.colors(hits, truth.intrinsics[0, 0]).reshape(view.height, view.width, 3))
        _shadows(canvas, [v for _, v in meshes], float(truth.intrinsics[0, 0]))
        canvas.depth[:] = hits.distance.reshape(view.height, view.width) + 0.02  # feet touch the ground
        for person, vertices in meshes:
            for faces, color in parts[person.id]:
                canvas.mesh(vertices, faces, np.array(color, np.uint8))
        noisy = canvas.image + grain.normal(0, 2.0, canvas.image.shape)
        yield cv2.GaussianBlur(np.clip(noisy, 0, 255).astype(np.uint8), (3, 3), 0.6)


def rendered_clip(synthetic: Synthetic) -> Clip:
    """The rendered scene as a decoded clip."""
    jpegs = []
    for rgb in rendered_frames(synthetic):
        ok, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
        assert ok
        jpegs.append(data.tobytes())
    t = synthetic.truth
    return Clip(jpegs, t.frame_times, t.width, t.height, t.fps, name="synthetic", source_seconds=len(jpegs) / t.fps)


def write_video(synthetic: Synthetic, path: Path | str) -> None:
    """Write the rendered scene as an mp4 file."""
    t = synthetic.truth
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), t.fps, (t.width, t.height))
    assert writer.isOpened()
    for rgb in rendered_frames(synthetic):
        writer.write(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    writer.release()


def _clothing(synthetic: Synthetic, who: int) -> list[tuple[Int, tuple[int, int, int]]]:
    """Faces [F,3] of each piece of clothing with its colour."""
    body = synthetic.body
    rest = body.smpl.v_template.numpy()
    joints = body.j_template.numpy()
    owner = body.skin_weights.numpy().argmax(1)
    piece = np.full(len(rest), 0)  # skin
    names = np.array([JOINTS[j].removeprefix("left_").removeprefix("right_") for j in owner])
    piece[np.isin(names, ("spine1", "spine2", "spine3", "collar", "shoulder"))] = 1
    piece[np.isin(names, ("pelvis", "hip", "knee"))] = 2
    piece[np.isin(names, ("ankle", "foot"))] = 3
    head = joints[JOINTS.index("head")]
    crown = (names == "head") & (rest[:, 1] > head[1] + 0.07) & (rest[:, 2] < head[2] + 0.06)
    piece[crown | ((names == "head") & (rest[:, 1] > head[1] + 0.13))] = 4
    of_face = np.median(piece[body.faces], axis=1)
    colors = (SKIN, SHIRTS[who % 2], TROUSERS[who % 2], SHOES, HAIR)
    return [(body.faces[of_face == p], color) for p, color in enumerate(colors)]


def _shadows(canvas: Canvas, meshes: list[Float], focal: float) -> None:
    """Soft dark spots on the ground under the feet: without them people seem to float."""
    dark = np.zeros(canvas.image.shape[:2], np.float32)
    for vertices in meshes:
        low = vertices[vertices[:, 1] < 0.3] * [1, 0, 1]
        px, z = canvas.view.project(low)
        for (x, y), depth in zip(px[z > 0.1][::5], z[z > 0.1][::5], strict=True):
            cv2.circle(dark, (int(x), int(y)), max(1, int(0.05 * focal / depth)), 1.0, -1)
    dark = cv2.GaussianBlur(dark, (0, 0), 4.0)
    canvas.image[:] = (canvas.image * (1 - 0.45 * dark[..., None])).astype(np.uint8)
