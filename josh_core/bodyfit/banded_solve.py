"""One damped Gauss-Newton step of a motion with one shape: banded in time, bordered by the betas.

Neighbouring frames are tied by second differences, so the normal equations have blocks on three diagonals; a banded
Cholesky factor solves them in time linear in the number of frames, and the few betas are eliminated by their Schur
complement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded

from josh_core.types import Float

MIN_DIAGONAL = 1e-6  # added to the diagonal: unknowns without any residual stay where they are
REACH = 2  # frames that a second difference ties together


@dataclass(frozen=True)
class NormalEquations:
    """J'J and J'r of an objective 0.5 |r|^2 over n frames of D unknowns and 10 betas."""

    bands: tuple[Float, ...]  # [n-k,D,D] for k = 0, 1, 2: block of frames (i, i + k)
    border: Float  # [n,D,10] motion against betas
    corner: Float  # [10,10] betas
    gradient: Float  # [n,D]
    shape_gradient: Float  # [10]


def step(normal: NormalEquations, damping: float) -> tuple[Float, Float]:
    """The step (motion [n,D], betas [10]) down from here, with the diagonal raised by a factor 1 + damping.

    Raises numpy.linalg.LinAlgError when the equations are not positive definite.
    """
    n, d = normal.gradient.shape
    factor = (cholesky_banded(_banded(normal.bands, damping), lower=True, check_finite=False), True)
    border = normal.border.reshape(n * d, -1)
    sides = np.concatenate([normal.gradient.reshape(-1, 1), border], 1)
    solved = cho_solve_banded(factor, sides, check_finite=False)
    corner = normal.corner + np.diag(damping * np.diag(normal.corner) + MIN_DIAGONAL)
    schur = corner - border.T @ solved[:, 1:]
    betas = np.linalg.solve(schur, normal.shape_gradient - border.T @ solved[:, 0])
    motion = solved[:, 0] - solved[:, 1:] @ betas
    return -motion.reshape(n, d), -betas


def _banded(bands: tuple[Float, ...], damping: float) -> Float:
    """LAPACK's lower banded form [(REACH + 1) D, n D] of the blocks: entry [i - j, j] is element (i, j)."""
    n, d, _ = bands[0].shape
    out = np.zeros(((REACH + 1) * d, n, d))
    row, column = np.indices((d, d))
    main = bands[0].copy()
    main[:, np.arange(d), np.arange(d)] *= 1 + damping
    main[:, np.arange(d), np.arange(d)] += MIN_DIAGONAL
    low = row >= column
    out[(row - column)[low], :, column[low]] = main[:, row[low], column[low]].T
    for k in range(1, REACH + 1):
        if n > k:  # block (i, i + k) transposed lies below the diagonal
            out[column - row + k * d, : n - k, row] = np.moveaxis(bands[k], 0, -1)
    return out.reshape((REACH + 1) * d, n * d)
