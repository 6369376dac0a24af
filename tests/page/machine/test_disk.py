"""A disk that is full or read-only: nothing is begun that could not be kept, and everybody hears why."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from josh_core.body import load_body
from josh_core.clip.look import Look
from josh_core.clip.probe import ClipInfo
from josh_core.clip.video import Film
from josh_core.errors import JobError, ResultError
from josh_core.export.bundle import save_bundle
from josh_core.page.config import Config
from josh_core.page.machine.disk_space import DiskSpace
from josh_core.page.service import Caller, PageService
from josh_core.page.visitors.inputs import Upload
from josh_core.serving.visitor_errors import visitor_error
from josh_core.settings import Settings
from tests.example_result import made_up_result

UPLOAD = Upload(Path("clip"), "0" * 64, Look(ClipInfo(640, 360, 30.0, 60, 2.0, Film(0, 0.0, 60, 2.0, 30.0, True)), ""))


class Idle:
    """A runner that must not be asked."""

    def run(self, ticket: object) -> None:
        raise AssertionError

    def close(self) -> None:
        pass


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_no_run_begins_without_disk_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    service = PageService(Config(store=tmp_path), [], Idle(), [], Path("none"))
    assert service.health()["status"] == "ok" and service.has_room_for(1000)
    if how == "full":
        monkeypatch.setattr(DiskSpace, "free", lambda _: 10_000_000)
    else:
        monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(JobError, match="cannot store anything"):
        service.runs.order(Caller("x"), UPLOAD, Settings())
    assert service.health()["status"] == "disk full" and not service.has_room_for(1000)
    monkeypatch.undo()
    assert service.runs.order(Caller("x"), UPLOAD, Settings()).ticket is not None
    service.close()


def test_visitors_get_no_advice_about_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(ResultError, match="choose another folder") as caught:
        save_bundle(made_up_result(load_body(), frames=12, points=20), tmp_path / "fast")
    told = visitor_error(caught.value)
    assert isinstance(told, JobError) and "its disk is full" in str(told) and "folder" not in str(told)


def test_a_clip_without_disk_space_gets_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = PageService(Config(store=tmp_path), [], Idle(), [], Path("none"))
    place = service.uploads / "x" / "clip.mp4"
    place.parent.mkdir()
    place.write_bytes(b"x")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with ThreadPoolExecutor(1) as pool, pytest.raises(OSError) as caught:  # this thread may have a browser's loop
        pool.submit(asyncio.run, service.take(Caller("x"), place)).result()
    assert "its disk is full" in str(visitor_error(caught.value))
    monkeypatch.undo()
    service.close()


def test_uploads_go_when_the_clock_was_set_back(tmp_path: Path) -> None:
    service = PageService(Config(store=tmp_path), [], Idle(), [], Path("none"))
    for name, made in (("now", 0.0), ("tomorrow", 86_400.0), ("just now", -20.0)):
        (service.uploads / name).mkdir()
        os.utime(service.uploads / name, (time.time() + made, time.time() + made))
    service.clean_up()
    assert {folder.name for folder in service.uploads.iterdir()} == {"now", "just now"}
    service.close()
