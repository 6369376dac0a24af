"""Capsules of a body: nearest points of segments, and radii that fit the mesh."""

from __future__ import annotations

import torch

from josh_core.body import load_body
from josh_core.body.capsules import Capsules, capsule_radii, closest, gaps


def test_nearest_points_of_segments_are_nearer_than_any_on_a_grid() -> None:
    gen = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 300, 2, 3, generator=gen, dtype=torch.float64).unbind(0)
    second[:20] = first[:20, :1]  # of no length
    second[20:40] = first[20:40] + torch.tensor([0.0, 0.3, 0.0])  # parallel
    found = gaps(first, second)
    grid = torch.linspace(0, 1, 21, dtype=torch.float64)
    on_first, on_second = (a[:, :1] + grid[:, None] * (a[:, 1:] - a[:, :1]) for a in (first, second))
    best = torch.cdist(on_first, on_second).flatten(1).amin(1)
    assert (found <= best + 1e-9).all() and (found > best - 0.3).all()
    s, t = closest(first, second)
    assert ((s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)).all()


def test_segments_that_cross_touch() -> None:
    first = torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    second = torch.tensor([[0.5, -1.0, 0.0], [0.5, 3.0, 0.0]])
    s, t = closest(first, second)
    assert (round(float(s), 6), round(float(t), 6)) == (0.75, 0.25) and float(gaps(first, second)) < 1e-6


def test_radii_are_those_of_a_person_and_grow_with_them() -> None:
    body = load_body()
    betas = torch.zeros(2, 10)
    betas[1, 0] = 1.5
    radii = capsule_radii(body, betas)
    assert radii.shape == (2, len(Capsules.of(body).ends)) and radii[1].mean() > 1.02 * radii[0].mean()
    head, trunk, forearm, thigh = radii[0, [0, 1, 3, 5]].tolist()
    assert 0.06 < head < 0.1 and 0.07 < trunk < 0.12 and 0.02 < forearm < 0.045 and 0.05 < thigh < 0.09
    left, right = radii[0, 1:8], radii[0, 8:]
    assert (left - right).abs().max() < 0.012
