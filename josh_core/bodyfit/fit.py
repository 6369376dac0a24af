"""Bodies from tracks: the SMPL motion and shape that best explain a person's landmarks, all frames at once.

Residuals over their standard deviations (objective.py), lowered by a damped Gauss-Newton (lsq) from the
network's own 3D guess. Bones of constant length, a known focal length and smoothness correct the guess. DESIGN
section 6.3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse

from josh_core.body import BodyModel
from josh_core.body.names import JOINTS
from josh_core.body.outline import Outline
from josh_core.bodyfit.fit_body import SHAPES, FitBody, Pose
from josh_core.bodyfit.frame_terms import looks
from josh_core.bodyfit.gait import gait_prior
from josh_core.bodyfit.initial_pose import initial_pose
from josh_core.bodyfit.objective import normal_equations, objective
from josh_core.bodyfit.observations import Observations, gather_observations
from josh_core.bodyfit.temporal_terms import smoothness
from josh_core.bodyfit.widths import PersonMask, shape_evidence
from josh_core.lsq.arrow import ArrowSystem, solve
from josh_core.lsq.levenberg_marquardt import Solution, Stepwise, StopRule, Trial, minimise
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.threads import in_threads
from josh_core.types import USUAL_HEIGHT_SIGMA, BodyTrack, CameraPath, Clip, People, Track

MEAN_HEIGHT = 1.67  # m, between adults worldwide (1.65, NCD-RisC 2016) and in the West (1.70)
KNOWN_HEIGHT_SIGMA = 0.01  # relative, of a height that the user gave: shoes, posture and rounding
SIZE_SIGMA = 0.02  # relative error of a depth from the size in one picture
# The usual start of Levenberg-Marquardt (Madsen, Nielsen, Tingleff 2004); not tuned.
DAMPING = Stepwise(start=1e-3, least=1e-6, raised=1e-4)
# Relative decrease of the objective, steps and damping at which the fit ends; chosen by hand.
LIMITS = StopRule(tolerance=1e-4, steps=30, damping=1e6)
# Number of fits with the gait prior. PA-MPJPE of rendered walkers (`python -m benchmarks.rendered_clips`): 47, 41 and
# 40 mm after none, one and two.
WALK_ROUNDS = 2
MIN_DIAGONAL = 1e-6  # of the normal matrix: unknowns without a residual then have a zero step


def fit_bodies(
    people: People, cameras: CameraPath, clip: Clip, body: BodyModel, settings: Settings, progress: Progress
) -> tuple[BodyTrack, ...]:
    """Body of every track in camera space, for the cameras' focal length, in the order of people.tracks.

    The height in the settings is that of the first person. The same input gives the same result.
    """
    observed = observe_people(people, cameras, clip, settings.height_m)
    return fit_observed(people, observed, cameras.focal, body, settings.height_m, progress)


def observe_people(people: People, cameras: CameraPath, clip: Clip, height_m: float | None) -> tuple[Observations, ...]:
    """Observations of every track; height_m: of the first person, None if unknown."""
    focal = cameras.focal * people.labels.shape[2] / clip.width
    seen = []
    for k, track in enumerate(people.tracks):
        obs = gather_observations(track, cameras, clip, height_m if k == 0 and height_m else MEAN_HEIGHT)
        seen.append(replace(obs, mask=PersonMask(people.labels, k + 1, track.frames, focal)))
    return tuple(seen)


def fit_observed(
    people: People,
    observed: tuple[Observations, ...],
    focal: float,
    body: BodyModel,
    height_m: float | None,
    progress: Progress,
) -> tuple[BodyTrack, ...]:
    """Body of every track from its observations; height_m: of the first person, None if unknown."""
    fit_body, outline = FitBody.of(body), Outline.of(body)
    bodies = []
    fitted = in_threads(lambda obs: fit_observations(fit_body, obs, outline).state, observed)
    for k, (track, pose) in enumerate(zip(people.tracks, fitted, strict=True)):
        progress.update(k / len(people.tracks))
        bodies.append(_body_track(track, pose, focal, body, height_sigma(k, height_m)))
    return tuple(bodies)


def height_sigma(index: int, height_m: float | None) -> float:
    """Relative standard deviation of a person's height; height_m: of the first person, None if unknown."""
    return KNOWN_HEIGHT_SIGMA if index == 0 and height_m is not None else USUAL_HEIGHT_SIGMA


@dataclass(frozen=True)
class FitModel:
    """The objective of one track's fit as a model for lsq."""

    fit_body: FitBody
    obs: Observations
    smooth: sparse.csr_matrix

    def cost(self, pose: Pose) -> float:
        """Value of the objective."""
        return objective(self.fit_body, pose, self.obs, self.smooth)

    def linearise(self, pose: Pose) -> ArrowSystem:
        """Normal equations at a pose; the betas are the dense unknowns."""
        return normal_equations(self.fit_body, pose, self.obs, self.smooth)

    def step(self, pose: Pose, system: ArrowSystem, damping: float) -> Trial[Pose]:
        """The damped step; MIN_DIAGONAL holds unknowns without any residual."""
        step = solve(system, torch.ones(SHAPES, dtype=torch.bool), damping, MIN_DIAGONAL)
        return Trial(pose.retract(step.blocks.numpy(), step.dense.numpy()))


def fit_observations(fit_body: FitBody, obs: Observations, outline: Outline | None = None) -> Solution[Pose]:
    """The most probable pose given the observations: Levenberg-Marquardt from the network's own guess.

    It is fitted again from there with the widths of the mask, if there are one and an outline to measure them with.
    People who walk are fitted again with the gait prior, which is remade from each fit.
    """
    smooth = smoothness(obs.times)
    found = minimise(FitModel(fit_body, obs, smooth), initial_pose(fit_body, obs), DAMPING, LIMITS)
    if outline is not None and obs.mask is not None:
        obs = replace(obs, shape=shape_evidence(outline, found.state, obs.mask, looks(obs.times)))
        found = minimise(FitModel(fit_body, obs, smooth), found.state, DAMPING, LIMITS)
    for _ in range(WALK_ROUNDS):
        joints = fit_body.evaluate(found.state, derivatives=False).points[:, : len(JOINTS)]
        prior = gait_prior(found.state, joints, obs.times)
        if prior is None:
            break
        found = minimise(FitModel(fit_body, replace(obs, prior=prior), smooth), found.state, DAMPING, LIMITS)
    return found


def _body_track(track: Track, pose: Pose, focal: float, body: BodyModel, height_sigma: float) -> BodyTrack:
    return BodyTrack(
        id=track.id,
        frames=track.frames,
        betas=pose.betas,
        rotations=pose.rotations,
        transl=pose.transl,
        focal=focal,
        height_m=body.height(torch.as_tensor(pose.betas, dtype=torch.float32)[None]).item(),
        sigma_depth=float(np.hypot(height_sigma, SIZE_SIGMA)),
        height_sigma=height_sigma,
    )
