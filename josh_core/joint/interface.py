"""Input and output of the joint solver: the start values of `fast` in, metric cameras and bodies out."""

from __future__ import annotations

from dataclasses import dataclass

from josh_core.body.model import BodyModel
from josh_core.bodyfit.observations import Observations
from josh_core.types import (
    BodyTrack,
    CameraPath,
    Clip,
    Contacts,
    Float,
    Floor,
    ScaleSource,
    Scene,
)


@dataclass(frozen=True)
class JointStart:
    """Start values. `observations`, `bodies` and `contacts` are in one order, one entry a person; all may be empty."""

    clip: Clip  # its times and size are read, never its frames
    scene: Scene  # cameras, matches and depth in the CameraPath's world
    observations: tuple[Observations, ...]  # what is seen of each body in its frames, for the cameras' focal
    bodies: tuple[BodyTrack, ...]  # in camera space, for their focal
    contacts: tuple[Contacts, ...]  # per frame of each body
    body: BodyModel
    floor: Floor | None  # in the CameraPath's world; None if unknown
    scale: float  # m per unit of the CameraPath's world
    scale_source: ScaleSource
    scale_sigma: float = 0.3  # relative standard deviation of `scale`
    up: Float | None = None  # [3] unit, against gravity; None: the floor's normal
    depth_tied: bool = True  # the depth maps agree on one scale (multi-view); False: each has its own (pointmaps)


@dataclass(frozen=True)
class JointResult:
    """Cameras, bodies and floor in one metric world with the axes of the start's CameraPath world.

    Bodies stay in camera space, as in the start, so the same code moves both into the world (here with scale 1).
    """

    cameras: CameraPath  # metres; focal refined; static and rotating cameras stay so
    bodies: tuple[BodyTrack, ...]  # same frames as the start, for cameras.focal
    floor: Floor | None  # metres
    depth_scale: Float  # [K] metres per unit of each depth map
    scale: float  # m per unit of the start's world (cameras)
    scale_sigma: float  # relative standard error, from the curvature of the objective
    scale_source: ScaleSource
    refined: bool  # False: the solver fell back to the start, `notes` says why
    costs: tuple[float, ...]  # objective at the start and after each step of the last round
    iterations: int  # linear systems solved over all rounds
    notes: tuple[str, ...] = ()  # sentences for the user
