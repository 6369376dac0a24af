"""The objective of the body fit: the list of its terms, its value and its Gauss-Newton equations."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from josh_core.bodyfit.banded_solve import REACH, NormalEquations
from josh_core.bodyfit.fit_body import FitBody, Pose
from josh_core.bodyfit.frame_terms import bones, pixels, pose_prior_residuals, shape
from josh_core.bodyfit.observations import Observations
from josh_core.bodyfit.temporal_terms import StepResiduals, paths, stance
from josh_core.types import Float


def objective(fit_body: FitBody, pose: Pose, obs: Observations, smooth: sparse.csr_matrix) -> float:
    """Twice the negative log posterior of a pose, up to a constant."""
    posed = fit_body.evaluate(pose, derivatives=False)
    path = paths(posed, obs)[0]
    return (
        pixels(posed, obs).cost
        + bones(posed, obs).cost
        + pose_prior_residuals(pose, derivatives=False).cost
        + float((shape(pose, obs, fit_body)[0] ** 2).sum())
        + float((path * (smooth @ path)).sum())
        + stance(posed, obs).cost
    )


def normal_equations(fit_body: FitBody, pose: Pose, obs: Observations, smooth: sparse.csr_matrix) -> NormalEquations:
    """Gauss-Newton's equations of the same objective."""
    posed = fit_body.evaluate(pose)
    n = len(posed.points)
    terms = (pixels(posed, obs), bones(posed, obs), pose_prior_residuals(pose, derivatives=True))
    residual = np.concatenate([t.residual for t in terms], 1)
    by_motion = np.concatenate([t.by_motion for t in terms], 1)
    by_shape = np.concatenate([t.by_shape for t in terms], 1)
    path, path_by_motion, path_by_shape = paths(posed, obs)
    stiff_path = smooth @ path
    stiff_shape = (smooth @ path_by_shape.reshape(n, -1)).reshape(path_by_shape.shape)
    own, by_beta = shape(pose, obs, fit_body)

    across = by_motion.swapaxes(-1, -2)
    path_across = path_by_motion.swapaxes(-1, -2)
    bands = [path_across[: max(n - k, 0)] @ path_by_motion[k:] for k in range(REACH + 1)]
    bands = [_diagonal(smooth, k)[:, None, None] * band for k, band in enumerate(bands)]
    bands[0] = bands[0] + across @ by_motion
    normal = NormalEquations(
        bands=tuple(bands),
        border=across @ by_shape + path_across @ stiff_shape,
        corner=_over_frames(by_shape, by_shape) + _over_frames(path_by_shape, stiff_shape) + by_beta.T @ by_beta,
        gradient=(across @ residual[..., None] + path_across @ stiff_path[..., None])[..., 0]
        + sum(t.gradient for t in terms),
        shape_gradient=_over_frames(by_shape, residual) + _over_frames(path_by_shape, stiff_path) + by_beta.T @ own,
    )
    _add_steps(normal, stance(posed, obs))
    return normal


def _add_steps(normal: NormalEquations, s: StepResiduals) -> None:
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


def _diagonal(matrix: sparse.csr_matrix, k: int) -> Float:
    """The k-th diagonal, empty where the matrix is smaller."""
    return matrix.diagonal(k) if k < matrix.shape[0] else np.empty(0)


def _over_frames(a: Float, b: Float) -> Float:
    """Sum over frames of a' b, for a [n,R,P] and b [n,R] or [n,R,Q]."""
    rows = a.shape[0] * a.shape[1]
    return a.reshape(rows, a.shape[2]).T @ b.reshape(rows, *b.shape[2:])
