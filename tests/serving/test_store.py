"""The store: ids, keys, sharing, expiry, quotas, deletion, restarts, mirrors, and hostile ids."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from josh_core.errors import ResultError
from josh_core.serving.mirror import FolderMirror, HubMirror
from josh_core.serving.store import Entry, Retention, Store

HOSTILE = [
    "", ".", "..", "../../etc/passwd", "..%2f..%2fetc", "a/b" * 8, "\0" * 20, "a" * 15 + "\0", "x" * 65, "é" * 20,
    "abcdefghijklmnop\n", "/absolute/path/of/it", "C:\\windows\\system", "....................", None, 7, ["x" * 20],
    {"id": "x" * 20}, b"abcdefghijklmnopqrst",
]  # fmt: skip


class Clock:
    """Time that tests move; starts where file times are."""

    def __init__(self) -> None:
        self.now = 2_000_000_000.0

    def __call__(self) -> float:
        return self.now


def build(store: Store, modes: tuple[str, ...] = ("baseline", "fast"), weight: int = 100) -> Path:
    workspace = store.workspace()
    for mode in modes:
        (workspace / mode).mkdir()
        (workspace / mode / "manifest.json").write_text("{}")
        (workspace / mode / "arrays.npz").write_bytes(b"x" * weight)
    return workspace


def keep(store: Store, key: str = "", weight: int = 100) -> tuple[Entry, str]:
    return store.keep(build(store, weight=weight), key)


def reopened(store: Store, **options: object) -> Store:
    store.close()
    return Store(store.root, **options)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror is asked again at once."""
    for name in ("_LIST_EVERY", "_RETRY_FETCH_AFTER"):
        monkeypatch.setattr(f"josh_core.serving.mirror_journal.{name}", 0.0)


def test_a_run_is_found_by_id_and_by_key(store: Store) -> None:
    entry, _ = keep(store, key="k1")
    again, folder = store.get(entry.id)
    assert again == entry and (folder / "fast" / "manifest.json").is_file()
    assert store.modes(entry) == ("baseline", "fast")
    found = store.find("k1", "fast")
    assert found is not None and found.id == entry.id
    assert store.find("k1", "refine") is None
    assert store.find("k2", "fast") is None
    keep(store)
    assert store.find("", "fast") is None


@pytest.mark.parametrize("bad", HOSTILE)
def test_hostile_ids_are_refused(store: Store, bad: object) -> None:
    keep(store)
    for action in (store.get, store.share, lambda x: store.delete(x, "key")):
        with pytest.raises(ResultError):
            action(bad)


def test_ids_are_long_random_and_the_folder_s_name(store: Store) -> None:
    ids = {keep(store)[0].id for _ in range(20)}
    assert len(ids) == 20 and all(len(i) >= 20 for i in ids)


def test_a_restart_keeps_shared_runs_only(store: Store) -> None:
    shared, _ = keep(store, key="5" * 64)
    unshared, _ = keep(store, key="0" * 64)
    half = build(store)
    store.share(shared.id)
    store = reopened(store)
    assert store.get(shared.id)[0].shared
    assert store.find("5" * 64, "fast") is not None and store.find("0" * 64, "fast") is None
    with pytest.raises(ResultError, match="expired"):
        store.get(unshared.id)
    assert not half.exists() and [f.name for f in (store.root / "runs").iterdir()] == [shared.id]


def test_a_crash_in_the_middle_of_a_write_leaves_no_half_result(store: Store) -> None:
    whole, _ = keep(store)
    store.share(whole.id)
    torn = store.root / "runs" / ("t" * 22)
    torn.mkdir()
    (store.root / "entries" / f"{torn.name}.json").write_text('{"id": "ttt')
    renamed = store.root / "runs" / ("r" * 22)
    shutil.copytree(store.root / "runs" / whole.id, renamed)
    store = reopened(store)
    assert store.get(whole.id)
    for name in (torn.name, renamed.name):
        with pytest.raises(ResultError):
            store.get(name)


def test_a_folder_without_a_result_is_not_kept(store: Store) -> None:
    with pytest.raises(ResultError):
        store.keep(store.workspace())
    assert not list((store.root / "runs").iterdir())


def test_one_program_at_a_time(store: Store) -> None:
    with pytest.raises(ResultError, match="JOSH_STORE"):
        Store(store.root)
    reopened(store)


def test_unshared_runs_expire_and_shared_ones_do_not(tmp_path: Path) -> None:
    clock = Clock()
    store = Store(tmp_path, Retention(hours=2), clock=clock)
    unshared, _ = keep(store, key="u")
    shared, _ = keep(store)
    store.share(shared.id)
    clock.now += 2 * 3600 + 1
    assert store.find("u", "fast") is None
    with pytest.raises(ResultError):
        store.get(unshared.id)
    assert store.prune() == [unshared.id]
    assert store.get(shared.id)
    assert not (tmp_path / "runs" / unshared.id).exists()


def test_shared_runs_may_have_a_limit_that_opening_renews(tmp_path: Path) -> None:
    clock = Clock()
    store = Store(tmp_path, Retention(shared_days=10), clock=clock)
    used, forgotten = keep(store)[0], keep(store)[0]
    for entry in (used, forgotten):
        store.share(entry.id)
        store.get(entry.id)
    clock.now += 8 * 86400
    store.get(used.id)
    clock.now += 8 * 86400
    assert store.prune() == [forgotten.id]


def test_least_recently_used_goes_first_and_shared_last(tmp_path: Path) -> None:
    clock = Clock()
    store = Store(tmp_path, Retention(max_bytes=3000), clock=clock)
    shared, old, young = (keep(store, weight=400)[0] for _ in range(3))
    store.share(shared.id)
    for entry in (shared, old, young, old):  # `old` is opened again, so `young` is the least recently used
        clock.now += 120
        store.get(entry.id)
    clock.now += 120
    newest, _ = keep(store, weight=400)  # 4 x ~800 bytes do not fit
    for entry in (shared, old, newest):
        assert store.get(entry.id)
    with pytest.raises(ResultError):
        store.get(young.id)
    big, _ = keep(store, weight=1000)
    assert store.get(shared.id) and store.get(big.id)
    with pytest.raises(ResultError):
        store.get(old.id)


def test_only_the_owner_deletes(store: Store) -> None:
    entry, delete_key = keep(store)
    store.share(entry.id)
    for wrong in ("", delete_key[:-1], entry.id, entry.delete_hash):
        with pytest.raises(ResultError, match="delete key"):
            store.delete(entry.id, wrong)
    assert delete_key not in (store.root / "entries" / f"{entry.id}.json").read_text()
    store.delete(entry.id, delete_key)
    with pytest.raises(ResultError):
        store.get(entry.id)
    assert not (store.root / "runs" / entry.id).exists()


def test_a_mounted_folder_brings_shared_runs_back(tmp_path: Path) -> None:
    mirror = FolderMirror(tmp_path / "bucket")
    store = Store(tmp_path / "runs", mirror=mirror)
    shared, delete_key = keep(store)
    unshared, _ = keep(store)
    (store.root / "runs" / shared.id / "evil.html").write_text("<script>")
    store.share(shared.id)
    mirror.background.wait()
    shutil.rmtree(store.root / "runs")
    store = reopened(store, mirror=mirror)
    entry, folder = store.get(shared.id)
    assert entry.shared and (folder / "fast" / "arrays.npz").read_bytes() == b"x" * 100
    assert not (folder / "evil.html").exists()
    with pytest.raises(ResultError):
        store.get(unshared.id)
    store.delete(shared.id, delete_key)
    mirror.background.wait()
    with pytest.raises(ResultError):
        store.get(shared.id)


class FakeHub:
    """huggingface_hub.HfApi as far as the mirror uses it, on a local folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.online, self.asked = root, True, 0

    def upload_folder(self, *, repo_id: str, repo_type: str, folder_path: str, path_in_repo: str, **_: str) -> None:
        assert (repo_id, repo_type) == ("someone/results", "dataset")
        shutil.copytree(folder_path, self.root / path_in_repo, dirs_exist_ok=True)

    def upload_file(self, *, path_or_fileobj: bytes, path_in_repo: str, **_: str) -> None:
        (self.root / path_in_repo).write_bytes(path_or_fileobj)

    def snapshot_download(self, *, repo_id: str, repo_type: str, allow_patterns: list[str], local_dir: str) -> None:
        from fnmatch import fnmatch

        if not self.online:
            raise OSError("offline")
        for file in self.root.rglob("*"):
            name = file.relative_to(self.root).as_posix()
            if file.is_file() and any(fnmatch(name, pattern) for pattern in allow_patterns):
                target = Path(local_dir) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)

    def list_repo_tree(
        self, repo_id: str, path_in_repo: str, *, recursive: bool = False, repo_type: str
    ) -> Iterator[object]:
        assert (repo_id, repo_type) == ("someone/results", "dataset")
        self.asked += 1
        if not self.online:
            raise OSError("offline")
        for file in (self.root / path_in_repo).glob("**/*" if recursive else "*"):
            path = file.relative_to(self.root).as_posix()
            yield SimpleNamespace(path=path, size=file.stat().st_size) if file.is_file() else SimpleNamespace(path=path)

    def delete_folder(self, *, path_in_repo: str, repo_id: str, repo_type: str, **_: str) -> None:
        shutil.rmtree(self.root / path_in_repo)


def left_in(mirror: FolderMirror | HubMirror, tmp_path: Path) -> tuple[Store, Entry, str]:
    """A store whose one shared run is in the mirror only, the run, and its delete key."""
    store = Store(tmp_path / "runs", mirror=mirror)
    entry, delete_key = keep(store)
    store.share(entry.id)
    mirror.background.wait()
    shutil.rmtree(store.root / "runs")
    return store, entry, delete_key


@pytest.mark.usefixtures("impatient")
def test_a_hub_dataset_brings_shared_runs_back(tmp_path: Path) -> None:
    hub = FakeHub(tmp_path / "hub")
    mirror = HubMirror("someone/results", api=hub)
    store, entry, delete_key = left_in(mirror, tmp_path)
    store = reopened(store, mirror=mirror)
    hub.online = False
    with pytest.raises(ResultError, match="does not exist"):
        store.get(entry.id)
    hub.online = True
    assert store.modes(store.get(entry.id)[0]) == ("baseline", "fast")
    assert not (store.root / "runs" / entry.id / "download").exists()
    store.delete(entry.id, delete_key)
    mirror.background.wait()
    assert not list((tmp_path / "hub" / "runs").iterdir())


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["folder", "hub"])
@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 150), ("MAX_FILES", 2)])
def test_a_mirror_cannot_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, limit: str, value: int
) -> None:
    bucket = tmp_path / "bucket"
    mirror = FolderMirror(bucket) if kind == "folder" else HubMirror("someone/results", api=FakeHub(bucket))
    store, entry, _ = left_in(mirror, tmp_path)
    store = reopened(store, mirror=mirror)
    with monkeypatch.context() as patch:
        patch.setattr(f"josh_core.serving.mirror.{limit}", value)
        with pytest.raises(ResultError, match="does not exist"):
            store.get(entry.id)
    assert not list((store.root / "building").iterdir())
    assert store.get(entry.id)


def test_a_mirror_whose_disk_fails_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bucket" / "runs" / ("m" * 22)).mkdir(parents=True)

    def fails(*_: object) -> bool:
        raise OSError(5, "Input/output error")

    for step in ("pull", "ids"):
        store = Store(tmp_path / step, mirror=FolderMirror(tmp_path / "bucket"))
        monkeypatch.setattr(FolderMirror, step, fails)
        with pytest.raises(ResultError, match="does not exist"):
            store.get("m" * 22)


def test_links_in_a_mirror_lead_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("secret")
    mirror = FolderMirror(tmp_path / "bucket")
    store = Store(tmp_path / "runs", mirror=mirror)
    entry, _ = keep(store)
    store.share(entry.id)
    mirror.background.wait()
    there = tmp_path / "bucket" / "runs" / entry.id
    os.symlink(secret / "key.txt", there / "fast" / "key.txt")
    os.symlink(secret, there / "files")
    (secret / "entry.json").write_bytes((there / "entry.json").read_bytes())
    os.symlink(secret, there.with_name("l" * 22))
    shutil.rmtree(store.root / "runs")
    store = reopened(store, mirror=mirror)
    _, folder = store.get(entry.id)
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {"manifest.json", "arrays.npz"}
    with pytest.raises(ResultError):
        store.get("l" * 22)
    assert not list(store.root.rglob("key.txt"))
    store.close()


def test_made_up_ids_ask_the_mirror_for_nothing(tmp_path: Path) -> None:
    hub = FakeHub(tmp_path / "hub")
    mirror = HubMirror("someone/results", api=hub)
    store, entry, _ = left_in(mirror, tmp_path)
    store = reopened(store, mirror=mirror)
    for k in range(300):
        with pytest.raises(ResultError, match="does not exist"):
            store.get(f"{k:022d}")
    assert hub.asked == 1 and not list((store.root / "building").iterdir())
    assert store.get(entry.id)[0].shared  # what is there is found all the same
    (tmp_path / "hub" / "runs" / ("b" * 22)).mkdir()  # one that cannot be used is not fetched again and again
    for hours in (1, 0):
        store._mirror._listed -= 3600 * hours
        asked = hub.asked
        for _ in range(20):
            with pytest.raises(ResultError, match="does not exist"):
                store.get("b" * 22)
        assert hub.asked - asked == 2 * hours  # a list of all, and one of its files
    store.close()


def test_a_run_is_fetched_once_and_nobody_waits_for_another_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = FolderMirror(tmp_path / "bucket")
    store, entry, _ = left_in(mirror, tmp_path)
    store = reopened(store, mirror=mirror)
    begun, go_on, pull = threading.Event(), threading.Event(), FolderMirror.pull

    def slow(*said: Any) -> bool:
        begun.set()
        return go_on.wait(20) and pull(*said)

    monkeypatch.setattr(FolderMirror, "pull", slow)
    with ThreadPoolExecutor(1) as pool:
        fetched = pool.submit(store.get, entry.id)
        assert begun.wait(20)
        with pytest.raises(ResultError, match="in a moment"):
            store.get(entry.id)
        with pytest.raises(ResultError, match="does not exist"):
            store.get("x" * 22)
        go_on.set()
        assert fetched.result()[0].id == entry.id == store.get(entry.id)[0].id
    store.close()


def test_a_failing_mirror_does_not_disturb_sharing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("josh_core.serving.mirror._RETRY_AFTER", (0.0,))
    mirror = HubMirror("someone/results", api=object())
    store = Store(tmp_path, mirror=mirror)
    entry, _ = keep(store)
    store.share(entry.id)
    mirror.background.wait()
    assert store.get(entry.id)[0].shared


def test_entries_survive_foreign_fields_and_links_out(store: Store, tmp_path: Path) -> None:
    entry, _ = keep(store)
    store.share(entry.id)
    outside = tmp_path / "outside"
    shutil.copytree(store.root / "runs" / entry.id, outside)
    name = "l" * 22
    data = json.loads((store.root / "entries" / f"{entry.id}.json").read_text())
    (store.root / "entries" / f"{name}.json").write_text(json.dumps(data | {"id": name}))
    (store.root / "entries" / f"{entry.id}.json").write_text(json.dumps(data | {"foreign": 1}))
    os.symlink(outside, store.root / "runs" / name)
    store = reopened(store)
    assert store.get(entry.id)[0] == store.share(entry.id)
    with pytest.raises(ResultError):
        store.get(name)
    assert outside.is_dir()


def test_sharing_moves_nothing(store: Store) -> None:
    entry, _ = keep(store)
    before = store.get(entry.id)[1]
    store.share(entry.id)
    assert store.get(entry.id)[1] == before and (before / "fast" / "manifest.json").is_file()
    assert not list(before.glob("*.json"))  # key and delete hash are not among the files that are served


def test_a_copy_has_an_owner_of_its_own(store: Store) -> None:
    entry, key = keep(store, key="a" * 64)
    copy, own_key = store.copy(entry.id)
    assert copy.id != entry.id and own_key != key and copy.key == entry.key
    assert not store.owns(copy.id, key) and store.owns(copy.id, own_key)
    store.delete(entry.id, key)
    assert store.modes(store.get(copy.id)[0]) == ("baseline", "fast")


BROKEN = [
    "[" * 200_000, "[]", "3", "null", "", "{", "\xff", '{"id": 5}', '"text"',
    '{"size": "many"}', '{"created": null}', '{"created": 1e999}', '{"shared": 1}', '{"delete_hash": "x"}',
    '{"key": 7}', '{"size": -5}',
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_entry_is_set_aside_and_nothing_stops(store: Store, text: str) -> None:
    whole, broken = keep(store)[0], keep(store)[0]
    for entry in (whole, broken):
        store.share(entry.id)
    path = store.root / "entries" / f"{broken.id}.json"
    with suppress(ValueError, TypeError, RecursionError):  # one field wrong in an entry that is right otherwise
        text = json.dumps(json.loads(path.read_text()) | json.loads(text))
    path.write_text(text)
    store = reopened(store)
    assert store.get(whole.id) and store.prune() == []
    with pytest.raises(ResultError):
        store.get(broken.id)
    assert (store.root / "broken" / path.name).is_file() and (store.root / "broken" / broken.id).is_dir()


def test_runs_of_earlier_versions_are_taken_over(store: Store) -> None:
    entry, delete_key = keep(store, key="a" * 64)
    store.share(entry.id)
    old = store.root / "shared" / entry.id
    old.parent.mkdir()
    os.rename(store.root / "runs" / entry.id, old)
    os.rename(store.root / "entries" / f"{entry.id}.json", old / "entry.json")
    store = reopened(store)
    assert store.get(entry.id)[1] == store.root / "runs" / entry.id and store.owns(entry.id, delete_key)
    assert store.find("a" * 64, "fast") is not None and not (store.root / "shared").exists()


@pytest.mark.parametrize("text", ["[]", "{}", "[" * 100_000])
def test_a_broken_entry_of_the_mirror_is_no_run(tmp_path: Path, text: str) -> None:
    mirror = FolderMirror(tmp_path / "bucket")
    folder = tmp_path / "bucket" / "runs" / ("m" * 22)
    (folder / "fast").mkdir(parents=True)
    (folder / "fast" / "manifest.json").write_text("{}")
    (folder / "entry.json").write_text(text)
    store = Store(tmp_path / "store", mirror=mirror)
    with pytest.raises(ResultError, match="does not exist"):
        store.get(folder.name)
    assert not list((tmp_path / "store" / "building").iterdir())


def test_a_clock_set_back_changes_nothing(tmp_path: Path) -> None:
    clock = Clock()
    store = Store(tmp_path, Retention(hours=2, shared_days=1), clock=clock)
    entry, _ = keep(store)
    store.share(entry.id)
    clock.now -= 400 * 86400
    assert store.get(entry.id) and store.prune() == []
    newer, _ = keep(store)
    assert store.get(newer.id)


class Unreachable:
    """A hub that cannot be reached."""


def test_what_is_deleted_does_not_come_back_from_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("josh_core.serving.mirror._RETRY_AFTER", ())
    hub = FakeHub(tmp_path / "hub")
    store = Store(tmp_path / "runs", mirror=HubMirror("someone/results", api=hub))
    entry, delete_key = keep(store)
    store.share(entry.id)
    there = HubMirror("someone/results", api=hub)
    store._mirror._mirror.background.wait()  # type: ignore[union-attr]
    store = reopened(store, mirror=(away := HubMirror("someone/results", api=Unreachable())))
    store.delete(entry.id, delete_key)
    away.background.wait()
    store = reopened(store, mirror=there)  # it can be reached again, and is told
    with pytest.raises(ResultError, match="does not exist"):
        store.get(entry.id)
    there.background.wait()
    assert not list((tmp_path / "hub" / "runs").iterdir())
    assert not list((store.root / "owed").iterdir())
    store.close()


def test_runs_shared_while_the_mirror_is_away_are_copied_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("josh_core.serving.mirror._RETRY_AFTER", ())
    away = HubMirror("someone/results", api=Unreachable())
    store = Store(tmp_path / "runs", mirror=away)
    entry, _ = keep(store)
    gone, key = keep(store)
    store.share(entry.id)
    store.share(gone.id)
    store.delete(gone.id, key)
    away.background.wait()
    bucket = FolderMirror(tmp_path / "bucket")
    store = reopened(store, mirror=bucket)
    bucket.background.wait()
    assert [folder.name for folder in (tmp_path / "bucket" / "runs").iterdir()] == [entry.id]
    assert not list((store.root / "owed").iterdir())
    store.close()


def test_a_full_disk_does_not_break_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bucket" / "runs" / ("m" * 22)).mkdir(parents=True)
    store = Store(tmp_path / "runs", mirror=FolderMirror(tmp_path / "bucket"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(ResultError, match="does not exist"):
        store.get("m" * 22)
    monkeypatch.undo()
    store.close()


def test_a_failed_delete_is_reported(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, delete_key = keep(store)

    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", read_only)
        with pytest.raises(OSError, match="Read-only"):
            store.delete(entry.id, delete_key)
        store.limits = Retention(hours=-1)
        store.prune()  # what has expired cannot go either, and nothing stops
        store.limits = Retention()
        assert store.get(entry.id)
    store.delete(entry.id, delete_key)
    with pytest.raises(ResultError):
        store.get(entry.id)
    assert not (store.root / "runs" / entry.id).exists()
