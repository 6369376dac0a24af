"""Outputs of the people stages, with noise: tracks with landmarks, bodies in the camera, contact labels."""

from __future__ import annotations

import numpy as np
import torch

from josh_core.body import BodyModel, move_body
from josh_core.body.posing import posed_points, posed_vertices
from josh_core.geometry import invert, project, rotvec_to_rotmat, transform
from josh_core.types import BodyTrack, Contacts, Float, People, PersonMotion, Reconstruction, Track, UInt8
from tests.synthetic.noise import Noise

HIPS = [23, 24]  # BlazePose landmarks between which the origin of landmarks_m lies


def observe_people(
    truth: Reconstruction, body: BodyModel, labels: UInt8, noise: Noise, rng: np.random.Generator
) -> People:
    """Tracks of everybody, in the frames where somebody can be seen; labels: [T,h,w]."""
    return People(tuple(_track(p, truth, body, labels, noise, rng) for p in truth.people), labels)


def _track(
    person: PersonMotion,
    truth: Reconstruction,
    body: BodyModel,
    labels: UInt8,
    noise: Noise,
    rng: np.random.Generator,
) -> Track:
    frames = person.frames[(labels[person.frames] == person.id + 1).any((1, 2))]
    rows = np.searchsorted(person.frames, frames)
    cam_from_world = invert(truth.world_from_cam[frames])
    landmarks = posed_points(body, person.betas, person.pose[rows], person.transl[rows])[2]
    mesh = posed_vertices(body, person.betas, person.pose[rows], person.transl[rows])
    p_cam = transform(cam_from_world, landmarks)
    px = project(truth.intrinsics, p_cam)
    outline = project(truth.intrinsics, transform(cam_from_world, mesh))
    size = np.array([truth.width, truth.height])
    inside = ((px > 0) & (px < size)).all(-1) & (p_cam[..., 2] > 0.1)
    spread = np.array([1.0, 1.0, 1.5]) * noise.landmarks_m
    metric = p_cam - p_cam[:, HIPS].mean(1, keepdims=True) + rng.normal(0, 1, p_cam.shape) * spread
    return Track(
        id=person.id,
        frames=frames,
        boxes=np.concatenate([outline.min(1).clip(0, size), outline.max(1).clip(0, size)], 1),
        landmarks_px=px + rng.normal(0, 1, px.shape) * noise.landmarks_px,
        visibility=np.where(inside, 0.95, 0.05),
        landmarks_m=metric - metric[:, HIPS].mean(1, keepdims=True),
        detected=rng.uniform(size=len(frames)) >= noise.missed,
    )


def observe_body(
    person: PersonMotion, truth: Reconstruction, body: BodyModel, noise: Noise, rng: np.random.Generator
) -> BodyTrack:
    """The person in the camera, as fitted with a wrong focal, depth, shape and pose."""
    n = len(person.frames)
    true_pelvis, betas = _pelvis(body, person.betas), person.betas + rng.normal(0, 1, 10) * noise.betas
    rotations = rotvec_to_rotmat(person.pose)
    root, transl = move_body(
        invert(truth.world_from_cam[person.frames]), rotations[:, 0], person.transl, np.tile(true_pelvis, (n, 1))
    )
    rotations = np.concatenate([root[:, None], rotations[:, 1:]], 1)
    error = (_slow_noise(n, 72, rng) + rng.normal(0, 1, 72)) / np.sqrt(2) * np.radians(noise.body_degrees)
    place = (transl + true_pelvis) * [1, 1, 1 + noise.focal]  # at another focal the same pixels mean another depth
    place = place + rng.normal(0, 1, (n, 3)) * [noise.body_across, noise.body_across, 0]
    along = rng.normal() + 0.2 * _slow_noise(n, 1, rng)
    place = place * (1 + noise.body_depth * along)
    height = body.height(torch.tensor(betas, dtype=torch.float32)[None])
    return BodyTrack(
        id=person.id,
        frames=person.frames,
        betas=betas,
        rotations=rotations @ rotvec_to_rotmat(error.reshape(n, 24, 3)),
        transl=place - _pelvis(body, betas),
        focal=float(truth.intrinsics[0, 0] * (1 + noise.focal)),
        height_m=float(height),
        sigma_depth=max(noise.body_depth, 0.01),
    )


def observe_contacts(person: PersonMotion, body: BodyModel, noise: Noise, rng: np.random.Generator) -> Contacts:
    """Labels as probabilities near 0 and 1, some inverted."""
    flipped = rng.uniform(size=person.contact.shape) < noise.contact_flips
    touching = np.where(flipped, 1 - person.contact, person.contact)
    return Contacts(0.03 + 0.94 * touching, body.contact_names)


def _pelvis(body: BodyModel, betas: Float) -> Float:
    return body.pelvis(torch.tensor(betas, dtype=torch.float32)[None])[0].double().numpy()


def _slow_noise(n: int, width: int, rng: np.random.Generator) -> Float:
    """Errors [n,width] of standard deviation about 1 that change over half a second at 30 fps."""
    knots = rng.normal(0, 1, (n // 15 + 2, width))
    at = np.arange(n) / 15
    return np.stack([np.interp(at, np.arange(len(knots)), knots[:, i]) for i in range(width)], 1)
