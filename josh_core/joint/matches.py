"""Correspondences between knots: packed into rows for the solver, whitened by their covariance."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from josh_core.joint import residuals
from josh_core.joint.evaluated_state import EvaluatedState
from josh_core.joint.variables import MatchTerm
from josh_core.lsq.robust import Robust

# Chosen by hand, except where a measurement or a source is given.
ROW = 64  # correspondences in one packed row


@dataclass(frozen=True)
class Pixels:
    """M correspondences, each once: pixels from the principal point and the depth of both ends.

    Depth is (near + ratio f / f0) times the knot's depth scale.
    """

    a: Tensor  # [M] int knot
    b: Tensor  # [M] int knot
    px_a: Tensor  # [M,2] px
    px_b: Tensor  # [M,2] px
    near: Tensor  # [M,2] for both ends
    ratio: Tensor  # [M,2]
    weight: Tensor  # [M,2] of the direction that starts at this end; 0 where it has no depth
    sigma_depth: Tensor  # [M,2] share, standard deviation of the depth


def pack_matches(px: Pixels, robust: Robust) -> MatchTerm:
    """Both directions of every correspondence, sorted by pair and packed in rows of ROW."""
    a, b = torch.cat([px.a, px.b]), torch.cat([px.b, px.a])
    order = torch.argsort(a * (int(torch.cat([a, b]).max()) + 1) + b, stable=True)
    a, b = a[order], b[order]
    _, group, count = torch.unique_consecutive(torch.stack([a, b], -1), dim=0, return_inverse=True, return_counts=True)
    rows = (count + ROW - 1) // ROW
    first_row, first = rows.cumsum(0) - rows, count.cumsum(0) - count
    within = torch.arange(len(a)) - first[group]
    row, slot = first_row[group] + within // ROW, within % ROW

    def fill(values: Tensor) -> Tensor:
        out = torch.zeros(int(rows.sum()), ROW, *values.shape[1:], dtype=values.dtype)
        out[row, slot] = values[order]
        return out

    weight = fill(px.weight.T.reshape(-1))
    near = fill(px.near.T.reshape(-1))
    near = torch.where(weight > 0, near, torch.ones_like(near))
    owner = torch.repeat_interleave(torch.arange(len(count)), rows)
    identity = torch.eye(2, dtype=near.dtype).expand(*near.shape, 2, 2)
    return MatchTerm(
        a=a[first[owner]],
        b=b[first[owner]],
        ray=fill(torch.cat([px.px_a, px.px_b])),
        px=fill(torch.cat([px.px_b, px.px_a])),
        near=near,
        ratio=fill(px.ratio.T.reshape(-1)),
        whiten=identity,
        sigma_depth=fill(px.sigma_depth.T.reshape(-1)),
        weight=weight,
        robust=robust,
    )


def whiten_matches(at: EvaluatedState, sigma_px: float) -> MatchTerm:
    """The match term with each residual's covariance sigma_px^2 I + sigma_depth^2 g g^T, g = du/d(log depth).

    The depth of each point is thereby eliminated: along the epipolar line a residual may be a depth error, across it
    only a pixel error.
    """
    term, cameras = at.problem.matches, at.problem.cameras
    assert term is not None
    focal = at.state.log_focal.exp()
    size = (at.state.log_scale + at.state.log_size[term.a]).exp()[:, None]
    y_a = residuals.backproject(term.ray, size * (term.near + term.ratio * focal / cameras.focal), focal)
    r_a, r_b = at.rotation[cameras.knot_frame[term.a]], at.rotation[cameras.knot_frame[term.b]]
    c = at.centre[cameras.knot_frame[term.a]] - at.centre[cameras.knot_frame[term.b]]
    turned = y_a @ (r_b.mT @ r_a).mT
    _, du = residuals.pixel(turned + (r_b.mT @ c[..., None])[:, None, :, 0], focal)
    g = (du @ turned[..., None])[..., 0]
    length2 = (g * g).sum(-1, keepdim=True)
    along = 1 / (sigma_px**2 + term.sigma_depth[..., None] ** 2 * length2).sqrt()  # [B,m,1]
    unit = g / (length2 + 1e-18).sqrt()
    identity = torch.eye(2, dtype=g.dtype)
    outer = unit[..., :, None] * unit[..., None, :]
    return replace(term, whiten=identity / sigma_px + outer * (along - 1 / sigma_px)[..., None])


def thin_matches(px: Pixels, per_pair: int) -> Pixels:
    """At most `per_pair` correspondences of each pair, evenly spread over their order; the same ones every time."""
    key = px.a * (int(px.b.max()) + 1) + px.b if len(px.b) else px.b
    order = torch.argsort(key, stable=True)
    _, group, count = torch.unique_consecutive(key[order], return_inverse=True, return_counts=True)
    within = torch.arange(len(order)) - (count.cumsum(0) - count)[group]
    share = (within * per_pair) // count[group].clamp(min=per_pair)
    previous = ((within - 1) * per_pair) // count[group].clamp(min=per_pair)
    keep = order[(within == 0) | (share != previous)].sort().values
    return Pixels(*(getattr(px, f.name)[keep] for f in fields(px)))
