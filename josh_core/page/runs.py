"""Runs under way: put in line, followed, and kept piece by piece.

A run enters the store with the first results that are finished, and grows while the rest is computed; its address stays
the same. What is kept is whole, and a crash or a cancel loses only what was not finished yet.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from josh_core import __version__
from josh_core.errors import Cancelled, JobError
from josh_core.export.bundle import content_key
from josh_core.export.early_results import PEOPLE
from josh_core.networks.weights import choose_tier
from josh_core.page.caller import Caller
from josh_core.page.cost import frames_of
from josh_core.page.disk_space import Room
from josh_core.page.inputs import Upload
from josh_core.page.markup import LEAVING, LEAVING_MEDIA, duration, progress_card
from josh_core.page.presence import Presence
from josh_core.page.rates import MEDIA, Rates, Size
from josh_core.page.visitors import Owned, Visitors
from josh_core.serving.jobs import Job, Jobs, Ticket, no_room
from josh_core.serving.store import Entry, Store
from josh_core.serving.tasks import FORMATS, OVERLAY
from josh_core.settings import Settings

POLL = 0.4  # s between two looks at a running job
LISTEN_GRACE = 15.0  # s for which a run goes on, or is not begun, while nobody listens
_STAGE_OF = {FORMATS: "formats", OVERLAY: "videos"}  # in which a run makes them


@dataclass
class Order:
    """A run that was asked for. `run` is its id once something of it is kept, at once where it was in the store."""

    caller: Caller
    upload: Upload
    settings: Settings
    run: str = ""
    whole: bool = False  # whether the mode that was asked for is kept
    pieces: int = 0  # kept so far
    ticket: Ticket | None = None  # None: nothing is computed
    workspace: Path | None = None

    @property
    def frames(self) -> int:
        """Frames that the run takes."""
        return frames_of(self.upload.look, self.settings)

    @property
    def size(self) -> Size:
        """How much there is to do, with the people whom the run has found or, before, the guess."""
        found = self.ticket.shown.get(PEOPLE) if self.ticket is not None else None
        people = found["count"] if found else self.upload.people or 1
        return Size(self.frames, min(people, self.settings.people or self.settings.max_people))


@dataclass(frozen=True)
class News:
    """What has changed about an order since the last news."""

    card: str  # how far it is, as HTML
    grown: bool  # more of the result is kept
    shown: tuple[str, ...]  # names of what the job shows for the first time (Ticket.shown)


class Runs:
    """Puts runs in line and keeps what they finish. Everything but `follow` may be called from any thread."""

    def __init__(  # noqa: PLR0913, PLR0917  the rooms it works in
        self,
        store: Store,
        room: Room,
        jobs: Jobs,
        visitors: Visitors,
        rates: Rates,
        presence: Presence,
        programs: int,
    ) -> None:
        """`programs` places in line may be taken by programs; the others are for people at the page."""
        self._store, self._room, self._jobs, self._visitors = store, room, jobs, visitors
        self._rates, self._presence, self._programs = rates, presence, programs
        self._orders: dict[Path, Order] = {}  # under way, by workspace

    # ---- asking --------------------------------------------------------------------------------------------------

    def order(self, caller: Caller, upload: Upload, settings: Settings) -> Order:
        """Find the stored answer or put the run in line. Raises JobError when the line is full."""
        order = Order(caller, upload, settings)
        found = self._store.find(question(upload, settings), settings.mode)
        if found is not None:
            order.run, order.whole = self._own_copy(order, found), True
            return order
        if caller.program and sum(t.job.owner.startswith("programs") for t in self._jobs.tickets()) >= self._programs:
            raise JobError("All places in line for programs are taken; please try again in a few minutes.")
        if self._room.is_full:  # else the run would fail at its end
            raise no_room()
        order.workspace = workspace = self._store.workspace()
        self._orders[workspace] = order
        job = Job(upload.path, settings, workspace, caller.owner, caller.client, order.frames)
        try:
            order.ticket = self._jobs.submit(job, functools.partial(self._keep, order))
        except BaseException:
            del self._orders[workspace]
            self._store.discard(workspace)
            raise
        self._visitors.get(caller.session).ticket = order.ticket
        return order

    def _own_copy(self, order: Order, found: Entry) -> str:
        """The run itself for whoever made it, for anybody else a copy of their own."""
        if self._visitors.owned(order.caller.session, found.id):
            return found.id
        entry, delete_key = self._store.copy(found.id)
        self._own(order, entry.id, delete_key)
        return entry.id

    def _own(self, order: Order, run_id: str, delete_key: str) -> None:
        visitor = self._visitors.known(order.caller.session)
        if visitor is not None:
            visitor.owned[run_id] = Owned(delete_key, order.upload.title)

    # ---- keeping -------------------------------------------------------------------------------------------------

    def _keep(self, order: Order, _: Ticket, folder: Path, place: str) -> None:
        """Take a finished piece into the store; the first makes the run. Raises ResultError when the run is gone."""
        if not order.run:
            entry, delete_key = self._store.keep(folder, question(order.upload, order.settings))
            self._own(order, entry.id, delete_key)
            order.run = entry.id
        else:
            self._store.add(order.run, folder, place)
        entry, _folder = self._store.get(order.run)
        order.whole = order.settings.mode in self._store.modes(entry)
        order.pieces += 1

    def ended(self, ticket: Ticket) -> None:
        """The job of an order is over; jobs of other kinds are no matter here."""
        order = self._orders.pop(ticket.job.out, None)
        if order is None:
            return
        self._store.discard(ticket.job.out)
        if order.whole:
            seconds, stopped = dict(ticket.seconds), ticket.error is not None
            if stopped:
                seconds.pop(ticket.stage, None)
            self._rates.learn(order.settings.mode, order.size, seconds, whole=not stopped)
        if order.run:
            self._store.mirror_again(order.run)

    def stop(self, run_id: str) -> None:
        """Let a run not grow any more."""
        for order in list(self._orders.values()):
            if order.run == run_id and order.ticket is not None:
                self._jobs.cancel(order.ticket)

    # ---- following -----------------------------------------------------------------------------------------------

    async def follow(self, order: Order) -> AsyncIterator[News]:
        """News until the order is done. When nobody listens any more, the job is stopped."""
        last, pieces, seen = "", 0, set[str]()
        ticket = order.ticket
        try:
            while ticket is not None and not ticket.over:
                if not self._presence.there(order.caller.session, within=LISTEN_GRACE):
                    raise Cancelled("Nobody listens any more.")
                kept, shown = order.pieces, tuple(name for name in list(ticket.shown) if name not in seen)
                news = News(self.progress(order), kept > pieces, shown)
                if news.card != last or news.grown or shown:
                    last, pieces = news.card, kept
                    seen.update(shown)
                    yield news
                await asyncio.sleep(POLL)
        except BaseException:
            if ticket is not None:
                self._jobs.cancel(ticket)
            raise

    def progress(self, order: Order) -> str:
        """A card that says how far an order is and how long it will take."""
        ticket, mode = order.ticket, order.settings.mode
        assert ticket is not None
        stages = self._rates.stages(mode, order.size)
        if ticket.state == "waiting":
            ahead = self._jobs.ahead(ticket)
            wait = f"begins in about {duration(self.waiting_time(ahead))}"
            return progress_card(stages, f"Number {len(ahead)} in line", 0.0, wait)
        media = ticket.stage in MEDIA
        left = self._rates.left(mode, order.size, ticket.stage, ticket.fraction, media)
        leaving = LEAVING_MEDIA if media else LEAVING
        note = f"about {duration(left)} left"
        return progress_card(stages, ticket.stage or "Starting", ticket.fraction, note, leaving)

    def waiting_time(self, tickets: list[Ticket]) -> float:
        """Expected seconds until all of these are done; a count of people takes no time to speak of."""
        total = 0.0
        for ticket in tickets:
            job, order = ticket.job, self._orders.get(ticket.job.out)
            if job.kind == "run":
                stage, fraction = (ticket.stage, ticket.fraction) if ticket.state == "running" else ("", 0.0)
                size = order.size if order is not None else Size(job.frames)
                total += self._rates.left(job.settings.mode, size, stage, fraction, media=True)
        return total

    def making(self, run_id: str, mode: str, part: str) -> dict[str, Any] | None:
        """How far a file is that a run is about to make by itself, as Workshop.ask says it; None for any other."""
        order = next((o for o in list(self._orders.values()) if o.run == run_id and o.settings.mode == mode), None)
        stage, ticket = _STAGE_OF.get(part), order.ticket if order else None
        if order is None or ticket is None or ticket.over or stage is None:
            return None
        stages = self._rates.stages(mode, order.size)
        fraction = ticket.fraction if ticket.stage == stage else 0.0
        left = self._rates.left(mode, order.size, ticket.stage, ticket.fraction, media=True)
        if stage == "formats":
            left = max(1.0, left - stages.get("videos", 0.0))
        return {"fraction": round(fraction, 3), "note": f"being made, about {duration(left)} left"}

    def made_by_itself(self, run_id: str) -> tuple[str, ...]:
        """Parts of the best mode's files that a run under way will make."""
        order = next((o for o in list(self._orders.values()) if o.run == run_id), None)
        return tuple(_STAGE_OF) if order and order.whole and order.ticket and not order.ticket.over else ()


def question(upload: Upload, settings: Settings) -> str:
    """Key of clip, settings, tier that runs and code, whatever the mode: a run of refine holds the others too."""
    options = settings.to_dict() | {"tier": choose_tier(settings).tier}
    del options["mode"]
    return content_key(upload.sha256, options, __version__)
