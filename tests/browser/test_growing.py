"""A run on the page while it is computed: people, place, the first results, the last, then the videos."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import READY, Server, Visitor, patience
from tests.browser.test_page import RESULT, choose, clip, get, unlike_before

__all__ = ["clip"]  # a fixture


class Gates:
    """Gives a gated run (serve.py) leave for its steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, *numbers: int) -> None:
        for number in numbers:
            (self.folder / f"gate_{number}").touch()

    def close(self) -> None:
        for gate in self.folder.glob("gate_*"):
            gate.unlink()


@pytest.fixture
def gates(examples_folder: Path) -> Iterator[Gates]:
    gates = Gates(examples_folder)
    yield gates
    gates.close()


def shown_modes(page: Any) -> list[str]:
    return list(page.evaluate("joshViewer.value.modes.map(({ name }) => name)"))


def nothing_is_built(server: Server) -> bool:
    """Whether everything that a run was built from is gone, within a moment."""
    end = time.monotonic() + 5 * patience()
    while (left := list((server.store / "building").iterdir())) and time.monotonic() < end:
        time.sleep(0.1)
    return not left


def test_what_is_there_is_shown(visit: Visitor, clip: Path, gates: Gates) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    choose(page, unlike_before(clip, "gated"))
    page.click("#j-run")
    gates.open(0)
    page.locator("#j-found").get_by_text("2 people found").wait_for()
    assert page.evaluate("joshViewer.value.id") == "courtyard" and not nothing_is_built(visit.server)
    gates.open(1)
    page.wait_for_function(f"{READY} && joshViewer.value.id.startsWith('glimpse')")
    assert page.locator("#j-share").is_hidden()  # it is not kept
    gates.open(2)
    page.wait_for_function(f"{READY} && joshViewer.value.modes.length === 2 && joshViewer.value.clip")
    assert shown_modes(page) == ["baseline", "fast"] and page.evaluate("joshViewer.mode") == "fast"
    mine = page.evaluate("joshViewer.value.id")
    page.wait_for_function(f"location.search === '?run={mine}'")
    assert page.locator("#j-cancel").is_visible() and page.locator("#j-mine li").count() == 1
    seen = {"kind": "orbit", "position": [1, 2, 3], "target": [0, 1, 0]}
    page.evaluate("(view) => { joshViewer.views.restore(view, joshViewer.result); joshViewer.goTo(11); }", seen)
    gates.open(3)
    page.wait_for_function("joshViewer.mode === 'refine'")
    assert shown_modes(page) == ["baseline", "fast", "refine"] and page.evaluate("joshViewer.value.id") == mine
    assert page.evaluate("joshViewer.clock.frame") == 11  # where the visitor was looking
    assert page.evaluate("joshViewer.views.state.position") == pytest.approx([1, 2, 3], abs=1e-3)
    assert page.locator("#j-quality table th[scope=col]").count() == 3
    page.locator(".j-card").get_by_text("making the overlay video").wait_for()
    page.get_by_role("tab", name="Overlay video").click()
    page.locator("#j-film").get_by_text("being made").wait_for()
    gates.open(4)
    page.wait_for_function("document.querySelector('#j-film video')?.videoWidth > 0")
    page.wait_for_selector("#j-run")
    page.locator("#j-cost").get_by_text("measured on this machine").wait_for()  # by this run
    assert nothing_is_built(visit.server) and page.locator(".j-card.j-bad").count() == 0


def test_whoever_looked_at_another_mode_keeps_it(visit: Visitor, clip: Path, gates: Gates) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    choose(page, unlike_before(clip, "gated"))
    gates.open(0, 1, 2)
    page.click("#j-run")
    page.wait_for_function(f"{RESULT} && joshViewer.value.modes.length === 2")
    page.evaluate("joshViewer.setMode('baseline')")
    gates.open(3, 4)
    page.wait_for_function("joshViewer.value.modes.length === 3")
    page.wait_for_selector("#j-run")
    assert page.evaluate("joshViewer.mode") == "baseline"


@pytest.mark.parametrize(
    ("step", "modes", "said"),
    [(3, ["baseline", "fast"], "Assembly line and Fast"), (4, ["baseline", "fast", "refine"], "The result is whole")],
)
def test_a_crash_loses_only_what_was_not_finished(
    visit: Visitor, clip: Path, step: int, modes: list[str], said: str
) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    choose(page, unlike_before(clip, f"die_{step}"))
    page.click("#j-run")
    page.locator("#j-progress").get_by_text("ended unexpectedly").wait_for()
    assert said in page.locator("#j-progress").inner_text()
    page.wait_for_function(f"{RESULT} && joshViewer.value.modes.length === {len(modes)}")
    assert shown_modes(page) == modes and nothing_is_built(visit.server)
    page.reload()
    page.wait_for_function(f"{READY} && {RESULT}")
    assert shown_modes(page) == modes
    page.get_by_role("tab", name="Overlay video").click()  # made again when somebody asks
    page.wait_for_function("document.querySelector('#j-film video')?.videoWidth > 0", timeout=60_000 * patience())


def test_cancelled_before_and_after_the_first_results(visit: Visitor, clip: Path, gates: Gates) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    choose(page, unlike_before(clip, "gated"))
    page.click("#j-run")
    gates.open(0, 1)
    page.wait_for_function(f"{READY} && joshViewer.value.id.startsWith('glimpse')")
    page.click("#j-cancel")
    page.get_by_text("Cancelled; nothing was kept.").wait_for()
    page.wait_for_function(f"{READY} && joshViewer.value.id === 'courtyard'")  # as before
    page.get_by_role("button", name="Other clip").click()
    choose(page, unlike_before(clip, "gated"))
    gates.open(2)
    page.click("#j-run")
    page.wait_for_function(f"{RESULT} && joshViewer.value.modes.length === 2")
    page.click("#j-cancel")
    page.get_by_text("What was finished before is kept: Assembly line and Fast.").wait_for()
    assert shown_modes(page) == ["baseline", "fast"] and nothing_is_built(visit.server)


def test_the_video_can_be_skipped_and_made_later(visit: Visitor, clip: Path, gates: Gates) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    choose(page, unlike_before(clip, "gated"))
    gates.open(0, 1, 2)
    page.click("#j-run")
    page.wait_for_function(f"{RESULT} && joshViewer.value.modes.length === 2")
    assert page.locator("#j-cancel").inner_text() == "Cancel"
    gates.open(3)
    page.locator("#j-cancel").get_by_text("Skip the video").wait_for()
    page.click("#j-cancel")
    page.get_by_text("The video is left out. The result is whole.").wait_for()
    page.wait_for_selector("#j-run")
    assert shown_modes(page) == ["baseline", "fast", "refine"] and nothing_is_built(visit.server)
    page.get_by_role("tab", name="Overlay video").click()
    page.wait_for_function("document.querySelector('#j-film video')?.videoWidth > 0", timeout=60_000 * patience())


def test_deleting_a_run_that_grows_stops_it(visit: Visitor, clip: Path, gates: Gates) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    choose(page, unlike_before(clip, "gated"))
    gates.open(0, 1, 2)
    page.click("#j-run")
    page.wait_for_function(f"{RESULT} && joshViewer.value.modes.length === 2")
    mine = page.evaluate("joshViewer.value.id")
    page.get_by_role("tab", name="Details").click()
    page.get_by_role("button", name="Delete this result").click()
    page.click("#j-delete")
    page.click("#j-delete-yes")
    page.wait_for_selector("#j-run")
    page.wait_for_function("joshViewer.result === null")
    manifest = visit.server.store / "runs" / mine / "fast" / "manifest.json"
    assert get(visit.server, f"gradio_api/file={manifest}") in (403, 404) and nothing_is_built(visit.server)
