"""Least squares with an arrow-shaped normal matrix: block-banded in time, bordered by a few dense unknowns.

The banded unknowns come in N blocks of D (one a frame), and block n meets n, n + 1 and n + 2. Two blocks are taken as
one, so the band is block tridiagonal; it is factored once along time (block Cholesky), and the G dense unknowns are
solved on its Schur complement. Time grows linearly with N.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from josh_core.shapes import check_shapes

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
    check_shapes("solve", free=(free, "G"), dense=(system.dense, "G G"), gradient=(system.dense_gradient, "G"))
    columns = free.nonzero()[:, 0]
    gg, g = system.dense[columns][:, columns], system.dense_gradient[columns]
    gg = gg + torch.diag(damping * gg.diagonal() + floor)
    if not len(system.gradient):
        factor = torch.linalg.cholesky(gg)
        x = -torch.cholesky_solve(g[:, None], factor)[:, 0]
        bodies = system.gradient
    else:
        diagonal, below, right = _blocks(system, columns, damping, floor)
        factors, lower, y, ends = _forward(diagonal, below, right)
        schur, pulled = gg.clone(), g.clone()
        for y_i, end in zip(y, ends, strict=True):
            met = y_i[:, 1:end]
            schur[: end - 1, : end - 1].addmm_(met.mT, met, alpha=-1)
            pulled[: end - 1].addmv_(met.mT, y_i[:, 0], alpha=-1)
        factor = torch.linalg.cholesky(schur)
        x = -torch.cholesky_solve(pulled[:, None], factor)[:, 0]
        bodies = -_backward(factors, lower, y[..., 0] + y[..., 1:] @ x)
        bodies = bodies.reshape(-1, system.gradient.shape[-1])[: len(system.gradient)]
    step = torch.zeros_like(system.dense_gradient)
    step[columns] = x
    predicted = _predicted(system, step, bodies, damping, floor)
    return Step(step, bodies, torch.cholesky_inverse(factor), predicted)


def _blocks(system: ArrowSystem, columns: Tensor, damping: float, floor: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of frames as blocks: diagonal [n,2D,2D], below [n-1,2D,2D], right side [n,2D,1+F], gradient first.

    Of the diagonal blocks only the lower half is filled.
    """
    bb, frames = system.bands, len(system.gradient)
    size, n = system.gradient.shape[1], (frames + 1) // 2
    right = bb.new_zeros(2 * n, size, 1 + len(columns))
    right[:frames, :, 0] = system.gradient
    right[:frames, :, 1:] = system.border[..., columns]
    even, odd = bb[0::2], bb[1::2]
    diagonal = bb.new_zeros(n, 2 * size, 2 * size)
    diagonal[:, :size, :size] = even[:, 0]
    diagonal[: len(odd), size:, :size] = even[: len(odd), 1].mT
    diagonal[: len(odd), size:, size:] = odd[:, 0]
    diagonal.diagonal(dim1=-2, dim2=-1).mul_(1 + damping).add_(floor)
    if frames % 2:  # the last pair is padded with an identity block
        diagonal[-1, size:, size:] = torch.eye(size, dtype=bb.dtype)
    # rows are the next pair, columns this one: even' against (even, odd), odd' against (even, odd)
    below = bb.new_zeros(n - 1, 2 * size, 2 * size)
    below[:, :size, :size] = even[:-1, 2].mT
    below[:, :size, size:] = odd[: n - 1, 1].mT
    below[:, size:, size:] = odd[: n - 1, 2].mT
    return diagonal, below, right.view(n, 2 * size, -1)


def _forward(
    diagonal: Tensor, below: Tensor, right: Tensor
) -> tuple[list[Tensor], list[Tensor | None], Tensor, list[int]]:
    """Block Cholesky H = L L^T and y = L^-1 right; where the columns of y end that are not zero in each block.

    A frame meets only the dense unknowns of its person and of the cameras around it. Those of cameras come in the order
    of time, so the columns of y fill up along it; where two blocks do not meet, as between two people, this begins
    anew. What is zero is not computed.
    """
    factors: list[Tensor] = []
    lower: list[Tensor | None] = []
    y = torch.zeros_like(right)
    columns = torch.arange(1, right.shape[-1] + 1)
    ends = [max(1, int(end)) for end in ((right != 0).any(1) * columns).amax(-1)]
    joined = [bool(j) for j in below.flatten(1).any(1)] + [False]
    for i in range(len(diagonal)):
        block, side = diagonal[i], right[i]
        step = lower[-1] if i else None
        if step is not None:
            before = ends[i - 1]
            ends[i] = max(ends[i], before)
            block = torch.addmm(block, step, step.mT, alpha=-1)
            side = side[:, : ends[i]].clone()
            side[:, :before].addmm_(step, y[i - 1, :, :before], alpha=-1)
        factors.append(torch.linalg.cholesky(block))
        side = side[:, : ends[i]]
        if joined[i]:
            side = torch.cat([side, below[i].mT], -1)
        side = torch.linalg.solve_triangular(factors[-1], side, upper=False)
        y[i, :, : ends[i]] = side[:, : ends[i]]
        if i + 1 < len(diagonal):
            lower.append(side[:, ends[i] :].mT if joined[i] else None)
    return factors, lower, y, ends


def _backward(factors: list[Tensor], lower: list[Tensor | None], y: Tensor) -> Tensor:
    """x with L^T x = y; y: [n,2D]."""
    x = torch.empty_like(y)
    for i in reversed(range(len(factors))):
        step = lower[i] if i + 1 < len(factors) else None
        side = y[i] if step is None else y[i] - step.mT @ x[i + 1]
        x[i] = torch.linalg.solve_triangular(factors[i].mT, side[:, None], upper=True)[:, 0]
    return x


def _predicted(system: ArrowSystem, step: Tensor, bodies: Tensor, damping: float, floor: float) -> float:
    """-(g . x + 1/2 x . H x), the decrease of the quadratic model without damping.

    As (H + D) x = -g with the damping D, it is 1/2 (x . D x - g . x), which needs no product with H.
    """
    slope = system.dense_gradient @ step + (system.gradient * bodies).sum()
    held = ((damping * system.dense.diagonal() + floor) * step**2).sum()
    if len(bodies):
        held = held + ((damping * system.bands[:, 0].diagonal(dim1=-2, dim2=-1) + floor) * bodies**2).sum()
    return float(0.5 * (held - slope))
