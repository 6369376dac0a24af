"""The whole method as one readable function: a clip becomes one result per mode, all in the same kind of world."""

from __future__ import annotations

import gc
import importlib.metadata
import logging
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from josh_core import __version__, modes
from josh_core.body.model import load_body
from josh_core.bodyfit.fit import fit_observed, observe_people
from josh_core.clip.load import load_clip
from josh_core.clip.not_filmed import still_picture
from josh_core.errors import SettingsError, WeightsError
from josh_core.evidence import Evidence, FittedBodies, evidence_of, with_scene
from josh_core.export import early_results
from josh_core.export.appearance import with_appearance
from josh_core.export.bundle import save_bundle
from josh_core.export.scene3d.glb import glb_bytes
from josh_core.metrics.pace import pace_notes
from josh_core.metrics.quality import measure
from josh_core.metrics.seen import feet_seen_pct, heads_seen_pct, match_cover_pct
from josh_core.networks.weights import LICENCES, choose_tier
from josh_core.progress import Progress
from josh_core.scene import PointFollower, solve_scene, with_dense_depth
from josh_core.scene.camera.lens import lens_error, lens_notes, lens_numbers
from josh_core.scene.camera.pinhole import pinhole_notes
from josh_core.scene.camera.zoom import zoom_notes
from josh_core.scene.matching.features import load_xfeat
from josh_core.scene.surface.point_cloud import point_cloud
from josh_core.settings import MODES, Settings
from josh_core.student.estimate import estimate_people
from josh_core.student.evidence import contacts_with_student, with_student
from josh_core.student.feed_forward import feed_forward_bodies
from josh_core.student.network import load_student
from josh_core.threads import one_thread
from josh_core.tracking.inset_people import without_inset_people
from josh_core.tracking.landmarker import load_landmarker
from josh_core.tracking.tracker import find_people
from josh_core.tracking.unseen import unseen_notes
from josh_core.types import Clip, People, Reconstruction

QUICK = 2  # modes that are finished together: baseline and fast, which take moments once the evidence is there
_log = logging.getLogger(__name__)


def run(path: Path | str, settings: Settings, progress: Progress | None = None) -> dict[str, Reconstruction]:
    """Reconstruct a clip: a result for every mode up to the one asked for, by mode.

    Raises JoshError (a sentence for the user) for bad input, Cancelled when `progress` says so.
    """
    progress = progress or Progress()
    with progress.stage("clip"):
        clip = load_clip(path, settings, progress)
    return assemble(gather(clip, settings, progress), settings, progress)


def gather(clip: Clip, settings: Settings, progress: Progress) -> Evidence:
    """Everything up to the contacts, which all modes share.

    Mode `fast` looks at a scene without dense depth; a run that ends there has none at all.
    """
    choice = choose_tier(settings)
    if choice.tier == "hub":
        from josh_core.hub.front_end import gather_hub

        if settings.feed_forward:
            raise SettingsError("Bodies straight from the student (feed_forward) need the tier embedded.")
        clip, people = _find_people(clip, settings, progress)
        return gather_hub(clip, people, load_body(), settings, progress, choice.reason)
    return _gather_embedded(clip, settings, progress)


def _find_people(clip: Clip, settings: Settings, progress: Progress) -> tuple[Clip, People]:
    """The people, and the clip with a note where more of them may be in it."""
    with progress.stage("people"):
        people, left_out = without_inset_people(find_people(clip, settings, progress), clip)
        clip = still_picture.marked(clip)
        clip = replace(clip, notes=(*clip.notes, *left_out, *unseen_notes(people, clip)))
        progress.show(early_results.PEOPLE, lambda: early_results.people_found(clip, people))
    return clip, people


@one_thread()
def _gather_embedded(clip: Clip, settings: Settings, progress: Progress) -> Evidence:
    """Everything up to the contacts, with the networks that come with the package."""
    body = load_body()
    with PointFollower(clip) as points:
        clip, people = _find_people(clip, settings, progress)
        with progress.stage("cameras"):
            solved = solve_scene(clip, people, settings, progress, points)
            scene = solved.scene if settings.mode == "fast" else with_dense_depth(solved, progress)
            people = solved.people
            clip = replace(
                solved.clip, notes=(*solved.clip.notes, *zoom_notes(scene.cameras), *pinhole_notes(scene.cameras))
            )
            if scene.cameras.kind == "moving":  # another camera's place is known only once people stand in it
                progress.show(
                    early_results.PLACE,
                    lambda: early_results.place_found(clip, scene.cameras, point_cloud(clip, people, scene), body),
                )
    with progress.stage("student"):
        observed = observe_people(people, scene.cameras, clip, settings.height_m)
        estimates = estimate_people(people, observed, scene.cameras, clip.times, body) if settings.use_student else ()
        observed = tuple(map(with_student, observed, estimates)) or observed
    with progress.stage("bodies"):
        given = (people, observed, scene.cameras.focal, body, settings.height_m)
        bodies = feed_forward_bodies(estimates, *given) if settings.feed_forward else fit_observed(*given, progress)
    fitted = FittedBodies(observed, bodies, body, tuple(e.contact for e in estimates), tuple(e.up for e in estimates))
    evidence = evidence_of(clip, people, scene, fitted, progress)
    if estimates:
        evidence = replace(evidence, contacts=tuple(map(contacts_with_student, evidence.contacts, estimates)))
    evidence = replace(evidence, licences=LICENCES)
    return replace(evidence, fast=with_scene(evidence, solved.scene)) if settings.mode == "refine" else evidence


def assemble(evidence: Evidence, settings: Settings, progress: Progress) -> dict[str, Reconstruction]:
    """The results of all modes up to settings.mode."""
    return {mode: r for part in assemble_in_turn(evidence, settings, progress) for mode, r in part.items()}


def assemble_in_turn(evidence: Evidence, settings: Settings, progress: Progress) -> Iterator[dict[str, Reconstruction]]:
    """The same in the order in which they are finished: all that is quick together, then `refine`."""
    wanted = MODES[: MODES.index(settings.mode) + 1]
    for modes_ in (wanted[:QUICK], wanted[QUICK:]):
        if modes_:
            yield _assemble(evidence, settings, modes_, progress)


@one_thread()
def _assemble(
    evidence: Evidence, settings: Settings, wanted: tuple[str, ...], progress: Progress
) -> dict[str, Reconstruction]:
    recipes: dict[str, tuple[str, Callable[[], Reconstruction]]] = {
        "baseline": ("world", lambda: modes.baseline(evidence)),
        "fast": ("world", lambda: modes.fast(evidence.fast or evidence)),
        "refine": ("joint", lambda: modes.refined(evidence, settings, progress)),
    }
    results: dict[str, Reconstruction] = {}
    for mode in wanted:
        stage, make = recipes[mode]
        with progress.stage(stage):
            results[mode] = make()
    with progress.stage("joint_looks" if "refine" in results else "looks"):
        results = _with_appearance(results, evidence, progress)
    return {mode: _finish(r, evidence, settings.with_options(mode=mode), progress) for mode, r in results.items()}


def _with_appearance(results: dict[str, Reconstruction], e: Evidence, progress: Progress) -> dict[str, Reconstruction]:
    """Everybody's colours by the bodies of the last mode, which cover the clip best; the same in all modes."""
    best = with_appearance(list(results.values())[-1], e.body, e.clip, e.people, progress)
    appearance: dict[int, dict[str, Any]] = {
        p.id: {"colors": p.colors, "colors_seen": p.colors_seen} for p in best.people
    }
    return {
        mode: replace(r, people=tuple(replace(p, **appearance[p.id]) for p in r.people)) for mode, r in results.items()
    }


def warm_up() -> None:
    """Load what every run needs, so that the first visitor does not wait for it.

    What is loaded is hidden from Python's search for garbage, which would look through all of it again and again.
    With CUDA these are also the hub tier's networks, which ZeroGPU wants on their device before it lends a GPU. Weights
    that cannot be read are left to the run that needs them, which tells the visitor what is wrong.
    """
    torch.set_num_threads(max(1, os.cpu_count() or 1))
    load_body()
    load_xfeat()
    load_student()
    load_landmarker()
    if torch.cuda.is_available():
        from josh_core.networks.loaded import load_present

        try:
            load_present()
        except WeightsError as error:
            _log.warning("%s", error)
    gc.collect()
    gc.freeze()


def write(results: dict[str, Reconstruction], out: Path, flat: bool = False, key: str = "") -> dict[str, Path]:
    """Write each result (bundle and result.glb) to out/<mode>, or a single one to `out` itself when `flat`."""
    body = load_body()
    written = {}
    for mode, result in results.items():
        folder = out if flat else out / mode
        save_bundle(result, folder, key, files={"result.glb": glb_bytes(result, body)})
        written[mode] = folder
    return written


def _finish(r: Reconstruction, e: Evidence, settings: Settings, progress: Progress) -> Reconstruction:
    """Numbers, versions and times beside the result."""
    focal, cameras, given = float(r.intrinsics[0, 0]), e.scene.cameras, settings.focal_px is not None
    seen = {
        "feet_seen_pct": feet_seen_pct(e.people, e.clip),
        "heads_seen_pct": heads_seen_pct(e.people, e.clip),
        "match_cover_pct": match_cover_pct(e.scene.matches, cameras, e.people, e.clip),
        **lens_numbers(cameras, focal, e.clip, given),
        "still_picture": e.clip.still,
    }
    beyond = 100 * lens_error(cameras, e.clip)
    sigmas = {key: float(np.hypot(r.quality[key], beyond)) for key in ("scale_sigma_pct", "focal_sigma_pct")}
    quality = {**measure(r, e.body, e.people), **seen, **r.quality, **sigmas}
    return replace(
        r,
        quality=quality,
        notes=(*r.notes, *lens_notes(focal, cameras, e.clip, given), *pace_notes(quality)),
        stages=tuple(progress.seconds.items()),
        settings=settings.to_dict(),
        versions=_versions(),
        clip={
            "sha256": e.clip.sha256,
            "name": e.clip.name,
            "seconds": float(e.clip.times[-1]),
            "start": e.clip.start,
            "trimmed": bool(e.clip.times[-1] + 1.5 / e.clip.fps < e.clip.source_seconds),
            "notes": list(e.clip.notes),
        },
    )


def _versions() -> dict[str, str]:
    names = ("torch", "numpy", "scipy", "opencv-contrib-python", "mediapipe", "kornia", "pycolmap", "smplx")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"josh_core": __version__, "python": platform.python_version(), **found}
