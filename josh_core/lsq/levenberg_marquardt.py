"""Levenberg-Marquardt on any objective that can be linearised: one loop, two rules for its damping.

Robust norms are handled by their model through iterative reweighting: `linearise` weighs each residual by the slope of
its norm at the state, `cost` is the norm itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch

S = TypeVar("S")
SINGULAR = (torch.linalg.LinAlgError, np.linalg.LinAlgError)


@dataclass(frozen=True)
class Trial(Generic[S]):
    """Where a damped step leads."""

    state: S
    predicted: float = math.inf  # decrease of the cost by the quadratic model; infinite where nobody has computed it
    covariance: Any = None  # of the unknowns that the model chooses


class Model(Protocol[S]):
    """An objective: its value, its linear system at a state, and the damped step of such a system."""

    def cost(self, state: S) -> float: ...

    def linearise(self, state: S) -> Any: ...

    def step(self, state: S, system: Any, damping: float) -> Trial[S]: ...


class Damping(Protocol):
    """How the damping begins and changes."""

    @property
    def start(self) -> float: ...

    def accepted(self, damping: float, gain: float) -> float: ...

    def rejected(self, damping: float, failures: int) -> float: ...


@dataclass(frozen=True)
class Stepwise:
    """Divided after a step that lowers the cost, multiplied after one that does not."""

    start: float
    least: float  # never below
    raised: float = 0.0  # after a failure at least this times `grow`
    shrink: float = 5.0
    grow: float = 10.0

    def accepted(self, damping: float, gain: float) -> float:
        return max(damping / self.shrink, self.least)

    def rejected(self, damping: float, failures: int) -> float:
        return max(damping, self.raised) * self.grow


@dataclass(frozen=True)
class Nielsen:
    """Changed by the ratio of actual to predicted decrease (Madsen, Nielsen, Tingleff 2004, section 3.2)."""

    start: float = 1e-5

    def accepted(self, damping: float, gain: float) -> float:
        return damping * max(1 / 10, 1 - (2 * min(gain, 1.0) - 1) ** 3)

    def rejected(self, damping: float, failures: int) -> float:
        return max(damping, 1e-7) * 2.0**failures


@dataclass(frozen=True)
class StopRule:
    """When to stop; counts are at most."""

    tolerance: float  # relative decrease of the cost below which a step is the last
    steps: float = math.inf  # steps taken
    systems: float = math.inf  # linear systems solved, those of rejected steps too
    tries: float = math.inf  # rejected steps from one state
    damping: float = 1e12


@dataclass(frozen=True)
class Solution(Generic[S]):
    """Where the loop stopped. `cost` is never above `start_cost`; NaN only if the start's already was."""

    state: S
    start_cost: float
    cost: float
    costs: tuple[float, ...]  # after each step taken
    iterations: int  # linear systems solved
    damping: float  # for the next step
    system: Any  # linear system of the last step, None where there was none
    covariance: Any  # of the last step's Trial
    converged: bool


def minimise(
    model: Model[S], state: S, damping: Damping, limits: StopRule, tick: Callable[[], None] = lambda: None
) -> Solution[S]:
    """Lower the cost of `state` by damped Gauss-Newton steps.

    A step is taken only if the cost falls; otherwise the damping grows and the step is tried again. `tick` is called
    once per linear system and may raise.
    """
    value, failures = damping.start, 0
    start = cost = model.cost(state)
    costs: list[float] = []
    solved, converged, stale = 0, False, True
    system = covariance = None
    while len(costs) < limits.steps and solved < limits.systems and not converged and math.isfinite(cost):
        if failures >= limits.tries or value >= limits.damping:
            break
        tick()
        if stale:
            system, stale = model.linearise(state), False
        solved += 1
        try:
            trial = model.step(state, system, value)
        except SINGULAR:
            value = max(value, 1e-6) * 10
            continue
        covariance = trial.covariance
        new = model.cost(trial.state)
        if new < cost:  # False for NaN as well
            value = damping.accepted(value, (cost - new) / max(trial.predicted, 1e-12))
            converged = cost - new < limits.tolerance * cost
            state, cost, failures, stale = trial.state, new, 0, True
            costs.append(cost)
        else:
            failures += 1
            value = damping.rejected(value, failures)
            converged = trial.predicted < limits.tolerance * cost
    return Solution(state, start, cost, tuple(costs), solved, value, system, covariance, converged)
