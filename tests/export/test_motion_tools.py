"""Files for motion and compositing tools say the same as the result: TRC of OpenSim, Nuke's .chan."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from josh_core.body import BodyModel, load_body
from josh_core.body.names import JOINTS
from josh_core.body.posing import posed_vertices
from josh_core.export.cameras import save_chan
from josh_core.export.motion.trc import marker_names, save_trc
from josh_core.geometry import invert, project, rigid, rotvec_to_rotmat, transform
from josh_core.types import Float, Reconstruction
from tests.example_result import made_up_result


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def result(body: BodyModel) -> Reconstruction:
    return made_up_result(body, frames=30, points=300)


def read_trc(path: Path) -> tuple[dict[str, str], dict[str, Float], Float, list[int]]:
    """Header by name, markers [n,3] by name (NaN where missing), times [n] and frame numbers."""
    with path.open(newline="") as file:
        first, keys, values, names, axes, *rows = list(csv.reader(file, delimiter="\t"))
    assert first[:3] == ["PathFileType", "4", "(X/Y/Z)"] and first[3] == path.name
    assert names[:2] == ["Frame#", "Time"] and axes[2:5] == ["X1", "Y1", "Z1"]
    assert {len(row) for row in rows} == {len(axes)} == {len(names)}
    table = np.array([[float(cell) if cell else np.nan for cell in row] for row in rows])
    places = {name: table[:, 2 + 3 * k : 5 + 3 * k] for k, name in enumerate(names[2::3])}
    return dict(zip(keys, values, strict=True)), places, table[:, 1], [int(row[0]) for row in rows]


@pytest.mark.parametrize("who", [0, 1])
def test_trc_gives_joints_and_markers_within_a_millimetre(
    result: Reconstruction, body: BodyModel, tmp_path: Path, who: int
) -> None:
    person = result.people[who]
    save_trc(result, body, person, tmp_path / "p.trc")
    header, places, times, frames = read_trc(tmp_path / "p.trc")
    assert (header["Units"], float(header["DataRate"])) == ("m", 30.0)
    assert (int(header["NumFrames"]), int(header["NumMarkers"])) == (len(frames), len(places))
    assert tuple(places) == marker_names() and frames == list(range(person.frames[0], person.frames[-1] + 1))
    np.testing.assert_allclose(times, result.frame_times[frames], atol=1e-6)
    seen = np.isin(frames, person.frames)
    for k, name in enumerate(JOINTS):
        assert np.abs(places[name][seen] - person.joints[:, k]).max() < 1e-3
        assert np.isnan(places[name][~seen]).all()
    mesh = posed_vertices(body, person.betas, person.pose, person.transl)
    for name in ("nose", "left_heel", "right_foot_index"):  # on the skin, with +Y up
        assert np.linalg.norm(mesh - places[name][seen][:, None], axis=-1).min(1).max() < 0.03
    assert (places["nose"][seen, 1] - places["left_heel"][seen, 1]).min() > 1.2


def about(axis: int, degrees: Float) -> Float:
    return rotvec_to_rotmat(np.radians(degrees)[:, None] * np.eye(3)[axis])


def test_chan_seen_through_nukes_camera_is_what_ours_sees(result: Reconstruction, tmp_path: Path) -> None:
    tilted = rotvec_to_rotmat(np.array([0.3, -0.2, 0.5]) + 0.01 * np.arange(30)[:, None])
    poses = result.world_from_cam.astype(float).copy()
    poses[:, :3, :3] = poses[:, :3, :3] @ tilted  # a roll, so that no order of axes passes for another
    rolled = replace(result, world_from_cam=poses)
    save_chan(rolled, tmp_path / "camera.chan")
    table = np.loadtxt(tmp_path / "camera.chan")
    assert table.shape == (30, 8) and table[:, 0].tolist() == list(range(1, 31))
    place, turn, view = table[:, 1:4], table[:, 4:7], np.radians(table[:, 7])
    assert np.abs(np.diff(turn, axis=0)).max() < 10  # degrees: nothing jumps
    world_from_nuke = rigid(about(1, turn[:, 1]) @ about(0, turn[:, 0]) @ about(2, turn[:, 2]), place)
    for frame in (0, 13, 29):
        joints = rolled.people[0].joints[frame].astype(float)
        p = transform(invert(world_from_nuke[frame]), joints)  # looks along -z, y up
        focal = rolled.height / 2 / np.tan(view[frame] / 2)
        u = rolled.width / 2 - focal * p[:, 0] / p[:, 2]
        v = rolled.height / 2 + focal * p[:, 1] / p[:, 2]
        ours = project(rolled.intrinsics, transform(invert(poses[frame]), joints))
        np.testing.assert_allclose(np.stack([u, v], 1), ours, atol=0.01)
