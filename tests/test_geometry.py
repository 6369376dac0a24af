"""Rigid motions, projection, interpolation: inverses, round trips and hand-made cases."""

import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from josh_core import geometry as g

seeds = st.integers(0, 2**31)


def random_motion(rng, *shape):
    return g.rigid(g.rotvec_to_rotmat(rng.normal(size=(*shape, 3)) * 1.5), rng.normal(size=(*shape, 3)) * 4)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_invert_undoes_transform_in_both_libraries(seed):
    rng = np.random.default_rng(seed)
    b_from_a, p_a = random_motion(rng, 3), rng.normal(size=(3, 5, 3))
    assert np.allclose(g.transform(g.invert(b_from_a), g.transform(b_from_a, p_a)), p_a)
    torch_back = g.transform(
        g.invert(torch.from_numpy(b_from_a)), g.transform(torch.from_numpy(b_from_a), torch.from_numpy(p_a))
    )
    assert np.allclose(torch_back.numpy(), p_a)


def test_transform_composes_like_matrices():
    rng = np.random.default_rng(0)
    c_from_b, b_from_a, p = random_motion(rng, 2), random_motion(rng, 2), rng.normal(size=(2, 4, 3))
    assert np.allclose(g.transform(c_from_b @ b_from_a, p), g.transform(c_from_b, g.transform(b_from_a, p)))


def test_project_uses_pixel_edges():
    k = g.intrinsics(100.0, 640, 480)
    assert np.allclose(g.project(k, np.array([0.0, 0.0, 2.0])), [320, 240])
    assert np.allclose(g.project(k, np.array([1.0, -0.5, 2.0])), [370, 215])


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_unproject_undoes_project(seed):
    rng = np.random.default_rng(seed)
    p = rng.normal(size=(6, 3)) + [0, 0, 6]
    k = g.intrinsics(rng.uniform(200, 900), 640, 480)
    assert np.allclose(g.unproject(k, g.project(k, p), p[:, 2]), p)


def test_rotation_angle_is_exact_near_zero():
    assert g.rotation_angle(g.rotvec_to_rotmat(np.array([1e-7, 0, 0]))) == pytest.approx(1e-7, rel=1e-3)


def test_interpolation_hits_its_keys_and_halves_an_angle():
    rotation = g.rotvec_to_rotmat(np.array([[0, 0, 0], [0, 0.8, 0], [0, 0.8, 0.4]]))
    times = np.array([0.0, 1.0, 3.0])
    assert np.allclose(g.interpolate_rotations(rotation, times, times), rotation)
    middle = g.interpolate_rotations(rotation, times, np.array([0.5, 9.0]))
    assert np.allclose(g.rotmat_to_rotvec(middle[0]), [0, 0.4, 0])
    assert np.allclose(middle[1], rotation[2])  # held beyond the end


def test_interpolation_takes_the_short_way_round():
    rotation = g.rotvec_to_rotmat(np.array([[0, 0, np.pi - 0.1], [0, 0, np.pi + 0.1]]))
    middle = g.interpolate_rotations(rotation, np.array([0.0, 1.0]), np.array([0.5]))
    assert g.rotation_angle(middle[0]) == pytest.approx(np.pi, abs=1e-6)


def test_one_key_is_held_everywhere():
    one = random_motion(np.random.default_rng(3), 1)
    assert np.allclose(g.interpolate_rigid(one, np.zeros(1), np.array([-1.0, 0.0, 5.0])), one)


@settings(max_examples=30, deadline=None)
@given(seeds, st.booleans())
def test_umeyama_finds_the_similarity(seed, with_scale):
    rng = np.random.default_rng(seed)
    motion, scale = random_motion(rng), rng.uniform(0.2, 4) if with_scale else 1.0
    source = rng.normal(size=(20, 3))
    target = scale * source @ motion[:3, :3].T + motion[:3, 3]
    s, rotation, translation = g.umeyama(source, target, with_scale)
    assert s == pytest.approx(scale)
    assert np.allclose(rotation, motion[:3, :3]) and np.allclose(translation, motion[:3, 3])


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_umeyama_agrees_with_roma(seed):
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(2, 12, 3))
    s, rotation, translation = g.umeyama(source, target)
    theirs = roma.rigid_points_registration(torch.tensor(source), torch.tensor(target), compute_scaling=True)
    for mine, other in zip((rotation, translation, s), theirs, strict=True):
        assert mine == pytest.approx(other.numpy(), rel=1e-9, abs=1e-12)


def test_umeyama_of_one_place_is_finite():
    s, rotation, translation = g.umeyama(np.ones((5, 3)), np.full((5, 3), 2.0))
    assert s == 0 and np.allclose(rotation, np.eye(3)) and np.allclose(translation, 2)


@pytest.mark.parametrize("b", [[0, 0, 1], [0, 0, -1], [1, 2, 3], [0, 1e-12, 1]])
def test_rotation_between_takes_one_direction_to_the_other(b):
    a, b = np.array([0.0, 0, 1]), np.array(b, float)
    rotation = g.rotation_between(a, b)
    assert np.allclose(rotation @ a, b / np.linalg.norm(b), atol=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1)


@pytest.mark.parametrize("most", [3, 2**30])
def test_row_keys_are_equal_exactly_where_rows_are(most):
    rows = np.random.default_rng(0).integers(-most, most, (400, 4))
    rows = np.concatenate([rows, rows[::3], rows[::7] + [0, 0, 0, 1]])
    keys = g.row_keys(rows)
    same = (rows[:, None] == rows).all(-1)
    assert ((keys[:, None] == keys) == same).all()
    assert len(g.row_keys(rows[:0])) == 0


def test_true_runs() -> None:
    assert g.true_runs(np.array([1, 1, 0, 1, 0, 0, 1], bool)) == [(0, 2), (3, 4), (6, 7)]
    assert g.true_runs(np.zeros(3, bool)) == [] and g.true_runs(np.zeros(0, bool)) == []


def test_the_border_of_a_picture_is_inside_at_its_beginning_only() -> None:
    px = np.array([[0.0, 0.0], [639.9, 359.9], [640.0, 10.0], [10.0, -0.1]])
    assert g.inside(px, 640, 360).tolist() == [True, True, False, False]


def test_axes_along_a_direction() -> None:
    along, towards = np.array([[0.0, 2.0, 0.0], [1.0, 1.0, 0.0]]), np.array([[1.0, 5.0, 0.0], [1.0, 0.0, 0.0]])
    axes = g.axes_along(along, towards)
    np.testing.assert_allclose(axes.swapaxes(-1, -2) @ axes, np.tile(np.eye(3), (2, 1, 1)), atol=1e-15)
    np.testing.assert_allclose(np.linalg.det(axes), 1.0)
    np.testing.assert_allclose(axes[0, :, :2].T, [[0, 1, 0], [1, 0, 0]], atol=1e-15)
    np.testing.assert_allclose(axes[1, :, 1], np.array([1, -1, 0]) / np.sqrt(2), atol=1e-15)


def test_the_best_of_each_key_is_its_first_largest():
    rng = np.random.default_rng(0)
    keys, worth = rng.integers(0, 300, 2000), rng.integers(0, 5, 2000).astype(np.float32)
    slow = [np.flatnonzero(keys == key)[worth[keys == key].argmax()] for key in np.unique(keys)]
    np.testing.assert_array_equal(g.best_of_each(keys, worth), np.sort(slow))
    assert len(g.best_of_each(keys[:0], worth[:0])) == 0


def test_a_smooth_step_is_level_at_its_ends():
    assert g.smooth_step(np.array([-1.0, 0.0, 0.25, 0.5, 1.0, 7.0])).tolist() == [0, 0, 0.15625, 0.5, 1, 1]
    near = g.smooth_step(np.array([1e-4, 1 - 1e-4]))
    assert near[0] < 1e-7 and 1 - near[1] < 1e-7
