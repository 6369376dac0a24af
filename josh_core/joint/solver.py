"""The joint objective as a model for lsq: residual blocks in, one arrow-shaped system and its step out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from josh_core.joint.evaluated_state import evaluate_state
from josh_core.joint.normal_equations import assemble
from josh_core.joint.residual_blocks import ResidualBlock, objective
from josh_core.joint.variables import Problem, State, retract
from josh_core.lsq.arrow import ArrowSystem, solve
from josh_core.lsq.levenberg_marquardt import Nielsen, Solution, StopRule, Trial
from josh_core.lsq.levenberg_marquardt import minimise as lsq_minimise


class BlockModel(ABC):
    """Any objective made of residual blocks over a State."""

    problem: Problem

    @property
    def free(self) -> Tensor:
        """[G] bool: globals that may move."""
        return self.problem.free

    @property
    def bodies(self) -> int:
        """How many body frames are among the unknowns."""
        return len(self.problem.frame)

    @property
    def held(self) -> Tensor | None:
        """[N] bool: body frames that do not move."""
        return self.problem.held

    @abstractmethod
    def blocks(self, state: State, jacobian: bool) -> list[ResidualBlock]:
        """All residuals of a state."""

    def cost(self, state: State) -> float:
        """Value of the objective."""
        return float(sum(block.cost() for block in self.blocks(state, False)))

    def linearise(self, state: State) -> ArrowSystem:
        """Normal equations at a state."""
        return assemble(self.blocks(state, True), len(self.free), self.bodies, self.held)

    def step(self, state: State, system: ArrowSystem, damping: float) -> Trial[State]:
        """The damped step; its covariance [F,F] is that of the free globals, in the order of their columns."""
        step = solve(system, self.free, damping)
        return Trial(retract(self.problem, state, step.dense, step.blocks), step.predicted, step.covariance)


@dataclass(frozen=True)
class JointModel(BlockModel):
    """The whole objective of a Problem."""

    problem: Problem

    def blocks(self, state: State, jacobian: bool) -> list[ResidualBlock]:
        return objective(evaluate_state(self.problem, state, jacobian))


def minimise(
    model: BlockModel,
    state: State,
    iterations: int = 12,
    tolerance: float = 1e-4,
    tick: Callable[[], None] = lambda: None,
) -> Solution[State]:
    """Lower the objective from `state` with at most `iterations` linear systems (see lsq)."""
    return lsq_minimise(model, state, Nielsen(), StopRule(tolerance, systems=iterations), tick)
