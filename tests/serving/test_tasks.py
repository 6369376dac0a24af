"""Files made from a stored result: what the archive holds, what it takes over, and that half of one never appears."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from josh_core.body import load_body
from josh_core.errors import Cancelled, ResultError
from josh_core.export import archive
from josh_core.export.bundle import load_bundle, save_bundle
from josh_core.export.pictures.video import encode, read_clip
from josh_core.progress import Progress
from josh_core.scene.camera.lens import Lens, distort, undistort_clip
from josh_core.serving import tasks
from josh_core.serving.jobs import Job
from josh_core.serving.mirror import SUFFIXES
from josh_core.settings import Settings
from josh_core.types import CameraPath
from tests.example_result import made_up_result
from tests.scene.textured_plane import clip_of, nobody

FRAMES = 6


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A bundle with its clip beside it."""
    folder = tmp_path / "source"
    result = made_up_result(load_body(), frames=FRAMES, points=500)
    save_bundle(result, folder, files={"result.glb": b"glTF"})
    grey = (np.full((120, 160, 3), 20 * k, np.uint8) for k in range(FRAMES))
    encode(grey, result.frame_times, folder / tasks.CLIP_FILE)
    (tmp_path / "out").mkdir()
    return folder


def make(stored: Path, name: str, progress: Progress | None = None) -> Path:
    out = stored.parent / "out"
    tasks.do(Job(stored / tasks.CLIP_FILE, Settings(), out, kind="file", name=name), progress or Progress())
    return out


def frames_in(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


def test_the_archive_makes_what_is_missing_and_holds_everything(stored: Path, tmp_path: Path) -> None:
    (stored / tasks.OVERLAY).write_bytes(b"made before")
    out = make(stored, tasks.ARCHIVE)
    assert {path.name for path in out.iterdir()} == {tasks.ARCHIVE, tasks.PAIR, tasks.FORMATS}
    with zipfile.ZipFile(out / tasks.ARCHIVE) as packed:
        names = set(packed.namelist())
        packed.extractall(tmp_path / "unpacked")
    assert {
        "README.txt", "result.glb", "blender_import.py", "scene.ply", "quality.csv", "bundle/manifest.json",
        "bundle/arrays.npz", "camera/transforms.json", "camera/opencv.json", "camera/colmap/images.txt",
        "camera/camera.chan", "splats.ply", "people/person_0.bvh", "people/person_0.trc", "people/person_1.trc",
        "people/person_0_mixamo.bvh", "people/person_1_mixamo.bvh",
        "people/person_0_unreal.bvh", "people/person_1_unreal.bvh",
        "people/person_0_soma.bvh", "people/person_1_soma.bvh",
        "people/person_1_smpl.npz", "clip.mp4", "overlay.mp4", "side_by_side.mp4",
    } == {name for name in names if "person_0_smpl" not in name and "person_1.bvh" not in name} - {
        "camera/colmap/cameras.txt", "camera/colmap/points3D.txt",
    }  # fmt: skip
    assert (tmp_path / "unpacked" / "overlay.mp4").read_bytes() == b"made before"
    assert frames_in(tmp_path / "unpacked" / "side_by_side.mp4") == FRAMES
    joints = load_bundle(tmp_path / "unpacked" / "bundle").people[0].joints
    np.testing.assert_array_equal(joints, load_bundle(stored).people[0].joints)


def test_the_clip_beside_a_result_is_the_one_that_was_solved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filmed through a strong lens, a joint near the image's edge lies on the shown frame where its result puts it."""
    result = replace(made_up_result(load_body(), frames=FRAMES, points=500), distortion=-0.25)
    k, centre = result.intrinsics, np.array([result.width, result.height]) / 2
    lens = Lens(float(k[0, 0]), result.distortion)
    straight = np.array([0.92 * result.width, 0.15 * result.height])  # where the result has it
    bent = distort(lens, straight - centre) + centre
    assert np.linalg.norm(bent - straight) > 10  # px: the lens matters there
    picture = np.full((result.height, result.width, 3), 40, np.uint8)
    cv2.circle(picture, (round(bent[0]), round(bent[1])), 6, (250, 250, 250), -1)
    path = CameraPath(
        "moving", result.world_from_cam, lens.focal, 0.1, np.array([0]), np.ones(FRAMES, bool), lens.distortion
    )
    filmed = clip_of([picture] * FRAMES)
    solved, _ = undistort_clip(filmed, nobody(filmed), path)
    monkeypatch.setattr("josh_core.pipeline.gather", lambda *_: SimpleNamespace(clip=solved))
    monkeypatch.setattr("josh_core.pipeline.assemble_in_turn", lambda *_: iter([{"fast": result}]))
    # After the pipeline has been imported, which would keep the made-up reader for every test to come.
    monkeypatch.setattr("josh_core.clip.load.load_clip", lambda *_: filmed)
    tasks.do(Job(tmp_path / "in.mp4", Settings(), tmp_path / "run"), Progress())
    shown = read_clip(tmp_path / "run" / tasks.CLIP_FILE, result.frame_times).frame(0)
    at = (np.argwhere(shown[..., 0] > 150)[:, ::-1].mean(0) + 0.5) * result.width / shown.shape[1]
    assert np.linalg.norm(at - straight) < 0.01 * 0.5 * result.height  # 1 % of a person half the image high
    assert load_bundle(tmp_path / "run" / "fast").distortion == result.distortion


def test_one_file_alone(stored: Path) -> None:
    seen = []
    out = make(stored, tasks.OVERLAY, Progress(report=lambda stage, fraction: seen.append(stage)))
    assert [path.name for path in out.iterdir()] == [tasks.OVERLAY] and set(seen) == {tasks.OVERLAY}
    assert frames_in(out / tasks.OVERLAY) == FRAMES


@pytest.mark.parametrize("name", [tasks.USD, tasks.T_POSE, tasks.RIGS, tasks.DATASET])
def test_files_that_no_run_writes_are_made_when_asked_for(stored: Path, name: str) -> None:
    out = make(stored, name)
    assert [path.name for path in out.iterdir()] == [name]
    first = (out / name).read_bytes()[:4]
    assert first == (b"glTF" if name == tasks.T_POSE else b"PK\x03\x04") and (out / name).stat().st_size > 20_000


def test_a_split_needs_the_other_result_beside_it(stored: Path) -> None:
    with pytest.raises(ResultError, match="lacks one"):
        make(stored, tasks.SPLIT)
    save_bundle(load_bundle(stored), stored / tasks.SPLIT_MODES[0])
    assert frames_in(make(stored, tasks.SPLIT) / tasks.SPLIT) == FRAMES


def test_a_mirror_takes_every_file_that_is_made(stored: Path) -> None:
    for name in (tasks.FORMATS, tasks.USD, tasks.T_POSE):
        out = make(stored, name)
    made = {path.suffix for path in out.rglob("*") if path.is_file()} | {Path(tasks.DATASET).suffix}
    assert {".trc", ".chan", ".usdz"} <= made <= SUFFIXES


def test_half_an_archive_never_appears(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in (tasks.OVERLAY, tasks.PAIR):
        (stored / part).write_bytes(b"video")

    def stop(*_args: object) -> None:
        raise Cancelled("stop")

    monkeypatch.setattr(archive.zipfile.ZipFile, "write", stop)
    with pytest.raises(Cancelled):
        make(stored, tasks.ARCHIVE)
    assert [path.name for path in (stored.parent / "out").iterdir()] == [tasks.FORMATS]


def test_another_body_is_refused(stored: Path) -> None:
    result = load_bundle(stored)
    glb = (stored / "result.glb").read_bytes()
    for path in stored.iterdir():
        if path.name != tasks.CLIP_FILE:
            path.unlink()
    other = stored.parent / "other"
    save_bundle(replace(result, body_model="smpl-neutral"), other, files={"result.glb": glb})
    (stored / tasks.CLIP_FILE).rename(other / tasks.CLIP_FILE)
    with pytest.raises(ResultError, match="another body"):
        make(other, tasks.OVERLAY)


def test_a_clip_is_read_by_its_times(stored: Path) -> None:
    times = load_bundle(stored).frame_times
    brightness = [read_clip(stored / tasks.CLIP_FILE, times).frame(k).mean() for k in range(FRAMES)]
    np.testing.assert_allclose(brightness, 20 * np.arange(FRAMES), atol=6)
    halved = read_clip(stored / tasks.CLIP_FILE, times[::2])  # a result that took every second frame
    np.testing.assert_allclose([halved.frame(k).mean() for k in range(3)], [0, 40, 80], atol=6)
    with pytest.raises(ResultError, match="does not have"):
        read_clip(stored / tasks.CLIP_FILE, np.arange(FRAMES + 2) / 30)
