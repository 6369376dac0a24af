"""Tracks and films with known cameras, for the tests of this room. Worlds are OpenCV-like: y down, z ahead."""

from __future__ import annotations

import cv2
import numpy as np

from josh_core.geometry import intrinsics, invert, project, rigid, rotvec_to_rotmat, transform
from josh_core.scene.camera.lens import Lens, distort
from josh_core.scene.matching.tracks import Tracks
from josh_core.types import CameraPath, Clip, Float, People, UInt8
from tests.synthetic.room import make_room

SIZE = (640, 360)  # px
FPS = 30.0
UPRIGHT = np.diag([1.0, -1.0, -1.0])  # an OpenCV camera that looks along -Z of the room, whose y is up


def path(frames: int, travel: Float, pan: float = 0.0) -> Float:
    """world_from_cam [T,4,4] of a hand-held camera that goes `travel` [3] and turns `pan` rad to the side."""
    s = np.linspace(0, 1, frames)
    shake = np.stack([np.sin(9 * s), np.cos(13 * s) - 1, np.sin(7 * s)], -1) * 0.02 * np.linalg.norm(travel)
    turn = np.stack([0.01 * np.sin(5 * s), pan * s, 0.01 * np.sin(8 * s)], -1) if pan else np.zeros((frames, 3))
    return rigid(rotvec_to_rotmat(turn), s[:, None] * travel + shake)


def tracks_of(world_from_cam: Float, lens: Lens, noise: float = 0.1, outliers: float = 0.05, seed: int = 0) -> Tracks:
    """Tracks of 900 points 3 to 20 units ahead, seen by the cameras in px with noise; some points wander."""
    rng = np.random.default_rng(seed)
    count, frames = 900, len(world_from_cam)
    p_world = rng.uniform([-12, -4, 3], [12, 1.5, 20], (count, 3))
    drift = rng.normal(0, 1.5, (count, 2)) * (rng.random((count, 1)) < outliers)
    starts, ids, px = [0], [], []
    for t in range(frames):
        p_cam = transform(invert(world_from_cam[t]), p_world)
        straight = project(np.diag([lens.focal, lens.focal, 1.0]), p_cam)
        at = distort(lens, straight) + np.array(SIZE) / 2 + drift * t + rng.normal(0, noise, (count, 2))
        seen = np.flatnonzero((p_cam[:, 2] > 0.5) & (at > 3).all(1) & (at < np.array(SIZE) - 3).all(1))
        ids.append(seen)
        px.append(at[seen])
        starts.append(starts[-1] + len(seen))
    looks = np.unique(np.append(np.arange(0, frames, 5), frames - 1))
    return Tracks(np.array(starts), np.concatenate(ids), np.concatenate(px), count, SIZE, looks, ())


def nobody(clip: Clip) -> People:
    """An empty set of people."""
    return People((), np.zeros((len(clip), 36, 64), np.uint8))


def clip_of(pictures: list[UInt8], fps: float = FPS) -> Clip:
    """Pictures [h,w,3] as a decoded clip."""
    jpegs = [cv2.imencode(".jpg", p[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for p in pictures]
    height, width = pictures[0].shape[:2]
    return Clip(jpegs, np.arange(len(jpegs)) / fps, width, height, fps)


def film_room(cam_path: Float, focal: float, size: tuple[int, int]) -> tuple[Clip, Float]:
    """Pictures of a textured room from room_from_cam [T,4,4], and their depth [T,h,w]; 0 is sky."""
    room, k = make_room(3), intrinsics(focal, *size)
    pictures, depths = [], []
    for room_from_cam in cam_path:
        hits = room.cast_pixels(room_from_cam, k, *size)
        pictures.append(room.colors(hits, focal).reshape(size[1], size[0], 3))
        depths.append(np.where(np.isfinite(hits.distance), hits.distance, 0).reshape(size[1], size[0]))
    return clip_of(pictures), np.array(depths)


def room_path(frames: int, travel: Float) -> Float:
    """room_from_cam [T,4,4] of a camera 1.5 m over the ground that looks ahead and a little down."""
    tilt = rotvec_to_rotmat(np.array([-0.2, 0, 0])) @ UPRIGHT
    return rigid(tilt[None], [0, 1.5, 0] + np.linspace(0, 1, frames)[:, None] * travel)


def camera_path(world_from_cam: Float, focal: float, every: int = 4) -> CameraPath:
    """The true path as the camera stage would give it."""
    frames = len(world_from_cam)
    keyframes = np.unique(np.append(np.arange(0, frames, every), frames - 1))
    return CameraPath("moving", world_from_cam, focal, 0.01, keyframes, np.ones(frames, np.bool_))
