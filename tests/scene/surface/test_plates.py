"""Pictures of the place behind the people of a camera that does not travel: seen in other frames, or filled in."""

from __future__ import annotations

import numpy as np

from josh_core.geometry import rigid, rotvec_to_rotmat
from josh_core.scene.depth.map_grid import MapGrid
from josh_core.scene.surface.plates import Plates, clean_plate
from josh_core.types import CameraPath, People
from tests.scene.textured_plane import clip_of


def test_the_plate_shows_what_the_people_hide() -> None:
    """A person walks over a slope of grey: where somebody was only at times the plate is exact, else it is smooth."""
    height, width, frames = 60, 120, 12
    slope = np.broadcast_to(np.linspace(60, 200, width)[None, :, None], (height, width, 3)).astype(np.uint8)
    labels = np.zeros((frames, height, width), np.uint8)
    pictures = []
    for t in range(frames):
        labels[t, 20:50, 5 + 6 * t : 20 + 6 * t] = 1  # walks
        labels[t, 25:45, 100:108] = 2  # stays
        picture = slope.copy()
        picture[labels[t] > 0] = (250, 0, 0)
        pictures.append(picture)
    plate = clean_plate(clip_of(pictures), People((), labels), width).astype(int)
    error = np.abs(plate - slope).max(-1)
    stays = (labels == 2).all(0)
    edge = np.zeros_like(stays)
    edge[22:48, 96:112] = True  # JPEG blurs the red of the one who stays into the pixels beside it
    assert error[~edge].max() < 12
    assert error[stays].max() < 60 and plate[stays][:, 1].min() > 60  # nothing of the red is left


def test_a_camera_that_turns_sees_past_the_people_in_other_frames() -> None:
    """One who stands where the picture's middle is is passed by; the place's colour is that of the direction."""
    height, width, frames, focal = 90, 160, 12, 150.0
    pan = rotvec_to_rotmat(np.linspace(-0.4, 0.4, frames)[:, None] * [0, 1.0, 0])
    cameras = CameraPath(
        "rotating", rigid(pan, np.zeros((frames, 3))), focal, 0.01, np.arange(frames), np.ones(frames, bool)
    )
    labels = np.zeros((frames, height, width), np.uint8)
    labels[:, 30:70, 70:90] = 1  # goes with the camera, so that everything is hidden only at times
    labels[:, :20, :] = 2  # everywhere at the top
    pictures, places = [], []
    rays = MapGrid.of(clip_of([np.zeros((height, width, 3), np.uint8)]), focal, width).rays
    for t in range(frames):
        seen = rays @ pan[t].T
        across, along = np.arctan2(seen[..., 0], seen[..., 2]), seen[..., 1] / np.hypot(seen[..., 0], seen[..., 2])
        place = np.stack([128 + 90 * np.sin(5 * across), 128 + 90 * along, 128 + 90 * np.cos(5 * across)], -1)
        places.append(place)
        pictures.append(np.where(labels[t, ..., None] > 0, (250, 0, 0), place).astype(np.uint8))
    plates = Plates(clip_of(pictures), People((), labels), cameras)
    for t in (0, 6):
        error = np.abs(plates.at(t).astype(int) - places[t]).max(-1)
        assert error[24:].max() < 25  # JPEG's own errors are up to 20 beside the red
        assert np.median(error[24:]) < 3
        assert plates.at(t)[:18, :, 1].min() > 40  # nothing of the red is left in what is never seen
    assert plates.at(6) is plates.at(6)
