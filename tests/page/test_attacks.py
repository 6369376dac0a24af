"""What strangers tried on the page, and what it does now; each of these once brought it down."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from josh_core.page.protection.rate_limits import CALL_PLACES
from tests.browser.conftest import Server, patience
from tests.page.caller import Tab
from tests.page.protection.test_rate_limits import asked

RIGHT = re.compile(r"gradio_api/file=[^\"\\ ]*(?:glb|mp4|npz|json)")


def slow_clip(path: Path, frames: int = 30_000) -> bytes:
    """A small file with one key frame: a picture in its middle costs thousands of others to decode."""
    import av

    picture = np.random.default_rng(0).integers(0, 255, (180, 320, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": "1000000", "sc_threshold": "0", "crf": "40"}
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        for k in range(frames):
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def files_of(message: dict[str, Any]) -> set[str]:
    """Addresses of all files that the page was told of."""
    return set(RIGHT.findall(json.dumps(message)))


def run_id(message: dict[str, Any]) -> str:
    return str(re.findall(r"run=([\w-]{16,})", json.dumps(message))[0])


def finished(tab: Tab, clip: bytes, name: str = "walk.mp4", **part: float) -> dict[str, Any]:
    taken = tab.take(tab.upload(clip), name)
    assert taken["success"], taken
    said = tab.run(**part)
    assert said["success"], said
    return said


def test_sharing_leaves_every_address_as_it_was(server: Server, tab: Tab, clip: bytes) -> None:
    said = finished(tab, clip)
    files = files_of(said)
    assert len(files) >= 4
    shared = tab.call("j-share", "click", ["", server.url, "", ""])
    assert shared["success"] and run_id(shared) == run_id(said)
    assert {tab.http.get(file).status_code for file in files} == {200}
    for private in ("entry.json", f"../../entries/{run_id(said)}.json"):
        place = server.store / "runs" / run_id(said) / private
        assert tab.http.get(f"gradio_api/file={place}").status_code in (403, 404)


def test_a_second_visitor_learns_nothing_of_the_first(server: Server, tab: Tab, clip: bytes) -> None:
    first = finished(tab, clip, "Anna and Ben.mp4")
    assert "Anna and Ben" in json.dumps(first)
    other = Tab(server.url)
    second = finished(other, clip, "mine.mp4")
    text = json.dumps(second)
    assert "Anna" not in text and run_id(second) != run_id(first)
    for file in files_of(first) | files_of(second):
        if file.endswith("manifest.json"):
            assert "Anna" not in other.http.get(file).text
    assert tab.call("j-delete-yes", "click", ["", ""])[
        "success"
    ]  # the first deletes theirs; the second keeps their own
    assert {other.http.get(file).status_code for file in files_of(second)} == {200}
    other.close()


def test_only_the_owner_shares(server: Server, tab: Tab, clip: bytes) -> None:
    from josh_core.errors import ResultError
    from josh_core.page.config import Config
    from josh_core.page.service import PageService
    from josh_core.page.shown_run import ShownRun

    del tab, clip
    service = PageService(Config(store=server.store.parent / "another"), [], _Nothing(), [], Path("none"))
    workspace = service.store.workspace()
    (workspace / "fast").mkdir()
    (workspace / "fast" / "manifest.json").write_text("{}")
    entry, key = service.store.keep(workspace)
    shown = ShownRun(entry.id, f"run={entry.id}", "Clip", None, {}, service.disk.made)
    with pytest.raises(ResultError, match="Only whoever made"):
        service.share(shown, "somebody")
    assert service.share(shown, "somebody", key).shared
    service.close()


def test_a_broken_result_does_not_break_the_page_of_its_link(tmp_path: Path) -> None:
    from josh_core.page.config import Config
    from josh_core.page.link_preview import LinkPreview, tags
    from josh_core.page.protection.request_rules import Receive, Scope, Send
    from josh_core.page.service import PageService

    service = PageService(Config(store=tmp_path), [], _Nothing(), [], Path("none"))
    workspace = service.store.workspace()
    (workspace / "fast").mkdir()
    (workspace / "fast" / "manifest.json").write_text("[" * 100_000)
    (workspace / "fast" / "result.glb").write_bytes(b"")
    entry, _ = service.store.keep(workspace)
    service.store.share(entry.id)
    assert "JOSH" in tags(service, f"run={entry.id}", "")
    service.close()
    made: list[str] = []

    async def gradio(scope: Scope, receive: Receive, send: Send) -> None:
        made.append(scope["method"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"<head></head>"})

    page = LinkPreview(gradio, service)
    assert [asked(page, {"path": "/", "method": method})[0]["status"] for method in ("HEAD", "GET", "HEAD")] == [
        200
    ] * 3
    assert made == ["GET"]  # made once for all


class _Nothing:
    """A runner that is never asked."""

    def run(self, ticket: object) -> None:
        raise AssertionError

    def close(self) -> None:
        pass


def test_six_hostile_uploads_block_nobody(server: Server, tab: Tab, clip: bytes, tmp_path: Path) -> None:
    hostile = slow_clip(tmp_path / "slow.mp4")
    assert len(hostile) < 4_000_000
    for k in range(6):
        attacker = Tab(server.url)
        path = attacker.upload(hostile + bytes([k]))
        chosen = {"file": {"path": path, "meta": {"_type": "gradio.FileData"}}, "name": "x.mp4"}
        attacker.join("j-clip", "upload", [chosen, "fast", 0, 0, 0, "auto", "auto", 0])
        attacker.close()
    path, begin = tab.upload(clip), time.monotonic()
    assert tab.take(path)["success"]
    assert time.monotonic() - begin < 5 * patience()


def test_a_program_without_a_connection_takes_no_place_in_the_queue(server: Server, tab: Tab, clip: bytes) -> None:
    program = Tab(server.url)
    for k in range(12):
        program.reconstruct(program.upload(clip + bytes([k]) + b"slow"))
    program.close()
    said = finished(tab, clip)
    assert said["success"]
    health = httpx.get(server.url + "healthz", timeout=30).json()
    assert health["queue"] == {"running": 0, "waiting": 0, "limit": 4}


@pytest.mark.parametrize("values", [10, 7])  # the last three came later: programs that do not know them still work
def test_the_files_of_a_reply_are_not_copied(server: Server, clip: bytes, values: int) -> None:
    program = Tab(server.url)
    call = program.reconstruct(program.upload(clip), values)
    with program.http.stream("GET", f"/gradio_api/call/reconstruct/{call}", timeout=60) as stream:
        lines = list(stream.iter_lines())
    assert "event: complete" in lines, lines
    manifest, files = json.loads(lines[lines.index("event: complete") + 1][5:])
    runs = server.store / "runs"
    assert manifest["delete_key"]
    assert len(files) == 3 and all(Path(file["path"]).is_relative_to(runs) for file in files)
    assert {program.http.get(f"/gradio_api/file={file['path']}").status_code for file in files} == {200}
    program.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
def test_calls_of_one_network_leave_places_for_others(server: Server, tab: Tab) -> None:
    """Each call that nobody listens to waits for a listener, and so keeps one of the places that Gradio has."""
    clip = {"path": tab.upload(b"no video"), "meta": {"_type": "gradio.FileData"}}
    stranger = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=server.url, transport=stranger, timeout=120) as http:
        calls = [
            http.post("gradio_api/call/reconstruct", json={"data": [clip, "fast", 0, 1]}).status_code
            for _ in range(2 * CALL_PLACES // 3)
        ]
    assert set(calls) == {200, 429} and calls.count(200) < CALL_PLACES // 2
    assert tab.call("j-gallery", "select", [])["msg"] == "process_completed"


def test_nobody_cancels_the_call_of_another(server: Server, tab: Tab, clip: bytes) -> None:
    program = Tab(server.url)
    call = program.reconstruct(program.upload(clip))
    number = tab.join_number("j-run", "click")
    for session in (tab.session, call[::-1], ""):
        asked = {"session_hash": session, "fn_index": number, "event_id": call}
        refused = tab.http.post("/gradio_api/cancel", json=asked)
        assert refused.status_code in (400, 403) and refused.json()["detail"]
    with program.http.stream("GET", f"/gradio_api/call/reconstruct/{call}", timeout=60) as stream:
        assert "event: complete" in list(stream.iter_lines())
    program.close()


def test_wrong_calls_are_refused_in_a_sentence(server: Server, tab: Tab) -> None:
    def join(body: object) -> httpx.Response:
        return tab.http.post("/gradio_api/queue/join", json=body)

    for number in (999, -1, 10**30):
        assert join({"data": [], "fn_index": number, "session_hash": "a"}).status_code == 404
    for body in ([], 7, {"data": [], "fn_index": "x", "session_hash": 5}, {"session_hash": "a/../b", "data": []}):
        assert join(body).status_code in (400, 404, 422)
    deep = tab.http.post("/gradio_api/queue/join", content=b"[" * 100_000)
    assert deep.status_code == 400
    large = tab.http.post("/gradio_api/queue/join", content=b" " * 2_000_000)
    assert large.status_code == 413


_TYPE = (b"content-type", b"multipart/form-data; boundary=b")
_HEAD = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'


def test_an_upload_that_is_too_large_is_refused_before_it_has_come() -> None:
    from josh_core.page.protection.guard import Guard
    from josh_core.page.protection.request_rules import Message, Receive, Rules, Scope, Send

    pulled, said = 0, []

    async def receive() -> Message:
        nonlocal pulled
        pulled += 1
        piece = _HEAD + b"\0" * ((1 << 20) - len(_HEAD)) if pulled == 1 else b"\0" * (1 << 20)
        return {"type": "http.request", "body": piece, "more_body": pulled < 400}

    async def send(message: Message) -> None:
        said.append(message)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass

    class Gate:
        def has_room_for(self, more: int, network: str, arriving: int) -> bool:
            return True

    guard = Guard(app, Gate(), Rules(upload_bytes=20 << 20))  # type: ignore[arg-type]
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": [_TYPE]}
    with ThreadPoolExecutor(1) as pool:  # the browser's driver may have a loop of its own in this thread
        pool.submit(asyncio.run, guard(scope, receive, send)).result()
    assert said[0]["status"] == 413 and pulled == 21


def test_headers(server: Server, tab: Tab) -> None:
    said = tab.http.get("/").headers
    assert "frame-ancestors 'self' https://huggingface.co" in said["content-security-policy"]
    assert said["x-content-type-options"] == "nosniff"
    assert "evil.example" not in tab.http.get("/", headers={"X-Forwarded-Host": "evil.example"}).text
    for origin in ("http://localhost:1", "http://evil.example", "null"):
        answer = tab.http.get("/config", headers={"Origin": origin})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert tab.http.post("/gradio_api/queue/join", json={}, headers={"Origin": origin}).status_code == 403


ODD: tuple[Any, ...] = (
    None, "text", [], {}, True, float("nan"), float("inf"), 1e400, -5, 10**400, "refine; rm", ["refine"], {"a": 1},
)  # fmt: skip


def test_odd_settings_get_a_sentence() -> None:
    from josh_core.clip.look import Look
    from josh_core.clip.probe import ClipInfo
    from josh_core.clip.video import Film
    from josh_core.errors import SettingsError
    from josh_core.page.api import Asked
    from josh_core.page.visitors.inputs import Upload, settings_from_inputs

    info = ClipInfo(640, 360, 30.0, 300, 10.0, Film(0, 0.0, 300, 10.0, 30.0, True))
    upload = Upload(Path("clip"), "0" * 64, Look(info, ""))
    usual: list[Any] = [{"start": 0, "length": 5}, "fast", 0, 0, 0, "auto", "auto", 0]
    for place in range(len(usual)):
        for odd in ODD:
            asked = [*usual[:place], odd, *usual[place + 1 :]]
            try:
                settings_from_inputs(asked[0], upload, *asked[1:])
            except SettingsError as error:
                assert str(error)
    for place in range(9):
        for odd in ODD:
            asked = ["fast", 0, 5, None, None, None, 0, "auto", "auto"]
            asked[place] = odd
            try:
                Asked(*asked).settings()
            except SettingsError as error:
                assert str(error)


def test_programs_may_say_what_the_page_offers() -> None:
    from josh_core.page.api import Asked
    from josh_core.settings import Settings

    said = Asked("fast", 1, 5, 2, 1.8, 700, 90, "on", "embedded").settings()
    assert said == Settings(
        mode="fast", start=1.0, seconds=5.0, people=2, height_m=1.8, focal_px=700.0, turn=90, static_camera="on",
        tier="embedded",
    )  # fmt: skip
    assert Asked("refine", 0, 10).settings() == Settings(seconds=10.0) and repr(said.turn) == "90"


@pytest.mark.parametrize("text", ["[]", '{"fast": 3}', '{"fast": {}}', '{"fast": {"clip": "x"}}', "[" * 100_000, "{"])
def test_broken_rates_stop_nothing(tmp_path: Path, text: str) -> None:
    from josh_core.page.machine.rates import FIRST_GUESS, MEDIA, Rates, Size

    path = tmp_path / "rates.json"
    path.write_text(text)
    rates = Rates(path)
    assert rates.total("fast", Size(10)) == pytest.approx(
        sum(s * Size(10).work(stage) for stage, s in FIRST_GUESS["fast"].items() if stage not in MEDIA)
    )
    path.unlink()
    path.mkdir()  # it cannot be written either
    rates.learn("fast", Size(10), {"clip": 1.0})
    assert rates.measured("fast")
