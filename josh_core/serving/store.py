"""The store of results: keep, find by id or key, share, expire, delete.

A run is a folder `runs/<id>/`: one bundle folder per mode and files beside them. Its address never changes; whether it
is shared is recorded in its entry (entries.py). `building/` holds unfinished runs, `broken/` unreadable files. Every
step is a rename or the replacement of one small file, so a crash leaves nothing half done. Opening a store removes runs
that were not shared (recovery.py). A run is protected only by its random id, and no path comes from a client.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import filelock

from josh_core.errors import ResultError
from josh_core.export.bundle import new_id
from josh_core.export.stored_json import read_json
from josh_core.serving.disk import discard_path, link_tree, move, size_of
from josh_core.serving.entries import ID, Entries, Entry
from josh_core.serving.mirror import ENTRY, Mirror
from josh_core.serving.mirror_journal import MirrorJournal
from josh_core.serving.recovery import recovered
from josh_core.settings import MODES

_USE_INTERVAL = 60.0  # s, a use is recorded at most this often; chosen by hand
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retention:
    """How long and how much is kept. Unshared runs are also removed at the next start."""

    hours: float = 24.0  # h, an unshared run
    shared_days: float = 0.0  # days since a shared run was last opened; 0 keeps it as long as there is room
    max_bytes: int = 5 * 2**30  # of all runs together; the least recently used are removed first, shared ones last


class Store:
    """All runs under one root folder. One process opens a root at a time; its threads may share the object."""

    def __init__(
        self,
        root: Path,
        limits: Retention | None = None,
        mirror: Mirror | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open `root`, made if missing. Raises ResultError if it cannot be written or another process has it open."""
        self.root = Path(root).resolve()
        self.limits = limits or Retention()
        self._clock = clock
        self._lock = threading.RLock()
        self._runs = self.root / "runs"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._held = self._acquire()
            self._entries = Entries(self.root / "entries", self.root / "broken")
            self._index = recovered(self.root, self._entries)
            self._mirror = MirrorJournal(mirror, self.root / "owed")
        except OSError as error:
            raise ResultError(
                f"The results folder {self.root} cannot be used ({error.strerror}); make it writable or set "
                "JOSH_STORE to another folder."
            ) from None
        self._mirror.resume((entry, self._runs / entry.id) for entry in self._index.values())

    def _acquire(self) -> filelock.BaseFileLock:
        """The lock of the root. Raises ResultError if another process has it."""
        hold = filelock.FileLock(self.root / "lock", mode=0o600)
        try:
            hold.acquire(blocking=False)
        except (filelock.Timeout, RuntimeError):
            raise ResultError(
                f"Another program uses the results folder {self.root}; stop it or set JOSH_STORE to another folder."
            ) from None
        return hold

    def close(self) -> None:
        """Release the root for another process."""
        self._held.release()

    # ---- a new run -----------------------------------------------------------------------------------------------

    def workspace(self) -> Path:
        """A new empty folder to build a run in; `keep` or `discard` it. Raises OSError of the disk."""
        folder = self.root / "building" / secrets.token_hex(12)
        folder.mkdir()
        return folder

    def discard(self, workspace: Path) -> None:
        """Remove a folder of `workspace`."""
        if workspace.parent == self.root / "building":
            discard_path(workspace)

    def keep(self, workspace: Path, key: str = "") -> tuple[Entry, str]:
        """Make a finished workspace a run. Returns its entry and the delete key, which is not stored.

        Raises ResultError if it holds no result.
        """
        if not _modes(workspace):
            raise ResultError("The run holds no result; run the clip again.")
        delete_key = secrets.token_urlsafe(16)
        entry = Entry(new_id(), key, self._clock(), False, _digest(delete_key), size_of(workspace))
        with self._lock:
            os.rename(workspace, self._runs / entry.id)
            self._index[entry.id] = entry
            self._write_entry(entry)
        self.prune()
        return entry, delete_key

    def copy(self, run_id: object) -> tuple[Entry, str]:
        """A copy of a run with its own id and delete key, for a visitor who did not make it."""
        entry, folder = self.get(run_id)
        workspace = self.workspace()
        try:
            link_tree(folder, workspace)
            return self.keep(workspace, entry.key)
        finally:
            self.discard(workspace)

    # ---- finding -------------------------------------------------------------------------------------------------

    def get(self, run_id: object) -> tuple[Entry, Path]:
        """Entry and folder of a run. Raises ResultError for an invalid id, or if there is no such run any more."""
        entry = self._index.get(_valid_id(run_id)) or self._fetch(str(run_id))
        if entry is None or self._expired(entry):
            raise ResultError("This result does not exist or has expired; run the clip again or open an example.")
        if abs(self._clock() - self._entries.used(entry.id)) > _USE_INTERVAL:
            self._entries.note_use(entry.id, self._clock())
        return entry, self._runs / entry.id

    def find(self, key: str, mode: str) -> Entry | None:
        """The newest run with this content key that holds `mode`, or None."""
        with self._lock:
            hits = [e for e in self._index.values() if key and e.key == key and not self._expired(e)]
        hits = [e for e in hits if mode in self.modes(e)]
        return max(hits, key=lambda e: e.created, default=None)

    def modes(self, entry: Entry) -> tuple[str, ...]:
        """The modes a run holds, in the order baseline, fast, refine."""
        return _modes(self._runs / entry.id)

    def add(self, run_id: object, workspace: Path, place: str) -> None:
        """Move the content of a workspace into the folder `place` of a run. Raises ResultError if the run is gone."""
        with self._lock:
            entry, folder = self.get(run_id)
            entry = replace(entry, size=entry.size + size_of(workspace))
            move(workspace, folder / place)
            self._index[entry.id] = entry
            self._write_entry(entry)
        self.prune()

    # ---- sharing, deleting, expiring -----------------------------------------------------------------------------

    def share(self, run_id: object) -> Entry:
        """Keep a run after the program ends, and copy it to the mirror. Raises ResultError, or OSError of the disk."""
        with self._lock:
            entry, folder = self.get(run_id)
            if entry.shared:
                return entry
            entry = replace(entry, shared=True)
            self._entries.write(entry, self._clock())
            self._index[entry.id] = entry
        self._mirror.push(entry, folder)
        return entry

    def mirror_again(self, run_id: str) -> None:
        """Copy a run to the mirror again that has grown since it was shared; does nothing if it is gone."""
        with self._lock:
            entry = self._index.get(run_id)
        if entry is not None and entry.shared:
            self._mirror.push(entry, self._runs / entry.id)

    def owns(self, run_id: object, delete_key: str) -> bool:
        """Whether `delete_key` is that of the run's owner. Raises ResultError if there is no such run."""
        entry, _ = self.get(run_id)
        return secrets.compare_digest(_digest(str(delete_key)), entry.delete_hash)

    def delete(self, run_id: object, delete_key: str) -> None:
        """Remove a run here and from the mirror. Raises ResultError for another delete key, OSError of the disk."""
        entry, _ = self.get(run_id)
        if not self.owns(run_id, delete_key):
            raise ResultError("This delete key does not belong to this result; use the one shown when it was made.")
        if entry.shared:
            self._mirror.remove(entry.id)
        self._remove(entry)

    def prune(self, others: int = 0) -> list[str]:
        """Remove expired runs, then runs over `max_bytes`: least recently used first, shared last. Returns their ids.

        others: bytes of `max_bytes` that are used by other things than runs.
        """
        with self._lock:
            gone = [e for e in self._index.values() if self._expired(e)]
            left = [e for e in self._index.values() if e not in gone]
            total = others + sum(e.size for e in left)
            for entry in sorted(left, key=lambda e: (e.shared, self._entries.used(e.id))):
                if total <= self.limits.max_bytes:
                    break
                gone.append(entry)
                total -= entry.size
            for entry in gone:
                try:
                    self._remove(entry)
                except OSError as error:  # it is tried again next time
                    _log.warning("a run cannot be removed: %s", error.strerror)
        return [entry.id for entry in gone]

    def _expired(self, entry: Entry) -> bool:
        if not entry.shared:
            return self._clock() - entry.created > self.limits.hours * 3600
        days = self.limits.shared_days
        return days > 0 and self._clock() - self._entries.used(entry.id) > days * 86400

    def _remove(self, entry: Entry) -> None:
        """Remove a run in one step, then its files. Raises OSError of the disk; then the run is still there."""
        with self._lock:
            if entry.id not in self._index:
                return
            trash = self.root / "building" / f"trash-{secrets.token_hex(12)}"
            with suppress(FileNotFoundError):
                os.rename(self._runs / entry.id, trash)
            del self._index[entry.id]
            self._entries.remove(entry.id)
        discard_path(trash)

    # ---- details -------------------------------------------------------------------------------------------------

    def _write_entry(self, entry: Entry) -> None:
        """Write an entry. Raises OSError for a shared run only: others are not needed after the program ends."""
        try:
            self._entries.write(entry, self._clock())
        except OSError as error:
            if entry.shared:
                raise
            _log.warning("the entry of a run cannot be written: %s", error.strerror)

    def _fetch(self, run_id: str) -> Entry | None:
        """Fetch a shared run from the mirror; None if it has no complete run of that id. Raises ResultError."""
        workspace = self.root / "building" / secrets.token_hex(12)
        try:
            with self._mirror.fetching(run_id) as there:
                if not there or run_id in self._index:  # another thread has just fetched it
                    return self._index.get(run_id)
                workspace.mkdir()
                return self._adopt(run_id, workspace) if self._mirror.pull(run_id, workspace) else None
        except (ValueError, OSError) as reason:  # OSError: the mirror's mount has gone, or the disk here is full
            _log.warning("a run of the mirror cannot be used: %s", reason)
            return None
        finally:
            self.discard(workspace)

    def _adopt(self, run_id: str, workspace: Path) -> Entry | None:
        """Turn what was fetched into a run. Raises ValueError if it is not a run of that id, OSError of the disk."""
        entry = replace(Entry.of(read_json(workspace / ENTRY)), shared=True, size=size_of(workspace))
        (workspace / ENTRY).unlink()
        if entry.id != run_id or not _modes(workspace):
            raise ValueError("another run, or an empty one")
        with self._lock:
            if self._mirror.is_removed(run_id):  # deleted while it was fetched
                return None
            if run_id not in self._index:
                self._entries.write(entry, self._clock())
                os.rename(workspace, self._runs / run_id)
                self._index[run_id] = entry
            return self._index[run_id]


def _valid_id(run_id: object) -> str:
    if not isinstance(run_id, str) or not ID.fullmatch(run_id):
        raise ResultError("This is not the id of a result; please check the link.")
    return run_id


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _modes(folder: Path) -> tuple[str, ...]:
    return tuple(mode for mode in MODES if (folder / mode / "manifest.json").is_file())
