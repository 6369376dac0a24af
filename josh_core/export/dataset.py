"""Images, person masks and cameras as one zip for nerfstudio, COLMAP and 3D Gaussian Splatting."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from josh_core.body.model import BodyModel
from josh_core.body.posing import meshes_by_frame
from josh_core.export.cameras import image_name, save_colmap, transforms_of
from josh_core.export.pictures.preview import DARK, camera_view, draw_people
from josh_core.export.pictures.raster import Canvas
from josh_core.export.pictures.video import CLIP_SIDE
from josh_core.export.scene3d.ply import save_ply
from josh_core.progress import Progress
from josh_core.types import Clip, Reconstruction, UInt8

# Chosen by hand, except where a measurement or a source is given.
# Dilation of the masks for clothes and hair, of the image's longest side: 8 cm on a person 300 of 960 px high.
_DILATION = 0.015
_MAX_IMAGES = 300  # evenly over the clip, usual for a scene in these tools; all frames of a minute would be 0.5 GB
_POINTS = "scene.ply"
_README = """Images, person masks and cameras of one clip, for nerfstudio, COLMAP and 3D Gaussian Splatting

images/           {images} of the clip's {frames} frames, numbered as in the clip, {width} x {height},
                  lens distortion taken out
masks/            a mask for each image: black where a person is (leave out), white elsewhere. Drawn from the
                  reconstructed bodies and widened by {wider} px, so that clothes and hair are mostly covered too.
transforms.json   cameras for nerfstudio (OpenGL axes), with mask_path and the points to start from
sparse/0/         the same cameras as a COLMAP text model (camera from world, OpenCV axes), with the points
{points}         scene points with colour

World: right-handed, +Y up, metres, floor at y = 0. First pixel's centre at (0.5, 0.5).
"""


def mask_name(frame: int) -> str:
    """Name of a frame's mask: COLMAP looks for the image's name with .png behind it."""
    return f"{image_name(frame)}.png"


def save_dataset(
    result: Reconstruction, body: BodyModel, clip: Clip, path: Path, progress: Progress | None = None
) -> None:
    """Write `path` (.zip), completely or not at all, from a result and the frames that it was solved on.

    clip: T undistorted frames, of the result's size or reduced. Images are its JPEGs as they are; cameras are given for
    their size.
    """
    sized = _sized(result, clip)
    frames = np.unique(np.linspace(0, len(clip) - 1, min(_MAX_IMAGES, len(clip))).round().astype(int)).tolist()
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_STORED) as archive:
            for frame, mask in _masks(sized, body, frames):
                if progress is not None:
                    progress.update(frame / len(clip))
                archive.writestr(f"images/{image_name(frame)}", clip.jpegs[frame])
                archive.writestr(f"masks/{mask_name(frame)}", cv2.imencode(".png", mask)[1].tobytes())
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                _describe(sized, folder, frames)
                for file in sorted(f for f in folder.rglob("*") if f.is_file()):
                    archive.write(file, file.relative_to(folder).as_posix(), zipfile.ZIP_DEFLATED)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _sized(result: Reconstruction, clip: Clip) -> Reconstruction:
    """The result with the camera of the clip's own frames, which may be smaller than those that were solved."""
    scale = min(1.0, CLIP_SIDE / max(result.width, result.height))
    reduced = round(result.width * scale), round(result.height * scale)
    if (reduced[0] // 2 * 2, reduced[1] // 2 * 2) != (clip.width, clip.height):  # a clip that was stored otherwise
        reduced = clip.width, clip.height
    k = np.asarray(result.intrinsics, np.float64).copy()
    k[0] *= reduced[0] / result.width
    k[1] *= reduced[1] / result.height
    return replace(result, width=clip.width, height=clip.height, intrinsics=k)  # an odd last row or column was cut off


def _describe(result: Reconstruction, folder: Path, frames: list[int]) -> None:
    """Write cameras, points and README beside images and masks."""
    document = transforms_of(result)
    document["ply_file_path"] = _POINTS
    document["frames"] = [document["frames"][frame] for frame in frames]
    for frame in document["frames"]:
        frame["mask_path"] = f"masks/{mask_name(frame['frame'])}"
    (folder / "transforms.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    save_colmap(result, folder / "sparse" / "0", frames=frames)
    save_ply(result, folder / _POINTS)
    text = _README.format(
        images=len(frames),
        frames=len(result.frame_times),
        width=result.width,
        height=result.height,
        wider=_widening(result),
        points=_POINTS,
    )
    (folder / "README.txt").write_text(text, encoding="utf-8")


def _widening(result: Reconstruction) -> int:
    return max(1, round(_DILATION * max(result.width, result.height)))


def _masks(result: Reconstruction, body: BodyModel, frames: list[int]) -> Iterator[tuple[int, UInt8]]:
    """Each of `frames` with its mask [h,w] u8: 0 on people and their dilated outline, 255 elsewhere."""
    reach = 2 * _widening(result) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    wanted = set(frames)
    for frame, meshes in enumerate(meshes_by_frame(result, body)):
        if frame not in wanted:
            continue
        canvas = Canvas(camera_view(result, frame, (result.width, result.height)), DARK)
        draw_people(canvas, meshes, body)
        near = cv2.dilate(255 * np.isfinite(canvas.depth).astype(np.uint8), disc)
        yield frame, np.asarray(255 - near, np.uint8)
