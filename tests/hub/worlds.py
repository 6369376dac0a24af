"""Clips and answers with known truth for the tests of this room."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from josh_core.body.move import move_body
from josh_core.geometry import invert, rigid, rotvec_to_rotmat
from josh_core.hub.josh3r_pairs import PairMotions, PairPlan
from josh_core.types import BodyTrack, Clip, Float, Int, People, Track


def make_clip(frames: int, width: int, height: int, fps: float = 30.0) -> Clip:
    """Textured frames that differ from each other."""
    random = np.random.default_rng(0)
    base = cv2.resize(random.integers(0, 255, (12, 16, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    jpegs = [cv2.imencode(".jpg", np.roll(base, 3 * t, 1))[1].tobytes() for t in range(frames)]
    return Clip(jpegs, np.arange(frames) / fps, width, height, fps)


def make_track(person: int, frames: Int, boxes: Float) -> Track:
    """A track with boxes [n,4] or one box [4] for all frames; landmarks are left at zero."""
    n = len(frames)
    return Track(
        id=person,
        frames=np.asarray(frames),
        boxes=np.broadcast_to(boxes, (n, 4)).astype(float),
        landmarks_px=np.zeros((n, 33, 2)),
        visibility=np.zeros((n, 33)),
        landmarks_m=np.zeros((n, 33, 3)),
        detected=np.ones(n, bool),
    )


def make_people(clip: Clip, tracks: list[Track]) -> People:
    return People(tuple(tracks), np.zeros((len(clip), 9, 16), np.uint8))


@dataclass(frozen=True)
class Truth:
    """A turning, travelling camera and people who turn and travel, in one metric world."""

    world_from_cam: Float  # [T,4,4]
    pelvis: Float  # [3] m
    rotations: Float  # [people,T,3,3] root in the world
    transl: Float  # [people,T,3] SMPL translation in the world, m

    def in_camera(self, person: int) -> tuple[Float, Float]:
        """Root rotation [T,3,3] and SMPL translation [T,3] in each frame's camera."""
        cam_from_world = invert(self.world_from_cam)
        pelvis = np.broadcast_to(self.pelvis, self.transl[person].shape)
        return move_body(cam_from_world, self.rotations[person], self.transl[person], pelvis)


def make_truth(frames: int, people: int, pelvis: Float) -> Truth:
    """Motions of constant turn and speed, so that interpolation between keyframes has nothing to lose."""
    t = np.arange(frames) / 30
    camera = rigid(rotvec_to_rotmat(t[:, None] * [0.9, 0.5, 0.2]), t[:, None] * [0.4, 0.1, 0.8])
    rotations, transl = [], []
    for k in range(people):
        start = rotvec_to_rotmat(np.array([[0.3 + k, 2.0, -0.4 * k]]))
        rotations.append(start @ rotvec_to_rotmat(t[:, None] * [0.2, -0.7 + k, 0.1]))
        transl.append([[0.5 - k, 0.3, 5 + k]] + t[:, None] * [0.6, 0.1, 0.5 + 0.2 * k])
    return Truth(camera, pelvis, np.array(rotations), np.array(transl))


def answers_of(truth: Truth, plan: PairPlan) -> PairMotions:
    """What a perfect network says: SMPL's own parameters, relative in the world, absolute in the camera."""
    first, second = plan.keyframes[plan.row_pair], plan.keyframes[plan.row_pair + 1]
    rot_t = truth.rotations[plan.row_person, first].swapaxes(-1, -2)
    moved = truth.transl[plan.row_person, second] - truth.transl[plan.row_person, first]
    in_camera = np.array([truth.in_camera(k)[1] for k in range(len(truth.rotations))])
    relative = rot_t @ truth.rotations[plan.row_person, second]
    shape = (len(plan.depth_pairs), plan.crop.height, plan.crop.width)
    return PairMotions(
        rel_rot=relative[:, :2].reshape(-1, 6),
        rel_trans=(rot_t @ moved[..., None])[..., 0],
        trans=np.stack([in_camera[plan.row_person, first], in_camera[plan.row_person, second]], 1),
        scale=np.full((len(first), 2), 2.0),
        depth=np.full(shape, 3.0, np.float32),
        confidence=np.full(shape, 0.5, np.float32),
        focal=np.full(shape[0], 700.0),
        passes=np.zeros((1, 2), np.int64),
    )


def fitted_bodies(truth: Truth, tracks: list[Track], stretch: float = 1.07) -> tuple[BodyTrack, ...]:
    """Camera-space fits with the right root rotation and everybody too far away."""
    bodies = []
    for k, track in enumerate(tracks):
        root, transl = (value[track.frames] for value in truth.in_camera(k))
        rotations = np.tile(np.eye(3), (len(track.frames), 24, 1, 1))
        rotations[:, 0] = root
        bodies.append(BodyTrack(k, track.frames, np.zeros(10), rotations, transl * stretch, 700.0, 1.7))
    return tuple(bodies)
