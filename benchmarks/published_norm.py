"""The paper's robust norm rho_gamma, for comparison with the published objective only."""

from __future__ import annotations

from dataclasses import dataclass

from josh_core.geometry import Array


@dataclass(frozen=True)
class Gamma:
    """2 rho_gamma(|r|), the paper's norm (DESIGN section 8), rounded off within `eps` of zero for finite weights."""

    gamma: float
    eps: float = 1e-6

    def value(self, n2: Array) -> Array:
        return 2 * rho(self._length(n2), self.gamma)

    def slope(self, n2: Array) -> Array:
        d = self._length(n2)
        return self.gamma * (d + offset(self.gamma)) ** (self.gamma - 1) / d

    def _length(self, n2: Array) -> Array:
        return (n2 + self.eps**2) ** 0.5


def offset(gamma: float) -> float:
    """o = (1/gamma)^(1/(gamma-1)), which makes the slope of rho one at zero."""
    return (1 / gamma) ** (1 / (gamma - 1))


def rho(d: Array, gamma: float) -> Array:
    """rho_gamma(d) = (d + o)^gamma - o^gamma for distances d >= 0."""
    o = offset(gamma)
    return (d + o) ** gamma - o**gamma
