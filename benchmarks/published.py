"""The published objective, its two-stage Adam schedule as readable reference, and our solver on the same objective.

Kept for comparison only (DESIGN section 8): its prior freezes the body. Everything is in the published form: cameras
chained along a tree, depth = size (near + ratio f / f0), free 3x3 pose matrices, root as quaternion wxyz.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import roma
import torch
from torch import Tensor

from benchmarks.published_norm import Gamma, rho
from josh_core.body.skinning import SkinnedPoints, SkinningTable, skinned_points
from josh_core.joint import residuals
from josh_core.joint.evaluated_state import EvaluatedState
from josh_core.joint.matches import Pixels, pack_matches
from josh_core.joint.residual_blocks import ResidualBlock, match_block
from josh_core.joint.solver import BlockModel, minimise
from josh_core.joint.variables import (
    Cameras,
    GlobalsLayout,
    Problem,
    SharedPrior,
    StartTerm,
    State,
    camera_poses,
    retract,
)

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


@dataclass(frozen=True)
class FixedBody(BlockModel):
    """The fine objective as a Model of our solver, with the body at its start, where the prior has its kink.

    There the prior is exactly zero and its slope 100 outweighs every other term, so nothing is lost by holding it.
    """

    published: Published
    problem: Problem
    p_cam: Tensor  # [K,Q,3] m
    eps: float  # px: how far the norms are rounded off at zero (a tenth of it in m)

    def blocks(self, state: State, jacobian: bool) -> list[ResidualBlock]:
        rotation, centre, turn = camera_poses(self.problem.cameras, state)
        nothing = rotation.new_zeros(0)
        at = EvaluatedState(
            self.problem,
            state,
            rotation,
            centre,
            turn,
            SkinnedPoints(self.p_cam, None, None),
            nothing,
            nothing,
            jacobian,
        )
        return [match_block(at), *self._small(state, jacobian)]

    def _small(self, state: State, jacobian: bool) -> list[ResidualBlock]:
        """Contact and smoothness terms, a few hundred rows, differentiated automatically."""
        g = len(self.problem.free)
        zero = torch.zeros(g, dtype=torch.float64)
        columns = torch.arange(g)[None]
        d, joints = self.published, len(self.published.table.parents) * max(len(self.p_cam) - 2, 0)
        weights = (
            WEIGHTS["scale"] * d.scale_weight / d.scale_weight.sum(),
            torch.full((len(d.static_body),), WEIGHTS["static"] / max(len(d.static_body), 1)),
            torch.full((joints,), WEIGHTS["smooth"] / max(joints, 1)),
        )
        values = self._vectors(state, zero)
        slopes = torch.func.jacfwd(lambda x: self._vectors(state, x))(zero) if jacobian else (None,) * 3
        robust = Gamma(1.1, self.eps / 10)
        return [
            ResidualBlock(r[None], w.double()[None], robust, columns, None if j is None else j[None])
            for r, w, j in zip(values, weights, slopes, strict=True)
        ]

    def _vectors(self, state: State, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residual vectors [q,e] of contact scene, contact static and smoothness after a step of the globals."""
        d = self.published
        at = retract(self.problem, state, step, torch.zeros(0, 75, dtype=torch.float64))
        rotation, centre, _ = camera_poses(self.problem.cameras, at)
        ratio = at.log_focal.exp() / d.focal
        depth = at.log_size[d.scale_knot].exp() * (d.scale_near + d.scale_ratio * ratio)
        scale = self.p_cam[d.scale_body, d.scale_point, 2] * ratio - depth
        p = self.p_cam @ rotation.mT + centre[:, None]
        static = p[d.static_body, d.static_point] - p[d.static_body - 1, d.static_point]
        joints = p[:, : len(d.table.parents)]
        smooth = joints[2:] - 2 * joints[1:-1] + joints[:-2]
        return scale[:, None], static, smooth.flatten(0, 1)


def fixed_body(published: Published, cameras: Cameras, eps: float) -> FixedBody:
    """The published fine objective over cameras, depth scales and focal, norms rounded off within `eps` of zero."""
    knots = len(published.median)
    layout = GlobalsLayout(1, knots)
    free = torch.zeros(layout.size, dtype=torch.bool)
    free[layout.focal] = True
    free[layout.cameras + 6 :] = True  # the first camera is the world's origin, only its depth scale moves
    px = replace(published.pixels, weight=published.pixels.weight / published.pixels.weight.sum())
    empty, none = torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.long)
    nobody = StartTerm(empty.view(0, 24, 3, 3), empty.view(0, 3), published.betas[None], empty, empty, 0.0)
    problem = Problem(
        table=published.table,
        cameras=cameras,
        person=none,
        frame=none,
        free=free,
        start=nobody,
        shared=SharedPrior(empty.view(0, layout.size), empty),
        matches=pack_matches(px, Gamma(0.4, eps)),
    )
    p_cam = bodies(published, start_parameters(published))
    return FixedBody(published, problem, p_cam, eps)


def solve_published(published: Published, cameras: Cameras, state: State, steps: int = 15) -> tuple[State, int]:
    """Our solver on the published fine objective, its norms sharpened in stages: the state and the steps taken."""
    none = torch.zeros(0, dtype=torch.float64)
    state = replace(state, rotations=none.view(0, 24, 3, 3), transl=none.view(0, 3))
    taken = 0
    for eps in (1.0, 0.1, 0.01):
        solution = minimise(fixed_body(published, cameras, eps), state, steps, tolerance=1e-4)
        state, taken = solution.state, taken + solution.iterations
    return state, taken


def as_parameters(published: Published, cameras: Cameras, state: State) -> Parameters:
    """Cameras of a State in published form, with the bodies at their start."""
    rotation, centre, _ = camera_poses(cameras, state)
    size, focal = (state.log_scale + state.log_size).exp(), state.log_focal.exp()
    centre = centre + rotation[..., 2] * (size * published.median * focal / published.focal)[:, None]
    turns, shifts = rotation.clone(), centre.clone()
    for parent, child in published.edges.tolist():
        turns[child] = rotation[parent].T @ rotation[child]
        shifts[child] = rotation[parent].T @ (centre[child] - centre[parent])
    x = start_parameters(published)
    return replace(x, turns=roma.rotmat_to_unitquat(turns), shifts=shifts, log_sizes=size.log(), log_focal=focal.log())
