"""From the CameraPath's world to the metric world: +Y up, floor at y = 0.

The stages before work in the CameraPath's own world, of any rotation and (moving cameras) any scale. This file finds
the similarity p_world = scale * rotation @ p_scene + translation that leads to the world of DESIGN section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from josh_core.body.model import BodyModel
from josh_core.body.move import move_body
from josh_core.body.posing import PosedPoints
from josh_core.geometry import rigid, rotation_between, rotmat_to_rotvec, transform
from josh_core.lsq.robust import Cauchy, reweighted
from josh_core.shapes import check_shapes
from josh_core.types import (
    IN_CONTACT,
    BodyTrack,
    CameraPath,
    Contacts,
    Float,
    Floor,
    PersonMotion,
    Scale,
    ScaleSource,
)
from josh_core.world.gravity import GROUND_SIGMA, Gravity
from josh_core.world.metric_scale import ASSUMED_CAMERA_HEIGHT, foot_probability, lowest_feet

# Of the plane under people's feet; chosen by hand, no measurement is recorded.
FOOT_SIGMA = 0.01  # m, error of a foot's height
DEPTH_SIGMA = 0.02  # error of a body's depth that differs from frame to frame, as a share of it
PLANE_ROUNDS = 20  # of iterative reweighting: it has converged to 1e-7 long before


@dataclass(frozen=True)
class WorldFrame:
    """The similarity from the CameraPath's world to the metric world, and what fixed its scale."""

    scale: float  # m per unit of the CameraPath's world
    rotation: Float  # [3,3]
    translation: Float  # [3] m
    source: ScaleSource
    scale_sigma: float = 0.0  # relative standard deviation of the scale

    def points(self, p_scene: Float) -> Float:
        """Metric world points [...,3] of scene points [...,3]."""
        return self.scale * p_scene @ self.rotation.T + self.translation

    def floor(self, floor: Floor) -> Floor:
        """A floor of the CameraPath's world in the metric world."""
        normal = self.rotation @ floor.normal
        return Floor(normal, self.scale * floor.offset - float(normal @ self.translation), floor.confidence)

    def cameras(self, scene_from_cam: Float) -> Float:
        """world_from_cam [T,4,4] of rigid scene_from_cam [T,4,4]."""
        return rigid(self.rotation @ scene_from_cam[:, :3, :3], self.points(scene_from_cam[:, :3, 3]))


def floor_from_people(
    cameras: CameraPath,
    tracks: tuple[BodyTrack, ...],
    points: list[PosedPoints],
    contacts: tuple[Contacts, ...] | None,
    gravity: Gravity,
) -> Floor:
    """Floor under a camera that does not travel, from the people alone (their bodies are metric already).

    Robust least squares over the tilt and the height of a plane through the feet in contact, with gravity as a prior
    on the tilt, so one person who stays in one place is enough. Without contacts the lowest feet set the height.
    """
    feet, rays, weight = [], [], []
    for i, (track, p) in enumerate(zip(tracks, points, strict=True)):
        scene_from_cam = cameras.world_from_cam[track.frames]
        xyz = transform(scene_from_cam, p.contacts)  # [n,C,3]
        probability = foot_probability(contacts[i]) if contacts is not None else lowest_feet(xyz, gravity.up)
        hit = probability > IN_CONTACT
        feet.append(xyz[hit])
        rays.append((xyz - scene_from_cam[:, None, :3, 3])[hit])
        # Errors of one fit are alike for about a third of a second: count that as one observation.
        independent = max(len(track.frames) / 10.0, 1.0)
        weight.append(probability[hit] * independent / max(hit.sum(), 1))
    return _fit_plane(np.concatenate(feet), np.concatenate(rays), np.concatenate(weight), gravity)


def _fit_plane(feet: Float, rays: Float, weight: Float, gravity: Gravity) -> Floor:
    """Gauss-Newton with Cauchy weights over (tilt a, tilt b, offset); feet, rays [N,3], weight [N]."""
    normal, held = gravity.up, float(np.hypot(gravity.sigma, GROUND_SIGMA))
    if len(feet) == 0:
        return Floor(normal, ASSUMED_CAMERA_HEIGHT, 0.0)

    def sigma(normal: Float) -> Float:
        # A common error of all depths shifts the plane without tilting it, so sigma holds only what differs by frame.
        return FOOT_SIGMA + DEPTH_SIGMA * np.abs(rays @ normal)

    def squares(plane: Float) -> Float:
        return ((feet @ plane[:3] + plane[3]) / sigma(plane[:3])) ** 2

    def step(plane: Float, slope: Float) -> Float:
        normal = plane[:3]
        sides = np.linalg.svd(normal[None])[2][1:]  # [2,3] two directions across the normal
        precision = weight * slope / sigma(normal) ** 2
        jac = np.concatenate([feet @ sides.T, np.ones((len(feet), 1))], 1)  # [N,3] by tilts and offset
        lhs, rhs = jac.T @ (precision[:, None] * jac), -jac.T @ (precision * (feet @ normal + plane[3]))
        lhs[:2, :2] += np.eye(2) / held**2
        rhs[:2] += sides @ (gravity.up - normal) / held**2
        change = np.linalg.solve(lhs + 1e-9 * np.eye(3), rhs)
        tilted = normal + change[:2] @ sides
        return np.append(tilted / np.linalg.norm(tilted), plane[3] + change[2])

    start = np.append(normal, -float(np.median(feet @ normal)))
    plane = reweighted(step, squares, Cauchy(1.0), start, PLANE_ROUNDS)
    return Floor(plane[:3], float(plane[3]), float(np.clip(weight.sum() / 9, 0, 1)))


def world_frame(
    cameras: CameraPath,
    up: Float,
    floor: Floor | None,
    scale: Scale,
    stance: Float | None = None,
) -> WorldFrame:
    """The world of DESIGN section 4: +Y along `up`, y = 0 on the ground, origin below camera 0, which looks to -Z.

    up: [3] unit, in the CameraPath's world; stance: [3] there, a point over the ground whose height becomes 0 (of the
    first person at first), or the first camera's centre. Without a floor the origin lies ASSUMED_CAMERA_HEIGHT below
    the first camera.
    """
    check_shapes("world_frame", up=(up, "3"), stance=(stance, "3"))
    level = rotation_between(up, np.array([0.0, 1.0, 0.0]))
    first = cameras.world_from_cam[0]
    ahead = level @ first[:3, 2]
    if np.hypot(ahead[0], ahead[2]) < 0.1:  # looks straight down or up: its image-up tells the heading
        ahead = level @ -first[:3, 1] * (1 if ahead[1] < 0 else -1)
    turn = np.arctan2(ahead[0], -ahead[2])  # heading angle from -Z
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ level
    centre = scale.metres * rotation @ first[:3, 3]
    ground = centre[1] - ASSUMED_CAMERA_HEIGHT
    if floor is not None:
        over = first[:3, 3] if stance is None else stance
        ground = scale.metres * float(over @ up - (over @ floor.normal + floor.offset) / (floor.normal @ up))
    origin = np.array([-centre[0], -ground, -centre[2]])
    return WorldFrame(scale.metres, rotation, origin, scale.source, scale.sigma)


def person_in_world(track: BodyTrack, world_from_cam: Float, contact: Float, body: BodyModel) -> PersonMotion:
    """Body track (camera space) moved into the metric world; world_from_cam: [T,4,4] m, contact: [n,C]."""
    shaped = {"frames": (track.frames, "n"), "world_from_cam": (world_from_cam, "T 4 4"), "contact": (contact, "n C")}
    n = check_shapes("person_in_world", **shaped)["n"]
    world = torch.as_tensor(world_from_cam[track.frames], dtype=torch.float64)
    betas = torch.as_tensor(track.betas, dtype=torch.float64).expand(n, -1)
    rotations = torch.as_tensor(track.rotations, dtype=torch.float64).clone()
    transl = torch.as_tensor(track.transl, dtype=torch.float64)
    pelvis = body.pelvis(betas.float()).double()
    rotations[:, 0], transl = move_body(world, rotations[:, 0], transl, pelvis)
    return person_motion(track, rotations.numpy(), transl.numpy(), contact, body)


def person_motion(track: BodyTrack, rotations: Float, transl: Float, contact: Float, body: BodyModel) -> PersonMotion:
    """PersonMotion from world rotations [n,24,3,3] and translations [n,3] with the track's shape and frames."""
    n = len(track.frames)
    with torch.no_grad():
        joints = body.points(
            torch.as_tensor(track.betas, dtype=torch.float32).expand(n, -1),
            torch.as_tensor(rotations, dtype=torch.float32),
            torch.as_tensor(transl, dtype=torch.float32),
        ).joints
    return PersonMotion(
        id=track.id,
        frames=track.frames.astype(np.int32),
        betas=np.asarray(track.betas, np.float32),
        pose=rotmat_to_rotvec(rotations).astype(np.float32),
        transl=np.asarray(transl, np.float32),
        joints=joints.numpy().astype(np.float32),
        contact=np.asarray(contact, np.float32),
        height_m=track.height_m,
    )
