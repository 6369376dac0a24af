"""Least squares: norms against their slopes, the loop on problems with known answers, the arrow against dense."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from josh_core.lsq.arrow import ArrowSystem, solve
from josh_core.lsq.levenberg_marquardt import Damping, Nielsen, Stepwise, StopRule, Trial, minimise
from josh_core.lsq.robust import Cauchy, Geman, Quadratic, Robust, reweighted

RULES = [Nielsen(), Stepwise(start=1e-3, least=1e-9, raised=1e-6)]


@pytest.mark.parametrize("robust", [Quadratic(), Cauchy(2.0), Geman(3.0)])
def test_the_slope_is_the_derivative_in_either_library(robust: Robust) -> None:
    n2, h = np.array([0.0, 0.3, 4.0, 50.0]), 1e-6
    assert robust.slope(n2) == pytest.approx((robust.value(n2 + h) - robust.value(n2 - h)) / (2 * h), rel=1e-6)
    assert robust.slope(np.zeros(1)) == pytest.approx(1.0)
    t = torch.from_numpy(n2)
    assert torch.equal(robust.value(t), torch.from_numpy(np.asarray(robust.value(n2))))
    assert torch.equal(robust.slope(t), torch.from_numpy(np.asarray(robust.slope(n2))))


def test_a_residual_of_the_width_counts_half() -> None:
    assert Cauchy(2.0).slope(np.array(4.0)) == pytest.approx(0.5)
    assert Geman(3.0).value(np.array(1e9)) == pytest.approx(9.0, rel=1e-6)


def test_reweighting_finds_the_mean_of_the_inliers() -> None:
    values = np.concatenate([np.array([-1.0, 0.0, 1.0]), np.full(2, 1e3)])  # two of five are far off

    def mean(_: float, slope: np.ndarray) -> float:
        return float((slope * values).sum() / slope.sum())

    def squares(at: float) -> np.ndarray:
        return (values - at) ** 2

    assert reweighted(mean, squares, Geman(3.0), float(np.median(values)), 30) == pytest.approx(0.0, abs=1e-3)
    assert reweighted(mean, squares, Quadratic(), 0.0, 1) == pytest.approx(values.mean())
    assert reweighted(mean, squares, Geman(3.0), 7.0, 0) == 7.0  # the start


@dataclass(frozen=True)
class Rosenbrock:
    """(1 - x)^2 + 100 (y - x^2)^2: a curved valley with its floor at (1, 1)."""

    def cost(self, x: np.ndarray) -> float:
        return float((1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2)

    def linearise(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r = np.array([1 - x[0], 10 * (x[1] - x[0] ** 2)])
        j = np.array([[-1.0, 0.0], [-20 * x[0], 10.0]])
        return j.T @ j, j.T @ r

    def step(self, x: np.ndarray, system: tuple[np.ndarray, np.ndarray], damping: float) -> Trial[np.ndarray]:
        h, g = system
        d = -np.linalg.solve(h + damping * np.diag(np.diag(h)), g)
        return Trial(x + d, float(-(2 * g @ d + d @ h @ d)))


@pytest.mark.parametrize("rule", RULES)
def test_the_loop_follows_a_curved_valley(rule: Damping) -> None:
    found = minimise(Rosenbrock(), np.array([-1.2, 1.0]), rule, StopRule(tolerance=1e-14, systems=200))
    assert found.state == pytest.approx([1.0, 1.0], abs=1e-5)
    assert found.start_cost == pytest.approx(24.2) and found.cost == found.costs[-1]
    assert all(b < a for a, b in zip((found.start_cost, *found.costs), found.costs, strict=False))


@pytest.mark.parametrize("limits", [StopRule(0.0, steps=3), StopRule(0.0, systems=3)])
def test_limits(limits: StopRule) -> None:
    ticks: list[int] = []
    found = minimise(Rosenbrock(), np.array([-1.2, 1.0]), Nielsen(), limits, lambda: ticks.append(0))
    assert len(ticks) == found.iterations and not found.converged
    assert len(found.costs) == 3 if limits.steps == 3 else found.iterations == 3


@dataclass(frozen=True)
class Wrong(Rosenbrock):
    """Always steps uphill, or has no system at all."""

    singular: bool = False

    def step(self, x: np.ndarray, system: tuple[np.ndarray, np.ndarray], damping: float) -> Trial[np.ndarray]:
        if self.singular:
            raise np.linalg.LinAlgError("singular")
        return Trial(x - super().step(x, system, damping).state * 1e-9 + 1.0)


@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_a_step_that_never_helps_leaves_the_start(rule: Damping, singular: bool) -> None:
    start = np.array([1.0, 1.0])
    found = minimise(Wrong(singular), start + 0.01, rule, StopRule(1e-9, systems=30, tries=5))
    assert (found.state == start + 0.01).all() and found.costs == () and found.cost == found.start_cost
    assert found.damping > rule.start


def test_a_start_that_is_not_a_number_stays() -> None:
    found = minimise(Rosenbrock(), np.array([np.nan, 1.0]), Nielsen(), StopRule(1e-9))
    assert np.isnan(found.cost) and found.iterations == 0


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
def test_the_arrow_solves_the_dense_equations(n: int) -> None:
    rng, d, g = np.random.default_rng(4), 6, 10
    size = n * d + g
    dense = np.zeros((size, size))
    for i in range(max(n, 1)):  # residuals over up to three neighbouring blocks and the dense unknowns
        at = np.r_[i * d : min(i + 3, n) * d, n * d : size]
        rows = rng.normal(size=(40, len(at)))
        dense[np.ix_(at, at)] += rows.T @ rows
    gradient = rng.normal(size=size)
    bands = np.zeros((n, 3, d, d))
    for i in range(n):
        for k in range(min(3, n - i)):
            bands[i, k] = dense[i * d : (i + 1) * d, (i + k) * d : (i + k + 1) * d]
    parts = (dense[n * d :, n * d :], bands, dense[: n * d, n * d :].reshape(n, d, g), gradient[n * d :])
    system = ArrowSystem(*(torch.from_numpy(x.copy()) for x in (*parts, gradient[: n * d].reshape(n, d))))
    for damping in (0.0, 0.5):
        step = solve(system, torch.ones(g, dtype=torch.bool), damping, floor=1e-6)
        damped = dense + np.diag(damping * np.diag(dense) + 1e-6)
        right = np.linalg.solve(damped, -gradient)
        got = np.concatenate([step.blocks.numpy().ravel(), step.dense.numpy()])
        assert got == pytest.approx(right, rel=1e-6, abs=1e-9)
        assert step.covariance.numpy() == pytest.approx(np.linalg.inv(damped)[n * d :, n * d :], rel=1e-6, abs=1e-9)
        assert step.predicted == pytest.approx(-(gradient @ right + 0.5 * right @ dense @ right), rel=1e-6)
