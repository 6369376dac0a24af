"""Rotation vectors: exponential, logarithm and their Jacobians, finite at zero. All angles in radians."""

from __future__ import annotations

import roma
import torch
from torch import Tensor


def hat(v: Tensor) -> Tensor:
    """Cross-product matrices [...,3,3] of vectors [...,3]: hat(a) @ b = a x b."""
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*v.shape, 3)


def exp(v: Tensor) -> Tensor:
    """Rotation matrices [...,3,3] of rotation vectors [...,3]."""
    return roma.rotvec_to_rotmat(v)


def log(rotation: Tensor) -> Tensor:
    """Rotation vectors [...,3] of rotation matrices [...,3,3]."""
    return roma.rotmat_to_rotvec(rotation)


def left_jacobian(v: Tensor) -> Tensor:
    """Jl with exp(v + d) = exp(Jl d) exp(v) to first order; [...,3] -> [...,3,3]."""
    a2 = (v * v).sum(-1)
    small = a2 < 1e-6
    a2s = torch.where(small, torch.ones_like(a2), a2)
    a = a2s.sqrt()
    b = torch.where(small, 0.5 - a2 / 24, (1 - torch.cos(a)) / a2s)
    c = torch.where(small, 1 / 6 - a2 / 120, (a - torch.sin(a)) / (a2s * a))
    k = hat(v)
    return torch.eye(3, dtype=v.dtype) + b[..., None, None] * k + c[..., None, None] * k @ k


def inverse_right_jacobian(v: Tensor) -> Tensor:
    """Jr^-1 with log(exp(v) exp(d)) = v + Jr^-1 d to first order; [...,3] -> [...,3,3]; for angles under pi."""
    a2 = (v * v).sum(-1)
    small = a2 < 1e-6
    a2s = torch.where(small, torch.ones_like(a2), a2)
    half = a2s.sqrt() / 2
    c = torch.where(small, 1 / 12 + a2 / 720, (1 - half / torch.tan(half)) / a2s)
    k = hat(v)
    return torch.eye(3, dtype=v.dtype) + 0.5 * k + c[..., None, None] * k @ k


def orthonormal(rotation: Tensor) -> Tensor:
    """The nearest rotation matrices [...,3,3], which removes accumulated rounding."""
    q = roma.rotmat_to_unitquat(rotation)
    return roma.unitquat_to_rotmat(q / q.norm(dim=-1, keepdim=True))
