"""From the CameraPath's world to the metric world: +Y up, floor at y = 0, scale from contact, height or assumed.

The stages before work in the CameraPath's own world, of any rotation and (moving cameras) any scale. This file finds
the similarity p_world = scale * rotation @ p_scene + translation that leads to the world of DESIGN section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from josh_core.body.model import BodyModel
from josh_core.body.move import move_body
from josh_core.body.names import FEET, is_part
from josh_core.body.posing import PosedPoints
from josh_core.geometry import intrinsics, project, rigid, rotation_between, rotmat_to_rotvec, transform
from josh_core.gravity import GROUND_SIGMA, Gravity
from josh_core.types import (
    IN_CONTACT,
    SURE_CONTACT,
    BodyTrack,
    CameraPath,
    Contacts,
    Float,
    Floor,
    PersonMotion,
    Scale,
    ScaleSource,
    Scene,
)

LEAST_RATIOS = 8  # depth ratios needed for a scale, of all people or of one. Chosen
# Share of the largest median ratio below which a person stands on something higher than the floor. The ratio of two
# people of unknown height (6 % each) and fitted depth (5 % each) has a standard deviation of 11 %.
ON_GROUND = 0.75
ASSUMED_CAMERA_HEIGHT = 1.6  # m over the floor, eye level of an adult: the scale of `baseline`. Chosen


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
        probability = _foot_probability(contacts[i]) if contacts is not None else _lowest_feet(xyz, gravity.up)
        hit = probability > IN_CONTACT
        feet.append(xyz[hit])
        rays.append((xyz - scene_from_cam[:, None, :3, 3])[hit])
        # Errors of one fit are alike for about a third of a second: count that as one observation.
        independent = max(len(track.frames) / 10.0, 1.0)
        weight.append(probability[hit] * independent / max(hit.sum(), 1))
    return _fit_plane(np.concatenate(feet), np.concatenate(rays), np.concatenate(weight), gravity)


def _foot_probability(c: Contacts) -> Float:
    """Contact probability [n,C] with everything but the feet at zero."""
    is_foot = np.array([is_part(name, FEET) for name in c.names])
    return c.probability * is_foot


def _lowest_feet(xyz: Float, up: Float) -> Float:
    """1 for the lowest point of each frame, else 0."""
    height = xyz @ up
    return (height == height.min(1, keepdims=True)).astype(float)


def _fit_plane(feet: Float, rays: Float, weight: Float, gravity: Gravity) -> Floor:
    """Gauss-Newton with Cauchy weights over (tilt a, tilt b, offset); feet, rays [N,3], weight [N]."""
    normal, held = gravity.up, float(np.hypot(gravity.sigma, GROUND_SIGMA))
    if len(feet) == 0:
        return Floor(normal, ASSUMED_CAMERA_HEIGHT, 0.0)
    offset = -float(np.median(feet @ normal))
    for _ in range(20):
        sides = np.linalg.svd(normal[None])[2][1:]  # [2,3] two directions across the normal
        residual = feet @ normal + offset
        # A common error of all depths shifts the plane without tilting it, so sigma holds only what differs by frame.
        sigma = 0.01 + 0.02 * np.abs(rays @ normal)  # m
        robust = weight / (1 + (residual / sigma) ** 2) / sigma**2
        jac = np.concatenate([feet @ sides.T, np.ones((len(feet), 1))], 1)  # [N,3]
        lhs, rhs = jac.T @ (robust[:, None] * jac), -jac.T @ (robust * residual)
        lhs[:2, :2] += np.eye(2) / held**2
        rhs[:2] += sides @ (gravity.up - normal) / held**2
        step = np.linalg.solve(lhs + 1e-9 * np.eye(3), rhs)
        normal = normal + step[:2] @ sides
        normal, offset = normal / np.linalg.norm(normal), offset + float(step[2])
        if np.abs(step).max() < 1e-7:
            break
    return Floor(normal, offset, float(np.clip(weight.sum() / 9, 0, 1)))


def metric_scale(
    scene: Scene,
    size: tuple[int, int],
    floor: Floor | None,
    tracks: tuple[BodyTrack, ...],
    points: list[PosedPoints],
    contacts: tuple[Contacts, ...],
) -> Scale:
    """Metres per unit of the scene: the median over contact points of body depth over scene depth.

    size: (width, height) of the frame in px. Scene depth is that of the dense map at the nearest confident pixel
    beside the contact point, or of the fitted floor under it. Where nothing touches, the lowest point of each body is
    taken to stand on the floor, and the result says "height".
    Raises nothing: without any floor or depth the scale is 1 and "assumed".
    """
    cameras = scene.cameras
    if cameras.kind != "moving":
        return Scale(1.0, "height", 0.0)
    touching = []
    for track, p, c in zip(tracks, points, contacts, strict=True):
        feet = _foot_probability(c)
        by_floor = _floor_depth(cameras, floor, track, p)
        by_map = _map_depth(scene, size, track, p)
        depth = np.where(np.isfinite(by_map), by_map, by_floor)
        ratio = p.contacts[..., 2] / depth
        touching.append(
            ratio[(np.maximum(feet, c.probability * np.isfinite(by_map)) > SURE_CONTACT) & np.isfinite(ratio)]
        )
    standing = _standing_ratios(cameras, floor, tracks, points)
    found: tuple[tuple[Float, ScaleSource], ...] = ((_on_the_ground(touching), "contact"), (standing, "height"))
    for ratios, source in found:
        if len(ratios) >= LEAST_RATIOS:
            middle = float(np.median(ratios))
            spread = float(np.median(np.abs(ratios / middle - 1))) * 1.48
            return Scale(middle, source, spread / float(np.sqrt(max(len(ratios) / 30, 1))))
    return Scale(1.0, "assumed", 0.5)


def _standing_ratios(
    cameras: CameraPath, floor: Floor | None, tracks: tuple[BodyTrack, ...], points: list[PosedPoints]
) -> Float:
    """Body depth over floor depth [M] at the lowest point of each body in each frame."""
    found = []
    for track, p in zip(tracks, points, strict=True):
        ratio = p.contacts[..., 2] / _floor_depth(cameras, floor, track, p)
        lowest = _lowest_feet(transform(cameras.world_from_cam[track.frames], p.contacts), _up_of(floor, cameras))
        found.append(ratio[(lowest > 0) & np.isfinite(ratio)])
    return _on_the_ground(found)


def _on_the_ground(ratios: list[Float]) -> Float:
    """Ratios [M] of body depth over scene depth, of the people who stand on the ground only.

    ratios: of each person. The ray through the feet of a person on a box meets the ground behind the box, so the
    person's ratios are too small. Nobody is below the ground, so people far below the largest median are left out.
    """
    usual = [float(np.median(r)) if len(r) >= LEAST_RATIOS else 0.0 for r in ratios]
    kept = [r for r, middle in zip(ratios, usual, strict=True) if middle > ON_GROUND * max(usual) or not any(usual)]
    return np.concatenate([np.zeros(0), *kept])


def assumed_scale(cameras: CameraPath, floor: Floor | None) -> float:
    """Metres per unit from a camera held ASSUMED_CAMERA_HEIGHT over the floor (baseline, moving camera)."""
    if cameras.kind != "moving" or floor is None:
        return 1.0
    height = cameras.world_from_cam[:, :3, 3] @ floor.normal + floor.offset
    return ASSUMED_CAMERA_HEIGHT / max(float(np.median(height)), 1e-6)


def _up_of(floor: Floor | None, cameras: CameraPath) -> Float:
    return floor.normal if floor is not None else -cameras.world_from_cam[:, :3, 1].mean(0)


def _floor_depth(cameras: CameraPath, floor: Floor | None, track: BodyTrack, p: PosedPoints) -> Float:
    """Depth [n,C] in scene units at which the ray of each contact point meets the floor; NaN where it does not."""
    if floor is None:
        return np.full(p.contacts.shape[:2], np.nan)
    scene_from_cam = cameras.world_from_cam[track.frames]
    rays = p.contacts / p.contacts[..., 2:]  # z = 1
    down = np.einsum("nij,ncj,i->nc", scene_from_cam[:, :3, :3], rays, -floor.normal)
    height = scene_from_cam[:, :3, 3] @ floor.normal + floor.offset
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = height[:, None] / down
    return np.where((down > 0.02) & (depth > 0), depth, np.nan)


def _map_depth(scene: Scene, size: tuple[int, int], track: BodyTrack, p: PosedPoints) -> Float:
    """Depth [n,C] of the scene beside each contact point, from the keyframes' dense maps; NaN elsewhere."""
    cameras, depths = scene.cameras, scene.depths
    h, w = depths.depth.shape[1:]
    k = intrinsics(cameras.focal, *size)
    out = np.full(p.contacts.shape[:2], np.nan)
    row = {int(f): i for i, f in enumerate(track.frames)}
    reach = max(2, round(0.012 * w))  # px of the map
    for key, frame in enumerate(cameras.keyframes):
        if int(frame) not in row:
            continue
        i = row[int(frame)]
        px = project(k, p.contacts[i]) * [w / size[0], h / size[1]]
        usable = np.where((depths.confidence[key] > 0.5) & ~depths.backdrop[key], depths.depth[key], np.nan)
        out[i] = [_nearest(usable, x, y, reach) for x, y in px]
    return out


def _nearest(usable: Float, x: float, y: float, reach: int) -> float:
    """Value of the nearest finite pixel within `reach` px of (x, y), or NaN."""
    h, w = usable.shape
    x0, x1 = max(int(x) - reach, 0), min(int(x) + reach + 1, w)
    y0, y1 = max(int(y) - reach, 0), min(int(y) + reach + 1, h)
    if x0 >= x1 or y0 >= y1:
        return np.nan
    patch = usable[y0:y1, x0:x1]
    yy, xx = np.nonzero(np.isfinite(patch))
    if len(xx) == 0:
        return np.nan
    nearest = np.argmin((xx + x0 + 0.5 - x) ** 2 + (yy + y0 + 0.5 - y) ** 2)
    return float(patch[yy[nearest], xx[nearest]])


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
    n = len(track.frames)
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
