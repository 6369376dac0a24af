"""One person's motion as BVH, for tools that read skeletons only: +Y up, metres, frame k is frame k of the clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import roma
import torch

from josh_core.body.model import BodyModel
from josh_core.body.names import JOINTS, PARENTS
from josh_core.export.rig import rig_of, t_pose_root
from josh_core.geometry import interpolate_linear, interpolate_rotations, rotvec_to_rotmat
from josh_core.types import Float, PersonMotion, Reconstruction

# Chosen by hand, except where a measurement or a source is given.
_TIP = 0.08  # m, length drawn beyond a joint that has no child
_ORDER = "ZXY"  # order of rotation channels: rotation = Rz Rx Ry


def save_bvh(
    result: Reconstruction,
    body: BodyModel,
    person: PersonMotion,
    path: Path,
    names: Sequence[str] = JOINTS,
    t_pose: bool = False,
) -> None:
    """Write one person's skeleton and motion as `path` (.bvh).

    There is one pose for every frame of the clip, so all people and the camera stay synchronous; where the person
    was not seen the motion is interpolated, or constant before the first and after the last frame. Offsets and
    positions are metres in the result's world, angles are degrees.

    names: of the 24 joints in SMPL's order: JOINTS, MIXAMO, UNREAL or SOMA. t_pose: the file begins with a T-pose that
    tools use for retargeting, and frame k of the clip is frame k + 1 of the file.
    """
    rig = rig_of(body, person.betas)
    rest = rig.joints
    rotations, root = _every_frame(person, rest[0], len(result.frame_times))
    if t_pose:  # all rotations zero: SMPL's rest pose is a T-pose
        rotations = np.concatenate([np.tile(np.eye(3), (1, len(JOINTS), 1, 1)), rotations])
        root = np.concatenate([t_pose_root(rig, person)[None], root])
    angles = roma.rotmat_to_euler(_ORDER, torch.from_numpy(rotations), degrees=True, as_tuple=False).numpy()
    depth_first = _depth_first(0)
    values = np.concatenate([root, angles[:, depth_first].reshape(len(root), -1)], 1)
    lines = [
        "HIERARCHY",
        *_joint(0, rest, names, 0),
        "MOTION",
        f"Frames: {len(root)}",
        f"Frame Time: {1 / result.fps:.8f}",
    ]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in values]
    Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")


def _every_frame(person: PersonMotion, pelvis: Float, count: int) -> tuple[Float, Float]:
    """Joint rotations [T,24,3,3] and root positions [T,3] at every frame of the clip."""
    seen, every = person.frames.astype(np.float64), np.arange(count, dtype=np.float64)
    rotations = interpolate_rotations(rotvec_to_rotmat(person.pose), seen, every)
    return rotations, interpolate_linear(person.transl.astype(np.float64) + pelvis, seen, every)


def _children(joint: int) -> list[int]:
    return [child for child, parent in enumerate(PARENTS) if parent == joint]


def _depth_first(joint: int) -> list[int]:
    """Joints in the order in which the file names them."""
    return [joint, *(j for child in _children(joint) for j in _depth_first(child))]


def _joint(joint: int, rest: Float, names: Sequence[str], level: int) -> list[str]:
    """Lines of the HIERARCHY section for a joint and all below it."""
    pad, inner = "  " * level, "  " * (level + 1)
    root = PARENTS[joint] < 0
    offset = np.zeros(3) if root else rest[joint] - rest[PARENTS[joint]]
    turns = " ".join(f"{axis}rotation" for axis in _ORDER)
    channels = f"6 Xposition Yposition Zposition {turns}" if root else f"3 {turns}"
    lines = [f"{pad}{'ROOT' if root else 'JOINT'} {names[joint]}", pad + "{"]
    lines += [f"{inner}OFFSET {_numbers(offset)}", f"{inner}CHANNELS {channels}"]
    for child in _children(joint):
        lines += _joint(child, rest, names, level + 1)
    if not _children(joint):
        tip = _TIP * offset / max(float(np.linalg.norm(offset)), 1e-9)
        lines += [f"{inner}End Site", inner + "{", f"{inner}  OFFSET {_numbers(tip)}", inner + "}"]
    return [*lines, pad + "}"]


def _numbers(values: Float) -> str:
    return " ".join(f"{value:.6f}" for value in values)
