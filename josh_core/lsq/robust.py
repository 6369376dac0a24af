"""Robust norms as functions of the squared length of a whitened residual: cost = 1/2 sum weight * value(n2).

They take numpy arrays or torch tensors alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch

from josh_core.geometry import Array

S = TypeVar("S")


class Robust(Protocol):
    """value(n2) is the cost of a residual of squared length n2 (n2 itself when quadratic), slope its derivative."""

    def value(self, n2: Array) -> Array: ...

    def slope(self, n2: Array) -> Array: ...


@dataclass(frozen=True)
class Quadratic:
    """Plain least squares."""

    def value(self, n2: Array) -> Array:
        return n2

    def slope(self, n2: Array) -> Array:
        return n2 * 0 + 1


@dataclass(frozen=True)
class Cauchy:
    """c^2 log(1 + n2 / c^2): a residual of c standard deviations counts half."""

    c: float = 2.0

    def value(self, n2: Array) -> Array:
        return self.c**2 * _log1p(n2 / self.c**2)

    def slope(self, n2: Array) -> Array:
        return 1 / (1 + n2 / self.c**2)


@dataclass(frozen=True)
class Geman:
    """c^2 n2 / (c^2 + n2): a residual far beyond c counts as c^2 whatever its size, and pulls no more."""

    c: float = 3.0

    def value(self, n2: Array) -> Array:
        return self.c**2 * n2 / (self.c**2 + n2)

    def slope(self, n2: Array) -> Array:
        return (self.c**2 / (self.c**2 + n2)) ** 2


def reweighted(
    solve: Callable[[S, Array], S], squares: Callable[[S], Array], robust: Robust, start: S, rounds: int
) -> S:
    """A robust estimate by iteratively reweighted least squares, for problems that are solved at once given weights.

    squares: squared lengths n2 of the whitened residuals at an estimate; solve: the next estimate from the last one and
    the norm's slopes at these, which are factors on the weights of the residuals.
    """
    state = start
    for _ in range(rounds):
        state = solve(state, robust.slope(squares(state)))
    return state


def _log1p(x: Array) -> Array:
    return torch.log1p(x) if isinstance(x, torch.Tensor) else np.log1p(x)
