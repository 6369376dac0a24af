"""Rendered pictures agree with their truth: pixels move as depth says, joints lie inside people, the file is read."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.rendered.draw import Drawn, open_context
from benchmarks.rendered.kinds import Shot
from benchmarks.rendered.make import draw, shot_of, write
from josh_core.body.model import load_body
from josh_core.errors import JoshError
from josh_core.geometry import intrinsics, invert, pixel_grid, project, transform, unproject
from josh_core.metrics.ground_truth import load_truth

SIZE = (320, 180)


@pytest.fixture(scope="module", autouse=True)
def _graphics() -> Iterator[None]:
    try:
        open_context().release()
    except JoshError as error:
        pytest.skip(str(error))
    yield


def _small(kind: str, frames: int | None = None) -> Shot:
    shot = shot_of(kind, 1, load_body(), frames)
    return replace(shot, size=SIZE, focal=shot.focal * SIZE[0] / shot.size[0])


@pytest.fixture(scope="module")
def crossing() -> tuple[Shot, list[Drawn]]:
    shot = _small("crossing")
    shot = replace(shot, cameras=shot.cameras[:3])
    return shot, list(draw(shot, 1))


def test_pixels_move_as_depth_and_cameras_say(crossing: tuple[Shot, list[Drawn]]) -> None:
    shot, frames = crossing
    k = intrinsics(shot.focal, *SIZE)
    a, b = frames[0], frames[2]
    p_world = transform(shot.cameras[0], unproject(k, pixel_grid(*SIZE).reshape(-1, 2), a.depth.reshape(-1)))
    at = project(k, transform(invert(shot.cameras[2]), p_world)).reshape(*SIZE[::-1], 2)
    grey = [cv2.cvtColor(f.rgb, cv2.COLOR_RGB2GRAY) for f in (a, b)]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)
    error = np.linalg.norm(at - pixel_grid(*SIZE) - flow, axis=-1)
    still = (a.depth > 0) & (a.labels == 0) & (b.labels == 0)
    assert np.linalg.norm(flow, axis=-1)[still].mean() > 0.3  # the camera does move
    assert np.median(error[still]) < 0.3


def test_joints_lie_inside_their_person(crossing: tuple[Shot, list[Drawn]]) -> None:
    shot, frames = crossing
    k = intrinsics(shot.focal, *SIZE)
    for person, motion in enumerate(shot.motions):
        p_cam = transform(invert(shot.cameras[0]), motion.joints[0])
        px = np.floor(project(k, p_cam)).astype(int)
        px = px[((px >= 0) & (px < SIZE)).all(1)]
        mask = cv2.dilate((frames[0].labels == person + 1).astype(np.uint8), np.ones((3, 3), np.uint8))
        assert mask.sum() > 150
        assert mask[px[:, 1], px[:, 0]].mean() > 0.95


def test_a_clip_and_its_truth_are_written_and_read(tmp_path: Path) -> None:
    shot = _small("bench", 2)
    write(shot, 1, tmp_path / "bench_1.mp4")
    truth = load_truth(tmp_path / "bench_1_truth.npz")
    assert truth.size == SIZE and len(truth.world_from_cam) == 2 and len(truth.people) == 1
    assert truth.intrinsics[0, 0] == pytest.approx(shot.focal)
    assert truth.people[0].foot_contact is not None and truth.people[0].foot_contact.all()
    assert truth.scene_points is not None and len(truth.scene_points) > 1000
    capture = cv2.VideoCapture(str(tmp_path / "bench_1.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 2
    with np.load(tmp_path / "bench_1_truth.npz") as stored:
        names = [str(n) for n in stored["contact_names"]]
        assert stored["person0_contact"].shape == (2, len(names))
        assert stored["person0_contact"][:, names.index("left_heel")].all()
        assert not stored["person0_contact"][:, names.index("left_seat")].any()
