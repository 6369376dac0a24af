"""A film that was squeezed or shifted is told from one that a lens made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from josh_core.progress import Progress
from josh_core.scene.camera.lens import Lens
from josh_core.scene.camera.pinhole import is_shifted, pinhole_notes
from josh_core.scene.camera.solve import solve_camera
from josh_core.scene.matching.tracks import Tracks
from josh_core.settings import Settings
from tests.scene.textured_plane import path, tracks_of

FRAMES = 40
TIMES = np.arange(FRAMES) / 30
WOBBLE = np.stack([np.sin(2 * np.pi * 2.3 * TIMES), np.cos(2 * np.pi * 3.1 * TIMES)], -1)  # [T,2]


def squeezed(tracks: Tracks, share: float) -> Tracks:
    """The tracks in a picture of that share of its width."""
    size = (round(tracks.size[0] * share), tracks.size[1])
    return replace(tracks, px=tracks.px * [size[0] / tracks.size[0], 1.0], size=size)


@pytest.mark.parametrize(("share", "told"), [(1.0, 1.0), (0.75, 1.33)])
def test_a_squeezed_picture_is_told(share: float, told: float) -> None:
    tracks = squeezed(tracks_of(path(FRAMES, np.array([3.0, 0.0, 0.3]), 0.3), Lens(500.0)), share)
    solution = solve_camera(tracks, TIMES, Settings(), Progress()).path
    assert solution.kind == "moving" and solution.aspect == told and not solution.shifted
    assert len(pinhole_notes(solution)) == (told != 1)


def test_a_picture_that_is_shifted_is_told_from_a_camera_that_is_shaken() -> None:
    still = path(FRAMES, np.array([1.0, 0.0, 0.2]), 0.1)
    shaken = still.copy()
    turns = Rotation.from_euler("yx", 0.02 * WOBBLE).as_matrix()
    shaken[:, :3, :3] = still[:, :3, :3] @ turns
    tracks = tracks_of(still, Lens(600.0))
    shifted = replace(tracks, px=tracks.px + 12.0 * WOBBLE[tracks.of_frames()])
    assert is_shifted(shifted, TIMES, 600.0)
    assert not is_shifted(tracks_of(shaken, Lens(600.0)), TIMES, 600.0) and not is_shifted(tracks, TIMES, 600.0)


def test_a_picture_whose_size_swings_is_told() -> None:
    tracks = tracks_of(path(FRAMES, np.array([3.0, 0.0, 0.3]), 0.3), Lens(500.0))
    size = 1 + 0.03 * np.sin(2 * np.pi * TIMES / 0.8)[tracks.of_frames(), None]
    for seen, told in ((tracks, False), (replace(tracks, px=tracks.centre + size * (tracks.px - tracks.centre)), True)):
        solution = solve_camera(seen, TIMES, Settings(), Progress()).path
        assert solution.kind == "moving" and (solution.breathing > 0) == told
        assert any("swings" in note for note in pinhole_notes(solution)) == told


def test_two_films_laid_over_each_other_are_explained_in_part_only() -> None:
    one, other = (
        tracks_of(path(FRAMES, np.array(way), 0.3), Lens(500.0)) for way in ([3.0, 0.0, 0.3], [-1.0, 0.5, 0.9])
    )
    alone = solve_camera(one, TIMES, Settings(), Progress()).path
    both = solve_camera(laid_over(one, other), TIMES, Settings(), Progress()).path
    assert alone.explained > 0.95 and both.explained < 0.75


def laid_over(one: Tracks, other: Tracks) -> Tracks:
    """The tracks of both in one picture."""
    frame = np.concatenate([one.of_frames(), other.of_frames()])
    ids = np.concatenate([one.ids, other.ids + one.count])
    order = np.lexsort((ids, frame))
    starts = one.starts + other.starts
    px = np.concatenate([one.px, other.px])[order]
    return replace(one, starts=starts, ids=ids[order], px=px, count=one.count + other.count)
