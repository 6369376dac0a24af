"""A mirror with a journal: operations that are not finished are recorded on disk and repeated after a restart.

Without the journal a run that was deleted while the mirror could not be reached would be fetched from there again, and
one that was shared just before the program ended would never be copied. A list of the runs in the mirror is cached, so
that requests for made-up ids do not reach it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from josh_core.errors import ResultError
from josh_core.serving.entries import ID, Entry
from josh_core.serving.mirror import Mirror

_LIST_EVERY = 30.0  # s, at most that often the mirror is asked for its list; chosen by hand
_RETRY_FETCH_AFTER = 60.0  # s after which a run that could not be fetched is tried again; chosen by hand
_log = logging.getLogger(__name__)


class MirrorJournal:
    """A mirror, or none, with a folder of notes: an empty file <run id>.push or .remove for each pending operation."""

    def __init__(self, mirror: Mirror | None, notes: Path) -> None:
        self._mirror, self._notes = mirror, notes
        notes.mkdir(exist_ok=True)
        self._removed = {note.stem for note in self._pending("remove")}
        self._ids: set[str] = set()  # of the mirror
        self._listed = float("-inf")  # when it was asked for them
        self._failed: dict[str, float] = {}  # runs that could not be fetched, and when
        self._fetch_lock = threading.Lock()

    def resume(self, shared: Iterable[tuple[Entry, Path]]) -> None:
        """Repeat operations that were pending when the program ended. shared: all shared runs with their folders."""
        if self._mirror is None:
            return
        for run_id in self._removed:
            self._mirror.remove(run_id, self._note(run_id, "remove"))
        unsent = {note.stem for note in self._pending("push")}
        for entry, folder in shared:
            if entry.id in unsent:
                unsent.remove(entry.id)
                self.push(entry, folder)
        for run_id in unsent:  # deleted meanwhile
            self._note(run_id, "push")()

    def push(self, entry: Entry, folder: Path) -> None:
        """Copy a shared run to the mirror in the background."""
        if self._mirror is not None:
            self._mirror.push(entry.id, folder, asdict(entry), self._note(entry.id, "push"))

    def remove(self, run_id: str) -> None:
        """Remove a run from the mirror in the background; from now on it is not fetched any more."""
        if self._mirror is not None:
            self._removed.add(run_id)
            self._mirror.remove(run_id, self._note(run_id, "remove"))

    def is_removed(self, run_id: str) -> bool:
        """Whether a run was deleted; it may still be in the mirror."""
        return run_id in self._removed

    @contextmanager
    def fetching(self, run_id: str) -> Iterator[bool]:
        """Holds the right to `pull` a run; yields whether the mirror has it.

        One run is fetched at a time: raises ResultError while another one is. A run for which ValueError or OSError is
        raised inside is not tried again for a while.
        """
        if self._mirror is None or self.is_removed(run_id) or self._is_known_missing(run_id):
            yield False
            return
        if not self._fetch_lock.acquire(blocking=False):
            raise ResultError("A shared result is just being fetched; please open the link again in a moment.")
        try:
            yield self._has(run_id)
        except (ValueError, OSError):
            self._failed[run_id] = time.monotonic()
            raise
        finally:
            self._fetch_lock.release()

    def pull(self, run_id: str, into: Path) -> bool:
        """Fetch a run's files into an empty folder. False when there is none; raises ValueError and OSError."""
        found = self._mirror is not None and self._mirror.pull(run_id, into)
        if not found:
            self._failed[run_id] = time.monotonic()
        return found

    def _is_known_missing(self, run_id: str) -> bool:
        """Whether the cached list is recent and lacks the run, or the run could not be fetched a moment ago."""
        now = time.monotonic()
        if run_id in self._failed:
            return now - self._failed[run_id] < _RETRY_FETCH_AFTER
        return run_id not in self._ids and now - self._listed < _LIST_EVERY

    def _has(self, run_id: str) -> bool:
        """Whether the mirror's list has the run; an old list is renewed first."""
        if run_id not in self._ids and time.monotonic() - self._listed >= _LIST_EVERY:
            assert self._mirror is not None
            try:
                self._ids = self._mirror.ids()
            except Exception as error:  # any failure of a remote service; the old list stays
                _log.warning("listing the mirror failed: %s", error)
            self._listed = time.monotonic()
            self._failed = {k: since for k, since in self._failed.items() if k in self._ids}
        return run_id in self._ids

    def _pending(self, what: str) -> list[Path]:
        """Records of operations of a kind ("push" or "remove") that are not done yet."""
        return [note for note in sorted(self._notes.glob(f"*.{what}")) if ID.fullmatch(note.stem)]

    def _note(self, run_id: str, what: str) -> Callable[[], None]:
        """Record a pending operation; returns a function that removes the record. Errors of the disk are ignored."""
        note = self._notes / f"{run_id}.{what}"
        with suppress(OSError):
            note.touch()

        def done() -> None:
            with suppress(OSError):
                note.unlink(missing_ok=True)

        return done
