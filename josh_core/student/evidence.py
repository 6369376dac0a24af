"""The student's estimate joined with other evidence: 3D landmarks for the body fit, contact of hands and seat.

The landmark network and the student are not independent, since the student's input is the network's output. Two such
Gaussians are fused by covariance intersection with equal shares (Julier and Uhlmann 1997): never overconfident.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from josh_core.body.names import FEET, is_part
from josh_core.bodyfit.observations import BONE_FROM, BONE_TO, Observations
from josh_core.student.estimate import StudentEstimate
from josh_core.types import Contacts, Float

MAX_LOG_ODDS = 4.0  # contact probabilities are clipped to 0.02 to 0.98 before they are fused; chosen by hand
STUDENT_SHARE = 0.5  # of the student's log odds in the mean with those of image motion; equal shares, not measured
# Sigma of a bone over that of two ends with independent errors; the ends' errors are correlated. PA-MPJPE of fits with
# 0.7, 0.4 and 0.25 was 39.8, 37.3 and 36.4 mm on six people of seed 33, 60.1, 57.8 and 60.0 mm on beam_pan
# (`benchmarks/student`, fits).
BONE_SHARE = 0.4
# Factor on the sigma of the landmark network's bones along the line of sight: it shows a third of a limb's true swing
# in depth, the student more than half, with a higher correlation (columns swing and corr of benchmarks/student).
NETWORK_ALONG = 2.0
# What the student lacks of a limb's swing along the line of sight: taught with larger errors than the landmark network
# makes on clear pictures, it shows 0.6 to 0.8 of it, with a correlation above 0.9 (columns swing and corr of
# benchmarks/student). Factors chosen by the PA-MPJPE of `refine` on six rendered clips of seed 33 and on beam_pan, and
# looked at on ten of seed 21: better where people walk along the line of sight, worse by 1 to 3 mm on stairs upward.
LIMB_SWINGS = ((11, 13, (13, 15, 17, 19, 21), 1.7), (25, 27, (27, 29, 31), 1.6))  # of the left: from, to, moved, factor
SWING_SECONDS = 0.6  # s, over which a limb's usual direction is a mean: a stride takes 1.1 s


def with_student(obs: Observations, student: StudentEstimate) -> Observations:
    """Observations with bones fused from student and landmark network; the 3D guess is the student's alone."""
    landmarks = with_full_swing(student.landmarks, obs)
    bones = landmarks[:, BONE_TO] - landmarks[:, BONE_FROM]
    sigma = BONE_SHARE * np.hypot(student.landmark_sigma[:, BONE_TO], student.landmark_sigma[:, BONE_FROM])[..., None]
    theirs = (obs.bone_sigma * [1.0, 1.0, NETWORK_ALONG]) ** -2.0
    mine = np.broadcast_to(sigma**-2.0, obs.bone_sigma.shape)
    # The weights are given in the axes of the line of sight, so the bones are fused in these axes too.
    mixed = (theirs * (obs.bones @ obs.sight) + mine * (bones @ obs.sight)) / (theirs + mine)
    return replace(
        obs,
        bones=mixed @ obs.sight.swapaxes(-1, -2),
        bone_sigma=(0.5 * (theirs + mine)) ** -0.5,
        guess=landmarks,
    )


def with_full_swing(landmarks: Float, obs: Observations) -> Float:
    """Landmarks [n,33,3] whose upper arms and shins swing farther along the line of sight.

    In full only where a limb swings along the line of sight alone: what it does across can be seen.
    """
    frames = gaussian_filter1d(np.eye(len(obs.times)), SWING_SECONDS / _step(obs.times), axis=0, mode="reflect")
    moved = landmarks.copy()
    for start, end, members, factor in LIMB_SWINGS:
        for side in (0, 1):  # the right landmark is the next one
            limb = np.einsum("nji,nj->ni", obs.sight, landmarks[:, end + side] - landmarks[:, start + side])
            swing = limb - frames @ limb
            extent = frames @ swing**2
            share = extent[:, 2] / np.maximum(extent.sum(-1), 1e-9)
            farther = (factor - 1) * share * swing[:, 2]
            moved[:, np.array(members) + side] += (farther[:, None] * obs.sight[..., 2])[:, None]
    return moved


def _step(times: Float) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else 1.0


def contacts_with_student(contacts: Contacts, student: StudentEstimate) -> Contacts:
    """Contacts whose log odds are the mean of image motion's and the student's, for the parts the student predicts.

    Feet stay as they are, since their stance phases were decided with the student's odds (contact/stance_phases.py).
    """
    odds = STUDENT_SHARE * _odds(student.contact) + (1 - STUDENT_SHARE) * _odds(contacts.probability)
    judged = student.known & ~np.array([is_part(name, FEET) for name in contacts.names])
    return replace(contacts, probability=np.where(judged, 1 / (1 + np.exp(-odds)), contacts.probability))


def _odds(probability: Float) -> Float:
    least = 1 / (1 + np.exp(MAX_LOG_ODDS))
    p = np.clip(probability, least, 1 - least)
    return np.log(p / (1 - p))
