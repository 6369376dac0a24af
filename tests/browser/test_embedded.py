"""The page inside another page, as huggingface.co shows a Space, and behind a proxy that gives it a part of a site."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import CHROMIUM, READY, Server, Visitor, patience

AROUND = "<!doctype html><title>around</title><iframe src='{}' style='width:1200px;height:850px'></iframe>"


def embedded(visit: Visitor, host: str, watched: bool = True) -> Any:
    """A tab on a page of another origin that embeds ours."""
    context = visit.chromium.new_context(viewport={"width": 1280, "height": 900})
    visit.contexts.append(context)
    page = context.new_page()
    page.route(host, lambda route: route.fulfill(body=AROUND.format(visit.server.url), content_type="text/html"))
    if watched:
        page.on("console", lambda m: visit.watch.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: visit.watch.errors.append(str(e)))
    page.set_default_timeout(20_000 * patience())
    page.goto(host)
    return page


@pytest.mark.parametrize("host", ["https://huggingface.co/spaces/somebody/josh", "https://somebody-josh.hf.space/"])
def test_the_page_of_a_space_embeds_it(visit: Visitor, host: str) -> None:
    page = embedded(visit, host)
    frame = page.wait_for_selector("iframe").content_frame()
    frame.wait_for_function(READY)
    assert frame.evaluate("joshViewer.picture().length") > 5000  # it draws
    frame.get_by_role("tab", name="Files").click()
    frame.wait_for_selector("#j-files a, .j-files a")


def test_nobody_else_embeds_it(visit: Visitor) -> None:
    page = embedded(visit, "https://evil.example/", watched=False)
    refused = []
    page.on("requestfailed", lambda request: refused.append(request.url))
    page.reload()
    while not refused:
        page.wait_for_timeout(100)
    assert refused == [visit.server.url]
    assert all(not frame.url.startswith(visit.server.url) for frame in page.frames)


class Proxy:
    """A reverse proxy that serves what it reaches at `port` under /josh, as nginx does with a path in proxy_pass."""

    def __init__(self, port: int) -> None:
        self._target, self.missed = port, set[bytes]()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/josh/"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                more = client.recv(65536)
                if not more:
                    return
                data += more
            head, body = data.split(b"\r\n\r\n", 1)
            first, *lines = head.split(b"\r\n")
            method, place, version = first.split(b" ")
            if not place.startswith(b"/josh/"):  # of another part of the site
                self.missed.add(place)
                client.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                return
            lines = [line for line in lines if not line.lower().startswith(b"connection:")]
            lines += [b"Connection: close", b"X-Forwarded-For: 192.0.2.7"]
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                server.sendall(b"\r\n".join([b" ".join([method, place[5:], version]), *lines]) + b"\r\n\r\n" + body)
                threading.Thread(target=_pump, args=(client, server), daemon=True).start()
                _pump(server, client)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while more := source.recv(65536):
            target.sendall(more)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory, examples_folder: Path) -> Iterator[Proxy]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (set CHROMIUM to its path)")
    settings = {"GRADIO_ROOT_PATH": "/josh", "JOSH_TRUSTED_PROXIES": "1"}
    server = Server(tmp_path_factory.mktemp("proxied") / "store", examples_folder, settings)
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()
    server.close()


def test_behind_a_prefix(visit: Visitor, proxied: Proxy, examples_folder: Path) -> None:
    visit.watch.host = re.sub("josh/$", "", proxied.url)
    page = visit.tab(proxied.url)
    page.wait_for_function(READY)
    assert page.evaluate("joshViewer.picture().length") > 5000
    page.set_input_files("input[type=file]", str(examples_folder / "courtyard" / "clip.mp4"))
    page.wait_for_selector("#j-run:not([disabled])")
    page.click("#j-run")
    page.wait_for_function("location.search.includes('run=')")
    page.wait_for_function(READY)
    assert page.evaluate("location.pathname") == "/josh/"
    page.reload()
    page.wait_for_function(READY)
    page.get_by_role("tab", name="Files").click()
    link = page.wait_for_selector(".j-files a")
    assert page.request.get(link.evaluate("a => a.href")).status == 200
    assert proxied.missed <= {b"/favicon.ico"}  # which browsers ask for by themselves
