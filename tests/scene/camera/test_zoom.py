"""A zoom is told from a camera that turns and from one that travels, and said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from josh_core.scene.camera.rotation_only import PixelPairs
from josh_core.scene.camera.zoom import zoom_notes, zoom_of
from josh_core.types import CameraPath


def pairs_of(depth: np.ndarray, moved: np.ndarray, focals: tuple[float, float]) -> PixelPairs:
    """Points seen by a camera and again after it moved by [3] m and changed its focal."""
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.uniform(-0.6, 0.6, (len(depth), 2)), np.ones((len(depth), 1))], 1) * depth[:, None]
    q = p - moved
    first, second = focals[0] * p[:, :2] / p[:, 2:], focals[1] * q[:, :2] / q[:, 2:]
    node = np.zeros(len(p), np.int64)
    return PixelPairs(node, node + 1, first, second + rng.normal(0, 0.3, second.shape))


DEPTH = np.random.default_rng(1).uniform(3, 12, 100)


def test_a_zoom_is_found() -> None:
    assert zoom_of(pairs_of(DEPTH, np.zeros(3), (900, 1200)), 2, 1.0) == pytest.approx(4 / 3, rel=0.01)


def test_a_long_zoom_is_measured_over_several_pairs() -> None:
    focals = 900 * 1.5 ** (np.arange(6) / 5)
    parts = [pairs_of(DEPTH, np.zeros(3), (focals[k], focals[k + 1])) for k in range(5)]
    node = np.repeat(np.arange(5), len(DEPTH))
    first, second = (np.concatenate([getattr(p, name) for p in parts]) for name in ("xy_first", "xy_second"))
    assert zoom_of(PixelPairs(node, node + 1, first, second), 6, 1.0) == pytest.approx(1.5, rel=0.02)


def test_a_lens_that_bends_what_it_magnifies_zooms_and_a_way_toward_a_flat_place_does_not() -> None:
    seen = pairs_of(DEPTH, np.zeros(3), (900, 1350))
    radius = np.linalg.norm(seen.xy_second, axis=1, keepdims=True) / 640
    bent = replace(seen, xy_second=seen.xy_second * (1 - 0.007 * radius**2))  # by up to 9 px
    assert zoom_of(bent, 2, 1.0) == pytest.approx(1.5, rel=0.03)
    flat = 8 + 0.25 * (DEPTH - DEPTH.mean())  # m: 7 to 9, as walls and a street before a camera
    assert zoom_of(pairs_of(flat, np.array([0.0, 0, 2.5]), (900, 900)), 2, 1.0) is None


def test_a_camera_that_comes_nearer_does_not_zoom() -> None:
    assert zoom_of(pairs_of(DEPTH, np.array([0.0, 0, 1.5]), (900, 900)), 2, 1.0) is None


def test_a_still_camera_does_not_zoom_and_only_a_zoom_is_reported() -> None:
    assert zoom_of(pairs_of(DEPTH, np.zeros(3), (900, 900)), 2, 1.0) is None
    path = CameraPath("static", np.eye(4)[None], 900.0, 0.3, np.zeros(1, np.int64), np.ones(1, np.bool_))
    assert zoom_notes(path) == ()
