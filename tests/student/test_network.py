"""The network and its losses: shapes, limits, and gradients that are finite wherever something is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from josh_core.body import load_body
from josh_core.errors import WeightsError
from josh_core.student.features import FEATURE_COUNT, FPS, StudentInput, student_features
from josh_core.student.network import Student, load_student, save_student
from josh_core.student.parts import PARTS, part_columns, part_rows
from josh_core.student.training.losses import losses, total
from josh_core.student.training.motions import make_pool
from josh_core.student.training.simulate import MASKS, Truth, simulate


@pytest.fixture(scope="module")
def pool():
    return make_pool(load_body(), 3, 24, seed=1)


def test_pool_touches_the_floor_and_holds_still_where_it_touches(pool) -> None:
    feet = [i for i, part in enumerate(PARTS) if part.split("_")[-1] in ("heel", "ball", "toe")]
    assert pool.touch[..., feet].any()
    joints = pool.joints[..., [7, 8, 10, 11], :]
    assert joints[..., 1].min() > -0.06  # ankles and toes are not under the floor
    again = make_pool(load_body(), 3, 24, seed=1)
    np.testing.assert_array_equal(again.rotations, pool.rotations)


def test_simulated_truth_lies_where_its_landmarks_are(pool) -> None:
    given, true = simulate(pool, 4, 8, torch.Generator().manual_seed(0))
    assert given.features.shape == (4, 8, FEATURE_COUNT) and given.features.isfinite().all()
    torch.testing.assert_close(true.up.norm(dim=-1), torch.ones(4, 8))
    # The pelvis stays within two spreads of the middle of the landmarks.
    assert true.offset.abs().max() < 2.0
    # Up in sight is the world's y: world_from_sight carries it back.
    up = (true.world_from_sight @ true.up[..., None])[..., 0]
    torch.testing.assert_close(up, torch.tensor([0.0, 1, 0]).expand(4, 8, 3), atol=1e-5, rtol=0)


def test_losses_are_zero_for_the_truth_and_grow_with_errors(pool) -> None:
    _, true = simulate(pool, 4, 8, torch.Generator().manual_seed(0))
    prediction = Student()(torch.zeros(4, 8, FEATURE_COUNT))
    exact = replace(
        prediction,
        rotations=true.rotations,
        betas=true.betas[:, None].expand(4, 8, 10),
        log_depth=true.log_depth,
        offset=true.offset,
        up=true.up,
        velocity=true.velocity,
        touch=40 * (true.touch - 0.5),
    )
    terms = losses(exact, true, load_body())
    for name in ("joints", "joint_motion", "rotations", "betas", "log_depth", "offset", "up", "velocity", "touch"):
        assert terms[name] < 2e-3, name
    assert losses(prediction, true, load_body())["joints"] > 0.05


@pytest.mark.parametrize("case", ["one frame", "unseen", "nothing believed", "at the origin"])
def test_gradients_are_finite_at_singular_points(pool, case: str) -> None:
    torch.manual_seed(0)
    frames = 1 if case == "one frame" else 6
    seen = StudentInput(
        rays=torch.zeros(2, frames, 33, 2),
        visibility=torch.zeros(2, frames, 33) if case == "unseen" else torch.ones(2, frames, 33),
        guess=torch.zeros(2, frames, 33, 3),
        turn=torch.zeros(2, frames, 3),
        travel=torch.zeros(2, frames, 3),
        kind=torch.zeros(2, frames, 3),
    )
    given = student_features(seen)
    assert given.features.isfinite().all()
    eye = torch.eye(3).expand(2, frames, 24, 3, 3).clone()
    zeros = torch.zeros(2, frames)
    true = Truth(
        rotations=eye,
        betas=torch.zeros(2, 10),
        log_depth=zeros,
        offset=torch.zeros(2, frames, 2),
        up=torch.tensor([0.0, 1, 0]).expand(2, frames, 3),
        velocity=torch.zeros(2, frames, 3),
        touch=torch.zeros(2, frames, len(PARTS)),
        world_from_sight=torch.eye(3).expand(2, frames, 3, 3),
        mask=torch.zeros(2, len(MASKS)) if case == "nothing believed" else torch.ones(2, len(MASKS)),
    )
    net = Student()
    loss = total(losses(net(given.features), true, load_body()))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
    if case == "nothing believed":
        assert loss == 0


def test_nobody_is_an_empty_answer() -> None:
    prediction = Student()(torch.zeros(0, 5, FEATURE_COUNT))
    assert prediction.rotations.shape == (0, 5, 24, 3, 3)


def test_weights_round_trip_in_half_precision_and_refuse_others(tmp_path: Path) -> None:
    net, path = Student().eval(), tmp_path / "net.safetensors"
    save_student(net, path)
    features = torch.randn(1, 4, FEATURE_COUNT, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(load_student(path)(features).up, net(features).up, atol=5e-3, rtol=0)
    path.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="of another network"):
        load_student(path)


def test_every_foot_point_of_the_body_is_judged() -> None:
    body = load_body()
    for name in body.contact_names:
        foot = any(part in name.split("_") for part in ("heel", "sole", "ball", "toe"))
        assert not foot or part_rows(name), name
    assert all(part_columns(body))
    assert FPS == 30.0
