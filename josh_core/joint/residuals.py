"""The residuals of JOSH as pure functions of tensors, each with its equation and its derivatives.

Every function gives r (not yet whitened) and, where it says so, the derivative of r by its arguments. The robust
norms are in lsq/robust.py; the objective that adds the terms up is in residual_blocks.py. Pixels are measured from the
principal point, cameras are OpenCV, `y` is always a point in a camera and `p` a point in the world.
"""

from __future__ import annotations

import torch
from torch import Tensor

MIN_DEPTH = 1e-2  # m or depth units; points nearer than this project as if they were there; nobody is so near


def pixel(y: Tensor, focal: Tensor) -> tuple[Tensor, Tensor]:
    """u = f y_xy / y_z and du/dy. y: [...,3], focal: [] px -> [...,2] px, [...,2,3].

    du/d(log f) is u itself. Depth is held at MIN_DEPTH or more, with zero derivative by depth below it.
    """
    z = y[..., 2].clamp(min=MIN_DEPTH)
    u = focal * y[..., :2] / z[..., None]
    deep = (y[..., 2] > MIN_DEPTH).to(y.dtype)
    du = torch.zeros(*y.shape[:-1], 2, 3, dtype=y.dtype)
    du[..., 0, 0] = du[..., 1, 1] = focal / z
    du[..., 2] = -u * (deep / z)[..., None]
    return u, du


def backproject(ray: Tensor, depth: Tensor, focal: Tensor) -> Tensor:
    """y = depth (ray_x / f, ray_y / f, 1). ray: [...,2] px, depth: [...] -> [...,3]."""
    return torch.cat([ray / focal, torch.ones_like(ray[..., :1])], -1) * depth[..., None]


def surface_distance(y: Tensor, plane: Tensor, depth_scale: Tensor, focal: Tensor) -> tuple[Tensor, ...]:
    """Contact scene: r = (N . y - depth_scale) / |N| with N = (a f, b f, c).

    The scene is 1 / depth = a u + b v + c around the contact's pixel, so its points satisfy N . y = depth_scale
    and r is the metric distance to that plane. y: [M,3] m, plane: [M,3], depth_scale: [M], focal: []
    -> r [M] m, dr/dy [M,3], dr/d(log depth_scale) [M], dr/d(log f) [M].
    """
    by_f = torch.cat([plane[..., :2] * focal, torch.zeros_like(plane[..., :1])], -1)
    normal = by_f + plane * plane.new_tensor([0, 0, 1.0])
    length = normal.norm(dim=-1)
    r = ((normal * y).sum(-1) - depth_scale) / length
    dlength = (normal * by_f).sum(-1) / length
    return r, normal / length[..., None], -depth_scale / length, ((by_f * y).sum(-1) - r * dlength) / length


def floor_height(p: Tensor, normal: Tensor, axes: Tensor, offset: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """Contact floor: r = n . p + offset + floor_2 with n = normal + floor_0 axes_0 + floor_1 axes_1, not renormalised.

    Tilts are a few degrees, so |n| stays within a thousandth of one. p: [...,3] m, offset: [] m, floor: [3]
    -> height [...] m over the floor, n [3].
    """
    n = normal + floor[:2] @ axes
    return p @ n + offset + floor[2], n


def outside(distance: Tensor) -> tuple[Tensor, Tensor]:
    """Collision: r = min(distance, 0) of a point from what is solid, its square has a continuous slope.

    distance: [...] m, negative inside -> r [...], dr/d(distance) [...], which is 0 outside and 1 inside.
    """
    inside = (distance < 0).to(distance.dtype)
    return distance * inside, inside


def before_plane(y: Tensor, normal: Tensor, offset: Tensor) -> Tensor:
    """Collision of people: d = n . y - offset, of a point from a plane that is fixed in its camera; dd/dy = n.

    y: [...,3] m, normal: [...,3] unit, offset: [...] m -> [...] m.
    """
    return (normal * y).sum(-1) - offset


def slide(p: Tensor) -> Tensor:
    """Contact static: r = p_{n+1} - p_n of points that touch in both body frames. p: [N,C,3] m -> [N-1,C,3]."""
    return p[1:] - p[:-1]


def sideways(lateral: Tensor, ahead: Tensor) -> Tensor:
    """Heading: r = e . d, the sine of the angle between facing and travel.

    e is the body's axis from right to left, d the direction of travel, both unit in the world; zero for walking
    forward and backward. lateral, ahead: [...,3] -> [...].
    """
    return (lateral * ahead).sum(-1)


def acceleration(p: Tensor, stencil: Tensor) -> Tensor:
    """Smooth: r = s_0 p_n + s_1 p_{n+1} + s_2 p_{n+2}. p: [N,J,3] m, stencil: [N-2,3] -> [N-2,J,3]."""
    s = stencil[:, :, None, None]
    return s[:, 0] * p[:-2] + s[:, 1] * p[1:-1] + s[:, 2] * p[2:]


def second_difference(h0: Tensor, h1: Tensor) -> Tensor:
    """Stencil [M,3] of the acceleration over two steps of h0 and h1 seconds: what `acceleration` multiplies with.

    a = 2 / (h0 + h1) ((p_2 - p_1) / h1 - (p_1 - p_0) / h0). h0, h1: [M] s, positive.
    """
    mean = (h0 + h1) / 2
    return torch.stack([1 / h0, -1 / h0 - 1 / h1, 1 / h1], -1) / mean[:, None]


def root_place(y: Tensor, start: Tensor, focal_ratio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Start of the root: r = (log z - log(z0 f/f0), (x/z f/f0 - x0/z0) z0, the same for y).

    A body seen at another focal keeps its pixels and its depth grows with f. y, start: [...,3] m -> r [...,3]
    (share of the depth, m, m), dr/dy [...,3,3], dr/d(log f) [...,3].
    """
    z = y[..., 2].clamp(min=MIN_DEPTH)
    z0 = start[..., 2].clamp(min=MIN_DEPTH)
    across = y[..., :2] / z[..., None] * focal_ratio * z0[..., None]
    along = torch.log(z / z0) - torch.log(focal_ratio)
    r = torch.cat([along[..., None], across - start[..., :2] * (z0 / start[..., 2])[..., None]], -1)
    deep = (y[..., 2] > MIN_DEPTH).to(y.dtype) / z
    dy = torch.zeros(*y.shape, 3, dtype=y.dtype)
    dy[..., 0, 2] = deep
    dy[..., 1, 0] = dy[..., 2, 1] = focal_ratio * z0 / z
    dy[..., 1:, 2] = -across * deep[..., None]
    return r, dy, torch.cat([-torch.ones_like(along[..., None]), across], -1)
