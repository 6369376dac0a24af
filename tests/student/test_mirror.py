"""The mirror image of a person: what is seen and answered about it, and that both are one world."""

from __future__ import annotations

import pytest
import torch

from josh_core.body import BodyModel, load_body
from josh_core.student.estimate import shipped
from josh_core.student.features import StudentInput, inputs
from josh_core.student.mirror import MIRRORED_JOINTS, POLAR, ask, mirrored_answer, mirrored_input
from josh_core.student.network import Answer, Student

FRAMES = 12


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def seen() -> StudentInput:
    """Somebody whose sides differ in everything; numbers are drawn, not observed."""
    g = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(FRAMES, *shape, generator=g)

    kind = torch.tensor([0.0, 0, 1]).expand(FRAMES, 3)
    return StudentInput(0.1 * draw(33, 2) + 0.2, torch.sigmoid(draw(33)), 0.3 * draw(33, 3), draw(3), draw(3), kind)


def test_twice_mirrored_is_the_same(seen: StudentInput) -> None:
    back = mirrored_input(mirrored_input(seen))
    for name, value in vars(seen).items():
        torch.testing.assert_close(getattr(back, name), value)
    assert not torch.allclose(mirrored_input(seen).guess, seen.guess)


def test_mirrored_features_are_those_of_a_mirrored_line_of_sight(seen: StudentInput) -> None:
    one, other = inputs(seen), inputs(mirrored_input(seen))
    torch.testing.assert_close(other.sight, one.sight * POLAR[:, None] * POLAR, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(other.size, one.size)
    torch.testing.assert_close(other.middle, one.middle * POLAR[:2], atol=1e-6, rtol=1e-5)


def test_joints_of_the_mirrored_pose_are_the_mirrored_joints(body: BodyModel, seen: StudentInput) -> None:
    with torch.no_grad():
        said = Student()(inputs(seen).features[None])
        joints, other = (_joints(body, a) for a in (said, mirrored_answer(said)))
    # The average body of the package is alike on both sides within a millimetre or two.
    torch.testing.assert_close(other, joints[:, MIRRORED_JOINTS] * POLAR, atol=3e-3, rtol=0)


def _joints(body: BodyModel, said: Answer) -> torch.Tensor:
    rotations = said.rotations[0]
    joints = body.joints(torch.zeros(len(rotations), 10), rotations)
    return joints - joints[:, :1]


def test_the_mirror_image_gets_the_mirrored_answer(seen: StudentInput) -> None:
    with torch.no_grad():
        one = mirrored_answer(ask(shipped(), seen))
        other = ask(shipped(), mirrored_input(seen))
        alone = shipped()(inputs(mirrored_input(seen)).features[None])
    for name in ("rotations", "betas", "log_depth", "offset", "up", "velocity", "touch"):
        torch.testing.assert_close(getattr(other, name), getattr(one, name), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(alone.touch, other.touch, atol=1e-3)  # the network by itself has a favourite side
    torch.testing.assert_close(torch.linalg.det(other.rotations), torch.ones(1, FRAMES, 24))
