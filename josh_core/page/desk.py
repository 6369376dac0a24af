"""What the page does behind its buttons: take an upload, start or find a run, show, share and delete it.

One desk serves all visitors. What belongs to one visitor lies in a folder of their own, removed when they leave.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from josh_core import __version__
from josh_core.errors import ClipError, ResultError
from josh_core.export.bundle import content_key
from josh_core.networks.weights import choose_tier
from josh_core.page.config import Config
from josh_core.page.inputs import Upload
from josh_core.page.preview import FIRST_WINDOW, frames_of, look_at
from josh_core.page.rates import Rates
from josh_core.page.shown import Shown, examples, shown_run
from josh_core.page.words import duration, progress_card
from josh_core.page.workshop import Workshop
from josh_core.serving.jobs import Job, Jobs, Runner, Ticket
from josh_core.serving.store import Store, link_or_copy
from josh_core.settings import Settings

POLL = 0.4  # s between two looks at a running job
LOOK_SECONDS = 8.0  # s that a guess may take
_TIDY_EVERY = 600.0  # s between two looks for expired runs


@dataclass
class Visitor:
    """What one browser tab has here."""

    folder: Path
    delete_keys: dict[str, str] = field(default_factory=dict)  # run id -> delete key
    uploads: set[Path] = field(default_factory=set)  # the server's own copies of what was uploaded
    ticket: Ticket | None = None
    chosen: Path | None = None  # the clip in the chooser now


@dataclass(frozen=True)
class Order:
    """A run that was asked for: `found` when its result is there already, else `ticket` and where it is built."""

    upload: Upload
    settings: Settings
    found: str = ""
    ticket: Ticket | None = None
    workspace: Path | None = None

    @property
    def frames(self) -> int:
        """Frames that the run takes."""
        return frames_of(self.upload.look, self.settings)


class Desk:
    """Everything that lives as long as the program."""

    def __init__(self, config: Config, runners: Sequence[Runner], files: Runner, examples_root: Path) -> None:
        """`runners` do the runs, `files` makes files from results."""
        self.config = config
        self.store = Store(config.store, config.limits, config.mirror())
        self.uploads = self._empty("uploads")
        self._visitors_root = self._empty("visitors")
        self.rates = Rates(self.store.root / "rates.json")
        self.examples = examples(examples_root, self._empty("made"))
        self.workshop = Workshop(self.store, files, self.rates)
        self.jobs = Jobs(runners, config.queue, config.per_visitor)
        self._visitors: dict[str, Visitor] = {}
        self._lock = threading.Lock()
        self._tidying = threading.Event()
        threading.Thread(target=self._tidy, daemon=True, name="tidy").start()

    def _empty(self, name: str) -> Path:
        folder = self.store.root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def _tidy(self) -> None:
        while not self._tidying.wait(_TIDY_EVERY):
            self.store.prune()

    def close(self) -> None:
        """Stop the jobs and let another program use the store."""
        self._tidying.set()
        self.jobs.close()
        self.workshop.close()
        self.store.close()

    # ---- visitors ------------------------------------------------------------------------------------------------

    def visitor(self, session: str) -> Visitor:
        """The visitor of a session, made at first sight."""
        with self._lock:
            if session not in self._visitors:
                folder = self._visitors_root / secrets.token_hex(12)
                folder.mkdir()
                self._visitors[session] = Visitor(folder)
            return self._visitors[session]

    def leave(self, session: str) -> None:
        """The visitor has closed the page: stop their jobs and remove their files. Results stay their time."""
        self.jobs.cancel_owner(session)
        with self._lock:
            visitor = self._visitors.pop(session, None)
            if visitor is None:
                return
            others = set().union(*(v.uploads for v in self._visitors.values())) if self._visitors else set()
        shutil.rmtree(visitor.folder, ignore_errors=True)
        for copy in visitor.uploads - others:
            shutil.rmtree(copy.parent, ignore_errors=True)

    # ---- clips ---------------------------------------------------------------------------------------------------

    def take(self, session: str, path: object, copied: bool = True) -> Upload:
        """Take an uploaded file into the visitor's folder. Raises ClipError when it is not a usable video.

        `path` comes from the client, so it counts only inside the server's folder of uploads; an example's clip,
        which does not, is taken with `copied` False.
        """
        source = Path(str(path)).resolve()
        if copied and (not source.is_relative_to(self.uploads) or not source.is_file()):
            raise ClipError("The upload did not arrive; please choose the file again.")
        visitor = self.visitor(session)
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", source.stem)[:40] or "clip"
        suffix = source.suffix.lower() if re.fullmatch(r"\.[a-z0-9]{1,5}", source.suffix.lower()) else ".mp4"
        place = visitor.folder / secrets.token_hex(6) / f"{name}{suffix}"
        place.parent.mkdir()
        link_or_copy(source, place)
        if copied:
            visitor.uploads.add(source)
        try:
            return Upload(place, _sha256(place), look_at(place))
        except ClipError:
            shutil.rmtree(place.parent, ignore_errors=True)
            raise

    async def count(self, upload: Upload) -> Upload:
        """The upload with a guess at how many people it shows, if a device is free to look within a few seconds."""
        if self.jobs.tickets():
            return upload
        note = upload.path.with_suffix(".people")
        ticket = self.jobs.submit(Job(upload.path, Settings(seconds=FIRST_WINDOW), note, kind="look"))
        end = time.monotonic() + LOOK_SECONDS
        while not ticket.over and time.monotonic() < end:
            await asyncio.sleep(0.1)
        self.jobs.cancel(ticket)
        return replace(upload, people=int(note.read_text("utf-8"))) if ticket.state == "done" else upload

    # ---- runs ----------------------------------------------------------------------------------------------------

    def order(self, session: str, upload: Upload, settings: Settings) -> Order:
        """Find the stored answer or put the run in line. Raises JobError when the line is full."""
        found = self.store.find(self.question(upload, settings), settings.mode)
        if found is not None:
            return Order(upload, settings, found=found.id)
        workspace = self.store.workspace()
        try:
            ticket = self.jobs.submit(Job(upload.path, settings, workspace, session))
        except Exception:
            self.store.discard(workspace)
            raise
        self.visitor(session).ticket = ticket
        return Order(upload, settings, ticket=ticket, workspace=workspace)

    @staticmethod
    def question(upload: Upload, settings: Settings) -> str:
        """Key of clip, settings, tier that runs and code, whatever the mode: a run of refine holds the others too."""
        options = settings.to_dict() | {"tier": choose_tier(settings).tier}
        del options["mode"]
        return content_key(upload.sha256, options, __version__)

    def finish(self, session: str, order: Order) -> str:
        """Keep what a finished order has built. Returns the run's id; raises what went wrong."""
        ticket, workspace = order.ticket, order.workspace
        assert ticket is not None and workspace is not None and ticket.over
        try:
            if ticket.error is not None:
                raise ticket.error
            self.rates.learn(order.settings.mode, order.frames, ticket.seconds)
            entry, delete_key = self.store.keep(workspace, self.question(order.upload, order.settings))
        finally:
            self.store.discard(workspace)
        self.visitor(session).delete_keys[entry.id] = delete_key
        return entry.id

    def abandon(self, order: Order) -> None:
        """Nobody waits for this order any more: stop it and remove what it has built."""
        ticket, workspace = order.ticket, order.workspace
        if ticket is None or workspace is None:
            return
        self.jobs.cancel(ticket)

        def clear() -> None:
            ticket.ended.wait()
            self.store.discard(workspace)

        threading.Thread(target=clear, daemon=True, name="abandon").start()

    async def follow(self, order: Order) -> AsyncIterator[str]:
        """Progress cards until the order is done. When nobody listens any more, the job is stopped."""
        said = ""
        try:
            while order.ticket is not None and not order.ticket.over:
                card = self.progress(order)
                if card != said:
                    said = card
                    yield card
                await asyncio.sleep(POLL)
        except (asyncio.CancelledError, GeneratorExit):
            self.abandon(order)
            raise

    def progress(self, order: Order) -> str:
        """A card that says how far an order is and how long it will take."""
        ticket, mode = order.ticket, order.settings.mode
        assert ticket is not None
        stages = self.rates.stages(mode, order.frames)
        if ticket.state == "waiting":
            ahead = self.jobs.ahead(ticket)
            wait = f"begins in about {duration(self.waiting_time(ahead))}"
            return progress_card(stages, f"Number {len(ahead)} in line", 0.0, wait)
        left = self.rates.left(mode, order.frames, ticket.stage, ticket.fraction)
        return progress_card(stages, ticket.stage or "Starting", ticket.fraction, f"about {duration(left)} left")

    def waiting_time(self, tickets: list[Ticket]) -> float:
        """Expected seconds until all of these are done."""
        total = 0.0
        for ticket in tickets:
            settings = ticket.job.settings
            frames = round((settings.seconds or FIRST_WINDOW) * settings.max_fps)
            if ticket.state == "running":
                total += self.rates.left(settings.mode, frames, ticket.stage, ticket.fraction)
            else:
                total += self.rates.total(settings.mode, frames)
        return total

    # ---- results -------------------------------------------------------------------------------------------------

    def open(self, query: Mapping[str, str]) -> Shown | None:
        """What a link asks for: ?run=<id> or ?example=<name>; None when it asks for nothing. Raises ResultError."""
        if "run" in query:
            entry, folder = self.store.get(query["run"])
            return shown_run(entry.id, folder, entry.shared)
        if "example" in query:
            if query["example"] not in self.examples:
                raise ResultError("There is no such example; choose one of those on the page.")
            return self.examples[query["example"]]
        return None

    def ask(self, wish: object) -> dict[str, Any]:
        """How far the file is that a visitor asks for (workshop.py): {query, mode, name}. Raises JoshError."""
        asked = [str(wish.get(key))[:200] if isinstance(wish, dict) else "" for key in ("query", "mode", "name")]
        shown = self.open(dict(parse_qsl(asked[0])))
        if shown is None:
            raise ResultError("There is no such result; open an example or run a clip.")
        return self.workshop.ask(shown, asked[1], asked[2])

    def share(self, shown: Shown) -> Shown:
        """Keep a run beyond the program's end. An example is always there."""
        if shown.is_example:
            return shown
        entry = self.store.share(shown.id)
        return shown_run(entry.id, self.store.get(entry.id)[1], entry.shared)

    def delete(self, shown: Shown, delete_key: str) -> None:
        """Remove a run for its owner. Raises ResultError."""
        if shown.is_example:
            raise ResultError("An example cannot be deleted.")
        self.store.delete(shown.id, delete_key)

    @property
    def served(self) -> list[Path]:
        """Folders whose files the page may show: results and examples, nothing else."""
        own = [self.store.root / name for name in ("temporary", "shared", "made")]
        return [*own, *{folder.parent for shown in self.examples.values() for folder in shown.folders.values()},
                *{shown.clip for shown in self.examples.values() if shown.clip}]  # fmt: skip


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
