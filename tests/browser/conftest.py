"""A real Chromium and a real server for the browser tests; everything is watched for errors and foreign requests."""

from __future__ import annotations

import base64
import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--disable-quic", "--disable-background-networking", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--autoplay-policy=no-user-gesture-required",
    "--disable-features=LocalNetworkAccessChecks",  # a page of another site, made up here, embeds one on loopback
]  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
READY = "window.joshViewer && joshViewer.ready"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker("browser")


def patience() -> float:
    """How much longer things may take here than on a quiet machine."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Server:
    """The page of serve.py in a process of its own."""

    def __init__(
        self, store: Path, examples: Path, settings: dict[str, str] | None = None, within: Sequence[str] = ()
    ) -> None:
        """`settings`: further environment variables. `within`: a command that runs the command given after it."""
        self.store, self.examples, self.settings, self.within = store, examples, settings or {}, within
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = store.parent / "server.log"
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        command = [
            *self.within,
            sys.executable,
            "tests/browser/serve.py",
            str(self.port),
            str(self.store),
            str(self.examples),
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"} | self.settings
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                urllib.request.urlopen(self.url, timeout=5).read()
                return
            except OSError:
                time.sleep(0.2)
        raise AssertionError("the server did not start: " + self.log.read_text())

    def kill(self) -> None:
        """End it without warning, as a power cut would."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it. A server that has ended by itself before is an error, told with its exit code and log."""
        ended = self.process.poll()
        self.process.terminate()
        self.process.wait(20)
        assert ended is None, f"the server has ended with code {ended}: {self.log.read_text()[-4000:]}"


@pytest.fixture(scope="session")
def examples_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.browser.example_store import write_example

    folder = tmp_path_factory.mktemp("examples")
    write_example(folder)
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, examples_folder: Path) -> Iterator[Server]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (set CHROMIUM to its path)")
    server = Server(tmp_path_factory.mktemp("page") / "store", examples_folder)
    yield server
    server.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (set CHROMIUM to its path)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Watch:
    """What went wrong in the tabs of one test."""

    host: str
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def follow(self, page: Any) -> None:
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: self.errors.append(str(e)))
        page.on("request", lambda r: self.see(r.url))

    def see(self, url: str) -> None:
        if not url.startswith((self.host, "data:", "blob:")):
            self.foreign.append(url)


class Visitor:
    """Opens tabs in profiles of their own, each watched."""

    def __init__(self, chromium: Any, server: Server, watch: Watch) -> None:
        self.chromium, self.server, self.watch = chromium, server, watch
        self.contexts: list[Any] = []

    def tab(self, query: str = "", script: str = "", **options: Any) -> Any:
        """A new tab on the page, not waited for."""
        context = self.chromium.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        self.contexts.append(context)
        page = context.new_page()
        self.watch.follow(page)
        if script:
            page.add_init_script(script)
        page.set_default_timeout(20_000 * patience())
        page.goto(query if query.startswith("http") else self.server.url + query)
        return page

    def viewer(self, query: str = "", **options: Any) -> Any:
        """A new tab whose viewer is ready."""
        page = self.tab(query, **options)
        page.wait_for_function(READY)
        return page


@pytest.fixture
def visit(chromium: Any, server: Server) -> Iterator[Visitor]:
    watch = Watch(server.url)
    visitor = Visitor(chromium, server, watch)
    yield visitor
    for context in visitor.contexts:
        context.close()
    assert watch.foreign == []
    assert watch.errors == []


def picture(page: Any) -> np.ndarray:
    """What the viewer draws now, [h,w,4] RGBA; nothing drawn is transparent."""
    data = page.evaluate("joshViewer.picture()").split(",", 1)[1]
    image = cv2.imdecode(np.frombuffer(io.BytesIO(base64.b64decode(data)).getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return np.asarray(image)


def only(page: Any, *shown: str) -> None:
    """Leave just these layers on."""
    page.evaluate(
        "(shown) => { for (const { name } of joshViewer.layers) joshViewer.setLayer(name, shown.includes(name)); "
        "joshViewer.stage.shade.visible = false; }",
        list(shown),
    )


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks of the same picture, whatever their size."""
    b = cv2.resize(b.astype(np.float32), (a.shape[1], a.shape[0]), interpolation=cv2.INTER_LINEAR) > 0.5
    return float((a & b).sum() / max((a | b).sum(), 1))
