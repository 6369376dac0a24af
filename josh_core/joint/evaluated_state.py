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
    """Body points in their frame's camera, with derivatives of what depends on them by globals and bodies.

    The globals are [two knots' turn and shift, scale, shape]. All but `y` only where Jacobians were asked for.
    """

    y: Tensor  # [M,q,3] m
    columns: Tensor  # [M,g]
    cam_from_world: Tensor  # [M,3,3]
    by_cameras: Tensor  # [M,q,3,13] by the knots and the scale
    by_shape: Tensor  # [M,q,3,S] of the points in the world
    by_pose: Tensor  # [M,q,3,BODY_UNKNOWNS] likewise

    def by_globals(self, by_y: Tensor) -> Tensor:
        """Derivative [M,q,r,g] of what has the derivative by_y [M,q,r,3] by the points."""
        return torch.cat([by_y @ self.by_cameras, by_y @ self.cam_from_world[:, None] @ self.by_shape], -1)

    def by_bodies(self, by_y: Tensor) -> Tensor:
        """Derivative [M,q,r,BODY_UNKNOWNS] likewise; the small matrices first, as the last has many columns."""
        return by_y @ self.cam_from_world[:, None] @ self.by_pose


def points_in_camera(at: EvaluatedState, body: Tensor, points: Tensor) -> PointsInCamera:
    """y = R^T (p - c) of body frames [M] and their points [M,q] or [q]; with derivatives where `at` has them."""
    problem, cameras, layout = at.problem, at.problem.cameras, at.problem.layout
    frame = problem.frame[body]
    r_t, c = at.rotation[frame].transpose(-1, -2), at.centre[frame]
    points = points.expand(len(body), -1)
    p = at.points.p[body[:, None], points]
    y = (p - c[:, None]) @ r_t.transpose(-1, -2)
    if not at.jacobian:
        return PointsInCamera(y, *[y.new_zeros(0)] * 5)
    assert at.points.by_pose is not None and at.points.by_shape is not None
    knots, mix = cameras.knot[frame], cameras.mix[frame]
    turn = r_t[:, None] @ rot.hat(p - c[:, None]) @ rot.left_jacobian(at.turn[frame])[:, None]  # [M,q,3,3]
    shift = (-r_t * at.state.log_scale.exp())[:, None].expand_as(turn)
    by_knots = torch.cat([turn, shift], -1)
    by_scale = -(r_t @ c[..., None])[:, None].expand(*y.shape, 1)
    m = mix[:, None, None, :]
    by_cameras = torch.cat([by_knots * m[..., :1], by_knots * m[..., 1:], by_scale], -1)
    columns = torch.cat(
        [
            layout.knot(knots[:, 0], 0, 6),
            layout.knot(knots[:, 1], 0, 6),
            torch.full_like(knots[:, :1], layout.scale),
            layout.person(problem.person[body]),
        ],
        -1,
    )
    by_shape, by_pose = (d[body[:, None], points] for d in (at.points.by_shape, at.points.by_pose))
    return PointsInCamera(y, columns, r_t, by_cameras, by_shape, by_pose)
