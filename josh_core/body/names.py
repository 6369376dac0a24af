"""Names and order of SMPL's 24 joints and BlazePose's 33 landmarks; kinds of contact points by their names."""

from __future__ import annotations

JOINTS = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

LANDMARKS = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
)


def mirrored_order(names: tuple[str, ...]) -> tuple[int, ...]:
    """For each name the index of the other side's, e.g. of "right_knee" for "left_knee"; its own without a side."""
    other = {"left": "right", "right": "left"}
    return tuple(names.index("_".join(other.get(word, word) for word in name.split("_"))) for name in names)


MIRRORED_JOINTS, MIRRORED_LANDMARKS = mirrored_order(JOINTS), mirrored_order(LANDMARKS)

SHOULDER_LANDMARKS = LANDMARKS.index("left_shoulder"), LANDMARKS.index("right_shoulder")
HIP_LANDMARKS = LANDMARKS.index("left_hip"), LANDMARKS.index("right_hip")
LIMB_LANDMARKS = tuple(
    LANDMARKS.index(f"{side}_{x}")
    for x in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
FOOT_LANDMARKS = tuple(
    LANDMARKS.index(f"{side}_{x}") for x in ("ankle", "heel", "foot_index") for side in ("left", "right")
)

# Parts of the names of contact points.
FEET = ("heel", "sole", "ball", "toe")
LIMBS = ("hand", "knee", "shin", "elbow", "forearm")  # on the floor when low
SEAT = ("seat", "thigh")  # bear weight on any surface while sitting; all other points only when low


def is_part(name: str, parts: tuple[str, ...]) -> bool:
    """Whether a contact point such as "left_big_toe" belongs to one of the parts."""
    return any(part in name for part in parts)
