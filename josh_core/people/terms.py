"""The objective of the body fit: residuals over their standard deviations, with derivatives.

Each term is a function of the posed points or of the pose; the list in `objective` is the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from josh_core.body.names import JOINTS
from josh_core.geometry import rotmat_to_rotvec
from josh_core.people.evidence import BONE_FROM, BONE_TO, Evidence
from josh_core.people.habits import joint_habits
from josh_core.people.rig import FREE, MOTION, SHAPES, Pose, Posed, Rig
from josh_core.people.solve import REACH, NormalEquations
from josh_core.types import Float

J = len(JOINTS)
NEAR = 0.1  # m, depth at which the projection is held
PIXEL_WIDTH = 3.0  # standard deviations from which a landmark is believed less
BONE_WIDTH = 2.5  # the same for bones of the 3D guess
LIMIT_SIGMA = 0.05  # rad, how softly a joint limit gives way
ACCELERATION = 27.0  # m/s^2 of a joint between frames 1/30 s apart: 30 mm per frame squared
DEPTH_ACCELERATION = 6.0  # m/s^2 of the pelvis along the line of sight
FRAME = 1 / 30  # s
LOOK_SECONDS = 0.15  # errors of the network last this long, so a second is worth only so many looks at the person
MOST_LOOKS = 10.0  # and where it puts a landmark on a body is off by the same for the whole clip
HEIGHT_SIGMA = 0.005  # m: the height is held, since one camera tells it only by proportions, which is not at all
STILL_SPEED = 0.1  # m/s, a foot this slow may as well stand still
PROPORTION_SIGMA = 0.08  # of the bones' relative lengths in the 3D guess
HABITS = joint_habits()
FEET = np.arange(29, 33)  # landmarks: heels and toes
# Limbs whose relative lengths the 3D guess tells: joints of the left side; evidence bones of both.
LIMB_JOINTS = np.array([(1, 4), (4, 7), (16, 18), (18, 20)])
LIMB_LANDMARKS = np.array([(23, 25), (25, 27), (11, 13), (13, 15)])


@dataclass(frozen=True)
class Rows:
    """Residuals of one term, weighted by how far they are believed, and the term's part of the objective."""

    residual: Float  # [n,R]
    by_motion: Float  # [n,R,MOTION]
    by_shape: Float  # [n,R,10]
    cost: float


def pixels(posed: Posed, e: Evidence) -> Rows:
    """Landmarks lie on their pixels: (project(X) - u) / sigma, robust per landmark (Cauchy)."""
    p = posed.points[:, J:]
    z = np.maximum(p[..., 2:], NEAR)
    residual = (p[..., :2] / z - e.rays) / e.ray_sigma[..., None]
    belief, cost = _cauchy(residual, PIXEL_WIDTH)
    scale = belief / (z[..., 0] * e.ray_sigma)
    turn = np.concatenate([np.broadcast_to(np.eye(2), (*z.shape[:2], 2, 2)), -(p[..., :2] / z)[..., None]], -1)
    return _rows(posed, residual * belief[..., None], cost, lambda d: scale[..., None, None] * (turn @ d[:, J:]))


def bones(posed: Posed, e: Evidence) -> Rows:
    """Bones point as in the 3D guess, whose bones are scaled to the body's own mean lengths; robust per bone."""
    p = posed.points[:, J:]
    bone = p[:, BONE_TO] - p[:, BONE_FROM]
    length = np.median(np.linalg.norm(e.bones, axis=-1), axis=0)
    scale = np.linalg.norm(bone, axis=-1).mean(0) / np.maximum(length, 1e-3)
    residual = (bone - scale[:, None] * e.bones) @ e.sight / e.bone_sigma
    belief, cost = _cauchy(residual, BONE_WIDTH)
    across = e.sight.swapaxes(-1, -2)[:, None]
    weight = (belief[..., None] / e.bone_sigma)[..., None]
    return _rows(
        posed,
        residual * belief[..., None],
        cost,
        lambda d: weight * (across @ (d[:, J + BONE_TO] - d[:, J + BONE_FROM])),
    )


def habits(pose: Pose, derivatives: bool) -> Rows:
    """Joints stand as people's do, and no joint turns beyond its limits (softly)."""
    turned = rotmat_to_rotvec(pose.rotations[:, FREE])  # [n,F,3]
    usual = (turned - HABITS.mean[FREE]) / HABITS.sigma[FREE]
    beyond = turned - np.clip(turned, HABITS.least[FREE], HABITS.most[FREE])
    n = len(turned)
    residual = np.stack([usual, beyond / LIMIT_SIGMA], 2)  # [n,F,2,3]
    cost = float((residual**2).sum())
    if not derivatives:
        return Rows(residual.reshape(n, -1), np.empty(0), np.empty(0), cost)
    slope = np.stack([np.broadcast_to(1 / HABITS.sigma[FREE], usual.shape), (beyond != 0) / LIMIT_SIGMA], 2)
    by_turn = slope[..., None] * _log_derivative(turned)[:, :, None]  # [n,F,2,3,3]
    by_motion = np.zeros((n, len(FREE), 2, 3, MOTION))
    for f in range(len(FREE)):
        by_motion[:, f, :, :, 3 * f : 3 * f + 3] = by_turn[:, f]
    rows = residual[0].size
    return Rows(residual.reshape(n, -1), by_motion.reshape(n, rows, -1), np.zeros((n, rows, SHAPES)), cost)


def shape(pose: Pose, e: Evidence, rig: Rig) -> tuple[Float, Float]:
    """Residuals [R] and derivatives [R,10] of the betas: everyday shapes, a given height, proportions of the guess."""
    joints = rig.at(pose.betas)[0]
    bone = joints[LIMB_JOINTS[:, 1]] - joints[LIMB_JOINTS[:, 0]]  # [4,3]
    length = np.linalg.norm(bone, axis=-1)
    by_beta = rig.joints[1:, LIMB_JOINTS[:, 1]] - rig.joints[1:, LIMB_JOINTS[:, 0]]  # [10,4,3]
    growth = np.einsum("kba,ba->bk", by_beta, bone) / length[:, None] ** 2
    relative = np.log(length) - np.log(_guessed_limbs(e))
    residual = np.concatenate([
        pose.betas,
        [(rig.stature[0] + rig.stature[1:] @ pose.betas - e.height) / HEIGHT_SIGMA],
        (relative - relative.mean()) / PROPORTION_SIGMA,
    ])
    derivative = np.vstack([np.eye(SHAPES), rig.stature[1:] / HEIGHT_SIGMA, (growth - growth.mean(0)) / PROPORTION_SIGMA])
    looks = min(len(e.times), 1 + float(e.times[-1] - e.times[0]) / LOOK_SECONDS, MOST_LOOKS)
    weight = np.sqrt(len(e.times) / looks)
    return weight * residual, weight * derivative


def _guessed_limbs(e: Evidence) -> Float:
    """Median lengths [4] m of the limbs of the 3D guess, both sides."""
    pairs = np.stack([LIMB_LANDMARKS, LIMB_LANDMARKS + 1])  # right is the next landmark
    length = np.linalg.norm(e.guess[:, pairs[..., 1]] - e.guess[:, pairs[..., 0]], axis=-1)
    return np.maximum(np.median(length, axis=(0, 1)), 1e-2)


def smoothness(times: Float) -> sparse.csr_matrix:
    """Precision [n,n] of a path x over uneven times: x' P x is its squared acceleration over sigma squared, added up.

    Each second difference counts for the time it spans, so that the frame rate does not matter.
    """
    n = len(times)
    if n < 3:
        return sparse.csr_matrix((n, n))
    a, b = np.diff(times)[:-1], np.diff(times)[1:]
    second = np.stack([2 / (a * (a + b)), -2 / (a * b), 2 / (b * (a + b))]) / ACCELERATION
    second = second * np.sqrt(0.5 * (a + b) / FRAME)
    matrix = sparse.diags(list(second), [0, 1, 2], shape=(n - 2, n))
    return sparse.csr_matrix(matrix.T @ matrix)


def paths(posed: Posed, e: Evidence) -> tuple[Float, Float, Float]:
    """What moves smoothly [n,73], with its derivatives: joints as the turning camera leaves them, depth of the pelvis.

    The depth is scaled so that one precision serves all.
    """
    n, stiff = len(posed.points), ACCELERATION / DEPTH_ACCELERATION

    def path(points: Float) -> Float:  # [n,24,3,...]
        columns = points[:, :J].reshape(n, J, 3, -1)
        turned = (e.world_from_cam[:, None] @ columns).reshape(n, 3 * J, -1)
        return np.concatenate([turned, stiff * columns[:, 0, 2:]], 1)

    if not posed.by_motion.size:
        return path(posed.points)[..., 0], np.empty(0), np.empty(0)
    return path(posed.points)[..., 0], path(posed.by_motion), path(posed.by_shape)


@dataclass(frozen=True)
class Steps:
    """Residuals between neighbouring frames and the term's part of the objective."""

    residual: Float  # [n-1,R]
    before: Float  # [n-1,R,MOTION] by the motion of the earlier frame
    after: Float  # [n-1,R,MOTION] by the motion of the later frame
    by_shape: Float  # [n-1,R,10]
    cost: float


def stance(posed: Posed, e: Evidence) -> Steps:
    """Feet stand still or clearly move: velocity over sigma, robust per foot point and step (Cauchy).

    A camera that does not travel tells them apart, and then a foot that is still in the image has no depth to wander.
    """
    n = len(posed.points)
    feet = J + FEET
    span = np.diff(e.times)[:, None]  # [n-1,1]
    share = span / FRAME if e.camera_stays else np.zeros_like(span)

    def turned(d: Float) -> Float:  # [n,57,3,P] -> [n,12,P]
        return (e.world_from_cam[:, None] @ d[:, feet]).reshape(n, 3 * len(FEET), -1)

    residual = np.diff((e.world_from_cam[:, None] @ posed.points[:, feet, :, None])[..., 0], axis=0)
    residual = residual / (span * STILL_SPEED)[..., None]
    square = (residual**2).sum(-1)
    cost = float((share * np.log1p(square)).sum())
    weight = np.sqrt(share / (1 + square))  # [n-1,4]
    rows = (weight[..., None] * residual).reshape(n - 1, -1)
    if not posed.by_motion.size:
        return Steps(rows, np.empty(0), np.empty(0), np.empty(0), cost)
    scale = np.repeat(weight / (span * STILL_SPEED), 3, axis=1)[..., None]
    by_motion, by_shape = turned(posed.by_motion), turned(posed.by_shape)
    return Steps(rows, -scale * by_motion[:-1], scale * by_motion[1:], scale * np.diff(by_shape, axis=0), cost)


def objective(rig: Rig, pose: Pose, e: Evidence, smooth: sparse.csr_matrix) -> float:
    """Twice the negative log posterior of a pose, up to a constant."""
    posed = rig.posed(pose, derivatives=False)
    path = paths(posed, e)[0]
    return (
        pixels(posed, e).cost
        + bones(posed, e).cost
        + habits(pose, derivatives=False).cost
        + float((shape(pose, e, rig)[0] ** 2).sum())
        + float((path * (smooth @ path)).sum())
        + stance(posed, e).cost
    )


def normal_equations(rig: Rig, pose: Pose, e: Evidence, smooth: sparse.csr_matrix) -> NormalEquations:
    """Gauss-Newton's equations of the same objective."""
    posed = rig.posed(pose)
    n = len(posed.points)
    terms = (pixels(posed, e), bones(posed, e), habits(pose, derivatives=True))
    residual = np.concatenate([t.residual for t in terms], 1)
    by_motion = np.concatenate([t.by_motion for t in terms], 1)
    by_shape = np.concatenate([t.by_shape for t in terms], 1)
    path, path_by_motion, path_by_shape = paths(posed, e)
    stiff_path = smooth @ path
    stiff_shape = (smooth @ path_by_shape.reshape(n, -1)).reshape(path_by_shape.shape)
    own, by_beta = shape(pose, e, rig)

    across = by_motion.swapaxes(-1, -2)
    path_across = path_by_motion.swapaxes(-1, -2)
    bands = [
        smooth.diagonal(k)[:, None, None] * (path_across[: n - k] @ path_by_motion[k:]) if n > k else np.empty(0)
        for k in range(REACH + 1)
    ]
    bands[0] = bands[0] + across @ by_motion
    normal = NormalEquations(
        bands=tuple(bands),
        border=across @ by_shape + path_across @ stiff_shape,
        corner=_over_frames(by_shape, by_shape) + _over_frames(path_by_shape, stiff_shape) + by_beta.T @ by_beta,
        gradient=(across @ residual[..., None] + path_across @ stiff_path[..., None])[..., 0],
        shape_gradient=_over_frames(by_shape, residual) + _over_frames(path_by_shape, stiff_path) + by_beta.T @ own,
    )
    _add_steps(normal, stance(posed, e))
    return normal


def _add_steps(normal: NormalEquations, s: Steps) -> None:
    """Adds residuals between neighbouring frames to the equations, in place."""
    before, after = s.before.swapaxes(-1, -2), s.after.swapaxes(-1, -2)
    normal.bands[0][:-1] += before @ s.before
    normal.bands[0][1:] += after @ s.after
    normal.bands[1][:] += before @ s.after
    normal.border[:-1] += before @ s.by_shape
    normal.border[1:] += after @ s.by_shape
    normal.gradient[:-1] += (before @ s.residual[..., None])[..., 0]
    normal.gradient[1:] += (after @ s.residual[..., None])[..., 0]
    normal.corner[:] += _over_frames(s.by_shape, s.by_shape)
    normal.shape_gradient[:] += _over_frames(s.by_shape, s.residual)


def _over_frames(a: Float, b: Float) -> Float:
    """Sum over frames of a' b, for a [n,R,P] and b [n,R] or [n,R,Q]."""
    rows = a.shape[0] * a.shape[1]
    return a.reshape(rows, -1).T @ b.reshape(rows, *b.shape[2:])


def _cauchy(residual: Float, width: float) -> tuple[Float, float]:
    """Square roots of the weights [n,P] of vector residuals [n,P,C], and the robust cost w^2 log(1 + |r|^2/w^2)."""
    square = (residual**2).sum(-1) / width**2
    return 1 / np.sqrt(1 + square), float(width**2 * np.log1p(square).sum())


def _rows(posed: Posed, residual: Float, cost: float, chain: Callable[[Float], Float]) -> Rows:
    """Rows of a term on points; `chain` takes derivatives of all points [n,57,3,P] to those of the residual."""
    n = len(residual)
    residual = residual.reshape(n, -1)
    if not posed.by_motion.size:
        return Rows(residual, np.empty(0), np.empty(0), cost)
    by_motion, by_shape = (chain(d).reshape(n, residual.shape[1], -1) for d in (posed.by_motion, posed.by_shape))
    return Rows(residual, by_motion, by_shape, cost)


def _log_derivative(rotvec: Float) -> Float:
    """d log(R exp(d)) / dd at zero [...,3,3]: the inverse right Jacobian of SO(3)."""
    angle = np.linalg.norm(rotvec, axis=-1)[..., None, None]
    safe = np.maximum(angle, 1e-3)
    factor = np.where(angle < 1e-3, 1 / 12, 1 / safe**2 - 0.5 / (safe * np.tan(0.5 * safe)))
    x, y, z = np.moveaxis(rotvec, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*rotvec.shape, 3)
    return np.eye(3) + 0.5 * cross + factor * (cross @ cross)
