"""The command line: one sentence on stderr and status 2 for what a user can mend, and nothing run in vain."""

from __future__ import annotations

from pathlib import Path

import pytest

from josh_core import pipeline
from josh_core.__main__ import main

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
    assert "a folder" in refused(capsys, str(tmp_path), "--out", str(out))
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
    monkeypatch.setattr(pipeline, "run", lambda *_: pytest.fail("the clip was run"))
    (tmp_path / "holiday.txt").write_text("mine")
    clip = str(CLIP)
    assert "other files" in refused(capsys, clip, "--out", str(tmp_path))
    assert "other files" in refused(capsys, clip, "--out", str(tmp_path / "holiday.txt"))
    assert "cannot be written" in refused(capsys, clip, "--out", str(tmp_path / "holiday.txt" / "out"))
    (tmp_path / "fast").mkdir()
    (tmp_path / "fast" / "holiday.txt").write_text("mine")
    assert "other files" in refused(capsys, clip, "--out", str(tmp_path), "--all-modes")
    assert (tmp_path / "holiday.txt").read_text() == "mine"
