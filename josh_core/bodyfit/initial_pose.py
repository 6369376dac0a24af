"""Start of the body fit: torso and limbs oriented as in the network's 3D landmarks, one frame at a time."""

from __future__ import annotations

import numpy as np

from josh_core.body.names import JOINTS, LANDMARKS
from josh_core.bodyfit.fit_body import FitBody, Pose
from josh_core.bodyfit.observations import MIN_PERSON_DEPTH, Observations
from josh_core.geometry import interpolate_rotations, rotvec_to_rotmat
from josh_core.types import Float

LIMB_CHAINS = (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
TORSO_LANDMARKS = [LANDMARKS.index(f"{s}_{x}") for s in ("left", "right") for x in ("shoulder", "hip", "knee")]


def initial_pose(fit_body: FitBody, obs: Observations) -> Pose:
    """A body of the expected height whose bones point as in the guess, at the depth of its size, on its pixels."""
    betas = np.zeros(10)
    betas[0] = (obs.height - fit_body.stature[0]) / fit_body.stature[1]
    rest = fit_body.rest_joints(betas)
    rotations = np.tile(np.eye(3), (len(obs.times), len(JOINTS), 1, 1))
    rotations[:, 0] = _torso(_landmarks_of(obs.guess, "left"), _landmarks_of(obs.guess, "right")) @ np.linalg.inv(
        _torso(_joints_of(rest, "left"), _joints_of(rest, "right"))
    )
    for side in ("left", "right"):
        for names in LIMB_CHAINS:
            a, b, c = (JOINTS.index(f"{side}_{n}") for n in names)
            p, q, r = (obs.guess[:, LANDMARKS.index(f"{side}_{n}")] for n in names)
            body = rotations[:, 0]
            rotations[:, a] = _swing(rest[b] - rest[a], _inside(body, q - p))
            rotations[:, b] = _swing(rest[c] - rest[b], _inside(body @ rotations[:, a], r - q))
    sure = ~obs.turned
    if sure.any():
        rotations = interpolate_rotations(rotations[sure], obs.times[sure], obs.times)
    pose = Pose(rotations, np.zeros((len(obs.times), 3)), betas)
    landmarks = fit_body.evaluate(pose, derivatives=False).points[:, len(JOINTS) :]
    return Pose(rotations, _place(landmarks[:, TORSO_LANDMARKS], obs), betas)


def _landmarks_of(landmarks: Float, side: str) -> Float:
    """Hip and shoulder [...,2,3] of one side."""
    return landmarks[..., [LANDMARKS.index(f"{side}_hip"), LANDMARKS.index(f"{side}_shoulder")], :]


def _joints_of(joints: Float, side: str) -> Float:
    return joints[..., [JOINTS.index(f"{side}_hip"), JOINTS.index(f"{side}_shoulder")], :]


def _torso(left: Float, right: Float) -> Float:
    """Axes [...,3,3] (columns: to the left, up, forward) of a torso from hip and shoulder of each side [...,2,3]."""
    up = _unit(left[..., 1, :] + right[..., 1, :] - left[..., 0, :] - right[..., 0, :])
    across = _unit((_unit(left - right)).sum(-2))
    across = _unit(across - up * (across * up).sum(-1, keepdims=True))
    return np.stack([across, up, np.cross(across, up)], -1)


def _inside(turn: Float, direction: Float) -> Float:
    """Camera directions [n,3] in axes that are turned by turn [n,3,3]."""
    return (turn.swapaxes(-1, -2) @ direction[..., None])[..., 0]


def _swing(rest: Float, direction: Float) -> Float:
    """Smallest rotations [n,3,3] from a rest direction [3] to directions [n,3]."""
    a, b = np.broadcast_to(_unit(rest), direction.shape), _unit(direction)
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (a * b).sum(-1, keepdims=True))
    return rotvec_to_rotmat(axis / np.maximum(sine, 1e-9) * angle)


def _unit(v: Float) -> Float:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def _place(anchors: Float, obs: Observations) -> Float:
    """Translations [n,3] that bring anchors [n,A,3] to their depth and, on average, onto their rays."""
    weight = (1 / obs.ray_sigma[:, TORSO_LANDMARKS])[..., None]
    weight = weight / weight.sum(1, keepdims=True)
    z = np.maximum(obs.depth - (weight[..., 0] * anchors[..., 2]).sum(1), MIN_PERSON_DEPTH)
    depth = np.maximum(z[:, None] + anchors[..., 2], MIN_PERSON_DEPTH)
    across = (weight * (obs.rays[:, TORSO_LANDMARKS] * depth[..., None] - anchors[..., :2])).sum(1)
    return np.concatenate([across, z[:, None]], -1)
