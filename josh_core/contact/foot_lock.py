"""Foot locking: one small translation per frame so that feet in contact lie on the floor and stay where they are.

This is how `fast` uses contacts beyond the scale: poses, cameras and scene do not change. It is a weighted linear
least-squares problem, sparse because each frame is tied only to its neighbours.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from josh_core.body.names import FEET, is_part
from josh_core.lsq.robust import Cauchy, reweighted
from josh_core.shapes import check_shapes
from josh_core.types import IN_CONTACT, Float, Int

# Standard deviations, chosen by hand where nothing else is said.
FLOOR_SIGMA = 0.02  # m, height over the floor of a foot point in contact
STATIC_SIGMA = 0.004  # m, displacement of a point in contact between two frames
ACROSS_SIGMA = 0.03  # m, error of the fitted body's position across the line of sight
# Relative to the depth, along the line of sight. What is constant in it, the unknown height, is in scale and floor
# already. On 15 clips (`python -m benchmarks.evidence`) the mean W-MPJPE of `fast` is 221, 201, 189 and 186 mm for
# 0.05, 0.03, 0.02 and 0.01; feet that stand slide more the smaller it is.
ALONG_SIGMA = 0.02
SMOOTH_SIGMA = 0.02  # m per frame squared, second difference of the translation
ROUNDS = 6  # of iterative reweighting


def lock_feet(
    contacts: Float,
    probability: Float,
    names: tuple[str, ...],
    rays: Float,
    frames: Int,
    level: Float | None = None,
) -> Float:
    """Translations [n,3] m in the world that put a person's feet in contact on the floor and keep them there.

    contacts: [n,C,3] m in the metric world (floor y = 0); probability: [n,C] of contact, columns by `names`; rays:
    [n,3] m from the camera to the body, in the world; frames: [n] clip frames; level: [n,C] m, height over the floor of
    what is under each point, 0 where None. Zeros if no foot is in contact.
    Raises ValueError for arrays of other shapes.
    """
    check_shapes(
        "lock_feet",
        contacts=(contacts, "n C 3"),
        probability=(probability, "n C"),
        rays=(rays, "n 3"),
        frames=(frames, "n"),
        level=(level, "n C"),
    )
    height = contacts[..., 1] if level is None else contacts[..., 1] - level
    feet = np.array([is_part(name, FEET) for name in names])
    # The points of one foot move together, so they count as one observation.
    points = max(feet.sum() / 2, 1)
    weight = np.where(feet, np.where(probability > IN_CONTACT, probability, 0.0), 0.0) / points  # [n,C]
    if not weight.any():
        return np.zeros((len(contacts), 3))
    consecutive = np.diff(frames) == 1
    both = np.minimum(weight[1:], weight[:-1]) * consecutive[:, None]  # [n-1,C]
    step = np.diff(contacts, axis=0)  # [n-1,C,3]

    def squares(shift: Float) -> Float:  # [2n-1,C] of slides, then of heights
        slide = np.linalg.norm(step + np.diff(shift, axis=0)[:, None], axis=-1) / STATIC_SIGMA
        return np.concatenate([slide, (height + shift[:, None, 1]) / FLOOR_SIGMA]) ** 2

    def solve(_: Float, slope: Float) -> Float:
        held, laid = both * slope[: len(step)], weight * slope[len(step) :]
        return _solve(height, step, laid, held, (rays, consecutive))

    return reweighted(solve, squares, Cauchy(3.0), np.zeros((len(contacts), 3)), ROUNDS)


def _solve(height: Float, step: Float, laid: Float, held: Float, about: tuple[Float, Float]) -> Float:
    """The least-squares translations [n,3] m.

    height: [n,C] m, laid: [n,C] weights; step: [n-1,C,3] m, held: [n-1,C] weights; about: rays [n,3] m and whether
    frame t + 1 follows frame t [n-1].
    """
    rays, consecutive = about
    n = len(rays)
    depth = np.linalg.norm(rays, axis=1)
    along = rays / np.maximum(depth, 1e-6)[:, None]
    outer = along[:, :, None] * along[:, None, :]  # [n,3,3]
    sigma = ALONG_SIGMA * np.maximum(depth, 0.5)
    block = (np.eye(3) - outer) / ACROSS_SIGMA**2 + outer / sigma[:, None, None] ** 2
    block[:, 1, 1] += laid.sum(1) / FLOOR_SIGMA**2
    first = _difference(n)
    second = _difference(n - 1) @ first
    held_sum = sparse.diags(held.sum(1) / STATIC_SIGMA**2)
    smooth = sparse.diags((consecutive[1:] & consecutive[:-1]) / SMOOTH_SIGMA**2)
    in_time = first.T @ held_sum @ first + second.T @ smooth @ second
    pull = -first.T @ ((held[..., None] * step).sum(1) / STATIC_SIGMA**2)  # [n,3]
    pull[:, 1] -= (laid * height).sum(1) / FLOOR_SIGMA**2
    system = sparse.block_diag(list(block)) + sparse.kron(in_time, sparse.eye(3))
    return spsolve(system.tocsc(), pull.reshape(-1)).reshape(n, 3)


def _difference(n: int) -> sparse.csr_matrix:
    """Matrix [n-1,n] of first differences; empty for fewer than two."""
    if n < 2:
        return sparse.csr_matrix((0, max(n, 0)))
    return sparse.csr_matrix(sparse.diags([-1.0, 1.0], [0, 1], shape=(n - 1, n)))
