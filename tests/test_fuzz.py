"""Everything that reads bytes from outside, fed what hypothesis makes up: the answer is a value or a sentence, always.

Some seconds long; JOSH_FUZZ=2000 tries that many inputs of each kind, other ones each time.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from josh_core.body import load_body
from josh_core.body.unpickle import read_arrays
from josh_core.clip.look import Look, look_at
from josh_core.clip.probe import ClipInfo
from josh_core.clip.video import Film
from josh_core.errors import ClipError, ResultError, SettingsError, WeightsError
from josh_core.export.bundle import load_bundle, save_bundle
from josh_core.export.stored_json import read_json
from josh_core.page.api import Asked
from josh_core.page.machine.rates import Rates
from josh_core.page.parts import markup
from josh_core.page.parts.files import files_list
from josh_core.page.parts.plots import plots
from josh_core.page.protection.guard import Guard
from josh_core.page.protection.request_rules import Rules, is_open, listening_session, parse_call, refusal_of_call
from josh_core.page.protection.responses import is_foreign
from josh_core.page.shown_run import VIEW_KEYS, clean_view, stored_run, viewer_value
from josh_core.page.visitors.inputs import Upload, settings_from_inputs
from josh_core.serving.entries import Entry
from josh_core.serving.mirror import FolderMirror
from josh_core.serving.store import Store
from tests.example_result import made_up_result

TRIES = int(os.environ.get("JOSH_FUZZ", "60"))
fuzz = settings(
    max_examples=TRIES,
    deadline=None,
    derandomize="JOSH_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
CLIP = Path(__file__).parent / "data" / "variable_rate.mp4"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(10**40), 10**40) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """`whole` with some bytes changed, a piece put in or taken out, or its end cut off."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["change", "insert", "remove", "cut"]))
        if kind == "change":
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=4))
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=16))
        elif kind == "remove":
            del data[at : at + draw(st.integers(1, 64))]
        else:
            del data[at + len(data) // 2 :]
    return bytes(data)


@contextmanager
def only(*refusals: type[Exception]) -> Iterator[None]:
    """What may be raised, and then says something."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, of numbers that overflow
        try:
            yield
        except refusals as error:
            assert str(error)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with one bundle."""
    run = tmp_path_factory.mktemp("run")
    save_bundle(made_up_result(load_body(), frames=12, points=20), run / "fast", files={"result.glb": b"glTF"})
    return run


def animation(kind: str) -> bytes:
    """A small animated picture."""
    file = io.BytesIO()
    first, *more = (Image.new("RGB", (64, 64), (25 * i, 0, 0)) for i in range(10))
    first.save(file, kind, save_all=True, append_images=more, duration=40)
    return file.getvalue()


@fuzz
@given(data=st.sampled_from(["WEBP", "PNG", "AVIF"]).map(animation).flatmap(damaged))
def test_animations(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed_animation"
    path.write_bytes(data)
    with only(ClipError):
        look_at(path, lambda look: None)


@fuzz
@given(data=damaged(CLIP.read_bytes()) | st.binary(max_size=300).map(lambda tail: b"\x00\x00\x00\x20ftyp" + tail))
def test_clips(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed_clip"
    path.write_bytes(data)
    with only(ClipError):
        look_at(path, lambda look: None)


def everything_of(run: Path) -> None:
    """All that the page says of a run."""
    shown = stored_run("r" * 22, run, shared=False)
    json.dumps(viewer_value(shown, {})).encode()
    for say in (markup.quality_table, markup.details, files_list, plots):
        say(shown).encode()


@fuzz
@given(data=st.data())
def test_manifests(bundle: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = json.loads((bundle / "fast" / "manifest.json").read_text("utf-8"))
    whole["quality"] = {
        "foot_slide_mm": 3.0,
        "people": [{"frames_share": 1.0, "speed_m_s": 1.0, "steps_hz": 2.0, "step_m": 0.6}],
    }
    run = tmp_path_factory.mktemp("manifest")
    (run / "fast").mkdir()
    for name in ("result.glb", "arrays.npz"):
        os.link(bundle / "fast" / name, run / "fast" / name)
    if data.draw(st.booleans()):
        text = data.draw(damaged(json.dumps(whole).encode()))
    else:
        field = data.draw(st.sampled_from(sorted(whole)))
        value = whole[field]
        if isinstance(value, dict) and value and data.draw(st.booleans()):
            whole[field] = {**value, data.draw(st.sampled_from(sorted(value))): data.draw(JSON)}
        elif isinstance(value, list) and value and data.draw(st.booleans()):
            whole[field] = [*value[1:], data.draw(JSON)]
        else:
            whole[field] = data.draw(JSON)
        text = json.dumps(whole).encode()
    (run / "fast" / "manifest.json").write_bytes(text)
    with only(ResultError):
        everything_of(run)
    with only(ResultError):
        load_bundle(run / "fast")


@fuzz
@given(data=st.data())
def test_arrays(bundle: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    run = tmp_path_factory.mktemp("arrays")
    (run / "fast").mkdir()
    for name in ("result.glb", "manifest.json"):
        os.link(bundle / "fast" / name, run / "fast" / name)
    whole = (bundle / "fast" / "arrays.npz").read_bytes()
    if data.draw(st.booleans()):
        whole = data.draw(damaged(whole))
    else:  # a sound zip around a damaged array
        with zipfile.ZipFile(io.BytesIO(whole)) as packed:
            members = {name: packed.read(name) for name in packed.namelist()}
        name = data.draw(st.sampled_from(sorted(members)))
        members[name] = data.draw(damaged(members[name]) | damaged(members[name][:128]) | st.binary(max_size=200))
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as packed:
            for member, content in members.items():
                packed.writestr(member, content)
        whole = stream.getvalue()
    (run / "fast" / "arrays.npz").write_bytes(whole)
    with only(ResultError):
        everything_of(run)


@fuzz
@given(value=JSON, raw=st.binary(max_size=60))
def test_small_files(tmp_path_factory: pytest.TempPathFactory, value: Any, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    for text in (json.dumps(value).encode(), raw):
        path.write_bytes(text)
        with only(ValueError):
            read_json(path)
        Rates(path)
    with only(ValueError):
        Entry.of(value)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> FolderMirror:
    return FolderMirror(tmp_path_factory.mktemp("bucket"))  # one for all: each has a thread


ENTRY = {"id": "m" * 22, "key": "", "created": 1.0, "shared": True, "delete_hash": "0" * 64, "size": 5}


@fuzz
@given(data=st.data())
def test_mirrors(tmp_path_factory: pytest.TempPathFactory, mirror: FolderMirror, data: st.DataObject) -> None:
    root, folder = tmp_path_factory.mktemp("mirror"), mirror._runs / ("m" * 22)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "fast").mkdir(parents=True)
    (folder / "fast" / "manifest.json").write_bytes(data.draw(st.binary(max_size=40)))
    field = data.draw(st.sampled_from(sorted(ENTRY)))
    whole = json.dumps({**ENTRY, field: data.draw(JSON)}).encode()
    (folder / "entry.json").write_bytes(data.draw(st.just(whole) | damaged(whole)))
    name = data.draw(st.text("abc.é/-_", min_size=1, max_size=12)).strip("/")
    with suppress(OSError):
        (folder / name).write_bytes(b"something")
    store = Store(root / "store", mirror=mirror)
    with only(ResultError):
        found, place = store.get("m" * 22)
        assert found.id == "m" * 22 and place.parent == store.root / "runs"
        stored_run(found.id, place, True)
    store.close()
    Store(root / "store").close()  # and it opens again


BODY = {"v_template": np.zeros((4, 3)), "f": np.zeros((2, 3), np.uint32), "extra": {"a": (1, [2.0, "x"], None, {3})}}


@fuzz
@given(data=st.data(), protocol=st.integers(0, 5))
def test_smpl_pickles(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, protocol: int) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.pkl"
    whole = pickle.dumps(BODY, protocol=protocol)
    path.write_bytes(data.draw(damaged(whole) | st.binary(max_size=80)))
    with only(WeightsError):
        read_arrays(path, ("v_template", "f"))


INFO = ClipInfo(640, 360, 30.0, 300, 10.0, Film(0, 0.0, 300, 10.0, 30.0, True))


@fuzz
@given(asked=st.lists(JSON, min_size=9, max_size=9), place=st.integers(0, 7))
def test_settings(asked: list[Any], place: int) -> None:
    upload = Upload(Path("clip"), "0" * 64, Look(INFO, ""))
    usual: list[Any] = [{"start": 0, "length": 5}, "fast", 0, 0, 0, "auto", "auto", 0]
    for given_ in (asked, [*usual[:place], asked[place], *usual[place + 1 :]], [{"start": asked[0]}, *usual[1:]]):
        with only(SettingsError):
            settings_from_inputs(given_[0], upload, *given_[1:8])
    usual = ["fast", 0, 5, None, None, None, 0, "auto", "auto"]
    for given_ in (asked, [*usual[:place], asked[place], *usual[place + 1 :]]):
        with only(SettingsError):
            Asked(*given_).settings()


@fuzz
@given(
    query=st.dictionaries(st.sampled_from([*VIEW_KEYS, "run", "x"]), st.text(max_size=30)), link=st.text(max_size=60)
)
def test_links(tmp_path_factory: pytest.TempPathFactory, query: dict[str, str], link: str) -> None:
    view = clean_view(query)
    assert (
        view.keys() <= set(VIEW_KEYS) and json.dumps(view).isascii() and not set('<>"&\\') & set("".join(view.values()))
    )
    store = Store(tmp_path_factory.mktemp("links"))
    for asked in (link, query.get("run")):
        with only(ResultError):
            store.get(asked)
    store.close()


HEADERS = st.sampled_from(
    [b"x-forwarded-for", b"x-forwarded-host", b"origin", b"host", b"content-length", b"forwarded"]
)


@fuzz
@given(
    body=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()),
    call=st.dictionaries(
        st.sampled_from(["session_hash", "fn_index", "event_id", "data", "component_id", "fn_name"]), JSON
    ),
    headers=st.lists(st.tuples(HEADERS, st.binary(max_size=30)), max_size=5),
    path=st.text(max_size=30),
    proxies=st.integers(0, 2),
)
def test_requests(
    body: bytes, call: dict[str, Any], headers: list[tuple[bytes, bytes]], path: str, proxies: int
) -> None:
    rules = Rules(1000, proxies, mcp=True)
    guard = Guard(None, None, rules)  # type: ignore[arg-type]  # neither is asked
    for asked, place in itertools.product(
        (body, json.dumps(call).encode()), ("queue/join", "cancel", "component_server", path)
    ):
        refusal = refusal_of_call(f"/gradio_api/{place}", parse_call(asked), rules)
        assert refusal is None or (refusal[0] in (400, 403, 404) and refusal[1])
    query = path.encode("utf-8", "replace")
    for place in (path, f"/gradio_api/heartbeat/{path}", "/gradio_api/queue/data"):
        scope: dict[str, Any] = {"method": "GET", "path": place, "query_string": query, "headers": headers}
        guard._set_client(scope)
        is_foreign(scope)
        is_open(place, rules)
        assert len(listening_session(scope)) <= 64
        assert isinstance(scope.get("client", ("", 0))[0], str)
