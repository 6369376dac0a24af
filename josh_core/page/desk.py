"""What the page does behind its buttons: take an upload, start or find a run, show, share and delete it.

One desk serves all visitors. What belongs to one visitor lies in a folder of their own, removed when they leave.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from josh_core import __version__
from josh_core.clip.look import FIRST_WINDOW
from josh_core.errors import Cancelled, ClipError, JobError, JoshError, ResultError
from josh_core.export.bundle import content_key
from josh_core.networks.weights import choose_tier
from josh_core.page.config import Config
from josh_core.page.health import Health
from josh_core.page.inputs import Upload
from josh_core.page.looks import Looks
from josh_core.page.presence import Presence
from josh_core.page.preview import frames_of
from josh_core.page.rates import Rates
from josh_core.page.room import Room
from josh_core.page.shown import Shown, examples, shown_run
from josh_core.page.visitors import Owned, Visitors
from josh_core.page.words import duration, progress_card
from josh_core.page.workshop import Workshop
from josh_core.serving.disk import link_or_copy
from josh_core.serving.jobs import Job, Jobs, Runner, Ticket, no_room
from josh_core.serving.store import Entry, Store
from josh_core.serving.tasks import PREVIEW
from josh_core.settings import Settings

POLL = 0.4  # s between two looks at a running job
COUNT_SECONDS = 8.0  # s that a guess at the number of people may take
LISTEN_GRACE = 15.0  # s for which a run goes on, or is not begun, while nobody listens
LEFT_AFTER = 120.0  # s without a connection after which a visitor has left
_TIDY_EVERY = 60.0  # s between two looks for what has expired
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """Who asks: a browser tab or a program, and from where."""

    session: str
    client: str = ""  # network address
    program: bool = False

    @property
    def owner(self) -> str:
        """Whose share of the line counts: of programs the address, since each call is a session of its own."""
        return f"programs at {self.client}" if self.program else self.session


@dataclass(frozen=True)
class Order:
    """A run that was asked for: `found` when its result is there already, else `ticket` and where it is built."""

    caller: Caller
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

    def __init__(
        self, config: Config, runners: Sequence[Runner], files: Runner, looks: Sequence[Runner], examples_root: Path
    ) -> None:
        """`runners` do the runs, `files` makes files from results, `looks` look at uploads (looks.lookers)."""
        self.config = config
        self.store = Store(config.store, config.limits, config.mirror())
        self.room = Room(self.store, int(config.max_upload_mb * 1e6))
        self.uploads = self.room.uploads
        self.visitors = Visitors(self.room.visitors)
        self.rates = Rates(self.store.root / "rates.json")
        self.examples = examples(examples_root, self.room.made)
        self._health = Health(config.devices)
        self.workshop = Workshop(self.store, files, self.rates, self._health.note)
        self.jobs = Jobs(runners, config.queue, config.per_visitor, config.per_address, self._health.note)
        self.looks = Looks(looks)
        self.presence = Presence()
        self._tidying = threading.Event()
        threading.Thread(target=self._tidy_often, daemon=True, name="tidy").start()

    def close(self) -> None:
        """Stop the jobs and let another program use the store."""
        self._tidying.set()
        self.looks.close()
        self.jobs.close()
        self.workshop.close()
        self.store.close()

    # ---- order in the house --------------------------------------------------------------------------------------

    def _tidy_often(self) -> None:
        while not self._tidying.wait(_TIDY_EVERY):
            try:
                self.tidy()
            except Exception:  # the next time may be better; without this thread nothing would expire
                _log.exception("tidying failed")

    def tidy(self) -> None:
        """Let go of visitors who have left, uploads that nobody uses, results that have expired or find no room."""
        for session in self.visitors.sessions():
            if not self.presence.there(session, within=LEFT_AFTER):
                self.leave(session)
        self.room.tidy(self.visitors.claimed())

    def room_for(self, more: int) -> bool:
        """Whether uploads of `more` bytes can be taken now."""
        return self.room.takes(more, self.visitors.claimed())

    def listening(self, session: str) -> contextlib.AbstractContextManager[None]:
        """While a connection of the session is open."""
        return self.presence.connection(session)

    def health(self) -> dict[str, Any]:
        """What /healthz says."""
        return self._health.report(self.jobs, self.room, self.presence.count)

    # ---- visitors ------------------------------------------------------------------------------------------------

    def leave(self, session: str) -> None:
        """The visitor has closed the page: stop their jobs and remove their files. Results stay their time."""
        self.looks.leave(session)
        self.jobs.cancel_owner(session)
        self.visitors.leave(session)

    def owned(self, session: str, shown: Shown) -> Owned | None:
        """What a session may do with a run of its own."""
        return self.visitors.owned(session, shown.id)

    # ---- clips ---------------------------------------------------------------------------------------------------

    async def take(self, caller: Caller, path: object, name: str = "", copied: bool = True) -> Upload:
        """Take an uploaded file into the visitor's folder. Raises ClipError when it is not a usable video.

        `path` comes from the client, so it counts only inside the server's folder of uploads; an example's clip,
        which does not, is taken with `copied` False. `name` is what the visitor calls it.
        """
        await self._listened(caller)
        place = await asyncio.to_thread(self._adopt, caller.session, Path(str(path)), copied)
        try:
            look = await self.looks.at(place, caller.session, caller.client)
            return Upload(place, await asyncio.to_thread(_sha256, place), look, title=Path(name).stem[:80])
        except BaseException:
            shutil.rmtree(place.parent, ignore_errors=True)
            raise

    async def _listened(self, caller: Caller) -> None:
        """Wait for somebody to listen: nothing is begun for a caller who has gone again."""
        if not await self.presence.wait(caller.session, LISTEN_GRACE):
            raise Cancelled("Nobody listens any more.")

    def _adopt(self, session: str, path: Path, copied: bool) -> Path:
        """An upload at a place of the visitor's own. Its name says nothing, neither to a decoder nor to others."""
        source = path.resolve()
        if copied and (not source.is_relative_to(self.uploads) or not source.is_file()):
            raise ClipError("The upload did not arrive; please choose the file again.")
        visitor = self.visitors.get(session)
        in_use = {ticket.job.clip.parent for ticket in self.jobs.tickets()}
        for older in visitor.folder.iterdir():
            if older not in in_use:
                shutil.rmtree(older, ignore_errors=True)
        place = visitor.folder / secrets.token_hex(6) / "clip"
        place.parent.mkdir()
        link_or_copy(source, place)
        if copied:
            visitor.uploads.add(source)
        return place

    async def count(self, upload: Upload) -> Upload:
        """The upload with a guess at how many people it shows, if a device is free to look within a few seconds."""
        if self.jobs.tickets() or not upload.look.whole:
            return upload
        note = upload.path.with_name("people")
        ticket = self.jobs.submit(Job(upload.path, Settings(seconds=FIRST_WINDOW), note, kind="count"))
        end = time.monotonic() + COUNT_SECONDS
        try:
            while not ticket.over and time.monotonic() < end:
                await asyncio.sleep(0.1)
        finally:
            self.jobs.cancel(ticket)
        return replace(upload, people=int(note.read_text("utf-8"))) if ticket.state == "done" else upload

    # ---- runs ----------------------------------------------------------------------------------------------------

    def order(self, caller: Caller, upload: Upload, settings: Settings) -> Order:
        """Find the stored answer or put the run in line. Raises JobError when the line is full."""
        found = self.store.find(self.question(upload, settings), settings.mode)
        if found is not None:
            return Order(caller, upload, settings, found=self._own_copy(caller, upload, found))
        if caller.program and sum(t.job.owner.startswith("programs") for t in self.jobs.tickets()) >= self._programs:
            raise JobError("All places in line for programs are taken; please try again in a few minutes.")
        if self.room.is_full:  # else the run would fail at its end
            raise no_room()
        workspace, frames = self.store.workspace(), frames_of(upload.look, settings)
        try:
            job = Job(upload.path, settings, workspace, caller.owner, caller.client, frames)
            ticket = self.jobs.submit(job)
        except BaseException:
            self.store.discard(workspace)
            raise
        self.visitors.get(caller.session).ticket = ticket
        return Order(caller, upload, settings, ticket=ticket, workspace=workspace)

    @property
    def _programs(self) -> int:
        """How many places programs may take; the others are for people at the page."""
        return max(1, self.config.queue // 2)

    def _own_copy(self, caller: Caller, upload: Upload, found: Entry) -> str:
        """The run itself for whoever made it, for anybody else a copy of their own."""
        if self.visitors.owned(caller.session, found.id):
            return found.id
        entry, delete_key = self.store.copy(found.id)
        self.visitors.get(caller.session).owned[entry.id] = Owned(delete_key, upload.title)
        return entry.id

    @staticmethod
    def question(upload: Upload, settings: Settings) -> str:
        """Key of clip, settings, tier that runs and code, whatever the mode: a run of refine holds the others too."""
        options = settings.to_dict() | {"tier": choose_tier(settings).tier}
        del options["mode"]
        return content_key(upload.sha256, options, __version__)

    def finish(self, order: Order) -> str:
        """Keep what a finished order has built. Returns the run's id; raises what went wrong."""
        if order.found:
            return order.found
        ticket, workspace = order.ticket, order.workspace
        assert ticket is not None and workspace is not None and ticket.over
        try:
            if ticket.error is not None:
                raise ticket.error
            entry, delete_key = self.store.keep(workspace, self.question(order.upload, order.settings))
        finally:
            self.store.discard(workspace)
        visitor = self.visitors.known(order.caller.session)
        if visitor is not None:
            visitor.owned[entry.id] = Owned(delete_key, order.upload.title)
        self.rates.learn(order.settings.mode, order.frames, ticket.seconds)
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
                if not self.presence.there(order.caller.session, within=LISTEN_GRACE):
                    raise Cancelled("Nobody listens any more.")
                card = self.progress(order)
                if card != said:
                    said = card
                    yield card
                await asyncio.sleep(POLL)
        except BaseException:
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
        """Expected seconds until all of these are done; a count of people takes no time to speak of."""
        total = 0.0
        for ticket in tickets:
            job = ticket.job
            if job.kind == "run" and ticket.state == "running":
                total += self.rates.left(job.settings.mode, job.frames, ticket.stage, ticket.fraction)
            elif job.kind == "run":
                total += self.rates.total(job.settings.mode, job.frames)
        return total

    # ---- results -------------------------------------------------------------------------------------------------

    def open(self, query: Mapping[str, str], session: str = "") -> Shown | None:
        """What a link asks for: ?run=<id> or ?example=<name>; None when it asks for nothing. Raises ResultError.

        Only the session that made a run sees the name that it gave.
        """
        if "run" in query:
            entry, folder = self.store.get(query["run"])
            shown = shown_run(entry.id, folder, entry.shared)
            owned = self.visitors.owned(session, entry.id)
            return replace(shown, title=owned.title) if owned and owned.title else shown
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

    def share(self, shown: Shown, session: str, delete_key: str = "") -> Shown:
        """Keep a run beyond the program's end, for its owner. An example or a shared run is there already."""
        if shown.is_example or shown.shared:
            self._draw(shown)
            return shown
        owned = self.owned(session, shown)
        if not self.store.owns(shown.id, owned.delete_key if owned else delete_key):
            raise ResultError("Only whoever made this result can share it; run the clip yourself to have your own.")
        self._draw(shown)
        return replace(shown, shared=self.store.share(shown.id).shared)

    def _draw(self, shown: Shown) -> None:
        """Have the picture made that a link to a result shows; a link without one does too."""
        if shown.clip is not None:
            with contextlib.suppress(JoshError, OSError):
                self.workshop.ask(shown, shown.best, PREVIEW)

    def delete(self, shown: Shown, session: str, delete_key: str = "") -> None:
        """Remove a run for its owner. Raises ResultError."""
        if shown.is_example:
            raise ResultError("An example cannot be deleted.")
        owned = self.owned(session, shown)
        self.store.delete(shown.id, delete_key or (owned.delete_key if owned else ""))

    @property
    def served(self) -> list[Path]:
        """Folders whose files the page may show: results and examples, nothing else."""
        own = [self.store.root / "runs", self.room.made]
        return [*own, *{folder.parent for shown in self.examples.values() for folder in shown.folders.values()},
                *{shown.clip for shown in self.examples.values() if shown.clip}]  # fmt: skip


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
