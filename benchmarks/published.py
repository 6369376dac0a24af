"""The published objective and its two-stage Adam schedule, as a readable reference.

Kept for comparison only (DESIGN section 8): its prior freezes the body. Everything is in the published form: cameras
chained along a tree, depth = size (near + ratio f / f0), free 3x3 pose matrices, root as quaternion wxyz.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from benchmarks.published_norm import rho
from josh_core.body.skinning import SkinningTable, skinned_points
from josh_core.joint import residuals
from josh_core.joint.matches import Pixels

# The published weights and schedules (DESIGN section 8).
WEIGHTS = {"match": 1.0, "scale": 1.0, "static": 0.1, "prior": 100.0, "smooth": 0.1}
COARSE, FINE = (500, 0.07), (200, 0.014)  # steps and learning rate


@dataclass(frozen=True)
class Published:
    """The problem in published form. K keyframes, one person with a body in each."""

    pixels: Pixels  # weight = confidence
    median: Tensor  # [K] median depth of each keyframe
    edges: Tensor  # [K-1,2] int (parent, child), parents first
    root: int
    focal: float  # px, start
    table: SkinningTable
    rotations: Tensor  # [K,24,3,3] start, root in the camera
    transl: Tensor  # [K,3] m start
    betas: Tensor  # [10] start
    scale_knot: Tensor  # [M] int contact scene: keyframe
    scale_body: Tensor  # [M] int body frame
    scale_point: Tensor  # [M] int body point
    scale_near: Tensor  # [M] depth as `near` and `ratio` of Pixels
    scale_ratio: Tensor  # [M]
    scale_weight: Tensor  # [M] confidence
    static_body: Tensor  # [S] int body frame t, compared with t - 1
    static_point: Tensor  # [S] int


@dataclass
class Parameters:
    """What Adam moves."""

    turns: Tensor  # [K,4] XYZW, relative to the parent
    shifts: Tensor  # [K,3] relative to the parent, of the camera moved along its axis by its median depth
    log_sizes: Tensor  # [K]
    log_focal: Tensor  # []
    root_quat: Tensor  # [K,4] WXYZ
    transl: Tensor  # [K,3]
    pose: Tensor  # [K,23,3,3]
    betas: Tensor  # [10]

    def tensors(self) -> dict[str, Tensor]:
        return dict(vars(self))


@dataclass(frozen=True)
class Terms:
    """Weighted terms of the objective."""

    match: Tensor
    scale: Tensor
    static: Tensor
    prior: Tensor
    smooth: Tensor

    @property
    def total(self) -> Tensor:
        return self.match + self.scale + self.static + self.prior + self.smooth


def start_parameters(problem: Published) -> Parameters:
    """The published start: identity cameras, unit sizes, the bodies as they came in."""
    k = len(problem.median)
    turns = torch.zeros(k, 4, dtype=torch.float64)
    turns[:, 3] = 1
    quat = roma.quat_xyzw_to_wxyz(roma.rotmat_to_unitquat(problem.rotations[:, 0]))
    zero = torch.zeros(k, 3, dtype=torch.float64)
    return Parameters(
        turns=turns,
        shifts=zero,
        log_sizes=zero[:, 0].clone(),
        log_focal=torch.tensor(problem.focal, dtype=torch.float64).log(),
        root_quat=quat,
        transl=problem.transl.clone(),
        pose=problem.rotations[:, 1:].clone(),
        betas=problem.betas.clone(),
    )


def chain_cameras(problem: Published, x: Parameters) -> tuple[Tensor, Tensor]:
    """world_from_cam as rotation [K,3,3] and centre [K,3] of the chained parameters."""
    turn = roma.unitquat_to_rotmat(x.turns / x.turns.norm(dim=-1, keepdim=True))
    rotation, place = {problem.root: turn[problem.root]}, {problem.root: x.shifts[problem.root]}
    for parent, child in problem.edges.tolist():
        rotation[child] = rotation[parent] @ turn[child]
        place[child] = place[parent] + rotation[parent] @ x.shifts[child]
    r = torch.stack([rotation[k] for k in range(len(turn))])
    z = x.log_sizes.exp() * problem.median * x.log_focal.exp() / problem.focal
    return r, torch.stack([place[k] for k in range(len(turn))]) - r[..., 2] * z[:, None]


def bodies(problem: Published, x: Parameters) -> Tensor:
    """Joints and contact points [K,Q,3] in the cameras, at the start focal."""
    root = roma.unitquat_to_rotmat(roma.quat_wxyz_to_xyzw(x.root_quat / x.root_quat.norm(dim=-1, keepdim=True)))
    rotations = torch.cat([root[:, None], x.pose], 1)
    return skinned_points(problem.table, rotations, x.transl, x.betas.expand(len(root), -1)).p


def objective(problem: Published, x: Parameters, fine: bool) -> Terms:
    """The published objective (DESIGN section 8) with 3D matches (coarse) or 2D matches (fine)."""
    rotation, centre = chain_cameras(problem, x)
    focal, size = x.log_focal.exp(), x.log_sizes.exp()
    ratio = focal / problem.focal
    p_cam = bodies(problem, x)
    p = p_cam @ rotation.mT + centre[:, None]
    match = _match_2d if fine else _match_3d
    depth = size[problem.scale_knot] * (problem.scale_near + problem.scale_ratio * ratio)
    z = p_cam[problem.scale_body, problem.scale_point, 2] * ratio
    c = problem.scale_weight / problem.scale_weight.sum().clamp(min=1e-12)
    t, s = problem.static_body, problem.static_point
    joints = p[:, : len(problem.table.parents)]
    return Terms(
        match=WEIGHTS["match"] * match(problem.pixels, rotation, centre, size, focal, ratio),
        scale=WEIGHTS["scale"] * (c * rho((z - depth).abs(), 1.1)).sum(),
        static=WEIGHTS["static"] * _mean(rho(_norm(p[t, s] - p[t - 1, s]), 1.1)),
        prior=WEIGHTS["prior"] * _prior(problem, x),
        smooth=WEIGHTS["smooth"] * _mean(rho(_norm(joints[2:] - 2 * joints[1:-1] + joints[:-2]), 1.1)),
    )


def _norm(x: Tensor) -> Tensor:
    """Length with zero gradient at zero."""
    n2 = (x * x).sum(-1)
    return torch.where(n2 > 0, torch.where(n2 > 0, n2, 1.0).sqrt(), n2)


def _mean(x: Tensor) -> Tensor:
    """Mean, zero where there is nothing."""
    return x.sum() / max(x.numel(), 1)


def _prior(problem: Published, x: Parameters) -> Tensor:
    """Mean over keyframes of rho_1.1 of the change of root rotation, translation, pose; rho of the shape's."""
    quat0 = roma.quat_xyzw_to_wxyz(roma.rotmat_to_unitquat(problem.rotations[:, 0]))
    changes = (x.root_quat - quat0, x.transl - problem.transl, (x.pose - problem.rotations[:, 1:]).flatten(1))
    return sum((_mean(rho(_norm(c), 1.1)) for c in changes), rho(_norm(x.betas - problem.betas), 1.1))


def _backproject(px: Pixels, end: int, size: Tensor, focal: Tensor, ratio: Tensor) -> Tensor:
    """Points [M,3] in the camera of one end of each correspondence."""
    knot, ray = (px.a, px.px_a) if end == 0 else (px.b, px.px_b)
    return residuals.backproject(ray, size[knot] * (px.near[:, end] + px.ratio[:, end] * ratio), focal)


def _match_3d(px: Pixels, rotation: Tensor, centre: Tensor, size: Tensor, focal: Tensor, ratio: Tensor) -> Tensor:
    """Confidence-weighted mean of rho_1.1 of the distance between both ends' points in the world."""
    ends = [
        (rotation[k] @ _backproject(px, end, size, focal, ratio)[..., None])[..., 0] + centre[k]
        for end, k in enumerate((px.a, px.b))
    ]
    c = px.weight[:, 0] / px.weight[:, 0].sum()
    return (c * rho(_norm(ends[0] - ends[1]), 1.1)).sum()


def _match_2d(px: Pixels, rotation: Tensor, centre: Tensor, size: Tensor, focal: Tensor, ratio: Tensor) -> Tensor:
    """Confidence-weighted mean of rho_0.4 of the reprojection errors, both ways."""
    total = px.weight.new_zeros(())
    for end, (k, to, seen) in enumerate(((px.a, px.b, px.px_b), (px.b, px.a, px.px_a))):
        p = (rotation[k] @ _backproject(px, end, size, focal, ratio)[..., None])[..., 0] + centre[k] - centre[to]
        u, _ = residuals.pixel((rotation[to].mT @ p[..., None])[..., 0], focal)
        total = total + (px.weight[:, end] * rho(_norm(u - seen), 0.4)).sum()
    return total / px.weight.sum()


def adam(
    problem: Published,
    x: Parameters,
    fine: bool,
    schedule: tuple[int, float],
    focal_updates: int = 1,
    tick: Callable[[], None] = lambda: None,
) -> tuple[Parameters, list[float]]:
    """One stage of the published schedule: Adam with betas (0.9, 0.9) and a cosine learning rate.

    The focal moves only in the fine stage. `focal_updates` is how often one step updates it: the published list of
    parameters holds it once per keyframe. Returns the parameters and the objective before each step.
    """
    steps, rate = schedule
    x = Parameters(**{k: v.detach().clone().requires_grad_(fine or k != "log_focal") for k, v in x.tensors().items()})
    own = [v for k, v in x.tensors().items() if k != "log_focal"]
    optimiser = torch.optim.Adam(own, lr=rate, betas=(0.9, 0.9))
    focal = torch.optim.Adam([x.log_focal], lr=rate, betas=(0.9, 0.9))
    history: list[float] = []
    for step in range(steps):
        tick()
        lr = rate * (1 + math.cos(math.pi * step / steps)) / 2
        for group in optimiser.param_groups + focal.param_groups:
            group["lr"] = lr
        optimiser.zero_grad()
        focal.zero_grad()
        total = objective(problem, x, fine).total
        total.backward()
        history.append(float(total.detach()))
        optimiser.step()
        for _ in range(focal_updates if fine else 0):
            focal.step()
    return Parameters(**{k: v.detach() for k, v in x.tensors().items()}), history
