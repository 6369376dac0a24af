"""Averaging with the mirror image: input and prediction are mirrored consistently."""

from __future__ import annotations

import pytest
import torch

from josh_core.body import BodyModel, load_body
from josh_core.body.names import MIRRORED_JOINTS
from josh_core.student.estimate import shipped
from josh_core.student.features import StudentInput, student_features
from josh_core.student.mirror import POLAR, mirrored_input, mirrored_prediction, predict
from josh_core.student.network import Prediction, Student

FRAMES = 12


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def seen() -> StudentInput:
    """A random input with different left and right sides."""
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
    one, other = student_features(seen), student_features(mirrored_input(seen))
    torch.testing.assert_close(other.sight, one.sight * POLAR[:, None] * POLAR, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(other.size, one.size)
    torch.testing.assert_close(other.middle, one.middle * POLAR[:2], atol=1e-6, rtol=1e-5)


def test_joints_of_the_mirrored_pose_are_the_mirrored_joints(body: BodyModel, seen: StudentInput) -> None:
    with torch.no_grad():
        prediction = Student()(student_features(seen).features[None])
        joints, other = (_joints(body, a) for a in (prediction, mirrored_prediction(prediction)))
    # The average body of the package is alike on both sides within a millimetre or two.
    torch.testing.assert_close(other, joints[:, MIRRORED_JOINTS] * POLAR, atol=3e-3, rtol=0)


def _joints(body: BodyModel, prediction: Prediction) -> torch.Tensor:
    rotations = prediction.rotations[0]
    joints = body.joints(torch.zeros(len(rotations), 10), rotations)
    return joints - joints[:, :1]


def test_prediction_for_the_mirror_image_is_the_mirrored_prediction(seen: StudentInput) -> None:
    with torch.no_grad():
        one = mirrored_prediction(predict(shipped(), seen))
        other = predict(shipped(), mirrored_input(seen))
        alone = shipped()(student_features(mirrored_input(seen)).features[None])
    for name in ("rotations", "betas", "log_depth", "offset", "up", "velocity", "touch"):
        torch.testing.assert_close(getattr(other, name), getattr(one, name), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(alone.touch, other.touch, atol=1e-3)  # the network by itself is not symmetric
    torch.testing.assert_close(torch.linalg.det(other.rotations), torch.ones(1, FRAMES, 24))
