"""Correspondences between knots: packed for the solver, weighed by their uncertainty, chained into start cameras."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from josh_core.joint import residuals
from josh_core.joint.residual_blocks import Posed
from josh_core.joint.robust import Cauchy, Robust
from josh_core.joint.variables import MatchTerm

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


def packed(px: Pixels, robust: Robust) -> MatchTerm:
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


def whitened(at: Posed, sigma_px: float) -> MatchTerm:
    """The match term with each residual's covariance sigma_px^2 I + sigma_depth^2 g g^T, g = du/d(log depth).

    The depth of each point is thereby eliminated: along the epipolar line a residual may be a depth error, across it
    only a pixel error.
    """
    term, cameras = at.problem.matches, at.problem.cameras
    assert term is not None
    focal = at.state.log_focal.exp()
    size = (at.state.log_scale + at.state.log_size[term.a]).exp()[:, None]
    y_a = residuals.lifted(term.ray, size * (term.near + term.ratio * focal / cameras.focal), focal)
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


def similarity(source: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted least-squares similarities target ~ s R source + t of E point sets at once (Umeyama 1991).

    source, target: [E,m,3], weight: [E,m] -> s [E], R [E,3,3], t [E,3].
    """
    w = weight / weight.sum(-1, keepdim=True).clamp(min=1e-12)
    mean_s, mean_t = (w[..., None] * source).sum(1), (w[..., None] * target).sum(1)
    s, t = source - mean_s[:, None], target - mean_t[:, None]
    u, d, vt = torch.linalg.svd((w[..., None] * t).mT @ s)
    sign = torch.ones_like(d)
    sign[:, 2] = torch.where(torch.linalg.det(u @ vt) < 0, -1.0, 1.0)
    rotation = (u * sign[:, None]) @ vt
    scale = (d * sign).sum(-1) / (w[..., None] * s**2).sum((1, 2)).clamp(min=1e-12)
    return scale, rotation, mean_t - scale[:, None] * (rotation @ mean_s[..., None])[..., 0]


def robust_similarity(source: Tensor, target: Tensor, weight: Tensor, rounds: int = 12) -> tuple[Tensor, ...]:
    """`similarity` reweighted against outliers; distances are measured against their own weighted median scale."""
    scale, rotation, shift = similarity(source, target, weight)
    for _ in range(rounds):
        moved = scale[:, None, None] * source @ rotation.mT + shift[:, None]
        relative = (target - moved).norm(dim=-1) / target.norm(dim=-1).clamp(min=1e-9)
        median = torch.where(weight > 0, relative, torch.nan).nanmedian(-1, keepdim=True).values
        slope = Cauchy(2.0).slope((relative / (1.5 * median + 1e-6)) ** 2)
        # far points have far larger errors: weigh by inverse squared distance
        scale, rotation, shift = similarity(source, target, weight * slope / target.norm(dim=-1).clamp(min=1e-9) ** 2)
    return scale, rotation, shift


def chained(px: Pixels, focal: float, root: int, edges: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Start cameras of K knots from matched points in 3D, along a tree; the root is at the identity with scale 1.

    edges: [K-1,2] int (parent, child) in an order where parents come first; every edge must be a pair of `px`.
    Returns rotation [K,3,3], centre [K,3], depth scale [K].
    """
    term = packed(px, Cauchy())
    f = torch.tensor(focal, dtype=term.near.dtype)
    k = len(edges) + 1
    of_child, points_c, points_p, weight = [], [], [], []
    both = _both_ends(px, f)
    for parent, child in edges.tolist():
        forward, backward = (px.a == parent) & (px.b == child), (px.a == child) & (px.b == parent)
        pick = forward | backward
        swap = backward[pick][:, None]
        x, y = both[0][pick], both[1][pick]
        points_p.append(torch.where(swap, y, x))
        points_c.append(torch.where(swap, x, y))
        weight.append(px.weight[pick].amin(-1))
        of_child.append(child)
    pad = torch.nn.utils.rnn.pad_sequence
    scale, rotation, shift = robust_similarity(
        pad(points_c, batch_first=True),
        pad(points_p, batch_first=True, padding_value=1.0),
        pad(weight, batch_first=True),
    )
    out_r = torch.eye(3, dtype=f.dtype).repeat(k, 1, 1)
    out_c, out_s = torch.zeros(k, 3, dtype=f.dtype), torch.ones(k, dtype=f.dtype)
    for e, (parent, child) in enumerate(edges.tolist()):
        out_r[child] = out_r[parent] @ rotation[e]
        out_c[child] = out_c[parent] + out_s[parent] * out_r[parent] @ shift[e]
        out_s[child] = out_s[parent] * scale[e]
    return out_r, out_c, out_s


def _both_ends(px: Pixels, focal: Tensor) -> tuple[Tensor, Tensor]:
    depth = px.near + px.ratio
    return residuals.lifted(px.px_a, depth[:, 0], focal), residuals.lifted(px.px_b, depth[:, 1], focal)


def thinned(px: Pixels, per_pair: int) -> Pixels:
    """At most `per_pair` correspondences of each pair, evenly spread over their order; the same ones every time."""
    key = px.a * (int(px.b.max()) + 1) + px.b if len(px.b) else px.b
    order = torch.argsort(key, stable=True)
    _, group, count = torch.unique_consecutive(key[order], return_inverse=True, return_counts=True)
    within = torch.arange(len(order)) - (count.cumsum(0) - count)[group]
    share = (within * per_pair) // count[group].clamp(min=per_pair)
    previous = ((within - 1) * per_pair) // count[group].clamp(min=per_pair)
    keep = order[(within == 0) | (share != previous)].sort().values
    return Pixels(*(getattr(px, f.name)[keep] for f in fields(px)))
