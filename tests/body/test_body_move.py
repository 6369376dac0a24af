"""Moving a posed body by a rigid motion, in numpy and torch."""

from __future__ import annotations

import numpy as np
import roma
import torch

from josh_core.body import load_body, move_body
from josh_core.geometry import rigid, transform


def test_moving_the_parameters_moves_every_point() -> None:
    body = load_body().double()
    torch.manual_seed(1)
    betas, transl = torch.randn(5, 10).double(), torch.randn(5, 3).double()
    rotations = roma.random_rotmat((5, 24), dtype=torch.float64)
    b_from_a = torch.eye(4).double().repeat(5, 1, 1)
    b_from_a[:, :3, :3] = roma.random_rotmat(5, dtype=torch.float64)
    b_from_a[:, :3, 3] = torch.randn(5, 3).double()
    pelvis = body.pelvis(betas)
    root, moved = move_body(b_from_a, rotations[:, 0], transl, pelvis)
    in_a = body.points(betas, rotations, transl)
    in_b = body.points(betas, torch.cat([root[:, None], rotations[:, 1:]], 1), moved)
    for a, b in ((in_a.joints, in_b.joints), (in_a.contacts, in_b.contacts), (in_a.landmarks, in_b.landmarks)):
        assert (transform(b_from_a, a) - b).abs().max() < 1e-7
    # Without the pelvis the same motion misplaces the body: the mistake this test is here for.
    _, careless = move_body(b_from_a, rotations[:, 0], transl, torch.zeros_like(pelvis))
    assert (careless - moved).norm(dim=-1).max() > 0.05


def test_numpy_and_torch_agree() -> None:
    rng = np.random.default_rng(0)
    root, turn = roma.random_rotmat(3).double().numpy(), roma.random_rotmat(3).double().numpy()
    b_from_a = rigid(turn, rng.normal(size=(3, 3)))
    arguments = (b_from_a, root, rng.normal(size=(3, 3)), rng.normal(size=(3, 3)))
    for a, b in zip(move_body(*arguments), move_body(*(torch.from_numpy(x) for x in arguments)), strict=True):
        np.testing.assert_allclose(a, b.numpy())
