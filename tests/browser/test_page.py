"""The page as visitors use it: upload, run, share, cancel, mistakes, several visitors, restarts, hostile requests."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from josh_core.export.pictures.video import encode
from tests.browser.conftest import READY, Server, Visitor, only, overlap, patience, picture

RESULT = "joshViewer.ready && !/courtyard|preview/.test(joshViewer.value.id)"
CARD = "#j-progress .j-card"


@pytest.fixture
def clip(tmp_path: Path, examples_folder: Path) -> Path:
    """A clip that nobody has brought before."""
    path = Path(shutil.copyfile(examples_folder / "courtyard" / "clip.mp4", tmp_path / "My walk.mp4"))
    return unlike_before(path)


def unlike_before(path: Path, word: str = "") -> Path:
    """The same pictures with another hash: what follows the last box of an MP4 is not read. `word`: see serve.py."""
    with path.open("ab") as file:
        file.write(os.urandom(16) + word.encode())
    return path


def choose(page: Any, clip: Path) -> None:
    page.set_input_files("#j-clip input[type=file]", clip)
    page.wait_for_selector("#j-cost .j-card")
    page.wait_for_selector("#j-run:not([disabled])")
    page.wait_for_timeout(500)  # nobody presses Run in the very moment in which it wakes up


def run(page: Any, clip: Path) -> str:
    choose(page, clip)
    before = page.evaluate("joshViewer.value && joshViewer.value.id")
    page.click("#j-run")  # of a clip that is known the result is there before Cancel could be seen
    page.wait_for_function("before => joshViewer.value && joshViewer.value.id !== before", arg=before)
    page.wait_for_selector("#j-run")
    page.wait_for_function(RESULT)
    return str(page.evaluate("joshViewer.value.id"))


def share(page: Any) -> str:
    page.click("#j-share")
    link = page.locator("#j-link").locator("input, textarea")
    link.wait_for()
    page.wait_for_function("document.querySelector('#j-link input, #j-link textarea').value.includes('run=')")
    return str(link.input_value())


def get(server: Server, path: str) -> int:
    try:
        return int(urllib.request.urlopen(server.url + path, timeout=30).status)
    except urllib.error.HTTPError as error:
        return error.code


def test_upload_run_share_reuse_delete(visit: Visitor, clip: Path, tmp_path: Path) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    page.get_by_role("button", name="Advanced").click()  # its empty numbers must not be in the way
    page.get_by_label("Most people to follow").wait_for()
    choose(page, clip)
    card = page.locator("#j-cost").inner_text()
    assert "30 frames" in card and "about 2 people" in card
    page.click("#j-run")
    page.wait_for_selector(CARD)
    page.wait_for_selector("#j-cancel")
    page.wait_for_selector("#j-run")
    page.wait_for_function(RESULT)
    first = page.evaluate("joshViewer.value.id")
    assert page.locator("#j-quality table th[scope=col]").count() == 3
    page.evaluate(
        "joshViewer.views.calm = true; joshViewer.views.flight = null; joshViewer.resetView(); joshViewer.goTo(11)"
    )
    link = share(page)
    only(page, "person0", "person1")
    mine = picture(page)[..., 3] > 0
    page.context.close()

    page = visit.viewer(link)  # a fresh profile
    assert page.evaluate("joshViewer.value.id") == first and page.evaluate("joshViewer.clock.frame") == 11
    only(page, "person0", "person1")
    assert overlap(picture(page)[..., 3] > 0, mine) > 0.98
    for tab in ("From above", "Files", "Details"):
        page.get_by_role("tab", name=tab).click()
    assert page.locator("#j-plots svg").count() == 2
    with page.expect_download() as download:
        page.get_by_role("tab", name="Files").click()
        page.locator("#j-files a").filter(has_text="GLB").first.click()
    assert Path(download.value.path()).read_bytes()[:4] == b"glTF"
    assert download.value.suggested_filename == "Clip_refine_result.glb"
    page.evaluate("joshViewer.value = { ...joshViewer.value, id: 'courtyard' }")
    again = run(page, Path(shutil.copyfile(clip, tmp_path / "renamed.mp4")))  # the same clip is not run again
    assert again != first and (visit.server.store / "runs" / again / "refine" / "arrays.npz").stat().st_nlink > 1
    assert page.evaluate("joshViewer.value.title") == "renamed"
    page.goto(link)
    page.wait_for_function(READY)
    assert page.evaluate("joshViewer.value.title") == "Clip"  # what the first visitor called it is theirs
    page.get_by_role("tab", name="Details").click()
    page.get_by_role("button", name="Delete this result").click()
    page.get_by_label("Delete key").fill("not the key")
    page.click("#j-delete")
    page.click("#j-delete-yes")
    page.get_by_text("does not belong to this result").wait_for()
    assert (
        get(visit.server, "gradio_api/file=" + str(visit.server.store / "runs" / first / "refine" / "manifest.json"))
        == 200
    )


def test_files_are_made_when_asked_for(visit: Visitor) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    assert not list((visit.server.store / "made").rglob("*.mp4"))
    page.get_by_role("tab", name="Overlay video").click()
    page.wait_for_function("document.querySelector('#j-film video')?.videoWidth > 0", timeout=60_000 * patience())
    page.get_by_role("tab", name="Files").click()
    with page.expect_download(timeout=60_000 * patience()) as download:
        page.locator("#j-files button").filter(has_text="Everything").first.click()
    assert download.value.suggested_filename == "Courtyard_refine_everything.zip"
    with zipfile.ZipFile(download.value.path()) as packed:
        assert packed.testzip() is None
        assert {"result.glb", "clip.mp4", "overlay.mp4", "side_by_side.mp4", "README.txt"} <= set(packed.namelist())
    other = visit.viewer("?example=courtyard&t=0&view=orbit")  # whoever comes next finds them
    other.get_by_role("tab", name="Files").click()
    assert other.locator("#j-files a").filter(has_text="Everything").count() == 1
    assert not list((visit.server.store / "building").iterdir())


def ask(server: Server, wish: object) -> dict[str, str]:
    """What the server answers to a button of the files list."""
    config = json.loads(urllib.request.urlopen(server.url + "config", timeout=30).read())
    files = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "j-files")
    body = json.dumps({"session_hash": "x", "component_id": files, "fn_name": "ask", "data": wish}).encode()
    request = urllib.request.Request(
        server.url + "gradio_api/component_server", body, {"Content-Type": "application/json"}
    )
    answer = urllib.request.urlopen(request, timeout=30)
    return dict(json.loads(answer.read()))


def test_the_owner_deletes(visit: Visitor, clip: Path) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    mine = run(page, clip)
    page.wait_for_function(f"location.search.includes('run={mine}')")
    page.reload()  # another session: the key comes from the browser's own storage
    page.wait_for_function(f"{READY} && joshViewer.value.id === '{mine}'")
    link = share(page)
    page.get_by_role("tab", name="Details").click()
    page.get_by_role("button", name="Delete this result").click()
    page.click("#j-delete")
    page.click("#j-delete-no")
    page.wait_for_selector("#j-delete")
    assert page.evaluate("joshViewer.result !== null") and page.locator("#j-mine li").count() == 1
    page.click("#j-delete")
    page.click("#j-delete-yes")
    page.get_by_text("The result is deleted").wait_for()
    page.wait_for_function("joshViewer.result === null && !joshViewer.panel.video.hasAttribute('src')")
    assert page.evaluate("joshViewer.stage.scene.children.every((child) => !child.getObjectByName('scene'))")
    assert "run=" not in page.url and page.locator("#j-mine li").count() == 0
    page.goto(link)
    page.get_by_text("does not exist or has expired").first.wait_for()


def test_the_address_names_what_is_on_show(visit: Visitor, clip: Path) -> None:
    page = visit.viewer()
    assert "=" not in page.url
    mine = run(page, clip)
    page.wait_for_function(f"location.search === '?run={mine}'")
    page.reload()
    page.wait_for_function(f"{READY} && joshViewer.value.id === '{mine}'")
    page.locator("#j-gallery [data-example=courtyard]").click()
    page.wait_for_function(
        f"{READY} && joshViewer.value.id === 'courtyard' && location.search === '?example=courtyard'"
    )
    page.go_back()
    page.wait_for_function(f"{READY} && joshViewer.value.id === '{mine}' && location.search === '?run={mine}'")
    page.go_back()
    page.wait_for_function(f"{READY} && joshViewer.value.id === 'courtyard' && location.search === ''")
    page.go_forward()
    page.wait_for_function(f"{READY} && joshViewer.value.id === '{mine}' && location.search === '?run={mine}'")


def test_my_results_open_and_delete(visit: Visitor, clip: Path) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    assert page.locator("#j-mine li").count() == 0
    first = run(page, clip)
    page.evaluate("joshViewer.value = { ...joshViewer.value, id: 'courtyard' }")
    page.get_by_role("button", name="Other clip").click()
    second = run(page, unlike_before(clip))
    page.goto(visit.server.url)  # a later visit
    page.wait_for_function(READY)
    rows = page.locator("#j-mine li")
    assert rows.count() == 2 and "My walk" in rows.first.inner_text() and "JOSH" in rows.first.inner_text()
    page.evaluate("joshViewer.value = { ...joshViewer.value, id: 'courtyard' }")
    rows.nth(1).get_by_role("button", name="My walk", exact=True).click()
    page.wait_for_function(f"{READY} && joshViewer.value.id === '{first}'")
    rows.nth(0).get_by_role("button", name="Delete My walk").click()
    rows.nth(0).get_by_role("button", name="No").click()
    rows.nth(0).get_by_role("button", name="Delete My walk").click()
    rows.nth(0).get_by_role("button", name="Yes").click()
    page.wait_for_function("document.querySelectorAll('#j-mine li').length === 1")
    assert page.evaluate("joshViewer.value.id") == first  # what is on show stays
    assert not (visit.server.store / "runs" / second).exists()
    rows.nth(0).get_by_role("button", name="Delete My walk").click()
    rows.nth(0).get_by_role("button", name="Yes").click()
    page.get_by_text("The result is deleted").wait_for()
    page.wait_for_function("document.querySelectorAll('#j-mine li').length === 0")
    assert not (visit.server.store / "runs" / first).exists()


def test_a_shared_result_has_a_link_preview(visit: Visitor, clip: Path) -> None:
    def tag(query: str, name: str) -> list[str]:
        page = urllib.request.urlopen(visit.server.url + query, timeout=30).read().decode()
        return re.findall(rf'<meta (?:property|name)="{name}" content="([^"]*)">', page)

    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    mine = run(page, clip)
    assert tag(f"?run={mine}", "og:image") == []  # what is not shared is shown to nobody
    link = share(page)
    end = time.monotonic() + 60 * patience()
    while not (images := tag(link.removeprefix(visit.server.url), "og:image")):
        assert time.monotonic() < end
        time.sleep(0.5)
    image = cv2.imdecode(np.frombuffer(urllib.request.urlopen(images[0], timeout=30).read(), np.uint8), 1)
    assert image is not None and image.shape == (630, 1200, 3) and image.std() > 10
    assert tag(f"?run={mine}", "og:title") == ["A clip in 4D"]  # what its owner called it is theirs
    assert tag(f"?run={mine}", "og:description")[0].startswith("2 people, 1 s")
    assert tag("?run=%22%3E%3Cscript%3E", "og:title") == tag("", "og:title") == ["JOSH: people and places in 4D"]


def test_cancel_and_crash_and_nobody(visit: Visitor, clip: Path) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    choose(page, unlike_before(clip, "slow"))
    page.click("#j-run")
    page.wait_for_function("document.querySelector('#j-progress').innerText.includes('left')")
    page.click("#j-cancel")
    page.get_by_text("Cancelled; nothing was kept.").wait_for()
    page.wait_for_selector("#j-run")
    for name, said in (("crash", "ended unexpectedly"), ("nobody", "Nobody was found")):
        page.get_by_role("button", name="Other clip").click()
        choose(page, unlike_before(clip, name))
        page.click("#j-run")
        page.locator("#j-progress").get_by_text(said).wait_for()
    assert "Traceback" not in visit.server.log.read_text()


def test_wrong_files(visit: Visitor, tmp_path: Path) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    text = tmp_path / "text.mp4"
    text.write_text("This is no video.")
    packed = tmp_path / "zip.mp4"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", "a")
    large = tmp_path / "large.mp4"
    large.write_bytes(b"\0\0\0\x18ftypmp42" + b"\0" * 21_000_000)
    short = tmp_path / "short.mp4"
    encode((np.full((120, 160, 3), k, np.uint8) for k in range(3)), np.arange(3) / 30, short)
    wrong = ((text, "not a video"), (packed, "not a video"), (short, "only 3 frames"), (large, "larger than 20 MB"))
    for path, said in wrong:
        page.set_input_files("#j-clip input[type=file]", path)
        page.wait_for_function(f"document.querySelector('#j-clip .j-say').textContent.includes('{said}')")
        assert page.locator("#j-run").is_disabled()


def test_a_clip_whose_pictures_cannot_be_had_has_a_plain_strip(visit: Visitor, clip: Path) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    choose(page, clip)
    strip = page.locator("#j-clip .j-strip")
    assert strip.is_visible() and strip.evaluate("(image) => image.naturalWidth") > 100
    strip.evaluate("(image) => { image.src = 'data:,'; }")  # what the chooser has where no frame was read in time
    strip.wait_for(state="hidden")
    assert page.locator("#j-clip .j-strip-box").bounding_box()["height"] >= 20


def test_one_runs_and_another_browses(visit: Visitor, clip: Path) -> None:
    busy = visit.viewer("?example=courtyard&t=0&view=orbit")
    choose(busy, unlike_before(clip, "slow"))
    busy.click("#j-run")
    busy.wait_for_selector("#j-cancel")
    other = visit.tab("?example=courtyard&t=0&view=orbit")
    other.wait_for_function(READY)
    assert other.evaluate("performance.now()") < 5000 * patience()
    other.locator("#j-gallery [data-example=courtyard]").click()
    other.wait_for_function("joshViewer.clock.playing")
    choose(other, clip)
    assert "in line" in other.locator("#j-cost").inner_text()
    other.click("#j-run")
    other.locator(CARD).get_by_text("Number 1 in line").wait_for()
    other.context.close()  # leaving ends the wait and removes what was uploaded
    visit.contexts.pop()
    busy.click("#j-cancel")
    busy.get_by_text("Cancelled; nothing was kept.").wait_for()
    visitors = visit.server.store / "visitors"
    busy.wait_for_timeout(1000)
    assert len(list(visitors.iterdir())) <= 2
    busy.get_by_role("button", name="Other clip").click()
    choose(busy, clip)  # the first look has the device to itself: nobody's run is left in line
    busy.locator("#j-cost").get_by_text("about 2 people").wait_for()


HOSTILE = ("..%2f..%2f..%2fetc%2fpasswd", "%00", "a" * 300)  # more of them in test_store.py
WISHES: tuple[object, ...] = (
    None, 7, "x", [], {}, {"query": "run=../../etc", "mode": "refine", "name": "result.glb"},
    {"query": "example=courtyard", "mode": "refine", "name": "../../../../etc/passwd"},
    {"query": "example=courtyard\0", "mode": "refine", "name": "everything.zip"},
    {"query": "example=courtyard", "mode": ["refine"], "name": {"a": 1}},
)  # fmt: skip


def test_hostile_requests(visit: Visitor) -> None:
    server = visit.server
    for run_id in HOSTILE:
        page = visit.tab(f"?run={run_id}")
        page.locator(".jv-note").get_by_text("result").wait_for()
        page.context.close()
        visit.contexts.pop()
    root = Path(__file__).resolve().parents[2]
    private = (
        server.store / "lock", server.store / "rates.json", server.store / "uploads", server.store / "visitors",
        root / "app.py", root / "requirements.txt", Path("/etc/passwd"), server.store / "runs" / ".." / "lock",
        server.store / "entries",
    )  # fmt: skip
    for path in private:
        for text in (str(path), urllib.parse.quote(str(path), safe=""), str(path) + "%00.mp4"):
            assert get(server, f"gradio_api/file={text}") in (403, 404)
    for wish in WISHES:
        assert set(ask(server, wish)) == {"problem"}
    assert "Traceback" not in server.log.read_text()


def test_through_a_power_cut(visit: Visitor, clip: Path, examples_folder: Path) -> None:
    page = visit.viewer("?example=courtyard&t=0&view=orbit")
    shared = run(page, clip)
    link = share(page)
    page.evaluate("joshViewer.value = { ...joshViewer.value, id: 'courtyard' }")
    page.get_by_role("button", name="Other clip").click()
    unshared = run(page, unlike_before(clip))
    assert unshared != shared
    page.context.close()
    visit.contexts.clear()
    visit.server.kill()
    half = visit.server.store / "building" / "half"
    half.mkdir()
    visit.server.start()
    page = visit.viewer(link)
    assert page.evaluate("joshViewer.value.id") == shared
    gone = visit.tab(f"?run={unshared}")
    gone.get_by_text("does not exist or has expired").first.wait_for()
    assert not half.exists()
    assert [folder.name for folder in (visit.server.store / "runs").iterdir() if folder.name == unshared] == []
    for name in ("building", "uploads"):
        assert not list((visit.server.store / name).iterdir())
    assert "Traceback" not in visit.server.log.read_text()
