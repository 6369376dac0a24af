"""JOSH on a clip: start values in, jointly refined cameras, bodies, floor and scale out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from josh_core.geometry import rigid
from josh_core.joint.bodies import BodySigmas, Sequence, landmark_term, smooth_term, start_term, static_term, unbiased
from josh_core.joint.matches import packed, thinned, whitened
from josh_core.joint.places import SceneSigmas, floor_term, match_pixels, surface_term
from josh_core.joint.prior import SharedSigmas, shared_prior, start_state
from josh_core.joint.robust import Cauchy
from josh_core.joint.solver import Joint, Solution, minimise
from josh_core.joint.start import JointResult, JointStart
from josh_core.joint.table import PointIndex, model_table
from josh_core.joint.terms import posed
from josh_core.joint.touch import believed
from josh_core.joint.variables import Cameras, Layout, Problem, State, camera_poses
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.types import BodyTrack, CameraPath, Float, Floor

BLURS = (4.0, 2.0, 1.0)  # rounds: how much wider the contact terms are than in the end, so that far starts are caught
STEPS = (4, 4, 10)  # Gauss-Newton steps of each round


@dataclass(frozen=True)
class Options:
    """Standard deviations of everything, and what the settings switch off."""

    bodies: BodySigmas = BodySigmas()
    scene: SceneSigmas = SceneSigmas()
    focal_loose: float = 0.1  # log focal is held within the start's sigma, but never looser than this


@dataclass(frozen=True)
class Work:
    """A clip prepared for the rounds."""

    start: JointStart
    settings: Settings
    options: Options
    sequence: Sequence
    index: PointIndex
    chance: Tensor  # [N,C] contact probability
    problem: Problem  # without the terms that change from round to round
    state: State


def prepare(start: JointStart, settings: Settings, options: Options = Options()) -> Work:
    """The start as a problem: variables, priors and the terms that stay the same over the rounds."""
    table, index = model_table(start.body)
    sequence = Sequence.of(start, options.bodies.correlated)
    bodies = start_term(start, sequence, settings.use_landmarks, options.bodies)
    cameras = _cameras(start)
    layout = Layout(len(start.bodies), len(cameras.knot_frame))
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
        pixels = thinned(match_pixels(start, options.scene), 2 * int(options.scene.per_pair))
        problem = replace(problem, matches=packed(pixels, Cauchy(2.0)))
    if settings.use_smooth:
        problem = replace(problem, smooth=smooth_term(sequence, options.bodies))
    if settings.use_landmarks and len(sequence.frame):
        problem = replace(problem, landmarks=landmark_term(start, sequence, index))
    chance = sequence.stack([c.probability for c in start.contacts], (len(index.contacts),))
    return Work(start, settings, options, sequence, index, chance, problem, state)


def round_problem(work: Work, state: State, blur: float, first: bool) -> Problem:
    """The problem around a state: contacts judged and matched to the scene anew, their terms `blur` times as wide."""
    options, settings, problem = work.options, work.settings, work.problem
    at = posed(problem, state, False)
    if problem.matches is not None:
        px = options.scene.px * work.start.clip.width / 1000
        problem = replace(problem, matches=whitened(at, px))
    if problem.landmarks is not None:
        problem = replace(problem, landmarks=unbiased(problem.landmarks, at, options.bodies.bias))
    floor, index, chance = work.start.floor, work.index, work.chance
    if not first:
        chance = believed(at, work.sequence, chance, index, floor)
    scene = replace(options.scene, surface=options.scene.surface * blur, floor=options.scene.floor * blur)
    if settings.use_contact_scene:
        problem = replace(problem, surface=surface_term(at, work.start, chance, index, scene))
        if floor is not None and len(chance):
            problem = replace(problem, floor=floor_term(at, floor, work.sequence, chance, index, scene))
    if settings.use_contact_static and len(chance):
        body = replace(options.bodies, static=options.bodies.static * blur)
        problem = replace(problem, static=static_term(work.sequence, chance, index, body))
    return problem


def refine(start: JointStart, settings: Settings, progress: Progress | None = None) -> JointResult:
    """Solve for cameras, scene scale, floor and everybody's bodies in all frames together (JOSH, DESIGN section 8).

    Never returns a worse objective than the start's, nor a NaN: then the start comes back and `notes` says so.
    Raises Cancelled when `progress` says so.
    """
    progress = progress or Progress()
    if not _finite(start):
        return _unrefined(start, "Some start values were not numbers, so the joint optimisation was left out.")
    work = prepare(start, settings)
    done = 0

    def tick() -> None:
        nonlocal done
        progress.update(done / sum(STEPS))
        done += 1

    with one_thread():
        solution, problem, iterations = solve_rounds(work, tick)
    before = minimise(Joint(problem), work.state, 0).cost
    if not solution.cost <= before or not _sound(solution.state):
        return _unrefined(start, "The joint optimisation did not improve on its start, which is shown instead.")
    return _result(work, problem, solution, iterations, (before, *solution.costs))


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: the blocks are small, so a second thread costs more in waiting than it gives."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def solve_rounds(work: Work, tick: Callable[[], None]) -> tuple[Solution[State], Problem, int]:
    """All rounds: solution and problem of the last one, and how many linear systems were solved."""
    state, iterations = work.state, 0
    for blur, steps in zip(BLURS, STEPS, strict=True):
        problem = round_problem(work, state, blur, first=blur == BLURS[0])
        solution = minimise(Joint(problem), state, steps, tolerance=1e-3 if blur > 1 else 1e-4, tick=tick)
        state, iterations = solution.state, iterations + solution.iterations
    return solution, problem, iterations


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


def _free(start: JointStart, settings: Settings, layout: Layout) -> Tensor:
    """Which shared unknowns may move: a camera that stands or only turns keeps to that exactly."""
    kind = start.scene.cameras.kind
    free = torch.ones(layout.size, dtype=torch.bool)
    free[layout.focal] = kind != "static" and settings.focal_px is None
    free[layout.scale] = kind == "moving"
    free[layout.floor : layout.betas] = start.floor is not None
    knots = free[layout.cameras :].view(-1, 7)
    knots[:, :3] = kind != "static"
    knots[:, 3:6] = kind == "moving"
    knots[:, 6] = kind == "moving" and not start.depth_tied
    knots[:1, :6] = False  # the first keyframe is where the world hangs
    return free


def _sigmas(start: JointStart, options: Options) -> SharedSigmas:
    """How far the shared unknowns may move."""
    path = start.scene.cameras
    centres = path.world_from_cam[path.keyframes, :3, 3]
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=-1)
    step = float(np.median(steps)) if len(steps) else 0.0
    betas = torch.full((len(start.bodies), 10), 0.3, dtype=torch.float64)
    per_beta = _height_per_beta(start)
    for i, track in enumerate(start.bodies):  # the first coefficient is the one that follows height
        betas[i, 0] = start.height_sigma * track.height_m / per_beta
    return SharedSigmas(
        betas=betas,
        focal=float(np.clip(path.focal_sigma, 1e-3, options.focal_loose)),
        scale=0.5,
        tilt=np.radians(0.3 if path.kind == "moving" else 2.0),  # a floor seen in depth, or told by people alone
        height=0.03 if path.kind == "moving" else 0.05,
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


def _finite(start: JointStart) -> bool:
    arrays: list[Float] = [start.scene.cameras.world_from_cam, np.array([start.scale, start.scene.cameras.focal])]
    for body, contacts in zip(start.bodies, start.contacts, strict=True):
        arrays += [body.rotations, body.transl, body.betas, contacts.probability]
    if start.floor is not None:
        arrays += [start.floor.normal, np.array(start.floor.offset)]
    return all(bool(np.isfinite(a).all()) for a in arrays) and start.scale > 0


def _sound(state: State) -> bool:
    return all(bool(torch.isfinite(v).all()) for v in vars(state).values())


def _result(
    work: Work, problem: Problem, solution: Solution[State], iterations: int, costs: tuple[float, ...]
) -> JointResult:
    """The solution in the terms of the stages."""
    start, state, path = work.start, solution.state, work.start.scene.cameras
    rotation, centre, _ = camera_poses(problem.cameras, state)
    world_from_cam = rigid(rotation.numpy(), centre.numpy())
    if path.kind == "static":
        world_from_cam = path.world_from_cam.astype(np.float64)
    focal, scale = float(state.log_focal.exp()), float(state.log_scale.exp())
    sigma, source = start.scale_sigma, start.scale_source
    if bool(problem.free[problem.layout.scale]):
        column = int(problem.free[: problem.layout.scale].sum())
        sigma = float(solution.covariance[column, column].sqrt())
        if problem.surface is not None or problem.floor is not None:
            source = "contact"
    return JointResult(
        cameras=replace(path, world_from_cam=world_from_cam, focal=focal),
        bodies=_in_cameras(start, state, rotation, centre, work),
        floor=_floor(start, problem, state, scale),
        depth_scale=(state.log_scale + state.log_size).exp().numpy(),
        scale=scale,
        scale_sigma=sigma,
        scale_source=source,
        refined=True,
        costs=costs,
        iterations=iterations,
    )


def _in_cameras(start: JointStart, state: State, rotation: Tensor, centre: Tensor, work: Work) -> tuple[BodyTrack, ...]:
    """Body tracks in camera space from world bodies."""
    frame, person, table = work.sequence.frame, work.sequence.person, work.problem.table
    root = table.joints[0] + state.betas @ table.joints_beta[0].T
    r_t = rotation[frame].mT
    turned = state.rotations.clone()
    turned[:, 0] = r_t @ turned[:, 0]
    transl = (r_t @ (root[person] + state.transl - centre[frame])[..., None])[..., 0] - root[person]
    heights = start.body.height(state.betas.float()).tolist() if len(state.betas) else []
    return tuple(
        replace(
            track,
            betas=state.betas[i].numpy(),
            rotations=turned[person == i].numpy(),
            transl=transl[person == i].numpy(),
            focal=float(state.log_focal.exp()),
            height_m=float(heights[i]),
        )
        for i, track in enumerate(start.bodies)
    )


def _floor(start: JointStart, problem: Problem, state: State, scale: float) -> Floor | None:
    """The floor after its tilt and height, in metres."""
    if start.floor is None:
        return None
    if problem.floor is None:
        return Floor(start.floor.normal, start.floor.offset * scale, start.floor.confidence)
    normal = (problem.floor.normal + state.floor[:2] @ problem.floor.axes).numpy()
    length = float(np.linalg.norm(normal))
    offset = scale * start.floor.offset + float(state.floor[2])
    return Floor(normal / length, offset / length, start.floor.confidence)


def _unrefined(start: JointStart, note: str) -> JointResult:
    """The start itself, in metres, and why."""
    path: CameraPath = start.scene.cameras
    scale = start.scale if np.isfinite(start.scale) and start.scale > 0 else 1.0
    world_from_cam = np.array(path.world_from_cam, np.float64)
    world_from_cam[:, :3, 3] *= scale
    floor = start.floor
    return JointResult(
        cameras=replace(path, world_from_cam=world_from_cam),
        bodies=start.bodies,
        floor=None if floor is None else Floor(floor.normal, floor.offset * scale, floor.confidence),
        depth_scale=np.full(len(path.keyframes), scale),
        scale=scale,
        scale_sigma=start.scale_sigma,
        scale_source=start.scale_source,
        refined=False,
        costs=(),
        iterations=0,
        notes=(note,),
    )
