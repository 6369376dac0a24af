"""Least squares with an arrow-shaped normal matrix: block-banded in time, bordered by a few dense unknowns.

The banded unknowns come in N blocks of D (one a frame), and block n meets n, n + 1 and n + 2. Two blocks are taken as
one, so the band is block tridiagonal; it is factored once along time (block Cholesky), and the G dense unknowns are
solved on its Schur complement. Time grows linearly with N.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

COUPLED_BLOCKS = 2  # blocks that a second difference ties together


@dataclass(frozen=True)
class ArrowSystem:
    """Normal equations H x = -gradient."""

    dense: Tensor  # [G,G]
    bands: Tensor  # [N,3,D,D] block n (rows) against block n, n + 1, n + 2
    border: Tensor  # [N,D,G]
    dense_gradient: Tensor  # [G]
    gradient: Tensor  # [N,D]


@dataclass(frozen=True)
class Step:
    """Solution of the damped normal equations."""

    dense: Tensor  # [G], zero where not free
    blocks: Tensor  # [N,D]
    covariance: Tensor  # [F,F] of the free dense unknowns, all else marginalised
    predicted: float  # decrease of the cost that the quadratic model promises


def solve(system: ArrowSystem, free: Tensor, damping: float, floor: float = 1e-12) -> Step:
    """Step of the normal equations with Marquardt damping: the diagonal times 1 + damping, raised by `floor`.

    free: [G] bool. Raises torch.linalg.LinAlgError if the damped matrix is not positive definite.
    """
    columns = free.nonzero()[:, 0]
    gg, g = system.dense[columns][:, columns], system.dense_gradient[columns]
    gg = gg + torch.diag(damping * gg.diagonal() + floor)
    if not len(system.gradient):
        factor = torch.linalg.cholesky(gg)
        x = -torch.cholesky_solve(g[:, None], factor)[:, 0]
        bodies = system.gradient
    else:
        diagonal, below, right = _blocks(system, columns, damping, floor)
        factors, lower, y = _forward(diagonal, below, right)
        flat = y.flatten(0, 1)
        schur = gg - flat[:, :-1].T @ flat[:, :-1]
        factor = torch.linalg.cholesky(schur)
        x = -torch.cholesky_solve((g - flat[:, :-1].T @ flat[:, -1])[:, None], factor)[:, 0]
        bodies = -_backward(factors, lower, y[..., -1] + y[..., :-1] @ x)
        bodies = bodies.reshape(-1, system.gradient.shape[-1])[: len(system.gradient)]
    step = torch.zeros_like(system.dense_gradient)
    step[columns] = x
    predicted = _predicted(system, step, bodies)
    return Step(step, bodies, torch.cholesky_inverse(factor), predicted)


def _blocks(system: ArrowSystem, columns: Tensor, damping: float, floor: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of frames as blocks: diagonal [n,2D,2D], below [n-1,2D,2D], right side [n,2D,F+1]."""
    n, size = system.gradient.shape
    bb, right = system.bands, torch.cat([system.border[..., columns], system.gradient[..., None]], -1)
    bb = bb.clone()
    bb[:, 0].diagonal(dim1=-2, dim2=-1).mul_(1 + damping).add_(floor)
    if n % 2:  # the last pair is padded with an identity block
        idle = torch.zeros_like(bb[:1])
        idle[0, 0] = torch.eye(size, dtype=bb.dtype)
        bb, right = torch.cat([bb, idle]), torch.cat([right, torch.zeros_like(right[:1])])
    even, odd = bb[0::2], bb[1::2]
    diagonal = torch.cat([torch.cat([even[:, 0], even[:, 1]], -1), torch.cat([even[:, 1].mT, odd[:, 0]], -1)], -2)
    # rows are the next pair, columns this one: even' against (even, odd), odd' against (even, odd)
    nothing = torch.zeros_like(odd[:-1, 0])
    below = torch.cat([torch.cat([even[:-1, 2].mT, odd[:-1, 1].mT], -1), torch.cat([nothing, odd[:-1, 2].mT], -1)], -2)
    return diagonal, below, right.reshape(-1, 2 * size, right.shape[-1])


def _forward(diagonal: Tensor, below: Tensor, right: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Block Cholesky H = L L^T and y = L^-1 right."""
    factors: list[Tensor] = []
    lower: list[Tensor] = []
    y = torch.empty_like(right)
    for i in range(len(diagonal)):
        block, side = diagonal[i], right[i]
        if i:
            step = torch.linalg.solve_triangular(factors[-1], below[i - 1].mT, upper=False).mT
            lower.append(step)
            block = block - step @ step.mT
            side = side - step @ y[i - 1]
        factors.append(torch.linalg.cholesky(block))
        y[i] = torch.linalg.solve_triangular(factors[-1], side, upper=False)
    return factors, lower, y


def _backward(factors: list[Tensor], lower: list[Tensor], y: Tensor) -> Tensor:
    """x with L^T x = y; y: [n,2D]."""
    x = torch.empty_like(y)
    for i in reversed(range(len(factors))):
        side = y[i] if i + 1 == len(factors) else y[i] - lower[i].mT @ x[i + 1]
        x[i] = torch.linalg.solve_triangular(factors[i].mT, side[:, None], upper=True)[:, 0]
    return x


def _predicted(system: ArrowSystem, step: Tensor, bodies: Tensor) -> float:
    """-(g . x + 1/2 x . H x), the decrease of the quadratic model without damping."""
    h_g = system.dense @ step + torch.einsum("nbg,nb->g", system.border, bodies)
    h_b = torch.einsum("nbg,g->nb", system.border, step)
    for k in range(min(COUPLED_BLOCKS + 1, len(bodies))):
        m = system.bands[: len(bodies) - k, k]
        h_b[: len(bodies) - k] += torch.einsum("nij,nj->ni", m, bodies[k:])
        if k:
            h_b[k:] += torch.einsum("nij,ni->nj", m, bodies[: len(bodies) - k])
    slope = system.dense_gradient @ step + (system.gradient * bodies).sum()
    return float(-(slope + 0.5 * (step @ h_g + (bodies * h_b).sum())))
