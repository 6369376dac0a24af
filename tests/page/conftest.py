"""A page that runs, and somebody at it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import Server
from tests.browser.example_store import write_example
from tests.page.caller import Tab


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    write_example(folder)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("page") / "store", examples)
    yield server
    server.close()


@pytest.fixture
def clip(examples: Path) -> bytes:
    """A clip that nobody has brought before."""
    return (examples / "courtyard" / "clip.mp4").read_bytes() + os.urandom(16)


@pytest.fixture
def tab(server: Server) -> Iterator[Tab]:
    tab = Tab(server.url)
    yield tab
    tab.close()
