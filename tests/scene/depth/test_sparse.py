"""Sparse depth: exactly where solved points are seen, and shown as points without being taken for edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from josh_core.geometry import rigid
from josh_core.scene.camera.lens import Lens
from josh_core.scene.camera.solve import CameraSolution
from josh_core.scene.depth.sparse import SPARSE_CONFIDENCE, sparse_depths
from josh_core.scene.matching.tracks import Tracks
from josh_core.scene.surface.mesh import surface
from josh_core.scene.surface.point_cloud import point_cloud
from josh_core.types import CameraPath, Clip, Float, Matches, Scene
from tests.scene.textured_plane import clip_of, nobody

FOCAL, WIDTH, HEIGHT = 200.0, 224, 112
POINTS = np.array([[0.0, 0.0, 4.0], [1.0, 0.5, 5.0], [0.0, 0.0, 8.0], [0.4, -0.4, 4.0]])
NO_MATCHES = Matches(np.zeros((0, 2), np.int64), np.zeros(1, np.int64), np.zeros((0, 2, 2)), np.zeros(0))


def solved() -> tuple[Clip, Tracks, CameraSolution]:
    """Three frames of a camera that goes to the right; the last is not registered. Track 4 has no point."""
    clip = clip_of([np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * 3)
    path = rigid(np.tile(np.eye(3), (3, 1, 1)), np.array([[0.0, 0, 0], [0.5, 0, 0], [1.0, 0, 0]]))
    seen = [np.array([0, 1, 2, 4]), np.array([1, 3]), np.array([0, 1])]
    cameras = CameraPath("moving", path, FOCAL, 0.01, np.arange(3), np.array([True, True, False]))
    rows = np.concatenate([[0], np.cumsum([len(ids) for ids in seen])])
    tracks = Tracks(rows, np.concatenate(seen), np.zeros((rows[-1], 2)), 5, (WIDTH, HEIGHT), np.arange(3), ())
    return clip, tracks, CameraSolution(cameras, Lens(FOCAL), np.arange(4), POINTS)


def at(depth: Float, point: Float, centre: Float) -> float:
    """The map's value where a world point [3] falls in a camera at `centre` [3]."""
    p = point - centre
    x, y = FOCAL * p[:2] / p[2] + [WIDTH / 2, HEIGHT / 2]
    return float(depth[int(y), int(x)])


def test_depth_is_known_where_a_solved_point_is_seen_and_nowhere_else() -> None:
    maps = sparse_depths(*solved())
    first, second, third = maps.depth
    assert at(first, POINTS[0], np.zeros(3)) == 4.0  # before the point behind it on the same ray
    assert at(first, POINTS[1], np.zeros(3)) == 5.0 and (first > 0).sum() == 2
    assert at(second, POINTS[1], np.array([0.5, 0, 0])) == 5.0
    assert at(second, POINTS[3], np.array([0.5, 0, 0])) == 4.0 and (second > 0).sum() == 2
    assert not third.any() and ((maps.confidence > 0) == (maps.depth > 0)).all()
    assert maps.confidence.max() == np.float32(SPARSE_CONFIDENCE)


def test_lone_points_of_a_sparse_scene_are_shown() -> None:
    clip, tracks, solution = solved()
    scene = Scene(solution.path, NO_MATCHES, sparse_depths(clip, tracks, solution))
    points, colors, _ = point_cloud(clip, nobody(clip), scene)
    for wanted in (POINTS[0], POINTS[1], POINTS[3]):
        assert np.linalg.norm(points - wanted, axis=1).min() < 5.0 / FOCAL  # within a pixel at its distance
    assert np.abs(colors.astype(int) - 90).max() < 3
    as_dense = replace(scene, depths=replace(scene.depths, sparse=False))
    assert len(point_cloud(clip, nobody(clip), as_dense)[0]) == 0  # there a lone pixel lies between front and back


def test_points_make_no_surface_but_the_floor_laid_through_them_does() -> None:
    clip, tracks, solution = solved()
    maps = sparse_depths(clip, tracks, solution)
    maps.depth[:], maps.confidence[:] = 6.0, SPARSE_CONFIDENCE  # so many points that they would pass for a surface
    scene = Scene(solution.path, NO_MATCHES, maps)
    assert surface(clip, nobody(clip), scene) is None
    assert surface(clip, nobody(clip), replace(scene, depths=replace(maps, sparse=False))) is not None
    maps.confidence[:, HEIGHT // 2 :] = 0.18
    floor = surface(clip, nobody(clip), scene)
    assert floor is not None and floor.vertices[:, 1].min() > -1e-3  # only the lower half
