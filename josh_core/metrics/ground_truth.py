"""Ground truth of a clip, read from the file layouts that clips with known answers come in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from josh_core.body.names import JOINTS
from josh_core.errors import ResultError
from josh_core.geometry import invert, rigid
from josh_core.shapes import Shaped
from josh_core.types import Bool, Float, Int

# SMPL joints that every kind of ground truth has, whatever its body model (hips to wrists).
EVALUATED_JOINTS = tuple(
    f"{side}_{joint}" for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist") for side in ("left", "right")
)
_SHORT_NAMES = {f"{side}_{part}": f"{side[0].upper()}{part.capitalize()}" for side in ("left", "right") for part in
          ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")}  # fmt: skip


@dataclass(frozen=True)
class TruePerson(Shaped):
    """One person's true joints in the truth's world."""

    frames: Annotated[Int, "n"]  # frames of the truth at which the person is known
    limbs: Annotated[Float, "n 12 3"]  # m in the order of EVALUATED_JOINTS
    feet: Annotated[Float, "n 4 3"] | None = None  # m: left ankle, left toe base, right ankle, right toe base
    foot_contact: Annotated[Bool, "n 2"] | None = None  # left, right foot stands
    contact: Annotated[Bool, "n C"] | None = None  # touches and stands still, by GroundTruth.contact_names


@dataclass(frozen=True)
class GroundTruth(Shaped):
    """What is known of a clip. The world is any metric right-handed one; `up` says where up is."""

    fps: float  # of the truth's frames
    world_from_cam: Annotated[Float, "T 4 4"]  # m
    intrinsics: Annotated[Float, "3 3"]  # px
    size: tuple[int, int]  # width, height in px that the intrinsics belong to
    people: tuple[TruePerson, ...]
    up: Annotated[Float, "3"]  # unit
    floor_at_zero: bool  # the floor under the start is at height 0 along `up`
    scene_points: Annotated[Float, "P 3"] | None = None  # m
    contact_names: tuple[str, ...] = ()  # [C] such as "left_heel", "right_seat"


def load_truth(path: Path) -> GroundTruth:
    """Truth of an npz with cameras and 24 joints a person, or with calibrated cameras and named joints.

    Raises ResultError when the file is neither.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError):
        raise ResultError(f"The ground truth {Path(path).name!r} cannot be read; give an .npz file.") from None
    if "joint_names" in arrays and "R_world2cam" in arrays:
        return _named_joints(arrays)
    if "world_from_cam" in arrays and "person0_joints" in arrays:
        return _smpl_joints(arrays)
    raise ResultError(f"The ground truth {Path(path).name!r} has no known layout; see metrics/ground_truth.py.")


def limb_rows() -> list[int]:
    """Rows of EVALUATED_JOINTS among SMPL's 24 joints."""
    return [JOINTS.index(name) for name in EVALUATED_JOINTS]


def foot_rows() -> list[int]:
    """Rows of left ankle, left toe base, right ankle and right toe base among SMPL's 24 joints."""
    return [JOINTS.index(f"{side}_{part}") for side in ("left", "right") for part in ("ankle", "foot")]


def _smpl_joints(arrays: dict[str, Any]) -> GroundTruth:
    """World +Y up with the floor at 0; person{k}_joints [T,24,3], person{k}_valid [T], person{k}_foot_contact [T,2]."""
    people: list[TruePerson] = []
    while f"person{len(people)}_joints" in arrays:
        k = len(people)
        frames = np.flatnonzero(arrays[f"person{k}_valid"])
        joints = arrays[f"person{k}_joints"][frames].astype(np.float64)
        standing, contact = arrays.get(f"person{k}_foot_contact"), arrays.get(f"person{k}_contact")
        people.append(
            TruePerson(
                frames,
                joints[:, limb_rows()],
                joints[:, foot_rows()],
                None if standing is None else standing[frames].astype(bool),
                None if contact is None else contact[frames].astype(bool),
            )
        )
    k = arrays["intrinsics"].astype(np.float64)
    width, height = (int(v) for v in arrays.get("image_size", (2 * k[0, 2], 2 * k[1, 2])))
    return GroundTruth(
        fps=float(arrays["fps"]),
        world_from_cam=arrays["world_from_cam"].astype(np.float64),
        intrinsics=k,
        size=(width, height),
        people=tuple(people),
        up=np.array([0.0, 1.0, 0.0]),
        floor_at_zero=True,
        scene_points=arrays.get("scene_points"),
        contact_names=tuple(str(name) for name in arrays.get("contact_names", ())),
    )


def _named_joints(arrays: dict[str, Any]) -> GroundTruth:
    """World +Z up, floor anywhere; one person with joints_world [T,J,3] named like "LHip"; no contact labels."""
    names = [str(name) for name in arrays["joint_names"]]
    joints = arrays["joints_world"].astype(np.float64)
    limbs = joints[:, [names.index(_SHORT_NAMES[name]) for name in EVALUATED_JOINTS]]
    frames = np.flatnonzero(np.isfinite(limbs).all((1, 2)))
    cam_from_world = rigid(arrays["R_world2cam"].astype(np.float64), arrays["t_world2cam"].astype(np.float64))
    return GroundTruth(
        fps=float(arrays["fps"]),
        world_from_cam=invert(cam_from_world),
        intrinsics=arrays["K"].astype(np.float64),
        size=(int(arrays["size"][0]), int(arrays["size"][1])),
        people=(TruePerson(frames, limbs[frames]),),
        up=np.array([0.0, 0.0, 1.0]),
        floor_at_zero=False,
    )
