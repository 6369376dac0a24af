"""The whole scene stage on filmed rooms with known cameras and depth."""

from __future__ import annotations

import numpy as np
import pytest

from josh_core.geometry import umeyama
from josh_core.progress import Progress
from josh_core.scene import solve_scene, with_dense_depth
from josh_core.settings import Settings
from tests.scene.textured_plane import film_room, nobody, room_path

FOCAL, SIZE, FRAMES = 480.0, (640, 384), 24


@pytest.mark.slow
def test_a_travelling_camera_gives_path_and_depth_in_one_scale() -> None:
    true = room_path(FRAMES, np.array([1.2, 0.0, -0.3]))
    clip, depth = film_room(true, FOCAL, SIZE)
    scene = with_dense_depth(solve_scene(clip, nobody(clip), Settings(focal_px=FOCAL), Progress()), Progress())
    cameras, maps = scene.cameras, scene.depths
    assert cameras.kind == "moving" and cameras.registered.all()
    scale, rotation, shift = umeyama(cameras.world_from_cam[:, :3, 3], true[:, :3, 3])
    off = scale * cameras.world_from_cam[:, :3, 3] @ rotation.T + shift - true[:, :3, 3]
    assert np.linalg.norm(off, axis=-1).max() < 0.02 * 1.24  # of the way
    assert len(maps.depth) == len(cameras.keyframes) and (np.diff(cameras.keyframes) > 0).all()
    height, width = maps.depth.shape[1:]
    rows = ((np.arange(height) + 0.5) * SIZE[1] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * SIZE[0] / width).astype(int)
    small = depth[cameras.keyframes][:, rows][:, :, columns]
    known = (maps.confidence > 0.5) & (small > 0)
    assert known.mean() > 0.3
    assert np.median(np.abs(scale * maps.depth[known] / small[known] - 1)) < 0.03
    assert scene.matches.pairs.max() < len(cameras.keyframes)


@pytest.mark.slow
def test_a_still_camera_gives_no_depth() -> None:
    clip, _ = film_room(room_path(8, np.zeros(3)), FOCAL, SIZE)
    scene = with_dense_depth(solve_scene(clip, nobody(clip), Settings(), Progress()), Progress())
    assert scene.cameras.kind == "static" and (scene.cameras.world_from_cam == np.eye(4)).all()
    assert not scene.depths.depth.any() and not scene.depths.confidence.any()
    assert len(scene.depths.depth) == len(scene.cameras.keyframes) and len(scene.matches.px) == 0
