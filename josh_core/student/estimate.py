"""The shipped student applied to the tracks: its estimate for every frame."""

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
from josh_core.shapes import Shaped, check_shapes
from josh_core.student.features import CAMERA_KINDS, FPS, StudentInput, student_features
from josh_core.student.mirror import predict
from josh_core.student.network import Prediction, Student, load_student
from josh_core.student.parts import part_rows
from josh_core.types import CameraPath, Float, Int, People

# Chosen by hand, except where a measurement or a source is given.
TRAVEL_SECONDS = 1 / 15  # s to either side, over which the camera's direction of travel is taken; chosen by hand
UNKNOWN_PROBABILITY = 0.5  # contact probability of points that the student does not predict


@dataclass(frozen=True)
class StudentEstimate(Shaped):
    """One person, frame by frame. Camera axes are OpenCV; lengths are right if the person has average height."""

    frames: Annotated[Int, "n"]  # clip frames
    rotations: Annotated[Float, "n 24 3 3"]  # local, 0 is the root in camera axes
    betas: Annotated[Float, "10"]
    pelvis: Annotated[Float, "n 3"]  # m in the camera
    landmarks: Annotated[Float, "n 33 3"]  # m about the middle of the hips, camera axes
    landmark_sigma: Annotated[Float, "n 33"]  # m
    up: Annotated[Float, "n 3"]  # unit, opposite to gravity, in the camera
    contact: Annotated[Float, "n C"]  # probability in the order of the body's contact points
    known: Annotated[Float, "C"]  # True for the contact points that the student predicts


@cache
def shipped() -> Student:
    """The student with the weights of the package, loaded once."""
    return load_student()


def estimate_people(
    people: People, observed: tuple[Observations, ...], cameras: CameraPath, times: Float, body: BodyModel
) -> tuple[StudentEstimate, ...]:
    """The shipped student's estimate of every track; times: [T] s of the clip's frames."""
    check_shapes("estimate_people", times=(times, "T"))
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
    predictor: Callable[[Student, StudentInput], Prediction] = predict,
) -> StudentEstimate:
    """The estimate of `net` for one person.

    frames: [n] clip frames of `obs`; camera: path, and times [T] s of the clip's frames; predictor: how the network is
    applied, with or without the mirror image (mirror.py).
    """
    at = np.arange(obs.times[0], obs.times[-1] + 0.5 / FPS, 1 / FPS)  # the network was trained at this rate
    seen = student_input(obs, *camera, at)
    given = student_features(seen)
    with torch.no_grad():
        prediction = predictor(net, seen)
    back = np.abs(at[None] - obs.times[:, None]).argmin(1)
    return _to_camera(prediction, given.sight[back], given.size[back], given.middle[back], (back, frames, body))


def student_input(obs: Observations, cameras: CameraPath, times: Float, at: Float) -> StudentInput:
    """Observations of one person resampled to the times `at` [m] s, and the camera's motion there."""
    raw = obs.guess @ obs.sight  # rows x S = S^T x: axes of the line of sight
    turned = interpolate_rotations(cameras.world_from_cam[:, :3, :3], times, at)
    step = rotmat_to_rotvec(turned[:-1].swapaxes(-1, -2) @ turned[1:]) * FPS
    turn = np.concatenate([step, step[-1:]]) if len(step) else np.zeros((len(at), 3))
    centre = cameras.world_from_cam[:, :3, 3]
    later, earlier = (interpolate_linear(centre, times, at + s * TRAVEL_SECONDS) for s in (1, -1))
    moved = np.einsum("nji,nj->ni", turned, later - earlier)
    travel = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9) * (cameras.kind == "moving")
    kind = np.tile(np.eye(3)[CAMERA_KINDS.index(cameras.kind)], (len(at), 1))
    rays, visibility, guess = (interpolate_linear(x, obs.times, at) for x in (obs.rays, obs.visibility, raw))
    return StudentInput(
        *(torch.as_tensor(x, dtype=torch.float32) for x in (rays, visibility, guess, turn, travel, kind))
    )


def _to_camera(
    prediction: Prediction, sight: Tensor, size: Tensor, middle: Tensor, about: tuple[Int, Int, BodyModel]
) -> StudentEstimate:
    """From the axes of sight to the camera, for the rows `back` of the prediction."""
    back, frames, body = about
    n = len(back)
    rotations = prediction.rotations[0, back].clone()
    rotations[:, 0] = sight @ rotations[:, 0]
    betas = prediction.betas[0].mean(0)
    with torch.no_grad():
        posed = body.points(betas.expand(n, -1), rotations, torch.zeros(n, 3))
    hips = posed.landmarks[:, 23:25].mean(1, keepdim=True)
    depth = prediction.log_depth[0, back].exp() / size
    flat = prediction.offset[0, back] * size[:, None] + middle
    pelvis = torch.cat([flat * depth[:, None], depth[:, None]], 1)
    from_joints = body.landmark_joints + body.landmark_skin * body.landmark_joints.new_tensor(_nearest_joints())
    probability = torch.sigmoid(prediction.touch[0, back]).double().numpy()
    rows = [part_rows(name) for name in body.contact_names]
    contact = np.stack([probability[:, r].min(1) if r else np.full(n, UNKNOWN_PROBABILITY) for r in rows], 1)
    arrays = {
        "rotations": rotations,
        "betas": betas,
        "pelvis": (sight @ pelvis[..., None])[..., 0],
        "landmarks": posed.landmarks - hips,
        "landmark_sigma": prediction.sigma["joints"][0, back] @ from_joints.mT,
        "up": (sight @ prediction.up[0, back][..., None])[..., 0],
    }
    plain = {name: value.double().numpy() for name, value in arrays.items()}
    return StudentEstimate(frames=frames, contact=contact, known=np.array([bool(r) for r in rows]), **plain)


@cache
def _nearest_joints() -> tuple[tuple[float, ...], ...]:
    """[33][24] one-hot: the joint whose standard deviation is used for a landmark on the skin."""
    from josh_core.body.names import JOINTS, LANDMARKS

    stem = {"pinky": "hand", "index": "hand", "thumb": "hand", "heel": "ankle", "foot": "foot"}
    rows = []
    for name in LANDMARKS:
        side = next((s for s in ("left", "right") if s in name.split("_")), "left")
        part = next((p for p in name.split("_") if p not in ("left", "right")), name)
        joint = f"{side}_{'foot' if name.endswith('foot_index') else stem.get(part, part)}"
        rows.append(tuple(float(j == (joint if joint in JOINTS else "head")) for j in JOINTS))
    return tuple(rows)
