"""The body model's joints, contact points and landmarks as one partial skinning table for the solver."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from josh_core.body.model import BodyModel
from josh_core.body.names import FEET, is_part
from josh_core.joint.skinning import BodyTable


@dataclass(frozen=True)
class PointIndex:
    """Where the kinds of points are in the table's order."""

    contacts: Tensor  # [C] int
    landmarks: Tensor  # [33] int
    feet: Tensor  # [C] bool: contact points of the feet
    clearance: Tensor  # [C] m, height over the sole of the foot points in the rest pose, zero for others


def model_table(body: BodyModel) -> tuple[BodyTable, PointIndex]:
    """Table of joints, contact points and landmarks. Pose correctives, a few mm at feet and hands, are left out."""
    joints, joints_beta = body.j_template.double(), body.j_dirs.double()
    n_contacts, n_joints = len(body.contact_names), len(joints)
    share = torch.cat([torch.ones(n_contacts, 1), body.landmark_skin]).double()
    skin = share * body.p_weights.double()  # [P,J]
    at_joints = torch.cat([torch.zeros(n_contacts, n_joints), body.landmark_joints]).double()
    rest, rest_beta = body.p_template.double(), body.p_dirs.double()
    moment = skin[..., None] * (rest[:, None] - joints)
    moment_beta = skin[..., None, None] * (rest_beta[:, None] - joints_beta)
    eye = torch.eye(n_joints, dtype=torch.float64)
    still = torch.zeros(n_joints, n_joints, 3, dtype=torch.float64)
    table = BodyTable(
        parents=tuple(body.parents),
        joints=joints,
        joints_beta=joints_beta,
        mass=torch.cat([eye, skin + at_joints]),
        moment=torch.cat([still, moment]),
        moment_beta=torch.cat([still[..., None].expand(-1, -1, -1, joints_beta.shape[-1]), moment_beta]),
    )
    first = torch.arange(n_joints, n_joints + n_contacts)
    feet = foot_points(body.contact_names)
    sole = body.smpl.v_template[:, 1].min().double()
    clearance = torch.where(feet, rest[:n_contacts, 1] - sole, 0.0)
    return table, PointIndex(first, torch.arange(33) + n_joints + n_contacts, feet, clearance)


def foot_points(names: tuple[str, ...]) -> Tensor:
    """[C] bool: contact points of the feet."""
    return torch.tensor([is_part(name, FEET) for name in names], dtype=torch.bool)
