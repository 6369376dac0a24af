"""Damped Gauss-Newton (Levenberg-Marquardt) on a robust objective, iteratively reweighted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from josh_core.joint.normal_equations import assemble, solve
from josh_core.joint.residual_blocks import ResidualBlock, evaluate_state, objective
from josh_core.joint.variables import Problem, State, retract

S = TypeVar("S")


class Model(Protocol[S]):
    """What can be minimised: residual rows of a state, and where a step leads."""

    @property
    def free(self) -> Tensor: ...  # [G] bool

    @property
    def bodies(self) -> int: ...  # N body frames in the banded part

    @property
    def held(self) -> Tensor | None: ...  # [N] bool: body frames that do not move

    def rows(self, state: S, jacobian: bool) -> list[ResidualBlock]: ...

    def retract(self, state: S, step_globals: Tensor, step_bodies: Tensor) -> S: ...


@dataclass(frozen=True)
class JointModel:
    """The whole objective of a Problem as a Model."""

    problem: Problem

    @property
    def free(self) -> Tensor:
        return self.problem.free

    @property
    def bodies(self) -> int:
        return len(self.problem.frame)

    @property
    def held(self) -> Tensor | None:
        return self.problem.held

    def rows(self, state: State, jacobian: bool) -> list[ResidualBlock]:
        return objective(evaluate_state(self.problem, state, jacobian))

    def retract(self, state: State, step_globals: Tensor, step_bodies: Tensor) -> State:
        return retract(self.problem, state, step_globals, step_bodies)


@dataclass(frozen=True)
class Solution(Generic[S]):
    """Where the solver stopped. `cost` is never above `start_cost`; NaN only if the start's already was."""

    state: S
    start_cost: float
    cost: float
    costs: tuple[float, ...]  # after each accepted step
    iterations: int  # linear systems solved
    covariance: Tensor  # [F,F] of the free globals at the last linear system, in the order of the free columns
    converged: bool


def cost_of(model: Model[S], state: S) -> float:
    """Value of the objective."""
    return float(sum(rows.cost() for rows in model.rows(state, False)))


def minimise(
    model: Model[S],
    state: S,
    iterations: int = 12,
    tolerance: float = 1e-4,
    tick: Callable[[], None] = lambda: None,
) -> Solution[S]:
    """Lower the objective from `state` by at most `iterations` damped Gauss-Newton steps.

    A step is taken only if the objective falls; otherwise the damping grows and the step is tried again. Stops when
    a step gains less than `tolerance` of the objective. `tick` is called once per linear system and may raise.
    """
    damping, factor = 1e-5, 2.0
    start = cost = cost_of(model, state)
    costs: list[float] = []
    covariance, solved, converged = torch.zeros(0, 0), 0, False
    normal = None
    while solved < iterations and not converged and math.isfinite(cost):
        tick()
        if normal is None:
            normal = assemble(model.rows(state, True), len(model.free), model.bodies, model.held)
        solved += 1
        try:
            step = solve(normal, model.free, damping)
        except torch.linalg.LinAlgError:
            damping = max(damping, 1e-6) * 10
            continue
        covariance = step.covariance
        candidate = model.retract(state, step.globals, step.bodies)
        new = cost_of(model, candidate)
        if new < cost:
            gain = (cost - new) / max(step.predicted, 1e-12)
            damping *= max(1 / 10, 1 - (2 * min(gain, 1.0) - 1) ** 3)  # Nielsen's rule
            converged = cost - new < tolerance * cost
            state, cost, factor, normal = candidate, new, 2.0, None
            costs.append(cost)
        else:
            converged = step.predicted < tolerance * cost
            damping, factor = max(damping, 1e-7) * factor, factor * 2
    return Solution(state, start, cost, tuple(costs), solved, covariance, converged)
