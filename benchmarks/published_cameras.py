"""Our solver on the published objective, with the bodies held at their start (published.py).

The published prior is exactly zero there and its slope of 100 outweighs every other term, so the bodies do not move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import roma
import torch
from torch import Tensor

from benchmarks.published import WEIGHTS, Parameters, Published, bodies, start_parameters
from benchmarks.published_norm import Gamma
from josh_core.body.skinning import SkinnedPoints
from josh_core.joint.evaluated_state import EvaluatedState
from josh_core.joint.matches import pack_matches
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
