"""Which of the skinning table's points are contact points, landmarks and feet."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from josh_core.body.model import BodyModel
from josh_core.body.names import FEET, LANDMARKS, is_part


@dataclass(frozen=True)
class PointIndex:
    """Where the kinds of points are in the table's order."""

    contacts: Tensor  # [C] int
    landmarks: Tensor  # [33] int
    feet: Tensor  # [C] bool: contact points of the feet
    clearance: Tensor  # [C] m, height over the sole of the foot points in the rest pose, zero for others


def point_index(body: BodyModel) -> PointIndex:
    """The order of SkinningTable.of(body)."""
    n_joints, n_contacts = len(body.j_template), len(body.contact_names)
    feet = foot_points(body.contact_names)
    sole = body.smpl.v_template[:, 1].min().double()
    clearance = torch.where(feet, body.p_template[:n_contacts, 1].double() - sole, 0.0)
    landmarks = torch.arange(len(LANDMARKS)) + n_joints + n_contacts
    return PointIndex(torch.arange(n_joints, n_joints + n_contacts), landmarks, feet, clearance)


def foot_points(names: tuple[str, ...]) -> Tensor:
    """[C] bool: contact points of the feet."""
    return torch.tensor([is_part(name, FEET) for name in names], dtype=torch.bool)
