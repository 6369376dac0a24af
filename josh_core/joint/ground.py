"""What the contact points of a state may rest on: the floor, or supports that the contacts show in that state."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from josh_core.contact.supports import MAX_SLOPE, Touching, common_sigma, find_supports, height_over_support
from josh_core.geometry import rotation_between
from josh_core.joint import residuals
from josh_core.joint.body_points import PointIndex
from josh_core.joint.body_terms import BodyFrames
from josh_core.joint.evaluated_state import EvaluatedState
from josh_core.joint.interface import JointStart
from josh_core.joint.scene_terms import SceneSigmas, tilt_axes
from josh_core.joint.variables import FloorTerm, State
from josh_core.lsq.robust import Cauchy
from josh_core.types import Float, Floor


def support_level(
    at: EvaluatedState, start: JointStart, floor: Floor, sequence: BodyFrames, probability: Tensor, index: PointIndex
) -> Tensor:
    """Height [N,C] m over the floor of what is under each contact point: 0 on the floor. probability: [N,C]."""
    up = floor.normal if start.up is None else start.up
    turn = rotation_between(up, np.array([0.0, 1.0, 0.0]))
    ground = metric_floor(floor, at.state)
    ground = Floor(turn @ ground.normal, ground.offset, ground.confidence)
    points = at.points.p[:, index.contacts].numpy() @ turn.T
    cameras = at.centre.numpy() @ turn.T
    people = [
        _touching(points[mine], probability[torch.from_numpy(mine)].numpy(), sequence, mine, sigma)
        for mine, sigma in (
            ((sequence.person == k).numpy(), common_sigma(body.height_sigma, start.scale_sigma, cameras, ground))
            for k, body in enumerate(start.bodies)
        )
        if mine.any()
    ]
    supports = find_supports(people, tuple(start.body.contact_names), ground)
    height = points @ ground.normal + ground.offset
    return torch.from_numpy(height - height_over_support(points, ground, supports))


def ground_term(
    at: EvaluatedState, start: JointStart, level: Tensor, sequence: BodyFrames, index: PointIndex, s: SceneSigmas
) -> FloorTerm | None:
    """Contact points over the floor itself that are, or may come, under it.

    level: [N,C] m, height over the floor of what is under each point: who is over a support is left alone, as only
    contacts tell its height. None without a floor, where nobody is near the ground, and over a floor that follows a
    flight of steps, which is not solid between them.
    """
    floor = start.floor
    if floor is None or (start.up is not None and float(floor.normal @ start.up) < np.cos(MAX_SLOPE)):
        return None
    normal = torch.tensor(np.asarray(floor.normal, np.float64))
    axes, offset = tilt_axes(normal), torch.tensor(float(floor.offset), dtype=torch.float64)
    height, _ = residuals.floor_height(
        at.points.p[:, index.contacts], normal, axes, at.state.log_scale.exp() * offset, at.state.floor
    )
    near = (height < s.ground_reach) & (height > -s.ground_depth) & (level == 0)
    weight = near * sequence.independent[:, None]
    ever = near.any(0)
    if not bool(ever.any()):
        return None
    points = index.contacts[ever]
    zero = torch.zeros(len(points), dtype=torch.float64)
    return FloorTerm(normal, axes, offset, points, zero, weight[:, ever], s.ground, Cauchy(3.0), one_sided=True)


def metric_floor(floor: Floor, state: State) -> Floor:
    """The floor after its tilt and height, in metres."""
    start = torch.tensor(np.asarray(floor.normal, np.float64))
    normal = (start + state.floor[:2] @ tilt_axes(start)).numpy()
    length = float(np.linalg.norm(normal))
    offset = float(state.log_scale.exp()) * floor.offset + float(state.floor[2])
    return Floor(normal / length, offset / length, floor.confidence)


def _touching(points: Float, probability: Float, sequence: BodyFrames, mine: Float, sigma: float) -> Touching:
    return Touching(points, probability, sequence.frame.numpy()[mine], sequence.time.numpy()[mine], sigma)
