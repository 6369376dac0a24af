"""The truth of a rendered clip as NAME_truth.npz, in the layout that josh_core.metrics.ground_truth reads, and more.

World: right-handed, +Y up, m; y = 0 is the ground under the first person's start. T frames.

    world_from_cam [T,4,4], intrinsics [3,3], fps, image_size [2], up [3]
    scene_points [P,3]; depth_frames [D], depth [D,h/4,w/4] m (0: sky), depth_person [D,h/4,w/4]
    contact_names [10]: heel, ball and toe of each foot, seat, hands
    person{k}_joints [T,24,3], _valid [T], _in_view [T] share of the joints in the picture, _height_m, _betas [10],
        _pose [T,24,3] axis-angle with row 0 in the world, _transl [T,3] SMPL's translation,
        _contact [T,10] touches and stands still, _sliding [T,2] the foot touches and slides,
        _foot_contact [T,2] the whole foot stands (ankle and toe base are still), _seat_contact [T],
        _foot_gap_m [T,2] lowest point of the shoe over the ground, _support_height [T,2] m under each foot
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.rendered.draw import Drawn
from benchmarks.rendered.kinds import Shot
from benchmarks.rendered.motions import Motion
from josh_core.geometry import intrinsics, invert, pixel_grid, project, rotmat_to_rotvec, transform, unproject
from josh_core.types import Bool, Float, Int

CONTACT_NAMES = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("heel", "ball", "toe")) + (
    "left_seat",
    "right_seat",
    "left_hand",
    "right_hand",
)
DEPTH_EVERY = 10  # frames
REDUCTION = 4  # px of the frame for one of the stored depth
MIN_SEEN = 150  # px, a person with fewer visible pixels is not scored
SCENE_FAR = 18.0  # m, as far as the accuracy of scene points is measured
SCENE_POINTS = 30000  # most stored scene points
GRID = 0.03  # m between stored scene points


@dataclass
class Record:
    """What is gathered while a clip is drawn."""

    shot: Shot
    seen: list[Int] = field(default_factory=list)  # [people] visible pixels, a frame each
    depth: list[Float] = field(default_factory=list)
    person: list[Bool] = field(default_factory=list)
    points: list[Float] = field(default_factory=list)

    def add(self, frame: int, drawn: Drawn) -> None:
        """Take the truth out of one drawn frame."""
        self.seen.append(np.bincount(drawn.labels.reshape(-1), minlength=len(self.shot.motions) + 1)[1:])
        if frame % DEPTH_EVERY == 0:
            half = REDUCTION // 2
            self.depth.append(drawn.depth[half::REDUCTION, half::REDUCTION].astype(np.float16))
            self.person.append(drawn.labels[half::REDUCTION, half::REDUCTION] > 0)
            self.points.append(self._scene(frame, drawn))

    def _scene(self, frame: int, drawn: Drawn) -> Float:
        k = intrinsics(self.shot.focal, *self.shot.size)
        at = (slice(1, None, 2), slice(1, None, 2))
        depth = drawn.depth[at]
        ok = (depth > 0) & (depth < SCENE_FAR) & (drawn.labels[at] == 0)
        p_cam = unproject(k, pixel_grid(*self.shot.size)[at][ok], depth[ok])
        return transform(self.shot.cameras[frame], p_cam)

    def save(self, path: Path) -> None:
        """Write the npz."""
        shot = self.shot
        arrays = {
            "world_from_cam": shot.cameras,
            "intrinsics": intrinsics(shot.focal, *shot.size),
            "fps": np.float64(shot.fps),
            "image_size": np.array(shot.size),
            "up": np.array([0.0, 1.0, 0.0]),
            "scene_points": _thinned(np.concatenate(self.points)),
            "depth_frames": np.arange(0, len(shot.cameras), DEPTH_EVERY),
            "depth": np.array(self.depth),
            "depth_person": np.array(self.person),
            "contact_names": np.array(CONTACT_NAMES),
        }
        for k, motion in enumerate(shot.motions):
            seen = np.array(self.seen)[:, k]
            arrays |= {f"person{k}_{name}": value for name, value in _person(shot, motion, seen).items()}
        np.savez_compressed(path, **arrays)


def _person(shot: Shot, motion: Motion, seen: Int) -> dict[str, Float]:
    p_cam = transform(invert(shot.cameras), motion.joints)
    px = project(intrinsics(shot.focal, *shot.size), p_cam)
    inside = (px > 0).all(-1) & (px < shot.size).all(-1) & (p_cam[..., 2] > 0)
    seat = np.repeat(motion.seated[:, None], 2, 1)
    return {
        "joints": motion.joints.astype(np.float32),
        "valid": (seen >= MIN_SEEN) & (inside.mean(1) > 0.25),
        "in_view": inside.mean(1).astype(np.float32),
        "height_m": np.float64(motion.person.height),
        "betas": motion.person.betas.astype(np.float32),
        "pose": rotmat_to_rotvec(motion.rotations).astype(np.float32),
        "transl": (motion.root - motion.person.pelvis).astype(np.float32),
        "contact": np.hstack([motion.touches.reshape(-1, 6), seat, motion.hands]),
        "sliding": motion.slides,
        "foot_contact": motion.touches.all(2),
        "seat_contact": motion.seated,
        "foot_gap_m": foot_gaps(shot, motion).astype(np.float32),
        "support_height": motion.support.astype(np.float32),
    }


def foot_gaps(shot: Shot, motion: Motion) -> Float:
    """Lowest point of each shoe over the ground [T,2], m."""
    person = motion.person
    soles = [
        np.flatnonzero((person.weights[:, [7 + side, 10 + side]].sum(1) > 0.5) & (person.dressed[:, 1] < 1e-6))
        for side in (0, 1)
    ]
    gaps = np.zeros((len(motion.root), 2))
    for frame in range(len(gaps)):
        mesh = motion.vertices(frame)
        for side, sole in enumerate(soles):
            p = mesh[sole]
            gaps[frame, side] = (p[:, 1] - shot.ground.height(p[:, 0], p[:, 2])).min()
    return gaps


def _thinned(points: Float) -> Float:
    """At most SCENE_POINTS of the points, one a cell of the grid."""
    _, first = np.unique(np.floor(points / GRID).astype(np.int64), axis=0, return_index=True)
    chosen = np.random.default_rng(0).permutation(first)[:SCENE_POINTS]
    return points[chosen].astype(np.float32)
