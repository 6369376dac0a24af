"""Robust norms as functions of the squared length of a whitened residual: cost = 1/2 sum weight * value(n2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Robust(Protocol):
    """value(n2) is the cost of a residual of squared length n2 (n2 itself when quadratic), slope its derivative."""

    def value(self, n2: Tensor) -> Tensor: ...

    def slope(self, n2: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Quadratic:
    """Plain least squares."""

    def value(self, n2: Tensor) -> Tensor:
        return n2

    def slope(self, n2: Tensor) -> Tensor:
        return torch.ones_like(n2)


@dataclass(frozen=True)
class Cauchy:
    """c^2 log(1 + n2 / c^2): a residual of c standard deviations counts half."""

    c: float = 2.0

    def value(self, n2: Tensor) -> Tensor:
        return self.c**2 * torch.log1p(n2 / self.c**2)

    def slope(self, n2: Tensor) -> Tensor:
        return 1 / (1 + n2 / self.c**2)


@dataclass(frozen=True)
class Geman:
    """c^2 n2 / (c^2 + n2): a residual far beyond c counts as c^2 whatever its size, and pulls no more."""

    c: float = 3.0

    def value(self, n2: Tensor) -> Tensor:
        return self.c**2 * n2 / (self.c**2 + n2)

    def slope(self, n2: Tensor) -> Tensor:
        return (self.c**2 / (self.c**2 + n2)) ** 2
