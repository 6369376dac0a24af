"""Residual blocks added up to normal equations: few dense globals, and bodies that are banded in time."""

from __future__ import annotations

import torch
from torch import Tensor

from josh_core.joint.residual_blocks import ResidualBlock
from josh_core.joint.variables import BODY_UNKNOWNS
from josh_core.lsq.arrow import COUPLED_BLOCKS, ArrowSystem


def assemble(rows: list[ResidualBlock], n_globals: int, n_bodies: int, held: Tensor | None = None) -> ArrowSystem:
    """Add up J^T W J and J^T W r of all terms (iteratively reweighted: W holds the robust slopes).

    held: [N] bool, body frames that do not move in this step.
    """
    like = rows[0].r
    out = ArrowSystem(
        like.new_zeros(n_globals, n_globals),
        like.new_zeros(n_bodies, COUPLED_BLOCKS + 1, BODY_UNKNOWNS, BODY_UNKNOWNS),
        like.new_zeros(n_bodies, BODY_UNKNOWNS, n_globals),
        like.new_zeros(n_globals),
        like.new_zeros(n_bodies, BODY_UNKNOWNS),
    )
    for term in map(_weighing, rows):
        if len(term.r):
            _add(out, term)
    if held is not None:
        _hold(out, held)
    return out


def _weighing(rows: ResidualBlock) -> ResidualBlock:
    """The rows with any weight, where they stand alone: of collision most have none, and products take the time."""
    weighs = (rows.weight != 0).any(1)
    if rows.stencil is not None or bool(weighs.all()):
        return rows
    columns, by_globals, first, by_bodies = (
        None if part is None else part[weighs] for part in (rows.columns, rows.by_globals, rows.first, rows.by_bodies)
    )
    return ResidualBlock(rows.r[weighs], rows.weight[weighs], rows.robust, columns, by_globals, first, by_bodies)


def _hold(out: ArrowSystem, held: Tensor) -> None:
    """Decouple body frames from the system, in place: their step becomes zero."""
    out.gradient[held], out.border[held] = 0.0, 0.0
    for k in range(COUPLED_BLOCKS + 1):
        either = held[: len(held) - k] | held[k:]
        out.bands[: len(held) - k, k][either] = 0.0
    out.bands[held, 0] = torch.eye(BODY_UNKNOWNS, dtype=out.bands.dtype)


def _add(out: ArrowSystem, rows: ResidualBlock) -> None:
    """Add one term to the normal equations in place."""
    assert rows.by_globals is not None and rows.columns is not None
    n_globals = len(out.dense_gradient)
    w = (rows.weight * rows.robust.slope((rows.r**2).sum(-1))).sqrt()[..., None]
    r = (rows.r * w).flatten(1)[..., None]  # [M,qe,1]
    jg = (rows.by_globals * w[..., None]).flatten(1, 2)  # [M,qe,g]
    columns = rows.columns
    cells = columns[:, :, None] * n_globals + columns[:, None, :]
    out.dense.view(-1).index_add_(0, cells.reshape(-1), (jg.mT @ jg).reshape(-1))
    out.dense_gradient.index_add_(0, columns.reshape(-1), (jg.mT @ r).reshape(-1))
    if rows.by_bodies is None or rows.first is None:
        return
    if rows.stencil is not None:
        _add_stencil(out, rows, rows.by_bodies, rows.stencil)
        return
    jb = [
        (j * w[..., None]).flatten(1, 2) for j in rows.by_bodies.split(BODY_UNKNOWNS, -1)
    ]  # each [M,qe,BODY_UNKNOWNS]
    for i, j_i in enumerate(jb):
        at = rows.first + i
        out.gradient.index_add_(0, at, (j_i.mT @ r)[..., 0])
        cells = (at[:, None] * BODY_UNKNOWNS + torch.arange(BODY_UNKNOWNS))[..., None] * n_globals + columns[:, None]
        out.border.view(-1).index_add_(0, cells.reshape(-1), (j_i.mT @ jg).reshape(-1))
        for k, j_k in enumerate(jb[i:]):
            out.bands.view(-1, BODY_UNKNOWNS, BODY_UNKNOWNS).index_add_(0, at * (COUPLED_BLOCKS + 1) + k, j_i.mT @ j_k)


def _add_stencil(out: ArrowSystem, rows: ResidualBlock, by_bodies: Tensor, stencil: Tensor) -> None:
    """Add the part with bodies of a term with a stencil in place.

    Body frames n and n + k meet in several rows, but always by the same two Jacobians: their weights are added up
    first, so that one product for each k does it.
    """
    assert rows.by_globals is not None and rows.columns is not None
    weight = rows.weight * rows.robust.slope((rows.r**2).sum(-1))  # [M,q]
    (count, width), n = stencil.shape, len(by_bodies)
    flat = by_bodies.flatten(1, 2).mT  # [N,BODY_UNKNOWNS,qe]
    pull = torch.cat([rows.by_globals, rows.r[..., None]], -1) * weight[..., None, None]  # [M,q,e,g+1]
    pulls = pull.new_zeros(n, *pull.shape[1:])
    for i in range(width):
        pulls[i : i + count] += stencil[:, i, None, None, None] * pull
    pulled = flat @ pulls.flatten(1, 2)  # [N,BODY_UNKNOWNS,g+1]
    out.gradient.add_(pulled[..., -1])
    columns = rows.columns[torch.arange(n).clamp(max=count - 1)]
    out.border.scatter_add_(2, columns[:, None].expand_as(pulled[..., :-1]), pulled[..., :-1])
    for k in range(width):
        met = weight.new_zeros(n - k, weight.shape[1])
        for i in range(width - k):
            met[i : i + count] += (stencil[:, i] * stencil[:, i + k])[:, None] * weight
        out.bands[: n - k, k] += flat[: n - k] @ (by_bodies[k:] * met[..., None, None]).flatten(1, 2)
