"""The body as the exporters need it: rest shape of one person, four weights a vertex, continuous rotations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import roma
import torch

from josh_core.body.model import BodyModel
from josh_core.geometry import rotvec_to_rotmat
from josh_core.types import Float, Int

JOINT_NAMES = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip


@dataclass(frozen=True)
class Rig:
    """One person's shape at rest; rest coordinates are SMPL's: metres, y up, facing +z."""

    vertices: Float  # [V,3] m
    joints: Float  # [24,3] m
    contacts: Float  # [C,3] m
    faces: Int  # [F,3]
    parents: tuple[int, ...]  # [24], -1 at the root
    weights: Float  # [V,24] skin weights


def rig_of(body: BodyModel, betas: Float) -> Rig:
    """The rig of one shape `betas` [10]."""
    rest = np.zeros((1, 24, 3)), np.zeros((1, 3))
    joints, contacts = posed_points(body, betas, *rest)
    return Rig(
        posed_vertices(body, betas, *rest)[0],
        joints[0],
        contacts[0],
        np.asarray(body.faces),
        tuple(int(p) for p in body.parents),
        np.asarray(body.weights, np.float64),
    )


def posed_vertices(body: BodyModel, betas: Float, pose: Float, transl: Float) -> Float:
    """Vertices [n,V,3] m in the world of axis-angle `pose` [n,24,3] and SMPL translation `transl` [n,3]."""
    with torch.no_grad():
        return body.vertices(*_tensors(betas, pose, transl)).double().numpy()


def posed_points(body: BodyModel, betas: Float, pose: Float, transl: Float) -> tuple[Float, Float]:
    """Joints [n,24,3] and contact points [n,C,3], m in the world."""
    with torch.no_grad():
        points = body.points(*_tensors(betas, pose, transl))
    return points.joints.double().numpy(), points.contacts.double().numpy()


def _tensors(betas: Float, pose: Float, transl: Float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rotations = rotvec_to_rotmat(pose)
    return (
        torch.as_tensor(np.asarray(betas), dtype=torch.float32).expand(len(pose), -1),
        torch.as_tensor(rotations, dtype=torch.float32),
        torch.as_tensor(np.asarray(transl), dtype=torch.float32),
    )


def top_weights(weights: Float, count: int = 4) -> tuple[Int, Float]:
    """Joint indices and weights [V,count] of the strongest joints of each vertex, renormalised to sum 1."""
    order = np.argsort(-weights, 1, kind="stable")[:, :count]
    strongest = np.take_along_axis(weights, order, 1)
    return order, strongest / strongest.sum(1, keepdims=True)


def vertex_normals(vertices: Float, faces: Int) -> Float:
    """Unit normals [V,3], area-weighted, of vertices [V,3] and faces [F,3]; +y where undefined."""
    corners = vertices[faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], area)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-12, normals / np.maximum(length, 1e-12), np.array([0.0, 1.0, 0.0]))


def quaternions(rotvec: Float) -> Float:
    """Unit quaternions XYZW [n,...,4] of rotation vectors [n,...,3], without sign jumps along the first axis."""
    tensor = torch.from_numpy(np.ascontiguousarray(rotvec, np.float64))
    quats = roma.rotvec_to_unitquat(tensor).numpy()
    same = (quats[1:] * quats[:-1]).sum(-1, keepdims=True) >= 0
    sign = np.cumprod(np.where(same, 1.0, -1.0), 0)
    return np.concatenate([quats[:1], quats[1:] * sign])


def runs(frames: Int) -> list[tuple[int, int]]:
    """Row ranges [start, end) of the stretches of consecutive frame numbers."""
    if len(frames) == 0:
        return []
    cuts = np.flatnonzero(np.diff(frames) != 1) + 1
    edges = [0, *cuts.tolist(), len(frames)]
    return list(zip(edges[:-1], edges[1:], strict=True))
