"""The terms that need the scene: contact with its depth maps and its floor, and matches with their depths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from josh_core.joint import residuals
from josh_core.joint.body_points import PointIndex
from josh_core.joint.body_terms import BodyFrames
from josh_core.joint.evaluated_state import EvaluatedState, points_in_camera
from josh_core.joint.interface import JointStart
from josh_core.joint.local_plane import inverse_depth_plane
from josh_core.joint.matches import Pixels
from josh_core.joint.variables import FloorTerm, SurfaceTerm
from josh_core.lsq.robust import Geman
from josh_core.types import HARDLY_IN_CONTACT, IN_CONTACT, Float, Floor

# Both chosen by hand. The first is the cosine of the tilt, 70 degrees, of what a foot stands on: steeper than roofs,
# because fitted planes err.
MIN_GROUND_COSINE = 0.35
MIN_CONFIDENCE = 0.3  # depth confidence from which a pixel counts


@dataclass(frozen=True)
class SceneSigmas:
    """Standard deviations of what is known of the scene."""

    surface: float = 0.03  # m, of a touching point over the scene's surface
    reach: float = 0.025  # share of the image width: radius of the neighbourhood that gives the surface
    floor: float = 0.03  # m, of a touching point over the floor
    floor_reach: float = 0.1  # m, contact points farther from the floor touch something else: less than a step is high
    ground: float = 0.03  # m, of a point under the ground
    ground_reach: float = 0.1  # m, points that are higher in the current state are not asked
    ground_depth: float = 0.3  # m, points deeper under the floor are over something else that is lower
    px: float = 1.0  # px at a frame 1000 px wide, of a correspondence
    mapped: float = 0.04  # share, of a depth map
    triangulated: float = 0.3  # share, of a depth triangulated from the match itself
    per_pair: float = 150.0  # independent observations a pair is worth at most


def surface_term(
    at: EvaluatedState, start: JointStart, up: Tensor, probability: Tensor, index: PointIndex, s: SceneSigmas
) -> SurfaceTerm | None:
    """Contact points of keyframes beside confident scene depth, with the plane of that neighbourhood.

    up: [3] unit, world; probability: [N,C] contact probability. Feet count only where that plane faces up: of a box
    higher than the camera only the front is seen. None without depth or without contact.
    """
    depths = start.scene.depths
    if not depths.depth.size or not bool((depths.confidence * ~depths.backdrop > MIN_CONFIDENCE).any()):
        return None
    body, contact, knot = _keyframe_contacts(at, len(start.clip), probability)
    if not len(body):
        return None
    point = index.contacts[contact]
    y = points_in_camera(at, body, point[:, None]).y[:, 0]
    focal = at.state.log_focal.exp()
    u, _ = residuals.pixel(y, focal)
    px, inverse, weight = _neighbourhood(start, knot, u.numpy(), s.reach)
    plane, spread = inverse_depth_plane(px, inverse, weight)
    scale = (at.state.log_scale + at.state.log_size[knot]).exp()
    r, *_ = residuals.surface_distance(y, plane, scale, focal)
    trust = (weight.sum(-1) / (weight > 0).sum(-1).clamp(min=1)) * ((weight > 0).sum(-1) >= 8)
    normal = torch.cat([plane[:, :2] * focal, plane[:, 2:]], -1)
    facing = plane[:, 2].abs() / normal.norm(dim=-1).clamp(min=1e-12)
    sigma = (s.surface**2 + (spread * y[:, 2] * facing) ** 2).sqrt()
    keep = (trust > 0) & (plane[:, 2] > 0) & (r.abs() < 0.5) & (y[:, 2] > residuals.MIN_DEPTH)
    keep &= ~index.feet[contact] | _bears(normal, at.rotation[at.problem.frame[body]], up)
    if not bool(keep.any()):
        return None
    return SurfaceTerm(
        body=body[keep],
        point=point[keep],
        knot=knot[keep],
        plane=plane[keep],
        clearance=index.clearance[contact][keep],
        sigma=sigma[keep],
        weight=(trust * probability[body, contact])[keep],
        robust=Geman(3.0),
    )


def _keyframe_contacts(at: EvaluatedState, frames: int, probability: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Body frame, contact point (column of probability [N,C]) and knot of every contact in a keyframe, [M] each."""
    frame_of_knot = at.problem.cameras.knot_frame
    knot_of_frame = torch.full((frames,), -1, dtype=torch.long)
    knot_of_frame[frame_of_knot] = torch.arange(len(frame_of_knot))
    knots = knot_of_frame[at.problem.frame]
    body, contact = ((probability > IN_CONTACT) & (knots >= 0)[:, None]).nonzero(as_tuple=True)
    return body, contact, knots[body]


def _bears(normal: Tensor, world_from_cam: Tensor, up: Tensor) -> Tensor:
    """Whether [M] planes face up; normal: [M,3] away from the camera, in its axes; world_from_cam: [M,3,3]."""
    outward = -(world_from_cam @ normal[..., None])[..., 0]
    return outward @ up > MIN_GROUND_COSINE * outward.norm(dim=-1)


def _neighbourhood(start: JointStart, knot: Tensor, u: Float, reach: float) -> tuple[Tensor, Tensor, Tensor]:
    """Depth map pixels around M places: px [M,m,2] from the principal point, inverse depth and weight [M,m].

    u: [M,2] px from the principal point. Backdrop, unknown and unconfident pixels have weight 0; near ones the largest.
    """
    depths = start.scene.depths
    h, w = depths.depth.shape[1:]
    size = np.array([start.clip.width, start.clip.height], np.float64)
    scale = np.array([w, h]) / size
    radius = max(3, round(reach * w))
    side = np.unique(np.linspace(-radius, radius, min(2 * radius + 1, 15)).round().astype(int))
    dx, dy = (a.ravel() for a in np.meshgrid(side, side))
    centre = np.floor((u + size / 2) * scale).astype(np.int64)
    x, y = centre[:, :1] + dx, centre[:, 1:] + dy  # [M,m]
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    k, x, y = knot.numpy()[:, None], x.clip(0, w - 1), y.clip(0, h - 1)
    depth, confidence = depths.depth[k, y, x].astype(np.float64), depths.confidence[k, y, x].astype(np.float64)
    usable = inside & (depth > 0) & np.isfinite(depth) & (confidence > MIN_CONFIDENCE) & ~depths.backdrop[k, y, x]
    near = np.exp(-(dx**2 + dy**2) / radius**2)
    px = (np.stack([x, y], -1) + 0.5) / scale - size / 2
    weight = np.where(usable, confidence * near, 0.0)
    inverse = 1 / np.where(usable, depth, 1.0)
    return torch.from_numpy(px), torch.from_numpy(inverse), torch.from_numpy(weight)


def near_floor(at: EvaluatedState, floor: Floor, index: PointIndex, s: SceneSigmas) -> Tensor:
    """[N,C] bool: contact points that may rest on the floor, as they are near it in a state."""
    normal = torch.tensor(np.asarray(floor.normal, np.float64))
    offset = at.state.log_scale.exp() * float(floor.offset)
    p = at.points.p[:, index.contacts]
    height, _ = residuals.floor_height(p, normal, tilt_axes(normal), offset, at.state.floor)
    return (height - index.clearance).abs() < s.floor_reach


def floor_term(floor: Floor, sequence: BodyFrames, probability: Tensor, index: PointIndex, s: SceneSigmas) -> FloorTerm:
    """Contact points that lie on the floor. probability: [N,C] of contact with it."""
    normal = torch.tensor(np.asarray(floor.normal, np.float64))
    offset = torch.tensor(float(floor.offset), dtype=torch.float64)
    weight = probability * (probability > HARDLY_IN_CONTACT) * sequence.independent[:, None]
    ever = (weight > 0).any(0)
    return FloorTerm(
        normal,
        tilt_axes(normal),
        offset,
        index.contacts[ever],
        index.clearance[ever],
        weight[:, ever],
        s.floor,
        Geman(3.0),
    )


def tilt_axes(normal: Tensor) -> Tensor:
    """Two orthogonal unit vectors [2,3] in the plane with normal [3]: the floor tilts about them."""
    return torch.linalg.svd(normal[None])[2][1:]


def match_pixels(start: JointStart, s: SceneSigmas) -> Pixels:
    """The scene's correspondences with a depth at both ends.

    The depth is the dense map's where it is confident; elsewhere it is triangulated from the start cameras with so
    large a standard deviation that only the distance from the epipolar line counts.
    """
    scene, matches = start.scene, start.scene.matches
    pair = np.repeat(np.arange(len(matches.pairs)), np.diff(matches.offsets))
    knots = np.asarray(matches.pairs, np.int64).reshape(-1, 2)[pair]  # [M,2]
    size = np.array([start.clip.width, start.clip.height], np.float64)
    px = np.asarray(matches.px, np.float64).reshape(-1, 2, 2) - size / 2
    depth, sigma = np.zeros(knots.shape), np.full(knots.shape, s.triangulated)
    if scene.depths.depth.size:
        for end in (0, 1):
            depth[:, end] = _mapped(start, knots[:, end], px[:, end])
    mapped = depth > 0
    sigma[mapped] = s.mapped
    world_from_cam = scene.cameras.world_from_cam[scene.cameras.keyframes]
    if scene.cameras.kind == "moving":
        depth = np.where(mapped, depth, _triangulated(world_from_cam, scene.cameras.focal, knots, px))
    else:
        depth = np.ones(knots.shape)  # without translation there is no depth
    count = np.diff(matches.offsets)[pair]
    share = np.minimum(1.0, s.per_pair / (2.0 * np.maximum(count, 1)))
    weight = np.asarray(matches.confidence, np.float64)[:, None] * share[:, None] * (depth > 0)
    as_tensor = torch.from_numpy
    return Pixels(
        a=as_tensor(knots[:, 0].copy()),
        b=as_tensor(knots[:, 1].copy()),
        px_a=as_tensor(px[:, 0].copy()),
        px_b=as_tensor(px[:, 1].copy()),
        near=as_tensor(np.where(depth > 0, depth, 1.0)),
        ratio=torch.zeros(len(depth), 2, dtype=torch.float64),
        weight=as_tensor(weight),
        sigma_depth=as_tensor(sigma),
    )


def _mapped(start: JointStart, knot: np.ndarray, px: Float) -> Float:
    """Depth [M] of the keyframes' maps at pixels [M,2] from the principal point; 0 where it is not confident."""
    depths = start.scene.depths
    h, w = depths.depth.shape[1:]
    size = np.array([start.clip.width, start.clip.height], np.float64)
    at = np.floor((px + size / 2) * np.array([w, h]) / size).astype(np.int64)
    x, y = at[:, 0].clip(0, w - 1), at[:, 1].clip(0, h - 1)
    usable = (depths.confidence[knot, y, x] > MIN_CONFIDENCE) & ~depths.backdrop[knot, y, x]
    depth = np.nan_to_num(depths.depth[knot, y, x].astype(np.float64), posinf=0.0, neginf=0.0)
    return np.where(usable, depth, 0.0)


def _triangulated(world_from_cam: Float, focal: float, knots: np.ndarray, px: Float) -> Float:
    """Depths [M,2] at which the two rays of each match pass closest; 0 where they do not meet in front."""
    rays = np.concatenate([px / focal, np.ones_like(px[..., :1])], -1)
    pose = world_from_cam[knots]  # [M,2,4,4]
    d = np.einsum("meij,mej->mei", pose[..., :3, :3], rays)
    base = pose[:, 1, :3, 3] - pose[:, 0, :3, 3]
    aa, bb, ab = (d[:, 0] ** 2).sum(-1), (d[:, 1] ** 2).sum(-1), (d[:, 0] * d[:, 1]).sum(-1)
    a, b = (d[:, 0] * base).sum(-1), (d[:, 1] * base).sum(-1)
    det = aa * bb - ab**2
    safe = np.where(det > 1e-9 * aa * bb, det, 1.0)
    z = np.stack([(bb * a - ab * b) / safe, (ab * a - aa * b) / safe], -1)
    good = (det > 1e-9 * aa * bb)[:, None] & (z > 0).all(-1, keepdims=True) & np.isfinite(z)
    return np.where(good, z, 0.0)
