"""Other formats of a result, and everything as one zip with a README.txt of frames, units, axes and frame rate."""

from __future__ import annotations

import os
import secrets
import zipfile
from collections.abc import Mapping
from pathlib import Path

from josh_core.body.model import BodyModel
from josh_core.export.bundle import ARRAYS, MANIFEST
from josh_core.export.cameras import polynomial
from josh_core.export.formats import FORMATS
from josh_core.types import Reconstruction

_ALREADY_PACKED = {".npz", ".mp4"}  # compressed formats, stored as they are

_README = """{name}: 4D reconstruction, mode {mode}

WORLD   right-handed, +Y up, metres; floor at y = 0; origin on the floor below the first camera, which heads toward -Z
CAMERA  intrinsics in pixels of a {width} x {height} image, first pixel's centre at (0.5, 0.5); OpenCV axes (x right,
        y down, z forward) unless a file says otherwise
TIME    {frames} frames at {fps:.6g} frames per second, counted from 0; frame k is at frame_times[k] in arrays.npz
PEOPLE  person_0 ... person_{last}; body model {body}; heights {heights}
SCALE   from {scale}

result.glb               animated scene for any glTF viewer and Blender: bodies with skeletons, place, camera, paths;
                         +Y up, metres, seconds. Viewers and Blender apply four skin weights a vertex.
blender_import.py        opens result.glb in Blender with its camera and clip.mp4 behind it (sets the frame rate first:
                         without that Blender reads the animation at 24 frames per second), and writes FBX:
                         blender --background --python blender_import.py -- result.fbx
bundle/                  manifest.json and arrays.npz (numpy, no pickle): everything else here is made from these
people/person_K.bvh      skeleton and motion: +Y up, metres, degrees, one pose for each frame of the clip; where the
                         person is not seen the pose is interpolated or held
people/person_K_mixamo.bvh  the same for retargeting: Mixamo's joint names, and one frame more, a T-pose, comes first
people/person_K_unreal.bvh  the same under the joint names of Unreal's mannequin
people/person_K_soma.bvh the same under SOMA's joint names: its Root, Neck2, face and fingers are left out, since the
                         body has no such joints
people/person_K_smpl.npz SMPL parameters under AMASS's names, but +Y up and only the frames in which the person is seen
people/person_K.trc      24 joints and 21 markers for OpenSim and Pose2Sim: +Y up, metres, frames counted from 0; empty
                         cells where the person is not seen
camera/transforms.json   cameras as nerfstudio reads them (OpenGL axes) and with OpenCV axes; the images that they name
                         are in dataset.zip, with masks of the people: a download of its own
camera/colmap/           COLMAP text model: camera from world, OpenCV axes, quaternions w first
camera/opencv.json       camera matrix and distortion in OpenCV's terms (first pixel's centre at 0)
camera/camera.chan       the camera's path for Nuke, Houdini and Blender: frames counted from 1, metres, degrees,
                         rotation order ZXY (about z first), looks along -z, last column the vertical field of view
camera/original_lens/    the same cameras for the frames as they were filmed: FULL_OPENCV for COLMAP, k1 to k3
                         for nerfstudio; only where the lens bends lines. All else here speaks of undistorted frames.
scene.ply                scene points with colour (sRGB) and confidence
splats.ply               the same points as flat Gaussian splats in the usual layout (log scales, log odds of opacity,
                         quaternions w first); not trained. +Y is up, where many viewers expect -Y: turn the scene over.
quality.csv              what was measured on this result, with verdicts
clip.mp4                 the clip as it was used: upright, trimmed, lens distortion taken out (k1 {k1:+.4f}); frame k is
                         frame k of the result
overlay.mp4              bodies over the clip
side_by_side.mp4         the clip beside the world seen from outside

{licences}
"""
_BUNDLE = (MANIFEST, ARRAYS)


def write_formats(result: Reconstruction, body: BodyModel, folder: Path) -> None:
    """Write the usual formats for other programs, with a README.txt, into `folder` (made if missing)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for form in FORMATS:
        if form.usual:
            form.write(result, body, folder)
    (folder / "README.txt").write_text(readme(result), encoding="utf-8")


def pack(bundle: Path, formats: Path, videos: Mapping[str, Path], path: Path) -> None:
    """Pack a bundle's files, a folder of `write_formats`, and videos by name as `path` (.zip), complete or absent."""
    inside = {f.relative_to(formats).as_posix(): f for f in sorted(formats.rglob("*")) if f.is_file()}
    inside |= {"result.glb": bundle / "result.glb"} | {f"bundle/{name}": bundle / name for name in _BUNDLE}
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
            for name, file in (inside | dict(videos)).items():
                method = zipfile.ZIP_STORED if file.suffix in _ALREADY_PACKED else zipfile.ZIP_DEFLATED
                archive.write(file, name, method)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def readme(result: Reconstruction) -> str:
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
        k1=polynomial(result)[0],
        licences="LICENCES\n" + "\n".join(f"- {licence}" for licence in result.licences) if result.licences else "",
    )
