"""A label file: observations of the people in one clip, JOSH's results as training targets, and which are trusted.

One npz without pickle, at FPS frames a second. For each person k: `person{k}_` + every field of features.StudentInput,
and `rotations` [m,24,3,3] (root in camera axes), `betas` [10], `pelvis` [m,3] m in the camera, `up` [m,3], `velocity`
[m,3] m/s in the axes of the root, `touch` [m,P], `world_from_cam` [m,3,3], `mask` [MASKS]. `about` is JSON: format,
version, clip hash, program version, settings, quality, thresholds.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from josh_core.errors import ResultError
from josh_core.student.features import StudentInput, student_features
from josh_core.student.training.simulate import Truth
from josh_core.student.training.train import Windows
from josh_core.types import Float

FORMAT, VERSION = "josh-label", 1
INPUT_FIELDS = tuple(f.name for f in fields(StudentInput))
TARGET_FIELDS = ("rotations", "betas", "pelvis", "up", "velocity", "touch", "world_from_cam", "mask")


@dataclass(frozen=True)
class Label:
    """The people of one clip, and where the label comes from."""

    people: tuple[dict[str, Float], ...]  # by the names of INPUT_FIELDS and TARGET_FIELDS
    about: dict[str, Any]


def write_label(label: Label, path: Path) -> None:
    """Write the file completely or not at all: a file under the final name means that the clip is done."""
    arrays = {f"person{k}_{name}": value for k, person in enumerate(label.people) for name, value in person.items()}
    about = {"format": FORMAT, "version": VERSION, **label.about}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps(about)), **dict[str, Any](arrays))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_label(path: Path) -> Label:
    """Raises ResultError when the file is not a label of this version."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        about = json.loads(str(arrays["about"]))
        assert (about["format"], about["version"]) == (FORMAT, VERSION)
        people: list[dict[str, Float]] = []
        while f"person{len(people)}_mask" in arrays:
            k = len(people)
            people.append({name: arrays[f"person{k}_{name}"] for name in (*INPUT_FIELDS, *TARGET_FIELDS)})
    except (OSError, ValueError, KeyError, AssertionError, EOFError, zipfile.BadZipFile, zlib.error):
        raise ResultError(f"{path.name} is not a label file of version {VERSION}; make it with `label`.") from None
    return Label(tuple(people), about)


def windows(labels: list[Label], frames: int) -> Windows | None:
    """All windows of `frames` frames, overlapping by half, of people with a trusted label; None if there are none."""
    people = [person for label in labels for person in label.people if person["mask"].any()]
    parts = [
        _window(person, slice(start, start + frames))
        for person in people
        for start in range(0, len(person["rays"]) - frames + 1, max(1, frames // 2))
    ]
    if not parts:
        return None
    truth = {name: torch.stack([vars(t)[name] for _, t in parts]) for name in vars(parts[0][1])}
    return Windows(torch.stack([f for f, _ in parts]), Truth(**truth))


def _window(person: dict[str, Float], rows: slice) -> tuple[torch.Tensor, Truth]:
    def tensor(name: str) -> torch.Tensor:
        value = person[name] if name in ("betas", "mask") else person[name][rows]
        return torch.as_tensor(value, dtype=torch.float32)

    given = student_features(StudentInput(*(tensor(name) for name in INPUT_FIELDS)))
    rotations, pelvis = tensor("rotations").clone(), (tensor("pelvis")[..., None, :] @ given.sight)[..., 0, :]
    rotations[:, 0] = given.sight.mT @ rotations[:, 0]
    depth = pelvis[..., 2].clamp_min(0.3)
    return given.features, Truth(
        rotations=rotations,
        betas=tensor("betas"),
        log_depth=(depth * given.size).log(),
        offset=(pelvis[..., :2] / depth[..., None] - given.middle) / given.size[..., None],
        up=(tensor("up")[..., None, :] @ given.sight)[..., 0, :],
        velocity=tensor("velocity"),
        touch=tensor("touch"),
        world_from_sight=tensor("world_from_cam") @ given.sight,
        mask=tensor("mask"),
    )
