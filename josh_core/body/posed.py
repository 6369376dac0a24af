"""Joints and contact points of a body track in the camera, as the stages after the fit need them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from josh_core.body.model import BodyModel
from josh_core.types import BodyTrack, Float


@dataclass(frozen=True)
class PosedPoints:
    """Points of one person in the camera of each of its frames, m."""

    joints: Float  # [n,24,3]
    contacts: Float  # [n,C,3]


def pose_points(track: BodyTrack, body: BodyModel) -> PosedPoints:
    """Joints and contact points of a body track in its cameras."""
    with torch.no_grad():
        p = body.points(
            torch.as_tensor(track.betas, dtype=torch.float32).expand(len(track.frames), -1),
            torch.as_tensor(track.rotations, dtype=torch.float32),
            torch.as_tensor(track.transl, dtype=torch.float32),
        )
    return PosedPoints(p.joints.double().numpy(), p.contacts.double().numpy())
