"""Terms of the body fit between frames: smooth joints, a smooth depth, standing feet that do not move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from josh_core.body.names import JOINTS
from josh_core.bodyfit.fit_body import FitPoints
from josh_core.bodyfit.observations import Observations
from josh_core.lsq.robust import Cauchy
from josh_core.shapes import check_shapes
from josh_core.types import Float

J = len(JOINTS)
# Chosen by hand, except where a measurement or a source is given.
FRAME_SECONDS = 1 / 30  # s
ACCELERATION_SIGMA = 27.0  # m/s^2 of a joint between frames 1/30 s apart: 30 mm per frame squared
DEPTH_ACCELERATION_SIGMA = 6.0  # m/s^2 of the pelvis along the line of sight
STANCE_SPEED_SIGMA = 0.1  # m/s, standard deviation of a standing foot's speed
ROBUST = Cauchy(1.0)  # of that speed: beyond one standard deviation a foot probably moves
HEELS_AND_TOES = np.arange(29, 33)  # of BlazePose's landmarks


def smoothness(times: Float) -> sparse.csr_matrix:
    """Precision [n,n] of a path x over uneven times: x' P x is its squared acceleration over sigma squared, added up.

    Each second difference counts for the time it spans, so that the frame rate does not matter.
    """
    check_shapes("smoothness", times=(times, "n"))
    n = len(times)
    if n < 3:
        return sparse.csr_matrix((n, n))
    a, b = np.diff(times)[:-1], np.diff(times)[1:]
    second = np.stack([2 / (a * (a + b)), -2 / (a * b), 2 / (b * (a + b))]) / ACCELERATION_SIGMA
    second = second * np.sqrt(0.5 * (a + b) / FRAME_SECONDS)
    matrix = sparse.diags(list(second), [0, 1, 2], shape=(n - 2, n))
    return sparse.csr_matrix(matrix.T @ matrix)


def paths(posed: FitPoints, obs: Observations) -> tuple[Float, Float, Float]:
    """Quantities that are smooth over time [n,73], with derivatives: joints in axes that do not turn, pelvis depth.

    The depth is scaled so that one precision serves all.
    """
    n, stiff = len(posed.points), ACCELERATION_SIGMA / DEPTH_ACCELERATION_SIGMA

    def path(points: Float) -> Float:  # [n,24,3,...]
        columns = points[:, :J].reshape(n, J, 3, -1)
        turned = (obs.world_from_cam[:, None] @ columns).reshape(n, 3 * J, -1)
        return np.concatenate([turned, stiff * columns[:, 0, 2:]], 1)

    if not posed.by_motion.size:
        return path(posed.points)[..., 0], np.empty(0), np.empty(0)
    return path(posed.points)[..., 0], path(posed.by_motion), path(posed.by_shape)


@dataclass(frozen=True)
class StepResiduals:
    """Residuals between neighbouring frames and the term's part of the objective."""

    residual: Float  # [n-1,R]
    before: Float  # [n-1,R,MOTION] by the motion of the earlier frame
    after: Float  # [n-1,R,MOTION] by the motion of the later frame
    by_shape: Float  # [n-1,R,10]
    cost: float


def stance(posed: FitPoints, obs: Observations) -> StepResiduals:
    """Feet stand still or clearly move: velocity over sigma, robust per foot point and step (Cauchy).

    A camera that does not travel tells them apart, and then a foot that is still in the image cannot drift in depth.
    """
    n, rows = len(posed.points), 3 * len(HEELS_AND_TOES)
    span = np.diff(obs.times)[:, None]  # [n-1,1] s
    share = span / FRAME_SECONDS if obs.camera_stays else np.zeros_like(span)  # the same speed counts for its time

    def turned(d: Float) -> Float:  # [n,57,3,P] -> [n,12,P]
        return (obs.world_from_cam[:, None] @ d[:, J + HEELS_AND_TOES]).reshape(n, rows, d.shape[-1])

    velocity = np.diff(turned(posed.points[..., None])[..., 0], axis=0).reshape(n - 1, len(HEELS_AND_TOES), 3)
    velocity = velocity / (span * STANCE_SPEED_SIGMA)[..., None]
    square = (velocity**2).sum(-1)
    root_weight = np.sqrt(share * ROBUST.slope(square))[..., None]  # [n-1,4,1]
    residual = (root_weight * velocity).reshape(n - 1, rows)
    cost = float((share * ROBUST.value(square)).sum())
    if not posed.by_motion.size:
        return StepResiduals(residual, np.empty(0), np.empty(0), np.empty(0), cost)
    scale = np.repeat(root_weight[..., 0] / (span * STANCE_SPEED_SIGMA), 3, axis=1)[..., None]
    by_motion, by_shape = turned(posed.by_motion), turned(posed.by_shape)
    return StepResiduals(
        residual, -scale * by_motion[:-1], scale * by_motion[1:], scale * np.diff(by_shape, axis=0), cost
    )
