"""The unknowns of the body fit, and the body's points with their derivatives by these unknowns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from josh_core.body import BodyModel
from josh_core.body.model import SHAPES
from josh_core.body.names import JOINTS, LANDMARKS
from josh_core.body.skinning import SkinningTable, skinned_points
from josh_core.geometry import rotvec_to_rotmat
from josh_core.types import Float

# Toes and fingers: no landmark shows how they turn.
FIXED_JOINTS = ("left_foot", "right_foot", "left_hand", "right_hand")
FREE_JOINTS = np.array([j for j, name in enumerate(JOINTS) if name not in FIXED_JOINTS])
MOTION = 3 * len(FREE_JOINTS) + 3  # unknowns of one frame: turns of the free joints, then the translation
# Columns of the unknowns among those of all joints and the translation.
_COLUMNS = np.concatenate([(3 * FREE_JOINTS[:, None] + np.arange(3)).reshape(-1), 3 * len(JOINTS) + np.arange(3)])


@dataclass(frozen=True)
class Pose:
    """A person's motion in its cameras and its one shape."""

    rotations: Float  # [n,24,3,3] local, 0 is the root in camera axes
    transl: Float  # [n,3] m
    betas: Float  # [10]

    def retract(self, motion: Float, betas: Float) -> Pose:
        """The pose after a step: each free joint turns in its own axes by `motion` [n,MOTION], betas add up."""
        n = len(self.transl)
        turned = self.rotations.copy()
        turned[:, FREE_JOINTS] = turned[:, FREE_JOINTS] @ rotvec_to_rotmat(motion[:, :-3].reshape(n, -1, 3))
        return Pose(turned, self.transl + motion[:, -3:], self.betas + betas)


@dataclass(frozen=True)
class FitPoints:
    """Points of a pose: the 24 joints, then the 33 landmarks; derivatives only where they were asked for."""

    points: Float  # [n,57,3] m, camera
    by_motion: Float  # [n,57,3,MOTION]
    by_shape: Float  # [n,57,3,10]


@dataclass(frozen=True)
class FitBody:
    """Joints and landmarks of a body as the fit sees them."""

    table: SkinningTable  # of 57 points
    stature: Float  # [11] m, standing height of the mean body and its derivative by the betas

    @classmethod
    def of(cls, body: BodyModel) -> FitBody:
        """The joints and landmarks of a body model."""
        table = SkinningTable.of(body)
        joints, count = torch.arange(len(JOINTS)), len(table.weights)
        return cls(table.only(torch.cat([joints, torch.arange(count - len(LANDMARKS), count)])), _stature(body))

    @property
    def joints_by_beta(self) -> Float:
        """Derivatives [10,24,3] of the rest joints by the betas."""
        return np.moveaxis(self.table.joints_beta.numpy(), -1, 0)

    def rest_joints(self, betas: Float) -> Float:
        """Rest joints [24,3] m of a shape."""
        return self.table.joints.numpy() + self.table.joints_beta.numpy() @ betas

    def evaluate(self, pose: Pose, derivatives: bool = True) -> FitPoints:
        """Points of a pose and, if wanted, their derivatives by motion (as in Pose.retract) and by betas."""
        rotations, transl, betas = (torch.from_numpy(x) for x in (pose.rotations, pose.transl, pose.betas))
        p = skinned_points(self.table, rotations, transl, betas.expand(len(transl), -1), derivatives)
        if p.by_pose is None or p.by_shape is None:
            return FitPoints(p.p.numpy(), np.empty(0), np.empty(0))
        return FitPoints(p.p.numpy(), p.by_pose.numpy()[..., _COLUMNS], p.by_shape.numpy())


def _stature(body: BodyModel) -> Float:
    """Standing height of the mean body and how it grows with each beta [11]."""
    steps = torch.cat([torch.zeros(1, SHAPES), torch.eye(SHAPES)]).to(body.j_template)
    height = body.height(steps).double().numpy()
    return np.concatenate([height[:1], height[1:] - height[0]])
