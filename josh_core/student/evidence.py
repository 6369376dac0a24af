"""The student's estimate as evidence beside other evidence: 3D landmarks for the body fit, contact of hands and seat.

What the landmark network and the student say is not independent, since the one looks at the other's output. Two such
Gaussians are joined by covariance intersection with equal shares (Julier and Uhlmann 1997): never surer than is safe.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from josh_core.body.names import FEET, is_part
from josh_core.bodyfit.observations import BONE_FROM, BONE_TO, Observations
from josh_core.student.estimate import StudentEstimate
from josh_core.types import Contacts, Float

MOST_ODDS = 4.0  # log odds: nobody is surer of a contact than 0.98
SHARE = 0.5  # of the student's log odds beside those of image motion
# Of the sigma of a bone whose ends erred independently: its ends err alike. PA-MPJPE of fits with 0.7, 0.4 and 0.25 was
# 39.8, 37.3 and 36.4 mm on six people of seed 33, 60.1, 57.8 and 60.0 mm on beam_pan (`benchmarks/student`, fits).
BONE_SHARE = 0.4
# Times wider the landmark network's depths of bones beside the student's: of a limb's swing along the line of sight it
# shows a third, the student more than half, and more like the truth (columns swing and alike of benchmarks/student).
NETWORK_ALONG = 2.0


def with_student(obs: Observations, said: StudentEstimate) -> Observations:
    """Observations whose bones and 3D guess are the student's and the landmark network's together."""
    bones = said.landmarks[:, BONE_TO] - said.landmarks[:, BONE_FROM]
    sigma = BONE_SHARE * np.hypot(said.landmark_sigma[:, BONE_TO], said.landmark_sigma[:, BONE_FROM])[..., None]
    theirs = (obs.bone_sigma * [1.0, 1.0, NETWORK_ALONG]) ** -2.0
    mine = np.broadcast_to(sigma**-2.0, obs.bone_sigma.shape)
    # Weights are given in the axes of the line of sight; so are the bones while they are mixed.
    mixed = (theirs * (obs.bones @ obs.sight) + mine * (bones @ obs.sight)) / (theirs + mine)
    return replace(
        obs,
        bones=mixed @ obs.sight.swapaxes(-1, -2),
        bone_sigma=(0.5 * (theirs + mine)) ** -0.5,
        guess=said.landmarks,
    )


def contacts_with_student(contacts: Contacts, said: StudentEstimate) -> Contacts:
    """Contact probabilities whose log odds are a mean of image motion's and the student's, where it judges.

    Feet are left as they are: their stance phases were decided with the student's odds.
    """
    odds = SHARE * _odds(said.contact) + (1 - SHARE) * _odds(contacts.probability)
    judged = said.known & ~np.array([is_part(name, FEET) for name in contacts.names])
    return replace(contacts, probability=np.where(judged, 1 / (1 + np.exp(-odds)), contacts.probability))


def _odds(probability: Float) -> Float:
    least = 1 / (1 + np.exp(MOST_ODDS))
    p = np.clip(probability, least, 1 - least)
    return np.log(p / (1 - p))
