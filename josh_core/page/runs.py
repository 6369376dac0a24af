"""Runs in progress: put into the queue, followed, and stored piece by piece.

A run enters the store with the first results that are finished, and grows while the rest is computed; its address stays
the same. Each stored piece is complete, so a crash or a cancel loses only what was not finished yet.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from josh_core import __version__
from josh_core.errors import Cancelled, JobError, ResultError
from josh_core.export.bundle import content_key, load_manifest
from josh_core.export.early_results import PEOPLE
from josh_core.networks.weights import choose_tier
from josh_core.page.machine.disk_space import DiskSpace
from josh_core.page.machine.rates import MEDIA, Rates, Size
from josh_core.page.parts.cost import frames_of, seems_still
from josh_core.page.parts.markup import LEAVING, LEAVING_MEDIA, duration, progress_card
from josh_core.page.protection.presence import Presence
from josh_core.page.visitors.caller import Caller
from josh_core.page.visitors.inputs import Upload
from josh_core.page.visitors.visitor import Owned, Visitors
from josh_core.serving.jobs import Job, Jobs, Ticket
from josh_core.serving.store import Entry, Store
from josh_core.serving.tasks import FORMATS, OVERLAY
from josh_core.serving.visitor_errors import no_room
from josh_core.settings import Settings

# Chosen by hand, except where a measurement or a source is given.
POLL = 0.4  # s between two looks at a running job
LISTEN_GRACE = 15.0  # s for which a run goes on, or is not begun, while nobody listens
_STAGE_OF = {FORMATS: "formats", OVERLAY: "videos"}  # stage of a run that makes each


@dataclass
class Order:
    """A requested run. `run` is its id as soon as a part of it is stored, at once if an equal run is stored."""

    caller: Caller
    upload: Upload
    settings: Settings
    run: str = ""
    whole: bool = False  # whether the requested mode is stored
    pieces: int = 0  # stored so far
    ticket: Ticket | None = None  # None: nothing is computed
    workspace: Path | None = None

    @property
    def frames(self) -> int:
        """Frames that the run takes."""
        return frames_of(self.upload.look, self.settings)

    @property
    def size(self) -> Size:
        """Amount of work, with the number of people that the run has found or, before, the guess."""
        found = self.ticket.shown.get(PEOPLE) if self.ticket is not None else None
        people = found["count"] if found else self.upload.people or 1
        people = min(people, self.settings.people or self.settings.max_people)
        return Size(self.frames, people, seems_still(self.upload.look, self.settings))


@dataclass(frozen=True)
class RunUpdate:
    """What has changed about an order since the last update."""

    card: str  # its progress, as HTML
    grown: bool  # more of the result is stored
    shown: tuple[str, ...]  # names of new intermediate values (Ticket.shown)


@dataclass(eq=False)
class Runs:
    """Queues runs and stores what they finish. Everything but `follow` may be called from any thread."""

    store: Store
    disk: DiskSpace
    jobs: Jobs
    visitors: Visitors
    rates: Rates
    presence: Presence
    _orders: dict[Path, Order] = field(default_factory=dict, init=False)  # under way, by workspace

    def order(self, caller: Caller, upload: Upload, settings: Settings) -> Order:
        """Find an equal stored run, or put a new one into the queue. Raises JobError when the queue is full."""
        order = Order(caller, upload, settings)
        found = self.store.find(run_key(upload, settings), settings.mode)
        if found is not None:
            order.run, order.whole = self._own_copy(order, found), True
            return order
        programs = sum(t.job.owner.startswith("programs") for t in self.jobs.tickets())
        if caller.program and programs >= max(1, self.jobs.limit // 2):  # the other half is for people at the page
            raise JobError("All places in line for programs are taken; please try again in a few minutes.")
        if self.disk.is_full:  # else the run would fail at its end
            raise no_room()
        order.workspace = workspace = self.store.workspace()
        self._orders[workspace] = order
        job = Job(upload.path, settings, workspace, caller.owner, caller.client, order.frames)
        try:
            order.ticket = self.jobs.submit(job, functools.partial(self._store_piece, order))
        except BaseException:
            del self._orders[workspace]
            self.store.discard(workspace)
            raise
        self.visitors.get(caller.session).ticket = order.ticket
        return order

    def _own_copy(self, order: Order, found: Entry) -> str:
        """The run itself for whoever made it, for anybody else a copy of their own."""
        if self.visitors.owned(order.caller.session, found.id):
            return found.id
        entry, delete_key = self.store.copy(found.id)
        self._own(order, entry.id, delete_key)
        return entry.id

    def _own(self, order: Order, run_id: str, delete_key: str) -> None:
        visitor = self.visitors.known(order.caller.session)
        if visitor is not None:
            visitor.owned[run_id] = Owned(delete_key, order.upload.title)

    def _store_piece(self, order: Order, _: Ticket, folder: Path, place: str) -> None:
        """Move a finished piece into the store; the first creates the run. Raises ResultError when the run is gone."""
        if not order.run:
            entry, delete_key = self.store.keep(folder, run_key(order.upload, order.settings))
            self._own(order, entry.id, delete_key)
            order.run = entry.id
        else:
            self.store.add(order.run, folder, place)
        entry, _folder = self.store.get(order.run)
        order.whole = order.settings.mode in self.store.modes(entry)
        order.pieces += 1

    def ended(self, ticket: Ticket) -> None:
        """To be called with the ticket of each job that is over; jobs of other kinds are ignored."""
        order = self._orders.pop(ticket.job.out, None)
        if order is None:
            return
        self.store.discard(ticket.job.out)
        if order.whole:
            seconds, stopped = dict(ticket.seconds), ticket.error is not None
            if stopped:
                seconds.pop(ticket.stage, None)
            self.rates.learn(order.settings.mode, self._true_size(order), seconds, whole=not stopped)
        if order.run:
            self.store.mirror_again(order.run)

    def _true_size(self, order: Order) -> Size:
        """The amount of work, with the kind of camera that the run has found."""
        try:
            _, folder = self.store.get(order.run)
            return replace(order.size, still=load_manifest(folder / order.settings.mode)["camera"] != "moving")
        except ResultError:  # deleted meanwhile
            return order.size

    def stop(self, run_id: str) -> None:
        """Stop what is still computed for a run."""
        for order in list(self._orders.values()):
            if order.run == run_id and order.ticket is not None:
                self.jobs.cancel(order.ticket)

    async def follow(self, order: Order) -> AsyncIterator[RunUpdate]:
        """Updates until the order is done. When nobody is connected any more, the job is stopped."""
        last, pieces, seen = "", 0, set[str]()
        ticket = order.ticket
        try:
            while ticket is not None and not ticket.over:
                if not self.presence.is_connected(order.caller.session, within=LISTEN_GRACE):
                    raise Cancelled("Nobody listens any more.")
                stored, shown = order.pieces, tuple(name for name in list(ticket.shown) if name not in seen)
                update = RunUpdate(self.progress(order), stored > pieces, shown)
                if update.card != last or update.grown or shown:
                    last, pieces = update.card, stored
                    seen.update(shown)
                    yield update
                await asyncio.sleep(POLL)
        except BaseException:
            if ticket is not None:
                self.jobs.cancel(ticket)
            raise

    def progress(self, order: Order) -> str:
        """A card with the progress of an order and the time left."""
        ticket, mode = order.ticket, order.settings.mode
        assert ticket is not None
        stages = self.rates.stages(mode, order.size)
        if ticket.state == "waiting":
            ahead = self.jobs.ahead(ticket)
            wait = f"begins in about {duration(self.waiting_time(ahead))}"
            return progress_card(stages, f"Number {len(ahead)} in line", 0.0, wait)
        media = ticket.stage in MEDIA
        left = self.rates.left(mode, order.size, ticket.stage, ticket.fraction, media)
        leaving = LEAVING_MEDIA if media else LEAVING
        note = f"about {duration(left)} left"
        return progress_card(stages, ticket.stage or "Starting", ticket.fraction, note, leaving)

    def waiting_time(self, tickets: list[Ticket]) -> float:
        """Expected seconds until all of these are done; counting people is too short to matter."""
        total = 0.0
        for ticket in tickets:
            job, order = ticket.job, self._orders.get(ticket.job.out)
            if job.kind == "run":
                stage, fraction = (ticket.stage, ticket.fraction) if ticket.state == "running" else ("", 0.0)
                size = order.size if order is not None else Size(job.frames)
                total += self.rates.left(job.settings.mode, size, stage, fraction, media=True)
        return total

    def file_state(self, run_id: str, mode: str, part: str) -> dict[str, Any] | None:
        """State of a file that a run in progress will make, as FilesOnDemand.request gives it; None for any other."""
        order = next((o for o in list(self._orders.values()) if o.run == run_id and o.settings.mode == mode), None)
        stage, ticket = _STAGE_OF.get(part), order.ticket if order else None
        if order is None or ticket is None or ticket.over or stage is None:
            return None
        stages = self.rates.stages(mode, order.size)
        fraction = ticket.fraction if ticket.stage == stage else 0.0
        left = self.rates.left(mode, order.size, ticket.stage, ticket.fraction, media=True)
        if stage == "formats":
            left = max(1.0, left - stages.get("videos", 0.0))
        return {"fraction": round(fraction, 3), "note": f"being made, about {duration(left)} left"}

    def upcoming_files(self, run_id: str) -> tuple[str, ...]:
        """Those of the best mode's files that a running run will still make."""
        order = next((o for o in list(self._orders.values()) if o.run == run_id), None)
        return tuple(_STAGE_OF) if order and order.whole and order.ticket and not order.ticket.over else ()


def run_key(upload: Upload, settings: Settings) -> str:
    """Content key of clip, settings, tier and version, without the mode: a run of refine holds the other modes too."""
    options = settings.to_dict() | {"tier": choose_tier(settings).tier}
    del options["mode"]
    return content_key(upload.sha256, options, __version__)
