"""Contact updated between the rounds: the image's labels combined with how the feet move in the current state."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from josh_core.joint import residuals
from josh_core.joint.body_points import PointIndex
from josh_core.joint.body_terms import BodyFrames
from josh_core.joint.evaluated_state import EvaluatedState
from josh_core.types import Floor

# Chosen by hand, except where a measurement or a source is given.
REST_SPEED = 0.12  # m/s, spread of a resting point's speed in a state that is not final
FREE_SPEED = 2.0  # m/s, a moving foot has any speed up to this
REST_HEIGHT = 0.03  # m, spread of a resting point's height over the floor
FREE_HEIGHT = 0.15  # m, a moving foot has any height up to this
MAX_LABEL_ODDS = 4.0  # the labels' log odds are held within this
MAX_MOTION_ODDS = 2.5  # log odds that speed or height alone can add or remove


def update_contact(
    at: EvaluatedState,
    sequence: BodyFrames,
    probability: Tensor,
    index: PointIndex,
    floor: Floor | None,
    level: Tensor | None = None,
) -> Tensor:
    """Contact probability [N,C] given the labels and the current motion; for feet, the log odds of both are added.

    The image says nothing where a foot is hidden or the background has no texture; its speed and height in the
    current state do. probability: [N,C] of the labels; level: [N,C] m, height over the floor of what is under each
    point, 0 where None.
    """
    if len(probability) < 2:
        return probability
    feet = index.feet
    p = at.points.p[:, index.contacts[feet]]
    odds = torch.logit(probability[:, feet], eps=1e-6).clamp(-MAX_LABEL_ODDS, MAX_LABEL_ODDS)
    odds = odds + _log_odds(_speed(p, sequence), REST_SPEED, FREE_SPEED)
    if floor is not None:
        normal = torch.as_tensor(floor.normal, dtype=torch.float64)
        offset = at.state.log_scale.exp() * float(floor.offset)
        axes = torch.linalg.svd(normal[None])[2][1:]
        height, _ = residuals.floor_height(p, normal, axes, offset, at.state.floor)
        over = height if level is None else height - level[:, feet]
        odds = odds + _log_odds((over - index.clearance[feet]).abs(), REST_HEIGHT, FREE_HEIGHT)
    out = probability.clone()
    out[:, feet] = torch.sigmoid(odds)
    return out


def _log_odds(x: Tensor, rest: float, free: float) -> Tensor:
    """Log odds of a half normal of spread `rest` against anything up to `free`, held within MAX_MOTION_ODDS."""
    log_rest = math.log(2 / (rest * math.sqrt(2 * math.pi))) - 0.5 * (x / rest) ** 2
    return (log_rest + math.log(free)).clamp(-MAX_MOTION_ODDS, MAX_MOTION_ODDS)


def _speed(p: Tensor, sequence: BodyFrames) -> Tensor:
    """Speed [N,C] in m/s over two frames, before or after, whichever is slower; p: [N,C,3] m.

    Body frames without a neighbour in time on either side count as fast.
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
