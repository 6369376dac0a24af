"""The camera's path for other tools: nerfstudio-style transforms.json, OpenCV's numbers, COLMAP text, Nuke's .chan.

The clip that goes with a result has no lens distortion. For use with the original frames the same
files can be written with distortion (`lens=True`): k1 to k3 of OpenCV's model, COLMAP's FULL_OPENCV.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch

from josh_core.export.scene3d.points import thin
from josh_core.geometry import OPENCV_FROM_OPENGL, invert
from josh_core.types import Reconstruction

# Chosen by hand, except where a measurement or a source is given.
_COLMAP_POINTS = 60_000  # text takes about 60 bytes a point


def image_name(frame: int) -> str:
    """Name under which the camera files know a frame of the clip."""
    return f"frame_{frame:05d}.jpg"


def polynomial(result: Reconstruction) -> tuple[float, float, float]:
    """k1, k2, k3 of OpenCV's model, fitted to the lens out to the corners; the error is one pixel for a wide fisheye.

    The lens follows the division model (scene/camera/lens.py): the undistorted radius is r / (1 + d r^2) for the
    distorted radius r, in focal lengths.
    """
    if result.distortion == 0:
        return 0.0, 0.0, 0.0
    corner = np.hypot(result.width, result.height) / 2 / float(result.intrinsics[0, 0])
    seen = np.linspace(0, corner, 200)
    straight = seen / (1 + result.distortion * seen**2)
    terms = np.linalg.lstsq(straight[:, None] ** [3, 5, 7], seen - straight, rcond=None)[0]
    return float(terms[0]), float(terms[1]), float(terms[2])


def save_transforms(result: Reconstruction, path: Path, lens: bool = False) -> None:
    """Write `transforms_of` a result as `path` (.json)."""
    Path(path).write_text(json.dumps(transforms_of(result, lens), indent=1), encoding="utf-8")


def transforms_of(result: Reconstruction, lens: bool = False) -> dict[str, Any]:
    """Cameras in nerfstudio's layout: each frame's pose both with OpenGL and with OpenCV camera axes.

    lens: for the frames as they were filmed, with k1 to k3, instead of those of the undistorted clip.
    """
    k = np.asarray(result.intrinsics, np.float64)
    world_from_cam = np.asarray(result.world_from_cam, np.float64)
    k1, k2, k3 = polynomial(result)
    distortion = {"k1": k1, "k2": k2, "k3": k3, "p1": 0.0, "p2": 0.0} if lens else {}
    return {
        "camera_model": "OPENCV" if lens else "PINHOLE",
        **distortion,
        "w": result.width,
        "h": result.height,
        "fl_x": k[0, 0],
        "fl_y": k[1, 1],
        "cx": k[0, 2],
        "cy": k[1, 2],
        "fps": result.fps,
        "camera": result.camera_kind,
        "world": "right-handed, +Y up, metres, floor at y = 0, origin on the floor below the first camera",
        "transform_matrix": "world from camera, OpenGL camera axes: x right, y up, looks along -z",
        "world_from_cam_opencv": "world from camera, OpenCV camera axes: x right, y down, looks along +z",
        "pixels": "x right, y down, the first pixel's centre at (0.5, 0.5)",
        "frames": [
            {
                "file_path": f"images/{image_name(frame)}",
                "frame": frame,
                "time": float(result.frame_times[frame]),
                "transform_matrix": (pose @ OPENCV_FROM_OPENGL).tolist(),
                "world_from_cam_opencv": pose.tolist(),
            }
            for frame, pose in enumerate(world_from_cam)
        ],
    }


def save_opencv(result: Reconstruction, path: Path) -> None:
    """Write `path` (.json) in OpenCV's terms: camera matrix with pixel centres at integers, and distortion."""
    k = np.array(result.intrinsics, np.float64)
    k[:2, 2] -= 0.5
    k1, k2, k3 = polynomial(result)
    document = {
        "image_size": [result.width, result.height],
        "camera_matrix": k.tolist(),
        "dist_coeffs": [0.0] * 5,
        "dist_coeffs_of_the_original_frames": [k1, k2, 0.0, 0.0, k3],
        "pixels": "x right, y down, the first pixel's centre at (0, 0) as OpenCV counts",
        "order": "k1, k2, p1, p2, k3; the clip beside this result has its distortion taken out already",
    }
    Path(path).write_text(json.dumps(document, indent=1), encoding="utf-8")


def save_chan(result: Reconstruction, path: Path) -> None:
    """Write the camera's path as `path` (.chan), the text that Nuke, Houdini and Blender read.

    A line a frame, counted from 1: frame tx ty tz (m) rx ry rz (degrees) and the vertical field of view (degrees). The
    camera looks along -z with +y up; rotation order ZXY, Nuke's usual one: first about z, then x, then y.
    """
    world_from_gl = np.asarray(result.world_from_cam, np.float64) @ OPENCV_FROM_OPENGL
    rotations = torch.from_numpy(np.ascontiguousarray(world_from_gl[:, :3, :3]))
    yxz = roma.rotmat_to_euler("YXZ", rotations, degrees=True, as_tuple=False).numpy()  # rotation = Ry Rx Rz
    turns = np.unwrap(yxz, period=360, axis=0)[
        :, [1, 0, 2]
    ]  # no jump from 180 to -180, between which tools interpolate
    view = 2 * np.degrees(np.arctan(result.height / 2 / float(result.intrinsics[1, 1])))
    lines = []
    for frame, (place, turn) in enumerate(zip(world_from_gl[:, :3, 3], turns, strict=True), 1):
        lines.append("\t".join([str(frame), *(f"{value:.9g}" for value in (*place, *turn, view))]))
    Path(path).write_text("\n".join(lines) + "\n", "ascii")


def save_colmap(result: Reconstruction, folder: Path, lens: bool = False, frames: Sequence[int] | None = None) -> None:
    """Write cameras.txt, images.txt and points3D.txt into `folder`: one camera, `frames` or all, thinned scene.

    lens: a FULL_OPENCV camera for the frames as they were filmed, instead of a PINHOLE one for the undistorted clip.

    COLMAP's poses are camera from world with OpenCV axes; its pixel centres are at integer + 0.5 as ours. The world
    is the result's (+Y up, metres).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    k = np.asarray(result.intrinsics, np.float64)
    model, numbers, meaning = "PINHOLE", [k[0, 0], k[1, 1], k[0, 2], k[1, 2]], "fx fy cx cy (px)"
    if lens:
        k1, k2, k3 = polynomial(result)
        model, numbers = "FULL_OPENCV", [*numbers, k1, k2, 0.0, 0.0, k3, 0.0, 0.0, 0.0]
        meaning = "fx fy cx cy (px) k1 k2 p1 p2 k3 k4 k5 k6"
    camera = f"1 {model} {result.width} {result.height} " + " ".join(f"{number:.9g}" for number in numbers)
    (folder / "cameras.txt").write_text(f"# CAMERA_ID MODEL WIDTH HEIGHT {meaning}\n{camera}\n", "ascii")
    (folder / "images.txt").write_text(
        "\n".join(_image_lines(result, range(len(result.frame_times)) if frames is None else frames)) + "\n", "ascii"
    )
    (folder / "points3D.txt").write_text("\n".join(_point_lines(result)) + "\n", "ascii")


def _image_lines(result: Reconstruction, frames: Sequence[int]) -> list[str]:
    cam_from_world = invert(np.asarray(result.world_from_cam, np.float64))
    rotations = torch.from_numpy(np.ascontiguousarray(cam_from_world[:, :3, :3]))
    quats = roma.rotmat_to_unitquat(rotations).numpy()[:, [3, 0, 1, 2]]  # COLMAP writes w first
    lines = ["# IMAGE_ID QW QX QY QZ TX TY TZ (m) CAMERA_ID NAME, then a line of 2D points, here empty"]
    for frame in frames:
        pose = " ".join(f"{value:.12g}" for value in (*quats[frame], *cam_from_world[frame, :3, 3]))
        lines += [f"{frame + 1} {pose} 1 {image_name(frame)}", ""]
    return lines


def _point_lines(result: Reconstruction) -> list[str]:
    cloud = thin(result.scene, _COLMAP_POINTS)
    lines = ["# POINT3D_ID X Y Z (m) R G B ERROR TRACK[], tracks not given"]
    for i, (p, c) in enumerate(zip(cloud.points.tolist(), cloud.colors.tolist(), strict=True)):
        lines.append(f"{i + 1} {p[0]:.5f} {p[1]:.5f} {p[2]:.5f} {c[0]} {c[1]} {c[2]} 0")
    return lines
