"""The camera's path for other tools: nerfstudio-style transforms.json, and a COLMAP text model with the scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch

from josh_core.export.points import thin
from josh_core.geometry import invert
from josh_core.types import Reconstruction

_OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
_COLMAP_POINTS = 60_000  # text takes about 60 bytes a point


def image_name(frame: int) -> str:
    """Name under which the camera files know a frame of the clip."""
    return f"frame_{frame:05d}.jpg"


def save_transforms(result: Reconstruction, path: Path) -> None:
    """Write cameras as `path` (.json): each frame's pose both with OpenGL and with OpenCV camera axes."""
    k = np.asarray(result.intrinsics, np.float64)
    world_from_cam = np.asarray(result.world_from_cam, np.float64)
    document: dict[str, Any] = {
        "camera_model": "PINHOLE",
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
                "transform_matrix": (pose @ _OPENCV_FROM_OPENGL).tolist(),
                "world_from_cam_opencv": pose.tolist(),
            }
            for frame, pose in enumerate(world_from_cam)
        ],
    }
    Path(path).write_text(json.dumps(document, indent=1), encoding="utf-8")


def save_colmap(result: Reconstruction, folder: Path) -> None:
    """Write cameras.txt, images.txt and points3D.txt into `folder`: one PINHOLE camera, every frame, thinned scene.

    COLMAP's poses are camera from world with OpenCV axes; its pixel centres are at integer + 0.5 as ours. The world
    is the result's (+Y up, metres).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    k = np.asarray(result.intrinsics, np.float64)
    camera = f"1 PINHOLE {result.width} {result.height} {k[0, 0]:.9g} {k[1, 1]:.9g} {k[0, 2]:.9g} {k[1, 2]:.9g}"
    (folder / "cameras.txt").write_text(f"# CAMERA_ID MODEL WIDTH HEIGHT fx fy cx cy (px)\n{camera}\n", "ascii")
    (folder / "images.txt").write_text("\n".join(_image_lines(result)) + "\n", "ascii")
    (folder / "points3D.txt").write_text("\n".join(_point_lines(result)) + "\n", "ascii")


def _image_lines(result: Reconstruction) -> list[str]:
    cam_from_world = invert(np.asarray(result.world_from_cam, np.float64))
    rotations = torch.from_numpy(np.ascontiguousarray(cam_from_world[:, :3, :3]))
    quats = roma.rotmat_to_unitquat(rotations).numpy()[:, [3, 0, 1, 2]]  # COLMAP writes w first
    lines = ["# IMAGE_ID QW QX QY QZ TX TY TZ (m) CAMERA_ID NAME, then a line of 2D points, here empty"]
    for frame, (q, t) in enumerate(zip(quats, cam_from_world[:, :3, 3], strict=True)):
        pose = " ".join(f"{value:.12g}" for value in (*q, *t))
        lines += [f"{frame + 1} {pose} 1 {image_name(frame)}", ""]
    return lines


def _point_lines(result: Reconstruction) -> list[str]:
    cloud = thin(result.scene, _COLMAP_POINTS)
    lines = ["# POINT3D_ID X Y Z (m) R G B ERROR TRACK[], tracks not given"]
    for i, (p, c) in enumerate(zip(cloud.points.tolist(), cloud.colors.tolist(), strict=True)):
        lines.append(f"{i + 1} {p[0]:.5f} {p[1]:.5f} {p[2]:.5f} {c[0]} {c[1]} {c[2]} 0")
    return lines
