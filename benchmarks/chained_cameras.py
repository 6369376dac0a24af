"""Start cameras of the published problem: matched points in 3D, aligned along a tree of keyframes."""

from __future__ import annotations

import torch
from torch import Tensor

from josh_core.joint import residuals
from josh_core.joint.matches import Pixels
from josh_core.lsq.robust import Cauchy


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


def chained(px: Pixels, focal: float, edges: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Start cameras of K knots from matched points in 3D, along a tree; the root is at the identity with scale 1.

    edges: [K-1,2] int (parent, child) in an order where parents come first; every edge must be a pair of `px`.
    Returns rotation [K,3,3], centre [K,3], depth scale [K].
    """
    f = torch.tensor(focal, dtype=px.near.dtype)
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
    return residuals.backproject(px.px_a, depth[:, 0], focal), residuals.backproject(px.px_b, depth[:, 1], focal)
