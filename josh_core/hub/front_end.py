"""Evidence of the hub tier: MASt3R's scene for baseline and refine, JOSH3R's scene and people for fast."""

from __future__ import annotations

from dataclasses import replace

from josh_core.body.model import BodyModel
from josh_core.bodyfit.fit import fit_observed, observe_people
from josh_core.evidence import Evidence, FittedBodies, evidence_of
from josh_core.hub.josh3r_stage import reconstruct_josh3r
from josh_core.hub.mast3r_scene import reconstruct_scene_mast3r
from josh_core.networks.loaded import load_josh3r, load_mast3r
from josh_core.networks.weights import JOSH3R, LICENCES, MAST3R, Weight, find
from josh_core.progress import Progress
from josh_core.scene import undistort_clip
from josh_core.settings import Settings
from josh_core.types import Clip, People, Scale

# Chosen by hand, except where a measurement or a source is given.
SCALE_SIGMA = 0.1  # relative: how far JOSH3R's metres may be off


def gather_hub(
    clip: Clip, people: People, body: BodyModel, settings: Settings, progress: Progress, reason: str
) -> Evidence:
    """Evidence of the networks whose weights are there; reason: why this tier, for the result.

    With both, mode fast has JOSH3R's own evidence (Evidence.fast) beside MASt3R's; with one, all modes use that one.
    Raises WeightsError when neither is there, ReconstructionError when JOSH3R finds nobody to follow.
    """
    own = None
    if settings.mode != "baseline" and find(JOSH3R).present:
        own = _with_reason(reason, _by_josh3r(clip, people, body, settings, progress))
        if not find(MAST3R).present:
            return own
    return replace(_with_reason(reason, _by_mast3r(clip, people, body, settings, progress)), fast=own)


def _with_reason(reason: str, evidence: Evidence) -> Evidence:
    return replace(evidence, notes=(reason, *evidence.notes))


def _by_mast3r(clip: Clip, people: People, body: BodyModel, settings: Settings, progress: Progress) -> Evidence:
    network = load_mast3r(progress)
    with progress.stage("cameras"):
        scene = reconstruct_scene_mast3r(clip, people, network, settings, progress)
        clip, people = undistort_clip(clip, people, scene.cameras)
    with progress.stage("bodies"):
        observed = observe_people(people, scene.cameras, clip, settings.height_m)
        bodies = fit_observed(people, observed, scene.cameras.focal, body, settings.height_m, progress)
    evidence = evidence_of(clip, people, scene, FittedBodies(observed, bodies, body), progress)
    return replace(_with_licence(evidence, MAST3R, str(network.source)), depth_tied=False)


def _by_josh3r(clip: Clip, people: People, body: BodyModel, settings: Settings, progress: Progress) -> Evidence:
    network = load_josh3r(progress)
    scene, bodies = reconstruct_josh3r(clip, people, body, network, settings, progress)
    fitted = FittedBodies(observe_people(people, scene.cameras, clip, settings.height_m), bodies, body)
    evidence = _with_licence(evidence_of(clip, people, scene, fitted, progress), JOSH3R, str(network.source))
    note = "JOSH3R tells the metric scale from how people look."
    return replace(evidence, depth_tied=False, scale=Scale(1.0, "height", SCALE_SIGMA), notes=(*evidence.notes, note))


def _with_licence(evidence: Evidence, weight: Weight, source: str) -> Evidence:
    """Which weights the evidence is made with, and under which licence."""
    licences = (*LICENCES, f"{weight.name} weights: {weight.licence}")
    notes = (f"{weight.name} weights: {source}.", *evidence.notes)
    return replace(evidence, tier="hub", licences=licences, notes=notes)
