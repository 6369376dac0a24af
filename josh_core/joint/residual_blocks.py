"""The objective: each term of JOSH as whitened residuals with their Jacobian, ready for the linear system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from josh_core.joint import residuals
from josh_core.joint import rotations as rot
from josh_core.joint.evaluated_state import EvaluatedState, in_body_size, points_in_camera
from josh_core.joint.variables import BODY_UNKNOWNS, FloorTerm, globals_of
from josh_core.lsq.robust import Robust


@dataclass(frozen=True)
class ResidualBlock:
    """M rows of q residual vectors of length e, one robust norm per vector.

    Jacobians are by the global columns `columns` and by the unknowns of body frames first, first + 1, ...
    A block with a `stencil` has a row for each body frame n in turn, whose Jacobian by that of frame n + i is
    stencil[n,i] times by_bodies of frame n + i.
    """

    r: Tensor  # [M,q,e] in standard deviations
    weight: Tensor  # [M,q]
    robust: Robust
    columns: Tensor | None = None  # [M,g] int
    by_globals: Tensor | None = None  # [M,q,e,g]
    first: Tensor | None = None  # [M] int
    by_bodies: Tensor | None = None  # [M,q,e,nb*BODY_UNKNOWNS]; [M + nb - 1,q,e,BODY_UNKNOWNS] with a stencil
    stencil: Tensor | None = None  # [M,nb]

    def cost(self) -> Tensor:
        """Half the weighted sum of the robust norms, []."""
        return 0.5 * (self.weight * self.robust.value((self.r**2).sum(-1))).sum()


def match_block(at: EvaluatedState) -> ResidualBlock:
    """A point of knot a, backprojected with its depth, projects onto its pixel in knot b (2D match)."""
    term, cameras, layout = at.problem.matches, at.problem.cameras, at.problem.layout
    assert term is not None
    focal, frame_a, frame_b = at.state.log_focal.exp(), cameras.knot_frame[term.a], cameras.knot_frame[term.b]
    size = (at.state.log_scale + at.state.log_size[term.a]).exp()[:, None]
    far = size * term.ratio * focal / cameras.focal
    y_a = residuals.backproject(term.ray, size * term.near + far, focal)  # [B,m,3]
    r_a, r_bt = at.rotation[frame_a], at.rotation[frame_b].transpose(-1, -2)
    turned = y_a @ (r_bt @ r_a).transpose(-1, -2)
    y_b = turned + (r_bt @ (at.centre[frame_a] - at.centre[frame_b])[..., None])[:, None, :, 0]
    u, du = residuals.pixel(y_b, focal)
    r = (term.whiten @ (u - term.px)[..., None])[..., 0]
    if not at.jacobian:
        return ResidualBlock(r, term.weight, term.robust)
    du = term.whiten @ du  # from here on derivatives are whitened
    du_w = du @ r_bt[:, None]  # by a shift in the world
    lever_a, lever_b = y_a @ r_a.transpose(-1, -2), y_b @ r_bt
    turn_a = (
        torch.linalg.cross(lever_a[:, :, None].expand_as(du_w), du_w) @ rot.left_jacobian(at.turn[frame_a])[:, None]
    )
    turn_b = (
        -torch.linalg.cross(lever_b[:, :, None].expand_as(du_w), du_w) @ rot.left_jacobian(at.turn[frame_b])[:, None]
    )
    shift = du_w * at.state.log_scale.exp()
    by_size = du @ turned[..., None]
    bent = y_a * (far / y_a[..., 2])[..., None] - torch.nn.functional.pad(y_a[..., :2], (0, 1))
    by_focal = du @ (bent @ (r_bt @ r_a).transpose(-1, -2))[..., None] + term.whiten @ u[..., None]
    by_globals = torch.cat([turn_a, shift, by_size, turn_b, -shift, by_focal], -1)
    columns = torch.cat(
        [layout.knot(term.a, 0, 7), layout.knot(term.b, 0, 6), torch.full_like(term.a[:, None], layout.focal)], -1
    )
    return ResidualBlock(r, term.weight, term.robust, columns, by_globals)


def surface_block(at: EvaluatedState) -> ResidualBlock:
    """Contact scene: a touching body point lies on the scene's surface beside its projection."""
    term, layout = at.problem.surface, at.problem.layout
    assert term is not None
    in_camera = points_in_camera(at, term.body, term.point[:, None])
    y, sigma = in_camera.y[:, 0], term.sigma[:, None]
    depth_scale = (at.state.log_scale + at.state.log_size[term.knot]).exp()
    r, normal, by_size, by_focal = residuals.surface_distance(y, term.plane, depth_scale, at.state.log_focal.exp())
    r = r + term.clearance
    weight = term.weight[:, None]
    if not at.jacobian:
        return ResidualBlock(
            in_body_size(at, term.body, (r[:, None] / sigma)[:, None], r.new_zeros(0))[0], weight, term.robust
        )
    n = normal[:, None]
    by_shared = in_camera.by_globals(n[:, None])[:, 0, 0] / sigma  # [M,13 + S], shape last
    r_white, by_shape = in_body_size(at, term.body, (r[:, None] / sigma)[:, None], by_shared[:, None, None, 13:])
    growth = at.growth[term.body][:, None]
    others = torch.stack([by_size, by_size, by_focal], -1) / sigma
    by_globals = torch.cat([by_shared[:, :13] / growth, by_shape[:, 0, 0], others / growth], -1)
    knot = term.knot[:, None]
    shared = [torch.full_like(knot, layout.scale), layout.knot(term.knot, 6, 1), torch.full_like(knot, layout.focal)]
    by_bodies = in_camera.by_bodies(n[:, None] / (sigma * growth)[..., None, None])
    columns = torch.cat([in_camera.columns, *shared], -1)
    return ResidualBlock(r_white, weight, term.robust, columns, by_globals[:, None, None], term.body, by_bodies)


def floor_block(at: EvaluatedState) -> ResidualBlock:
    """Contact floor: points that stand on the floor are at its height."""
    assert at.problem.floor is not None
    return _height_block(at, at.problem.floor)


def ground_block(at: EvaluatedState) -> ResidualBlock:
    """Collision with the ground: no point is under the floor."""
    assert at.problem.ground is not None
    return _height_block(at, at.problem.ground)


def _height_block(at: EvaluatedState, term: FloorTerm) -> ResidualBlock:
    layout = at.problem.layout
    offset = at.state.log_scale.exp() * term.offset
    p = at.points.p[:, term.points]
    height, normal = residuals.floor_height(p, term.normal, term.axes, offset, at.state.floor)
    everyone = torch.arange(len(p))
    over, weight = height - term.clearance, term.weight
    if term.one_sided:
        over, inside = residuals.outside(over)
        weight = weight * inside
    r = (over / term.sigma)[..., None]
    if not at.jacobian:
        return ResidualBlock(in_body_size(at, everyone, r, r.new_zeros(0))[0], weight, term.robust)
    assert at.points.by_pose is not None and at.points.by_shape is not None
    by_shape = (normal[:, None] * at.points.by_shape[:, term.points]).sum(-2, keepdim=True) / term.sigma
    r, by_shape = in_body_size(at, everyone, r, by_shape)
    scale = term.sigma * at.growth[:, None, None, None]
    by_scale = offset.expand(*p.shape[:2], 1)
    by_floor = torch.cat([by_scale, p @ term.axes.T, torch.ones_like(by_scale)], -1)[:, :, None] / scale
    shared = torch.arange(layout.scale, layout.betas).expand(len(p), -1)
    columns = torch.cat([shared, layout.person(at.problem.person)], -1)
    by_bodies = (normal[:, None] * at.points.by_pose[:, term.points]).sum(-2, keepdim=True) / scale
    by_globals = torch.cat([by_floor, by_shape], -1)
    return ResidualBlock(r, weight, term.robust, columns, by_globals, everyone, by_bodies)


def people_block(at: EvaluatedState) -> ResidualBlock:
    """Collision of people: each stays on their side of the plane that parts them, which is fixed in the camera."""
    term = at.problem.people
    assert term is not None
    in_camera = points_in_camera(at, term.body, term.points)
    y = (term.share[..., None] * in_camera.y).sum(1)
    r, inside = residuals.outside(residuals.before_plane(y, term.normal, term.offset))
    r, weight = (r / term.sigma)[:, None, None], (term.weight * inside)[:, None]
    if not at.jacobian:
        return ResidualBlock(in_body_size(at, term.body, r, r.new_zeros(0))[0], weight, term.robust)
    by_y = (term.share[..., None] * term.normal[:, None] / term.sigma)[:, :, None]  # [M,4,1,3]
    by_globals = in_camera.by_globals(by_y).sum(1, keepdim=True)
    r, by_shape = in_body_size(at, term.body, r, by_globals[..., 13:])
    growth = at.growth[term.body][:, None, None, None]
    by_globals = torch.cat([by_globals[..., :13] / growth, by_shape], -1)
    by_bodies = in_camera.by_bodies(by_y / growth).sum(1, keepdim=True)
    return ResidualBlock(r, weight, term.robust, in_camera.columns, by_globals, term.body, by_bodies)


def static_block(at: EvaluatedState) -> ResidualBlock:
    """Contact static: a point that touches in two neighbouring body frames is at one world position."""
    term, layout = at.problem.static, at.problem.layout
    assert term is not None
    r = residuals.slide(at.points.p[:, term.points]) / term.sigma
    first = torch.arange(len(r))
    if not at.jacobian:
        return ResidualBlock(in_body_size(at, first, r, r.new_zeros(0))[0], term.weight, term.robust)
    assert at.points.by_pose is not None and at.points.by_shape is not None
    by_pose, by_shape = at.points.by_pose[:, term.points] / term.sigma, at.points.by_shape[:, term.points] / term.sigma
    r, by_globals = in_body_size(at, first, r, by_shape[1:] - by_shape[:-1])
    stencil = r.new_tensor([-1.0, 1.0]) / at.growth[:-1, None]
    columns = layout.person(at.problem.person[:-1])
    return ResidualBlock(r, term.weight, term.robust, columns, by_globals, first, by_pose, stencil)


def smooth_block(at: EvaluatedState) -> ResidualBlock:
    """Smooth: small accelerations of the joints."""
    term, layout = at.problem.smooth, at.problem.layout
    assert term is not None
    joints = len(at.problem.table.parents)
    sigma = term.sigma[:, None]
    r = residuals.acceleration(at.points.p[:, :joints], term.stencil) / sigma
    first, weight = torch.arange(len(r)), term.weight[:, None].expand(-1, joints)
    if not at.jacobian:
        return ResidualBlock(in_body_size(at, first, r, r.new_zeros(0))[0], weight, term.robust)
    assert at.points.by_pose is not None and at.points.by_shape is not None
    by_pose, by_shape = (x[:, :joints] / sigma[..., None] for x in (at.points.by_pose, at.points.by_shape))
    s = term.stencil.T[:, :, None, None, None]
    r, by_globals = in_body_size(at, first, r, s[0] * by_shape[:-2] + s[1] * by_shape[1:-1] + s[2] * by_shape[2:])
    stencil, columns = term.stencil / at.growth[first][:, None], layout.person(at.problem.person[first])
    return ResidualBlock(r, weight, term.robust, columns, by_globals, first, by_pose, stencil)


def landmark_block(at: EvaluatedState) -> ResidualBlock:
    """2D landmarks: body points project onto the detected landmarks."""
    term, layout = at.problem.landmarks, at.problem.layout
    assert term is not None
    n = len(at.problem.frame)
    in_camera = points_in_camera(at, torch.arange(n), term.points)
    u, du = residuals.pixel(in_camera.y, at.state.log_focal.exp())
    sigma = term.sigma[..., None]
    r = (u - term.px) / sigma
    if not at.jacobian:
        return ResidualBlock(r, term.weight, term.robust)
    du = du / sigma[..., None]
    by_globals = torch.cat([in_camera.by_globals(du), (u / sigma)[..., None]], -1)
    columns = torch.cat([in_camera.columns, torch.full_like(in_camera.columns[:, :1], layout.focal)], -1)
    return ResidualBlock(r, term.weight, term.robust, columns, by_globals, torch.arange(n), in_camera.by_bodies(du))


def bone_block(at: EvaluatedState) -> ResidualBlock:
    """Bones: lines between landmarks point as the 3D evidence says, (S^T R^T (p_to - p_from) / growth - bone) / sigma.

    Where the camera is does not matter to them, only how it is turned.
    """
    term, cameras, layout = at.problem.bones, at.problem.cameras, at.problem.layout
    assert term is not None
    frame, everyone = at.problem.frame, torch.arange(len(at.problem.frame))
    r_t = at.rotation[frame].mT
    bone = at.points.p[:, term.ends[1]] - at.points.p[:, term.ends[0]]
    axes = term.sight.mT[:, None] / term.sigma[..., None] @ r_t[:, None]  # [N,B,3,3]
    own = (axes @ bone[..., None])[..., 0]
    if not at.jacobian:
        own, _ = in_body_size(at, everyone, own, own.new_zeros(0))
        return ResidualBlock(own - term.bones / term.sigma, term.weight, term.robust)
    assert at.points.by_pose is not None and at.points.by_shape is not None
    by_shape, by_pose = (d[:, term.ends[1]] - d[:, term.ends[0]] for d in (at.points.by_shape, at.points.by_pose))
    own, by_shape = in_body_size(at, everyone, own, axes @ by_shape)
    axes = axes / at.growth[:, None, None, None]
    turn = axes @ rot.hat(bone) @ rot.left_jacobian(at.turn[frame])[:, None]
    knots, mix = cameras.knot[frame], cameras.mix[frame][:, None, None, :]
    by_globals = torch.cat([turn * mix[..., :1], turn * mix[..., 1:], by_shape], -1)
    columns = torch.cat(
        [layout.knot(knots[:, 0], 0, 3), layout.knot(knots[:, 1], 0, 3), layout.person(at.problem.person)], -1
    )
    r = own - term.bones / term.sigma
    return ResidualBlock(r, term.weight, term.robust, columns, by_globals, everyone, axes @ by_pose)


def heading_block(at: EvaluatedState) -> ResidualBlock:
    """Heading: who walks faces where they go. The direction of travel is fixed when the term is made."""
    term = at.problem.heading
    assert term is not None
    root = at.state.rotations[:, 0]
    r = (residuals.sideways(root[..., 0], term.ahead) / term.sigma)[:, None, None]
    weight = term.weight[:, None]
    if not at.jacobian:
        return ResidualBlock(r, weight, term.robust)
    # d . R exp(w) e_x = d . R (e_x + w x e_x), so the derivative by w is e_x x R^T d.
    d = (root.transpose(-1, -2) @ term.ahead[..., None])[..., 0]
    by_bodies = torch.zeros(len(r), 1, 1, BODY_UNKNOWNS, dtype=r.dtype)
    by_bodies[:, 0, 0, 1], by_bodies[:, 0, 0, 2] = -d[:, 2] / term.sigma, d[:, 1] / term.sigma
    none = torch.zeros(len(r), 0, dtype=torch.long)
    return ResidualBlock(r, weight, term.robust, none, r.new_zeros(len(r), 1, 1, 0), torch.arange(len(r)), by_bodies)


def root_block(at: EvaluatedState) -> ResidualBlock:
    """Prior on the root's position: the start, with one standard deviation along the ray and a smaller one across."""
    start, layout = at.problem.start, at.problem.layout
    n = len(at.problem.frame)
    in_camera = points_in_camera(at, torch.arange(n), torch.zeros(1, dtype=torch.long))
    table, betas = at.problem.table, start.betas[at.problem.person]
    y0 = start.transl + table.joints[0] + betas @ table.joints_beta[0].T
    ratio = at.state.log_focal.exp() / at.problem.cameras.focal
    r, dy, by_focal = residuals.root_place(in_camera.y[:, 0], y0, ratio)
    sigma = torch.stack([start.sigma_depth, *[torch.full_like(start.sigma_depth, start.sigma_across)] * 2], -1)
    weight = torch.ones(n, 1, dtype=r.dtype)
    r = (r / sigma)[:, None]
    if not at.jacobian:
        return ResidualBlock(r, weight, at.problem.quadratic)
    dy, by_focal = dy / sigma[..., None], by_focal / sigma
    by_globals = torch.cat([in_camera.by_globals(dy[:, None])[:, 0], by_focal[..., None]], -1)[:, None]
    columns = torch.cat([in_camera.columns, torch.full_like(in_camera.columns[:, :1], layout.focal)], -1)
    by_bodies = in_camera.by_bodies(dy[:, None])
    return ResidualBlock(r, weight, at.problem.quadratic, columns, by_globals, torch.arange(n), by_bodies)


def pose_block(at: EvaluatedState) -> ResidualBlock:
    """Prior on the pose: each joint's rotation, and the root's in the camera, near the start."""
    problem, start, layout = at.problem, at.problem.start, at.problem.layout
    n, joints = start.rotations.shape[:2]
    frame = problem.frame
    current = at.state.rotations.clone()
    current[:, 0] = at.rotation[frame].transpose(-1, -2) @ current[:, 0]
    v = rot.log(start.rotations.transpose(-1, -2) @ current)
    weight = torch.ones(n, joints, dtype=v.dtype)
    r = v / start.sigma_pose[:, None]
    if not at.jacobian:
        return ResidualBlock(r, weight, problem.quadratic)
    by_turn = rot.inverse_right_jacobian(v) / start.sigma_pose[:, None, None]  # [N,J,3,3]
    by_bodies = torch.zeros(n, joints, 3, BODY_UNKNOWNS, dtype=v.dtype)
    j = torch.arange(joints)
    by_bodies[..., : 3 * joints].unflatten(-1, (joints, 3))[:, j, :, j] = by_turn.transpose(0, 1)
    root = -by_turn[:, 0] @ at.state.rotations[:, 0].transpose(-1, -2) @ rot.left_jacobian(at.turn[frame])
    knots, mix = problem.cameras.knot[frame], problem.cameras.mix[frame]
    by_globals = torch.zeros(n, joints, 3, 6, dtype=v.dtype)
    by_globals[:, 0] = torch.cat([root * mix[:, :1, None], root * mix[:, 1:, None]], -1)
    columns = torch.cat([layout.knot(knots[:, 0], 0, 3), layout.knot(knots[:, 1], 0, 3)], -1)
    return ResidualBlock(r, weight, problem.quadratic, columns, by_globals, torch.arange(n), by_bodies)


def global_block(at: EvaluatedState) -> ResidualBlock:
    """Prior on the shared unknowns: focal, scales, floor, shapes, heights and camera corrections (all linear)."""
    prior, x = at.problem.shared, globals_of(at.state)
    r = (prior.jacobian @ x - prior.target)[None, :, None]
    columns = torch.arange(len(x))[None]
    return ResidualBlock(r, torch.ones_like(r[..., 0]), at.problem.quadratic, columns, prior.jacobian[None, :, None])


TERMS: dict[str, Callable[[EvaluatedState], ResidualBlock]] = {
    "matches": match_block,
    "surface": surface_block,
    "floor": floor_block,
    "ground": ground_block,
    "people": people_block,
    "static": static_block,
    "smooth": smooth_block,
    "landmarks": landmark_block,
    "bones": bone_block,
    "heading": heading_block,
}


def objective(at: EvaluatedState) -> list[ResidualBlock]:
    """Residual blocks of all terms of the problem, in the order of TERMS."""
    rows = [global_block(at)]
    if len(at.problem.frame):
        rows += [root_block(at), pose_block(at)]
    return rows + [term(at) for name, term in TERMS.items() if getattr(at.problem, name) is not None]
