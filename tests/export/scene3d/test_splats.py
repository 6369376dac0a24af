"""Splats are read back as a viewer reads them: from the header's own names, scales and opacity undone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
import trimesh

from josh_core.body import load_body
from josh_core.export.scene3d.splats import save_splats, surfels
from josh_core.types import Float, PointCloud, Reconstruction
from tests.example_result import made_up_result

USUAL = "x y z nx ny nz f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3".split()


@pytest.fixture(scope="module")
def result() -> Reconstruction:
    return made_up_result(load_body(), frames=6, points=6000)


def read(path: Path) -> dict[str, Float]:
    """Columns by name, parsed from the header alone."""
    head, _, data = path.read_bytes().partition(b"end_header\n")
    lines = head.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    names = [line.split()[2] for line in lines if line.startswith("property float ")]
    table = np.frombuffer(data, "<f4").reshape(-1, len(names)).astype(float)
    assert f"element vertex {len(table)}" in lines
    return dict(zip(names, table.T, strict=True))


def columns(splats: dict[str, Float], *names: str) -> Float:
    return np.stack([splats[name] for name in names], 1)


def test_splats_are_the_scene_as_flat_discs_on_its_surfaces(result: Reconstruction, tmp_path: Path) -> None:
    save_splats(result, tmp_path / "splats.ply")
    splats = read(tmp_path / "splats.ply")
    assert list(splats) == USUAL
    places = columns(splats, "x", "y", "z")
    np.testing.assert_allclose(places, result.scene.points, atol=1e-6)
    color = 0.5 + 0.28209479177387814 * columns(splats, "f_dc_0", "f_dc_1", "f_dc_2")
    np.testing.assert_allclose(255 * color, result.scene.colors, atol=0.01)
    scale = np.exp(columns(splats, "scale_0", "scale_1", "scale_2"))
    assert (scale[:, 2] < 0.2 * scale[:, 0]).all() and 0.01 < np.median(scale[:, 0]) < 0.2
    opacity = 1 / (1 + np.exp(-splats["opacity"]))
    assert opacity.min() > 0.3 and np.corrcoef(opacity, result.scene.confidence)[0, 1] > 0.99
    turn = roma.unitquat_to_rotmat(torch.tensor(columns(splats, "rot_1", "rot_2", "rot_3", "rot_0"))).numpy()
    normals = columns(splats, "nx", "ny", "nz")
    np.testing.assert_allclose(turn[:, :, 2], normals, atol=1e-5)  # the thin axis is the normal
    inner = (np.abs(places[:, 0]) < 4) & (places[:, 1] == 0) & (places[:, 2] > -13) & (places[:, 2] < 0)
    assert np.median(normals[inner, 1]) > 0.99  # the ground looks up, to the camera


def test_splats_are_opened_by_trimesh(result: Reconstruction, tmp_path: Path) -> None:
    save_splats(result, tmp_path / "splats.ply")
    cloud = trimesh.load(tmp_path / "splats.ply")
    np.testing.assert_allclose(cloud.vertices, result.scene.points, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_few_points_and_points_at_one_place_still_make_finite_splats(
    result: Reconstruction, tmp_path: Path, count: int
) -> None:
    few = PointCloud(np.zeros((count, 3), np.float32), np.zeros((count, 3), np.uint8), np.ones(count, np.float32))
    save_splats(replace(result, scene=few), tmp_path / "splats.ply")
    splats = read(tmp_path / "splats.ply")
    assert all(len(column) == count and np.isfinite(column).all() for column in splats.values())


def test_normals_point_to_the_nearest_camera() -> None:
    rng = np.random.default_rng(0)
    wall = np.stack([rng.uniform(-1, 1, 400), rng.uniform(-1, 1, 400), np.zeros(400)], 1)
    for side in (-1.0, 1.0):
        normals, radius = surfels(wall, np.array([[0.0, 0.0, 3 * side]]))
        np.testing.assert_allclose(normals, np.tile([0, 0, side], (400, 1)), atol=1e-9)
        assert (radius > 0).all()
