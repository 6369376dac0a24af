"""What the page says: tables, cards, facts and times agree with the rooms whose names they use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from josh_core.body import load_body
from josh_core.clip.look import Look
from josh_core.clip.probe import ClipInfo
from josh_core.errors import SettingsError
from josh_core.export.bundle import save_bundle
from josh_core.metrics.quality import measure
from josh_core.metrics.verdicts import QUANTITIES
from josh_core.page.machine.rates import FIRST_GUESS, Rates, Size
from josh_core.page.parts import markup
from josh_core.page.parts.cost import cost_card, cuts
from josh_core.page.parts.files import files_list, offers, overlay_part
from josh_core.page.parts.layout import _tiers
from josh_core.page.parts.markup import duration
from josh_core.page.shown_run import MODE_TEXTS, ShownRun, clean_view, examples, facts, rounded, viewer_value
from josh_core.page.visitors.inputs import Upload, settings_from_inputs
from josh_core.settings import MODES, Settings
from tests.example_result import made_up_result


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> ShownRun:
    """An example with one mode and a name that wants to be HTML."""
    root = tmp_path_factory.mktemp("examples")
    body = load_body()
    result = made_up_result(body, frames=12, points=300)
    for mode in ("baseline", "refine"):
        place = root / "walk" / "result" / mode
        save_bundle(result, place, files={"result.glb": b"glTF"})
        manifest = json.loads((place / "manifest.json").read_text())
        manifest |= {"mode": mode, "quality": measure(result, body), "notes": ["<b>note</b>"]}
        (place / "manifest.json").write_text(json.dumps(manifest))
    (root / "walk" / "clip.mp4").write_bytes(b"clip")
    (root / "index.json").write_text('{"gone": "Not here", "walk": "A <walk>"}')
    return examples(root, root / "made")["walk"]


def test_every_line_of_the_table_is_one_that_is_measured() -> None:
    assert set(markup.LABELS) - {"scale", "lens"} <= {quantity.key for quantity in QUANTITIES}


def test_every_mode_has_words() -> None:
    assert tuple(MODE_TEXTS) == MODES


def test_every_expected_stage_has_words() -> None:
    assert {stage for mode in MODES for stage in FIRST_GUESS[mode]} <= set(markup.STAGES)


def test_the_table_has_a_column_per_mode_and_escapes(shown: ShownRun) -> None:
    table = markup.quality_table(shown)
    assert table.count('scope="col"') == 2 and "Planted feet slide" in table and "good up to 5" in table
    assert "&lt;b&gt;note" in table and "<b>note" not in table


def test_facts_of_a_mode(shown: ShownRun) -> None:
    said = facts(shown.manifest("refine"))
    assert said[0].startswith("planted feet slide") and said[-1].startswith("scale ")
    assert facts({}) == []
    assert viewer_value(shown, {"t": "1.5", "hide": "<script>"})["view"] == {"t": "1.5"}
    assert clean_view({"mode": "fast", "other": "x"}) == {"mode": "fast"}


@pytest.mark.parametrize("value, said", [(0, "0"), (0.173, "0.17"), (8.32, "8.3"), (12.4, "12"), (250.4, "250")])
def test_numbers_have_the_digits_that_say_something(value: float, said: str) -> None:
    assert rounded(value) == said


def test_files_are_links_when_there_and_buttons_when_not(shown: ShownRun) -> None:
    names = [offer.name for offer in offers(shown, "refine")]
    assert "files/people/person_1.bvh" in names and len(names) == len(set(names))
    listed = files_list(shown)
    assert listed.count("<a ") == 2 * 3  # result.glb, arrays.npz and manifest.json of both modes
    made_later = [len(offers(shown, mode)) - 3 for mode in ("baseline", "refine")]
    assert made_later[1] == made_later[0] + 1  # the split film lays JOSH beside the baseline
    assert listed.count("<button") == sum(made_later)
    assert "data-ask" in overlay_part(shown) and "<video" not in overlay_part(shown)
    made = shown.made / "refine" / "overlay.mp4"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"video")
    assert "<video" in overlay_part(shown)
    made.unlink()


def test_the_cost_says_what_is_cut_and_who_is_seen(tmp_path: Path) -> None:
    look = Look(ClipInfo(3840, 2160, 60.0, 1200, 20.0), "")
    settings = Settings(mode="refine", start=2.0, seconds=5.0)
    assert len(cuts(look, settings)) == 4
    card = cost_card(look, settings, Rates(tmp_path / "rates.json"), 0.0, 0)
    assert "150 frames" in card and "nobody seen yet" in card and "first guess" in card


def test_until_people_are_counted_the_time_is_given_for_one_and_for_several(tmp_path: Path) -> None:
    look = Look(ClipInfo(1280, 720, 30.0, 300, 10.0), "")
    rates = Rates(tmp_path / "rates.json")
    one, four = (duration(rates.total("refine", Size(300, people))) for people in (1, 4))
    assert one != four

    def card(people: int | None, most: int | None = None) -> str:
        return cost_card(look, Settings(mode="refine", people=most), rates, 0.0, people)

    assert f"about {one} to {four}" in card(None)
    assert f"about {one}</b>" in card(1) and f"about {four}</b>" in card(4)
    assert f"about {one}</b>" in card(None, most=1)  # who asks for one person has one time


def test_rates_are_learned_by_stage(tmp_path: Path) -> None:
    rates = Rates(tmp_path / "rates.json")
    rates.learn("fast", Size(10), {"tracks": 1.0, "world": 4.0})
    assert rates.total("fast", Size(20)) == pytest.approx(10.0)
    assert rates.left("fast", Size(20), "world", 0.5) == pytest.approx(4.0)
    assert Rates(tmp_path / "rates.json").measured("fast") and not rates.measured("refine")


def test_a_run_whose_video_was_skipped_leaves_what_was_known_of_it(tmp_path: Path) -> None:
    rates = Rates(tmp_path / "rates.json")
    every = {"tracks": 1.0, "depth": 2.0, "world": 4.0, "videos": 3.0}
    rates.learn("refine", Size(10), every)
    rates.learn("refine", Size(10), {"tracks": 1.0, "depth": 2.0, "world": 4.0}, whole=False)
    assert rates.stages("refine", Size(10)) == pytest.approx(every)
    rates.learn("refine", Size(10), {"tracks": 1.0, "world": 4.0, "videos": 3.0})  # a still camera: no depth
    assert list(rates.stages("refine", Size(10)).items()) == [
        ("tracks", 1.0), ("depth", pytest.approx(1.0)), ("world", 4.0), ("videos", pytest.approx(3.0))
    ]  # fmt: skip


# Recorded: frames, people, seconds of each stage of `refine` until the result was there, models loaded.
RUNS = (
    (
        45,
        1,
        {
            "clip": 1.4,
            "people": 4.4,
            "tracks": 1.3,
            "camera": 4.5,
            "depth": 4.1,
            "student": 0.05,
            "bodies": 0.8,
            "contacts": 1.1,
            "world": 2.7,
            "looks": 0.7,
            "result": 1.5,
            "joint": 3.2,
            "joint_looks": 0.8,
            "joint_result": 0.8,
        },
    ),  # rendered street
    (
        99,
        1,
        {
            "clip": 2.3,
            "people": 11.5,
            "tracks": 3.2,
            "camera": 10.4,
            "depth": 9.5,
            "student": 0.07,
            "bodies": 1.6,
            "contacts": 2.2,
            "world": 6.5,
            "looks": 0.64,
            "result": 2.3,
            "joint": 8.1,
            "joint_looks": 0.68,
            "joint_result": 0.77,
        },
    ),  # rendered street
    (
        36,
        3,
        {
            "clip": 1.7,
            "people": 6.8,
            "tracks": 1.2,
            "camera": 5.5,
            "depth": 3.0,
            "student": 0.07,
            "bodies": 0.8,
            "contacts": 1.1,
            "world": 1.7,
            "looks": 1.4,
            "result": 1.7,
            "joint": 3.6,
            "joint_looks": 1.3,
            "joint_result": 0.79,
        },
    ),  # boardwalk
    (
        96,
        4,
        {
            "clip": 3.1,
            "people": 20.4,
            "tracks": 3.3,
            "camera": 12.5,
            "depth": 8.2,
            "student": 0.14,
            "bodies": 5.1,
            "contacts": 3.2,
            "world": 5.0,
            "looks": 1.4,
            "result": 2.8,
            "joint": 17.1,
            "joint_looks": 1.5,
            "joint_result": 0.72,
        },
    ),  # boardwalk
)


@pytest.mark.parametrize("first", [False, True])
def test_the_kind_of_camera_changes_between_two_runs(tmp_path: Path, first: bool) -> None:
    """The rendered street, and the same as if its camera stood still: there is no path to solve and no depth."""
    frames, people, moving = RUNS[0]
    still = {stage: seconds for stage, seconds in moving.items() if stage != "depth"} | {"camera": 0.1}
    rates, seconds = Rates(tmp_path / "rates.json"), {True: still, False: moving}
    rates.learn("refine", Size(frames, people, first), seconds[first])
    for kind in (True, False):
        expected = rates.total("refine", Size(frames, people, kind))
        assert expected == pytest.approx(sum(seconds[kind].values()), rel=0.3)
    rates.learn("refine", Size(frames, people, not first), seconds[not first])
    for kind in (True, False):
        expected = rates.total("refine", Size(frames, people, kind))
        assert expected == pytest.approx(sum(seconds[kind].values()), rel=0.05)
    assert "depth" not in rates.stages("refine", Size(frames, people, True))


@pytest.mark.parametrize("first", range(len(RUNS)))
def test_after_one_run_the_next_is_estimated_within_30_percent(tmp_path: Path, first: int) -> None:
    """Shorter, longer, with more people: whichever was first."""
    rates = Rates(tmp_path / "rates.json")
    frames, people, seconds = RUNS[first]
    rates.learn("refine", Size(frames, people), seconds)
    for frames, people, seconds in RUNS:
        assert rates.total("refine", Size(frames, people)) == pytest.approx(sum(seconds.values()), rel=0.3)


def test_the_page_s_numbers_become_settings_and_zero_is_not_known(tmp_path: Path) -> None:
    upload = Upload(tmp_path / "clip.mp4", "", Look(ClipInfo(1920, 1080, 30.0, 300, 10.0), ""))
    part = {"start": 1.0, "length": 4.0}
    unknown = settings_from_inputs(part, upload, "refine", 0, 0, 0, "auto", "auto", 0)
    assert (unknown.people, unknown.height_m, unknown.focal_px) == (None, None, None)
    assert (unknown.start, unknown.seconds, unknown.mode) == (1.0, 4.0, "refine")
    known = settings_from_inputs(part, upload, "fast", 2, 1.8, 90, "on", "auto", 180)
    assert (known.people, known.height_m, known.static_camera, known.turn) == (2, 1.8, "on", 180)
    assert known.focal_px == pytest.approx(640)  # half of 1280 px, at 45 degrees to each side
    sideways = settings_from_inputs(part, upload, "fast", 2, 1.8, 90, "on", "auto", 90)
    assert sideways.focal_px == pytest.approx(360)  # the picture is 720 px wide once it is turned
    for bad in ((-1, 0, 0), (0, 9, 0), (0, 0, 179), (0, 0, -20)):
        with pytest.raises(SettingsError):
            settings_from_inputs(part, upload, "fast", *bad, "auto", "auto", 0)


def test_visitors_see_texts_instead_of_keys(shown: ShownRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOSH_MAST3R_WEIGHTS", raising=False)
    said = markup.details(shown) + markup.quality_table(shown) + " ".join(map(str, _tiers()))
    for raw in ("m/s³", "JOSH_", "use_smooth", "embedded", "anny-neutral", "sha256 &", "scale_source"):
        assert raw not in said.replace("('Built in', 'embedded')", "")
    assert "a real walk has 5 to 10" in said


def test_a_download_is_called_after_clip_and_method(shown: ShownRun) -> None:
    assert 'download="A_walk_refine_result.glb"' in files_list(shown)
    assert "result.glb?name=A_walk_refine_result.glb" in files_list(shown)
