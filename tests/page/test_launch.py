"""The page starts wherever it can be served."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio import networking

from josh_core.page import serve
from josh_core.page.config import Config
from josh_core.page.page import Page
from josh_core.page.service import PageService


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    service = PageService(Config(store=tmp_path, port=free_port()), [], _Nobody(), [], Path("none"))
    page = Page(service)
    yield page
    page.blocks.close(verbose=False)
    service.close()


def answers(page: Page) -> bool:
    """Whether a page that is launched answers."""
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
        return bool(answer.status == 200)


def test_a_machine_too_busy_to_answer_itself_in_time(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networking, "url_ok", lambda url: False)  # what Gradio finds when an answer takes 3 s
    assert answers(page)


def test_a_proxy_that_does_not_know_the_page(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert answers(page)


def test_a_port_that_is_taken_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("JOSH_PORT", str(other.getsockname()[1]))
        monkeypatch.setenv("JOSH_STORE", str(tmp_path / "store"))
        monkeypatch.setattr(serve, "log_jobs", lambda: None)  # its handler would outlive the stream of this test
        assert serve.main() == 2
    assert "JOSH_PORT" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


class _Nobody:
    """A runner that is never asked."""

    def run(self, ticket: object) -> None:
        raise AssertionError

    def close(self) -> None:
        pass
