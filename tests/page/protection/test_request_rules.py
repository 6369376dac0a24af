"""Doors that Gradio has and this page does not use, headers about callers and the page, odd calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from josh_core.page.protection.guard import Guard
from josh_core.page.protection.request_rules import Rules
from tests.browser.conftest import Server
from tests.page.caller import Tab

CLOSED = (
    "gradio_api/process_recording", "gradio_api/vibe-edit", "gradio_api/vibe-code", "gradio_api/run-history/connect",
    "gradio_api/stream/x", "gradio_api/runs", "gradio_api/deep_link?session_hash=x", "gradio_api/dev/reload",
    "gradio_api/proxy=https://x.hf.space/", "gradio_api/file=https://example.com/x", "gradio_api/file=http:/x",
    "monitoring", "monitoring/summary", "openapi.json", "docs", "login", "logout", "nothing",
)  # fmt: skip


@pytest.mark.parametrize("place", CLOSED)
def test_unused_routes_are_closed(tab: Tab, place: str) -> None:
    for answer in (tab.http.get(place), tab.http.post(place, files={"video": ("v.mp4", b"x", "video/mp4")})):
        assert answer.status_code == 404 and answer.json()["detail"] == "There is nothing at this address."


FILE = {"meta": {"_type": "gradio.FileData"}}
KNOWN: list[Any] = [FILE | {"path": "https://example.com/a.mp4"}, "fast", 0, 1, None, None, None, 0, "auto", "auto"]
ODD_CALLS: tuple[list[Any], ...] = (
    [], [None], ["text"], [1] * 50, KNOWN,
    *([FILE | {"path": odd}, *KNOWN[1:]] for odd in ("/etc/passwd", "", "x" * 3000, 5, None, "../../x")),
    *([*KNOWN[:1], odd, *KNOWN[2:]] for odd in ("nothing", 5, None, {}, ["fast"])),
    *([*KNOWN[:2], odd, *KNOWN[3:]] for odd in ("a", {}, [], True, -1e308)),
)  # fmt: skip


@pytest.mark.parametrize("data", ODD_CALLS)
def test_odd_calls_of_the_api_get_a_sentence(tab: Tab, data: list[Any]) -> None:
    answer = tab.http.post("gradio_api/call/reconstruct", json={"data": data})
    with tab.http.stream("GET", f"gradio_api/call/reconstruct/{answer.json()['event_id']}") as stream:
        lines = [line for line in stream.iter_lines() if line]
    assert lines[-2] == "event: error"
    said = json.loads(lines[-1][5:])
    assert said["error"].endswith(".") and "Error" not in said["error"]


def test_odd_requests_get_a_sentence(tab: Tab) -> None:
    for name in ("nothing", "lambda", "take_upload"):
        assert tab.http.post(f"gradio_api/call/{name}", json={"data": []}).json() == {
            "detail": "There is no such function."
        }
    for function in tab.http.get("/config").json()["dependencies"]:
        if not function["backend_fn"]:
            wish = {"data": [], "fn_index": function["id"], "session_hash": tab.session}
            assert tab.http.post("gradio_api/queue/join", json=wish).status_code == 404
    wish = {"data": 1, "component_id": 99999, "session_hash": "x", "fn_name": "ask"}
    answer = tab.http.post("gradio_api/component_server", json=wish)
    assert answer.status_code == 404 and answer.json()["detail"].endswith(".")
    for place in ("gradio_api/queue/data?session_hash=none", "gradio_api/call/reconstruct/none"):
        assert "404" in tab.http.get(place).text  # whole: the connection is not cut in the middle


@pytest.mark.parametrize(
    "body", ["[NaN]", '"\\ud800"', '{"event_id": []}', "{}"]
)  # JSON cannot say the first two again
@pytest.mark.parametrize("place", ["reset", "queue/join"])
def test_a_request_of_wrong_types_gets_a_sentence(tab: Tab, place: str, body: str) -> None:
    asked = body if place == "reset" else f'{{"data": {body}, "fn_index": 0, "session_hash": "abc", "trigger_id": []}}'
    answer = tab.http.post("gradio_api/" + place, content=asked, headers={"content-type": "application/json"})
    assert answer.status_code == 422 and answer.json()["detail"].startswith("This request cannot be read;")


def settled(proxies: int, hosts: str = "", **headers: str) -> dict[str, str]:
    """What of a caller's headers is left for Gradio, and "client", the address that counts."""
    guard = Guard(None, None, Rules(0, proxies, frozenset(hosts.split())))  # type: ignore[arg-type]  # neither is asked
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"headers": [(b"host", b"page.example"), *named], "client": ("10.0.0.9", 1)}
    guard._set_client(scope)
    return {name.decode(): value.decode() for name, value in scope["headers"]} | {"client": scope["client"][0]}


@pytest.mark.parametrize("proxies", [0, 1, 2])
def test_nobody_gives_the_page_another_address(proxies: int) -> None:
    for header in ("x_forwarded_host", "x_gradio_server", "forwarded", "x_forwarded_prefix", "x_forwarded_port"):
        assert settled(proxies, **{header: "evil.example"}) == settled(proxies)


def test_a_trusted_proxy_names_the_page_and_the_caller() -> None:
    said = {"x_forwarded_host": "shown.example", "x_forwarded_proto": "https", "x_forwarded_for": "6.6.6.6, 1.2.3.4"}
    left = settled(1, "shown.example", **said)
    assert left == {
        "host": "page.example",
        "x-forwarded-host": "shown.example",
        "x-forwarded-proto": "https",
        "client": "1.2.3.4",
    }
    assert settled(0, "shown.example", **said) == {"host": "page.example", "client": "10.0.0.9"}
    assert "x-forwarded-host" not in settled(1, "other.example", **said)
    two = settled(2, "shown.example", **said | {"x_forwarded_host": "evil.example, shown.example, inner"})
    assert (two["client"], two["x-forwarded-host"]) == ("6.6.6.6", "shown.example")
    assert "x-forwarded-proto" not in settled(1, x_forwarded_proto="javascript")


def test_the_page_keeps_its_address(server: Server, tab: Tab) -> None:
    for header in ("X-Gradio-Server", "X-Forwarded-Host"):
        assert "evil.example" not in tab.http.get("/", headers={header: "http://evil.example"}).text
