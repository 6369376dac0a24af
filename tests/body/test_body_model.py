"""The bundled body: partial skinning against the whole mesh, gradients, height, symmetry, contact points."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from josh_core.body import BodyModel, load_body
from josh_core.body.asset import DEFAULT_ASSET, read_body, save_body
from josh_core.body.names import JOINTS, LANDMARKS, PARENTS
from josh_core.errors import WeightsError


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def with_correctives(tmp_path_factory: pytest.TempPathFactory) -> BodyModel:
    """The bundled body with made-up pose correctives, as a user's SMPL has them."""
    from dataclasses import replace

    data = read_body()
    posedirs = np.random.default_rng(0).normal(0, 1e-3, (*data.v_template.shape, 207)).astype(np.float32)
    path = tmp_path_factory.mktemp("body") / "body.npz"
    save_body(replace(data, posedirs=posedirs), path)
    return load_body(path)


def some_pose(batch: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(seed)
    betas = torch.randn(batch, 10, dtype=dtype)
    rotations = roma.random_rotmat((batch, 24), dtype=dtype)
    return betas, rotations, torch.randn(batch, 3, dtype=dtype)


def test_asset_is_small_and_in_smpl_layout(body: BodyModel) -> None:
    assert DEFAULT_ASSET.stat().st_size < 5e6
    data = read_body()
    assert 2000 < len(data.v_template) < 6000
    assert data.shapedirs.shape == (len(data.v_template), 3, 10)
    np.testing.assert_allclose(data.weights.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(data.j_regressor.sum(1), 1, atol=1e-4)
    assert data.faces.min() == 0 and data.faces.max() == len(data.v_template) - 1
    assert body.parents == PARENTS and len(body.joint_names) == 24


@pytest.mark.parametrize("name", ["body", "with_correctives"])
def test_partial_skinning_equals_the_whole_mesh(name: str, request: pytest.FixtureRequest) -> None:
    model: BodyModel = request.getfixturevalue(name)
    pose = some_pose(7)
    points, mesh = model.points(*pose), model.vertices(*pose)
    contacts = mesh[:, model.contact_vertices]
    assert (points.contacts - contacts).abs().max() < 1e-5
    full = model.smpl(
        betas=pose[0], global_orient=pose[1][:, :1], body_pose=pose[1][:, 1:], transl=pose[2], pose2rot=False
    )
    assert (points.joints - full.joints[:, :24]).abs().max() < 1e-5
    nose = mesh[:, read_body().landmark_vertices[0]]
    assert (points.landmarks[:, 0] - nose).abs().max() < 1e-5
    knee = LANDMARKS.index("left_knee")
    assert (points.landmarks[:, knee] - points.joints[:, JOINTS.index("left_knee")]).abs().max() < 1e-6


def test_pose_correctives_matter(body: BodyModel, with_correctives: BodyModel) -> None:
    pose = some_pose(2)
    assert (body.points(*pose).contacts - with_correctives.points(*pose).contacts).abs().max() > 1e-4


def test_gradients_are_exact_and_finite_at_rest(with_correctives: BodyModel) -> None:
    model = BodyModel(read_body()).double()
    rotvec = torch.zeros(2, 24, 3, dtype=torch.float64, requires_grad=True)
    betas = torch.zeros(2, 10, dtype=torch.float64, requires_grad=True)
    transl = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)

    def points(r: torch.Tensor, b: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        p = model.points(b, roma.rotvec_to_rotmat(r), t)
        return torch.cat([p.joints, p.contacts, p.landmarks], 1).square().sum((1, 2))

    for grad in torch.autograd.grad(points(rotvec, betas, transl).sum(), (rotvec, betas, transl)):
        assert grad.isfinite().all() and grad.abs().max() > 0
    away = rotvec.detach().add(0.3 * torch.randn_like(rotvec)).requires_grad_()
    torch.autograd.gradcheck(points, (away, betas, transl))


def test_height_follows_the_first_beta(body: BodyModel) -> None:
    first = torch.eye(10)[:1]
    steps = body.height(torch.linspace(-4, 4, 17)[:, None] * first)
    assert (steps.diff() > 0.02).all()
    assert abs(body.height(torch.zeros(1, 10)).item() - 1.7) < 0.02
    others = body.height(torch.eye(10)[1:]) - body.height(torch.zeros(1, 10))
    assert others.abs().max() < 0.01


def test_rest_pose_is_smpls(body: BodyModel) -> None:
    """y up, facing +z, x to the left, arms out, feet flat, palms down; left and right are mirror images."""
    identity = torch.eye(3).expand(1, 24, 3, 3)
    p = body.points(torch.zeros(1, 10), identity, torch.zeros(1, 3))
    joints = dict(zip(JOINTS, p.joints[0].numpy(), strict=True))
    assert joints["left_wrist"][0] > 0.5 and joints["right_wrist"][0] < -0.5
    assert abs(joints["left_wrist"][1] - joints["left_shoulder"][1]) < 0.01
    assert joints["head"][1] > joints["neck"][1] > joints["pelvis"][1] > joints["left_knee"][1]
    landmarks = dict(zip(LANDMARKS, p.landmarks[0].numpy(), strict=True))
    assert landmarks["nose"][2] > joints["head"][2] + 0.05
    assert landmarks["left_foot_index"][2] > landmarks["left_heel"][2] + 0.2
    contacts = dict(zip(body.contact_names, p.contacts[0].numpy(), strict=True))
    floor = body.rest_vertices(torch.zeros(1, 10))[0, :, 1].min().item()
    for name in ("heel", "sole", "ball_inner", "ball_outer", "big_toe", "small_toe"):
        assert contacts[f"left_{name}"][1] - floor < 0.01
    assert contacts["left_hand"][1] < contacts["left_knuckles"][1]
    for left in [n for n in body.contact_names if n.startswith("left_")]:
        mirrored = contacts[left.replace("left", "right")] * [-1, 1, 1]
        np.testing.assert_allclose(mirrored, contacts[left], atol=2e-3)


def test_a_seated_body_rests_on_its_seat(body: BodyModel) -> None:
    """With hips and knees bent at right angles, seat and thighs are the lowest points above the shins."""
    rotvec = torch.zeros(1, 24, 3)
    rotvec[:, [1, 2], 0] = -np.pi / 2
    rotvec[:, [4, 5], 0] = np.pi / 2
    rotvec[:, 16, 2], rotvec[:, 17, 2] = 1.0, -1.0  # arms up
    p = body.points(torch.zeros(1, 10), roma.rotvec_to_rotmat(rotvec), torch.zeros(1, 3))
    height = dict(zip(body.contact_names, p.contacts[0, :, 1].tolist(), strict=True))
    assert abs(height["left_seat"] - height["left_thigh"]) < 0.06
    assert height["left_seat"] < height["lower_back"] - 0.05
    assert height["left_seat"] < p.joints[0, 1, 1] - 0.05


def test_not_a_body_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is not there"):
        load_body(tmp_path / "none.npz")
    wrong = tmp_path / "wrong.npz"
    wrong.write_text("no zip")
    with pytest.raises(WeightsError, match="not a body file"):
        load_body(wrong)
    compressed = zipfile.ZipFile(wrong, "w", zipfile.ZIP_DEFLATED)  # 1 MB that unpacks to over 1 GB
    with compressed as packed, packed.open("v_template.npy", "w") as member:
        for _ in range(65):
            member.write(bytes(1 << 24))
    with pytest.raises(WeightsError, match="not a body file"):
        load_body(wrong)
    np.savez(wrong, a=np.zeros(3))
    with pytest.raises(WeightsError, match="not a body file"):
        load_body(wrong)
