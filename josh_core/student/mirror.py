"""Asking the student twice: about a person and about the person's mirror image, whose answer is mirrored back.

Both answers are right in the same measure, and their errors are partly independent, so that their mean is a little
better than one of them (benchmarks/student prints both).
"""

from __future__ import annotations

from dataclasses import replace

import roma
import torch
from torch import Tensor

from josh_core.body.names import JOINTS
from josh_core.student.features import StudentInput, inputs
from josh_core.student.measured import MIRRORED as MIRRORED_LANDMARKS
from josh_core.student.network import Answer, Student
from josh_core.student.parts import PARTS

OTHER_SIDE = {"left": "right", "right": "left"}


def _mirrored(names: tuple[str, ...]) -> list[int]:
    """Where the other side's namesake of each name stands; itself for those in the middle."""
    return [names.index("_".join(OTHER_SIDE.get(word, word) for word in name.split("_"))) for name in names]


MIRRORED_JOINTS, MIRRORED_PARTS = _mirrored(JOINTS), _mirrored(PARTS)
POLAR = torch.tensor([-1.0, 1.0, 1.0])  # directions seen in the mirror of the y-z plane
AXIAL = torch.tensor([1.0, -1.0, -1.0])  # rotation vectors seen in it
ROTATION = POLAR[:, None] * POLAR  # element by element, R becomes M R M


def ask(net: Student, seen: StudentInput) -> Answer:
    """The mean of what `net` answers [1,T,...] about somebody seen [T,...] and about the mirror image."""
    return mean_answer(ask_once(net, seen), mirrored_answer(ask_once(net, mirrored_input(seen))))


def ask_once(net: Student, seen: StudentInput) -> Answer:
    """What `net` answers [1,T,...] about somebody seen [T,...]."""
    return net(inputs(seen).features[None])


def mirrored_input(seen: StudentInput) -> StudentInput:
    """What a camera sees of the mirror image; the person's sides change their names."""
    return StudentInput(
        rays=seen.rays[..., MIRRORED_LANDMARKS, :] * POLAR[:2],
        visibility=seen.visibility[..., MIRRORED_LANDMARKS],
        guess=seen.guess[..., MIRRORED_LANDMARKS, :] * POLAR,
        turn=seen.turn * AXIAL,
        travel=seen.travel * POLAR,
        kind=seen.kind,
    )


def mirrored_answer(said: Answer) -> Answer:
    """The answer about the mirror image; bodies are alike on both sides, so that shapes stay."""
    sigma = {name: s[..., MIRRORED_JOINTS] if s.shape[-1] == len(JOINTS) else s for name, s in said.sigma.items()}
    return replace(
        said,
        rotations=said.rotations[..., MIRRORED_JOINTS, :, :] * ROTATION,
        offset=said.offset * POLAR[:2],
        up=said.up * POLAR,
        velocity=said.velocity * POLAR,
        touch=said.touch[..., MIRRORED_PARTS],
        sigma=sigma,
    )


def mean_answer(a: Answer, b: Answer) -> Answer:
    """Number by number; rotations and up the nearest of their kind, deviations by the mean of their variances."""
    mean = {name: (x + getattr(b, name)) / 2 for name, x in vars(a).items() if isinstance(x, Tensor)}
    return Answer(
        **mean
        | {
            "rotations": roma.special_procrustes(mean["rotations"]),
            "up": torch.nn.functional.normalize(mean["up"], dim=-1, eps=1e-6),
            "sigma": {name: ((s**2 + b.sigma[name] ** 2) / 2).sqrt() for name, s in a.sigma.items()},
        }
    )
