"""A sparse map: cameras that share one lens and the points they see; triangulation, reprojection and its derivatives.

A point is a direction m (unit) and an inverse distance rho from the origin: y = R^T (m - rho c) is along its ray in a
camera with centre c, so far points (rho near 0) and cameras that hardly move (c near 0) are as well conditioned as
any other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from josh_core.geometry import cross_matrix
from josh_core.lsq.robust import Cauchy
from josh_core.scene.camera.lens import Lens, distort, stretch, undistort
from josh_core.scene.matching.tracks import Sightings
from josh_core.types import Float, Int

# Chosen by hand, except where a measurement or a source is given.
REFINED_WIDTHS = (2.0, 32.0)  # noises, of Cauchy's weight: the last and the first, which is halved with each step
REFINED_DAMPING = (1e-9, 1e-4)  # added to the diagonal, and times the trace: for points that hardly move in the image
MIN_Z = 0.02  # of the ray's length: a point is not allowed beside or behind the camera


@dataclass(frozen=True)
class SparseModel:
    """Cameras and points."""

    rotations: Float  # [K,3,3] world_from_cam
    centres: Float  # [K,3]
    lens: Lens
    rays: Float  # [P,3] unit directions of the points from the origin
    inverse: Float  # [P] one over their distance from the origin

    def points(self) -> Float:
        """World points [P,3]; those at or beyond infinity are held at a distance of 1e4."""
        return self.rays / np.maximum(self.inverse, 1e-4)[:, None]


def triangulate(rotations: Float, centres: Float, lens: Lens, sightings: Sightings, count: int) -> SparseModel:
    """Points by linear least squares: each ray's cross distance, homogeneous, so that far points come out finite.

    rotations: [K,3,3] world_from_cam; centres: [K,3]; count: number of points.
    """
    rays = _world_rays(rotations, lens, sightings)
    off_ray = np.eye(3) - rays[:, :, None] * rays[:, None]  # [O,3,3]
    rows = np.concatenate([off_ray, -(off_ray @ centres[sightings.camera][..., None])], -1)  # on (m, rho)
    normal = sum_by(np.einsum("oki,okj->oij", rows, rows), sightings.point, count)
    _, vectors = np.linalg.eigh(normal)
    homogeneous = vectors[:, :, 0]
    length = np.linalg.norm(homogeneous[:, :3], axis=-1).clip(1e-12)
    toward = sum_by(rays, sightings.point, count)
    # The sign of (m, rho) is free: the point must lie before the cameras that see it.
    sign = np.where((homogeneous[:, :3] * toward).sum(-1) < 0, -1.0, 1.0)
    directions = homogeneous[:, :3] * (sign / length)[:, None]
    return SparseModel(rotations, centres, lens, directions, sign * homogeneous[:, 3] / length)


def refined_points(model: SparseModel, sightings: Sightings, noise: float, steps: int = 10) -> SparseModel:
    """Points by reprojection, cameras fixed, from wide to narrow robust weights; noise: px of a good sighting."""
    for step in range(steps):
        residual, _, by_point = derivatives(model, sightings)
        weight = Cauchy(noise * max(REFINED_WIDTHS[0], REFINED_WIDTHS[1] * 0.5**step)).slope((residual**2).sum(-1))
        weighted = (weight[:, None, None] * by_point).swapaxes(-1, -2)
        left = sum_by(weighted @ by_point, sightings.point, len(model.rays))
        right = sum_by((weighted @ residual[..., None])[..., 0], sightings.point, len(model.rays))
        trace = np.trace(left, axis1=1, axis2=2)[:, None, None]
        damped = left + np.eye(3) * (REFINED_DAMPING[0] + REFINED_DAMPING[1] * trace)
        model = moved_points(model, -np.linalg.solve(damped, right[..., None])[..., 0])
    return model


def _world_rays(rotations: Float, lens: Lens, sightings: Sightings) -> Float:
    ray = np.concatenate([undistort(lens, sightings.xy) / lens.focal, np.ones((len(sightings.xy), 1))], -1)
    ray = np.einsum("oij,oj->oi", rotations[sightings.camera], ray)
    return ray / np.linalg.norm(ray, axis=-1, keepdims=True)


def sum_by(values: Float, index: Int, count: int) -> Float:
    """Sums [count,...] of the rows of values [O,...] that share an index [O]."""
    flat = values.reshape(len(values), -1)
    pick = sparse.csr_matrix((np.ones(len(index)), (index, np.arange(len(index)))), (count, len(index)))
    return np.asarray(pick @ flat).reshape(count, *values.shape[1:])


def residuals(model: SparseModel, sightings: Sightings) -> Float:
    """Reprojection errors [O,2] in px."""
    y = _in_camera(model, sightings)
    return distort(model.lens, model.lens.focal * y[:, :2] / y[:, 2:]) - sightings.xy


def _in_camera(model: SparseModel, sightings: Sightings) -> Float:
    m = model.rays[sightings.point] - model.inverse[sightings.point, None] * model.centres[sightings.camera]
    y = np.einsum("oji,oj->oi", model.rotations[sightings.camera], m)
    y[:, 2] = np.maximum(y[:, 2], MIN_Z * np.linalg.norm(m, axis=-1).clip(1e-6))
    return y


def derivatives(model: SparseModel, sightings: Sightings) -> tuple[Float, Float, Float]:
    """Residuals [O,2], and derivatives [O,2,8] by camera (turn, centre, lens) and [O,2,3] by point (tangent, rho)."""
    seen = _projected(model, sightings)
    u, f = seen.u, model.lens.focal
    by_lens = np.stack([seen.pixel, f * (u**2).sum(-1)[:, None] * seen.slope * u], -1)
    tangent = seen.by_m @ tangents(model.rays)[sightings.point]
    by_rho = -seen.by_m @ model.centres[sightings.camera][..., None]
    camera = np.concatenate([_by_pose(model, sightings, seen), by_lens], -1)
    return seen.pixel - sightings.xy, camera, np.concatenate([tangent, by_rho], -1)


def pose_derivatives(model: SparseModel, sightings: Sightings) -> tuple[Float, Float]:
    """Residuals [O,2], and their derivatives [O,2,6] by the camera's pose (turn, centre) alone."""
    seen = _projected(model, sightings)
    return seen.pixel - sightings.xy, _by_pose(model, sightings, seen)


@dataclass(frozen=True)
class _Projected:
    """Points in the cameras that see them, with what their derivatives have in common."""

    y: Float  # [O,3] in the camera
    u: Float  # [O,2] y over its depth
    slope: Float  # [O,1] of the lens's stretch
    pixel: Float  # [O,2] px from the principal point
    by_y: Float  # [O,2,3]
    by_m: Float  # [O,2,3] in the axes of the world


def _projected(model: SparseModel, sightings: Sightings) -> _Projected:
    y = _in_camera(model, sightings)
    u = y[:, :2] / y[:, 2:]
    stretched, slope = stretch(model.lens, (u**2).sum(-1)[:, None])
    by_radius = (2 * model.lens.distortion * slope)[..., None] * u[:, :, None] * u[:, None]
    by_u = model.lens.focal * (stretched[..., None] * np.eye(2) + by_radius)
    by_y = np.concatenate([by_u, -by_u @ u[..., None]], -1) / y[:, 2:, None]
    by_m = by_y @ model.rotations[sightings.camera].swapaxes(-1, -2)
    return _Projected(y, u, slope, model.lens.focal * stretched * u, by_y, by_m)


def _by_pose(model: SparseModel, sightings: Sightings, seen: _Projected) -> Float:
    """Derivatives [O,2,6] by turn and centre."""
    rho = model.inverse[sightings.point, None, None]
    return np.concatenate([seen.by_y @ cross_matrix(seen.y), -rho * seen.by_m], -1)


def moved_points(model: SparseModel, step: Float) -> SparseModel:
    """The model with a step [P,3] of its points: along two tangents, and of the inverse distance."""
    rays = model.rays + np.einsum("pij,pj->pi", tangents(model.rays), np.clip(step[:, :2], -0.3, 0.3))
    length = np.linalg.norm(rays, axis=-1)
    return replace(model, rays=rays / length[:, None], inverse=(model.inverse + step[:, 2]) / length)


def tangents(rays: Float) -> Float:
    """Two unit vectors [P,3,2] across each ray [P,3]."""
    axis = np.eye(3)[np.abs(rays).argmin(-1)]
    first = np.cross(rays, axis)
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    return np.stack([first, np.cross(rays, first)], -1)
