"""Mode fast of the hub tier as the pipeline calls it: JOSH3R's cameras, depth and people, from clip and tracks."""

from __future__ import annotations

from josh_core.body.model import BodyModel
from josh_core.bodyfit.fit import fit_bodies
from josh_core.hub.josh3r_run import Known, ask_josh3r, assemble
from josh_core.networks.josh3r import Josh3r
from josh_core.progress import Progress
from josh_core.scene.camera.solve import steady_camera
from josh_core.scene.matching.follow import follow
from josh_core.settings import Settings
from josh_core.types import BodyTrack, Clip, People, Scene


def reconstruct_josh3r(
    clip: Clip, people: People, body: BodyModel, network: Josh3r, settings: Settings, progress: Progress
) -> tuple[Scene, tuple[BodyTrack, ...]]:
    """A metric scene and the bodies in its cameras.

    The network tells the focal, with which the bodies are fitted; their root rotations and its relative motions give
    the cameras. A camera that the background shows to stand or only to turn is held so. Raises ReconstructionError
    when there is nobody.
    """
    with progress.stage("josh3r"):
        answers = ask_josh3r(clip, people, network, settings, progress)
    with progress.stage("cameras"):
        steady = steady_camera(clip, follow(clip, people, progress), settings)
    with progress.stage("bodies"):
        turning = steady is not None and steady.kind == "rotating"
        cameras = steady if steady is not None and turning else answers.standing_camera(clip)
        bodies = fit_bodies(people, cameras, clip, body, settings, progress)
    return assemble(Known(clip, people, bodies, body, steady), answers)
