"""Distortion: there and back, and a bent clip becomes straight."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from josh_core.scene.camera.lens import (
    Lens,
    bend,
    distort,
    field_deg,
    lens_error,
    lens_notes,
    lens_numbers,
    undistort,
    undistort_clip,
)
from josh_core.types import CameraKind, CameraPath, Clip, People, Track
from tests.scene.textured_plane import clip_of


@pytest.mark.parametrize("distortion", [-0.4, -0.15, -0.02, 0.0, 0.1])
def test_undistort_is_the_inverse(distortion: float) -> None:
    lens = Lens(700.0, distortion)
    xy = np.random.default_rng(0).uniform(-600, 600, (500, 2))
    assert undistort(lens, distort(lens, xy)) == pytest.approx(xy, abs=0.01)


def cameras(distortion: float) -> CameraPath:
    return CameraPath("moving", np.eye(4)[None], 200.0, 0.1, np.array([0]), np.ones(1, bool), distortion)


def person(px: np.ndarray) -> People:
    box = np.concatenate([px - 5, px + 5])[None]
    marks = np.tile(px, (1, 33, 1))
    track = Track(0, np.array([0]), box, marks, np.ones((1, 33)), np.zeros((1, 33, 3)), np.ones(1, bool))
    labels = np.zeros((1, 200, 300), np.uint8)
    labels[0, int(px[1]) - 5 : int(px[1]) + 5, int(px[0]) - 5 : int(px[0]) + 5] = 1
    return People((track,), labels)


def test_a_bent_clip_becomes_straight() -> None:
    straight = np.array([260.0, 170.0])
    lens = Lens(200.0, -0.1)
    bent = distort(lens, straight - [150, 100]) + [150, 100]
    picture = np.full((200, 300, 3), 40, np.uint8)
    cv2.circle(picture, (round(bent[0]), round(bent[1])), 4, (250, 250, 250), -1)
    clip, people = undistort_clip(clip_of([picture]), person(bent), cameras(-0.1))
    bright = np.argwhere(clip.frame(0)[..., 0] > 150)[:, ::-1].mean(0) + 0.5
    assert bright == pytest.approx(straight, abs=1.0)
    assert people.tracks[0].landmarks_px[0, 0] == pytest.approx(straight, abs=0.01)
    assert people.tracks[0].boxes[0].reshape(2, 2).mean(0) == pytest.approx(straight, abs=0.5)
    assert np.argwhere(people.labels[0] == 1)[:, ::-1].mean(0) + 0.5 == pytest.approx(straight, abs=1.0)


def test_a_straight_clip_is_left_alone() -> None:
    clip, people = clip_of([np.zeros((200, 300, 3), np.uint8)]), person(np.array([100.0, 100.0]))
    assert undistort_clip(clip, people, cameras(0.0)) == (clip, people)


def path_of(focal: float, sigma: float = 0.01, distortion: float = 0.0, kind: CameraKind = "moving") -> CameraPath:
    return CameraPath(kind, np.eye(4)[None], focal, sigma, np.array([0]), np.ones(1, bool), distortion)


def notes(cameras: CameraPath, given: bool = False) -> tuple[str, ...]:
    return lens_notes(cameras.focal, cameras, Clip([b""], np.zeros(1), 1000, 500, 30.0), given)


def test_an_unusual_focal_is_reported_with_advice() -> None:
    assert field_deg(320.0, 640.0) == pytest.approx(90.0)
    assert notes(path_of(700.0)) == () == notes(path_of(550.0))
    (wide,) = notes(path_of(440.0))
    assert "very wide" in wide and "97 degrees" in wide and "give the focal length" in wide
    (narrow,) = notes(path_of(2400.0))
    assert "very narrow" in narrow
    assert notes(path_of(520.0, sigma=0.2))  # hardly known, and far from the usual
    assert notes(path_of(440.0), given=True) == () == notes(path_of(440.0, kind="static"))


def test_a_strong_distortion_widens_the_errors_and_is_reported() -> None:
    """Beyond what was measured; an even fisheye of 75 degrees from corner to corner is within."""
    clip = Clip([b""], np.zeros(1), 960, 540, 30.0)
    barrel = path_of(600.0, distortion=-0.45)
    assert lens_error(barrel, clip) > 0.4
    (said,) = lens_notes(600.0, barrel, clip, given=False)
    assert "linear" in said
    assert lens_error(path_of(843.0, distortion=-0.345), clip) == 0


def test_a_lens_at_the_bound_of_the_model_is_undetermined() -> None:
    """Its corners move by 3 % only, since the focal came out far too long with it."""
    clip = Clip([b""], np.zeros(1), 640, 360, 30.0)
    pincushion = path_of(1300.0, distortion=0.5)
    assert bend(pincushion, clip) < 0.05
    assert lens_error(pincushion, clip) == 1.0
    (said,) = lens_notes(1300.0, pincushion, clip, given=False)
    assert "does not tell" in said and "give the focal length" in said
    assert lens_numbers(pincushion, 1300.0, clip, given=False)["focal_unusual"]
    assert not lens_numbers(path_of(700.0), 700.0, clip, given=False)["focal_unusual"]


def test_one_term_follows_a_fisheye() -> None:
    """Angle to radius, 45 degrees off the axis: one number within a pixel, where OpenCV's k1 alone is 14 px off."""
    angle = np.radians(np.linspace(1, 45, 100))
    focal = 550 / angle[-1]
    straight, seen = focal * np.tan(angle), focal * angle
    at = np.stack([straight, np.zeros(100)], 1)
    assert distort(Lens(focal, -0.346), at)[:, 0] == pytest.approx(seen, abs=1.0)
