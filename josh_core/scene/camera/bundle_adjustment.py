"""Bundle adjustment of cameras that share one lens, and the pose of single frames against points that are known.

Residuals are in pixels, weighted by Cauchy; the normal equations are reduced to the cameras (Schur).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from josh_core.geometry import rotvec_to_rotmat
from josh_core.lsq.levenberg_marquardt import Stepwise, StopRule, Trial, minimise
from josh_core.lsq.robust import Cauchy
from josh_core.scene.camera.lens import FocalPrior, Lens
from josh_core.scene.camera.sparse_model import (
    SparseModel,
    derivatives,
    moved_points,
    pose_derivatives,
    residuals,
    sum_by,
)
from josh_core.scene.matching.tracks import Sightings
from josh_core.types import Float, Int

# Chosen by hand, except where a measurement or a source is given.
LENS_UNKNOWNS = 2  # unknowns of the lens: log focal and distortion
DAMPING = Stepwise(start=1e-4, least=1e-8)  # chosen by hand: the mapped start is near the solution
POINTS_AT_A_TIME = 500  # points eliminated at a time, which bounds the memory
TOLERANCE = 1e-5  # relative decrease of the cost by a step that is the last
LOCATED = 1e-5  # rad and units of the map, whose points are 8 away: a step below is a hundredth of a pixel


@dataclass(frozen=True)
class SightingNoise:
    """How sightings err: px, standard deviation of a good one, and where Cauchy's weight falls to a half."""

    sigma: float
    width: float

    @classmethod
    def usual(cls, sigma: float) -> SightingNoise:
        """Errors beyond two standard deviations count less and less."""
        return cls(sigma, 2 * sigma)

    @property
    def robust(self) -> Cauchy:
        """The norm of errors over sigma."""
        return Cauchy(self.width / self.sigma)


@dataclass(frozen=True)
class Adjusted:
    """The result of a bundle adjustment."""

    model: SparseModel
    focal_sigma: float  # relative standard deviation of the focal, from the curvature; 0 when it is given
    distortion_sigma: float  # standard deviation of the distortion, from the curvature; 0 when there is none
    residual: Float  # [O] px, length of each sighting's error
    cost: float  # what was minimised


@dataclass(frozen=True)
class _Adjustment:
    """The objective of a bundle adjustment as a model for lsq."""

    sightings: Sightings
    prior: FocalPrior
    noise: SightingNoise

    def cost(self, model: SparseModel) -> float:
        off = (residuals(model, self.sightings) ** 2).sum(-1) / self.noise.sigma**2
        lens = (self.prior.precision() * self.prior.offset(model.lens) ** 2).sum()
        return float(self.noise.robust.value(off).sum() + lens)

    def linearise(self, model: SparseModel) -> _System:
        return _normal_equations(model, self.sightings, self.prior, self.noise)

    def step(self, model: SparseModel, system: _System, damping: float) -> Trial[SparseModel]:
        return Trial(_step(model, system, damping))


def adjust(
    model: SparseModel,
    sightings: Sightings,
    prior: FocalPrior,
    noise: SightingNoise,
    steps: int = 20,
    tolerance: float = TOLERANCE,
) -> Adjusted:
    """Cameras, points and lens that explain the sightings best; camera 0 stays where it is.

    The scale is free and only held by damping. A prior without distortion gives a lens of exactly none. tolerance:
    relative decrease of the cost by a step that is the last.
    """
    limits = StopRule(tolerance=tolerance, steps=steps, tries=5)
    found = minimise(_Adjustment(sightings, prior, noise), model, DAMPING, limits)
    model = found.state
    if prior.distortion_sigma == 0:  # its stiff prior leaves about 1e-9
        model = replace(model, lens=Lens(model.lens.focal))
    focal, distortion = _lens_sigmas(model, _normal_equations(model, sightings, prior, noise))
    return Adjusted(
        model=model,
        focal_sigma=focal if prior.sigma > 0 else 0.0,
        distortion_sigma=distortion if prior.distortion_sigma > 0 else 0.0,
        residual=np.linalg.norm(residuals(model, sightings), axis=-1),
        cost=found.cost,
    )


@dataclass(frozen=True)
class _System:
    """Normal equations: cameras [C,C] (C = 6 K + 2), points in 3x3 blocks, and the coupling of each sighting."""

    cameras: Float
    points: Float  # [P,3,3]
    coupling: Float  # [O,8,3]
    columns: Int  # [O,8] rows of `cameras` that the coupling belongs to
    point: Int  # [O]
    right_cameras: Float  # [C]
    right_points: Float  # [P,3]


def _normal_equations(model: SparseModel, sightings: Sightings, prior: FocalPrior, noise: SightingNoise) -> _System:
    residual, by_camera, by_point = derivatives(model, sightings)
    weight = noise.robust.slope((residual**2).sum(-1) / noise.sigma**2) / noise.sigma**2
    weighted = weight[:, None, None] * by_camera
    cameras, right = _camera_equations(weighted, by_camera, residual, sightings, len(model.centres))
    lens = np.arange(len(right) - LENS_UNKNOWNS, len(right))
    cameras[lens, lens] += prior.precision()
    right[lens] += prior.precision() * prior.offset(model.lens)
    cameras[:6, :6] += np.eye(6) * 1e12  # camera 0 defines the world
    coupling = weighted.swapaxes(-1, -2) @ by_point
    weighted = (weight[:, None, None] * by_point).swapaxes(-1, -2)
    return _System(
        cameras=cameras,
        points=sum_by(weighted @ by_point, sightings.point, len(model.rays)),
        coupling=coupling,
        columns=_columns(sightings, len(model.centres)),
        point=sightings.point,
        right_cameras=right,
        right_points=sum_by((weighted @ residual[..., None])[..., 0], sightings.point, len(model.rays)),
    )


def _columns(sightings: Sightings, cameras: int) -> Int:
    """Numbers [O,8] of the unknowns that each sighting touches: its camera's six and the lens."""
    own = 6 * sightings.camera[:, None] + np.arange(6)
    return np.concatenate([own, np.tile(6 * cameras + np.arange(LENS_UNKNOWNS), (len(own), 1))], -1)


def _camera_equations(
    weighted: Float, by_camera: Float, residual: Float, sightings: Sightings, count: int
) -> tuple[Float, Float]:
    size = 6 * count + LENS_UNKNOWNS
    per_camera = sum_by(weighted.swapaxes(-1, -2) @ by_camera, sightings.camera, count)  # [K,8,8]
    left = np.zeros((size, size))
    for k in range(count):
        rows = np.r_[6 * k : 6 * k + 6, size - LENS_UNKNOWNS : size]
        left[np.ix_(rows, rows)] += per_camera[k]
    sides = np.einsum("oki,ok->oi", weighted, residual)
    return left, np.bincount(_columns(sightings, count).ravel(), sides.ravel(), size)


def _reduce(system: _System, damping: float) -> tuple[Float, Float, Float]:
    """Cameras' equations [C,C], [C] with the points eliminated, and the inverse point blocks [P,3,3]."""
    diagonal = np.arange(3)
    blocks = system.points.copy()
    blocks[:, diagonal, diagonal] = blocks[:, diagonal, diagonal] * (1 + damping) + 1e-6
    inverse = np.linalg.inv(blocks)
    left, right = system.cameras.copy(), system.right_cameras.copy()
    order = np.argsort(system.point, kind="stable")
    ends = np.searchsorted(system.point[order], np.arange(0, len(blocks) + POINTS_AT_A_TIME, POINTS_AT_A_TIME))
    for slab, (lo, hi) in enumerate(itertools.pairwise(ends)):
        rows = order[lo:hi]
        inside = slice(slab * POINTS_AT_A_TIME, (slab + 1) * POINTS_AT_A_TIME)
        count = len(inverse[inside])
        mixed = np.zeros((len(right), count, 3))
        own = system.point[rows] - slab * POINTS_AT_A_TIME
        mixed[system.columns[rows, :6], own[:, None]] = system.coupling[rows, :6]  # a camera sees a point once
        mixed[-LENS_UNKNOWNS:] = sum_by(system.coupling[rows, 6:], own, count).swapaxes(0, 1)
        through = (mixed[:, :, None] @ inverse[inside])[:, :, 0].reshape(len(right), -1)
        left -= through @ mixed.reshape(len(right), -1).T
        right -= through @ system.right_points[inside].ravel()
    # Damping by what is left after elimination: the focal's own diagonal is far stiffer than its valley.
    left[np.diag_indices_from(left)] += damping * np.abs(np.diag(left)) + 1e-6
    return left, right, inverse


def _step(model: SparseModel, system: _System, damping: float) -> SparseModel:
    left, right, inverse = _reduce(system, damping)
    by_camera = -np.linalg.solve(left, right)
    pulled = np.einsum("oci,oc->oi", system.coupling, by_camera[system.columns])
    rest = system.right_points + sum_by(pulled, system.point, len(model.rays))
    by_point = -np.einsum("pij,pj->pi", inverse, rest)
    cameras = by_camera[:-LENS_UNKNOWNS].reshape(-1, 6)
    return replace(
        moved_points(model, by_point),
        rotations=model.rotations @ rotvec_to_rotmat(np.clip(cameras[:, :3], -0.3, 0.3)),
        centres=model.centres + cameras[:, 3:],
        lens=model.lens.retract(by_camera[-LENS_UNKNOWNS:]),
    )


def _lens_sigmas(model: SparseModel, system: _System) -> tuple[float, float]:
    """Standard deviations of log focal and of the distortion: all else free but camera 0 and the scale."""
    left, _, _ = _reduce(system, 0.0)
    spread = np.linalg.norm(model.centres - model.centres[0], axis=-1)
    far = int(spread.argmax())
    if spread[far] > 0:
        along = (model.centres[far] - model.centres[0]) / spread[far]
        rows = slice(6 * far + 3, 6 * far + 6)
        left[rows, rows] += 1e12 * np.outer(along, along)
    variance = np.diag(np.linalg.inv(left))[-LENS_UNKNOWNS:]
    return float(np.sqrt(max(variance[0], 0.0))), float(np.sqrt(max(variance[1], 0.0)))


def locate(model: SparseModel, sightings: Sightings, noise: float, steps: int = 12) -> tuple[SparseModel, Float]:
    """Pose of every camera of `model` on its own, points and focal fixed: the model and each residual [O] px."""
    count = len(model.centres)
    for step in range(steps):
        residual, jacobian = pose_derivatives(model, sightings)
        width = noise * max(2.0, 20.0 * 0.5**step)  # wide at first: the start is only interpolated
        weight = Cauchy(width).slope((residual**2).sum(-1))
        weighted = (weight[:, None, None] * jacobian).swapaxes(-1, -2)
        left = sum_by(weighted @ jacobian, sightings.camera, count)
        right = sum_by((weighted @ residual[..., None])[..., 0], sightings.camera, count)
        damped = left + np.eye(6) * (1e-6 + 1e-6 * np.trace(left, axis1=1, axis2=2)[:, None, None])
        move = -np.linalg.solve(damped, right[..., None])[..., 0]
        model = replace(
            model,
            rotations=model.rotations @ rotvec_to_rotmat(np.clip(move[:, :3], -0.2, 0.2)),
            centres=model.centres + move[:, 3:],
        )
        if step > 5 and np.abs(move).max() < LOCATED:
            break
    return model, np.linalg.norm(residuals(model, sightings), axis=-1)
