"""Unknowns and data of the joint solver: State, Problem, and the column of each unknown in the linear system.

Frames: `world` is metric with the axes of the start cameras' world; cameras are OpenCV. All tensors are float64.
T clip frames, K knots (keyframes whose camera correction is free), N body frames (people one after the other,
each in time order), P people, J = 24 joints, Q body points (joints, contacts, landmarks), S = 10 betas.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from josh_core.body.skinning import SkinningTable
from josh_core.joint import rotations as rot
from josh_core.lsq.robust import Quadratic, Robust

BODY_UNKNOWNS = 75  # unknowns of one body frame: 24 joint rotations, then the translation
CAMERA_UNKNOWNS = 7  # unknowns of one knot: rotation vector, centre, log depth scale


@dataclass(frozen=True)
class State:
    """One point in the space of unknowns."""

    log_focal: Tensor  # [] log px
    log_scale: Tensor  # [] log metres per unit of the start cameras' world
    floor: Tensor  # [3] tilt about the floor's two axes (rad), height along its normal (m)
    betas: Tensor  # [P,S]
    camera_turn: Tensor  # [K,3] rotation vector, applied on the left of the start rotation
    camera_shift: Tensor  # [K,3] added to the start centre, in its units
    log_size: Tensor  # [K] log depth scale of the knot, on top of log_scale
    rotations: Tensor  # [N,J,3,3] local joint rotations; row 0 is the root in the world
    transl: Tensor  # [N,3] m, SMPL translation in the world


@dataclass(frozen=True)
class GlobalsLayout:
    """Columns of the dense unknowns ("globals"): focal, scale, floor, shapes, then CAMERA_UNKNOWNS per knot."""

    people: int
    knots: int
    shape: int = 10

    focal: int = field(default=0, init=False)
    scale: int = field(default=1, init=False)
    floor: int = field(default=2, init=False)
    betas: int = field(default=5, init=False)

    @property
    def cameras(self) -> int:
        return self.betas + self.shape * self.people

    @property
    def size(self) -> int:
        return self.cameras + CAMERA_UNKNOWNS * self.knots

    def knot(self, index: Tensor, offset: int, width: int) -> Tensor:
        """Columns [...,width] of a knot's rotation (0,3), centre (3,3) or depth scale (6,1)."""
        return (self.cameras + CAMERA_UNKNOWNS * index + offset)[..., None] + torch.arange(width)

    def person(self, index: Tensor) -> Tensor:
        """Columns [...,S] of a person's shape."""
        return (self.betas + self.shape * index)[..., None] + torch.arange(self.shape)


@dataclass(frozen=True)
class Cameras:
    """Start cameras of all frames; between knots the correction is interpolated linearly."""

    rotation: Tensor  # [T,3,3] world_from_cam
    centre: Tensor  # [T,3] in units of the start world
    knot: Tensor  # [T,2] int, the knots on both sides of the frame
    mix: Tensor  # [T,2] their weights, summing to one
    knot_frame: Tensor  # [K] int, clip frame of each knot
    principal: Tensor  # [2] px
    focal: float  # px at the start


@dataclass(frozen=True)
class MatchTerm:
    """Correspondences in rows of one pair and one direction each: a point of knot `a` seen in knot `b`.

    Depth in `a` is exp(log_scale + log_size_a) (near + ratio f / f0). Rows shorter than m are padded with weight 0.
    """

    a: Tensor  # [B] int knot
    b: Tensor  # [B] int knot
    ray: Tensor  # [B,m,2] px - principal point, in a
    px: Tensor  # [B,m,2] px - principal point, in b
    near: Tensor  # [B,m]
    ratio: Tensor  # [B,m]
    whiten: Tensor  # [B,m,2,2] square root of the information
    sigma_depth: Tensor  # [B,m] share, standard deviation of the depth
    weight: Tensor  # [B,m]
    robust: Robust


@dataclass(frozen=True)
class SurfaceTerm:
    """Body points on the scene: near pixel (u,v) of a knot the inverse depth is a u + b v + c (a plane)."""

    body: Tensor  # [M] int body frame
    point: Tensor  # [M] int body point
    knot: Tensor  # [M] int
    plane: Tensor  # [M,3] (a, b, c), u and v from the principal point; 1 / depth in depth units
    clearance: Tensor  # [M] m, the point is this far over what the body part rests on
    sigma: Tensor  # [M] m
    weight: Tensor  # [M]
    robust: Robust


@dataclass(frozen=True)
class FloorTerm:
    """Body points on, or not under, the floor plane normal . p + offset = 0 of the start world."""

    normal: Tensor  # [3] unit, up
    axes: Tensor  # [2,3] unit, in the plane: the tilts turn about them
    offset: Tensor  # [] units of the start world
    points: Tensor  # [C] int body points
    clearance: Tensor  # [C] m, the point is this far over the plane
    weight: Tensor  # [N,C]
    sigma: float  # m
    robust: Robust
    one_sided: bool = False  # only points that are lower count


@dataclass(frozen=True)
class PeopleTerm:
    """Points on the axes of bodies' capsules that stay on their side of planes between two people, in the camera."""

    body: Tensor  # [M] int body frame
    points: Tensor  # [M,4] int body points, whose weighted mean is the point on the axis
    share: Tensor  # [M,4] their weights, summing to one
    normal: Tensor  # [M,3] unit, from the plane to the body's side, in the camera
    offset: Tensor  # [M] m: normal . y of a point whose capsule just touches the plane
    weight: Tensor  # [M]
    sigma: float  # m
    robust: Robust


@dataclass(frozen=True)
class StaticTerm:
    """Contact points that stay where they are from body frame n to n + 1."""

    points: Tensor  # [C] int body points
    weight: Tensor  # [N-1,C]; 0 where n and n + 1 are not neighbours
    sigma: float  # m per step
    robust: Robust


@dataclass(frozen=True)
class SmoothTerm:
    """Small second differences of the joints over body frames n, n + 1, n + 2."""

    stencil: Tensor  # [N-2,3] weights of the three positions; 0 where they are not neighbours
    sigma: Tensor  # [J] in the units of stencil times m
    weight: Tensor  # [N-2]
    robust: Robust


@dataclass(frozen=True)
class HeadingTerm:
    """People who walk face where they go."""

    ahead: Tensor  # [N,3] unit, direction of travel in the world
    weight: Tensor  # [N]
    sigma: float  # of the sine of the angle between
    robust: Robust


@dataclass(frozen=True)
class LandmarkTerm:
    """2D landmarks of the body."""

    points: Tensor  # [L] int body points
    px: Tensor  # [N,L,2] px from the principal point, constant bias removed
    sigma: Tensor  # [N,L] px
    weight: Tensor  # [N,L]
    robust: Robust


@dataclass(frozen=True)
class BoneTerm:
    """Lines between landmarks point as their 3D evidence says."""

    ends: Tensor  # [2,B] int body points, from and to
    bones: Tensor  # [N,B,3] m for a body of the start's stature, in the axes of `sight`
    sight: Tensor  # [N,3,3] columns: two axes across the line of sight, then the line itself, in the camera
    sigma: Tensor  # [N,B,3] m
    weight: Tensor  # [N,B]
    robust: Robust


@dataclass(frozen=True)
class StartTerm:
    """The start bodies in camera space and their standard deviations."""

    rotations: Tensor  # [N,J,3,3] root in camera axes
    transl: Tensor  # [N,3] m in the camera, at focal `Cameras.focal`
    betas: Tensor  # [P,S]
    sigma_pose: Tensor  # [J] rad
    sigma_depth: Tensor  # [N] of log depth
    sigma_across: float  # m


@dataclass(frozen=True)
class SharedPrior:
    """Gaussian prior on the globals x, in GlobalsLayout's order: jacobian x - target has zero mean, unit variance."""

    jacobian: Tensor  # [R,G]
    target: Tensor  # [R]


@dataclass(frozen=True)
class Problem:
    """Variables' start and data of all terms. A term that is None is left out of the objective."""

    table: SkinningTable
    cameras: Cameras
    person: Tensor  # [N] int
    frame: Tensor  # [N] int clip frame
    free: Tensor  # [G] bool: which globals may move (GlobalsLayout's columns)
    start: StartTerm
    shared: SharedPrior
    matches: MatchTerm | None = None
    surface: SurfaceTerm | None = None
    floor: FloorTerm | None = None
    ground: FloorTerm | None = None
    people: PeopleTerm | None = None
    static: StaticTerm | None = None
    smooth: SmoothTerm | None = None
    landmarks: LandmarkTerm | None = None
    bones: BoneTerm | None = None
    heading: HeadingTerm | None = None
    held: Tensor | None = None  # [N] bool: body frames that stay where they are
    quadratic: Robust = field(default_factory=Quadratic)

    @property
    def layout(self) -> GlobalsLayout:
        return GlobalsLayout(len(self.start.betas), len(self.cameras.knot_frame))


def camera_poses(cameras: Cameras, state: State) -> tuple[Tensor, Tensor, Tensor]:
    """Metric cameras of all frames: rotation [T,3,3], centre [T,3] m, and the mixed rotation vector [T,3]."""
    turn = (cameras.mix[..., None] * state.camera_turn[cameras.knot]).sum(1)
    shift = (cameras.mix[..., None] * state.camera_shift[cameras.knot]).sum(1)
    return rot.exp(turn) @ cameras.rotation, state.log_scale.exp() * (cameras.centre + shift), turn


def bodies_in_cameras(problem: Problem, state: State) -> tuple[Tensor, Tensor]:
    """Local joint rotations [N,J,3,3], the root in camera axes, and translations [N,3] m in the cameras."""
    rotation, centre, _ = camera_poses(problem.cameras, state)
    r_t, root = rotation[problem.frame].mT, _root_joints(problem, state)
    rotations = state.rotations.clone()
    rotations[:, 0] = r_t @ rotations[:, 0]
    return rotations, (r_t @ (root + state.transl - centre[problem.frame])[..., None])[..., 0] - root


def with_bodies(problem: Problem, state: State, rotations: Tensor, transl: Tensor) -> State:
    """The state with bodies given in its cameras; the inverse of `bodies_in_cameras`."""
    rotation, centre, _ = camera_poses(problem.cameras, state)
    r, root = rotation[problem.frame], _root_joints(problem, state)
    rotations = rotations.clone()
    rotations[:, 0] = r @ rotations[:, 0]
    transl = (r @ (transl + root)[..., None])[..., 0] + centre[problem.frame] - root
    return replace(state, rotations=rotations, transl=transl)


def _root_joints(problem: Problem, state: State) -> Tensor:
    """Root joint [N,3] m of each body frame in the rest pose."""
    table = problem.table
    return (table.joints[0] + state.betas @ table.joints_beta[0].T)[problem.person]


def retract(problem: Problem, state: State, step_globals: Tensor, step_bodies: Tensor) -> State:
    """The state after a step. step_globals: [G], step_bodies: [N,BODY_UNKNOWNS]; rotations turn on the right."""
    layout = problem.layout
    g = step_globals
    cams = g[layout.cameras :].reshape(-1, CAMERA_UNKNOWNS)
    w = step_bodies[:, : BODY_UNKNOWNS - 3].unflatten(-1, (BODY_UNKNOWNS // 3 - 1, 3))
    return replace(
        state,
        log_focal=state.log_focal + g[layout.focal],
        log_scale=state.log_scale + g[layout.scale],
        floor=state.floor + g[layout.floor : layout.betas],
        betas=state.betas + g[layout.betas : layout.cameras].reshape(state.betas.shape),
        camera_turn=state.camera_turn + cams[:, :3],
        camera_shift=state.camera_shift + cams[:, 3:6],
        log_size=state.log_size + cams[:, 6],
        rotations=rot.orthonormal(state.rotations @ rot.exp(w)),
        transl=state.transl + step_bodies[:, BODY_UNKNOWNS - 3 :],
    )


def globals_of(state: State) -> Tensor:
    """The globals [G] of a state in GlobalsLayout's order."""
    knots = torch.cat([state.camera_turn, state.camera_shift, state.log_size[:, None]], -1)
    parts = [state.log_focal[None], state.log_scale[None], state.floor, state.betas.reshape(-1), knots.reshape(-1)]
    return torch.cat(parts)
