"""The partial skinning table against the body model and its derivatives against differences."""

from __future__ import annotations

import pytest
import torch

from josh_core.body import load_body
from josh_core.body.skinning import SkinningTable, skinned_points
from josh_core.joint import rotations as rot


@pytest.fixture(scope="module")
def table() -> SkinningTable:
    return SkinningTable.of(load_body())


def some(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    gen = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=gen, dtype=torch.float64)

    return rot.exp(0.6 * rand(n, 24, 3)), rand(n, 3), rand(n, 10)


def test_points_are_those_of_the_body(table: SkinningTable) -> None:
    rotations, transl, betas = some(4, 0)
    p = load_body().double().points(betas, rotations, transl)
    mine = skinned_points(table, rotations, transl, betas).p
    assert (mine - torch.cat([p.joints, p.contacts, p.landmarks], 1)).abs().max() < 1e-6


def test_derivatives(table: SkinningTable) -> None:
    rotations, transl, betas = some(3, 1)
    turn, shift, shape = (torch.randn(3, k, dtype=torch.float64) for k in (72, 3, 10))
    got, h = skinned_points(table, rotations, transl, betas, True), 1e-6

    def at(t: float) -> torch.Tensor:
        turned = rotations @ rot.exp(t * turn.unflatten(-1, (24, 3)))
        return skinned_points(table, turned, transl + t * shift, betas + t * shape).p

    told = torch.einsum("npcu,nu->npc", got.by_pose, torch.cat([turn, shift], -1))
    told = told + torch.einsum("npcs,ns->npc", got.by_shape, shape)
    assert ((at(h) - at(-h)) / (2 * h) - told).abs().max() < 1e-6


def test_some_of_the_points(table: SkinningTable) -> None:
    rotations, transl, betas = some(2, 2)
    rows = torch.tensor([0, 40, 30])
    few = skinned_points(table.only(rows), rotations, transl, betas, True)
    whole = skinned_points(table, rotations, transl, betas, True)
    for a, b in zip(few, whole, strict=True):
        assert torch.allclose(a, b[:, rows], rtol=0, atol=1e-12)


def test_shapes_are_checked(table: SkinningTable) -> None:
    rotations, transl, betas = some(2, 3)
    with pytest.raises(ValueError, match="betas"):
        skinned_points(table, rotations, transl, betas[:1])
