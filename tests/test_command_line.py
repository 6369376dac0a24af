"""The command line: one sentence on stderr and status 2 for what a user can mend, and nothing run in vain."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from josh_core.__main__ import main
from josh_core.body import load_body
from josh_core.cli import _parser
from josh_core.errors import ClipError
from josh_core.export.bundle import save_bundle
from josh_core.export.pictures.video import encode
from josh_core.progress import Progress
from josh_core.serving import tasks
from josh_core.serving.jobs import Job
from josh_core.settings import MODES, Settings
from tests.example_result import made_up_result

CLIP = Path(__file__).parent / "data" / "juggle_short.mp4"


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence on stderr with which a run is refused."""
    assert main(["run", *arguments]) == 2
    said = capsys.readouterr()
    *_, last = said.err.splitlines()
    assert said.out == "" and "Traceback" not in said.err
    assert last.startswith("error: ") and last.endswith(".")
    return last


def test_a_file_that_is_no_video_is_refused_on_a_line_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n")
    out = tmp_path / "out"
    assert "not a video" in refused(capsys, str(text), "--out", str(out))
    assert "not found" in refused(capsys, str(tmp_path / "none.mp4"), "--out", str(out))
    assert not out.exists()


def test_options_are_checked_before_the_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert "Mode must be one of" in refused(capsys, "none.mp4", "--out", out, "--mode", "quick")
    assert "Unknown option 'speed'" in refused(capsys, "none.mp4", "--out", out, "--set", "speed=3")
    assert "between 0.5 and 2.5" in refused(capsys, "none.mp4", "--out", out, "--height", "17")
    assert "Seconds must be a number" in refused(capsys, "none.mp4", "--out", out, "--seconds", "nan")


def test_a_folder_that_cannot_take_the_result_is_refused_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "reconstruct", lambda *_: pytest.fail("the clip was run"))
    (tmp_path / "holiday.txt").write_text("mine")
    clip = str(CLIP)
    assert "other files" in refused(capsys, clip, "--out", str(tmp_path))
    assert "other files" in refused(capsys, clip, "--out", str(tmp_path / "holiday.txt"))
    assert "cannot be written" in refused(capsys, clip, "--out", str(tmp_path / "holiday.txt" / "out"))
    (tmp_path / "fast").mkdir()
    (tmp_path / "fast" / "holiday.txt").write_text("mine")
    assert "other files" in refused(capsys, clip, "--out", str(tmp_path), "--all-modes")
    assert (tmp_path / "holiday.txt").read_text() == "mine"


def made_up_run(job: Job, progress: Progress) -> None:
    """Stands in for tasks.reconstruct: the same files, without a look at the clip."""
    if job.clip.stem == "bad":
        raise ClipError("Nobody was found in this clip; use another one.")
    result = made_up_result(load_body(), frames=6, points=200)
    with progress.stage("world"):
        for mode in MODES[: MODES.index(job.settings.mode) + 1]:
            save_bundle(result, job.out / mode, files={"result.glb": b"glTF"})
    (job.out / job.settings.mode / "overlay.mp4").write_bytes(b"video")
    grey = (np.full((120, 160, 3), 20 * k, np.uint8) for k in range(6))
    encode(grey, result.frame_times, job.out / "clip.mp4")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "reconstruct", made_up_run)


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.mark.usefixtures("quick")
def test_a_result_lies_flat_or_mode_by_mode(tmp_path: Path) -> None:
    assert main(["run", "a.mp4", "--out", str(tmp_path / "flat")]) == 0
    assert names(tmp_path / "flat") == {"manifest.json", "arrays.npz", "result.glb", "overlay.mp4", "clip.mp4"}
    assert main(["run", "a.mp4", "--out", str(tmp_path / "all"), "--all-modes"]) == 0
    assert names(tmp_path / "all") == {"baseline", "fast", "refine", "clip.mp4"}
    assert names(tmp_path) == {"flat", "all"}  # nothing half done is left


@pytest.mark.usefixtures("quick")
def test_a_result_is_replaced_only_when_told_and_other_files_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["run", "a.mp4", "--out", str(out), "--all-modes"]) == 0
    (out / "notes.txt").write_text("mine")
    capsys.readouterr()
    assert "--force" in refused(capsys, "a.mp4", "--out", str(out))
    assert main(["run", "a.mp4", "--out", str(out), "--force"]) == 0
    assert names(out) == {"manifest.json", "arrays.npz", "result.glb", "overlay.mp4", "clip.mp4", "notes.txt"}
    assert main(["run", "bad.mp4", "--out", str(out), "--force"]) == 2
    assert (out / "manifest.json").is_file()  # a failed run takes nothing away


@pytest.mark.usefixtures("quick")
def test_a_folder_of_clips_runs_in_one_call_and_a_bad_one_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    assert "no video in the folder" in refused(capsys, str(clips), "--out", str(tmp_path / "out"))
    for name in ("a.mp4", "bad.mp4", "c.MOV", "readme.txt"):
        (clips / name).touch()
    assert main(["run", str(clips), "--out", str(tmp_path / "out")]) == 2
    assert names(tmp_path / "out") == {"a", "c"} and "2 of 3 clips" in capsys.readouterr().err
    (clips / "a.mov").touch()
    assert "share a folder" in refused(capsys, str(clips), "--out", str(tmp_path / "other"))


@pytest.mark.usefixtures("quick")
def test_a_stored_result_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, run = tmp_path / "out", tmp_path / "run"
    assert main(["run", "a.mp4", "--out", str(run), "--all-modes"]) == 0
    assert main(["export", str(run), "bvh", "colmap", "glb", "overlay", "--out", str(out)]) == 0
    assert (out / "people" / "person_0.bvh").is_file() and (out / "camera" / "colmap" / "cameras.txt").is_file()
    assert (out / "result.glb").read_bytes()[:4] == b"glTF" and (out / "result.glb").stat().st_size > 1000
    assert not (out / "scene.ply").exists() and (out / "overlay.mp4").read_bytes() == b"video"  # made by the run
    assert main(["export", str(run), "side-by-side", "--mode", "fast", "--out", str(out)]) == 0
    assert (out / "side_by_side.mp4").stat().st_size > 1000
    assert main(["export", str(run), "split", "--out", str(out)]) == 0
    assert main(["export", str(run / "fast"), "turntable", "--out", str(out)]) == 0  # without the clip
    assert (out / "split.mp4").stat().st_size > 1000 and (out / "turntable.mp4").stat().st_size > 10_000
    assert main(["export", str(run), "split", "--mode", "fast"]) == 2 and "--all-modes" in capsys.readouterr().err
    capsys.readouterr()
    wanted = ["trc", "chan", "bvh-unreal", "usdz", "dataset", "original-lens"]
    assert main(["export", str(run), *wanted, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"wrote {out / 'people' / 'person_1.trc'}" in said and "original-lens: nothing to write" in said
    assert (out / "people" / "person_1.trc").is_file() and (out / "camera" / "camera.chan").is_file()
    assert "ROOT pelvis" in (out / "people" / "person_1_unreal.bvh").read_text() and (out / "result.usdz").is_file()
    assert len(zipfile.ZipFile(out / "dataset.zip").namelist()) == 2 * 6 + 6  # images, masks, what describes them
    assert names(out) == {
        "people",
        "camera",
        "result.glb",
        "overlay.mp4",
        "side_by_side.mp4",
        "split.mp4",
        "turntable.mp4",
        "dataset.zip",
        "result.usdz",
    }
    capsys.readouterr()
    assert main(["export"]) == 0 and "colmap" in capsys.readouterr().out
    assert main(["export", str(run), "fbx"]) == 2 and "Blender writes FBX" in capsys.readouterr().err
    assert main(["export", str(tmp_path), "bvh"]) == 2 and "no result" in capsys.readouterr().err


def test_page_and_command_line_begin_with_the_same_mode() -> None:
    assert _parser().parse_args(["run", "a.mp4", "--out", "out"]).mode == Settings().mode == "refine"
