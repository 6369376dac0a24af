"""Results by id and by key: keep, find, share, expire, delete, and bring back after a restart.

A run is a folder `runs/<id>/`: one bundle folder per mode and files beside them. Its address never changes; that it is
shared is a mark in its entry (entries.py). `building/` holds what is not whole yet, `broken/` what cannot be read.
Every step is a rename or the replacement of one small file, so a crash leaves nothing half done. Opening a store
removes what was not shared. The id is the only protection of a run: it is random, and no path comes from a client.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import filelock

from josh_core.errors import ResultError
from josh_core.export.bundle import new_id
from josh_core.serving.disk import link_tree, move, size_of
from josh_core.serving.entries import ID, Entries, Entry, set_aside
from josh_core.serving.mirror import ENTRY, Mirror
from josh_core.serving.second_home import SecondHome
from josh_core.settings import MODES
from josh_core.stored_json import clear_unfinished, read_json

_USED_STEP = 60.0  # s between two notes of "used now"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retention:
    """How long and how much is kept. An unshared run also ends with the program."""

    hours: float = 24.0  # h, an unshared run
    shared_days: float = 0.0  # days since a shared run was last opened; 0 keeps it as long as there is room
    max_bytes: int = 5 * 2**30  # of all runs together; the least recently used go first, shared ones last


class Store:
    """All runs under one root folder. One process opens a root at a time; its threads may share the object."""

    def __init__(
        self,
        root: Path,
        limits: Retention | None = None,
        mirror: Mirror | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open `root`, made if need be. Raises ResultError when it cannot be written or another process has it open."""
        self.root = Path(root).resolve()
        self.limits = limits or Retention()
        self._clock = clock
        self._lock = threading.RLock()
        self._index: dict[str, Entry] = {}
        self._runs, self._broken = self.root / "runs", self.root / "broken"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._hold = self._take_hold()
            self._recall()
            self._mirror = SecondHome(mirror, self.root / "owed")
        except OSError as error:
            raise ResultError(
                f"The results folder {self.root} cannot be used ({error.strerror}); make it writable or set "
                "JOSH_STORE to another folder."
            ) from None
        self._mirror.resume((entry, self._runs / entry.id) for entry in self._index.values())

    def _take_hold(self) -> filelock.BaseFileLock:
        hold = filelock.FileLock(self.root / "lock", mode=0o600)
        try:
            hold.acquire(blocking=False)
        except (filelock.Timeout, RuntimeError):
            raise ResultError(
                f"Another program uses the results folder {self.root}; stop it or set JOSH_STORE to another folder."
            ) from None
        return hold

    def _recall(self) -> None:
        """Take up what an earlier program left: shared runs stay, everything else goes."""
        for name in ("building", "temporary"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        for name in ("building", "runs"):
            (self.root / name).mkdir(exist_ok=True)
        self._entries = Entries(self.root / "entries", self._broken)
        for folder in (self.root, self.root / "entries"):
            clear_unfinished(folder)
        self._take_over()
        kept = {entry.id: entry for entry in self._entries.read_all() if entry.shared}
        for folder in self._runs.iterdir():
            if folder.name in kept and not folder.is_symlink():
                self._index[folder.name] = kept[folder.name]
                (folder / ENTRY).unlink(missing_ok=True)  # of a take-over that was cut off
            elif (self._broken / f"{folder.name}.json").exists():
                set_aside(folder, self._broken, "its entry cannot be read")
            else:
                _discard(folder)
        for entry in list(self._entries.read_all()):
            if entry.id not in self._index:
                self._entries.remove(entry.id)

    def _take_over(self) -> None:
        """Runs of earlier versions, which stood in shared/ with their entry among their files."""
        shared = self.root / "shared"
        for folder in shared.iterdir() if shared.is_dir() else ():
            try:
                entry = Entry.of(read_json(folder / ENTRY))
                if entry.id != folder.name or folder.is_symlink() or (self._runs / entry.id).exists():
                    raise ValueError("not a run of that name")
            except ValueError as reason:
                set_aside(folder, self._broken, str(reason))
                continue
            used = (folder / ENTRY).stat().st_mtime
            self._entries.write(replace(entry, shared=True), used)
            os.rename(folder, self._runs / entry.id)
            (self._runs / entry.id / ENTRY).unlink()
        if shared.is_dir():
            _discard(shared)

    def close(self) -> None:
        """Let another process open this root."""
        self._hold.release()

    # ---- a new run -----------------------------------------------------------------------------------------------

    def workspace(self) -> Path:
        """A new empty folder to build a run in; `keep` or `discard` it. Raises OSError of the disk."""
        folder = self.root / "building" / secrets.token_hex(12)
        folder.mkdir()
        return folder

    def discard(self, workspace: Path) -> None:
        """Remove a folder of `workspace`."""
        if workspace.parent == self.root / "building":
            _discard(workspace)

    def keep(self, workspace: Path, key: str = "") -> tuple[Entry, str]:
        """Make a finished workspace a run. Returns its entry and the delete key, which is told only here.

        Raises ResultError when it holds no result.
        """
        if not _modes(workspace):
            raise ResultError("The run holds no result; run the clip again.")
        delete_key = secrets.token_urlsafe(16)
        entry = Entry(new_id(), key, self._clock(), False, _digest(delete_key), size_of(workspace))
        with self._lock:
            os.rename(workspace, self._runs / entry.id)
            self._index[entry.id] = entry
            self._note(entry)
        self.prune()
        return entry, delete_key

    def copy(self, run_id: object) -> tuple[Entry, str]:
        """The same result as a run of its own, with its own id and delete key, for somebody who did not make it."""
        entry, folder = self.get(run_id)
        workspace = self.workspace()
        try:
            link_tree(folder, workspace)
            return self.keep(workspace, entry.key)
        finally:
            self.discard(workspace)

    # ---- finding -------------------------------------------------------------------------------------------------

    def get(self, run_id: object) -> tuple[Entry, Path]:
        """Entry and folder of a run. Raises ResultError for a bad id and for what is not, or no longer, there."""
        entry = self._index.get(_checked(run_id)) or self._bring_back(str(run_id))
        if entry is None or self._expired(entry):
            raise ResultError("This result does not exist or has expired; run the clip again or open an example.")
        if abs(self._clock() - self._entries.used(entry.id)) > _USED_STEP:
            self._entries.note_use(entry.id, self._clock())
        return entry, self._runs / entry.id

    def find(self, key: str, mode: str) -> Entry | None:
        """A run that answers the question `key` and holds `mode`, the newest if several do."""
        with self._lock:
            hits = [e for e in self._index.values() if key and e.key == key and not self._expired(e)]
        hits = [e for e in hits if mode in self.modes(e)]
        return max(hits, key=lambda e: e.created, default=None)

    def modes(self, entry: Entry) -> tuple[str, ...]:
        """The modes a run holds, in the order baseline, fast, refine."""
        return _modes(self._runs / entry.id)

    def add(self, run_id: object, workspace: Path, place: str) -> None:
        """Move what a workspace holds into the folder `place` of a run. Raises ResultError when the run has gone."""
        with self._lock:
            entry, folder = self.get(run_id)
            entry = replace(entry, size=entry.size + size_of(workspace))
            move(workspace, folder / place)
            self._index[entry.id] = entry
            self._note(entry)
        self.prune()

    # ---- sharing, deleting, expiring -----------------------------------------------------------------------------

    def share(self, run_id: object) -> Entry:
        """Keep a run beyond the program's end; the mirror gets a copy. Raises ResultError, or OSError of the disk."""
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
        """Copy a run to the mirror that was shared before it had grown to its end; one that is gone is no matter."""
        with self._lock:
            entry = self._index.get(run_id)
        if entry is not None and entry.shared:
            self._mirror.push(entry, self._runs / entry.id)

    def owns(self, run_id: object, delete_key: str) -> bool:
        """Whether `delete_key` is that of the run's owner. Raises ResultError when there is no such run."""
        entry, _ = self.get(run_id)
        return secrets.compare_digest(_digest(str(delete_key)), entry.delete_hash)

    def delete(self, run_id: object, delete_key: str) -> None:
        """Remove a run everywhere. Raises ResultError unless `delete_key` is the owner's, OSError of the disk."""
        entry, _ = self.get(run_id)
        if not self.owns(run_id, delete_key):
            raise ResultError("This delete key does not belong to this result; use the one shown when it was made.")
        if entry.shared:
            self._mirror.remove(entry.id)
        self._remove(entry)

    def prune(self, others: int = 0) -> list[str]:
        """Remove what has expired, then what exceeds the room: least recently used first, shared last.

        others: bytes of the room that are taken by something else than runs.
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
                except OSError as error:  # the next time may be better
                    _log.warning("a run cannot be removed: %s", error.strerror)
        return [entry.id for entry in gone]

    def _expired(self, entry: Entry) -> bool:
        if not entry.shared:
            return self._clock() - entry.created > self.limits.hours * 3600
        days = self.limits.shared_days
        return days > 0 and self._clock() - self._entries.used(entry.id) > days * 86400

    def _remove(self, entry: Entry) -> None:
        """Out of sight in one step; then the files. Raises OSError of the disk; then the run is still there."""
        with self._lock:
            if entry.id not in self._index:
                return
            trash = self.root / "building" / f"trash-{secrets.token_hex(12)}"
            with suppress(FileNotFoundError):
                os.rename(self._runs / entry.id, trash)
            del self._index[entry.id]
            self._entries.remove(entry.id)
        _discard(trash)

    # ---- details -------------------------------------------------------------------------------------------------

    def _note(self, entry: Entry) -> None:
        """Write an entry. One of an unshared run need not outlive the program, so a full disk does not matter here."""
        try:
            self._entries.write(entry, self._clock())
        except OSError as error:
            if entry.shared:
                raise
            _log.warning("the entry of a run cannot be written: %s", error.strerror)

    def _bring_back(self, run_id: str) -> Entry | None:
        """Fetch a shared run from the mirror; what is not a whole run of that id is not taken."""
        if not self._mirror.may_have(run_id):
            return None
        workspace = self.root / "building" / secrets.token_hex(12)
        try:
            workspace.mkdir()
            if not self._mirror.pull(run_id, workspace):
                return None
            entry = replace(Entry.of(read_json(workspace / ENTRY)), shared=True, size=size_of(workspace))
            (workspace / ENTRY).unlink()
            if entry.id != run_id or not _modes(workspace):
                raise ValueError("another run, or an empty one")
            with self._lock:
                if not self._mirror.may_have(run_id):  # deleted while it was fetched
                    return None
                if run_id not in self._index:
                    self._entries.write(entry, self._clock())
                    os.rename(workspace, self._runs / run_id)
                    self._index[run_id] = entry
                return self._index[run_id]
        except (ValueError, OSError) as reason:  # OSError: the mirror's mount has gone, or the disk here is full
            _log.warning("a run of the mirror cannot be used: %s", reason)
            return None
        finally:
            self.discard(workspace)


def _discard(path: Path) -> None:
    """Remove a file or folder, as far as the disk lets it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _checked(run_id: object) -> str:
    if not isinstance(run_id, str) or not ID.fullmatch(run_id):
        raise ResultError("This is not the id of a result; please check the link.")
    return run_id


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _modes(folder: Path) -> tuple[str, ...]:
    return tuple(mode for mode in MODES if (folder / mode / "manifest.json").is_file())
