"""The clean plate of a camera that stands still: everything behind the people, seen or filled in."""

from __future__ import annotations

import numpy as np

from josh_core.scene.surface.point_cloud import clean_plate
from josh_core.types import People
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
