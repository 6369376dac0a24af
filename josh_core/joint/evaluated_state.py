"""A state of the solver with its cameras and body points computed, and the points as the cameras see them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from josh_core.body.skinning import SkinnedPoints, skinned_points, stature
from josh_core.joint import rotations as rot
from josh_core.joint.variables import Problem, State, camera_poses


@dataclass(frozen=True)
class EvaluatedState:
    """A state with its cameras and body points computed; Jacobians of the points only where asked."""

    problem: Problem
    state: State
    rotation: Tensor  # [T,3,3] world_from_cam
    centre: Tensor  # [T,3] m
    turn: Tensor  # [T,3]
    points: SkinnedPoints
    growth: Tensor  # [N] stature over that of the start
    growth_by_shape: Tensor  # [N,S] derivative of log growth
    jacobian: bool


def evaluate_state(problem: Problem, state: State, jacobian: bool) -> EvaluatedState:
    """Cameras of all frames and points of all body frames."""
    rotation, centre, turn = camera_poses(problem.cameras, state)
    betas = state.betas[problem.person]
    points = skinned_points(problem.table, state.rotations, state.transl, betas, jacobian)
    tall, by_shape = stature(problem.table, betas)
    growth = tall / stature(problem.table, problem.start.betas[problem.person])[0]
    return EvaluatedState(problem, state, rotation, centre, turn, points, growth, by_shape / tall[:, None], jacobian)


def in_body_size(at: EvaluatedState, body: Tensor, r: Tensor, by_shape: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths over the relative size of the body: r / growth, and its derivative by the shape (if not empty).

    Measured in metres, every term that penalises a length could be lowered by shrinking people, cameras and scene
    together; only the weak prior on body height would resist. body: [M] int, r: [M,q,e], by_shape: [M,q,e,S].
    """
    growth = at.growth[body][:, None, None]
    r = r / growth
    if not by_shape.numel():
        return r, by_shape
    return r, by_shape / growth[..., None] - r[..., None] * at.growth_by_shape[body][:, None, None]


@dataclass(frozen=True)
class PointsInCamera:
    """Body points in their frame's camera, with derivatives by [two knots' turn and shift, scale, shape] and body."""

    y: Tensor  # [M,q,3] m
    columns: Tensor  # [M,g]
    by_globals: Tensor  # [M,q,3,g]
    by_bodies: Tensor  # [M,q,3,BODY_UNKNOWNS]


def points_in_camera(at: EvaluatedState, body: Tensor, points: Tensor) -> PointsInCamera:
    """y = R^T (p - c) of body frames [M] and their points [M,q] or [q]; derivatives empty unless asked."""
    problem, cameras, layout = at.problem, at.problem.cameras, at.problem.layout
    frame = problem.frame[body]
    r_t, c = at.rotation[frame].transpose(-1, -2), at.centre[frame]
    points = points.expand(len(body), -1)
    p = at.points.p[body[:, None], points]
    y = (p - c[:, None]) @ r_t.transpose(-1, -2)
    if not at.jacobian:
        empty = y.new_zeros(0)
        return PointsInCamera(y, empty, empty, empty)
    assert at.points.by_pose is not None and at.points.by_shape is not None
    knots, mix = cameras.knot[frame], cameras.mix[frame]
    turn = r_t[:, None] @ rot.hat(p - c[:, None]) @ rot.left_jacobian(at.turn[frame])[:, None]  # [M,q,3,3]
    shift = (-r_t * at.state.log_scale.exp())[:, None].expand_as(turn)
    by_knots = torch.cat([turn, shift], -1)
    by_scale = -(r_t @ c[..., None])[:, None].expand(*y.shape, 1)
    by_shape = r_t[:, None] @ at.points.by_shape[body[:, None], points]
    m = mix[:, None, None, :]
    by_globals = torch.cat([by_knots * m[..., :1], by_knots * m[..., 1:], by_scale, by_shape], -1)
    columns = torch.cat(
        [
            layout.knot(knots[:, 0], 0, 6),
            layout.knot(knots[:, 1], 0, 6),
            torch.full_like(knots[:, :1], layout.scale),
            layout.person(problem.person[body]),
        ],
        -1,
    )
    return PointsInCamera(y, columns, by_globals, r_t[:, None] @ at.points.by_pose[body[:, None], points])
