"""The shipped student on one person's track: what it says about every frame, each number with its deviation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from josh_core.body import BodyModel
from josh_core.bodyfit.observations import Observations
from josh_core.geometry import interpolate_linear, interpolate_rotations, rotmat_to_rotvec
from josh_core.shapes import Shaped
from josh_core.student.features import KINDS, StudentInput, inputs
from josh_core.student.mirror import ask
from josh_core.student.motions import FPS
from josh_core.student.network import Answer, Student, load_student
from josh_core.student.parts import part_of
from josh_core.types import CameraPath, Float, Int, People

HEADING_SECONDS = 1 / 15  # to either side, over which the direction of travel is taken
UNKNOWN = 0.5  # contact probability of points of which the student says nothing


@dataclass(frozen=True)
class StudentEstimate(Shaped):
    """One person, frame by frame. Camera axes are OpenCV; the scale is that of the average body."""

    frames: Annotated[Int, "n"]  # clip frames
    rotations: Annotated[Float, "n 24 3 3"]  # local, 0 is the root in camera axes
    rotation_sigma: Annotated[Float, "n 24"]  # rad
    betas: Annotated[Float, "10"]
    betas_sigma: Annotated[Float, "10"]
    pelvis: Annotated[Float, "n 3"]  # m in the camera
    depth_sigma: Annotated[Float, "n"]  # share of the depth
    landmarks: Annotated[Float, "n 33 3"]  # m about the middle of the hips, camera axes
    landmark_sigma: Annotated[Float, "n 33"]  # m
    up: Annotated[Float, "n 3"]  # unit, gravity's opposite in the camera
    up_sigma: Annotated[Float, "n"]  # rad
    velocity: Annotated[Float, "n 3"]  # m/s of the pelvis in the world, in the axes of the root
    velocity_sigma: Annotated[Float, "n"]  # m/s
    contact: Annotated[Float, "n C"]  # probability in the order of the body's contact points
    known: Annotated[Float, "C"]  # True for the contact points that the student judges


@cache
def shipped() -> Student:
    """The weights that come with the package, read once."""
    return load_student()


def estimate_people(
    people: People, observed: tuple[Observations, ...], cameras: CameraPath, times: Float, body: BodyModel
) -> tuple[StudentEstimate, ...]:
    """The shipped student's estimate of every track; times: [T] s of the clip's frames."""
    return tuple(
        estimate(shipped(), obs, track.frames, (cameras, times), body)
        for track, obs in zip(people.tracks, observed, strict=True)
    )


def estimate(
    net: Student,
    obs: Observations,
    frames: Int,
    camera: tuple[CameraPath, Float],
    body: BodyModel,
    asked: Callable[[Student, StudentInput], Answer] = ask,
) -> StudentEstimate:
    """What `net` says of one person.

    frames: [n] clip frames of `obs`; camera: path, and [T] s of the clip's frames; asked: how the network is asked.
    """
    at = np.arange(obs.times[0], obs.times[-1] + 0.5 / FPS, 1 / FPS)  # the network was taught 30 frames a second
    seen = see(obs, *camera, at)
    given = inputs(seen)
    with torch.no_grad():
        said = asked(net, seen)
    back = np.abs(at[None] - obs.times[:, None]).argmin(1)
    return _to_camera(said, given.sight[back], given.size[back], given.middle[back], (back, frames, body))


def see(obs: Observations, cameras: CameraPath, times: Float, at: Float) -> StudentInput:
    """Observations of one person resampled to the times `at` [m] s, and the camera's motion there."""
    raw = obs.guess @ obs.sight  # rows x S = S^T x: axes of the line of sight
    turned = interpolate_rotations(cameras.world_from_cam[:, :3, :3], times, at)
    step = rotmat_to_rotvec(turned[:-1].swapaxes(-1, -2) @ turned[1:]) * FPS
    turn = np.concatenate([step, step[-1:]]) if len(step) else np.zeros((len(at), 3))
    centre = cameras.world_from_cam[:, :3, 3]
    later, sooner = (interpolate_linear(centre, times, at + s * HEADING_SECONDS) for s in (1, -1))
    moved = np.einsum("nji,nj->ni", turned, later - sooner)
    travel = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9) * (cameras.kind == "moving")
    kind = np.tile(np.eye(3)[KINDS.index(cameras.kind)], (len(at), 1))
    rays, visibility, guess = (interpolate_linear(x, obs.times, at) for x in (obs.rays, obs.visibility, raw))
    return StudentInput(
        *(torch.as_tensor(x, dtype=torch.float32) for x in (rays, visibility, guess, turn, travel, kind))
    )


def _to_camera(
    said: Answer, sight: Tensor, size: Tensor, middle: Tensor, about: tuple[Int, Int, BodyModel]
) -> StudentEstimate:
    """From the axes of sight to the camera, at the rows `back` of the answer."""
    back, frames, body = about
    n = len(back)
    rotations = said.rotations[0, back].clone()
    rotations[:, 0] = sight @ rotations[:, 0]
    betas = said.betas[0].mean(0)
    with torch.no_grad():
        posed = body.points(betas.expand(n, -1), rotations, torch.zeros(n, 3))
    hips = posed.landmarks[:, 23:25].mean(1, keepdim=True)
    depth = said.log_depth[0, back].exp() / size
    flat = said.offset[0, back] * size[:, None] + middle
    pelvis = torch.cat([flat * depth[:, None], depth[:, None]], 1)
    sigma = {name: value[0, back] for name, value in said.sigma.items()}
    from_joints = body.landmark_joints + body.landmark_skin * body.landmark_joints.new_tensor(_nearest_joints())
    probability = torch.sigmoid(said.touch[0, back]).double().numpy()
    rows = [part_of(name) for name in body.contact_names]
    contact = np.stack([probability[:, r].min(1) if r else np.full(n, UNKNOWN) for r in rows], 1)
    arrays = {
        "rotations": rotations,
        "rotation_sigma": sigma["rotations"],
        "betas": betas,
        "betas_sigma": sigma["betas"].mean(0),
        "pelvis": (sight @ pelvis[..., None])[..., 0],
        "depth_sigma": sigma["log_depth"][:, 0],
        "landmarks": posed.landmarks - hips,
        "landmark_sigma": sigma["joints"] @ from_joints.mT,
        "up": (sight @ said.up[0, back][..., None])[..., 0],
        "up_sigma": sigma["up"][:, 0],
        "velocity": said.velocity[0, back],
        "velocity_sigma": sigma["velocity"][:, 0],
    }
    plain = {name: value.double().numpy() for name, value in arrays.items()}
    return StudentEstimate(frames=frames, contact=contact, known=np.array([bool(r) for r in rows]), **plain)


@cache
def _nearest_joints() -> tuple[tuple[float, ...], ...]:
    """[33][24] one-hot: the joint whose deviation a landmark on the skin shares."""
    from josh_core.body.names import JOINTS, LANDMARKS

    stem = {"pinky": "hand", "index": "hand", "thumb": "hand", "heel": "ankle", "foot": "foot"}
    rows = []
    for name in LANDMARKS:
        side = next((s for s in ("left", "right") if s in name.split("_")), "left")
        part = next((p for p in name.split("_") if p not in ("left", "right")), name)
        joint = f"{side}_{'foot' if name.endswith('foot_index') else stem.get(part, part)}"
        rows.append(tuple(float(j == (joint if joint in JOINTS else "head")) for j in JOINTS))
    return tuple(rows)
