"""The body as the fit sees it: joints and landmarks with their derivatives by pose and shape, in numpy.

Linear blend skinning makes each point a sum over joints of rigidly carried rest points, and those are linear in the
betas. So one table of rest points gives positions and both derivatives exactly. Pose correctives, which the bundled
body does not have, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from josh_core.body import BodyModel
from josh_core.body.names import JOINTS, PARENTS
from josh_core.geometry import rotvec_to_rotmat
from josh_core.types import Bool, Float

SHAPES = 10
FIXED = ("left_foot", "right_foot", "left_hand", "right_hand")  # toes and fingers: no evidence turns them
FREE = np.array([j for j, name in enumerate(JOINTS) if name not in FIXED])
MOTION = 3 * len(FREE) + 3  # unknowns of one frame: turns of the free joints, then the translation


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
        turned[:, FREE] = turned[:, FREE] @ rotvec_to_rotmat(motion[:, :-3].reshape(n, -1, 3))
        return Pose(turned, self.transl + motion[:, -3:], self.betas + betas)


@dataclass(frozen=True)
class FitPoints:
    """Points of a pose: the 24 joints, then the 33 landmarks; derivatives only where they were asked for."""

    points: Float  # [n,57,3] m, camera
    by_motion: Float  # [n,57,3,MOTION]
    by_shape: Float  # [n,57,3,10]


@dataclass(frozen=True)
class FitBody:
    """Rest joints and rest points of a body; the leading 11 are the mean body and its ten shape directions."""

    joints: Float  # [11,24,3]
    shares: Float  # [57,24] how much each joint carries of each point
    carried: Float  # [11,57,24,3] rest point times share
    stature: Float  # [11] m, standing height

    @classmethod
    def of(cls, body: BodyModel) -> FitBody:
        """The points and shape directions of a body model."""
        joints = _with_directions(body.j_template, body.j_dirs)
        first = len(body.contact_names)  # the landmarks' vertices come after those of the contacts
        surface = _with_directions(body.p_template[first:], body.p_dirs[first:])  # [11,33,3]
        by_joint = body.landmark_joints.double().numpy()  # [33,24]
        by_skin = body.landmark_skin.double().numpy() * body.p_weights[first:].double().numpy()
        everyone = np.eye(len(JOINTS))
        carried = by_joint[..., None] * joints[:, None] + by_skin[..., None] * surface[:, :, None]
        own = everyone[..., None] * joints[:, None]
        return cls(joints, np.vstack([everyone, by_joint + by_skin]), np.concatenate([own, carried], 1), _stature(body))

    def at(self, betas: Float) -> tuple[Float, Float]:
        """Rest joints [24,3] and carried rest points [57,24,3] of a shape."""
        weights = np.concatenate([[1.0], betas])
        return np.tensordot(weights, self.joints, 1), np.tensordot(weights, self.carried, 1)

    def evaluate(self, pose: Pose, derivatives: bool = True) -> FitPoints:
        """Points of a pose and, if wanted, their derivatives by motion (as in Pose.moved) and by betas."""
        joints, carried = self.at(pose.betas)
        turn, place = _chain(pose.rotations, joints)
        parts = self._parts(turn, place, joints, carried)  # [n,57,24,3]
        points = parts.sum(2) + pose.transl[:, None]
        if not derivatives:
            return FitPoints(points, np.empty(0), np.empty(0))
        return FitPoints(points, self._by_motion(turn, place, parts), self._by_shape(pose.rotations, turn))

    def _parts(self, turn: Float, place: Float, joints: Float, carried: Float) -> Float:
        """What each joint carries of each point [n,57,24,3]."""
        arms = carried - self.shares[..., None] * joints
        return self.shares[..., None] * place[:, None] + np.einsum("njab,pjb->npja", turn, arms, optimize=True)

    def _by_motion(self, turn: Float, place: Float, parts: Float) -> Float:
        """A joint turning by d in its own axes moves what hangs on it by (turn d) x lever."""
        n, p = len(turn), len(self.shares)
        below = BELOW[FREE].astype(float)  # [F,24]
        lever = np.einsum("npja,fj->npfa", parts, below, optimize=True)
        lever -= (self.shares @ below.T)[..., None] * place[:, None, FREE]
        axes = turn[:, None, FREE]  # [n,1,F,3,3], columns are the joint's axes
        moved = np.cross(axes, lever[..., None], axisa=-2, axisb=-2, axisc=-2)  # [n,57,F,3,3]
        out = np.empty((n, p, 3, MOTION))
        out[..., :-3] = moved.swapaxes(2, 3).reshape(n, p, 3, -1)
        out[..., -3:] = np.eye(3)
        return out

    def _by_shape(self, rotations: Float, turn: Float) -> Float:
        columns = []
        for joints, carried in zip(self.joints[1:], self.carried[1:], strict=True):
            _, place = _chain(rotations, joints)
            arms = (carried - self.shares[..., None] * joints).reshape(len(carried), -1)  # [57,72]
            flat = turn.swapaxes(-1, -2).reshape(len(turn), -1, 3)  # [n,72,3]
            columns.append(self.shares @ place + arms @ flat)
        return np.stack(columns, -1)


def _with_directions(mean: object, directions: object) -> Float:
    """[11,P,3] from a mean [P,3] and directions [P,3,10] (tensors)."""
    return np.concatenate([_numpy(mean)[None], np.moveaxis(_numpy(directions), -1, 0)])


def _stature(body: BodyModel) -> Float:
    """Standing height of the mean body and how it grows with each beta [11]."""
    steps = torch.cat([torch.zeros(1, SHAPES), torch.eye(SHAPES)]).to(body.j_template)
    height = body.height(steps).double().numpy()
    return np.concatenate([height[:1], height[1:] - height[0]])


def _numpy(tensor: object) -> Float:
    return np.asarray(tensor, np.float64)


def _below() -> Bool:
    """[24,24] True where the second joint hangs on the first, or is it."""
    below = np.eye(len(JOINTS), dtype=bool)
    for j in reversed(range(1, len(JOINTS))):
        below[PARENTS[j]] |= below[j]
    return below


BELOW = _below()


def _chain(rotations: Float, joints: Float) -> tuple[Float, Float]:
    """Camera rotations [n,24,3,3] and places [n,24,3] (without translation) of the joints."""
    turn = np.empty(rotations.shape)
    place = np.empty(rotations.shape[:-1])
    turn[:, 0], place[:, 0] = rotations[:, 0], joints[0]
    for j in range(1, len(JOINTS)):
        up = PARENTS[j]
        turn[:, j] = turn[:, up] @ rotations[:, j]
        place[:, j] = place[:, up] + turn[:, up] @ (joints[j] - joints[up])
    return turn, place
