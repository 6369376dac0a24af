"""What Linux has and macOS or Windows lack: process groups, limits of a process, hard links, renaming what is open."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from josh_core.export.stored_json import write_json
from josh_core.serving.disk import link_or_copy
from josh_core.serving.processes import kill_group, limit_memory, lower_priority, open_files, start_group

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_process_and_its_children_end_where_there_are_no_process_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "killpg", raising=False)
    monkeypatch.delattr(os, "setpgid", raising=False)
    start_group()  # does nothing
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    kill_group(parent.pid)
    assert parent.wait(60) != 0
    end = time.monotonic() + 60
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.05)
    kill_group(parent.pid)  # one that has ended already


def test_limits_are_left_out_where_the_system_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)  # importing it fails, as on Windows
    monkeypatch.delattr(os, "nice", raising=False)
    assert open_files() == 8192
    limit_memory(1)  # would leave no room for anything
    lower_priority(10)
    assert len(bytearray(50_000_000)) == 50_000_000


def test_files_are_copied_where_they_cannot_be_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("This disk has no hard links.")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "one").write_bytes(b"clip")
    link_or_copy(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == b"clip"


def test_a_file_that_another_program_holds_open_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses to replace a file that is open."""

    def refuse(*_: object) -> None:
        raise PermissionError("It is being used by another process.")

    path = tmp_path / "entry.json"
    write_json(path, {"run": 1})
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError):
        write_json(path, {"run": 2})
    assert path.read_text("utf-8").count("1") == 1 and list(tmp_path.iterdir()) == [path]
