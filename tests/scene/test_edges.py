"""Edges of a drawn street of posts tell the vertical; a muddle of lines tells nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from josh_core.geometry import rigid, rotvec_to_rotmat
from josh_core.scene.edges import Edges, common_direction, find_edges
from josh_core.types import CameraPath, Clip, Float, People

WIDTH, HEIGHT, FOCAL = 960, 540, 800.0
DOWN = np.array([0.0, 1.0, 0.0])  # of an upright camera


def cameras(focal_sigma: float = 0.01) -> CameraPath:
    """Three keyframes of a camera that pitches by 12 degrees and rolls by 7; the world has its axes."""
    return CameraPath(
        world_from_cam=np.repeat(rigid(np.eye(3), np.zeros(3))[None], 3, 0),
        focal=FOCAL,
        focal_sigma=focal_sigma,
        kind="static",
        keyframes=np.arange(3),
        registered=np.ones(3, bool),
    )


def tilt() -> Float:
    """[3,3] from an upright camera's axes to those of the tilted one."""
    return rotvec_to_rotmat(np.array([0.0, 0.0, np.radians(7.0)])) @ rotvec_to_rotmat(
        np.array([np.radians(12.0), 0.0, 0.0])
    )


def clip_of(lines: list[tuple[Float, Float]]) -> Clip:
    """A clip of three like frames with lines between pixels."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for a, b in lines:
        cv2.line(
            picture, tuple(np.round(a).astype(int).tolist()), tuple(np.round(b).astype(int).tolist()), (230,) * 3, 5
        )
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    return Clip([jpeg] * 3, np.arange(3) / 30, WIDTH, HEIGHT, 30.0)


def posts() -> list[tuple[Float, Float]]:
    """Posts of 3 m at both sides of a street, in pixels."""
    out = []
    for x in (-5.0, -3.5, -2.0, 2.0, 3.5, 5.0):
        for z in (6.0, 9.0, 13.0):
            ends = np.array([[x, -1.5, z], [x, 1.5, z]]) @ tilt().T
            px = FOCAL * ends[:, :2] / ends[:, 2:] + [WIDTH / 2, HEIGHT / 2]
            out.append((px[0], px[1]))
    return out


NOBODY = People((), np.zeros((3, 54, 96), np.uint8))


def test_posts_tell_the_vertical() -> None:
    found = common_direction(find_edges(clip_of(posts()), NOBODY, cameras()), -DOWN, cameras())
    assert found is not None
    off = np.degrees(np.arccos(np.clip(found.direction @ -(tilt() @ DOWN), -1, 1)))
    assert off < 0.3 and np.degrees(found.sigma) < 1.2
    unsure = common_direction(find_edges(clip_of(posts()), NOBODY, cameras()), -DOWN, cameras(0.3))
    assert unsure is not None and unsure.sigma > 2 * found.sigma  # a wrong focal bends a pitched camera's up


def test_edges_on_people_do_not_count() -> None:
    everywhere = People((), np.full((3, 54, 96), 255, np.uint8))
    assert not len(find_edges(clip_of(posts()), everywhere, cameras()).length)


@pytest.mark.parametrize("count", [0, 5, 200])
def test_no_edges_few_or_a_muddle_tell_nothing(count: int) -> None:
    rng = np.random.default_rng(count)
    normal = rng.normal(size=(count, 3))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    assert common_direction(Edges(normal, np.full(count, 0.3)), -DOWN, cameras()) is None
