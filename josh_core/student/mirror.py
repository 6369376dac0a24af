"""Test-time augmentation by mirroring: the mean of the predictions for a person and for the person's mirror image.

Both predictions are equally good and their errors are partly independent, so the mean is a little better than one
prediction (benchmarks/student prints both).
"""

from __future__ import annotations

from dataclasses import replace

import roma
import torch
from torch import Tensor

from josh_core.body.names import JOINTS, MIRRORED_JOINTS, MIRRORED_LANDMARKS, mirrored_order
from josh_core.student.features import StudentInput, student_features
from josh_core.student.network import Prediction, Student
from josh_core.student.parts import PARTS

MIRRORED_PARTS = mirrored_order(PARTS)
# Signs of a reflection M in the y-z plane.
POLAR = torch.tensor([-1.0, 1.0, 1.0])  # of vectors
AXIAL = torch.tensor([1.0, -1.0, -1.0])  # of rotation vectors
ROTATION = POLAR[:, None] * POLAR  # of the elements of a rotation matrix, M R M


def predict(net: Student, seen: StudentInput) -> Prediction:
    """Prediction [1,T,...] of `net` for one person [T,...], averaged with the one for the mirror image."""
    return mean_prediction(predict_once(net, seen), mirrored_prediction(predict_once(net, mirrored_input(seen))))


def predict_once(net: Student, seen: StudentInput) -> Prediction:
    """Prediction [1,T,...] of `net` for one person [T,...]."""
    return net(student_features(seen).features[None])


def mirrored_input(seen: StudentInput) -> StudentInput:
    """The input for the mirror image: directions reflected, left and right landmarks exchanged."""
    return StudentInput(
        rays=seen.rays[..., MIRRORED_LANDMARKS, :] * POLAR[:2],
        visibility=seen.visibility[..., MIRRORED_LANDMARKS],
        guess=seen.guess[..., MIRRORED_LANDMARKS, :] * POLAR,
        turn=seen.turn * AXIAL,
        travel=seen.travel * POLAR,
        kind=seen.kind,
    )


def mirrored_prediction(prediction: Prediction) -> Prediction:
    """The prediction for the mirror image; bodies are symmetric, so betas stay."""
    sigma = {name: s[..., MIRRORED_JOINTS] if s.shape[-1] == len(JOINTS) else s for name, s in prediction.sigma.items()}
    return replace(
        prediction,
        rotations=prediction.rotations[..., MIRRORED_JOINTS, :, :] * ROTATION,
        offset=prediction.offset * POLAR[:2],
        up=prediction.up * POLAR,
        velocity=prediction.velocity * POLAR,
        touch=prediction.touch[..., MIRRORED_PARTS],
        sigma=sigma,
    )


def mean_prediction(a: Prediction, b: Prediction) -> Prediction:
    """The mean of each field: rotations projected to SO(3), up to unit length; of deviations the root mean square."""
    mean = {name: (x + getattr(b, name)) / 2 for name, x in vars(a).items() if isinstance(x, Tensor)}
    return Prediction(
        **mean
        | {
            "rotations": roma.special_procrustes(mean["rotations"]),
            "up": torch.nn.functional.normalize(mean["up"], dim=-1, eps=1e-6),
            "sigma": {name: ((s**2 + b.sigma[name] ** 2) / 2).sqrt() for name, s in a.sigma.items()},
        }
    )
