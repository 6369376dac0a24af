"""A clip's start values as a problem for the solver, and the rounds in which it is solved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from josh_core.body.skinning import SkinningTable
from josh_core.joint.body_points import PointIndex, point_index
from josh_core.joint.body_terms import (
    BodyFrames,
    BodySigmas,
    bone_term,
    heading_term,
    landmark_term,
    people_term,
    remove_landmark_bias,
    smooth_term,
    start_term,
    static_term,
)
from josh_core.joint.contact_update import update_contact
from josh_core.joint.evaluated_state import evaluate_state
from josh_core.joint.ground import ground_term, support_level
from josh_core.joint.interface import JointStart
from josh_core.joint.matches import pack_matches, thin_matches, whiten_matches
from josh_core.joint.prior import SharedSigmas, shared_prior, start_state
from josh_core.joint.scene_terms import SceneSigmas, floor_term, match_pixels, near_floor, surface_term
from josh_core.joint.solver import JointModel, minimise
from josh_core.joint.variables import Cameras, GlobalsLayout, Problem, State
from josh_core.lsq.levenberg_marquardt import Solution
from josh_core.lsq.robust import Cauchy
from josh_core.settings import Settings

# Sigma of the contact terms in each round over the final one: wide first, so that a poor start still converges.
# These and the steps are chosen by hand.
CONTACT_WIDTHS = (4.0, 2.0, 1.0)
STEPS = (4, 4, 10)  # Gauss-Newton steps of each round


@dataclass(frozen=True)
class Options:
    """Standard deviations of all terms and priors."""

    bodies: BodySigmas = BodySigmas()
    scene: SceneSigmas = SceneSigmas()
    focal_loose: float = 0.1  # log focal is held within the start's sigma, but never looser than this
    focal_still: float = 0.03  # the same without camera travel or turn: landmarks alone tell focal, with a bias


@dataclass(frozen=True)
class JointSolution:
    """Where the solver ended on a whole clip."""

    state: State
    before: float  # objective of the start, with the terms of the last round
    costs: tuple[float, ...]  # objective in the end, or after each step of the last round
    iterations: int  # linear systems solved
    scale_sigma: float | None  # relative standard error of the scale; None where it was not free
    by_contact: bool  # contact with scene or floor took part


@dataclass(frozen=True)
class PreparedClip:
    """A clip prepared for the rounds."""

    start: JointStart
    settings: Settings
    options: Options
    sequence: BodyFrames
    index: PointIndex
    probability: Tensor  # [N,C] contact probability
    problem: Problem  # without the terms that change from round to round
    state: State


def prepare(start: JointStart, settings: Settings, options: Options = Options()) -> PreparedClip:
    """The start as a problem: variables, priors and the terms that stay the same over the rounds."""
    table, index = SkinningTable.of(start.body), point_index(start.body)
    sequence = BodyFrames.of(start, options.bodies.correlated)
    bodies = start_term(start, sequence, settings.use_landmarks, options.bodies)
    cameras = _cameras(start)
    layout = GlobalsLayout(len(start.bodies), len(cameras.knot_frame))
    roots = table.joints[0] + bodies.betas @ table.joints_beta[0].T
    state = start_state(cameras, bodies, start.scale, roots, sequence.person, sequence.frame)
    problem = Problem(
        table=table,
        cameras=cameras,
        person=sequence.person,
        frame=sequence.frame,
        free=_free(start, settings, layout),
        start=bodies,
        shared=shared_prior(layout, state, _sigmas(start, options)),
    )
    if settings.use_match and start.scene.cameras.kind != "static" and len(start.scene.matches.px):
        pixels = thin_matches(match_pixels(start, options.scene), 2 * int(options.scene.per_pair))
        problem = replace(problem, matches=pack_matches(pixels, Cauchy(2.0)))
    if settings.use_smooth:
        problem = replace(problem, smooth=smooth_term(sequence, options.bodies))
    if settings.use_landmarks and len(sequence.frame):
        problem = replace(
            problem,
            landmarks=landmark_term(start, sequence, index),
            bones=bone_term(start, sequence, index, options.bodies),
        )
    probability = sequence.stack([c.probability for c in start.contacts], (len(index.contacts),))
    return PreparedClip(start, settings, options, sequence, index, probability, problem, state)


def round_problem(prepared: PreparedClip, state: State, width: float, first: bool) -> Problem:
    """The problem around a state: contacts updated and matched to the scene again, with `width` times their sigmas."""
    options, settings, problem = prepared.options, prepared.settings, prepared.problem
    at = evaluate_state(problem, state, False)
    if problem.matches is not None:
        px = options.scene.px * prepared.start.clip.width / 1000
        problem = replace(problem, matches=whiten_matches(at, px))
    if problem.landmarks is not None:
        problem = replace(problem, landmarks=remove_landmark_bias(problem.landmarks, at, options.bodies.bias))
    if settings.use_heading and not first and len(prepared.probability):
        problem = replace(problem, heading=heading_term(at, prepared.sequence, _up(prepared.start), options.bodies))
    floor, index, probability = prepared.start.floor, prepared.index, prepared.probability
    level = torch.zeros_like(probability)
    if floor is not None and len(probability):
        level = support_level(at, prepared.start, floor, prepared.sequence, probability, index)
    # Of a support only the contacts tell its height: it holds feet still, and says nothing of scale, floor or scene.
    over_floor = probability
    if not first:
        over_floor = update_contact(at, prepared.sequence, probability, index, floor)
        probability = update_contact(at, prepared.sequence, probability, index, floor, level)
    scene = replace(options.scene, surface=options.scene.surface * width, floor=options.scene.floor * width)
    if settings.use_contact_scene:
        problem = replace(
            problem, surface=surface_term(at, prepared.start, _up(prepared.start), over_floor, index, scene)
        )
        if floor is not None and len(probability):
            # What was near the floor in the start stays held to it when its person is lifted out of it elsewhere.
            states = at, evaluate_state(problem, prepared.state, False)
            near = torch.stack([near_floor(state, floor, index, scene) for state in states]).any(0)
            problem = replace(problem, floor=floor_term(floor, prepared.sequence, over_floor * near, index, scene))
    if settings.use_collision and len(probability):
        problem = replace(problem, people=people_term(at, prepared.start, prepared.sequence, options.bodies))
        problem = replace(problem, ground=ground_term(at, prepared.start, level, prepared.sequence, index, scene))
    if settings.use_contact_static and len(probability):
        body = replace(options.bodies, static=options.bodies.static * width)
        problem = replace(problem, static=static_term(prepared.sequence, probability, index, body))
    return problem


def solve_rounds(prepared: PreparedClip, tick: Callable[[], None]) -> tuple[Solution[State], Problem, int]:
    """All rounds: solution and problem of the last one, and how many linear systems were solved."""
    state, iterations = prepared.state, 0
    for width, steps in zip(CONTACT_WIDTHS, STEPS, strict=True):
        problem = round_problem(prepared, state, width, first=width == CONTACT_WIDTHS[0])
        solution = minimise(JointModel(problem), state, steps, tolerance=1e-3 if width > 1 else 1e-4, tick=tick)
        state, iterations = solution.state, iterations + solution.iterations
    return solution, problem, iterations


def solve_whole(prepared: PreparedClip, tick: Callable[[], None]) -> JointSolution:
    """A clip solved in one piece."""
    solution, problem, iterations = solve_rounds(prepared, tick)
    before = minimise(JointModel(problem), prepared.state, 0).cost
    sigma = None
    if bool(problem.free[problem.layout.scale]):
        column = int(problem.free[: problem.layout.scale].sum())
        sigma = float(solution.covariance[column, column].sqrt())
    return JointSolution(
        solution.state, before, solution.costs or (solution.cost,), iterations, sigma, by_contact(problem)
    )


def by_contact(problem: Problem) -> bool:
    """Whether contact with scene or floor takes part."""
    return problem.surface is not None or problem.floor is not None


def _cameras(start: JointStart) -> Cameras:
    """Start cameras with a knot at every keyframe; corrections in between are linear in time, held at the ends."""
    path = start.scene.cameras
    pose = torch.from_numpy(np.asarray(path.world_from_cam, np.float64))
    frames = torch.from_numpy(np.asarray(path.keyframes, np.int64))
    times = torch.from_numpy(np.asarray(start.clip.times, np.float64))
    knots = times[frames]
    right = torch.searchsorted(knots, times, right=True).clamp(1, max(len(knots) - 1, 1))
    left = right - 1
    right = right.clamp(max=len(knots) - 1)
    gap = (knots[right] - knots[left]).clamp(min=1e-9)
    w = ((times - knots[left]) / gap).clamp(0, 1)
    principal = torch.tensor([start.clip.width / 2, start.clip.height / 2], dtype=torch.float64)
    knot, mix = torch.stack([left, right], -1), torch.stack([1 - w, w], -1)
    return Cameras(pose[:, :3, :3].clone(), pose[:, :3, 3].clone(), knot, mix, frames, principal, float(path.focal))


def _up(start: JointStart) -> Tensor:
    """Up [3] in the start's world, good enough for headings: the floor's normal, or the images' mean up direction."""
    up = -start.scene.cameras.world_from_cam[:, :3, 1].mean(0) if start.floor is None else start.floor.normal
    return torch.as_tensor(up / np.linalg.norm(up), dtype=torch.float64)


def _free(start: JointStart, settings: Settings, layout: GlobalsLayout) -> Tensor:
    """Which shared unknowns may move: a static or rotating camera stays one."""
    kind = start.scene.cameras.kind
    free = torch.ones(layout.size, dtype=torch.bool)
    free[layout.focal] = settings.focal_px is None
    free[layout.scale] = kind == "moving"
    free[layout.floor : layout.betas] = start.floor is not None
    knots = free[layout.cameras :].view(-1, 7)
    knots[:, :3] = kind != "static"
    knots[:, 3:6] = kind == "moving"
    knots[:, 6] = kind == "moving" and not start.depth_tied
    knots[:1, :6] = False  # the first keyframe's camera is fixed: it defines the world
    return free


def _sigmas(start: JointStart, options: Options) -> SharedSigmas:
    """How far the shared unknowns may move."""
    path = start.scene.cameras
    loose = options.focal_still if path.kind == "static" else options.focal_loose
    centres = path.world_from_cam[path.keyframes, :3, 3]
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=-1)
    step = float(np.median(steps)) if len(steps) else 0.0
    betas = torch.full((len(start.bodies), 10), 0.3, dtype=torch.float64)
    per_beta = _height_per_beta(start)
    for i, track in enumerate(start.bodies):  # the first coefficient is the one that follows height
        betas[i, 0] = track.height_sigma * track.height_m / per_beta
    return SharedSigmas(
        betas=betas,
        focal=float(np.clip(path.focal_sigma, 1e-3, loose)),
        scale=0.5,
        tilt=np.radians(0.3 if path.kind == "moving" else 2.0),  # a floor fitted to depth, or to the people alone
        height=0.01 if path.kind == "moving" else 0.05,  # m, likewise
        turn=np.radians(3.0),
        shift=max(2.0 * step, 1e-3),
        size=0.3,
        turn_step=np.radians(0.5),
        shift_step=max(0.1 * step, 1e-4),
    )


def _height_per_beta(start: JointStart) -> float:
    """Metres of standing height per unit of the first shape coefficient."""
    betas = torch.zeros(2, 10)
    betas[1, 0] = 0.5
    low, high = start.body.height(betas).tolist()
    return max(abs(high - low) / 0.5, 1e-3)
