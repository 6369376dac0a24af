"""The body as the exporters need it: rest shape of one person, four weights a vertex, continuous rotations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import roma
import torch

from josh_core.body.model import BodyModel
from josh_core.types import Float, Int, PersonMotion


@dataclass(frozen=True)
class Rig:
    """One person's shape at rest; rest coordinates are SMPL's: metres, y up, facing +z."""

    vertices: Float  # [V,3] m
    joints: Float  # [24,3] m


def rig_of(body: BodyModel, betas: Float) -> Rig:
    """The rig of one shape `betas` [10]."""
    shape = torch.as_tensor(np.asarray(betas, np.float32))[None]
    with torch.no_grad():
        return Rig(body.rest_vertices(shape)[0].double().numpy(), body.rest_joints(shape)[0].double().numpy())


def t_pose_root(rig: Rig, person: PersonMotion) -> Float:
    """Position [3] m of the root for a T-pose facing +z: above the person's first position, feet on the floor y = 0."""
    x, _, z = person.transl[0] + rig.joints[0]
    return np.array([x, rig.joints[0, 1] - rig.vertices[:, 1].min(), z])


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
