"""Scenes with known answers: what every stage should find, and what it would have been given.

    scene = make_scene("walk", camera="moving", frames=60, seed=0)
    scene.truth      the right result, in the metric world
    scene.people, scene.bodies, scene.scene, scene.contacts, scene.floor      stage outputs with noise

World: +Y up, floor y = 0, metres, origin below the first camera, which looks toward -Z.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from josh_core.body import BodyModel, load_body, move_body
from josh_core.body.posing import posed_points
from josh_core.geometry import intrinsics, rigid, rotmat_to_rotvec, rotvec_to_rotmat, transform
from josh_core.types import (
    BodyTrack,
    CameraKind,
    Contacts,
    Float,
    Floor,
    People,
    PersonMotion,
    PointCloud,
    Reconstruction,
    Scene,
    UInt8,
)
from tests.synthetic.cameras import camera_path
from tests.synthetic.labels import keyframes_of, label_maps
from tests.synthetic.motions import BOX, Motion, sit, walk
from tests.synthetic.noise import Noise
from tests.synthetic.people_observations import observe_body, observe_contacts, observe_people
from tests.synthetic.room import Box, Room, make_room, pixel_rays
from tests.synthetic.scene_observations import Similarity, observe_scene

Kind = Literal["walk", "sit", "two_people", "march"]
WIDTH, HEIGHT, FOCAL = 640, 360, 520.0  # px
TOUCH_GAP = 0.012  # m, a contact point this close to a surface and
SEAT_GAP = 0.03  # m, the same for the box: a seat is soft
TOUCH_SPEED = 0.03  # m/s, this slow touches it


@dataclass(frozen=True)
class Synthetic:
    """Truth, and each stage's output as it would come with noise."""

    truth: Reconstruction
    people: People
    bodies: tuple[BodyTrack, ...]
    scene: Scene
    contacts: tuple[Contacts, ...]
    floor: Floor
    body: BodyModel
    room: Room
    scene_from_world: Similarity


def make_scene(
    kind: Kind = "walk",
    camera: CameraKind = "moving",
    frames: int = 60,
    fps: float = 30.0,
    seed: int = 0,
    noise: Noise | None = None,
) -> Synthetic:
    """A scene of `frames` frames.

    kind: "walk" across the view, "march" on the spot, "sit" down on a box and stand up, "two_people" who pass each
    other. The same arguments give the same scene; another seed gives other people, textures and noise.
    """
    rng = np.random.default_rng(seed)
    noise = Noise() if noise is None else noise
    times = np.arange(frames) / fps
    body = load_body()
    cast, box = _motions(kind, body, times, rng)
    room = make_room(seed, box)
    world_from_cam = camera_path(camera, times, *_camera_move(kind, float(times[-1])))
    people = tuple(_person(i, body, motion, place, box, fps) for i, (motion, place) in enumerate(cast))
    truth = _truth(camera, times, world_from_cam, people, body)
    similarity = _scene_frame(camera, world_from_cam, rng)
    labels = label_maps(truth, body, room)
    seen = observe_scene(truth, room, labels, similarity, noise, rng)
    return Synthetic(
        truth=replace(truth, scene=_points(truth, room, labels)),
        people=observe_people(truth, body, labels, noise, rng),
        bodies=tuple(observe_body(p, truth, body, noise, rng) for p in people),
        scene=seen,
        contacts=tuple(observe_contacts(p, body, noise, rng) for p in people),
        floor=_floor(similarity),
        body=body,
        room=room,
        scene_from_world=similarity,
    )


def _motions(
    kind: Kind, body: BodyModel, times: Float, rng: np.random.Generator
) -> tuple[list[tuple[Motion, Float]], Box | None]:
    """Motions with world_from_walker [4,4], and the box if somebody sits on one."""
    betas = rng.normal(0, 0.6, (2, 10)).round(3)
    half = 0.5 * float(times[-1])
    if kind == "sit":
        place = _pose(0.3, -4.2, rng.uniform(-35, 35))
        return [(sit(body, betas[0], times), place)], Box(*BOX, place)
    if kind == "march":
        return [(walk(body, betas[0], times, 0.0), _pose(0.0, -4.0, rng.uniform(-40, 40)))], None
    first = walk(body, betas[0], times, 1.1, rng.uniform()), _pose(-1.1 * half, -4.4, 85)
    second = walk(body, betas[1], times, 0.9, rng.uniform()), _pose(0.9 * half, -5.6, -80)
    return ([first] if kind == "walk" else [first, second]), None


def _pose(x: float, z: float, heading: float) -> Float:
    """world_from_walker [4,4]: standing at (x, z) on the floor, heading in degrees from +Z toward +X."""
    return rigid(rotvec_to_rotmat(np.array([0, np.radians(heading), 0])), np.array([x, 0.0, z]))


def _camera_move(kind: Kind, seconds: float) -> tuple[Float, float]:
    """Travel [3] m and pan in rad to the left over the whole clip."""
    along = {"walk": 0.7, "two_people": 0.4, "sit": 0.25, "march": 0.4}[kind]
    return np.array([along * seconds, 0.1, -0.15 * seconds]), 0.05 * seconds


def _person(
    who: int, body: BodyModel, motion: Motion, world_from_walker: Float, box: Box | None, fps: float
) -> PersonMotion:
    betas = torch.tensor(motion.betas, dtype=torch.float32)[None]
    pelvis = body.pelvis(betas)[0].double().numpy()
    root, transl = move_body(world_from_walker[None], motion.rotations[:, 0], motion.transl, pelvis)
    pose = rotmat_to_rotvec(np.concatenate([root[:, None], motion.rotations[:, 1:]], 1))
    joints, points, _ = posed_points(body, motion.betas, pose, transl)
    return PersonMotion(
        id=who,
        frames=np.arange(len(pose), dtype=np.int32),
        betas=motion.betas,
        pose=pose,
        transl=transl,
        joints=joints,
        contact=_touching(points, box, fps),
        height_m=float(body.height(betas)),
    )


def _touching(points: Float, box: Box | None, fps: float) -> Float:
    """1 where a contact point [T,C,3] is on the floor or the box and does not move, else 0: [T,C]."""
    gap = np.abs(points[..., 1])
    if box is not None:
        gap = np.minimum(gap, np.abs(box.height_over(points)) - SEAT_GAP + TOUCH_GAP)
    speed = np.linalg.norm(np.gradient(points, axis=0), axis=-1) * fps
    return ((gap < TOUCH_GAP) & (speed < TOUCH_SPEED)).astype(np.float64)


def _truth(
    camera: CameraKind, times: Float, world_from_cam: Float, people: tuple[PersonMotion, ...], body: BodyModel
) -> Reconstruction:
    nothing = PointCloud(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8), np.zeros(0, np.float32))
    return Reconstruction(
        mode="refine",
        tier="embedded",
        camera_kind=camera,
        world_from_cam=world_from_cam,
        intrinsics=intrinsics(FOCAL, WIDTH, HEIGHT),
        frame_times=times,
        fps=float(1 / np.median(np.diff(times))),
        width=WIDTH,
        height=HEIGHT,
        scene=nothing,
        people=people,
        contact_names=body.contact_names,
        scale_source="contact",
        body_model=body.name,
    )


def _points(truth: Reconstruction, room: Room, labels: UInt8) -> PointCloud:
    """What the keyframes see of the room, one point for every label pixel without a person."""
    h, w = labels.shape[1:]
    k = intrinsics(FOCAL * w / WIDTH, w, h)
    points, colors = [], []
    for frame in keyframes_of(len(truth.frame_times)):
        hits = room.cast_pixels(truth.world_from_cam[frame], k, w, h)
        seen = np.isfinite(hits.distance) & (labels[frame].ravel() == 0)
        p_cam = pixel_rays(k, w, h)[seen] * hits.distance[seen, None]
        points.append(transform(truth.world_from_cam[frame], p_cam))
        colors.append(room.colors(hits, k[0, 0])[seen])
    p = np.concatenate(points).astype(np.float32)
    return PointCloud(p, np.concatenate(colors), np.ones(len(p), np.float32))


def _scene_frame(camera: CameraKind, world_from_cam: Float, rng: np.random.Generator) -> Similarity:
    """An arbitrary world for a moving camera; else the first camera's axes in metres, which people give there."""
    if camera == "moving":
        return Similarity(float(rng.uniform(0.2, 2.0)), rotvec_to_rotmat(rng.normal(0, 1, 3)), rng.normal(0, 1, 3))
    turn = world_from_cam[0, :3, :3].T
    return Similarity(1.0, turn, -turn @ world_from_cam[0, :3, 3])


def _floor(scene_from_world: Similarity) -> Floor:
    normal = scene_from_world.rotation @ np.array([0.0, 1.0, 0.0])
    return Floor(normal, float(-normal @ scene_from_world.points(np.zeros(3))), 1.0)
