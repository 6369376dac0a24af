"""Limits of visitors, addresses, programs, uploads and looks, and a disk that fills up in the middle of a run."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from josh_core.clip.look import Look
from josh_core.errors import ClipError, JobError
from josh_core.page.config import Config
from josh_core.page.protection.upload_checks import UploadChecks, check_runners
from josh_core.page.service import Caller, PageService
from josh_core.progress import Progress
from josh_core.serving.jobs import Job
from josh_core.serving.processes import limit_memory
from josh_core.serving.runners import LocalRunner, ProcessRunner
from josh_core.settings import Settings
from tests.page.machine.test_disk import UPLOAD, Idle
from tests.serving import fake_tasks

CLIP = Path(__file__).resolve().parents[1] / "data" / "variable_rate.mp4"
T = TypeVar("T")


def wait_for(what: Coroutine[Any, Any, T]) -> T:
    with ThreadPoolExecutor(1) as pool:  # the browser's driver may have a loop of its own in this thread
        return pool.submit(asyncio.run, what).result()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[PageService]:
    service = PageService(
        Config(store=tmp_path, max_upload_mb=1e-3, store_gb=2e-5, queue=8), [], Idle(), [], Path("none")
    )
    yield service
    service.close()


def uploaded(service: PageService, name: str, size: int, age: float) -> Path:
    place = service.uploads / name / "clip.mp4"
    place.parent.mkdir()
    place.write_bytes(b"x" * size)
    os.utime(place.parent, (time.time() - age,) * 2)
    return place


def test_uploads_have_one_limit_and_the_oldest_that_nobody_uses_go(service: PageService) -> None:
    assert service.disk.max_upload_bytes == 5000
    used = uploaded(service, "used", 2000, 9000.0)
    service.visitors.get("somebody").uploads[Path("their clip")] = used
    old, new, fresh = (
        uploaded(service, *said) for said in (("old", 1000, 900.0), ("new", 1000, 60.0), ("fresh", 900, 0.0))
    )
    assert service.has_room_for(100) and old.exists()  # as long as there is room nothing goes
    assert service.has_room_for(900) and not old.exists() and new.exists()
    assert service.has_room_for(2000) and not new.exists() and fresh.exists() and used.exists()
    assert not service.has_room_for(2200)  # what is used or has just come stays


def test_small_uploads_count_as_more(service: PageService) -> None:
    for k in range(400):
        uploaded(service, f"tiny {k}", 1, 0.0)
    assert service.has_room_for(900)
    for k in range(100):
        uploaded(service, f"more {k}", 1, 0.0)
    assert not service.has_room_for(100)


def test_the_clips_of_an_address_leave_room_for_others(service: PageService, monkeypatch: pytest.MonkeyPatch) -> None:
    async def seen(*_: object) -> Look:
        return UPLOAD.look

    monkeypatch.setattr(UploadChecks, "check", seen)
    assert service.disk.max_address_bytes == 2500

    def take(session: str, address: str, size: int) -> Path:
        sent = uploaded(service, session + os.urandom(4).hex(), size, 0.0)
        return wait_for(service.take(Caller(session, address), sent)).path

    first = take("a", "A", 1000)
    again = take("a", "A", 1000)  # another clip of the same visitor takes the place of the first
    assert not first.exists() and again.exists() and len(list(service.uploads.iterdir())) == 1
    take("b", "A", 1000)
    with pytest.raises(ClipError, match="of your network address"):
        take("c", "A", 1000)
    assert take("d", "B", 1000).exists() and len(list(service.uploads.iterdir())) == 3
    service.leave("a")
    assert take("c", "A", 1000).exists()


def test_uploads_under_way_count_for_their_network(service: PageService) -> None:
    assert service.has_room_for(1000, "A", 1500) and not service.has_room_for(1001, "A", 1500)
    service.visitors.get("a", "A").uploads[Path("their clip")] = uploaded(service, "x", 800, 0.0)
    assert not service.has_room_for(1000, "A", 1500) and service.has_room_for(1000, "B", 1500)


def test_the_same_file_twice_is_still_there(service: PageService, monkeypatch: pytest.MonkeyPatch) -> None:
    async def seen(*_: object) -> Look:
        return UPLOAD.look

    monkeypatch.setattr(UploadChecks, "check", seen)
    place = uploaded(service, "hash of it", 1000, 0.0)  # Gradio names uploads by what they hold
    for _ in range(2):
        taken = wait_for(service.take(Caller("a", "A"), place))
    service.visitors.get("b", "B").uploads[Path("their clip")] = place
    service.leave("a")
    assert place.exists() and not taken.path.exists()


def test_a_visitor_begins_with_a_clip_and_ends_without_a_connection(service: PageService) -> None:
    service.presence.watched = True
    with service.presence.connection("a"):
        assert service.open({}, "a") is None and service.visitors.known("a") is None
        with pytest.raises(ClipError, match="did not arrive"):
            wait_for(service.take(Caller("a"), service.uploads / "nothing"))
        assert not service.visitors.sessions() and not list(service.disk.visitors.iterdir())
        place = uploaded(service, "clip", 100, 0.0)
        service.visitors.get("a").uploads[Path("their clip")] = place
        service.clean_up()
        assert service.visitors.sessions() == ["a"]
    service.presence._last["a"] -= 1000
    service.clean_up()
    assert not service.visitors.sessions() and not list(service.disk.visitors.iterdir()) and not place.parent.exists()


def test_an_address_and_programs_have_their_share(service: PageService) -> None:
    def order(session: str, client: str, program: bool = False) -> None:
        service.runs.order(Caller(session, client, program), UPLOAD, Settings())

    for k in range(4):
        order(f"tab {k}", "A")
    with pytest.raises(JobError, match="your network address"):
        order("tab 5", "A")
    for k in range(2):
        order(f"call {k}", "P", program=True)
    with pytest.raises(JobError, match="already have 2"):  # each call is a session of its own
        order("call 3", "P", program=True)
    order("call", "Q", program=True)
    order("tab", "B")
    with pytest.raises(JobError, match="The line is full"):
        order("tab", "C")


def test_places_in_the_queue_are_left_for_visitors(tmp_path: Path) -> None:
    service = PageService(Config(store=tmp_path, queue=4), [], Idle(), [], Path("none"))
    for k in range(2):
        service.runs.order(Caller(f"call {k}", f"P{k}", program=True), UPLOAD, Settings())
    with pytest.raises(JobError, match="for programs are taken"):
        service.runs.order(Caller("another", "P9", program=True), UPLOAD, Settings())
    assert service.runs.order(Caller("tab", "B"), UPLOAD, Settings()).ticket is not None
    service.close()


def looked_at(path: Path, work: Any, prepare: Any = None) -> tuple[UploadChecks, ProcessRunner, Any]:
    runner = ProcessRunner(work, "cpu", grace=0.3, prepare=prepare)
    looks = UploadChecks([runner])
    return looks, runner, looks.check(path, "somebody", "A")


def little_memory() -> None:
    limit_memory(200 << 20)


def hungry_look(job: Job, progress: Progress) -> None:
    progress.report("look", 0.0)
    bytearray(400 << 20)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system does not keep to the limit")
def test_a_clip_that_takes_too_much_memory_to_look_at(tmp_path: Path) -> None:
    looks, _, look = looked_at(tmp_path / "clip", hungry_look, little_memory)
    with pytest.raises(ClipError, match="needs too much memory"):
        wait_for(look)
    looks.close()


def test_leaving_cancels_the_check_of_an_upload(tmp_path: Path) -> None:
    looks, runner, look = looked_at(tmp_path / "stubborn", fake_tasks.by_name)

    async def leave() -> None:
        task = asyncio.ensure_future(look)
        while not any(ticket.stage for ticket in looks._jobs.tickets()):
            await asyncio.sleep(0.05)
        looks.leave("somebody")
        with pytest.raises(ClipError):
            await task

    wait_for(leave())
    assert runner._process is None and not looks._jobs.tickets()  # it did not listen, and was ended
    looks.close()


def test_the_page_s_own_process_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decodes(*_: object) -> None:
        raise AssertionError

    for name in ("josh_core.clip.video.Video.__init__", "josh_core.clip.look.probe", "cv2.VideoCapture"):
        monkeypatch.setattr(name, decodes)
    service = PageService(Config(store=tmp_path / "store"), [], Idle(), check_runners(), Path("none"))
    place = service.uploads / "x" / "clip.mp4"
    place.parent.mkdir()
    shutil.copyfile(CLIP, place)
    taken = wait_for(service.take(Caller("x"), place))
    assert taken.look.info.frames > 0 and taken.look.strip.startswith("data:image")
    service.close()


def test_a_disk_that_fills_up_while_videos_are_made_loses_nothing(tmp_path: Path) -> None:
    def work(job: Job, progress: Progress) -> None:
        assert progress.hand_over is not None
        (job.out / "piece" / "refine").mkdir(parents=True)
        (job.out / "piece" / "refine" / "manifest.json").write_text("{}")
        progress.hand_over(job.out / "piece", "")
        with progress.stage("videos"):
            raise OSError(28, "No space left on device")

    service = PageService(Config(store=tmp_path), [LocalRunner(work)], Idle(), [], Path("none"))
    order = service.runs.order(Caller("x"), UPLOAD, Settings())
    assert order.ticket is not None and order.ticket.ended.wait(20)
    assert "its disk is full" in str(order.ticket.error) and "clip" not in str(order.ticket.error)
    assert order.whole and service.store.get(order.run)
    service.close()
