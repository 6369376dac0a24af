"""One network that asks for more than its share, and connections, bodies and sessions that only take room."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from starlette.requests import Request

from josh_core.errors import JobError
from josh_core.page.api import event_text
from josh_core.page.blocks import Blocks
from josh_core.page.protection import guard
from josh_core.page.protection import rate_limits as crowd
from josh_core.page.protection.connections import Connections
from josh_core.page.protection.guard import Guard
from josh_core.page.protection.presence import Presence
from josh_core.page.protection.rate_limits import RateLimits, network_of
from josh_core.page.protection.request_rules import Message, Receive, Rules, Scope, Send, is_open, refusal_of_call
from josh_core.page.protection.response_cache import FileCache
from josh_core.page.protection.unheard import Unheard
from josh_core.serving.jobs import Job, Jobs
from josh_core.settings import Settings
from tests.browser.conftest import Server, patience
from tests.page.caller import Tab


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Gate:
    def has_room_for(self, more: int, network: str, arriving: int) -> bool:
        return True

    def listening(self, session: str) -> Any:
        return Presence().connection(session)


def asked(app: Any, scope: dict[str, Any], *parts: bytes, wait: float = 0.0) -> list[Message]:
    """What an application answers; after `parts` of a body that has more, the caller is silent for `wait` seconds."""
    said: list[Message] = []
    left = [{"type": "http.request", "body": part, "more_body": bool(wait)} for part in parts or (b"",)]

    async def receive() -> Message:
        if not left:
            await asyncio.sleep(wait)
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        said.append(message)

    with ThreadPoolExecutor(1) as pool:  # the browser's driver may have a loop of its own in this thread
        scope = {"type": "http", "method": "GET", "headers": [], "query_string": b"", "client": ("1.2.3.4", 1)} | scope
        pool.submit(asyncio.run, app(scope, receive, send)).result()
    return said


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Takes the whole body and says which headers and query it was asked with."""
    while (await receive()).get("more_body"):
        pass
    told = {"headers": [name.decode() for name, _ in scope["headers"]], "query": scope["query_string"].decode()}
    headers = [(b"content-type", b"application/json"), (b"etag", b'"1"')]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(told).encode() + b" " * 500})


def test_a_network_is_an_address_or_what_one_customer_is_given() -> None:
    assert network_of("1.2.3.4") == "1.2.3.4" and network_of("somebody") == "somebody"
    assert network_of("2001:db8:1:2::3") == network_of("2001:db8:1:2:ffff::9") != network_of("2001:db8:1:3::3")
    assert network_of("::ffff:1.2.3.4") == "1.2.3.4"


def test_thousands_of_sessions_of_one_network() -> None:
    clock = Clock()
    people = RateLimits(clock)
    begun = sum(people.allows_session(f"s{k}", "1.1.1.1") for k in range(5000))
    assert begun == crowd.SESSIONS
    assert people.allows_session("s0", "1.1.1.1")  # a known one goes on
    assert people.allows_session("other", "2.2.2.2")
    clock.now = 10.0
    assert sum(people.allows_session(f"t{k}", "1.1.1.1") for k in range(50)) == 10 * crowd.SESSIONS_A_SECOND
    for k in range(30_000):
        people.allows_session(f"u{k}", f"net{k}")
    assert max(len(table) for table in (people._sessions, people._begun._left)) <= crowd._REMEMBERED


def test_requests_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "AT_ONCE", 0)
    said = asked(Guard(nothing, Gate(), Rules(1000)), {"path": "/config"})  # type: ignore[arg-type]
    assert said[0]["status"] == 429 and b"too many requests" in said[1]["body"]
    assert not Guard(nothing, Gate(), Rules(1000))._rate_limits._now  # type: ignore[arg-type]


def test_more_requests_than_people_make() -> None:
    clock = Clock()
    people = RateLimits(clock)

    def allowed(count: int, network: str, is_file: bool) -> int:
        total = 0
        for _ in range(count):
            with people.request(network, is_file) as let_in:
                total += let_in
        return total

    assert allowed(crowd.PAGES + 50, "1.1.1.1", is_file=False) == crowd.PAGES
    assert allowed(10, "1.1.1.1", is_file=True) == 10 and allowed(1, "2.2.2.2", is_file=False) == 1
    assert allowed(crowd.REQUESTS + 50, "3.3.3.3", is_file=True) == crowd.REQUESTS
    clock.now = 10.0
    assert allowed(500, "1.1.1.1", is_file=False) == 10 * crowd.PAGES_A_SECOND
    place = Guard(nothing, Gate(), Rules(1000))  # type: ignore[arg-type]
    place._rate_limits = RateLimits(clock)
    assert [asked(place, {"path": "/config"})[0]["status"] for _ in range(crowd.PAGES + 1)][-2:] == [200, 429]
    assert asked(place, {"path": "/assets/x.js"})[0]["status"] == 200


def test_calls_under_way_of_one_network() -> None:
    rules = Rules(1000, under_way=lambda network: crowd.CALLS_UNDER_WAY if network == "1.2.3.4" else 0)
    place = Guard(nothing, Gate(), rules)  # type: ignore[arg-type]
    call = {"method": "POST", "path": "/gradio_api/queue/join"}
    assert asked(place, call, b"{}")[0]["status"] == 429
    assert asked(place, call | {"client": ("5.6.7.8", 1)}, b"{}")[0]["status"] == 200
    assert asked(place, call | {"path": "/gradio_api/cancel"}, b"{}")[0]["status"] == 403  # one's own may be ended
    assert crowd.CALL_PLACES >= 4 * crowd.CALLS_UNDER_WAY


MULTIPART = [(b"content-type", b"multipart/form-data; boundary=b")]


@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/reset"])
def test_a_body_that_arrives_too_slowly_is_refused(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(guard, "_PATIENCE", 0.2)
    place = Guard(nothing, Gate(), Rules(1000))  # type: ignore[arg-type]
    said = asked(place, {"method": "POST", "path": path, "headers": MULTIPART}, b"-", wait=20.0)
    assert said[0]["status"] == 408 and b"too slowly" in said[1]["body"]


def test_thousands_of_small_uploads_of_one_network() -> None:
    place = Guard(nothing, Gate(), Rules(1000))  # type: ignore[arg-type]
    upload = {"method": "POST", "path": "/gradio_api/upload", "headers": MULTIPART}
    said = [asked(place, upload)[0]["status"] for _ in range(crowd.UPLOADS + 5)]
    assert said[: crowd.UPLOADS] == [200] * crowd.UPLOADS and said[-1] == 429
    assert asked(place, upload | {"client": ("5.6.7.8", 1)})[0]["status"] == 200


@pytest.mark.parametrize("announced", [False, True])
def test_an_upload_is_stopped_when_others_have_taken_the_room(announced: bool) -> None:
    class Filling(Gate):
        """Has room when an upload begins, and none later."""

        asked = 0

        def has_room_for(self, more: int, network: str, arriving: int) -> bool:
            self.asked += 1
            return self.asked == 1

    place = Guard(nothing, Filling(), Rules(100 << 20))  # type: ignore[arg-type]
    length = [(b"content-length", b"%d" % (90 << 20))] if announced else []
    upload = {"method": "POST", "path": "/gradio_api/upload", "headers": MULTIPART + length}
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
    said = asked(place, upload, head, b"x" * (9 << 20), wait=0.01)
    assert said[0]["status"] == 503 and not place._arriving


@pytest.mark.parametrize("stream", ["heartbeat/x%d", "queue/data?session_hash=x%d"])
def test_streams_of_made_up_sessions_of_one_network(stream: str) -> None:
    place = Guard(nothing, Gate(), Rules(1000))  # type: ignore[arg-type]
    place._rate_limits = RateLimits(Clock())

    def status(k: int) -> int:
        path, _, query = f"/gradio_api/{stream % k}".partition("?")
        return int(asked(place, {"path": path, "query_string": query.encode()})[0]["status"])

    assert [status(k) for k in range(crowd.SESSIONS + 2)][-3:] == [200, 429, 429]
    assert status(0) == 200  # a known one goes on


def test_gradio_keeps_no_account_of_uploads() -> None:
    with Blocks() as blocks:
        blocks.upload_file_set.update(["a", "b"])
    assert not any(blocks.temp_file_sets)


def test_why_an_upload_failed_is_said() -> None:
    async def full(scope: Scope, receive: Receive, send: Send) -> None:
        """As Starlette's outermost part does on an exception."""
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"Internal Server Error"})
        raise OSError(28, "No space left on device")

    upload = {"method": "POST", "path": "/gradio_api/upload", "headers": MULTIPART}
    said = asked(Guard(full, Gate(), Rules(1000)), upload)  # type: ignore[arg-type]
    assert len(said) == 2 and said[0]["status"] == 500 and b"its disk is full" in said[1]["body"]


def test_hanging_up_in_the_middle_of_an_upload_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        async for _ in Request(scope, receive).stream():
            pass

    upload = {"method": "POST", "path": "/gradio_api/upload", "headers": MULTIPART}
    said = asked(Guard(reading, Gate(), Rules(1000)), upload, b"-", wait=0.01)  # type: ignore[arg-type]
    assert not said and not caplog.records


def test_requests_that_gradio_would_store_or_fail_at_do_not_reach_it() -> None:
    place = Guard(nothing, Gate(), Rules(1000))  # type: ignore[arg-type]
    odd = (b"bytes=0-0,1-1", b"bytes=" + b"0-," * 2000, b"bytes=0-" + b"9" * 5000)
    for value, there in ((b"bytes=0-5", True), *((piece, False) for piece in odd)):
        said = asked(place, {"path": "/gradio_api/file=x", "headers": [(b"range", value)]})
        assert ("range" in json.loads(said[1]["body"])["headers"]) == there
    upload = {"method": "POST", "path": "/gradio_api/upload", "headers": MULTIPART, "query_string": b"upload_id=1"}
    said = asked(place, upload)
    assert json.loads(said[1]["body"])["query"] == ""
    assert not is_open("/gradio_api/upload_progress", Rules(0))
    for name, there in (("a" * 255, True), ("a" * 256, False), ("é" * 128, False), ("a\0", False)):
        assert is_open(f"/static/{name}", Rules(0)) == is_open(f"/gradio_api/file=/x/{name}", Rules(0)) == there


def test_only_our_own_buttons_are_asked_and_for_a_session() -> None:
    rules = Rules(0, servers=lambda: {(7, "ask")})
    wish: dict[str, Any] = {"data": 1, "component_id": 7, "fn_name": "ask", "session_hash": "abc"}
    assert refusal_of_call("/gradio_api/component_server", wish, rules) is None
    odd: tuple[dict[str, Any], ...] = (
        {"component_id": 8}, {"component_id": [7]}, {"fn_name": "get_config"}, {"fn_name": {}},
        {"session_hash": "x" * 900_000}, {"session_hash": None}, {"session_hash": ["abc"]},
    )  # fmt: skip
    for change in odd:
        refusal = refusal_of_call("/gradio_api/component_server", wish | change, rules)
        assert refusal is not None and refusal[0] in (400, 404)
    assert event_text(gr.EventData(None, None), "example") == "" == event_text(gr.EventData(None, [1]), "example")
    assert event_text(gr.EventData(None, {"example": "x"}), "example") == "x"


def test_idle_connections_are_closed() -> None:
    clock, closed = Clock(), list[str]()

    def answered(done: bool) -> Any:
        return SimpleNamespace(response_complete=done)

    class Open:
        """One that can be a member of a set."""

        def __init__(self, name: str, cycle: Any) -> None:
            self.cycle, self.transport = cycle, SimpleNamespace(abort=lambda: closed.append(name))

    silent, busy, browsing = Open("silent", None), Open("busy", answered(False)), Open("browsing", answered(True))
    server = SimpleNamespace(server_state=SimpleNamespace(connections={silent, busy, browsing}))
    watch = Connections(lambda: server, 1000, clock)
    for second in range(60):
        clock.now = float(second)
        browsing.cycle = answered(True)  # has asked for something since
        watch.close_idle()
    assert "silent" in closed and not {"busy", "browsing"} & set(closed)
    closed.clear()
    crowded = Connections(lambda: server, 5, clock)
    crowded.close_idle()
    clock.now += 3
    crowded.close_idle()
    assert set(closed) == {"silent", "browsing"}


def test_answers_that_nobody_fetches_are_dropped() -> None:
    clock, said = Clock(), list[str]()

    async def clean(session_hash: str) -> None:
        said.append(session_hash)

    queue = SimpleNamespace(
        pending_messages_per_session={"silent": [1], "there": [1]},
        pending_event_ids_session={"silent": {"a"}, "gone": set(), "there": {"b"}},
        clean_events=clean,
    )
    unheard = Unheard(queue, lambda session: session == "there", 15.0, clock)

    def drop() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, unheard.drop()).result()

    drop()
    assert not said and len(queue.pending_messages_per_session) == 2
    clock.now = 20.0
    drop()
    assert set(said) == {"silent", "gone"}
    assert set(queue.pending_messages_per_session) == set(queue.pending_event_ids_session) == {"there"}


def test_the_page_forgets_calls_that_nobody_listens_to(server: Server) -> None:
    tab = Tab(server.url)
    call = {"data": [], "fn_index": tab.join_number("j-gallery", "select"), "session_hash": tab.session}
    event = tab.http.post("gradio_api/queue/join", json=call).json()["event_id"]
    end, answer = time.monotonic() + 60 * patience(), 200
    while answer == 200:  # a call can be cancelled for as long as it is known
        assert time.monotonic() < end, "the call is still known"
        time.sleep(1.0)
        answer = tab.http.post("gradio_api/cancel", json=call | {"event_id": event}).status_code
    assert answer == 403
    tab.close()


def test_connections_are_forgotten_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("josh_core.page.protection.presence.time.monotonic", clock)
    presence = Presence()
    presence.watched = True
    for k in range(2000):
        clock.now = float(k)
        with presence.connection(f"s{k}"):
            pass
    assert (
        len(presence._last) < 700
        and presence.is_connected("s1990", within=60)
        and not presence.is_connected("s1", within=60)
    )


def test_files_of_the_page_are_made_once() -> None:
    asked_for: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked_for.append(scope["path"])
        await nothing(scope, receive, send)

    files = FileCache(app)
    path = {"path": "/assets/main-AbCd1234.js"}
    first = asked(files, path)
    packed = asked(files, path | {"headers": [(b"accept-encoding", b"gzip, br")]})
    same = asked(files, path | {"headers": [(b"if-none-match", b'"1"')]})
    assert asked_for == ["/assets/main-AbCd1234.js"] and [m[0]["status"] for m in (first, packed, same)] == [
        200,
        200,
        304,
    ]
    assert dict(packed[0]["headers"])[b"content-encoding"] == b"gzip" and len(packed[1]["body"]) < len(first[1]["body"])
    assert b"immutable" in dict(first[0]["headers"])[b"cache-control"]
    asked(files, {"path": "/gradio_api/file=/x/result.glb"})
    asked(files, {"path": "/gradio_api/file=/x/result.glb"})
    assert len(asked_for) == 3  # a visitor's files are not kept


def test_fifty_in_line(tmp_path: Any) -> None:
    """Half of them of one address: everybody else's comes before its second."""
    jobs = Jobs([], limit=50, per_owner=2, per_client=25)
    crowded = [jobs.submit(Job(tmp_path, Settings(), tmp_path, f"a{k}", "A")) for k in range(25)]
    others = [jobs.submit(Job(tmp_path, Settings(), tmp_path, f"b{k}", f"B{k}")) for k in range(25)]
    with pytest.raises(JobError, match="The line is full"):
        jobs.submit(Job(tmp_path, Settings(), tmp_path, "late", "late"))
    assert max(len(jobs.ahead(ticket)) for ticket in others) == 25 and len(jobs.ahead(crowded[-1])) == 49
    jobs.cancel(crowded[3])
    assert jobs.submit(Job(tmp_path, Settings(), tmp_path, "late", "late")).state == "waiting"
    jobs.close()
    assert all(ticket.over for ticket in (*crowded, *others))
