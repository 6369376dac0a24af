"""Results by id and by key: keep, find, share, expire, delete, and bring back after a restart.

A run is a folder: one bundle folder per mode, files beside them, and `entry.json` (Entry). It lives in
`temporary/` until somebody shares it, then in `shared/`; `building/` holds what is not whole yet. Every step from
one to the next is a rename, so a crash leaves nothing half done, and opening a store empties `building/` and
`temporary/`. The id is the only protection of a run: it is random, and no path ever comes from a client.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from josh_core.errors import ResultError
from josh_core.export.bundle import new_id
from josh_core.serving.mirror import Mirror
from josh_core.settings import MODES

ID = re.compile(r"[A-Za-z0-9_-]{16,64}")
ENTRY = "entry.json"
_USED_STEP = 60.0  # s between two notes of "used now"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """How long and how much is kept. An unshared run also ends with the program."""

    hours: float = 24.0  # h, an unshared run
    shared_days: float = 0.0  # days since a shared run was last opened; 0 keeps it as long as there is room
    max_bytes: int = 5 * 2**30  # of all runs together; the least recently used go first, shared ones last


@dataclass(frozen=True)
class Entry:
    """What the store knows of one run."""

    id: str
    key: str  # bundle.content_key of the question this run answers; "" for none
    created: float  # s since the epoch
    shared: bool
    delete_hash: str  # sha256 hex of the owner's delete key
    size: int  # bytes

    @property
    def place(self) -> str:
        """The folder in the store's root that holds this run."""
        return "shared" if self.shared else "temporary"


class Store:
    """All runs under one root folder. One process opens a root at a time; its threads may share the object."""

    def __init__(
        self,
        root: Path,
        limits: Limits | None = None,
        mirror: Mirror | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open `root`, made if need be. Raises ResultError when another process has it open."""
        self.root = Path(root).resolve()
        self.limits = limits or Limits()
        self._mirror = mirror
        self._clock = clock
        self._lock = threading.RLock()
        self._entries: dict[str, Entry] = {}
        self.root.mkdir(parents=True, exist_ok=True)
        self._hold = self._take_hold()
        for name in ("building", "temporary"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        for name in ("building", "temporary", "shared"):
            (self.root / name).mkdir(exist_ok=True)
        for folder in (self.root / "shared").iterdir():
            self._recall(folder)

    def _take_hold(self) -> int:
        handle = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise ResultError(
                f"Another program uses the results folder {self.root}; stop it or set JOSH_STORE to another folder."
            ) from None
        return handle

    def close(self) -> None:
        """Let another process open this root."""
        if self._hold >= 0:
            os.close(self._hold)
            self._hold = -1

    # ---- a new run -----------------------------------------------------------------------------------------------

    def workspace(self) -> Path:
        """A new empty folder to build a run in; `keep` or `discard` it."""
        folder = self.root / "building" / secrets.token_hex(12)
        folder.mkdir()
        return folder

    def discard(self, workspace: Path) -> None:
        """Remove a folder of `workspace`."""
        if workspace.parent == self.root / "building":
            shutil.rmtree(workspace, ignore_errors=True)

    def keep(self, workspace: Path, key: str = "") -> tuple[Entry, str]:
        """Make a finished workspace a run. Returns its entry and the delete key, which is told only here."""
        delete_key = secrets.token_urlsafe(16)
        entry = Entry(
            id=new_id(),
            key=key,
            created=self._clock(),
            shared=False,
            delete_hash=_digest(delete_key),
            size=_size(workspace),
        )
        if not _modes(workspace):
            raise ResultError("The run holds no result; run the clip again.")
        self._write(workspace, entry)
        with self._lock:
            os.rename(workspace, self.root / entry.place / entry.id)
            self._entries[entry.id] = entry
        self.prune()
        return entry, delete_key

    # ---- finding -------------------------------------------------------------------------------------------------

    def get(self, run_id: object) -> tuple[Entry, Path]:
        """Entry and folder of a run. Raises ResultError for a bad id and for what is not, or no longer, there."""
        entry = self._entries.get(_checked(run_id)) or self._bring_back(str(run_id))
        if entry is None or self._expired(entry):
            raise ResultError("This result does not exist or has expired; run the clip again or open an example.")
        folder = self.root / entry.place / entry.id
        self._note_use(folder)
        return entry, folder

    def find(self, key: str, mode: str) -> Entry | None:
        """A run that answers the question `key` and holds `mode`, the newest if several do."""
        with self._lock:
            hits = [e for e in self._entries.values() if key and e.key == key and not self._expired(e)]
        hits = [e for e in hits if mode in _modes(self.root / e.place / e.id)]
        return max(hits, key=lambda e: e.created, default=None)

    def modes(self, entry: Entry) -> tuple[str, ...]:
        """The modes a run holds, in the order baseline, fast, refine."""
        return _modes(self.root / entry.place / entry.id)

    def add(self, run_id: object, workspace: Path, place: str) -> None:
        """Move what a workspace holds into the folder `place` of a run. Raises ResultError when the run has gone."""
        with self._lock:
            entry, folder = self.get(run_id)
            entry = replace(entry, size=entry.size + _size(workspace))
            move(workspace, folder / place)
            self._write(folder, entry)
            self._entries[entry.id] = entry
        self.prune()

    # ---- sharing, deleting, expiring -----------------------------------------------------------------------------

    def share(self, run_id: object) -> Entry:
        """Keep a run beyond the program's end; the mirror gets a copy. Raises ResultError."""
        with self._lock:
            entry, folder = self.get(run_id)
            if entry.shared:
                return entry
            entry = replace(entry, shared=True)
            self._write(folder, entry)
            os.rename(folder, self.root / entry.place / entry.id)
            self._entries[entry.id] = entry
        if self._mirror is not None:
            self._mirror.push(entry.id, self.root / entry.place / entry.id)
        return entry

    def delete(self, run_id: object, delete_key: str) -> None:
        """Remove a run everywhere. Raises ResultError unless `delete_key` is the owner's."""
        entry, _ = self.get(run_id)
        if not secrets.compare_digest(_digest(str(delete_key)), entry.delete_hash):
            raise ResultError("This delete key does not belong to this result; use the one shown when it was made.")
        self._remove(entry)
        if self._mirror is not None and entry.shared:
            self._mirror.remove(entry.id)

    def prune(self) -> list[str]:
        """Remove what has expired, then what exceeds the room: least recently used first, shared last."""
        with self._lock:
            gone = [e for e in self._entries.values() if self._expired(e)]
            left = [e for e in self._entries.values() if e not in gone]
            total = sum(e.size for e in left)
            for entry in sorted(left, key=lambda e: (e.shared, self._used(e))):
                if total <= self.limits.max_bytes:
                    break
                gone.append(entry)
                total -= entry.size
            for entry in gone:
                self._remove(entry)
        return [entry.id for entry in gone]

    def _expired(self, entry: Entry) -> bool:
        if not entry.shared:
            return self._clock() - entry.created > self.limits.hours * 3600
        days = self.limits.shared_days
        return days > 0 and self._clock() - self._used(entry) > days * 86400

    def _remove(self, entry: Entry) -> None:
        """Out of sight in one step; then the files."""
        with self._lock:
            if self._entries.pop(entry.id, None) is None:
                return
            trash = self.root / "building" / f"trash-{secrets.token_hex(12)}"
            os.rename(self.root / entry.place / entry.id, trash)
        shutil.rmtree(trash, ignore_errors=True)

    # ---- details -------------------------------------------------------------------------------------------------

    def _write(self, folder: Path, entry: Entry) -> None:
        """Write the entry whole; its file time says when the run was last used."""
        fresh = folder / f".{ENTRY}.{secrets.token_hex(4)}"
        fresh.write_text(json.dumps(asdict(entry)), "utf-8")
        os.utime(fresh, (self._clock(), self._clock()))
        os.replace(fresh, folder / ENTRY)

    def _recall(self, folder: Path) -> Entry | None:
        """Read a stored run back into the index; one that is not whole is left alone and not served."""
        try:
            entry = Entry(**json.loads((folder / ENTRY).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            _log.warning("a stored run without a readable %s is ignored", ENTRY)
            return None
        if entry.id != folder.name or not ID.fullmatch(entry.id) or folder.is_symlink():
            return None
        entry = replace(entry, shared=True)  # it stands in shared/
        self._entries[entry.id] = entry
        return entry

    def _bring_back(self, run_id: str) -> Entry | None:
        """Fetch a shared run from the mirror."""
        if self._mirror is None:
            return None
        workspace = self.workspace()
        try:
            if not self._mirror.pull(run_id, workspace) or not _modes(workspace):
                return None
            with self._lock:
                home = self.root / "shared" / run_id
                if not home.exists():
                    os.rename(workspace, home)
                return self._recall(home)
        finally:
            self.discard(workspace)

    def _note_use(self, folder: Path) -> None:
        stamp = folder / ENTRY
        now = self._clock()
        if now - stamp.stat().st_mtime > _USED_STEP:
            os.utime(stamp, (now, now))

    def _used(self, entry: Entry) -> float:
        try:
            return (self.root / entry.place / entry.id / ENTRY).stat().st_mtime
        except OSError:
            return 0.0


def move(folder: Path, into: Path) -> None:
    """Rename each thing in `folder` to one in `into` (made if missing), but for those that are there already."""
    into.mkdir(parents=True, exist_ok=True)
    for item in folder.iterdir():
        if not (into / item.name).exists():
            os.rename(item, into / item.name)


def link_or_copy(source: Path, target: Path) -> None:
    """The same file at a second place, without a second copy where the disk allows it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _checked(run_id: object) -> str:
    if not isinstance(run_id, str) or not ID.fullmatch(run_id):
        raise ResultError("This is not the id of a result; please check the link.")
    return run_id


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def _modes(folder: Path) -> tuple[str, ...]:
    return tuple(mode for mode in MODES if (folder / mode / "manifest.json").is_file())
