"""JOSH as teacher: runs `refine` on unlabelled clips and trusts its results where its own quality numbers are good.

Trust is decided for each person and each kind of target (MASKS), by the thresholds of the quality table. Shape is never
taught, nor gravity unless the camera travels, since there JOSH only assumes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from josh_core import __version__
from josh_core.bodyfit.fit import observe_people
from josh_core.clip.file_hash import file_sha256
from josh_core.errors import JoshError
from josh_core.evidence import Evidence
from josh_core.geometry import interpolate_linear, interpolate_rotations, invert, rotvec_to_rotmat, transform
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.student.estimate import student_input
from josh_core.student.features import FPS
from josh_core.student.parts import part_columns
from josh_core.student.training.label_file import INPUT_FIELDS, Label, read_label, write_label
from josh_core.student.training.simulate import MASKS
from josh_core.types import Engine, Float, PersonMotion, Reconstruction

# The first three are bounds of the quality table (metrics/verdicts.py), the others are chosen by hand.
MAX_SLIDE_MM = 5.0  # a frame
MAX_REPROJECTION_PCT = 3.0  # of the person's height, median over well visible landmarks
MAX_FOOT_HEIGHT_CM = 8.0  # distance of touching feet from the floor
MIN_SHARE = 0.9  # share of the frames between the person's first and last in which there are landmarks
MIN_FRAMES = 16  # of a person, half a second
THRESHOLDS = {
    "foot_slide_mm": MAX_SLIDE_MM,
    "reprojection_pct": MAX_REPROJECTION_PCT,
    "foot_height_cm": MAX_FOOT_HEIGHT_CM,
    "frames_share": MIN_SHARE,
    "frames": MIN_FRAMES,
}


@dataclass(frozen=True)
class LabelReport:
    """Outcome by clip, as file names."""

    made: tuple[str, ...]
    there: tuple[str, ...]  # already had a label
    failed: tuple[str, ...]  # each is also a line of failures.jsonl


def label_clips(
    clips: list[Path], out: Path, engine: Engine, settings: Settings, shard: tuple[int, int] = (0, 1)
) -> LabelReport:
    """Make a label for each clip of this shard that has none yet; failures go to failures_I_of_N.jsonl, one line each.

    shard: (I, N) takes every Nth clip from the Ith on, in the order of the clips' hashes, so that N machines can share
    the work without communication.
    """
    out.mkdir(parents=True, exist_ok=True)
    by_content = {file_sha256(path): path for path in clips}  # the same clip under two names is one clip
    index, count = shard
    mine = [by_content[name] for name in sorted(by_content)[index::count]]
    todo = [path for path in mine if not label_path(path, out).exists()]
    made, failed = [], []
    for path, error in engine(partial(label_clip, out=out, settings=settings), todo):
        if error is None:
            made.append(path.name)
        else:
            failed.append(path.name)
            line = json.dumps({"clip": path.name, "sha256": file_sha256(path), "error": error})
            with (out / f"failures_{index}_of_{count}.jsonl").open("a") as file:
                file.write(line + "\n")
    return LabelReport(tuple(made), tuple(p.name for p in mine if p not in todo), tuple(failed))


def label_clip(path: Path, out: Path, settings: Settings) -> str | None:
    """Make one label. Returns None, or the reason in one sentence if it failed; an existing label is kept."""
    from josh_core import pipeline

    target = label_path(path, out)
    if target.exists():
        return None
    try:
        progress = Progress()
        clip = pipeline.load_clip(path, settings, progress)
        evidence = pipeline.gather(clip, settings, progress)
        result = pipeline.assemble(evidence, settings, progress)[settings.mode]
        label = make_label(evidence, result, file_sha256(path), settings)
        if not any(person["mask"].any() for person in label.people):
            return "Nothing in the result is good enough to be learnt."
        write_label(label, target)
        read_label(target)
    except JoshError as error:
        return str(error)
    return None


def label_path(clip: Path, out: Path) -> Path:
    """Path of the label of a clip: the hash of its content as name."""
    return out / f"{file_sha256(clip)}.npz"


def make_label(e: Evidence, result: Reconstruction, sha256: str, settings: Settings) -> Label:
    """The label from a result: every person, resampled to FPS."""
    observed = observe_people(e.people, e.scene.cameras, e.clip, settings.height_m)
    people = []
    for person in result.people:
        k = next(i for i, track in enumerate(e.people.tracks) if track.id == person.id)
        times = observed[k].times
        at = np.arange(times[0], times[-1] + 0.5 / FPS, 1 / FPS)
        seen = student_input(observed[k], e.scene.cameras, e.clip.times, at)
        targets = _targets(e, result, person, at)
        arrays = {
            **{name: getattr(seen, name).numpy() for name in INPUT_FIELDS},
            **targets,
            "mask": _trust_mask(result, person),
        }
        people.append({name: np.asarray(value, np.float32) for name, value in arrays.items()})
    about = {
        "sha256": sha256,
        "program": __version__,
        "mode": result.mode,
        "settings": settings.to_dict(),
        "quality": result.quality,
        "thresholds": THRESHOLDS,
        "scale_source": result.scale_source,
        "camera": result.camera_kind,
    }
    return Label(tuple(people), about)


def _targets(e: Evidence, result: Reconstruction, person: PersonMotion, at: Float) -> dict[str, Float]:
    """TARGET_FIELDS without the mask, at times `at` [m] s.

    Depths are converted to the focal length of the evidence, which the landmarks' rays were computed with.
    """
    times = result.frame_times[person.frames]
    world_from_cam = result.world_from_cam[person.frames].astype(np.float64)
    turned = rotvec_to_rotmat(person.pose.astype(np.float64))
    root = person.joints[:, 0].astype(np.float64)
    pelvis = transform(invert(world_from_cam), root[:, None])[:, 0]
    pelvis[:, 2] *= e.scene.cameras.focal / float(result.intrinsics[0, 0])
    speed = np.gradient(root, times, axis=0) if len(times) > 1 else np.zeros_like(root)
    in_root = np.einsum("nji,nj->ni", turned[:, 0], speed)
    local = turned.copy()
    local[:, 0] = world_from_cam[:, :3, :3].swapaxes(-1, -2) @ turned[:, 0]
    touch = np.stack([person.contact[:, c].max(1) for c in part_columns(e.body)], 1)
    linear = {"pelvis": pelvis, "up": world_from_cam[:, 1, :3], "velocity": in_root, "touch": touch}
    turns = {"rotations": local, "world_from_cam": world_from_cam[:, :3, :3]}
    return {
        "betas": person.betas,
        **{name: interpolate_linear(value, times, at) for name, value in linear.items()},
        **{name: interpolate_rotations(value, times, at) for name, value in turns.items()},
    }


def _trust_mask(result: Reconstruction, person: PersonMotion) -> Float:
    """[MASKS] 1 where the quality numbers of this person are good enough, else 0."""
    numbers: dict[str, object] = next((p for p in result.quality["people"] if p["id"] == person.id), {})
    span = int(np.ptp(person.frames)) + 1
    whole = len(person.frames) >= max(MIN_FRAMES, MIN_SHARE * span)
    lies = _at_most(numbers, result, "reprojection_pct", MAX_REPROJECTION_PCT)
    stands = _at_most(numbers, result, "foot_slide_mm", MAX_SLIDE_MM) and _at_most(
        numbers, result, "foot_height_cm", MAX_FOOT_HEIGHT_CM
    )
    scaled = result.scale_source == "contact" or result.camera_kind != "moving"
    trusted = {
        "pose": whole and lies,
        "betas": False,
        "place": whole and lies and scaled,
        "up": whole and stands and result.camera_kind == "moving" and scaled,
        "velocity": whole and stands and scaled,
        "touch": whole and stands,
    }
    return np.array([float(trusted[name]) for name in MASKS])


def _at_most(numbers: dict[str, object], result: Reconstruction, key: str, most: float) -> bool:
    """Whether a quality number, of the person or else of the whole result, was measured and is at most `most`."""
    value = numbers.get(key, result.quality.get(key))
    return isinstance(value, (int, float)) and value <= most
