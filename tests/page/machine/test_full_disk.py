"""A disk that is really full: a small one is mounted for the page. Each wish is answered by a sentence, and all works
again once there is room.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.conftest import Server, patience
from tests.page.caller import Tab
from tests.page.test_attacks import files_of, finished, run_id

DISK = 120_000_000  # bytes; a disk counts as full below 50 MB (DiskSpace.is_full), and clips and results are small
IN_A_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
NO_ROOM = "cannot store anything now (its disk is full)"


def mount(place: Path) -> str:
    return f'mount -t tmpfs -o size={DISK} tmpfs "{place}"'


class Disk:
    """The small disk of a server, seen from outside of its namespace."""

    def __init__(self, server: Server) -> None:
        self.root = Path(f"/proc/{server.process.pid}/root{server.store}")

    @property
    def free(self) -> int:
        return shutil.disk_usage(self.root).free

    def fill(self) -> None:
        """Until not a byte can be written."""
        fill = os.open(self.root / "fill", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for step in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while os.write(fill, b"x" * step):
                    pass
        os.close(fill)
        assert self.free == 0

    def clear(self) -> None:
        (self.root / "fill").unlink(missing_ok=True)


@pytest.fixture
def server(tmp_path: Path, examples: Path) -> Iterator[Server]:
    store = tmp_path / "store"
    store.mkdir()
    if (
        sys.platform != "linux"
        or subprocess.run([*IN_A_NAMESPACE, mount(store)], capture_output=True, check=False).returncode
    ):
        pytest.skip("no disk can be mounted here: that takes Linux with user namespaces (unshare)")
    for gate in examples.glob("gate_*"):
        gate.unlink()
    server = Server(store, examples, within=(*IN_A_NAMESPACE, f'{mount(store)} && exec "$0" "$@"'))
    yield server
    server.close()


def status(server: Server) -> str:
    return str(httpx.get(server.url + "healthz", timeout=30).json()["status"])


def sentence(message: dict[str, Any]) -> str:
    """What a call of the page was told that failed."""
    assert not message["success"], message
    return str(message["output"]["error"])


def ask(tab: Tab, query: str, name: str) -> dict[str, Any]:
    """What the page says to a button of the list of files."""
    parts = tab.http.get("/config").json()["components"]
    files = next(part["id"] for part in parts if part["props"].get("elem_id") == "j-files")
    wish = {"query": query, "mode": "refine", "name": name}
    body = {"session_hash": tab.session, "component_id": files, "fn_name": "ask", "data": wish}
    return dict(tab.http.post("gradio_api/component_server", json=body).json())


def wait_for_gate(tab: Tab, server: Server) -> None:
    """Until a run has kept its first piece."""
    end = time.monotonic() + 30 * patience()
    while not list((Disk(server).root / "runs").glob("*/fast")):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_full_disk_costs_sentences_and_nothing_else(server: Server, tab: Tab, clip: bytes) -> None:
    disk = Disk(server)
    said = finished(tab, clip)
    other = tab.take(tab.upload(clip + b"x"))
    assert other["success"] and status(server) == "ok"

    disk.fill()
    assert status(server) == "disk full"
    refused = tab.http.post("/gradio_api/upload", files={"files": ("a.mp4", clip, "video/mp4")})
    assert refused.status_code == 503 and refused.json()["detail"].endswith(".")
    assert NO_ROOM in str(tab.run())
    assert NO_ROOM in sentence(tab.call("j-share", "click", ["", server.url, "", ""]))
    assert NO_ROOM in ask(tab, "example=courtyard", "turntable.mp4")["problem"]
    assert {tab.http.get(file).status_code for file in files_of(said)} == {200}
    assert tab.http.get("/").status_code == 200

    disk.clear()
    assert status(server) == "ok"
    assert tab.call("j-share", "click", ["", server.url, "", ""])["success"]
    assert run_id(tab.run(length=0.8)) != run_id(said)
    assert "fraction" in ask(tab, "example=courtyard", "turntable.mp4")
    disk.fill()
    assert tab.call("j-delete-yes", "click", ["", ""])["success"] and disk.free > 0  # deleting needs no room
    disk.clear()
    text = server.log.read_text()
    assert "Traceback" not in text and "fault" not in text


def test_a_disk_that_fills_up_during_a_run_leaves_what_was_kept(server: Server, tab: Tab, clip: bytes) -> None:
    disk, examples = Disk(server), server.examples
    for gate in range(3):
        (examples / f"gate_{gate}").touch()
    assert tab.take(tab.upload(clip + b"gated"))["success"]
    tab.join("j-run", "click", [{"start": 0, "length": 1}, None, None, "refine", 0, 0, 0, "auto", "auto", 0])
    wait_for_gate(tab, server)
    disk.fill()
    for gate in range(3, 5):
        (examples / f"gate_{gate}").touch()
    said = tab.listen()
    assert said["success"] and NO_ROOM in str(said) and "What was finished before is kept" in str(said)
    assert {tab.http.get(file).status_code for file in files_of(said)} == {200}
    assert not list((disk.root / "building").iterdir())  # what was not finished takes no room
    disk.clear()
    assert tab.run(length=0.9)["success"] and status(server) == "ok"


def wait_for_upload(disk: Disk) -> None:
    """Until the first bytes of an upload are on the disk."""
    end = time.monotonic() + 20 * patience()
    while not any(file.stat().st_size for file in (disk.root / "uploads").rglob("*") if file.is_file()):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_disk_that_fills_up_during_an_upload(server: Server, tab: Tab, clip: bytes) -> None:
    disk = Disk(server)

    def pieces() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
        for k in range(40):
            if k == 20:  # once the upload is under way: before, there would be no room to begin with
                wait_for_upload(disk)
                disk.fill()
            yield os.urandom(100_000)
        yield b"\r\n--b--\r\n"

    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = tab.http.post("/gradio_api/upload", content=pieces(), headers=kind)
    assert answer.status_code in (500, 503) and answer.json()["detail"].endswith("later.")
    disk.clear()
    assert tab.take(tab.upload(clip))["success"]
    for gate in range(5):
        (server.examples / f"gate_{gate}").touch()


def test_half_an_upload_that_fills_the_disk_makes_room_for_the_next(server: Server, tab: Tab, clip: bytes) -> None:
    disk = Disk(server)
    half = disk.root / "uploads" / "tmphalf"
    disk.fill()
    os.rename(disk.root / "fill", half)  # as an upload leaves it whose visitor has gone
    os.utime(half, (time.time() - 40,) * 2)
    assert tab.take(tab.upload(clip))["success"]
    assert not half.exists()
