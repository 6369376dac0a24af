"""The scale of a travelling camera's scene in metres, from the people who touch it, their height, or assumed."""

from __future__ import annotations

import numpy as np

from josh_core.body.names import FEET, is_part
from josh_core.body.posing import PosedPoints
from josh_core.geometry import intrinsics, project, transform
from josh_core.types import SURE_CONTACT, BodyTrack, CameraPath, Contacts, Float, Floor, Scale, ScaleSource, Scene

MIN_RATIOS = 8  # depth ratios needed for a scale, of all people or of one. Chosen
# Share of the largest median ratio below which a person stands on something higher than the floor. The ratio of two
# people of unknown height (6 % each) and fitted depth (5 % each) has a standard deviation of 11 %.
ON_GROUND = 0.75
SIGMA_OF_MAD = 1.48  # standard deviation of a Gaussian over its median absolute deviation
# Chosen by hand, no measurement is recorded:
CORRELATED_RATIOS = 30  # ratios that count as one observation: neighbouring frames err alike
UNKNOWN_SIGMA = 0.5  # relative, where nothing tells the scale
FEW_SIGMA = 0.2  # relative, where fewer than MIN_RATIOS tell it
MIN_DESCENT = 0.02  # slope of a ray toward the floor, below which its depth is too uncertain
SEARCH_RADIUS = 0.012  # of the map's width: how far from a contact point its depth is searched
MIN_DEPTH_CONFIDENCE = 0.5  # of a depth that is used
LEAST_HEIGHT = 0.1  # units of the CameraPath's world, whose points are 8 away: so near the ground nothing is assumed
ASSUMED_CAMERA_HEIGHT = 1.6  # m over the floor, eye level of an adult: the scale of `baseline`. Chosen


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
        feet = foot_probability(c)
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
        if len(ratios) >= MIN_RATIOS:
            middle = float(np.median(ratios))
            spread = float(np.median(np.abs(ratios / middle - 1))) * SIGMA_OF_MAD
            return Scale(middle, source, spread / float(np.sqrt(max(len(ratios) / CORRELATED_RATIOS, 1))))
    if len(few := found[0][0]):  # a clip whose camera hardly travels may show one foothold beside a known depth
        return Scale(float(np.median(few)), "contact", FEW_SIGMA)
    return Scale(1.0, "assumed", UNKNOWN_SIGMA)


def _standing_ratios(
    cameras: CameraPath, floor: Floor | None, tracks: tuple[BodyTrack, ...], points: list[PosedPoints]
) -> Float:
    """Body depth over floor depth [M] at the lowest point of each body in each frame."""
    found = []
    for track, p in zip(tracks, points, strict=True):
        ratio = p.contacts[..., 2] / _floor_depth(cameras, floor, track, p)
        lowest = lowest_feet(transform(cameras.world_from_cam[track.frames], p.contacts), _up_of(floor, cameras))
        found.append(ratio[(lowest > 0) & np.isfinite(ratio)])
    return _on_the_ground(found)


def _on_the_ground(ratios: list[Float]) -> Float:
    """Ratios [M] of body depth over scene depth, of the people who stand on the ground only.

    ratios: of each person. The ray through the feet of a person on a box meets the ground behind the box, so the
    person's ratios are too small. Nobody is below the ground, so people far below the largest median are left out.
    """
    usual = [float(np.median(r)) if len(r) >= MIN_RATIOS else 0.0 for r in ratios]
    kept = [r for r, middle in zip(ratios, usual, strict=True) if middle > ON_GROUND * max(usual) or not any(usual)]
    return np.concatenate([np.zeros(0), *kept])


def assumed_scale(cameras: CameraPath, floor: Floor | None) -> float:
    """Metres per unit from a camera held ASSUMED_CAMERA_HEIGHT over the floor (baseline, moving camera)."""
    if cameras.kind != "moving" or floor is None:
        return 1.0
    height = cameras.world_from_cam[:, :3, 3] @ floor.normal + floor.offset
    return ASSUMED_CAMERA_HEIGHT / max(float(np.median(height)), LEAST_HEIGHT)


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
    return np.where((down > MIN_DESCENT) & (depth > 0), depth, np.nan)


def _map_depth(scene: Scene, size: tuple[int, int], track: BodyTrack, p: PosedPoints) -> Float:
    """Depth [n,C] of the scene beside each contact point, from the keyframes' dense maps; NaN elsewhere."""
    cameras, depths = scene.cameras, scene.depths
    h, w = depths.depth.shape[1:]
    k = intrinsics(cameras.focal, *size)
    out = np.full(p.contacts.shape[:2], np.nan)
    row = {int(f): i for i, f in enumerate(track.frames)}
    reach = max(2, round(SEARCH_RADIUS * w))  # px of the map
    for key, frame in enumerate(cameras.keyframes):
        if int(frame) not in row:
            continue
        i = row[int(frame)]
        px = project(k, p.contacts[i]) * [w / size[0], h / size[1]]
        usable = np.where(
            (depths.confidence[key] > MIN_DEPTH_CONFIDENCE) & ~depths.backdrop[key], depths.depth[key], np.nan
        )
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


def foot_probability(c: Contacts) -> Float:
    """Contact probability [n,C] with everything but the feet at zero."""
    is_foot = np.array([is_part(name, FEET) for name in c.names])
    return c.probability * is_foot


def lowest_feet(xyz: Float, up: Float) -> Float:
    """1 for the lowest point of each frame, else 0."""
    height = xyz @ up
    return (height == height.min(1, keepdims=True)).astype(float)
