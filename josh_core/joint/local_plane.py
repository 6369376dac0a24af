"""Local scene planes beside body points: an affine fit of inverse depth, which is exactly a plane in space."""

from __future__ import annotations

import torch
from torch import Tensor

from josh_core.lsq.robust import Cauchy, reweighted
from josh_core.shapes import check_shapes


def inverse_depth_plane(px: Tensor, inverse: Tensor, weight: Tensor, rounds: int = 6) -> tuple[Tensor, Tensor]:
    """Robust fits 1 / depth = a u + b v + c to M neighbourhoods of m pixels at once.

    px: [M,m,2] px from the principal point, inverse: [M,m] 1 / depth, weight: [M,m]
    -> plane [M,3] and its relative residual [M] (weighted root mean square of inverse depth over its mean).
    Neighbourhoods with under three weighted pixels give the constant plane of their weighted mean.
    """
    check_shapes("inverse_depth_plane", px=(px, "M m 2"), inverse=(inverse, "M m"), weight=(weight, "M m"))
    total = weight.sum(-1, keepdim=True).clamp(min=1e-12)
    centre = (weight[..., None] * px).sum(1) / total
    local = (px - centre[:, None]) / 100.0  # keeps the normal equations well conditioned
    design = torch.cat([local, torch.ones_like(local[..., :1])], -1)  # [M,m,3]
    ridge = torch.diag(px.new_tensor([1e-6, 1e-6, 0.0]))
    few = (weight > 0).sum(-1) < 3
    ridge = ridge + few[:, None, None] * torch.diag(px.new_tensor([1e6, 1e6, 0.0]))
    mean = ((weight * inverse).sum(-1) / total[:, 0]).clamp(min=1e-12)

    def squares(state: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        _, error, spread = state
        return (error / torch.maximum(1.5 * spread, 0.002 * mean)[:, None]) ** 2

    def solve(_: object, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        w = weight * slope
        wd = design * w[..., None]
        scale = w.sum(-1).clamp(min=1e-12)[:, None, None]
        normal = wd.mT @ design / scale + ridge + 1e-12 * torch.eye(3, dtype=px.dtype)
        fit = torch.linalg.solve(normal, (wd.mT @ inverse[..., None]) / scale)[..., 0]
        error = (design @ fit[..., None])[..., 0] - inverse
        return fit, error, ((w * error**2).sum(-1) / w.sum(-1).clamp(min=1e-12)).sqrt()

    plain = solve(None, torch.ones_like(weight))
    fit, _, spread = reweighted(solve, squares, Cauchy(1.0), plain, rounds - 1)
    slope = fit[:, :2] / 100.0
    offset = fit[:, 2] - (slope * centre).sum(-1)
    return torch.cat([slope, offset[:, None]], -1), spread / mean
