"""JOSH3R over a clip: a metric camera path, metric depth and everybody's place in the camera, in one pass."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from josh_core.body.model import BodyModel
from josh_core.errors import ReconstructionError
from josh_core.hub.josh3r_chain import chain_cameras, every_frame, move_bodies
from josh_core.hub.josh3r_pairs import PairMotions, PairPlan, plan_pairs, read_pairs
from josh_core.networks.focal import agree_on_focal
from josh_core.networks.josh3r import Josh3r
from josh_core.progress import Progress
from josh_core.scene.depth.map_grid import MapGrid
from josh_core.scene.matching.tracks import background
from josh_core.settings import Settings
from josh_core.types import BodyTrack, CameraPath, Clip, DepthMaps, Int, Matches, People, Scene


@dataclass(frozen=True)
class Answers:
    """The network's predictions for a clip."""

    plan: PairPlan
    motions: PairMotions
    focal: float  # px, from the pointmaps unless it was given
    focal_sigma: float  # relative

    def standing_camera(self, clip: Clip) -> CameraPath:
        """A camera with this focal that does not move: what a fit of bodies in camera space needs."""
        still = np.tile(np.eye(4), (len(clip), 1, 1))
        nobody = np.zeros(len(clip), np.bool_)
        return CameraPath("moving", still, self.focal, self.focal_sigma, self.plan.keyframes, nobody)


@dataclass(frozen=True)
class Known:
    """What earlier stages have found in the clip."""

    clip: Clip
    people: People
    bodies: tuple[BodyTrack, ...]  # fitted in camera space, one for each of people.tracks
    body: BodyModel
    steady: CameraPath | None = None  # path of a camera that does not travel, which is then kept


def ask_josh3r(
    clip: Clip, people: People, network: Josh3r, settings: Settings, progress: Progress | None = None
) -> Answers:
    """Run the network over a clip. Raises ReconstructionError when there is nobody to follow."""
    if not people.tracks:
        raise ReconstructionError("JOSH3R follows people, and nobody was found in this clip; use another mode.")
    plan = plan_pairs(clip, people)
    motions = read_pairs(clip, plan, network, progress or Progress())
    return Answers(plan, motions, *agree_on_focal(motions.focal, clip.width, clip.height, settings.focal_px))


def assemble(known: Known, answers: Answers) -> tuple[Scene, tuple[BodyTrack, ...]]:
    """JOSH3R's result in the stages' own types, all of it metric already.

    Returned are the scene (cameras of every frame in metres, no matches, depth of up to 60 keyframes in metres) and
    the bodies at the network's distances, so that world_from_cam moves them into the world.
    """
    clip, bodies, plan, motions = known.clip, known.bodies, answers.plan, answers.motions
    betas = torch.as_tensor(np.stack([track.betas for track in bodies]), dtype=torch.float32)
    with torch.no_grad():
        pelvises = known.body.pelvis(betas).double().numpy()
    at_keyframes, lead = chain_cameras(plan, motions, bodies, pelvises)
    keyframes = plan.keyframes[plan.depth_pairs]
    if known.steady is None:
        path = every_frame(at_keyframes, lead, plan.keyframes, clip.times)
        cameras = CameraPath("moving", path[0], answers.focal, answers.focal_sigma, keyframes, path[1])
    elif known.steady.kind == "rotating":  # turning tells the focal better than pointmaps do
        cameras = replace(known.steady, keyframes=keyframes)
    else:
        cameras = replace(known.steady, keyframes=keyframes, focal=answers.focal, focal_sigma=answers.focal_sigma)
    nothing = Matches(np.zeros((0, 2), np.int64), np.zeros(1, np.int64), np.zeros((0, 2, 2)), np.zeros(0))
    depths = metric_depths(known, answers, lead)
    return Scene(cameras, nothing, depths), move_bodies(plan, motions, bodies, cameras.focal, clip.times)


def metric_depths(known: Known, answers: Answers, lead: Int) -> DepthMaps:
    """Depth in metres of the whole frame, zero where the network did not look and where people are.

    lead: [K-1] row whose scale is taken for each pair, -1 for the median of all.
    """
    plan, motions = answers.plan, answers.motions
    grid = MapGrid.of(known.clip, answers.focal)
    depth = plan.crop.on_whole_frame(motions.depth, grid.width, grid.height)
    confidence = plan.crop.on_whole_frame(motions.confidence, grid.width, grid.height)
    usual = float(np.median(motions.scale[:, 0])) if len(motions.scale) else 1.0
    for k, pair in enumerate(plan.depth_pairs):
        depth[k] *= motions.scale[lead[pair], 0] if lead[pair] >= 0 else usual
        free = background(known.people, int(plan.keyframes[pair]), grid.width, grid.height)
        unknown = ~free | (depth[k] <= 0) | ~np.isfinite(depth[k])
        depth[k][unknown] = 0
        confidence[k][unknown] = 0
    return DepthMaps(depth, confidence, np.zeros(depth.shape, np.bool_))
