"""Bodies straight from the student, without a fit: its pose and shape, placed where its landmarks are seen.

The place is the only unknown. A landmark on the ray (u, v) of the camera says x + tx = u (z + tz) and the same for y,
which is linear in the translation t, so all frames are solved at once, with small accelerations, in a few rounds of
reweighting.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import spsolve

from josh_core.body import BodyModel
from josh_core.bodyfit.fit import height_sigma
from josh_core.bodyfit.observations import MIN_PERSON_DEPTH, Observations
from josh_core.bodyfit.temporal_terms import ACCELERATION_SIGMA, DEPTH_ACCELERATION_SIGMA, smoothness
from josh_core.lsq.robust import Cauchy, reweighted
from josh_core.student.estimate import StudentEstimate
from josh_core.types import BodyTrack, Float, People

# Chosen by hand.
POSE_DEPTH_SIGMA = 0.04  # relative error of a depth from the size of a body whose pose nobody fitted
ROUNDS = 5  # of reweighting
HEIGHT_ROUNDS = 3  # of Newton's rule; heights are nearly linear in betas, and within a millimetre after two


def feed_forward_bodies(
    estimates: tuple[StudentEstimate, ...],
    people: People,
    observed: tuple[Observations, ...],
    focal: float,
    body: BodyModel,
    height_m: float | None,
) -> tuple[BodyTrack, ...]:
    """Body of every track in camera space; focal: px, of the rays; height_m: of the first person, None if unknown."""
    bodies = []
    for k, (track, obs, estimate) in enumerate(zip(people.tracks, observed, estimates, strict=True)):
        betas = betas_of_height(estimate.betas, obs.height, body)
        landmarks = _landmarks(betas, estimate, body)
        sigma = height_sigma(k, height_m)
        bodies.append(
            BodyTrack(
                id=track.id,
                frames=track.frames,
                betas=betas,
                rotations=estimate.rotations,
                transl=place(landmarks, estimate.pelvis[:, 2], obs),
                focal=focal,
                height_m=_height(betas, body),
                sigma_depth=float(np.hypot(sigma, POSE_DEPTH_SIGMA)),
                height_sigma=sigma,
            )
        )
    return tuple(bodies)


def betas_of_height(betas: Float, height: float, body: BodyModel) -> Float:
    """Betas [10] moved along the first, which makes people taller as a whole, until they stand `height` m tall."""
    along = np.eye(len(betas))[0]
    for _ in range(HEIGHT_ROUNDS):
        taller = _height(betas + along, body) - _height(betas, body)
        betas = betas + along * (height - _height(betas, body)) / taller
    return betas


def place(landmarks: Float, depth: Float, obs: Observations) -> Float:
    """Translations [n,3] m with which landmarks [n,33,3] (m, camera axes) fall on the rays where they are seen.

    depth: [n] m, a first estimate, which only weighs the landmarks.
    """
    n = len(landmarks)
    away = np.maximum(landmarks[..., 2] + depth[:, None], MIN_PERSON_DEPTH)
    weight = 1 / (obs.ray_sigma * away)  # a ray's sigma times the depth are metres across it
    one, none = np.ones((n, 33)), np.zeros((n, 33))
    u, v = obs.rays[..., 0], obs.rays[..., 1]
    rows = np.concatenate([np.stack([one, none, -u], -1), np.stack([none, one, -v], -1)], 1)  # [n,66,3]
    sides = np.concatenate([u * landmarks[..., 2] - landmarks[..., 0], v * landmarks[..., 2] - landmarks[..., 1]], 1)
    rows, sides = rows * np.tile(weight, 2)[..., None], sides * np.tile(weight, 2)
    stiff = np.array([1.0, 1.0, (ACCELERATION_SIGMA / DEPTH_ACCELERATION_SIGMA) ** 2])
    smooth = sparse.kron(smoothness(obs.times), sparse.diags(stiff))

    def squares(at: Float) -> Float:
        return ((rows @ at[..., None])[..., 0] - sides) ** 2

    def solve(_: Float, slope: Float) -> Float:
        weighted = rows * slope[..., None]
        seen = sparse.block_diag(list(weighted.swapaxes(1, 2) @ rows + 1e-9 * np.eye(3)))
        right = np.einsum("nkj,nk->nj", weighted, sides)
        return np.asarray(spsolve(sparse.csc_matrix(seen + smooth), right.ravel())).reshape(n, 3)

    start = solve(np.zeros((n, 3)), np.ones_like(sides))
    return reweighted(solve, squares, Cauchy(), start, ROUNDS)


def _landmarks(betas: Float, estimate: StudentEstimate, body: BodyModel) -> Float:
    """Landmarks [n,33,3] m of the student's pose at translation 0, camera axes."""
    n = len(estimate.frames)
    with torch.no_grad():
        posed = body.points(
            torch.as_tensor(betas, dtype=torch.float32).expand(n, -1),
            torch.as_tensor(estimate.rotations, dtype=torch.float32),
            torch.zeros(n, 3),
        )
    return np.asarray(posed.landmarks.double().numpy())


def _height(betas: Float, body: BodyModel) -> float:
    return float(body.height(torch.as_tensor(betas, dtype=torch.float32)[None]).item())
