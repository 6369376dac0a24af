"""Each write of the store, its mirror and its small files in turn: the kill comes there, or the disk fails there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from josh_core.serving.mirror import FolderMirror
from tests.browser.conftest import patience

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="each write has a process of its own, forked from one")
@pytest.mark.parametrize("how", ["kill", "full", "read-only", "hiccup"])
def test_shared_runs_stay_complete_and_the_store_opens(tmp_path: Path, how: str) -> None:
    command = [sys.executable, "-m", "tests.serving.cut_off", str(tmp_path), how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200 * patience(), check=False)
    assert done.returncode == 0 and "BAD" not in done.stdout, (done.stdout + done.stderr)[-3000:]
    assert int(done.stdout.split()[-1]) > 100


def test_a_mirror_that_was_unreachable_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("josh_core.serving.mirror._RETRY_AFTER", ())
    monkeypatch.setattr("josh_core.serving.mirror._RETRY_FAILED_EVERY", 0.05)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.glb").write_bytes(b"glTF")
    (tmp_path / "bucket").write_text("no folder: nothing can be put into it")
    told, mirror = threading.Event(), FolderMirror(tmp_path / "bucket")
    mirror.push("r" * 22, tmp_path / "run", {}, told.set)
    mirror.background.wait()
    assert not told.wait(0.2)
    (tmp_path / "bucket").unlink()
    assert told.wait(20) and mirror.ids() == {"r" * 22}


def test_a_run_that_can_never_be_copied_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("josh_core.serving.mirror._RETRY_AFTER", ())
    monkeypatch.setattr("josh_core.serving.mirror._RETRY_FAILED_EVERY", 0.05)
    monkeypatch.setattr("josh_core.serving.mirror.MAX_FILES", 1)
    (tmp_path / "bucket").write_text("no folder: nothing can be put into it")
    for name, files in (("many", "ab"), ("one", "a")):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / f"{file}.glb").write_bytes(b"glTF")
    told, mirror = threading.Event(), FolderMirror(tmp_path / "bucket")
    mirror.push("m" * 22, tmp_path / "many", {}, lambda: None)
    mirror.push("o" * 22, tmp_path / "one", {}, told.set)
    mirror.background.wait()
    (tmp_path / "bucket").unlink()
    assert told.wait(20) and mirror.ids() == {"o" * 22}
