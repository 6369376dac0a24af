"""The store's metadata of each run, one small file per run, outside the folder that visitors may fetch from.

Such a file may be broken, or come from a mirror that others can write to: every value is checked by type before use.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from josh_core.export.stored_json import is_number, read_json, write_json

ID = re.compile(r"[A-Za-z0-9_-]{16,64}")
_HEX = re.compile(r"[0-9a-f]{64}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """The metadata of one run."""

    id: str
    key: str  # bundle.content_key of clip and settings, by which an equal run is found; "" for none
    created: float  # s since the epoch
    shared: bool
    delete_hash: str  # sha256 hex of the owner's delete key
    size: int  # bytes

    @staticmethod
    def of(value: Any) -> Entry:
        """The entry that a JSON value describes; fields of other versions are left out. Raises ValueError."""
        if not isinstance(value, dict):
            raise ValueError("not an object")
        named: dict[str, Any] = {name: value.get(name) for name in Entry.__dataclass_fields__}
        texts = all(isinstance(named[name], str) for name in ("id", "key", "delete_hash"))
        if not (texts and ID.fullmatch(named["id"]) and (named["key"] == "" or _HEX.fullmatch(named["key"]))):
            raise ValueError("no valid id or key")
        if not (_HEX.fullmatch(named["delete_hash"]) and isinstance(named["shared"], bool)):
            raise ValueError("no valid delete_hash or shared")
        if not (is_number(named["created"]) and is_number(named["size"]) and 0 <= named["size"] < 2**50):
            raise ValueError("no valid created or size")
        return Entry(**{**named, "size": int(named["size"])})


class Entries:
    """The folder of entry files. A file's modification time is when its run was last used."""

    def __init__(self, folder: Path, broken: Path) -> None:
        """folder: of the entries, made if missing; broken: to which unreadable files are moved."""
        self._folder, self._broken = folder, broken
        folder.mkdir(exist_ok=True)

    def path(self, run_id: str) -> Path:
        """Path of a run's entry."""
        return self._folder / f"{run_id}.json"

    def write(self, entry: Entry, now: float) -> None:
        """Write an entry atomically; `now` is its time of last use, s since the epoch. Raises OSError."""
        write_json(self.path(entry.id), asdict(entry))
        self.note_use(entry.id, now)

    def remove(self, run_id: str) -> None:
        """Delete a run's entry."""
        self.path(run_id).unlink(missing_ok=True)

    def used(self, run_id: str) -> float:
        """When the run was last used, s since the epoch; 0 if unknown."""
        try:
            return self.path(run_id).stat().st_mtime
        except OSError:
            return 0.0

    def note_use(self, run_id: str, now: float) -> None:
        """Record a use of the run; errors of the disk are ignored."""
        with contextlib.suppress(OSError):
            os.utime(self.path(run_id), (now, now))

    def read_all(self) -> Iterator[Entry]:
        """Every readable entry. Unreadable files are quarantined, with a line in the log."""
        for path in sorted(self._folder.iterdir()):
            try:
                if path.suffix != ".json" or path.is_symlink():
                    raise ValueError("not an entry")
                entry = Entry.of(read_json(path))
                if entry.id != path.stem:
                    raise ValueError("another id than its name")
            except ValueError as reason:
                quarantine(path, self._broken, str(reason))
            else:
                yield entry


def quarantine(path: Path, broken: Path, reason: str) -> None:
    """Move an unusable file or folder to `broken`, where the operator can look at it."""
    _log.warning("a stored file cannot be used (%s) and is set aside: %s", reason, path.name)
    broken.mkdir(exist_ok=True)
    place = broken / path.name
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
    try:
        os.rename(path, place)
    except OSError as error:
        _log.warning("it cannot be moved: %s", error.strerror)
