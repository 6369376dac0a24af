"""Everybody's frames as one list of body frames, and the terms that need bodies and cameras only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from josh_core.body.capsules import MOST_SPAN, Capsules, capsule_radii, closest, gaps
from josh_core.body.names import JOINTS
from josh_core.body.posing import track_points
from josh_core.bodyfit.frame_terms import BONE_WIDTH
from josh_core.bodyfit.observations import BONE_FROM, BONE_TO
from josh_core.joint import residuals
from josh_core.joint.body_points import PointIndex
from josh_core.joint.evaluated_state import EvaluatedState, points_in_camera
from josh_core.joint.interface import JointStart
from josh_core.joint.variables import (
    BoneTerm,
    HeadingTerm,
    LandmarkTerm,
    PeopleTerm,
    SmoothTerm,
    StartTerm,
    StaticTerm,
)
from josh_core.lsq.robust import Cauchy, Geman
from josh_core.types import HARDLY_IN_CONTACT

SWINGING_JOINTS = ("knee", "ankle", "foot", "elbow", "wrist", "hand")
WALKING_SPEED = 0.6  # m/s, half weight of the heading term: slower people also step sideways. Chosen, not tuned
TRAVEL_SECONDS = 0.4  # s, over which a path becomes a direction of travel: longer than the sway of a step
MIN_BONE_LENGTH = 1e-3  # m, length by which observed bones are divided at least
STIFF_JOINTS = ("foot", "hand", "collar")  # joints whose rotation hardly changes the landmarks


@dataclass(frozen=True)
class BodySigmas:
    """Standard deviations of what is known of bodies."""

    pose: float = np.radians(5.0)  # of each joint's rotation
    stiff: float = np.radians(2.5)  # of toes, fingers and collar bones
    depth: float = 0.08  # share, of the start's depth: one error for all frames when landmarks speak for themselves
    across: float = 0.1  # m, of the start's place across the ray, likewise
    across_alone: float = 0.03  # m, without landmarks
    bias: float = 0.015  # m, constant error of a landmark
    static: float = 0.15  # m/s, of a touching point
    trunk: float = 20.0  # m/s^2, acceleration of the trunk's joints
    limb: float = 60.0  # m/s^2, of the limbs'
    root: float = np.radians(8.0)  # of the root's rotation in the camera: heading errs most
    heading: float = np.radians(8.0)  # of facing against travel, of the pelvis that sways with each step
    heading_correlated: float = 0.5  # s, about a step
    people: float = 0.03  # m, of two people's capsules that overlap: clothes, and a body's true form
    people_reach: float = 0.05  # m, capsules that are farther apart in the current state are not asked
    correlated: float = 0.15  # s, errors of landmarks in neighbouring frames are alike for this long
    pose_correlated: float = 0.5  # s, errors of the start's pose likewise


@dataclass(frozen=True)
class BodyFrames:
    """N body frames, people one after the other, each in time order."""

    person: Tensor  # [N] int
    frame: Tensor  # [N] int clip frame
    time: Tensor  # [N] s
    independent: Tensor  # [N] how much of an independent observation one frame is

    @classmethod
    def of(cls, start: JointStart, correlated: float) -> BodyFrames:
        """All body frames of the start."""
        counts = [len(b.frames) for b in start.bodies]
        frame = np.concatenate([np.zeros(0, np.int64), *(b.frames for b in start.bodies)]).astype(np.int64)
        times = np.asarray(start.clip.times, np.float64)
        step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
        share = torch.full((len(frame),), min(1.0, step / correlated), dtype=torch.float64)
        person = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=torch.long))
        return cls(person, torch.from_numpy(frame), torch.from_numpy(times[frame]), share)

    def stack(self, parts: list[np.ndarray], shape: tuple[int, ...]) -> Tensor:
        """Per-person arrays [n,*shape] in the order of the sequence, float64."""
        empty = np.zeros((0, *shape))
        return torch.from_numpy(np.ascontiguousarray(np.concatenate([empty, *parts]), np.float64))


def start_term(start: JointStart, sequence: BodyFrames, with_landmarks: bool, s: BodySigmas) -> StartTerm:
    """The start bodies at the cameras' focal, each quantity with its standard deviation."""
    focal = start.scene.cameras.focal
    transl = [b.transl * [1.0, 1.0, focal / b.focal] for b in start.bodies]
    pose = torch.full((len(JOINTS),), s.pose, dtype=torch.float64)
    pose[[i for i, name in enumerate(JOINTS) if name.split("_")[-1] in STIFF_JOINTS]] = s.stiff
    pose[0] = s.root
    widen = 1 / sequence.independent.sqrt()
    if with_landmarks:  # what the start's depth adds to them is its height, which errs in all frames alike
        depth = s.depth * torch.bincount(sequence.person, minlength=len(start.bodies)).double().sqrt()[sequence.person]
    else:
        depth = torch.tensor([b.sigma_depth for b in start.bodies], dtype=torch.float64)[sequence.person] * widen
    slow = (s.pose_correlated / s.correlated) ** 0.5
    return StartTerm(
        rotations=sequence.stack([b.rotations for b in start.bodies], (24, 3, 3)),
        transl=sequence.stack(transl, (3,)),
        betas=torch.tensor(np.array([b.betas for b in start.bodies]).reshape(-1, 10), dtype=torch.float64),
        sigma_pose=pose * slow * float(widen[0] if len(widen) else 1.0),
        sigma_depth=depth,
        sigma_across=s.across if with_landmarks else s.across_alone,
    )


def smooth_term(sequence: BodyFrames, s: BodySigmas) -> SmoothTerm:
    """Accelerations over three body frames of one person that are close in time."""
    n = len(sequence.frame)
    sigma = torch.full((len(JOINTS),), s.trunk, dtype=torch.float64)
    sigma[[i for i, name in enumerate(JOINTS) if name.split("_")[-1] in SWINGING_JOINTS]] = s.limb
    if n < 3:
        return SmoothTerm(
            torch.zeros(0, 3, dtype=torch.float64), sigma, torch.zeros(0, dtype=torch.float64), Cauchy(3.0)
        )
    steps = sequence.time[1:] - sequence.time[:-1]
    joined = (sequence.person[1:] == sequence.person[:-1]) & (steps > 0) & (steps < 0.5)
    usable = joined[1:] & joined[:-1]
    step = torch.where(joined, steps, 1.0)
    stencil = residuals.second_difference(step[:-1], step[1:])
    return SmoothTerm(stencil * usable[:, None], sigma, usable.double(), Cauchy(3.0))


def static_term(sequence: BodyFrames, probability: Tensor, index: PointIndex, s: BodySigmas) -> StaticTerm:
    """Contact points that touch in two consecutive frames of one person. probability: [N,C] contact probability."""
    joined = (sequence.person[1:] == sequence.person[:-1]) & (sequence.frame[1:] - sequence.frame[:-1] == 1)
    weight = probability[1:] * probability[:-1] * joined[:, None]
    step = float((sequence.time[1:] - sequence.time[:-1])[joined].median()) if bool(joined.any()) else 1.0
    weight = torch.where(weight > HARDLY_IN_CONTACT, weight, 0.0)
    ever = (weight > 0).any(0)
    return StaticTerm(index.contacts[ever], weight[:, ever], s.static * step, Geman(3.0))


def people_term(at: EvaluatedState, start: JointStart, sequence: BodyFrames, s: BodySigmas) -> PeopleTerm | None:
    """Capsules of two people that overlap, or nearly, in the current state; None where nobody is near anybody.

    A plane halfway between the two surfaces, across the line between their axes, parts them: each body has to leave it
    by itself, so that no residual hangs on two bodies, whose unknowns the linear system keeps apart.
    """
    first, second = _together(sequence)
    near = (at.points.p[first, 0] - at.points.p[second, 0]).norm(dim=-1) < MOST_SPAN
    body = torch.stack([first[near], second[near]], -1)
    if not len(body):
        return None
    capsules = Capsules.of(start.body)
    betas = torch.tensor(np.array([b.betas for b in start.bodies]), dtype=torch.float64)
    radii = capsule_radii(start.body, betas)[sequence.person]  # [N,K]
    axes = capsules.segments(at.points.p[body])  # [B,2,K,2,3]
    thick = radii[body[:, 0], :, None] + radii[body[:, 1], None]  # [B,K,K]
    apart = gaps(axes[:, 0, :, None], axes[:, 1, None]) - thick
    met = (apart < s.people_reach).nonzero()
    if not len(met):
        return None
    body, capsule = body[met[:, 0]], met[:, 1:]  # [M,2] each
    along = closest(*(axes[met[:, 0], i, capsule[:, i]] for i in (0, 1)))
    ends = torch.stack([1 - torch.stack(along, -1), torch.stack(along, -1)], -1)  # [M,2,2]
    share = (ends[..., None] / 2).expand(-1, -1, -1, 2).flatten(2)  # [M,2,4]
    points = capsules.ends[capsule].flatten(2)
    on_axis = (share[..., None] * at.points.p[body[..., None], points]).sum(2)  # [M,2,3]
    frame = sequence.frame[body[:, 0]]
    y = (on_axis - at.centre[frame, None]) @ at.rotation[frame]
    normal = torch.nn.functional.normalize(y[:, 0] - y[:, 1], dim=-1)
    # Half of what is missing, or still free, between the surfaces is each one's.
    offset = (normal[:, None] * y).sum(-1) * torch.tensor([1.0, -1.0]) - apart[tuple(met.T)][:, None] / 2
    return PeopleTerm(
        body=body.flatten(),
        points=points.flatten(0, 1),
        share=share.flatten(0, 1),
        normal=torch.stack([normal, -normal], 1).flatten(0, 1),
        offset=offset.flatten(),
        weight=sequence.independent[body.flatten()],
        sigma=s.people / 2**0.5,
        robust=Geman(3.0),
    )


def _together(sequence: BodyFrames) -> tuple[Tensor, Tensor]:
    """Body frames [B] and [B] of every two people in one clip frame."""
    met = (sequence.frame[:, None] == sequence.frame[None]).triu(1)
    first, second = met.nonzero(as_tuple=True)
    return first, second


def heading_term(at: EvaluatedState, sequence: BodyFrames, up: Tensor, s: BodySigmas) -> HeadingTerm:
    """People who travel face their direction of travel; up: [3] unit, world. People who stand have weight 0.

    Facing backward fits as well as forward; people who walk sideways are outliers of the robust norm.
    """
    velocity = _velocity(at.points.p[:, 0], sequence)
    velocity = velocity - (velocity @ up)[:, None] * up
    speed = velocity.norm(dim=-1)
    gate = speed**4 / (speed**4 + WALKING_SPEED**4)
    share = (sequence.independent * s.correlated / s.heading_correlated).clamp(max=1.0)
    ahead = velocity / speed.clamp(min=1e-6)[:, None]
    return HeadingTerm(ahead, gate * share, float(np.sin(s.heading)), Geman(3.0))


def _velocity(root: Tensor, sequence: BodyFrames) -> Tensor:
    """Slope [N,3] in m/s of straight lines through root [N,3] around each time (Gaussian weights, one person each)."""
    out = torch.zeros_like(root)
    for person in sequence.person.unique():
        mine = sequence.person == person
        time, path = sequence.time[mine], root[mine]
        lag = time[None] - time[:, None]
        weight = torch.exp(-0.5 * (lag / TRAVEL_SECONDS) ** 2)
        lag = lag - (weight * lag).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
        out[mine] = (weight * lag) @ path / (weight * lag**2).sum(1, keepdim=True).clamp(min=1e-9)
    return out


def landmark_term(start: JointStart, sequence: BodyFrames, index: PointIndex) -> LandmarkTerm:
    """2D landmarks of all body frames; those that are not finite have weight 0."""
    focal = start.scene.cameras.focal
    px = sequence.stack([seen.rays for seen in start.observations], (33, 2)) * focal
    sigma = sequence.stack([seen.ray_sigma for seen in start.observations], (33,)) * focal
    usable = torch.isfinite(px).all(-1) & torch.isfinite(sigma) & (sigma > 0)
    weight = usable * sequence.independent[:, None]
    px, sigma = torch.where(usable[..., None], px, 0.0), torch.where(usable, sigma, 1.0)
    return LandmarkTerm(index.landmarks, px, sigma, weight, Cauchy(2.0))


def bone_term(start: JointStart, sequence: BodyFrames, index: PointIndex, s: BodySigmas) -> BoneTerm:
    """3D directions of the bones of all body frames, as the body fit had them.

    Their lengths are the start bodies' own mean lengths. Their errors last as long as those of the start's pose.
    """
    bones = []
    for seen, body in zip(start.observations, start.bodies, strict=True):
        points = track_points(body, start.body).landmarks
        own = np.linalg.norm(points[:, BONE_TO] - points[:, BONE_FROM], axis=-1).mean(0)
        length = np.median(np.linalg.norm(seen.bones, axis=-1), axis=0)
        bones.append((seen.bones * (own / np.maximum(length, MIN_BONE_LENGTH))[:, None]) @ seen.sight)
    shape = (len(BONE_TO), 3)
    share = sequence.independent * s.correlated / s.pose_correlated
    return BoneTerm(
        ends=torch.stack([index.landmarks[BONE_FROM], index.landmarks[BONE_TO]]),
        bones=sequence.stack(bones, shape),
        sight=sequence.stack([seen.sight for seen in start.observations], (3, 3)),
        sigma=sequence.stack([seen.bone_sigma for seen in start.observations], shape),
        weight=share[:, None].expand(-1, len(BONE_TO)),
        robust=Cauchy(BONE_WIDTH),
    )


def remove_landmark_bias(term: LandmarkTerm, at: EvaluatedState, sigma_bias: float) -> LandmarkTerm:
    """The landmarks without the constant part of their errors in a state.

    A landmark network has a bias for each landmark that is constant over a clip. It is estimated as the weighted mean
    error in metres across the line of sight, shrunk by its Gaussian prior.
    """
    problem, focal = at.problem, at.state.log_focal.exp()
    n, people = len(problem.frame), len(at.state.betas)
    y = points_in_camera(at, torch.arange(n), term.points).y
    u, _ = residuals.pixel(y, focal)
    metres = (y[..., 2:] / focal).clamp(min=1e-6)  # m of a pixel at the person
    information = term.weight / (term.sigma * metres[..., 0]) ** 2
    slope = term.robust.slope((((u - term.px) / term.sigma[..., None]) ** 2).sum(-1))
    information = information * slope
    zero = torch.zeros(people, len(term.points), dtype=torch.float64)
    total = zero.index_add(0, problem.person, information)
    bent = torch.stack([zero, zero], -1).index_add(0, problem.person, information[..., None] * (u - term.px) * metres)
    bias = bent / (total + 1 / sigma_bias**2)[..., None]
    return replace(term, px=term.px + bias[problem.person] / metres)
