"""The viewer in a real browser: it plays, agrees with the clip, obeys its controls and leaks nothing."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.conftest import READY, ROOT, Server, Visitor, Watch, only, overlap, patience, picture
from tests.browser.example_store import FRAMES, silhouette

STILL = "?example=courtyard&t=0.3&view=orbit"
# The view turns on for a while after the mouse let go of it: whether it has been the same for 20 pictures.
AT_REST = """() => {
    const view = JSON.stringify(joshViewer.state.view);
    window.samePictures = view === window.lastView ? (window.samePictures ?? 0) + 1 : 0;
    window.lastView = view;
    return window.samePictures > 20;
}"""


@pytest.fixture(scope="module")
def shared_tab(chromium: Any, server: Server) -> Iterator[tuple[Any, Watch]]:
    watch = Watch(server.url)
    visitor = Visitor(chromium, server, watch)
    yield visitor.viewer(STILL), watch
    visitor.contexts[0].close()


@pytest.fixture
def page(shared_tab: tuple[Any, Watch]) -> Iterator[Any]:
    """One tab for many tests, put back to the same still view before each."""
    page, watch = shared_tab
    page.evaluate("joshViewer.show({ ...joshViewer.value, view: { t: '0.3', view: 'orbit' } })")
    page.wait_for_function(READY)
    page.evaluate("joshViewer.stage.shade.visible = true")
    yield page
    assert (watch.foreign, watch.errors) == ([], [])


def frame_at(page: Any) -> int:
    return int(page.evaluate("joshViewer.clock.frame"))


def go_to(page: Any, frame: int) -> None:
    page.evaluate(f"joshViewer.goTo({frame})")
    page.wait_for_function("!joshViewer.clock.video?.seeking")


def through_camera(page: Any, frame: int) -> np.ndarray:
    """Where the viewer draws people in the clip's own picture, [h,w] bool."""
    page.evaluate("joshViewer.views.calm = true; joshViewer.setView('camera')")
    go_to(page, frame)
    only(page, *page.evaluate("joshViewer.result.people.map((p) => p.layer)"))
    drawn = picture(page)[..., 3] > 127
    aspect = page.evaluate("joshViewer.result.source.aspect")
    height, width = drawn.shape
    w, h = min(width, height * aspect), min(height, width / aspect)
    left, top = round((width - w) / 2), round((height - h) / 2)
    return drawn[top : top + round(h), left : left + round(w)]


def test_first_visit_shows_moving_people_soon(visit: Visitor, capsys: pytest.CaptureFixture[str]) -> None:
    page = visit.viewer("?example=courtyard")  # not counted: the app is warm from here on
    page.context.close()
    slow = patience()
    page = visit.viewer()
    ready = page.evaluate("performance.now()") / 1000
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
    weight = page.evaluate(
        "performance.getEntries().filter((e) => e.transferSize && !/\\.(glb|mp4)$/.test(e.name))"
        ".reduce((sum, e) => sum + e.transferSize, 0)"
    )
    loads = page.evaluate("performance.getEntries().filter((e) => e.name.endsWith('.glb')).length")
    assert loads == 1  # the example comes with the page and is not loaded again when the server names it
    with capsys.disabled():
        sys.stdout.write(
            f"\nfirst paint {paint:.2f} s, viewer {ready:.2f} s, page {weight / 1e6:.2f} MB (machine x{slow:.1f})\n"
        )
    assert paint < 2 * slow and ready < 5 * slow and 0 < weight < 3e6
    page.wait_for_function("joshViewer.clock.time > 0.1")
    only(page, "person0", "person1")
    go_to(page, 5)
    before = picture(page)
    go_to(page, 25)
    assert (np.abs(picture(page).astype(int) - before).sum(-1) > 60).sum() > 500


@pytest.mark.parametrize("frame", [5, 24])
def test_people_are_where_the_clip_shows_them(page: Any, frame: int) -> None:
    assert overlap(through_camera(page, frame), silhouette(frame)) > 0.85


def test_log_sit_agrees_with_its_clip(page: Any) -> None:
    if not (ROOT / "examples/log_sit/result/refine/result.glb").is_file():
        pytest.skip("examples/log_sit has no stored result")
    from josh_core.clip.load import load_clip
    from josh_core.settings import Settings
    from josh_core.tracking.landmarker import Landmarker, Square

    frame = 60
    clip = load_clip(ROOT / "examples/log_sit/clip.mp4", Settings(seconds=4.0))
    image = clip.frame(frame)
    with Landmarker(1.0) as networks:
        (person,) = networks.search(image, Square.around(np.array([0, 0, clip.width, clip.height], float), 1.0))[:1]
    ys, xs = np.mgrid[: clip.height, : clip.width]
    mask = person.mask.at(np.stack([xs, ys], -1).reshape(-1, 2) + 0.5).reshape(clip.height, clip.width) > 0.5
    root = (ROOT / "examples/log_sit/result").as_posix()
    page.route("**/log_sit.glb", lambda route: route.fulfill(path=f"{root}/refine/result.glb"))
    page.evaluate("window.kept = joshViewer.value")
    page.evaluate("joshViewer.show({id: 'l', modes: [{name: 'refine', label: 'JOSH', glb: {url: '/log_sit.glb'}}]})")
    page.wait_for_function(READY)
    seen = through_camera(page, frame)
    page.evaluate("joshViewer.show(kept)")  # the tests after this one share the tab
    page.wait_for_function(READY)
    assert overlap(seen, mask) > 0.6


def test_bodies_over_the_clip_let_it_through(page: Any) -> None:
    """The slider goes from the clip alone to solid bodies, also after other views drew the bodies opaque."""
    only(page, "person0", "person1", "clip")
    page.evaluate("joshViewer.setView('orbit')")
    picture(page)  # the opaque shader is in use now
    page.evaluate("joshViewer.setView('camera'); joshViewer.views.flight = null")
    page.evaluate("joshViewer.result.backdrop.material.visible = false")
    slider = page.locator(".jv-opacity input")
    slider.wait_for(state="visible")

    def alpha(percent: int) -> np.ndarray:
        slider.fill(str(percent))
        return picture(page)[..., 3].astype(int)

    solid, half, none = alpha(100), alpha(50), alpha(0)
    body = solid > 250
    assert body.sum() > 500 and (none[body] < 5).all()
    assert 100 < np.median(half[body]) < 200  # two layers of a body may lie over each other


def test_timeline_keyboard_and_speed(page: Any) -> None:
    page.locator(".jv-time").evaluate("(e) => { e.value = 12; e.dispatchEvent(new Event('input')); }")
    assert frame_at(page) == 12
    page.locator(".jv canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert frame_at(page) == 13
    page.keyboard.press("End")
    assert frame_at(page) == FRAMES - 1
    page.keyboard.press("Home")
    assert frame_at(page) == 0
    page.locator(".jv-rate").select_option("0.25")
    page.keyboard.press(" ")
    page.wait_for_function("joshViewer.clock.playing && joshViewer.clock.frame > 1")
    assert page.evaluate("joshViewer.panel.video.playbackRate") == 0.25
    assert page.get_by_role("button", name="Pause").count() == 1
    page.keyboard.press(" ")
    page.wait_for_function("!joshViewer.clock.playing")


def test_the_video_stays_with_the_model(page: Any) -> None:
    for frame in (3, 17, 28, 9):
        go_to(page, frame)
        seen = page.evaluate("joshViewer.panel.video.currentTime")
        assert frame / 30 < seen < (frame + 1) / 30
    page.evaluate("joshViewer.clock.play()")
    apart = []
    for _ in range(7):
        page.wait_for_timeout(120)
        apart.append(
            page.evaluate("joshViewer.panel.video.currentTime - joshViewer.clock.tick(performance.now(), true)")
        )
    assert abs(np.median(apart)) < 0.12 * patience()  # a little more than a frame; a lap where the clip starts again


def test_paused_clip_and_bodies_stand_on_one_frame(page: Any) -> None:
    look = (
        "(() => { const c = new OffscreenCanvas(160, 90), b = c.getContext('2d');"
        " b.drawImage(joshViewer.panel.video, 0, 0, 160, 90); return [...b.getImageData(0, 0, 160, 90).data]; })()"
    )
    for hurried in (180, 330, 470):  # ms in which the page draws nothing while the video runs on
        page.evaluate("joshViewer.goTo(0)")
        page.wait_for_function("!joshViewer.clock.video.seeking")
        page.evaluate("joshViewer.clock.play()")
        page.wait_for_function("joshViewer.clock.frame >= 2")
        busy = f"const end = performance.now() + {hurried}; while (performance.now() < end)"
        page.evaluate(f"{{ {busy}; joshViewer.clock.pause(); }}")
        page.wait_for_timeout(150)
        page.wait_for_function("!joshViewer.clock.video.seeking")
        paused, frame = np.array(page.evaluate(look), int), frame_at(page)
        assert page.evaluate("joshViewer.posedTime === joshViewer.clock.times[joshViewer.clock.frame]")
        go_to(page, (frame + 8) % FRAMES)
        other = np.array(page.evaluate(look), int)
        go_to(page, frame)
        again = np.array(page.evaluate(look), int)
        assert np.abs(paused - again).max() <= 2 < np.abs(paused - other).max()


def test_the_wheel_scrolls_the_page_until_the_viewer_has_focus(page: Any) -> None:
    distance = "joshViewer.views.free.position.distanceTo(joshViewer.views.controls.target)"
    page.evaluate(
        "joshViewer.views.calm = true; joshViewer.setView('orbit'); scrollTo(0, 0); document.activeElement.blur()"
    )
    box = page.locator(".jv canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    before = page.evaluate(distance)
    page.mouse.wheel(0, 120)
    page.wait_for_function("scrollY > 50")
    assert page.evaluate(distance) == pytest.approx(before)
    page.evaluate("scrollTo(0, 0)")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, 120)
    page.wait_for_function(f"Math.abs({distance} - {before}) > 0.05")
    assert page.evaluate("scrollY") == 0
    page.keyboard.press("Escape")
    page.mouse.wheel(0, 120)
    page.wait_for_function("scrollY > 50")
    page.evaluate("scrollTo(0, 0)")


def test_layers_points_and_modes(page: Any) -> None:
    only(page, "person0", "person1")
    both = (picture(page)[..., 3] > 0).sum()
    page.get_by_role("button", name="Layers").click()
    page.get_by_role("checkbox", name="Person 1").uncheck()
    one = (picture(page)[..., 3] > 0).sum()
    assert 0 < one < both
    only(page, "scene")
    counts = []
    for mm in (5, 40):
        page.evaluate(f"joshViewer.setPointSize({mm})")
        counts.append((picture(page)[..., 3] > 0).sum())
    assert counts[1] > 1.5 * counts[0] > 0
    only(page, "person0", "person1")
    refine, facts = picture(page)[..., 3] > 0, page.locator(".jv-facts").inner_text()
    assert "planted feet slide" in facts
    page.locator(".jv-modes").get_by_role("radio", name="Assembly line").click()
    page.wait_for_function("joshViewer.mode === 'baseline' && joshViewer.result.meta.mode === 'baseline'")
    assert 0.05 < overlap(picture(page)[..., 3] > 0, refine) < 0.95
    assert page.evaluate("joshViewer.state.hidden.includes('scene')")
    assert page.locator(".jv-facts").inner_text() != facts
    page.locator("#j-about [data-mode=refine]").click()
    page.wait_for_function("joshViewer.result.meta.mode === 'refine'")


def test_a_clip_that_cannot_be_decoded_does_not_stop_the_people(page: Any) -> None:
    page.route("**/broken.mp4", lambda route: route.fulfill(body=b"no video", content_type="video/mp4"))
    page.evaluate("window.kept = joshViewer.value; joshViewer.views.calm = false")
    page.evaluate("joshViewer.show({ ...joshViewer.value, clip: { url: '/broken.mp4' }, view: {} })")
    page.wait_for_function("joshViewer.ready && joshViewer.clock.playing && joshViewer.clock.time > 0.1")
    page.evaluate("joshViewer.show(kept)")
    page.wait_for_function(READY)


def test_follow_and_reset(page: Any) -> None:
    page.evaluate("joshViewer.views.calm = true")
    page.get_by_role("radio", name="Follow person 1").click()
    go_to(page, 0)
    page.wait_for_timeout(200)
    start = page.evaluate("joshViewer.views.controls.target.toArray()")
    go_to(page, FRAMES - 1)
    page.wait_for_timeout(300)
    end = page.evaluate("joshViewer.views.controls.target.toArray()")
    person = page.evaluate("joshViewer.result.pelvis(joshViewer.result.people[0], joshViewer.clock.frame).toArray()")
    assert np.linalg.norm(np.subtract(end, start)) > 0.5
    assert np.allclose(end, person, atol=0.05)
    page.get_by_role("button", name="Reset the view").click()
    assert page.evaluate("joshViewer.views.kind") == "orbit"


def test_a_link_brings_the_view_back(page: Any, visit: Visitor) -> None:
    page.evaluate("joshViewer.goTo(7); joshViewer.setLayer('scene', false); joshViewer.setPointSize(33)")
    page.mouse.move(800, 300)
    page.mouse.down()
    page.mouse.move(650, 340, steps=4)
    page.mouse.up()
    page.wait_for_function(AT_REST)
    link, state = page.evaluate("joshViewer.link"), page.evaluate("joshViewer.state")
    other = visit.viewer(f"?example=courtyard&{link}")
    again = other.evaluate("joshViewer.state")
    assert again["mode"] == state["mode"] and again["hidden"] == state["hidden"] and again["pointSize"] == 33
    assert abs(again["time"] - state["time"]) < 1e-3
    for name in ("position", "target"):
        assert np.allclose(again["view"][name], state["view"][name], atol=2e-3)
    broken = "{ t: 'x', view: 'orbit,1,2', hide: '../', mode: '<script>', point: '1e9' }"
    page.evaluate(f"joshViewer.show({{ ...joshViewer.value, view: {broken} }})")
    page.wait_for_function(READY)
    assert page.evaluate("joshViewer.state.mode") == "refine"


def test_pictures_and_full_screen(page: Any) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save a picture").click()
    assert download.value.suggested_filename.endswith("_refine_0009.png")
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.fullscreenElement?.classList.contains('jv')")
    page.keyboard.press("f")
    page.wait_for_function("!document.fullscreenElement")


def test_changing_results_leaks_nothing(visit: Visitor) -> None:
    page = visit.viewer(STILL)
    page.evaluate("window.counts = () => ({ ...joshViewer.stage.renderer.info.memory })")
    counts = []
    for _ in range(4):
        page.evaluate(f"joshViewer.show(joshViewer.value).then(() => joshViewer.goTo({FRAMES // 2}))")
        page.wait_for_function(f"{READY} && joshViewer.panel.video.readyState >= 2 && !joshViewer.panel.video.seeking")
        page.wait_for_function("joshViewer.texture.version > 0")  # the clip's frame has come, and will be drawn
        page.evaluate("joshViewer.picture()")
        counts.append(page.evaluate("counts()"))
    assert counts[1] == counts[2] == counts[3], counts
    page.evaluate("for (let i = 0; i < 5; i++) joshViewer.show(joshViewer.value)")
    page.wait_for_function(READY)
    page.wait_for_timeout(500)
    scenes = page.evaluate("joshViewer.stage.scene.children.filter((c) => c.type === 'Group').length")
    assert scenes == 2  # the floor and one result, though five loads were under way at once
    page.evaluate("document.querySelector('#j-view').remove()")
    page.wait_for_function("joshViewer.panel.host.childElementCount === 0")


def test_without_webgl_there_is_a_video_and_a_sentence(visit: Visitor) -> None:
    blind = "HTMLCanvasElement.prototype.getContext = () => null;"
    page = visit.tab(STILL, script=blind)
    page.wait_for_function("document.querySelector('.jv-flat video')?.src")
    assert "no WebGL" in page.locator(".jv-note").inner_text()
    assert page.locator(".jv-flat video").bounding_box()["width"] > 300
    visit.watch.errors = [e for e in visit.watch.errors if "WebGL" not in e]  # three.js says so too


def test_phone_width(visit: Visitor) -> None:
    page = visit.viewer(STILL, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator(".jv-stage").bounding_box()
    assert box["width"] > 340 and box["y"] < 300
    for name in ("Play", "Layers", "Full screen"):
        size = page.get_by_role("button", name=name).bounding_box()
        assert min(size["width"], size["height"]) >= 34
        assert size["x"] >= 0 and size["x"] + size["width"] <= 390
    page.get_by_role("button", name="Layers").click()
    layers, stage = page.locator(".jv-layers").bounding_box(), page.locator(".jv-stage").bounding_box()
    assert layers["y"] >= stage["y"] + stage["height"] and layers["x"] + layers["width"] <= 390
    only(page, "person0", "person1")
    drawn = picture(page)[..., 3] > 0
    assert drawn.any() and not drawn[:, 0].any() and not drawn[:, -1].any()
    inset, scale = page.locator(".jv-clip").bounding_box(), drawn.shape[1] / stage["width"]
    left, top = (inset["x"] - stage["x"]) * scale, (inset["y"] - stage["y"]) * scale
    under = drawn[int(top) : int(top + inset["height"] * scale), int(left) : int(left + inset["width"] * scale)]
    assert under.size and not under.any()  # the clip hides nobody
    page.get_by_role("button", name="Hide the clip").click()
    assert page.locator(".jv-clip").bounding_box()["width"] <= 2


def test_the_bundle_was_built_from_these_sources() -> None:
    from josh_core import viewer

    first = viewer.BUNDLE.open(encoding="utf-8").readline()
    sources = sorted(Path(viewer.BUNDLE).with_name("src").iterdir())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]  # as build.mjs has it
    assert digest in first, "run `npm install && npm run build` in josh_core/viewer"
    assert "MIT" in (Path(viewer.BUNDLE).with_name("THREE-LICENSE")).read_text()
    assert os.path.getsize(viewer.BUNDLE) < 1e6


def test_people_change_between_colours_of_the_clip_and_plain_ones(page: Any) -> None:
    """The courtyard's first person wears its own look, green all over; the second was not seen well enough."""

    def strongest(person: str) -> int:
        """The channel (blue, green, red) that is strongest in most pixels of a person drawn alone."""
        only(page, person, *(["look"] if page.evaluate("!joshViewer.hidden.has('look')") else []))
        drawn = picture(page)
        return int(np.bincount(drawn[drawn[..., 3] > 127][:, :3].argmax(1), minlength=3).argmax())

    page.evaluate("joshViewer.views.calm = true; joshViewer.views.flight = null; joshViewer.resetView()")
    page.locator("#j-view canvas").focus()
    go_to(page, 9)
    button = page.locator("[data-do=look]")
    assert (strongest("person0"), strongest("person1"), button.get_attribute("aria-pressed")) == (1, 2, "true")
    page.keyboard.press("b")
    assert (strongest("person0"), strongest("person1"), button.get_attribute("aria-pressed")) == (0, 2, "false")
    assert "look" in page.evaluate("joshViewer.link").split("hide=")[1].split("&")[0]
    button.click()
    assert strongest("person0") == 1
    page.evaluate("joshViewer.setView('camera'); joshViewer.setLayer('clip', true); joshViewer.draw()")
    assert button.is_disabled()  # over the clip, bodies are plain: they must stand out from the people under them
    page.evaluate("joshViewer.setView('orbit'); joshViewer.draw()")
    assert button.is_enabled()


def test_points_stand_on_a_surface_that_is_only_floor(page: Any) -> None:
    """The courtyard's surface is flat in the fast result: its points show what stands there, without asking."""
    shown = "joshViewer.draw() || [joshViewer.result.surface.visible, joshViewer.result.points.visible]"
    assert page.evaluate(shown) == [True, False]
    page.evaluate("joshViewer.setMode('fast')")
    page.wait_for_function("joshViewer.result.meta.mode === 'fast'")
    assert page.evaluate(shown) == [True, True]
    page.locator("#j-view canvas").focus()
    page.keyboard.press("m")
    assert page.evaluate(shown) == [False, True]
    page.evaluate("joshViewer.setLayer('scene', false)")
    assert page.evaluate(shown) == [False, False]


def test_the_place_changes_between_surface_and_points(page: Any) -> None:
    """The courtyard's surface is violet, its points are not; both go with the place's own switch."""

    def violet(*layers: str) -> float:
        only(page, *layers)
        drawn = picture(page)
        solid = drawn[drawn[..., 3] > 127].astype(int)
        return float((np.minimum(solid[:, 0], solid[:, 2]) > solid[:, 1] + 60).mean()) if len(solid) else -1.0

    page.evaluate("joshViewer.views.calm = true; joshViewer.views.flight = null; joshViewer.resetView()")
    page.locator("#j-view canvas").focus()
    assert violet("scene", "surface") > 0.95
    page.keyboard.press("m")
    drawn = picture(page)
    assert (drawn[..., 3] > 127).mean() > 0.05 and page.evaluate("joshViewer.result.points.visible")
    assert violet("scene") < 0.02 and violet("surface") == -1
    button = page.locator("[data-do=place]")
    page.evaluate("joshViewer.setLayer('surface', false); joshViewer.draw()")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    page.evaluate("joshViewer.draw()")
    assert button.get_attribute("aria-pressed") == "true" and not page.evaluate("joshViewer.result.points.visible")
