"""Every term's derivatives against finite differences, and the normal equations against a slow dense version."""

from __future__ import annotations

import pytest
import torch

from josh_core.joint.evaluated_state import evaluate_state
from josh_core.joint.normal_equations import assemble
from josh_core.joint.residual_blocks import TERMS, ResidualBlock, global_block, objective, pose_block, root_block
from josh_core.joint.solver import JointModel
from josh_core.joint.variables import BODY_UNKNOWNS, retract
from josh_core.lsq.arrow import solve
from tests.joint.small_problem import little_problem, rand

ALL = {"shared": global_block, "root": root_block, "pose": pose_block, **TERMS}


@pytest.mark.parametrize("name", list(ALL))
@pytest.mark.parametrize("seed", [0, 1])
def test_derivatives_match_finite_differences(name, seed):
    problem, state = little_problem(seed)
    gen = torch.Generator().manual_seed(seed + 10)
    by_globals, by_bodies = rand(gen, problem.layout.size), rand(gen, len(problem.frame), BODY_UNKNOWNS)

    def residual(t):
        return ALL[name](evaluate_state(problem, retract(problem, state, t * by_globals, t * by_bodies), False)).r

    h = 1e-6
    numeric = (residual(h) - residual(-h)) / (2 * h)
    rows = ALL[name](evaluate_state(problem, state, True))
    analytic = torch.einsum("mqeg,mg->mqe", rows.by_globals, by_globals[rows.columns])
    if rows.by_bodies is not None:
        whole = _by_bodies(rows)
        count = whole.shape[-1] // BODY_UNKNOWNS
        step = torch.cat([by_bodies[rows.first + i] for i in range(count)], -1)
        analytic = analytic + torch.einsum("mqeb,mb->mqe", whole, step)
    shown = rows.weight[..., None] > 0  # rows over two people carry no weight and no meaning
    assert numeric.abs().max() > 0.1
    scale = numeric[shown.expand_as(numeric)].abs().max()
    assert ((numeric - analytic) * shown).abs().max() < 1e-6 * scale + 1e-7


def _by_bodies(rows: ResidualBlock) -> torch.Tensor:
    """Jacobian [M,q,e,nb*BODY_UNKNOWNS] of each row, written out where the block has a stencil."""
    if rows.stencil is None:
        return rows.by_bodies
    count, width = rows.stencil.shape
    parts = [rows.stencil[:, i, None, None, None] * rows.by_bodies[i : i + count] for i in range(width)]
    return torch.cat(parts, -1)


def _dense(rows: list[ResidualBlock], n_globals: int, n_bodies: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Normal matrix and gradient entry by entry: a loop over rows, residual vectors and their components."""
    size = n_globals + n_bodies * BODY_UNKNOWNS
    h, g = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    for term in rows:
        by_bodies = None if term.by_bodies is None else _by_bodies(term)
        for m in range(len(term.r)):
            for q in range(term.r.shape[1]):
                slope = term.weight[m, q] * term.robust.slope((term.r[m, q] ** 2).sum())
                if slope == 0:
                    continue
                for e in range(term.r.shape[2]):
                    j = torch.zeros(size, dtype=torch.float64)
                    j.index_add_(0, term.columns[m], term.by_globals[m, q, e])
                    if by_bodies is not None:
                        at = n_globals + int(term.first[m]) * BODY_UNKNOWNS
                        part = by_bodies[m, q, e]
                        j[at : at + len(part)] += part
                    h += slope * torch.outer(j, j)
                    g += slope * term.r[m, q, e] * j
    return h, g


@pytest.mark.parametrize("counts", [(5, 2), (4,), (1,)])
def test_step_equals_dense_solution(counts):
    problem, state = little_problem(3, counts)
    problem = type(problem)(**{**vars(problem), "landmarks": None, "matches": None})  # keeps the loop short
    rows = objective(evaluate_state(problem, state, True))
    n = len(problem.frame)
    h, g = _dense(rows, problem.layout.size, n)
    normal = assemble(rows, problem.layout.size, n)
    free = torch.ones(problem.layout.size, dtype=torch.bool)
    free[[1, 7]] = False
    damping = 1e-3
    step = solve(normal, free, damping)
    keep = torch.cat([free, torch.ones(n * BODY_UNKNOWNS, dtype=torch.bool)])
    damped = h + torch.diag(damping * h.diagonal() + 1e-12)
    slow = torch.zeros(len(g), dtype=torch.float64)
    slow[keep] = -torch.linalg.solve(damped[keep][:, keep], g[keep])
    fast = torch.cat([step.dense, step.blocks.reshape(-1)])
    assert (fast - slow).abs().max() < 1e-7 * slow.abs().max()
    model_decrease = -(g @ slow + 0.5 * slow @ h @ slow)
    assert step.predicted == pytest.approx(float(model_decrease), rel=1e-6)
    inverse = torch.linalg.inv(damped[keep][:, keep])[: int(free.sum()), : int(free.sum())]
    assert (step.covariance - inverse).abs().max() < 1e-6 * inverse.abs().max()


def test_gradient_is_that_of_the_cost():
    problem, state = little_problem(4)
    gen = torch.Generator().manual_seed(5)
    by_globals, by_bodies = rand(gen, problem.layout.size), rand(gen, len(problem.frame), BODY_UNKNOWNS)
    model = JointModel(problem)

    def cost(t):
        return sum(rows.cost() for rows in model.blocks(retract(problem, state, t * by_globals, t * by_bodies), False))

    h = 1e-6
    normal = assemble(model.blocks(state, True), problem.layout.size, len(problem.frame))
    analytic = normal.dense_gradient @ by_globals + (normal.gradient * by_bodies).sum()
    assert float((cost(h) - cost(-h)) / (2 * h)) == pytest.approx(float(analytic), rel=1e-6)
