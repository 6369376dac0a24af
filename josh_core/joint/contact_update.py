"""Second look at who touches the ground: labels of the image weighed against how the feet move in the state so far."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from josh_core.joint import residuals
from josh_core.joint.body_points import PointIndex
from josh_core.joint.body_terms import Sequence
from josh_core.joint.residual_blocks import Posed
from josh_core.types import Floor

REST_SPEED = 0.12  # m/s, spread of a resting point's speed in a state that is not final
FREE_SPEED = 2.0  # m/s, a moving foot has any speed up to this
REST_HEIGHT = 0.03  # m, spread of a resting point's height over the floor
FREE_HEIGHT = 0.15  # m, a moving foot has any height up to this
LABEL_SIGN = 4.0  # log odds beyond which a label is not believed
MOTION_SIGN = 2.5  # log odds that speed or height alone can add or take


def believed(at: Posed, sequence: Sequence, chance: Tensor, index: PointIndex, floor: Floor | None) -> Tensor:
    """Contact probability [N,C] after the state's motion: for feet, label odds times those of speed and height.

    A label from the image is blind where a foot is hidden or the background plain; a foot that rests in the state is
    then still seen to rest. chance: [N,C] of the labels.
    """
    if len(chance) < 2:
        return chance
    feet = index.feet
    p = at.points.p[:, index.contacts[feet]]
    odds = torch.logit(chance[:, feet], eps=1e-6).clamp(-LABEL_SIGN, LABEL_SIGN)
    odds = odds + _evidence(_speed(p, sequence), REST_SPEED, FREE_SPEED)
    if floor is not None:
        normal = torch.as_tensor(floor.normal, dtype=torch.float64)
        offset = at.state.log_scale.exp() * float(floor.offset)
        axes = torch.linalg.svd(normal[None])[2][1:]
        height, _ = residuals.floor_height(p, normal, axes, offset, at.state.floor)
        odds = odds + _evidence((height - index.clearance[feet]).abs(), REST_HEIGHT, FREE_HEIGHT)
    out = chance.clone()
    out[:, feet] = torch.sigmoid(odds)
    return out


def _evidence(x: Tensor, rest: float, free: float) -> Tensor:
    """Log odds of a half normal of spread `rest` against anything up to `free`, held within MOTION_SIGN."""
    log_rest = math.log(2 / (rest * math.sqrt(2 * math.pi))) - 0.5 * (x / rest) ** 2
    return (log_rest + math.log(free)).clamp(-MOTION_SIGN, MOTION_SIGN)


def _speed(p: Tensor, sequence: Sequence) -> Tensor:
    """Speed [N,C] in m/s over two frames, before or after, whichever is slower; p: [N,C,3] m.

    Rows without a neighbour in time on either side count as fast.
    """
    reach = min(2, len(p) - 1)
    gap = sequence.time[reach:] - sequence.time[:-reach]
    joined = (sequence.person[reach:] == sequence.person[:-reach]) & (
        sequence.frame[reach:] - sequence.frame[:-reach] == reach
    )
    step = (p[reach:] - p[:-reach]).norm(dim=-1) / torch.where(joined, gap, 1.0)[:, None]
    step = torch.where(joined[:, None], step, torch.inf)
    none = torch.full((reach, p.shape[1]), torch.inf, dtype=p.dtype)
    return torch.minimum(torch.cat([step, none]), torch.cat([none, step]))
