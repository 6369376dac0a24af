"""A camera that only turns: rotations of keyframes and one focal from correspondences, without any depth.

For such a camera the pixel of a far or near point moves alike: x_t ~ K R_t^T R_s K^-1 x_s. All pairs are solved at
once by damped Gauss-Newton on the reprojection error with Cauchy weights and a prior on the logarithm of the focal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from josh_core.geometry import cross_matrix, rotvec_to_rotmat
from josh_core.lsq.levenberg_marquardt import Stepwise, StopRule, Trial, minimise
from josh_core.lsq.robust import Cauchy, reweighted
from josh_core.scene.camera.lens import FocalPrior
from josh_core.types import Float, Int

# Chosen by hand, except where a measurement or a source is given.
CAUCHY_WIDTH = 2.0  # standard deviations at which a correspondence's weight falls to a half in the end
DAMPING = Stepwise(start=1e-3, least=1e-9, shrink=10)  # chosen by hand
MIN_SHARED = 12  # correspondences that a pair needs to be used


@dataclass(frozen=True)
class PixelPairs:
    """Correspondences between nodes (keyframes or frames) in pixels from the image centre."""

    first: Int  # [M] node of xy_first
    second: Int  # [M] node of xy_second
    xy_first: Float  # [M,2] px relative to the principal point
    xy_second: Float  # [M,2]


@dataclass(frozen=True)
class RotationSolution:
    """Rotations and focal that explain pairs as well as any camera without translation can."""

    world_from_cam: Float  # [K,3,3] rotations, first is the identity
    focal: float  # px
    focal_sigma: float  # relative
    residual: Float  # [M] px, length of each correspondence's reprojection error


def solve_rotation_only(
    pairs: PixelPairs, nodes: int, prior: FocalPrior, noise: float, steps: int = 25
) -> RotationSolution:
    """Rotations of `nodes` cameras and their focal.

    noise: px, standard deviation of a correspondence; it scales the robust weights and the prior's influence.
    """
    state = RotationSolution(_initial_rotations(pairs, nodes, prior.focal), prior.focal, prior.sigma, np.zeros(0))
    damping, cost, hessian = DAMPING, np.inf, np.eye(1)
    for step in range(steps):
        # Wide at first, so that large residuals of a poor start are not treated as outliers.
        width = max(CAUCHY_WIDTH, 30.0 * 0.6**step)
        model = _RotationModel(pairs, nodes, prior, noise, Cauchy(width))
        found = minimise(model, state, damping, StopRule(tolerance=0.0, steps=1, tries=6))
        hessian, _ = found.system
        if not found.costs:
            break
        settled = abs(cost - found.cost) < 1e-6 * found.cost and width <= CAUCHY_WIDTH
        state, cost, damping = found.state, found.cost, replace(damping, start=found.damping)
        if settled:
            break
    residual, _ = _linearise(pairs, state)
    sigma = float(np.sqrt(np.linalg.inv(hessian)[-1, -1])) if prior.sigma > 0 else 0.0
    return replace(state, residual=np.linalg.norm(residual, axis=-1), focal_sigma=sigma)


@dataclass(frozen=True)
class _RotationModel:
    """The objective as a model for lsq."""

    pairs: PixelPairs
    nodes: int
    prior: FocalPrior
    noise: float  # px
    robust: Cauchy

    def cost(self, state: RotationSolution) -> float:
        _, y, _ = _predict(self.pairs, state)
        residual = state.focal * y[:, :2] / np.maximum(y[:, 2:], 1e-3) - self.pairs.xy_second
        data = self.robust.value((residual**2).sum(-1) / self.noise**2).sum()
        return float(data + (np.log(state.focal / self.prior.focal) / max(self.prior.sigma, 1e-6)) ** 2)

    def linearise(self, state: RotationSolution) -> tuple[Float, Float]:
        residual, jacobian = _linearise(self.pairs, state)
        weight = self.robust.slope((residual**2).sum(-1) / self.noise**2) / self.noise**2
        hessian, gradient = _assemble(self.pairs, jacobian, residual, weight, self.nodes)
        _add_prior(hessian, gradient, state.focal, self.prior)
        return hessian, gradient

    def step(self, state: RotationSolution, system: tuple[Float, Float], damping: float) -> Trial[RotationSolution]:
        hessian, gradient = system
        return Trial(_retract(state, -np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), gradient)))


def _initial_rotations(pairs: PixelPairs, nodes: int, focal: float) -> Float:
    """First rotations [K,3,3]: each node from the earlier one it shares most with (Kabsch on bearings)."""
    out = np.tile(np.eye(3), (nodes, 1, 1))
    for node in range(1, nodes):
        mine = np.nonzero((pairs.second == node) & (pairs.first < node))[0]
        if len(mine) < MIN_SHARED:
            out[node] = out[node - 1]
            continue
        other = np.argmax(np.bincount(pairs.first[mine]))
        rows = mine[pairs.first[mine] == other]
        a, b = (_bearings(xy[rows], focal) for xy in (pairs.xy_first, pairs.xy_second))
        a, b = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b))
        out[node] = out[other] @ _rotation_between(a, b, out[other].T @ out[node])
    return out


def _rotation_between(a: Float, b: Float, start: Float) -> Float:
    """The rotation [3,3] that takes rays b [n,3] to rays a [n,3], robustly: what moves must not turn the camera."""

    def squares(rotation: Float) -> Float:
        angle = np.linalg.norm(b @ rotation.T - a, axis=-1)
        return (angle / max(float(np.median(angle)), 1e-6)) ** 2

    def kabsch(_: Float, slope: Float) -> Float:
        u, _, vt = np.linalg.svd((a * slope[:, None]).T @ b)
        return (u * [1, 1, np.linalg.det(u @ vt)]) @ vt

    return reweighted(kabsch, squares, Cauchy(1.0), start, 5)


def _bearings(xy: Float, focal: float) -> Float:
    return np.concatenate([xy / focal, np.ones((len(xy), 1))], -1)


def _predict(pairs: PixelPairs, state: RotationSolution) -> tuple[Float, Float, Float]:
    """Bearings in first [M,3], the same rays in second [M,3], and second_from_first [M,3,3]."""
    second_from_first = state.world_from_cam[pairs.second].swapaxes(-1, -2) @ state.world_from_cam[pairs.first]
    ray = _bearings(pairs.xy_first, state.focal)
    return ray, np.einsum("mij,mj->mi", second_from_first, ray), second_from_first


def _linearise(pairs: PixelPairs, state: RotationSolution) -> tuple[Float, Float]:
    """Residuals [M,2] px and their derivatives [M,2,7] by turns of first, of second, and by log focal."""
    ray, y, second_from_first = _predict(pairs, state)
    z = np.maximum(y[:, 2], 1e-3)
    residual = state.focal * y[:, :2] / z[:, None] - pairs.xy_second
    d_pixel = np.zeros((len(y), 2, 3))  # by y
    d_pixel[:, 0, 0] = d_pixel[:, 1, 1] = state.focal / z
    d_pixel[:, :, 2] = -state.focal * y[:, :2] / z[:, None] ** 2
    by_first = d_pixel @ (-second_from_first @ cross_matrix(ray))
    by_second = d_pixel @ cross_matrix(y)
    shrink = np.einsum("mij,mj->mi", second_from_first, ray * [-1.0, -1.0, 0.0])
    by_focal = np.einsum("mij,mj->mi", d_pixel, shrink) + state.focal * y[:, :2] / z[:, None]
    return residual, np.concatenate([by_first, by_second, by_focal[..., None]], -1)


def _assemble(pairs: PixelPairs, jacobian: Float, residual: Float, weight: Float, nodes: int) -> tuple[Float, Float]:
    """Normal equations of 3 K + 1 unknowns; node 0 is held by a stiff prior: it defines the world."""
    size = 3 * nodes + 1
    small = np.einsum("m,mki,mkj->mij", weight, jacobian, jacobian)  # [M,7,7]
    right = np.einsum("m,mki,mk->mi", weight, jacobian, residual)
    edge, index = np.unique(pairs.first * nodes + pairs.second, return_inverse=True)
    blocks = np.zeros((len(edge), 7, 7))
    sides = np.zeros((len(edge), 7))
    np.add.at(blocks, index, small)
    np.add.at(sides, index, right)
    hessian, gradient = np.zeros((size, size)), np.zeros(size)
    for pair, block, side in zip(edge, blocks, sides, strict=True):
        first, second = divmod(int(pair), nodes)
        rows = np.r_[3 * first : 3 * first + 3, 3 * second : 3 * second + 3, size - 1]
        hessian[np.ix_(rows, rows)] += block
        gradient[rows] += side
    hessian[np.arange(size - 1), np.arange(size - 1)] += 1e-3  # nodes without any pair keep their rotation
    hessian[:3, :3] += np.eye(3) * 1e12
    return hessian, gradient


def _add_prior(hessian: Float, gradient: Float, focal: float, prior: FocalPrior) -> None:
    precision = 1 / max(prior.sigma, 1e-6) ** 2
    hessian[-1, -1] += precision
    gradient[-1] += precision * np.log(focal / prior.focal)


def _retract(state: RotationSolution, step: Float) -> RotationSolution:
    turns = rotvec_to_rotmat(np.clip(step[:-1], -0.5, 0.5).reshape(-1, 3))
    focal = state.focal * float(np.exp(np.clip(step[-1], -0.3, 0.3)))
    return replace(state, world_from_cam=state.world_from_cam @ turns, focal=focal)
