"""Every file of a result in one zip, with a README.txt that says frames, units, axes and frame rate of each."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from josh_core.body.model import BodyModel
from josh_core.bundle import save_bundle
from josh_core.export.bvh import save_bvh
from josh_core.export.cameras import save_colmap, save_transforms
from josh_core.export.glb import glb_bytes
from josh_core.export.ply import save_ply
from josh_core.export.smpl_npz import save_smpl
from josh_core.export.table import save_table
from josh_core.export.video import save_clip, save_overlay, save_side_by_side
from josh_core.progress import Progress
from josh_core.types import Clip, Reconstruction

_BLENDER_SCRIPT = Path(__file__).with_name("blender_import.py")
_ALREADY_PACKED = {".npz", ".mp4"}  # compressing these again takes time and gains nothing

_README = """{name}: 4D reconstruction, mode {mode}

WORLD   right-handed, +Y up, metres; floor at y = 0; origin on the floor below the first camera, which heads toward -Z
CAMERA  intrinsics in pixels of a {width} x {height} image, first pixel's centre at (0.5, 0.5); OpenCV axes (x right,
        y down, z forward) unless a file says otherwise
TIME    {frames} frames at {fps:.6g} frames per second, counted from 0; frame k is at frame_times[k] in arrays.npz
PEOPLE  person_0 ... person_{last}; body model {body}; heights {heights}
SCALE   from {scale}

result.glb               animated scene for any glTF viewer and Blender: bodies with skeletons, points, camera, paths;
                         +Y up, metres, seconds. Viewers and Blender apply four skin weights a vertex.
blender_import.py        opens result.glb in Blender with its camera and clip.mp4 behind it (sets the frame rate first:
                         without that Blender reads the animation at 24 frames per second)
bundle/                  manifest.json and arrays.npz (numpy, no pickle): everything else here is made from these
people/person_K.bvh      skeleton and motion: +Y up, metres, degrees, one pose for each frame of the clip; where the
                         person is not seen the pose is interpolated or held
people/person_K_smpl.npz SMPL parameters under AMASS's names, but +Y up and only the frames in which the person is seen
camera/transforms.json   cameras as nerfstudio reads them (OpenGL axes) and with OpenCV axes
camera/colmap/           COLMAP text model: camera from world, OpenCV axes, quaternions w first
scene.ply                scene points with colour (sRGB) and confidence
quality.csv              what was measured on this result, with verdicts
{videos}
{licences}
"""
_VIDEOS = """clip.mp4                 the clip as it was used: upright, trimmed, frame k is frame k of the result
overlay.mp4              bodies over the clip
side_by_side.mp4         the clip beside the world seen from outside
"""


def write_files(
    result: Reconstruction,
    body: BodyModel,
    folder: Path,
    clip: Clip | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write every file into `folder` (made if missing); videos only with `clip`. Returns their paths."""
    folder = Path(folder)
    for sub in ("people", "camera"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    (folder / "result.glb").write_bytes(glb_bytes(result, body))
    save_bundle(result, folder / "bundle")
    for k, person in enumerate(result.people):
        save_bvh(result, body, person, folder / "people" / f"person_{k}.bvh")
        save_smpl(result, person, folder / "people" / f"person_{k}_smpl.npz")
    save_transforms(result, folder / "camera" / "transforms.json")
    save_colmap(result, folder / "camera" / "colmap")
    save_ply(result, folder / "scene.ply")
    save_table(result, folder / "quality.csv")
    shutil.copyfile(_BLENDER_SCRIPT, folder / _BLENDER_SCRIPT.name)
    (folder / "README.txt").write_text(readme(result, clip is not None), encoding="utf-8")
    if clip is not None:
        save_clip(clip, folder / "clip.mp4", progress)
        save_overlay(result, body, clip, folder / "overlay.mp4", progress)
        save_side_by_side(result, body, clip, folder / "side_by_side.mp4", progress)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def save_archive(
    result: Reconstruction,
    body: BodyModel,
    path: Path,
    clip: Clip | None = None,
    progress: Progress | None = None,
) -> None:
    """Write everything as one `path` (.zip), whole or not at all; videos only with `clip`."""
    path = Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export.") as temporary:
        folder = Path(temporary) / "files"
        packed = Path(temporary) / "packed.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
            for file in write_files(result, body, folder, clip, progress):
                method = zipfile.ZIP_STORED if file.suffix in _ALREADY_PACKED else zipfile.ZIP_DEFLATED
                archive.write(file, file.relative_to(folder).as_posix(), method)
        packed.replace(path)


def readme(result: Reconstruction, with_videos: bool) -> str:
    """Text of README.txt: what the files are, in which frame, unit and rate."""
    return _README.format(
        name=result.clip.get("name", "clip"),
        mode=result.mode,
        width=result.width,
        height=result.height,
        frames=len(result.frame_times),
        fps=result.fps,
        last=max(len(result.people) - 1, 0),
        body=result.body_model,
        heights=", ".join(f"{person.height_m:.2f} m" for person in result.people) or "-",
        scale=result.scale_source,
        videos=_VIDEOS if with_videos else "",
        licences="LICENCES\n" + "\n".join(f"- {licence}" for licence in result.licences) if result.licences else "",
    )
