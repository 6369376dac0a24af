"""The model of the landmark network's errors: its axes, and that fitting it finds errors that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from josh_core.body import BodyModel, load_body
from josh_core.student.features import lines_of_sight
from josh_core.student.training import build_noise
from josh_core.student.training import measured_noise as model
from josh_core.student.training.build_noise import fit, measure
from josh_core.student.training.measured_noise import crop, facing, measured_noise, mirror, pack, unpack
from josh_core.student.training.motions import make_pool
from josh_core.student.training.simulate import simulate
from josh_core.types import Float

FLAT, SHIFTED, SEEN = 0.5, 0.04, 0.9  # share of the depth shown, m of the nose down, visibility
FRAMES = 70


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def people(body) -> list[dict[str, Float]]:
    """Label entries of people 4 m before a camera, with depths shown too flat and a nose shown beside itself."""
    pool, out = make_pool(body, 10, FRAMES, 2), []
    for turned, betas in zip(pool.rotations, pool.betas, strict=True):
        rotations, n = torch.as_tensor(turned).clone(), FRAMES
        rotations[:, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ rotations[:, 0]
        pelvis = torch.tensor([0.0, 0.0, 4.0]).expand(n, 3)
        with torch.no_grad():
            posed = body.points(torch.as_tensor(betas).expand(n, -1), rotations, torch.zeros(n, 3))
        true = posed.landmarks - posed.joints[:, :1] + pelvis[:, None]
        sight = lines_of_sight(true[..., :2] / true[..., 2:], torch.ones(n, 33))
        here = crop(true @ sight)
        rays = true[..., :2] / true[..., 2:]
        move = (sight @ here.axes @ torch.tensor([0.0, SHIFTED, 0.0]))[:, :2] * here.size[:, None]
        rays[:, 0] += move / true[:, 0, 2:]
        guess = here.points * torch.tensor([1.0, 1.0, FLAT])
        out.append(
            {"rotations": rotations, "betas": betas, "pelvis": pelvis, "rays": rays,
             "visibility": torch.full((n, 33), SEEN), "guess": guess @ here.axes.mT}
        )  # fmt: skip
    return [{name: np.asarray(value, np.float32) for name, value in person.items()} for person in out]


def test_the_crop_stands_upright_however_the_camera_is_rolled(body) -> None:
    points = torch.as_tensor(make_pool(body, 1, 8, 1).landmarks[0])
    rolled = points @ roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, 0.6])).mT
    one, other = crop(points), crop(rolled)
    torch.testing.assert_close(one.points, other.points, atol=1e-4, rtol=1e-4)
    trunk = one.points[:, [11, 12]].mean(1)
    assert trunk[:, 0].abs().max() < 1e-4 and trunk[:, 1].max() < 0
    bigger = crop(1.2 * points)
    torch.testing.assert_close(bigger.size, 1.2 * one.size)
    torch.testing.assert_close(bigger.points, one.points, atol=1e-4, rtol=1e-4)


def test_facing_of_a_person_turned_to_the_camera() -> None:
    points = torch.zeros(33, 3)
    points[[11, 23], 0], points[[12, 24], 0] = 0.2, -0.2  # their left is on the picture's right
    torch.testing.assert_close(facing(points), torch.tensor([1.0, 0.0]))


def test_mirroring_twice_is_the_identity() -> None:
    errors = torch.randn(4, model.ERROR_COUNT, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mirror(mirror(errors)), errors)
    torch.testing.assert_close(pack(*unpack(errors)), errors)


def test_errors_that_depend_on_the_pose_are_predicted(people, body, monkeypatch) -> None:
    monkeypatch.setattr(build_noise, "RIDGE", 10.0)  # these errors are exact, and few people show them
    found = [measure(person, body) for person in people]
    arrays, predicted = fit(found)
    assert all(unpack(one.errors)[0][..., :2].abs().max() < 1e-3 for one in found)  # across, nothing is wrong
    odds = [float(unpack(errors)[2].mean()) for errors in predicted]
    assert np.median(odds) == pytest.approx(np.log(SEEN / (1 - SEEN)), abs=0.1)
    nose, other = (np.median([float(unpack(errors)[1][:, k, 1].mean()) for errors in predicted]) for k in (0, 25))
    assert nose == pytest.approx(SHIFTED, abs=0.01) and other == pytest.approx(0.0, abs=0.01)
    gains = [
        float((o.points[:, 25:, 2] * unpack(s)[0][:, 25:, 2]).sum() / o.points[:, 25:, 2].square().sum())
        for o, s in zip(found, predicted, strict=True)
    ]
    assert np.median(gains) == pytest.approx(FLAT - 1, abs=0.15)
    assert arrays["scores"].dtype == np.int8 and len(arrays["facing"]) == len(arrays["scores"])


def test_the_shipped_model_has_errors_of_the_size_that_was_measured() -> None:
    noise = measured_noise()
    assert noise.expected.shape == (model.HARMONICS * (model.POSE_COUNT + 1), model.ERROR_COUNT)
    assert Path(model.NOISE_FILE).stat().st_size < 200_000
    left = (noise.scores @ noise.modes).flatten(0, 1)
    guess, across, _ = unpack(left)
    assert 0.03 < float(guess.norm(dim=-1).mean()) < 0.12  # m
    assert 0.01 < float(across.norm(dim=-1).mean()) < 0.08


@pytest.mark.parametrize("frames", [2, 8, 100])
def test_windows_of_any_length_are_finite(body, frames: int) -> None:
    pool = make_pool(body, 2, 100, 0)
    given, truth = simulate(pool, 6, frames, torch.Generator().manual_seed(1))
    assert given.features.shape[:2] == (6, frames) and bool(given.features.isfinite().all())
    assert bool(truth.log_depth.isfinite().all())
