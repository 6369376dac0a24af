"""Per visitor: a folder for their clips, and the runs that they may share and delete.

A visitor exists from the first clip they bring until they leave.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from josh_core.serving.disk import size_of
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
    client: str = ""  # network address
    owned: dict[str, Owned] = field(default_factory=dict)  # by run id
    uploads: dict[Path, Path] = field(default_factory=dict)  # the visitor's clip -> Gradio's copy of the same upload
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

    def get(self, session: str, client: str = "") -> Visitor:
        """The visitor of a session, made when they bring their first clip. Raises OSError of the disk."""
        with self._lock:
            if session not in self._visitors:
                folder = self._root / secrets.token_hex(12)
                folder.mkdir()
                self._visitors[session] = Visitor(folder, client)
            return self._visitors[session]

    def owned(self, session: str, run_id: str) -> Owned | None:
        """Delete key and title of a run that this session made; None for any other run."""
        visitor = self._visitors.get(session)
        return visitor.owned.get(run_id) if visitor else None

    def leave(self, session: str) -> None:
        """Forget a visitor and remove their files. Runs stay until they expire."""
        with self._lock:
            visitor = self._visitors.pop(session, None)
        if visitor is not None:
            shutil.rmtree(visitor.folder, ignore_errors=True)
            self._remove(set(visitor.uploads.values()))

    def drop(self, session: str, clip: Path) -> None:
        """Remove one of a visitor's clips, which has a folder of its own, and the server's copy of it."""
        shutil.rmtree(clip.parent, ignore_errors=True)
        visitor = self._visitors.get(session)
        copy = visitor.uploads.pop(clip, None) if visitor else None
        if copy is not None:
            self._remove({copy})

    def _remove(self, copies: set[Path]) -> None:
        """Remove uploads that no visitor uses any more."""
        for copy in copies - self.claimed():
            shutil.rmtree(copy.parent, ignore_errors=True)

    def taken(self, client: str) -> int:
        """Bytes of all clips of a network address."""
        with self._lock:
            theirs = [visitor for visitor in self._visitors.values() if visitor.client == client]
            copies = {copy.parent for visitor in theirs for copy in visitor.uploads.values()}
        return size_of(*(visitor.folder for visitor in theirs), *copies)

    def sessions(self) -> list[str]:
        """All sessions that have something here."""
        with self._lock:
            return list(self._visitors)

    def claimed(self) -> set[Path]:
        """Uploads that some visitor uses."""
        with self._lock:
            return {copy for visitor in self._visitors.values() for copy in visitor.uploads.values()}
