"""The sparse least-squares step: normal equations of all terms and their solution.

Unknowns are few dense globals (focal, scale, floor, shapes, cameras) and many bodies, whose normal matrix is banded
in time: frame n meets n, n + 1 and n + 2. Two frames make one block, so the band is block tridiagonal; it is
factored once along time (block Cholesky) and the globals are solved on its Schur complement.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from josh_core.joint.residual_blocks import ResidualBlock
from josh_core.joint.variables import BODY

PAIR = 2 * BODY


@dataclass(frozen=True)
class Normal:
    """Normal equations H x = -gradient in arrow form."""

    gg: Tensor  # [G,G] globals
    bb: Tensor  # [N,3,BODY,BODY] body n (rows) against body n, n + 1, n + 2
    bg: Tensor  # [N,BODY,G]
    g: Tensor  # [G] gradient by the globals
    b: Tensor  # [N,BODY] gradient by the bodies


@dataclass(frozen=True)
class Step:
    """Solution of the damped normal equations."""

    globals: Tensor  # [G], zero where not free
    bodies: Tensor  # [N,BODY]
    covariance: Tensor  # [F,F] of the free globals, all else marginalised
    predicted: float  # decrease of the cost that the quadratic model promises


def assemble(rows: list[ResidualBlock], n_globals: int, n_bodies: int, held: Tensor | None = None) -> Normal:
    """Add up J^T W J and J^T W r of all terms (iteratively reweighted: W holds the robust slopes).

    held: [N] bool, body frames whose step is to be nothing.
    """
    like = rows[0].r
    out = Normal(
        like.new_zeros(n_globals, n_globals),
        like.new_zeros(n_bodies, 3, BODY, BODY),
        like.new_zeros(n_bodies, BODY, n_globals),
        like.new_zeros(n_globals),
        like.new_zeros(n_bodies, BODY),
    )
    for term in rows:
        if len(term.r):
            _add(out, term)
    if held is not None:
        _hold(out, held)
    return out


def _hold(out: Normal, held: Tensor) -> None:
    """Cut body frames out of the system in place, so that their step is zero and nothing else sees them."""
    out.b[held], out.bg[held] = 0.0, 0.0
    for k in range(3):
        either = held[: len(held) - k] | held[k:]
        out.bb[: len(held) - k, k][either] = 0.0
    out.bb[held, 0] = torch.eye(BODY, dtype=out.bb.dtype)


def _add(out: Normal, rows: ResidualBlock) -> None:
    """Add one term to the normal equations in place."""
    assert rows.by_globals is not None and rows.columns is not None
    n_globals = len(out.g)
    w = (rows.weight * rows.robust.slope((rows.r**2).sum(-1))).sqrt()[..., None]
    r = (rows.r * w).flatten(1)[..., None]  # [M,qe,1]
    jg = (rows.by_globals * w[..., None]).flatten(1, 2)  # [M,qe,g]
    columns = rows.columns
    cells = columns[:, :, None] * n_globals + columns[:, None, :]
    out.gg.view(-1).index_add_(0, cells.reshape(-1), (jg.mT @ jg).reshape(-1))
    out.g.index_add_(0, columns.reshape(-1), (jg.mT @ r).reshape(-1))
    if rows.by_bodies is None or rows.first is None:
        return
    jb = [(j * w[..., None]).flatten(1, 2) for j in rows.by_bodies.split(BODY, -1)]  # each [M,qe,BODY]
    for i, j_i in enumerate(jb):
        at = rows.first + i
        out.b.index_add_(0, at, (j_i.mT @ r)[..., 0])
        cells = (at[:, None] * BODY + torch.arange(BODY))[..., None] * n_globals + columns[:, None]
        out.bg.view(-1).index_add_(0, cells.reshape(-1), (j_i.mT @ jg).reshape(-1))
        for k, j_k in enumerate(jb[i:]):
            out.bb.view(-1, BODY, BODY).index_add_(0, at * 3 + k, j_i.mT @ j_k)


def solve(normal: Normal, free: Tensor, damping: float) -> Step:
    """Step of the normal equations with Marquardt damping: the diagonal is scaled by 1 + damping.

    free: [G] bool. Raises torch.linalg.LinAlgError if the damped matrix is not positive definite.
    """
    columns = free.nonzero()[:, 0]
    gg, g = normal.gg[columns][:, columns], normal.g[columns]
    gg = gg + torch.diag(damping * gg.diagonal() + 1e-12)
    if not len(normal.b):
        factor = torch.linalg.cholesky(gg)
        x = -torch.cholesky_solve(g[:, None], factor)[:, 0]
        bodies = normal.b
    else:
        diagonal, below, right = _blocks(normal, columns, damping)
        factors, lower, y = _forward(diagonal, below, right)
        flat = y.flatten(0, 1)
        schur = gg - flat[:, :-1].T @ flat[:, :-1]
        factor = torch.linalg.cholesky(schur)
        x = -torch.cholesky_solve((g - flat[:, :-1].T @ flat[:, -1])[:, None], factor)[:, 0]
        bodies = -_backward(factors, lower, y[..., -1] + y[..., :-1] @ x)
        bodies = bodies.reshape(-1, BODY)[: len(normal.b)]
    step = torch.zeros_like(normal.g)
    step[columns] = x
    predicted = _predicted(normal, step, bodies)
    return Step(step, bodies, torch.cholesky_inverse(factor), predicted)


def _blocks(normal: Normal, columns: Tensor, damping: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of frames as blocks: diagonal [n,PAIR,PAIR], below [n-1,PAIR,PAIR], right side [n,PAIR,F+1]."""
    n = len(normal.b)
    bb, right = normal.bb, torch.cat([normal.bg[..., columns], normal.b[..., None]], -1)
    bb = bb.clone()
    bb[:, 0].diagonal(dim1=-2, dim2=-1).mul_(1 + damping).add_(1e-12)
    if n % 2:  # an idle frame fills the last pair
        idle = torch.zeros_like(bb[:1])
        idle[0, 0] = torch.eye(BODY, dtype=bb.dtype)
        bb, right = torch.cat([bb, idle]), torch.cat([right, torch.zeros_like(right[:1])])
    even, odd = bb[0::2], bb[1::2]
    diagonal = torch.cat([torch.cat([even[:, 0], even[:, 1]], -1), torch.cat([even[:, 1].mT, odd[:, 0]], -1)], -2)
    # rows are the next pair, columns this one: even' against (even, odd), odd' against (even, odd)
    nothing = torch.zeros_like(odd[:-1, 0])
    below = torch.cat([torch.cat([even[:-1, 2].mT, odd[:-1, 1].mT], -1), torch.cat([nothing, odd[:-1, 2].mT], -1)], -2)
    return diagonal, below, right.reshape(-1, PAIR, right.shape[-1])


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
    """x with L^T x = y; y: [n,PAIR]."""
    x = torch.empty_like(y)
    for i in reversed(range(len(factors))):
        side = y[i] if i + 1 == len(factors) else y[i] - lower[i].mT @ x[i + 1]
        x[i] = torch.linalg.solve_triangular(factors[i].mT, side[:, None], upper=True)[:, 0]
    return x


def _predicted(normal: Normal, step: Tensor, bodies: Tensor) -> float:
    """-(g . x + 1/2 x . H x), the decrease of the quadratic model without damping."""
    h_g = normal.gg @ step + torch.einsum("nbg,nb->g", normal.bg, bodies)
    h_b = torch.einsum("nbg,g->nb", normal.bg, step)
    for k in range(min(3, len(bodies))):
        m = normal.bb[: len(bodies) - k, k]
        h_b[: len(bodies) - k] += torch.einsum("nij,nj->ni", m, bodies[k:])
        if k:
            h_b[k:] += torch.einsum("nij,ni->nj", m, bodies[: len(bodies) - k])
    slope = normal.g @ step + (normal.b * bodies).sum()
    return float(-(slope + 0.5 * (step @ h_g + (bodies * h_b).sum())))
