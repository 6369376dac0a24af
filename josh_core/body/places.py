"""Named places on a body: contact points and BlazePose's landmarks, found on any mesh in SMPL's rest pose.

A place is the outermost vertex along a ray that starts between joints of the rest pose, so one table serves every
topology. Directions are for the left side (x to the left, y up, z forward); the right side is the mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from josh_core.body.names import JOINTS, LANDMARKS
from josh_core.types import Float, Int

# Chosen by hand, except where a measurement or a source is given.
OFF_RAY_COST = 2.5  # metres of reach that a metre beside the ray costs


@dataclass(frozen=True)
class Place:
    """Outermost vertex of some body parts along a ray in the rest pose."""

    name: str  # without side
    start: dict[str, float]  # joints (without side) and their shares; the ray begins at their weighted mean
    direction: tuple[float, float, float]  # of the left side
    parts: tuple[str, ...]  # the vertex belongs mostly to one of these joints


# fmt: off
PAIRED_CONTACTS = (
    Place("heel", {"ankle": 1}, (0.0, -1.0, -0.55), ("ankle",)),
    Place("sole", {"ankle": 0.55, "foot": 0.45}, (0.15, -1.0, 0.0), ("ankle",)),
    Place("ball_inner", {"foot": 1}, (-1.0, -0.6, -0.15), ("foot", "ankle")),
    Place("ball_outer", {"foot": 1}, (1.0, -0.5, -0.4), ("foot", "ankle")),
    Place("big_toe", {"foot": 1}, (-0.75, -0.5, 1.0), ("foot",)),
    Place("small_toe", {"foot": 1}, (1.0, -0.6, 0.6), ("foot",)),
    Place("hand", {"wrist": 0.35, "hand": 0.65}, (0.0, -1.0, 0.0), ("wrist", "hand")),
    Place("knuckles", {"wrist": 0.2, "hand": 0.8}, (0.0, 1.0, 0.0), ("wrist", "hand")),
    Place("hand_tip", {"hand": 1}, (1.0, -0.3, 0.0), ("hand",)),
    Place("knee", {"knee": 1}, (0.0, -0.1, 1.0), ("knee", "hip")),
    Place("shin", {"knee": 0.6, "ankle": 0.4}, (0.0, 0.0, 1.0), ("knee",)),
    Place("elbow", {"elbow": 1}, (0.0, 0.0, -1.0), ("elbow", "shoulder")),
    Place("forearm", {"elbow": 0.55, "wrist": 0.45}, (0.0, -0.4, -1.0), ("elbow",)),
    Place("seat", {"hip": 1}, (0.0, -0.75, -1.0), ("hip", "pelvis")),
    Place("thigh", {"hip": 0.55, "knee": 0.45}, (0.0, 0.0, -1.0), ("hip",)),
    Place("hip_side", {"hip": 1}, (1.0, -0.1, 0.0), ("hip", "pelvis")),
    Place("shoulder_back", {"shoulder": 0.5, "collar": 0.5}, (0.0, -0.3, -1.0), ("collar", "spine3", "shoulder")),
)
MIDDLE_CONTACTS = (
    Place("lower_back", {"pelvis": 0.5, "spine1": 0.5}, (0.0, 0.0, -1.0), ("pelvis", "spine1", "spine2")),
    Place("middle_back", {"spine2": 0.5, "spine3": 0.5}, (0.0, 0.0, -1.0), ("spine1", "spine2", "spine3")),
    Place("upper_back", {"spine3": 0.4, "neck": 0.6}, (0.0, 0.0, -1.0), ("spine3", "neck")),
    Place("head", {"head": 1}, (0.0, 0.8, -1.0), ("head",)),
    Place("belly", {"spine1": 1}, (0.0, 0.0, 1.0), ("pelvis", "spine1", "spine2")),
    Place("chest", {"spine3": 0.5, "neck": 0.5}, (0.0, 0.0, 1.0), ("spine3",)),
)
PAIRED_LANDMARKS = (
    Place("eye_inner", {"head": 1}, (0.17, 0.36, 1.0), ("head",)),
    Place("eye", {"head": 1}, (0.32, 0.36, 1.0), ("head",)),
    Place("eye_outer", {"head": 1}, (0.48, 0.36, 1.0), ("head",)),
    Place("ear", {"head": 1}, (1.0, 0.3, 0.1), ("head",)),
    Place("mouth", {"head": 1}, (0.26, -0.25, 1.0), ("head",)),
    Place("pinky", {"wrist": 0.15, "hand": 0.85}, (0.0, 0.7, -0.8), ("hand", "wrist")),
    Place("index", {"wrist": 0.15, "hand": 0.85}, (0.0, -0.15, 1.0), ("hand", "wrist")),
    Place("thumb", {"wrist": 0.25, "hand": 0.75}, (0.0, -0.6, 0.6), ("hand", "wrist")),
    Place("heel", {"ankle": 1}, (0.0, -0.9, -1.0), ("ankle",)),
    Place("foot_index", {"foot": 1}, (-0.25, 0.05, 1.0), ("foot",)),
    Place("shoulder", {"shoulder": 1}, (-0.5, 1.0, 0.0), ("shoulder", "collar", "spine3")),
    Place("hip", {"hip": 1}, (-0.25, 0.1, 1.0), ("hip", "pelvis")),
)
MIDDLE_LANDMARKS = (Place("nose", {"head": 1}, (0.0, 0.06, 1.0), ("head",)),)
# Limb landmarks are mixtures of posed joints; a share under 1 leaves the rest to the surface place of that name.
# The shares follow what PoseLandmarker finds on renders of this body seen from all sides (12 headings, standing,
# stepping and sitting): hips 3 cm before the hip joints, wrists beyond and ankles above the joints, hands closed.
JOINT_LANDMARKS: dict[str, dict[str, float]] = {
    "shoulder": {"shoulder": 0.75},
    "elbow": {"elbow": 1.0},
    "wrist": {"wrist": 0.86, "hand": 0.14},
    "hip": {"hip": 0.62, "pelvis": 0.08},
    "knee": {"knee": 1.0},
    "ankle": {"ankle": 0.95, "knee": 0.05},
    "heel": {"ankle": 0.35},
    "foot_index": {"foot": 0.2},
    "index": {"hand": 0.35, "wrist": 0.1},
    "thumb": {"hand": 0.3, "wrist": 0.15},
}
# fmt: on


@dataclass(frozen=True)
class Places:
    """What a body file stores of its places."""

    contact_names: tuple[str, ...]  # [C]
    contact_vertices: Int  # [C]
    landmark_joints: Float  # [33,24] share of each posed joint
    landmark_vertices: Int  # [33] vertex that takes the remaining share


def find_places(vertices: Float, joints: Float, weights: Float) -> Places:
    """Contact points and landmarks of a body in its rest pose.

    vertices: [V,3] m; joints: [24,3] m; weights: [V,24].
    """
    mesh = (vertices, joints, weights)
    contacts = {p.name: _find(p, *mesh, side=None) for p in MIDDLE_CONTACTS}
    landmark = {p.name: _find(p, *mesh, side=None) for p in MIDDLE_LANDMARKS}
    for side in ("left", "right"):
        contacts |= {f"{side}_{p.name}": _find(p, *mesh, side=side) for p in PAIRED_CONTACTS}
        landmark |= {_landmark_name(p.name, side): _find(p, *mesh, side=side) for p in PAIRED_LANDMARKS}
    names = tuple(sorted(contacts, key=lambda n: (not n.startswith("left"), not n.startswith("right"))))
    return Places(
        contact_names=names,
        contact_vertices=np.array([contacts[n] for n in names]),
        landmark_joints=_joint_shares(),
        landmark_vertices=np.array([landmark.get(n, 0) for n in LANDMARKS]),
    )


def _joint_shares() -> Float:
    shares = np.zeros((len(LANDMARKS), len(JOINTS)))
    for side in ("left", "right"):
        for name, mix in JOINT_LANDMARKS.items():
            for joint, share in mix.items():
                shares[LANDMARKS.index(f"{side}_{name}"), _joint(joint, side)] = share
    return shares


def _landmark_name(name: str, side: str) -> str:
    return f"mouth_{side}" if name == "mouth" else f"{side}_{name}"


def _joint(name: str, side: str | None) -> int:
    return JOINTS.index(name if name in JOINTS else f"{side}_{name}")


def _find(place: Place, vertices: Float, joints: Float, weights: Float, side: str | None) -> int:
    """Vertex of the place, `side` "left", "right" or None for the middle of the body."""
    start = np.sum([share * joints[_joint(j, side)] for j, share in place.start.items()], axis=0)
    direction = np.array(place.direction) * ([-1, 1, 1] if side == "right" else 1)
    direction = direction / np.linalg.norm(direction)
    allowed = np.isin(weights.argmax(1), [_joint(p, side) for p in place.parts])
    arm = vertices - start
    along = arm @ direction
    beside = np.linalg.norm(arm - along[:, None] * direction, axis=-1)
    towards_left = 1e-3 * vertices[:, 0]  # decides between mirror images
    return int(np.where(allowed, along - OFF_RAY_COST * beside + towards_left, -np.inf).argmax())
