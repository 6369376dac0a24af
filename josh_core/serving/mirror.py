"""Remote copies of shared runs, so that links survive a restart: in a Hub dataset, or in a mounted folder.

`push` and `remove` return at once and are done by a background thread; a failure is logged and does not affect the
visitor, whose link works from the local disk. `pull` is synchronous.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from josh_core.export.stored_json import clear_unfinished, write_json

# Types of the files that a run consists of; no other file is taken from a mirror, which others may write to.
SUFFIXES = set(".json .npz .glb .mp4 .bvh .trc .chan .usdz .ply .csv .txt .zip .py .jpg .md".split())
ENTRY = "entry.json"  # the store's metadata of a run, written after all its other files
# Chosen by hand, except where a measurement or a source is given.
MAX_FILES, MAX_BYTES = 5_000, 2 << 30  # of one run; a minute with 30 people, with all its files, has about 500 and 1 GB
_RETRY_AFTER = (5.0, 30.0)  # s, chosen by hand
_RETRY_FAILED_EVERY = 600.0  # s, for as long as the program runs; chosen by hand
_log = logging.getLogger(__name__)

Done = Callable[[], None]  # called once an operation has succeeded


class Mirror(Protocol):
    """A place to which shared runs are copied and from which they are fetched, by id."""

    def push(self, run_id: str, folder: Path, entry: Mapping[str, Any], done: Done) -> None:
        """Copy a run's folder and entry to the mirror in the background; then call `done`."""

    def pull(self, run_id: str, into: Path) -> bool:
        """Copy a run's files and its entry (ENTRY) into an empty folder.

        False if the mirror does not have the run. Raises ValueError if it is too large, OSError of the disks.
        """

    def remove(self, run_id: str, done: Done) -> None:
        """Remove a run from the mirror in the background, if it is there; then call `done`."""

    def ids(self) -> set[str]:
        """The ids of all runs that are there now. Any failure to tell is raised."""


_Operation = tuple[str, Callable[[], object], Done]


class _BackgroundTasks:
    """One background thread that runs operations in order, logs failures and repeats failed ones until they succeed."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Operation] = SimpleQueue()
        self._failed: deque[_Operation] = deque()
        threading.Thread(target=self._work, daemon=True, name="mirror").start()

    def add(self, what: str, action: Callable[[], object], done: Done = lambda: None) -> None:
        self._queue.put((what, action, done))

    def wait(self) -> None:
        """Wait until everything added so far is done, or has failed for now."""
        done = threading.Event()
        self.add("wait", done.set)
        done.wait()

    def _work(self) -> None:
        while True:
            try:
                operation = self._queue.get(timeout=_RETRY_FAILED_EVERY if self._failed else None)
            except Empty:
                for _ in range(len(self._failed)):  # each once, in order: one that can never succeed holds nothing up
                    if not self._do(self._failed[0], ()):
                        self._failed.append(self._failed[0])
                    self._failed.popleft()
                continue
            if not self._do(operation, _RETRY_AFTER):
                self._failed.append(operation)

    @staticmethod
    def _do(operation: _Operation, pauses: tuple[float, ...]) -> bool:
        what, action, done = operation
        for pause in (*pauses, None):
            try:
                action()
                done()
                return True
            except Exception as error:  # any failure of a remote service; the local copy goes on serving
                _log.warning("%s failed: %s", what, error)
                if pause is not None:
                    time.sleep(pause)
        return False


class FolderMirror:
    """A mounted bucket or disk: runs/<id>/ under `root`."""

    def __init__(self, root: Path) -> None:
        self._runs = Path(root) / "runs"
        self.background = _BackgroundTasks()

    def push(self, run_id: str, folder: Path, entry: Mapping[str, Any], done: Done) -> None:
        """Copy in the background; the entry is written last, so that a run with an entry is complete."""

        def copy() -> None:
            if not folder.is_dir():  # deleted meanwhile
                return
            self._copy(folder, self._runs / run_id)
            clear_unfinished(self._runs / run_id)
            write_json(self._runs / run_id / ENTRY, dict(entry))

        self.background.add("copying a shared run", copy, done)

    def pull(self, run_id: str, into: Path) -> bool:
        """Copy the run's files into `into`."""
        source = self._runs / run_id
        if not (source / ENTRY).is_file():
            return False
        self._copy(source, into)
        return True

    def remove(self, run_id: str, done: Done) -> None:
        """Remove in the background."""

        def remove() -> None:
            with suppress(FileNotFoundError):
                shutil.rmtree(self._runs / run_id)

        self.background.add("removing a shared run", remove, done)

    def ids(self) -> set[str]:
        """Names of the folders there."""
        try:
            return {folder.name for folder in self._runs.iterdir()}
        except FileNotFoundError:  # nothing was shared yet
            return set()

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        files = [f for f in source.rglob("*") if f.is_file() and not f.is_symlink() and f.suffix in SUFFIXES]
        _check_size([f.stat().st_size for f in files])
        for file in files:
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            # A run may be copied again when it has grown: what is there already stays whole if that is cut off.
            shutil.copyfile(file, fresh := place.with_name(f".{place.name}.tmp"))
            os.replace(fresh, place)


def _check_size(sizes: list[int]) -> None:
    """Raises ValueError if there are more files, or more bytes, than a run can have."""
    if len(sizes) > MAX_FILES or sum(sizes) > MAX_BYTES:
        raise ValueError("more files, or larger ones, than a run has")


class HubMirror:
    """A dataset on the Hub: runs/<id>/ in it. The token comes from the environment, as huggingface_hub reads it."""

    def __init__(self, repo_id: str, api: Any = None) -> None:
        self._repo = repo_id
        self._given_api = api
        self.background = _BackgroundTasks()

    @property
    def _api(self) -> Any:
        if self._given_api is None:
            from huggingface_hub import HfApi

            self._given_api = HfApi()
        return self._given_api

    def push(self, run_id: str, folder: Path, entry: Mapping[str, Any], done: Done) -> None:
        """Upload in the background, the files as one commit and then the entry."""
        encoded = json.dumps(entry).encode()
        self.background.add("uploading a shared run", lambda: self._upload(run_id, folder, encoded), done)

    def _upload(self, run_id: str, folder: Path, entry: bytes) -> None:
        if not folder.is_dir():  # deleted meanwhile
            return
        self._api.upload_folder(
            repo_id=self._repo,
            repo_type="dataset",
            folder_path=str(folder),
            path_in_repo=f"runs/{run_id}",
            commit_message="Share a result",
        )
        self._api.upload_file(
            repo_id=self._repo,
            repo_type="dataset",
            path_or_fileobj=entry,
            path_in_repo=f"runs/{run_id}/{ENTRY}",
            commit_message="Share a result: entry",
        )

    def pull(self, run_id: str, into: Path) -> bool:
        """Download the run's files into `into`; False also when the Hub cannot be reached, which is logged."""
        patterns = [f"runs/{run_id}/**{suffix}" for suffix in sorted(SUFFIXES)]
        try:
            listed = self._api.list_repo_tree(self._repo, f"runs/{run_id}", recursive=True, repo_type="dataset")
            _check_size([getattr(item, "size", 0) for item in itertools.islice(listed, MAX_FILES + 1)])
            self._api.snapshot_download(
                repo_id=self._repo, repo_type="dataset", allow_patterns=patterns, local_dir=str(into / "download")
            )
        except Exception as error:  # offline, gone, no access: the visitor is told that the result is not there
            _log.warning("fetching a shared run failed: %s", error)
            return False
        source = into / "download" / "runs" / run_id
        found = (source / ENTRY).is_file()
        if found:
            FolderMirror._copy(source, into)
        shutil.rmtree(into / "download", ignore_errors=True)
        return found

    def remove(self, run_id: str, done: Done) -> None:
        """Delete in the background."""
        self.background.add("deleting a shared run", lambda: self._delete(run_id), done)

    def ids(self) -> set[str]:
        """Names of the folders there: one request for each thousand of them."""
        from huggingface_hub.errors import EntryNotFoundError

        try:
            listed = self._api.list_repo_tree(self._repo, "runs", repo_type="dataset")
            return {item.path.removeprefix("runs/") for item in listed}
        except EntryNotFoundError:  # nothing was shared yet
            return set()

    def _delete(self, run_id: str) -> None:
        from huggingface_hub.errors import EntryNotFoundError

        with suppress(EntryNotFoundError):
            self._api.delete_folder(
                path_in_repo=f"runs/{run_id}",
                repo_id=self._repo,
                repo_type="dataset",
                commit_message="Delete a result",
            )
