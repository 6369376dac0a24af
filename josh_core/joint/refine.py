"""JOSH on a clip: start values in, jointly refined cameras, bodies, floor and scale out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from josh_core.geometry import rigid
from josh_core.joint import chunks
from josh_core.joint.ground import metric_floor
from josh_core.joint.interface import JointResult, JointStart
from josh_core.joint.schedule import JointSolution, PreparedClip, prepare, solve_whole
from josh_core.joint.variables import State, bodies_in_cameras, camera_poses
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.threads import one_thread
from josh_core.types import BodyTrack, CameraPath, Float, Floor


def refine(start: JointStart, settings: Settings, progress: Progress | None = None) -> JointResult:
    """Solve for cameras, scene scale, floor and everybody's bodies in all frames together (JOSH, DESIGN section 8).

    Clips with many body frames are solved in overlapping chunks, which bounds memory (chunks.py). Never returns a
    worse objective than the start's, nor a NaN: then the start comes back and `notes` says so. Raises Cancelled when
    `progress` says so.
    """
    progress = progress or Progress()
    if not _finite(start):
        return _unrefined(start, "Some start values were not numbers, so the joint optimisation was left out.")
    prepared, seams = prepare(start, settings), chunks.seams_of(start)
    done, systems = 0, chunks.systems(len(seams) + 1)

    def tick() -> None:
        nonlocal done
        progress.update(min(done / systems, 1.0))
        done += 1

    with one_thread():
        outcome = chunks.solve_chunks(prepared, seams, tick) if seams else solve_whole(prepared, tick)
    if not outcome.costs[-1] <= outcome.before or not _sound(outcome.state):
        return _unrefined(start, "The joint optimisation did not improve on its start, which is shown instead.")
    return _result(prepared, outcome)


def _finite(start: JointStart) -> bool:
    arrays: list[Float] = [start.scene.cameras.world_from_cam, np.array([start.scale, start.scene.cameras.focal])]
    for body, contacts in zip(start.bodies, start.contacts, strict=True):
        arrays += [body.rotations, body.transl, body.betas, contacts.probability]
    if start.floor is not None:
        arrays += [start.floor.normal, np.array(start.floor.offset)]
    return all(bool(np.isfinite(a).all()) for a in arrays) and start.scale > 0


def _sound(state: State) -> bool:
    return all(bool(torch.isfinite(v).all()) for v in vars(state).values())


def _result(prepared: PreparedClip, outcome: JointSolution) -> JointResult:
    """The solution as the types that the stages exchange."""
    start, state, path = prepared.start, outcome.state, prepared.start.scene.cameras
    rotation, centre, _ = camera_poses(prepared.problem.cameras, state)
    world_from_cam = rigid(rotation.numpy(), centre.numpy())
    if path.kind == "static":
        world_from_cam = path.world_from_cam.astype(np.float64)
    free, scale = outcome.scale_sigma is not None, float(state.log_scale.exp())
    return JointResult(
        cameras=replace(path, world_from_cam=world_from_cam, focal=float(state.log_focal.exp())),
        bodies=_bodies(prepared, state),
        floor=None if start.floor is None else metric_floor(start.floor, state),
        depth_scale=(state.log_scale + state.log_size).exp().numpy(),
        scale=scale,
        scale_sigma=_scale_sigma(start, scale, outcome.scale_sigma),
        scale_source="contact" if free and outcome.by_contact else start.scale_source,
        refined=True,
        costs=(outcome.before, *outcome.costs),
        iterations=outcome.iterations,
    )


def _scale_sigma(start: JointStart, scale: float, sigma: float | None) -> float:
    """Relative standard error of the scale, larger where it and the start's contradict each other (Birge's ratio).

    That happens where something outside the objective is wrong, such as the focal length of a camera that hardly moves.
    sigma: by the curvature of the objective; None where the scale was not free.
    """
    if sigma is None:
        return start.scale_sigma
    apart = abs(np.log(scale / start.scale)) / np.hypot(sigma, start.scale_sigma)
    return sigma * max(1.0, float(apart))


def _bodies(prepared: PreparedClip, state: State) -> tuple[BodyTrack, ...]:
    """Body tracks in camera space from world bodies."""
    start, person = prepared.start, prepared.sequence.person
    rotations, transl = bodies_in_cameras(prepared.problem, state)
    heights = start.body.height(state.betas.float()).tolist() if len(state.betas) else []
    return tuple(
        replace(
            track,
            betas=state.betas[i].numpy(),
            rotations=rotations[person == i].numpy(),
            transl=transl[person == i].numpy(),
            focal=float(state.log_focal.exp()),
            height_m=float(heights[i]),
        )
        for i, track in enumerate(start.bodies)
    )


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
