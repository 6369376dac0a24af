"""How people's joints are usually turned and how far they can: means, deviations and limits of rotation vectors.

Rotation vectors (radians) of SMPL's local rotations against the rest pose (arms out, legs straight, palms down; x to
the person's left, y up, z forward), for the left side; the right side is the mirror image. Knees and elbows are hinges:
a bent knee turns about +x, a bent left elbow about -y. The numbers are rounded from textbooks of joint ranges and of
everyday standing, walking, sitting and reaching; they are wide on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from josh_core.body.names import JOINTS
from josh_core.types import Float

Triple = tuple[float, float, float]
NO_MAX: Triple = (9.0, 9.0, 9.0)  # rad, beyond any rotation vector: no limit
NO_MIN: Triple = (-9.0, -9.0, -9.0)  # rad, the same for lower limits


@dataclass(frozen=True)
class JointPrior:
    """One joint, the left one of a pair."""

    mean: Triple = (0.0, 0.0, 0.0)
    sigma: Triple = (0.2, 0.2, 0.2)
    least: Triple = NO_MIN
    most: Triple = NO_MAX


JOINT_PRIORS = {
    "pelvis": JointPrior(sigma=(1e3, 1e3, 1e3)),  # any direction is as likely
    "hip": JointPrior((-0.25, 0.0, 0.05), (0.6, 0.3, 0.2), (-2.3, -0.9, -0.5), (0.6, 0.9, 1.0)),
    "knee": JointPrior((0.35, 0.0, 0.0), (0.7, 0.12, 0.08), (0.0, -0.3, -0.2), (2.6, 0.3, 0.2)),
    "ankle": JointPrior((0.0, 0.0, 0.0), (0.3, 0.2, 0.2), (-0.7, -0.6, -0.6), (0.9, 0.6, 0.6)),
    "spine1": JointPrior((0.05, 0.0, 0.0), (0.22, 0.15, 0.12)),
    "spine2": JointPrior((0.05, 0.0, 0.0), (0.22, 0.15, 0.12)),
    "spine3": JointPrior((0.05, 0.0, 0.0), (0.22, 0.15, 0.12)),
    "neck": JointPrior((0.0, 0.0, 0.0), (0.25, 0.25, 0.2)),
    "head": JointPrior((0.0, 0.0, 0.0), (0.2, 0.25, 0.15)),
    "collar": JointPrior((0.0, 0.0, 0.0), (0.08, 0.12, 0.12)),
    "shoulder": JointPrior((0.0, -0.15, -1.2), (0.5, 0.6, 0.55), (-2.0, -2.2, -2.0), (2.0, 1.2, 1.6)),
    "elbow": JointPrior((0.0, -0.4, 0.0), (0.5, 0.7, 0.12), (-1.6, -2.6, -0.3), (1.6, 0.0, 0.3)),
    "wrist": JointPrior((0.0, 0.0, 0.0), (0.3, 0.4, 0.4)),
}
MIRRORED_ROTATION = np.array([1.0, -1.0, -1.0])  # a rotation vector seen in the mirror of the y-z plane


@dataclass(frozen=True)
class PosePrior:
    """The table above for all joints, radians."""

    mean: Float  # [24,3], or [n,24,3] for every frame
    sigma: Float  # the same
    least: Float  # [24,3]
    most: Float  # [24,3]


def pose_prior() -> PosePrior:
    """Priors of the 24 joints; toes and fingers, which nothing turns, have the default."""
    rows = []
    for joint in JOINTS:
        side, _, stem = joint.partition("_")
        prior = JOINT_PRIORS.get(stem or joint, JointPrior())
        mean, sigma, least, most = (np.array(v) for v in (prior.mean, prior.sigma, prior.least, prior.most))
        if side == "right":
            mean, least, most = MIRRORED_ROTATION * mean, MIRRORED_ROTATION * least, MIRRORED_ROTATION * most
            least, most = np.minimum(least, most), np.maximum(least, most)
        rows.append((mean, sigma, least, most))
    return PosePrior(*(np.stack(column) for column in zip(*rows, strict=True)))


POSE_PRIOR = pose_prior()
