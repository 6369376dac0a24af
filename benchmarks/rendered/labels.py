"""Labels for the student from rendered clips: the landmark network's output with the exact truth.

    python -m benchmarks.rendered.labels CLIPS_OR_FOLDERS --out DIR

A clip needs its NAME_truth.npz beside it. The files are of the same kind as `josh label` writes, so `josh train`
takes them too; all their targets are trusted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.clips import clip_files, true_path
from benchmarks.rendered.truth import CONTACT_NAMES
from josh_core import __version__
from josh_core.body.model import BodyModel, load_body
from josh_core.bodyfit.fit import observe_people
from josh_core.bodyfit.observations import Observations
from josh_core.clip.file_hash import file_sha256
from josh_core.clip.load import load_clip
from josh_core.errors import JoshError
from josh_core.geometry import interpolate_linear, interpolate_rotations, invert, rotvec_to_rotmat, transform
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.student.estimate import student_input
from josh_core.student.features import FPS
from josh_core.student.parts import PARTS
from josh_core.student.training.label_file import INPUT_FIELDS, Label, write_label
from josh_core.student.training.simulate import MASKS
from josh_core.tracking.tracker import find_people
from josh_core.types import CameraKind, CameraPath, Clip, Float, People, Track

FARTHEST = 0.2  # m across the line of sight, median over landmarks, that a track may lie from its person
TRAVELS, TURNS = 0.05, 0.01  # m and rad over the clip, from which a camera counts as moving or turning
HIPS = [23, 24]  # landmarks


def main() -> None:
    """Parse, look at every clip, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    body = load_body()
    for path in (c for c in clip_files(args.clips) if true_path(c).exists()):
        target = args.out / f"{file_sha256(path)}.npz"
        if target.exists():
            continue
        try:
            clip = load_clip(path, Settings(), Progress())
            people = find_people(clip, Settings(), Progress())
        except JoshError as error:
            print(f"{path.name}: {error}", flush=True)
            continue
        with np.load(true_path(path), allow_pickle=False) as truth:
            label = label_of(clip, people, dict(truth), body)
        print(f"{path.name}: {len(label.people)} people", flush=True)
        if label.people:
            write_label(label, target)


def label_of(clip: Clip, people: People, truth: dict[str, Float], body: BodyModel) -> Label:
    """The label of all true people that were tracked."""
    cameras = true_cameras(clip, truth)
    observed = observe_people(people, cameras, clip, None)
    found = []
    for index in range(sum(name.endswith("_joints") for name in truth)):
        person = {k.removeprefix(f"person{index}_"): v for k, v in truth.items() if k.startswith(f"person{index}_")}
        hips = _hips(person, cameras.world_from_cam[_rows(clip, truth)], body, _rows(clip, truth))
        near = [
            (_distance(track, obs, hips), k) for k, (track, obs) in enumerate(zip(people.tracks, observed, strict=True))
        ]
        away, best = min(near, default=(np.inf, 0))
        if away < FARTHEST:
            found.append(_person(people.tracks[best], observed[best], (clip, cameras), truth, person))
    about = {"program": __version__, "mode": "truth", "thresholds": {}}
    return Label(tuple(found), about)


def true_cameras(clip: Clip, truth: dict[str, Float]) -> CameraPath:
    """The camera of the truth at the clip's frames."""
    path = truth["world_from_cam"][_rows(clip, truth)]
    centre = path[:, :3, 3]
    turn = np.arccos(np.clip((np.einsum("tii->t", path[0, :3, :3].T @ path[:, :3, :3]) - 1) / 2, -1, 1)).max()
    kind: CameraKind = "rotating" if turn > TURNS else "static"
    if np.ptp(centre, axis=0).max() > TRAVELS:
        kind = "moving"
    focal = float(truth["intrinsics"][0, 0]) * clip.width / float(truth["image_size"][0])
    every = np.arange(len(path))
    return CameraPath(kind, path, focal, 0.0, every, np.ones(len(path), bool))


def _rows(clip: Clip, truth: dict[str, Float]) -> Float:
    """Frames of the truth [T] at the clip's times."""
    return np.clip(np.round(clip.times * float(truth["fps"])).astype(int), 0, len(truth["world_from_cam"]) - 1)


def _hips(person: dict[str, Float], world_from_cam: Float, body: BodyModel, rows: Float) -> Float:
    """Middle of the hip landmarks [T,3] m in the camera."""
    with torch.no_grad():
        posed = body.points(
            torch.as_tensor(person["betas"]).float().expand(len(rows), -1),
            torch.as_tensor(rotvec_to_rotmat(person["pose"][rows].astype(np.float64))).float(),
            torch.as_tensor(person["transl"][rows]).float(),
        )
    return transform(invert(world_from_cam), posed.landmarks[:, HIPS].double().numpy()).mean(1)


def _distance(track: Track, obs: Observations, hips: Float) -> float:
    """Median distance across the line of sight [m] between a track's hips and the person's."""
    at = hips[track.frames]
    return float(np.median(np.linalg.norm(obs.rays[:, HIPS].mean(1) * at[:, 2:] - at[:, :2], axis=-1)))


def _person(
    track: Track,
    obs: Observations,
    view: tuple[Clip, CameraPath],
    truth: dict[str, Float],
    person: dict[str, Float],
) -> dict[str, Float]:
    """The arrays of one person (label_file.INPUT_FIELDS and TARGET_FIELDS) at FPS frames a second."""
    clip, cameras = view
    at = np.arange(obs.times[0], obs.times[-1] + 0.5 / FPS, 1 / FPS)
    seen = student_input(obs, cameras, clip.times, at)
    times = np.arange(len(truth["world_from_cam"])) / float(truth["fps"])
    world_from_cam = truth["world_from_cam"].astype(np.float64)
    turned = rotvec_to_rotmat(person["pose"].astype(np.float64))
    root = person["joints"][:, 0].astype(np.float64)
    pelvis = transform(invert(world_from_cam), root[:, None])[:, 0]
    velocity = np.einsum("nji,nj->ni", turned[:, 0], np.gradient(root, times, axis=0))
    local = turned.copy()
    local[:, 0] = world_from_cam[:, :3, :3].swapaxes(-1, -2) @ turned[:, 0]
    linear = {"pelvis": pelvis, "up": world_from_cam[:, 1, :3], "velocity": velocity, "touch": _touch(person)}
    turns = {"rotations": local, "world_from_cam": world_from_cam[:, :3, :3]}
    arrays = {
        **{name: getattr(seen, name).numpy() for name in INPUT_FIELDS},
        **{name: interpolate_linear(value, times, at) for name, value in linear.items()},
        **{name: interpolate_rotations(value, times, at) for name, value in turns.items()},
        "betas": person["betas"],
        "mask": np.ones(len(MASKS)),
    }
    return {name: np.asarray(value, np.float32) for name, value in arrays.items()}


def _touch(person: dict[str, Float]) -> Float:
    """[T,P] in the order of the student's parts; knees never touch in these clips."""
    columns = {name: person["contact"][:, k] for k, name in enumerate(CONTACT_NAMES)}
    columns["seat"] = columns["left_seat"]
    never = np.zeros(len(person["contact"]))
    return np.stack([columns.get(part, never) for part in PARTS], 1).astype(np.float64)


if __name__ == "__main__":
    main()
