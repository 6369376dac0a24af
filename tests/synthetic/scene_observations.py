"""Outputs of the camera stages, with noise: CameraPath, Matches and DepthMaps in a world of any rotation and scale."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from josh_core.geometry import intrinsics, invert, project, rigid, rotvec_to_rotmat, transform
from josh_core.types import CameraPath, DepthMaps, Float, Int, Matches, Reconstruction, Scene, UInt8
from tests.synthetic.labels import REDUCTION, keyframes_of
from tests.synthetic.noise import Noise
from tests.synthetic.room import Room

NEIGHBOURS = 4  # keyframes after it that each keyframe is matched with
PER_PAIR = 300  # correspondences tried for each pair


@dataclass(frozen=True)
class Similarity:
    """p_scene = scale * rotation @ p_world + translation: from the metric world to the CameraPath's world."""

    scale: float
    rotation: Float  # [3,3]
    translation: Float  # [3]

    def points(self, p_world: Float) -> Float:
        """Points [...,3] of the CameraPath's world."""
        return self.scale * p_world @ self.rotation.T + self.translation

    def cameras(self, world_from_cam: Float) -> Float:
        """scene_from_cam [T,4,4] of world_from_cam [T,4,4]."""
        return rigid(self.rotation @ world_from_cam[:, :3, :3], self.points(world_from_cam[:, :3, 3]))


def observe_scene(
    truth: Reconstruction,
    room: Room,
    labels: UInt8,
    scene_from_world: Similarity,
    noise: Noise,
    rng: np.random.Generator,
) -> Scene:
    """Cameras, matches and depth of the truth, with noise; labels: [T,h,w]."""
    keyframes = keyframes_of(len(labels))
    return Scene(
        cameras=_cameras(truth, scene_from_world, keyframes, noise, rng),
        matches=_matches(truth, room, labels, keyframes, noise, rng),
        depths=_depths(truth, room, labels, scene_from_world.scale, noise, rng),
    )


def _cameras(
    truth: Reconstruction, scene_from_world: Similarity, keyframes: Int, noise: Noise, rng: np.random.Generator
) -> CameraPath:
    scene_from_cam = scene_from_world.cameras(truth.world_from_cam)
    n = len(scene_from_cam)
    place = scene_from_cam[:, :3, 3]
    if truth.camera_kind != "static":
        wobble = _slow_noise(n, 3, rng) * np.radians(noise.camera_degrees)
        scene_from_cam[:, :3, :3] = scene_from_cam[:, :3, :3] @ rotvec_to_rotmat(wobble)
    if truth.camera_kind == "moving":
        travel = np.linalg.norm(np.diff(place, axis=0), axis=1).sum()
        scene_from_cam[:, :3, 3] = place + _slow_noise(n, 3, rng) * noise.camera_share * travel
    focal = truth.intrinsics[0, 0] * (1 + noise.focal)
    sigma = max(abs(noise.focal), 0.005)
    return CameraPath(truth.camera_kind, scene_from_cam, float(focal), sigma, keyframes, np.ones(n, bool))


def _matches(
    truth: Reconstruction, room: Room, labels: UInt8, keyframes: Int, noise: Noise, rng: np.random.Generator
) -> Matches:
    count = len(keyframes)
    pairs = np.array([(i, j) for i in range(count) for j in range(i + 1, min(i + NEIGHBOURS, count - 1) + 1)])
    px = [_one_pair(truth, room, labels, keyframes[pair], noise, rng) for pair in pairs]
    offsets = np.cumsum([0, *map(len, px)])
    confidence = rng.uniform(0.5, 1.0, offsets[-1])
    return Matches(pairs.reshape(-1, 2), offsets, np.concatenate(px) if px else np.zeros((0, 2, 2)), confidence)


def _one_pair(
    truth: Reconstruction, room: Room, labels: UInt8, frames: Int, noise: Noise, rng: np.random.Generator
) -> Float:
    """Correspondences [m,2,2] px: points of the room that both frames see, outside everybody."""
    size = np.array([truth.width, truth.height])
    first_from, second_from = truth.world_from_cam[frames]
    px = rng.uniform(0, 1, (PER_PAIR, 2)) * size
    rays = np.concatenate([(px - size / 2) / truth.intrinsics[0, 0], np.ones((PER_PAIR, 1))], 1)
    hits = room.cast(first_from[:3, 3], rays @ first_from[:3, :3].T)
    seen = np.isfinite(hits.distance) & ~_on_people(labels[frames[0]], px)
    px, p_world = px[seen], transform(first_from, rays[seen] * hits.distance[seen, None])
    p_cam = transform(invert(second_from), p_world)
    other = project(truth.intrinsics, p_cam)
    again = room.cast(second_from[:3, 3], p_world - second_from[:3, 3]).distance  # 1 where nothing is in between
    good = (p_cam[:, 2] > 0.1) & (other > 1).all(1) & (other < size - 1).all(1) & (np.abs(again - 1) < 1e-3)
    good[good] = ~_on_people(labels[frames[1]], other[good])
    both = np.stack([px[good], other[good]], 1)
    both = both + rng.normal(0, 1, both.shape) * noise.matches_px
    wrong = rng.uniform(size=len(both)) < noise.match_outliers
    both[wrong, 1] = rng.uniform(0, 1, (wrong.sum(), 2)) * size
    return both


def _on_people(label: UInt8, px: Float) -> np.ndarray:
    """Whether pixels [N,2] of the frame lie on or right beside somebody."""
    near = cv2.dilate((label > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    at = np.clip((px / REDUCTION).astype(int), 0, np.array(label.shape[::-1]) - 1)
    return near[at[:, 1], at[:, 0]] > 0


def _depths(
    truth: Reconstruction, room: Room, labels: UInt8, scale: float, noise: Noise, rng: np.random.Generator
) -> DepthMaps:
    keyframes = keyframes_of(len(labels))
    h, w = labels.shape[1:]
    k = intrinsics(truth.intrinsics[0, 0] / REDUCTION, w, h)
    depth = np.zeros((len(keyframes), h, w), np.float32)
    confidence = np.zeros_like(depth)
    for i, frame in enumerate(keyframes):
        z = room.cast_pixels(truth.world_from_cam[frame], k, w, h).distance.reshape(h, w)
        error = cv2.resize(rng.normal(0, noise.depth, (6, 8)), (w, h), interpolation=cv2.INTER_CUBIC)
        seen = np.isfinite(z) & (labels[frame] == 0)
        depth[i][seen] = (scale * z * (1 + error))[seen]
        confidence[i][seen] = 1 / (1 + (z[seen] / 12) ** 2)
    walls = np.zeros_like(depth, bool)
    if truth.camera_kind != "moving":  # without parallax only the ground is measured, the rest is a backdrop
        for i, frame in enumerate(keyframes):
            walls[i] = room.cast_pixels(truth.world_from_cam[frame], k, w, h).rect.reshape(h, w) != 0
    return DepthMaps(depth, confidence, walls & (depth > 0))


def _slow_noise(n: int, width: int, rng: np.random.Generator) -> Float:
    """Errors [n,width] of standard deviation about 1 that change slowly and begin at 0."""
    knots = rng.normal(0, 1, (max(n // 15, 1) + 2, width))
    at = np.linspace(0, len(knots) - 1, n)
    smooth = np.stack([np.interp(at, np.arange(len(knots)), knots[:, i]) for i in range(width)], 1)
    return smooth - smooth[0]
