"""Bundle adjustment: derivatives against differences, and the truth is found again from a poor start."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from josh_core.geometry import rigid, rotation_angle, rotvec_to_rotmat, umeyama
from josh_core.scene.camera.bundle_adjustment import SightingNoise, adjust, locate
from josh_core.scene.camera.lens import FocalPrior, Lens
from josh_core.scene.camera.sparse_model import (
    SparseModel,
    derivatives,
    pose_derivatives,
    refined_points,
    residuals,
    tangents,
    triangulate,
)
from josh_core.scene.matching.tracks import Sightings, sightings_of
from tests.scene.textured_plane import path, tracks_of

LENS = Lens(520.0, -0.08)


def problem(noise: float = 0.0, outliers: float = 0.0) -> tuple[SparseModel, Sightings]:
    """True cameras, triangulated points and their sightings."""
    cameras = path(30, np.array([2.0, 0.1, 0.5]), 0.2)
    tracks = tracks_of(cameras, LENS, noise, outliers)
    sightings, ids = sightings_of(tracks, tracks.frames, 3)
    keys = cameras[tracks.frames]
    return triangulate(keys[:, :3, :3], keys[:, :3, 3], LENS, sightings, len(ids)), sightings


def test_triangulation_of_exact_sightings_is_exact() -> None:
    model, sightings = problem()
    assert np.abs(residuals(model, sightings)).max() < 1e-5


def test_derivatives_agree_with_differences() -> None:
    model, sightings = problem(noise=0.5)
    few = sightings.where(np.arange(len(sightings.xy)) % 97 == 0)
    _, by_camera, by_point = derivatives(model, few)
    step = 1e-6
    for axis in range(3):
        turn = np.zeros(3)
        turn[axis] = step
        turned = replace(model, rotations=model.rotations @ rotvec_to_rotmat(turn))
        moved = replace(model, centres=model.centres + turn)
        for column, other in ((axis, turned), (3 + axis, moved)):
            difference = (residuals(other, few) - residuals(model, few)) / step
            assert by_camera[:, :, column] == pytest.approx(difference, rel=1e-3, abs=1e-2)
    for column, lens in ((6, Lens(LENS.focal * np.exp(step), LENS.distortion)), (7, Lens(LENS.focal, -0.08 + step))):
        difference = (residuals(replace(model, lens=lens), few) - residuals(model, few)) / step
        assert by_camera[:, :, column] == pytest.approx(difference, rel=1e-3, abs=1e-2)
    deeper = replace(model, inverse=model.inverse + step)
    difference = (residuals(deeper, few) - residuals(model, few)) / step
    assert by_point[:, :, 2] == pytest.approx(difference, rel=1e-3, abs=1e-2)
    for axis in range(2):
        rays = model.rays + step * tangents(model.rays)[:, :, axis]
        difference = (residuals(replace(model, rays=rays), few) - residuals(model, few)) / step
        assert by_point[:, :, axis] == pytest.approx(difference, rel=1e-3, abs=1e-2)


def test_cameras_and_lens_are_found_from_a_poor_start() -> None:
    true, sightings = problem(noise=0.2, outliers=0.05)
    rng = np.random.default_rng(1)
    turn = rotvec_to_rotmat(rng.normal(0, 0.01, (len(true.centres), 3)))
    centres = true.centres + rng.normal(0, 0.03, true.centres.shape)
    start = triangulate(true.rotations @ turn, centres, Lens(600.0), sightings, len(true.rays))
    found = adjust(start, sightings, FocalPrior(640.0, 0.3, 0.05), SightingNoise.usual(0.25), 40)
    assert found.model.lens.focal == pytest.approx(LENS.focal, rel=0.01)
    assert found.model.lens.distortion == pytest.approx(LENS.distortion, abs=0.01)
    scale, rotation, shift = umeyama(found.model.centres, true.centres)
    off = scale * found.model.centres @ rotation.T + shift - true.centres
    assert np.sqrt((off**2).sum(-1).mean()) < 0.01 * 2.1  # of the path
    assert abs(np.log(found.model.lens.focal / LENS.focal)) < 4 * found.focal_sigma + 0.002
    assert found.focal_sigma < 0.02


def test_a_given_focal_stays() -> None:
    true, sightings = problem(noise=0.2)
    found = adjust(
        replace(true, lens=Lens(500.0)), sightings, FocalPrior(500.0, 0.0, 0.05), SightingNoise.usual(0.25), 10
    )
    assert found.model.lens.focal == pytest.approx(500.0, rel=1e-6)
    assert found.focal_sigma == 0.0


def test_single_frames_are_placed_against_known_points() -> None:
    true, sightings = problem(noise=0.2, outliers=0.1)
    rng = np.random.default_rng(2)
    count = len(true.centres)
    shaken = replace(
        true,
        rotations=true.rotations @ rotvec_to_rotmat(rng.normal(0, 0.02, (count, 3))),
        centres=true.centres + rng.normal(0, 0.1, (count, 3)),
    )
    found, _ = locate(shaken, sightings, 0.25)
    assert np.degrees(rotation_angle(found.rotations.swapaxes(-1, -2) @ true.rotations)).max() < 0.1
    assert np.linalg.norm(found.centres - true.centres, axis=-1).max() < 0.02


def test_far_points_and_a_frame_without_sightings_stay_finite() -> None:
    model, sightings = problem(noise=0.2)
    far = replace(model, inverse=np.zeros_like(model.inverse))
    blind = sightings.where(sightings.camera != 2)
    found = adjust(far, blind, FocalPrior(520.0, 0.3), SightingNoise.usual(0.25), 3)
    assert np.isfinite(found.model.centres).all()
    assert np.isfinite(found.model.points()).all()
    placed, _ = locate(model, blind, 0.25)
    assert np.allclose(rigid(placed.rotations, placed.centres)[2], rigid(model.rotations, model.centres)[2])


def test_derivatives_by_pose_alone_are_those_of_all() -> None:
    model, sightings = problem(noise=0.5)
    residual, jacobian = pose_derivatives(model, sightings)
    whole, by_camera, _ = derivatives(model, sightings)
    assert np.array_equal(residual, whole) and np.array_equal(jacobian, by_camera[:, :, :6])


def test_points_are_refined_by_reprojection_beside_outliers() -> None:
    true, exact = problem()
    rng = np.random.default_rng(0)
    error = rng.normal(0, 0.2, exact.xy.shape) + 20.0 * (rng.random((len(exact.xy), 1)) < 0.1)
    sightings = replace(exact, xy=exact.xy + error)
    moved = replace(true, inverse=true.inverse * rng.uniform(0.7, 1.4, len(true.inverse)))
    found = refined_points(moved, sightings, 0.2)
    off = [np.linalg.norm(residuals(m, exact), axis=-1) for m in (moved, found)]
    assert np.median(off[0]) > 2.0 and np.median(off[1]) < 0.2
    assert np.percentile(off[1], 90) < 0.6
    assert found.rotations is true.rotations and np.allclose(np.linalg.norm(found.rays, axis=1), 1)
