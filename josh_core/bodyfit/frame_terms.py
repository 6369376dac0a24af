"""Terms of the body fit within one frame: residuals over their standard deviations, and derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from josh_core.body.names import JOINTS
from josh_core.bodyfit.fit_body import FREE_JOINTS, MOTION, SHAPES, FitBody, FitPoints, Pose
from josh_core.bodyfit.observations import BONE_FROM, BONE_TO, Observations
from josh_core.bodyfit.pose_prior import PosePrior
from josh_core.geometry import rotmat_to_rotvec
from josh_core.lsq.robust import Cauchy
from josh_core.types import Float

J = len(JOINTS)
# Chosen by hand, except where a measurement or a source is given.
MIN_DEPTH = 0.1  # m, depth at which the projection is held
PIXEL_CAUCHY_WIDTH = 3.0  # standard deviations at which a landmark's weight falls to a half
BONE_WIDTH = 2.5  # the same for bones of the 3D guess
LIMIT_SIGMA = 0.05  # rad, standard deviation of a rotation beyond a joint limit
CORRELATION_SECONDS = 0.15  # s, correlation time of the network's errors: closer frames count as one observation
MAX_INDEPENDENT = 10.0  # independent observations at most, because the landmarks have a bias constant over the clip
HEIGHT_SIGMA = 0.005  # m: the height is held near the given one, since one camera cannot measure it
PROPORTION_SIGMA = 0.08  # of the bones' relative lengths in the 3D guess
# Of the betas; the first follows height. The others are narrower than among people: a difference between where the
# network places a landmark and where we do would otherwise be fitted as body mass, which landmarks do not show.
SHAPE_SIGMA = np.array([1.0] + [0.5] * (SHAPES - 1))
# Limbs whose relative lengths the 3D guess tells: joints of the left side; evidence bones of both.
LIMB_JOINTS = np.array([(1, 4), (4, 7), (16, 18), (18, 20)])
LIMB_ENDS = np.array([(23, 25), (25, 27), (11, 13), (13, 15)])


@dataclass(frozen=True)
class FrameResiduals:
    """Residuals of one term times the roots of their robust weights, and the term's part of the objective."""

    residual: Float  # [n,R]
    by_motion: Float  # [n,R,MOTION]
    by_shape: Float  # [n,R,10]
    cost: float
    gradient: Float | float = 0.0  # [n,MOTION] by each frame's motion, of what it changes in other frames' residuals


def pixels(posed: FitPoints, obs: Observations) -> FrameResiduals:
    """Landmarks lie on their pixels: (project(X) - u) / sigma, robust per landmark (Cauchy)."""
    p = posed.points[:, J:]
    z = np.maximum(p[..., 2:], MIN_DEPTH)
    residual = (p[..., :2] / z - obs.rays) / obs.ray_sigma[..., None]
    root_weight, cost = _cauchy(residual, PIXEL_CAUCHY_WIDTH)
    scale = root_weight / (z[..., 0] * obs.ray_sigma)
    turn = np.concatenate([np.broadcast_to(np.eye(2), (*z.shape[:2], 2, 2)), -(p[..., :2] / z)[..., None]], -1)
    return _frame_residuals(
        posed, residual * root_weight[..., None], cost, lambda d: scale[..., None, None] * (turn @ d[:, J:])
    )


def bones(posed: FitPoints, obs: Observations) -> FrameResiduals:
    """Bones point as in the 3D guess, whose bones are scaled to the body's own mean lengths; robust per bone.

    The scale is a mean over all frames. Its derivative by the shape is in the rows. Its derivative by the motion, which
    would tie every frame to every other, is in the gradient only: the normal matrix leaves it out (a bone's length
    hardly changes with the pose), so steps are a little different, but where they end the whole gradient is zero.
    """
    p = posed.points[:, J:]
    bone = p[:, BONE_TO] - p[:, BONE_FROM]
    length = np.median(np.linalg.norm(obs.bones, axis=-1), axis=0)
    own = np.linalg.norm(bone, axis=-1)  # [n,B]
    scale = own.mean(0) / np.maximum(length, 1e-3)
    residual = (bone - scale[:, None] * obs.bones) @ obs.sight / obs.bone_sigma
    root_weight, cost = _cauchy(residual, BONE_WIDTH)
    across = obs.sight.swapaxes(-1, -2)[:, None]
    weight = (root_weight[..., None] / obs.bone_sigma)[..., None]
    weighted = residual * root_weight[..., None]
    rows = _frame_residuals(
        posed,
        weighted,
        cost,
        lambda d: weight * (across @ (d[:, J + BONE_TO] - d[:, J + BONE_FROM])),
    )
    if not posed.by_motion.size:
        return rows
    stretched = -weight[..., 0] * (obs.bones @ obs.sight) / np.maximum(length, 1e-3)[:, None]  # [n,B,3] by mean length
    along = (bone / np.maximum(own, 1e-6)[..., None])[..., None, :]  # [n,B,1,3]

    def longer(d: Float) -> Float:  # [n,57,3,P] -> [n,B,P]
        return (along @ (d[:, J + BONE_TO] - d[:, J + BONE_FROM]))[..., 0, :]

    by_shape = stretched[..., None] * longer(posed.by_shape).mean(0)[:, None]
    pull = (stretched * weighted).sum((0, 2)) / len(own)  # [B]
    return replace(
        rows,
        by_shape=rows.by_shape + by_shape.reshape(rows.by_shape.shape),
        gradient=np.einsum("b,nbp->np", pull, longer(posed.by_motion)),
    )


def pose_prior_residuals(pose: Pose, prior: PosePrior, derivatives: bool) -> FrameResiduals:
    """Each joint's rotation near its usual one, and within the joint's limits (softly)."""
    turned = rotmat_to_rotvec(pose.rotations[:, FREE_JOINTS])  # [n,F,3]
    sigma = prior.sigma[..., FREE_JOINTS, :]
    usual = (turned - prior.mean[..., FREE_JOINTS, :]) / sigma
    beyond = turned - np.clip(turned, prior.least[FREE_JOINTS], prior.most[FREE_JOINTS])
    n = len(turned)
    residual = np.stack([usual, beyond / LIMIT_SIGMA], 2)  # [n,F,2,3]
    cost = float((residual**2).sum())
    if not derivatives:
        return FrameResiduals(residual.reshape(n, -1), np.empty(0), np.empty(0), cost)
    slope = np.stack([np.broadcast_to(1 / sigma, usual.shape), (beyond != 0) / LIMIT_SIGMA], 2)
    by_turn = slope[..., None] * _log_derivative(turned)[:, :, None]  # [n,F,2,3,3]
    by_motion = np.zeros((n, len(FREE_JOINTS), 2, 3, MOTION))
    for f in range(len(FREE_JOINTS)):
        by_motion[:, f, :, :, 3 * f : 3 * f + 3] = by_turn[:, f]
    rows = residual[0].size
    return FrameResiduals(residual.reshape(n, -1), by_motion.reshape(n, rows, -1), np.zeros((n, rows, SHAPES)), cost)


def shape(pose: Pose, obs: Observations, fit_body: FitBody) -> tuple[Float, Float]:
    """Residuals [R] and derivatives [R,10] of the betas: everyday shapes, a given height, proportions of the guess."""
    joints = fit_body.rest_joints(pose.betas)
    bone = joints[LIMB_JOINTS[:, 1]] - joints[LIMB_JOINTS[:, 0]]  # [4,3]
    length = np.linalg.norm(bone, axis=-1)
    by_beta = fit_body.joints_by_beta[:, LIMB_JOINTS[:, 1]] - fit_body.joints_by_beta[:, LIMB_JOINTS[:, 0]]  # [10,4,3]
    growth = np.einsum("kba,ba->bk", by_beta, bone) / length[:, None] ** 2
    relative = np.log(length) - np.log(_guessed_limbs(obs))
    residual = np.concatenate(
        [
            pose.betas / SHAPE_SIGMA,
            [(fit_body.stature[0] + fit_body.stature[1:] @ pose.betas - obs.height) / HEIGHT_SIGMA],
            (relative - relative.mean()) / PROPORTION_SIGMA,
        ]
    )
    derivative = np.vstack(
        [np.diag(1 / SHAPE_SIGMA), fit_body.stature[1:] / HEIGHT_SIGMA, (growth - growth.mean(0)) / PROPORTION_SIGMA]
    )
    if obs.shape is not None:
        residual = np.concatenate([residual, obs.shape.root @ pose.betas - obs.shape.target])
        derivative = np.vstack([derivative, obs.shape.root])
    weight = np.sqrt(len(obs.times) / looks(obs.times))
    return weight * residual, weight * derivative


def looks(times: Float) -> float:
    """Number of independent observations among frames at times [n] s."""
    return min(len(times), 1 + float(times[-1] - times[0]) / CORRELATION_SECONDS, MAX_INDEPENDENT)


def _guessed_limbs(obs: Observations) -> Float:
    """Median lengths [4] m of the limbs of the 3D guess, both sides."""
    pairs = np.stack([LIMB_ENDS, LIMB_ENDS + 1])  # right is the next landmark
    length = np.linalg.norm(obs.guess[:, pairs[..., 1]] - obs.guess[:, pairs[..., 0]], axis=-1)
    return np.maximum(np.median(length, axis=(0, 1)), 1e-2)


def _cauchy(residual: Float, width: float) -> tuple[Float, float]:
    """Square roots of the robust weights [n,P] of vector residuals [n,P,C], and the robust cost."""
    robust, square = Cauchy(width), (residual**2).sum(-1)
    return np.sqrt(robust.slope(square)), float(robust.value(square).sum())


def _frame_residuals(posed: FitPoints, residual: Float, cost: float, chain: Callable[[Float], Float]) -> FrameResiduals:
    """Residuals of a term on points; `chain` takes derivatives of all points [n,57,3,P] to those of the residual."""
    n = len(residual)
    residual = residual.reshape(n, -1)
    if not posed.by_motion.size:
        return FrameResiduals(residual, np.empty(0), np.empty(0), cost)
    by_motion, by_shape = (chain(d).reshape(n, residual.shape[1], -1) for d in (posed.by_motion, posed.by_shape))
    return FrameResiduals(residual, by_motion, by_shape, cost)


def _log_derivative(rotvec: Float) -> Float:
    """d log(R exp(d)) / dd at zero [...,3,3]: the inverse right Jacobian of SO(3)."""
    angle = np.linalg.norm(rotvec, axis=-1)[..., None, None]
    safe = np.maximum(angle, 1e-3)
    factor = np.where(angle < 1e-3, 1 / 12, 1 / safe**2 - 0.5 / (safe * np.tan(0.5 * safe)))
    x, y, z = np.moveaxis(rotvec, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*rotvec.shape, 3)
    return np.eye(3) + 0.5 * cross + factor * (cross @ cross)
