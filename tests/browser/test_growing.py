"""A run on the page while it is computed: people, scene, the first results, the last one, then the video."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import READY, Server, Visitor, patience
from tests.browser.test_page import RESULT, choose, clip, get, unlike_before

__all__ = ["clip"]  # a fixture


class Gates:
    """Lets a gated run (serve.py) continue, one numbered step at a time."""

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


def begin(visit: Visitor, clip: Path, name: str = "gated") -> Any:
    """A page that has just started a run of a clip called `name`."""
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    choose(page, unlike_before(clip, name))
    page.click("#j-run")
    return page


def wait_for_modes(page: Any, count: int) -> None:
    """Wait until the viewer shows a stored run with so many modes."""
    page.wait_for_function(f"{RESULT} && joshViewer.value.modes.length === {count}")


def begin_with_first_results(visit: Visitor, clip: Path, gates: Gates) -> Any:
    """A page whose run has shown its first two modes and waits before the third."""
    gates.open(0, 1, 2)
    page = begin(visit, clip)
    wait_for_modes(page, 2)
    return page


def make_video(page: Any) -> None:
    """Request the overlay video and wait until it plays."""
    page.get_by_role("tab", name="Overlay video").click()
    page.wait_for_function("document.querySelector('#j-film video')?.videoWidth > 0", timeout=60_000 * patience())


def workspaces_are_removed(server: Server) -> bool:
    """Whether all temporary folders of runs are gone, within a moment."""
    end = time.monotonic() + 5 * patience()
    while (left := list((server.store / "building").iterdir())) and time.monotonic() < end:
        time.sleep(0.1)
    return not left


def test_results_are_shown_as_they_are_finished(visit: Visitor, clip: Path, gates: Gates) -> None:
    page = begin(visit, clip)
    gates.open(0)
    page.locator("#j-found").get_by_text("2 people found").wait_for()
    assert page.evaluate("joshViewer.value.id") == "courtyard" and not workspaces_are_removed(visit.server)
    gates.open(1)
    page.wait_for_function(f"{READY} && joshViewer.value.id.startsWith('preview')")
    assert page.locator("#j-share").is_hidden()  # it is not stored
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
    assert page.evaluate("joshViewer.clock.frame") == 11  # as the visitor had set it
    assert page.evaluate("joshViewer.views.state.position") == pytest.approx([1, 2, 3], abs=1e-3)
    assert page.locator("#j-quality table th[scope=col]").count() == 3
    page.locator(".j-card").get_by_text("making the overlay video").wait_for()
    page.get_by_role("tab", name="Overlay video").click()
    page.locator("#j-film").get_by_text("being made").wait_for()
    gates.open(4)
    page.wait_for_function("document.querySelector('#j-film video')?.videoWidth > 0")
    page.wait_for_selector("#j-run")
    page.locator("#j-cost").get_by_text("measured on this machine").wait_for()  # by this run
    assert workspaces_are_removed(visit.server) and page.locator(".j-card.j-bad").count() == 0


def test_a_chosen_mode_stays_when_a_better_one_comes(visit: Visitor, clip: Path, gates: Gates) -> None:
    page = begin_with_first_results(visit, clip, gates)
    page.evaluate("joshViewer.setMode('baseline')")
    gates.open(3, 4)
    page.wait_for_function("joshViewer.value.modes.length === 3")
    page.wait_for_selector("#j-run")
    assert page.evaluate("joshViewer.mode") == "baseline"


@pytest.mark.parametrize(
    ("step", "modes", "message"),
    [(3, ["baseline", "fast"], "Assembly line and Fast"), (4, ["baseline", "fast", "refine"], "The result is whole")],
)
def test_a_crash_keeps_finished_results(visit: Visitor, clip: Path, step: int, modes: list[str], message: str) -> None:
    page = begin(visit, clip, f"die_{step}")
    page.locator("#j-progress").get_by_text("ended unexpectedly").wait_for()
    assert message in page.locator("#j-progress").inner_text()
    wait_for_modes(page, len(modes))
    assert shown_modes(page) == modes and workspaces_are_removed(visit.server)
    page.reload()
    page.wait_for_function(f"{READY} && {RESULT}")
    assert shown_modes(page) == modes
    make_video(page)


def test_a_reload_in_the_middle_of_a_run_loses_no_key(visit: Visitor, clip: Path, gates: Gates) -> None:
    page = begin_with_first_results(visit, clip, gates)
    mine = page.evaluate("joshViewer.value.id")
    page.wait_for_function(f"location.search === '?run={mine}'")
    page.reload()
    page.wait_for_function(f"{READY} && joshViewer.value.id === '{mine}'")
    visit.watch.errors.clear()  # the page that has gone told that its connection was cut
    assert shown_modes(page) == ["baseline", "fast"] and page.locator("#j-mine li").count() == 1
    page.locator("#j-mine").get_by_role("button", name=re.compile("^Delete")).click()
    page.locator("#j-mine").get_by_role("button", name="Yes").click()
    page.wait_for_function("document.querySelectorAll('#j-mine li').length === 0")
    assert get(visit.server, f"gradio_api/file={visit.server.store / 'runs' / mine / 'fast' / 'manifest.json'}") != 200


def test_cancel_before_and_after_the_first_results(visit: Visitor, clip: Path, gates: Gates) -> None:
    page = begin(visit, clip)
    gates.open(0, 1)
    page.wait_for_function(f"{READY} && joshViewer.value.id.startsWith('preview')")
    page.click("#j-cancel")
    page.get_by_text("Cancelled; nothing was kept.").wait_for()
    page.wait_for_function(f"{READY} && joshViewer.value.id === 'courtyard'")  # as before
    page.get_by_role("button", name="Other clip").click()
    choose(page, unlike_before(clip, "gated"))
    gates.open(2)
    page.click("#j-run")
    wait_for_modes(page, 2)
    page.click("#j-cancel")
    page.get_by_text("What was finished before is kept: Assembly line and Fast.").wait_for()
    assert shown_modes(page) == ["baseline", "fast"] and workspaces_are_removed(visit.server)


def test_the_video_can_be_skipped_and_made_later(visit: Visitor, clip: Path, gates: Gates) -> None:
    page = begin_with_first_results(visit, clip, gates)
    assert page.locator("#j-cancel").inner_text() == "Cancel"
    gates.open(3)
    page.locator("#j-cancel").get_by_text("Skip the video").wait_for()
    page.click("#j-cancel")
    page.get_by_text("The video is left out. The result is whole.").wait_for()
    page.wait_for_selector("#j-run")
    assert shown_modes(page) == ["baseline", "fast", "refine"] and workspaces_are_removed(visit.server)
    make_video(page)


def test_deleting_an_unfinished_run_stops_it(visit: Visitor, clip: Path, gates: Gates) -> None:
    page = begin_with_first_results(visit, clip, gates)
    mine = page.evaluate("joshViewer.value.id")
    page.get_by_role("tab", name="Details").click()
    page.get_by_role("button", name="Delete this result").click()
    page.click("#j-delete")
    page.click("#j-delete-yes")
    page.wait_for_selector("#j-run")
    page.wait_for_function("joshViewer.result === null")
    manifest = visit.server.store / "runs" / mine / "fast" / "manifest.json"
    assert get(visit.server, f"gradio_api/file={manifest}") in (403, 404) and workspaces_are_removed(visit.server)
