"""Bodies from tracks: the SMPL motion and shape that best explain a person's landmarks, all frames at once.

Residuals with honest standard deviations (objective.py) and a damped Gauss-Newton (solve.py) from the network's own 3D
guess. Bones of constant length, a known focal length and smoothness mend what the guess has wrong. DESIGN section 6.3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from josh_core.body import BodyModel
from josh_core.bodyfit.banded_solve import step
from josh_core.bodyfit.initial_pose import first_pose
from josh_core.bodyfit.objective import normal_equations, objective
from josh_core.bodyfit.observations import Evidence, gather_evidence
from josh_core.bodyfit.rig import Pose, Rig
from josh_core.bodyfit.temporal_terms import smoothness
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.types import BodyTrack, CameraPath, Clip, People, Track

HEIGHT = (1.67, 0.08)  # m, between adults worldwide (1.65, NCD-RisC 2016) and in the West (1.70), and their spread
KNOWN_HEIGHT_SIGMA = 0.01  # m, of a height that the user gave
SIZE_SIGMA = 0.02  # relative error of a depth from the size in one picture
STEPS = 30  # at most
ENOUGH = 1e-4  # relative decrease of the objective below which the fit ends
WORST_DAMPING = 1e6


def fit_bodies(
    people: People, cameras: CameraPath, clip: Clip, body: BodyModel, settings: Settings, progress: Progress
) -> tuple[BodyTrack, ...]:
    """Body of every track in camera space, for the cameras' focal length, in the order of people.tracks.

    The height in the settings is that of the first person. The same input gives the same result.
    """
    rig = Rig.of(body)
    bodies = []
    for k, track in enumerate(people.tracks):
        progress.update(k / len(people.tracks))
        known = settings.height_m if k == 0 else None
        height, sigma = HEIGHT if known is None else (known, KNOWN_HEIGHT_SIGMA)
        fitted = fit_evidence(rig, gather_evidence(track, cameras, clip, height))
        sigma_depth = float(np.hypot(sigma / height, SIZE_SIGMA))
        bodies.append(_body_track(track, fitted.pose, cameras.focal, body, sigma_depth))
    return tuple(bodies)


def refocus(track: BodyTrack, focal: float, body: BodyModel) -> BodyTrack:
    """The same body seen with another focal length [px]: it keeps its size in the image, so its depth scales."""
    pelvis = body.pelvis(torch.as_tensor(track.betas, dtype=torch.float32)[None])[0, 2].item()
    transl = track.transl.copy()
    transl[:, 2] = (transl[:, 2] + pelvis) * (focal / track.focal) - pelvis
    return replace(track, transl=transl, focal=focal)


@dataclass(frozen=True)
class Fitted:
    """Outcome of the fit of one track."""

    pose: Pose
    objective: float  # twice the negative log posterior, up to a constant


def fit_evidence(rig: Rig, e: Evidence) -> Fitted:
    """The most probable pose given the evidence: Levenberg-Marquardt from the network's own guess."""
    smooth = smoothness(e.times)
    pose, damping = first_pose(rig, e), 1e-3
    cost = objective(rig, pose, e, smooth)
    for _ in range(STEPS):
        normal = normal_equations(rig, pose, e, smooth)
        before, better = cost, None
        while better is None and damping < WORST_DAMPING:
            candidate = pose.moved(*step(normal, damping))
            cost = objective(rig, candidate, e, smooth)
            if cost < before:  # False for NaN as well
                better, damping = candidate, max(damping / 5, 1e-6)
            else:
                damping = max(damping, 1e-4) * 10
        if better is None:
            cost = before
            break
        pose = better
        if before - cost < ENOUGH * before:
            break
    return Fitted(pose, cost)


def _body_track(track: Track, pose: Pose, focal: float, body: BodyModel, sigma_depth: float) -> BodyTrack:
    return BodyTrack(
        id=track.id,
        frames=track.frames,
        betas=pose.betas,
        rotations=pose.rotations,
        transl=pose.transl,
        focal=focal,
        height_m=body.height(torch.as_tensor(pose.betas, dtype=torch.float32)[None]).item(),
        sigma_depth=sigma_depth,
    )
