"""SMPL's 24 joints under the names of other skeletons, by which tools retarget motion to their characters."""

from __future__ import annotations

# SMPL's joints in the order of JOINTS under the names that Mixamo gives a skeleton; tools retarget by them.
MIXAMO = tuple(
    f"mixamorig:{name}"
    for name in (
        "Hips", "LeftUpLeg", "RightUpLeg", "Spine", "LeftLeg", "RightLeg", "Spine1", "LeftFoot", "RightFoot", "Spine2",
        "LeftToeBase", "RightToeBase", "Neck", "LeftShoulder", "RightShoulder", "Head", "LeftArm", "RightArm",
        "LeftForeArm", "RightForeArm", "LeftHand", "RightHand", "LeftHandMiddle1", "RightHandMiddle1",
    )
)  # fmt: skip

# The same under the names of Unreal's mannequin.
UNREAL = (
    "pelvis", "thigh_l", "thigh_r", "spine_01", "calf_l", "calf_r", "spine_02", "foot_l", "foot_r", "spine_03",
    "ball_l", "ball_r", "neck_01", "clavicle_l", "clavicle_r", "head", "upperarm_l", "upperarm_r", "lowerarm_l",
    "lowerarm_r", "hand_l", "hand_r", "middle_01_l", "middle_01_r",
)  # fmt: skip

# The same under the names of SOMA-X (Apache-2.0; its joint list comes with Anny 0.6.2), from which motion is retargeted
# to robots. SOMA's other joints are left out, since the body has none for them: Root above Hips, Neck2, HeadEnd, jaw,
# eyes, and the fingers but for the first joint of the middle ones, which stands for the hand.
SOMA = (
    "Hips", "LeftLeg", "RightLeg", "Spine1", "LeftShin", "RightShin", "Spine2", "LeftFoot", "RightFoot", "Chest",
    "LeftToeBase", "RightToeBase", "Neck1", "LeftShoulder", "RightShoulder", "Head", "LeftArm", "RightArm",
    "LeftForeArm", "RightForeArm", "LeftHand", "RightHand", "LeftHandMiddle1", "RightHandMiddle1",
)  # fmt: skip

# What a skeleton is called in file names, and its names of the joints in the order of JOINTS.
SKELETONS = {"mixamo": MIXAMO, "unreal": UNREAL, "soma": SOMA}
