"""A mirror with a journal: operations that are not finished are recorded on disk and repeated after a restart.

Without the journal a run that was deleted while the mirror could not be reached would be fetched from there again, and
one that was shared just before the program ended would never be copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from josh_core.serving.entries import ID, Entry
from josh_core.serving.mirror import Mirror


class MirrorJournal:
    """A mirror, or none, with a folder of notes: an empty file <run id>.push or .remove for each pending operation."""

    def __init__(self, mirror: Mirror | None, notes: Path) -> None:
        self._mirror, self._notes = mirror, notes
        notes.mkdir(exist_ok=True)
        self._removed = {note.stem for note in self._of("remove")}

    def resume(self, shared: Iterable[tuple[Entry, Path]]) -> None:
        """Repeat operations that were pending when the program ended. shared: all shared runs with their folders."""
        if self._mirror is None:
            return
        for run_id in self._removed:
            self._mirror.remove(run_id, self._note(run_id, "remove"))
        unsent = {note.stem for note in self._of("push")}
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

    def may_have(self, run_id: str) -> bool:
        """Whether the mirror may be asked for a run; a deleted one may still be there and is not."""
        return self._mirror is not None and run_id not in self._removed

    def pull(self, run_id: str, into: Path) -> bool:
        """Fetch a run's files into an empty folder. False if there is none; raises ValueError and OSError."""
        return self._mirror is not None and self._mirror.pull(run_id, into)

    def _of(self, what: str) -> list[Path]:
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
