"""Files made on demand: once, whole or absent, kept with their result, and never in the way of what happens to it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from josh_core.errors import ClipError, JoshError, ResultError
from josh_core.page.files_on_demand import FilesOnDemand
from josh_core.page.machine.rates import Rates
from josh_core.page.shown_run import ShownRun, examples, stored_run
from josh_core.progress import Progress
from josh_core.serving.jobs import Job
from josh_core.serving.runners import LocalRunner
from josh_core.serving.store import Store

MANIFEST = {
    "format": "josh-result", "version": 1, "mode": "fast", "tier": "embedded", "fps": 30.0, "num_frames": 10,
    "width": 64, "height": 64, "camera": "static", "people": [{"id": 0, "height_m": 1.7}],
    "contact_names": [], "body_model": "b", "scale_source": "contact",
}  # fmt: skip


class Bench:
    """Made-up work that tests hold up and watch."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.done: list[str] = []
        self.seen: set[str] = set()

    def __call__(self, job: Job, progress: Progress) -> None:
        with progress.stage(job.name):
            progress.update(0.5)
            assert self.go.wait(10)
            if job.name == "overlay.mp4":
                raise ClipError("The clip cannot be read.")
        self.seen = {p.relative_to(job.clip.parent).as_posix() for p in job.clip.parent.rglob("*") if p.is_file()}
        self.done.append(job.name)
        if job.name == "files":
            (job.out / "files" / "people").mkdir(parents=True)
            (job.out / "files" / "people" / "person_0.bvh").write_text("HIERARCHY")
        else:
            (job.out / job.name).write_bytes(b"made")


def write_bundle(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    (folder / "arrays.npz").write_bytes(b"arrays")
    (folder / "result.glb").write_bytes(b"glTF")


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def maker(store: Store, bench: Bench) -> Iterator[FilesOnDemand]:
    maker = FilesOnDemand(store, LocalRunner(bench), Rates(store.root / "rates.json"))
    yield maker
    maker.close()


@pytest.fixture
def run(store: Store) -> ShownRun:
    workspace = store.workspace()
    write_bundle(workspace / "fast")
    (workspace / "clip.mp4").write_bytes(b"clip")
    entry, _ = store.keep(workspace)
    return stored_run(entry.id, store.get(entry.id)[1], False)


def wait(maker: FilesOnDemand, shown: ShownRun, name: str) -> dict[str, Any]:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        state = maker.request(shown, "fast", name)
        if "url" in state:
            return state
        time.sleep(0.01)
    raise AssertionError(f"{name} was not made")


def test_a_file_is_made_once_and_stays(maker: FilesOnDemand, bench: Bench, run: ShownRun, store: Store) -> None:
    before = store.get(run.id)[0].size
    bench.go.clear()
    states = [maker.request(run, "fast", "everything.zip") for _ in range(3)]
    assert all(0 <= state["fraction"] <= 1 for state in states)
    assert run.file("fast", "everything.zip") is None
    bench.go.set()
    assert wait(maker, run, "everything.zip")["url"].endswith("/fast/everything.zip")
    assert bench.done == ["everything.zip"]
    assert bench.seen == {"clip.mp4", "manifest.json", "arrays.npz", "result.glb"}
    assert store.get(run.id)[0].size == before + len(b"made")
    time.sleep(0.05)
    assert list((store.root / "building").iterdir()) == []


def test_one_format_brings_all(maker: FilesOnDemand, bench: Bench, run: ShownRun) -> None:
    assert wait(maker, run, "files/people/person_0.bvh")["url"].endswith("person_0.bvh")
    assert bench.done == ["files"]


def test_a_file_that_fails_is_reported_once_and_tried_again(maker: FilesOnDemand, run: ShownRun) -> None:
    for _ in range(2):
        with pytest.raises(ClipError, match="cannot be read"):
            wait(maker, run, "overlay.mp4")
    assert run.file("fast", "overlay.mp4") is None


@pytest.mark.parametrize(
    "mode, name",
    [
        ("fast", "../entry.json"), ("fast", "entry.json"), ("refine", "result.glb"), ("..", "entry.json"),
        ("fast", "files/../../entry.json"), ("fast", "/etc/passwd"), ("fast", ""), ("fast", "files"),
    ],
)  # fmt: skip
def test_only_files_of_the_list(maker: FilesOnDemand, run: ShownRun, mode: str, name: str) -> None:
    with pytest.raises(ResultError, match="no such file"):
        maker.request(run, mode, name)


def test_a_split_video_is_offered_where_both_results_are(maker: FilesOnDemand, bench: Bench, store: Store) -> None:
    workspace = store.workspace()
    for mode in ("baseline", "refine"):
        write_bundle(workspace / mode)
    (workspace / "clip.mp4").write_bytes(b"clip")
    entry, _ = store.keep(workspace)
    both = stored_run(entry.id, store.get(entry.id)[1], False)
    with pytest.raises(ResultError, match="no such file"):
        maker.request(both, "baseline", "split.mp4")
    end = time.monotonic() + 10
    while "url" not in maker.request(both, "refine", "split.mp4"):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert {"baseline/manifest.json", "baseline/arrays.npz", "manifest.json", "clip.mp4"} <= bench.seen


def test_sharing_and_deleting_meanwhile(maker: FilesOnDemand, bench: Bench, run: ShownRun, store: Store) -> None:
    bench.go.clear()
    maker.request(run, "fast", "side_by_side.mp4")
    entry = store.share(run.id)
    moved = stored_run(entry.id, store.get(entry.id)[1], True)
    bench.go.set()
    assert f"/runs/{run.id}/" in wait(maker, moved, "side_by_side.mp4")["url"]
    bench.go.clear()
    maker.request(moved, "fast", "everything.zip")
    store._remove(store.get(run.id)[0])
    bench.go.set()
    end = time.monotonic() + 10
    while list((store.root / "building").iterdir()):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert not moved.folders["fast"].exists()


def test_an_example_stays_as_it_is(maker: FilesOnDemand, tmp_path: Path) -> None:
    root = tmp_path / "examples"
    write_bundle(root / "walk" / "result" / "fast")
    (root / "walk" / "clip.mp4").write_bytes(b"clip")
    (root / "index.json").write_text('{"walk": "A walk"}')
    before = sorted(root.rglob("*"))
    shown = examples(root, tmp_path / "made")["walk"]
    assert str(tmp_path / "made" / "walk" / "fast") in wait(maker, shown, "everything.zip")["url"]
    assert sorted(root.rglob("*")) == before


def test_too_many_requests_for_files_are_refused(maker: FilesOnDemand, bench: Bench, store: Store) -> None:
    bench.go.clear()
    refused = 0
    for _ in range(12):
        workspace = store.workspace()
        write_bundle(workspace / "fast")
        (workspace / "clip.mp4").write_bytes(b"clip")
        entry, _ = store.keep(workspace)
        try:
            maker.request(stored_run(entry.id, store.get(entry.id)[1], False), "fast", "everything.zip")
        except JoshError:
            refused += 1
    bench.go.set()
    assert refused >= 3
