"""Per visitor: a folder for their clips, and the runs that they may share and delete.

A visitor exists from the first clip they bring until they leave.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from josh_core.serving.jobs import Ticket


@dataclass(frozen=True)
class Owned:
    """A run of a visitor's own."""

    delete_key: str
    title: str  # the name of the file that they brought; nobody else is told


@dataclass
class Visitor:
    """The state of one browser tab."""

    folder: Path
    owned: dict[str, Owned] = field(default_factory=dict)  # by run id
    uploads: set[Path] = field(default_factory=set)  # the server's own copies of what was uploaded
    ticket: Ticket | None = None
    chosen: Path | None = None  # the clip in the chooser now


class Visitors:
    """All visitors by session."""

    def __init__(self, root: Path) -> None:
        """`root` takes their folders."""
        self._root = root
        self._visitors: dict[str, Visitor] = {}
        self._lock = threading.Lock()

    def known(self, session: str) -> Visitor | None:
        """The visitor of a session, if they have brought anything."""
        return self._visitors.get(session)

    def get(self, session: str) -> Visitor:
        """The visitor of a session, made when they bring their first clip. Raises OSError of the disk."""
        with self._lock:
            if session not in self._visitors:
                folder = self._root / secrets.token_hex(12)
                folder.mkdir()
                self._visitors[session] = Visitor(folder)
            return self._visitors[session]

    def owned(self, session: str, run_id: str) -> Owned | None:
        """Delete key and title of a run that this session made; None for any other run."""
        visitor = self._visitors.get(session)
        return visitor.owned.get(run_id) if visitor else None

    def leave(self, session: str) -> None:
        """Forget a visitor and remove their files. Runs stay until they expire."""
        with self._lock:
            visitor = self._visitors.pop(session, None)
            claimed = self._claimed()
        if visitor is not None:
            shutil.rmtree(visitor.folder, ignore_errors=True)
            for copy in visitor.uploads - claimed:
                shutil.rmtree(copy.parent, ignore_errors=True)

    def sessions(self) -> list[str]:
        """All sessions that have something here."""
        with self._lock:
            return list(self._visitors)

    def claimed(self) -> set[Path]:
        """Uploads that some visitor uses."""
        with self._lock:
            return self._claimed()

    def _claimed(self) -> set[Path]:
        return {upload for visitor in self._visitors.values() for upload in visitor.uploads}
