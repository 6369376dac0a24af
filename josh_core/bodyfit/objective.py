"""The objective of the body fit: the list of its terms, its value and its Gauss-Newton equations."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse

from josh_core.bodyfit.fit_body import FitBody, Pose
from josh_core.bodyfit.frame_terms import bones, pixels, pose_prior_residuals, shape
from josh_core.bodyfit.observations import Observations
from josh_core.bodyfit.temporal_terms import StepResiduals, paths, stance
from josh_core.lsq.arrow import COUPLED_BLOCKS, ArrowSystem
from josh_core.types import Float


def objective(fit_body: FitBody, pose: Pose, obs: Observations, smooth: sparse.csr_matrix) -> float:
    """Twice the negative log posterior of a pose, up to a constant."""
    posed = fit_body.evaluate(pose, derivatives=False)
    path = paths(posed, obs)[0]
    return (
        pixels(posed, obs).cost
        + bones(posed, obs).cost
        + pose_prior_residuals(pose, obs.prior, derivatives=False).cost
        + float((shape(pose, obs, fit_body)[0] ** 2).sum())
        + float((path * (smooth @ path)).sum())
        + stance(posed, obs).cost
    )


def normal_equations(fit_body: FitBody, pose: Pose, obs: Observations, smooth: sparse.csr_matrix) -> ArrowSystem:
    """Gauss-Newton normal equations of the same objective."""
    posed = fit_body.evaluate(pose)
    n = len(posed.points)
    terms = (pixels(posed, obs), bones(posed, obs), pose_prior_residuals(pose, obs.prior, derivatives=True))
    residual = np.concatenate([t.residual for t in terms], 1)
    by_motion = np.concatenate([t.by_motion for t in terms], 1)
    by_shape = np.concatenate([t.by_shape for t in terms], 1)
    path, path_by_motion, path_by_shape = paths(posed, obs)
    stiff_path = smooth @ path
    stiff_shape = (smooth @ path_by_shape.reshape(n, -1)).reshape(path_by_shape.shape)
    own, by_beta = shape(pose, obs, fit_body)

    across = by_motion.swapaxes(-1, -2)
    path_across = path_by_motion.swapaxes(-1, -2)
    bands = np.zeros((n, COUPLED_BLOCKS + 1, *across.shape[1:2], by_motion.shape[-1]))
    for k in range(min(COUPLED_BLOCKS + 1, n)):
        bands[: n - k, k] = _diagonal(smooth, k)[:, None, None] * (path_across[: n - k] @ path_by_motion[k:])
    bands[:, 0] += across @ by_motion
    border = across @ by_shape + path_across @ stiff_shape
    corner = _over_frames(by_shape, by_shape) + _over_frames(path_by_shape, stiff_shape) + by_beta.T @ by_beta
    gradient = (across @ residual[..., None] + path_across @ stiff_path[..., None])[..., 0]
    gradient += sum(t.gradient for t in terms)
    shape_gradient = _over_frames(by_shape, residual) + _over_frames(path_by_shape, stiff_path) + by_beta.T @ own
    system = ArrowSystem(*(torch.from_numpy(x) for x in (corner, bands, border, shape_gradient, gradient)))
    _add_steps(system, stance(posed, obs))
    return system


def _add_steps(system: ArrowSystem, s: StepResiduals) -> None:
    """Adds residuals between neighbouring frames to the equations, in place."""
    before, after = s.before.swapaxes(-1, -2), s.after.swapaxes(-1, -2)
    bands, border, gradient = system.bands.numpy(), system.border.numpy(), system.gradient.numpy()
    bands[:-1, 0] += before @ s.before
    bands[1:, 0] += after @ s.after
    bands[:-1, 1] += before @ s.after
    border[:-1] += before @ s.by_shape
    border[1:] += after @ s.by_shape
    gradient[:-1] += (before @ s.residual[..., None])[..., 0]
    gradient[1:] += (after @ s.residual[..., None])[..., 0]
    system.dense.numpy()[:] += _over_frames(s.by_shape, s.by_shape)
    system.dense_gradient.numpy()[:] += _over_frames(s.by_shape, s.residual)


def _diagonal(matrix: sparse.csr_matrix, k: int) -> Float:
    """The k-th diagonal, empty where the matrix is smaller."""
    return matrix.diagonal(k) if k < matrix.shape[0] else np.empty(0)


def _over_frames(a: Float, b: Float) -> Float:
    """Sum over frames of a' b, for a [n,R,P] and b [n,R] or [n,R,Q]."""
    rows = a.shape[0] * a.shape[1]
    return a.reshape(rows, a.shape[2]).T @ b.reshape(rows, *b.shape[2:])
