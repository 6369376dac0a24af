"""The operations behind the page's buttons: take an upload, open a result, share and delete it. Runs are in runs.py.

One object serves all visitors. The files of one visitor are in a folder of their own, removed when they leave.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from josh_core.clip.file_hash import file_sha256
from josh_core.clip.look import FIRST_WINDOW
from josh_core.errors import Cancelled, ClipError, JoshError, ResultError
from josh_core.page.config import Config
from josh_core.page.files_on_demand import FilesOnDemand
from josh_core.page.machine.disk_space import DiskSpace
from josh_core.page.machine.health import Health
from josh_core.page.machine.rates import Rates
from josh_core.page.protection.presence import Presence
from josh_core.page.protection.upload_checks import UploadChecks
from josh_core.page.runs import LISTEN_GRACE, Runs
from josh_core.page.shown_run import ShownRun, examples, stored_run
from josh_core.page.visitors.caller import Caller
from josh_core.page.visitors.inputs import Upload
from josh_core.page.visitors.visitor import Owned, Visitors
from josh_core.serving.disk import link_or_copy
from josh_core.serving.jobs import Job, Jobs, Runner, Ticket
from josh_core.serving.store import Store
from josh_core.serving.tasks import PREVIEW
from josh_core.settings import Settings

# Chosen by hand, except where a measurement or a source is given.
COUNT_SECONDS = 8.0  # s that a guess at the number of people may take
LEFT_AFTER = 120.0  # s without a connection after which a visitor has left
CLIP = "clip"  # what a visitor's clip is called, in a folder of its own
_CLEAN_EVERY = 60.0  # s between two searches for what has expired. Chosen
_log = logging.getLogger(__name__)


class PageService:
    """All state that lives as long as the program: store, queue, visitors, examples."""

    def __init__(
        self, config: Config, runners: Sequence[Runner], files: Runner, checks: Sequence[Runner], examples_root: Path
    ) -> None:
        """runners: for runs; files: makes files from results; checks: inspect uploads (upload_checks.check_runners)."""
        self.config = config
        self.store = Store(config.store, config.limits, config.mirror())
        self.disk = DiskSpace(self.store, int(config.max_upload_mb * 1e6))
        self.uploads = self.disk.uploads
        self.visitors = Visitors(self.disk.visitors)
        self.rates = Rates(self.store.root / "rates.json")
        self.examples = examples(examples_root, self.disk.made)
        self._health = Health(config.devices)
        self.files_on_demand = FilesOnDemand(self.store, files, self.rates, self._health.note)
        self.jobs = Jobs(runners, config.queue, config.per_visitor, config.per_address, self._job_ended)
        self.upload_checks = UploadChecks(checks)
        self.presence = Presence()
        self.runs = Runs(self.store, self.disk, self.jobs, self.visitors, self.rates, self.presence)
        self._closing = threading.Event()
        threading.Thread(target=self._clean_regularly, daemon=True, name="cleaner").start()

    def close(self) -> None:
        """Stop the jobs and let another program use the store."""
        self._closing.set()
        self.upload_checks.close()
        self.jobs.close()
        self.files_on_demand.close()
        self.store.close()

    def _job_ended(self, ticket: Ticket) -> None:
        self._health.note(ticket)
        self.runs.ended(ticket)

    def _clean_regularly(self) -> None:
        while not self._closing.wait(_CLEAN_EVERY):
            try:
                self.clean_up()
            except Exception:  # the next time may be better; without this thread nothing would expire
                _log.exception("removing expired files failed")

    def clean_up(self) -> None:
        """Remove files of visitors who have left, unused uploads, and results that expired or exceed the disk space."""
        for session in self.visitors.sessions():
            if not self.presence.is_connected(session, within=LEFT_AFTER):
                self.leave(session)
        self.disk.clean_up(self.visitors.claimed())

    def has_room_for(self, more: int, network: str = "", arriving: int = 0) -> bool:
        """Whether `more` bytes of uploads can be taken now from a network that is sending `arriving` bytes already."""
        if network and self.visitors.taken(network) + arriving + more > self.disk.max_address_bytes:
            return False
        return self.disk.has_room_for(more, self.visitors.claimed())

    def listening(self, session: str) -> contextlib.AbstractContextManager[None]:
        """While a connection of the session is open."""
        return self.presence.connection(session)

    def health(self) -> dict[str, Any]:
        """The report of /healthz."""
        return self._health.report(self.jobs, self.disk, self.presence.count)

    def leave(self, session: str) -> None:
        """The visitor has closed the page: stop their jobs and remove their files. Results stay until they expire."""
        self.upload_checks.leave(session)
        self.jobs.cancel_owner(session)
        self.visitors.leave(session)

    def owned(self, session: str, shown: ShownRun) -> Owned | None:
        """Delete key and title of a run that this session made; None for any other run."""
        return self.visitors.owned(session, shown.id)

    async def take(self, caller: Caller, path: object, name: str = "", copied: bool = True) -> Upload:
        """Take an uploaded file into the visitor's folder. Raises ClipError when it is not a usable video.

        `path` comes from the client, so it counts only inside the server's folder of uploads; an example's clip,
        which does not, is taken with `copied` False. `name` is what the visitor calls it.
        """
        await self._wait_for_listener(caller)
        place = await asyncio.to_thread(self._adopt, caller, Path(str(path)), copied)
        try:
            look = await self.upload_checks.check(place, caller.session, caller.client)
            return Upload(place, await asyncio.to_thread(file_sha256, place), look, title=Path(name).stem[:80])
        except BaseException:
            self.visitors.drop(caller.session, place)
            raise

    async def _wait_for_listener(self, caller: Caller) -> None:
        """Wait until the caller is connected: nothing is begun for a caller who has left."""
        if not await self.presence.wait(caller.session, LISTEN_GRACE):
            raise Cancelled("Nobody listens any more.")

    def _adopt(self, caller: Caller, path: Path, copied: bool) -> Path:
        """Link an upload into the visitor's folder, under a neutral name that neither a decoder nor others can use."""
        source = path.resolve()
        if copied and (not source.is_relative_to(self.uploads) or not source.is_file()):
            raise ClipError("The upload did not arrive; please choose the file again.")
        visitor = self.visitors.get(caller.session, caller.client)
        place = visitor.folder / secrets.token_hex(6) / CLIP
        place.parent.mkdir()
        link_or_copy(source, place)
        if copied:
            visitor.uploads[place] = source
        kept = {place, *(ticket.job.clip for ticket in self.jobs.tickets())}
        for older in {folder / CLIP for folder in visitor.folder.iterdir()} - kept:
            self.visitors.drop(caller.session, older)
        if self.visitors.taken(caller.client) > self.disk.max_address_bytes:
            self.visitors.drop(caller.session, place)
            raise ClipError("The clips of your network address take all the room they may; please try again later.")
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

    def open(self, query: Mapping[str, str], session: str = "") -> ShownRun | None:
        """The run of a link's query: ?run=<id> or ?example=<name>; None for any other. Raises ResultError.

        Only the session that made a run sees the name that it gave.
        """
        if "run" in query:
            entry, folder = self.store.get(query["run"])
            shown = stored_run(entry.id, folder, entry.shared)
            owned = self.visitors.owned(session, entry.id)
            return replace(shown, title=owned.title) if owned and owned.title else shown
        if "example" in query:
            if query["example"] not in self.examples:
                raise ResultError("There is no such example; choose one of those on the page.")
            return self.examples[query["example"]]
        return None

    def request_file(self, request: object) -> dict[str, Any]:
        """State of the file that a visitor requests (files_on_demand.py) as {query, mode, name}. Raises JoshError."""
        asked = [str(request.get(key))[:200] if isinstance(request, dict) else "" for key in ("query", "mode", "name")]
        shown = self.open(dict(parse_qsl(asked[0])))
        if shown is None:
            raise ResultError("There is no such result; open an example or run a clip.")
        _, mode, name = asked
        made = None if mode not in shown.folders or shown.file(mode, name) else name.split("/", maxsplit=1)[0]
        under_way = self.runs.file_state(shown.id, mode, made) if made else None
        return under_way or self.files_on_demand.request(shown, mode, name)

    def share(self, shown: ShownRun, session: str, delete_key: str = "") -> ShownRun:
        """Keep a run beyond the program's end, for its owner. An example or a shared run is there already."""
        if shown.is_example or shown.shared:
            self._make_preview(shown)
            return shown
        owned = self.owned(session, shown)
        if not self.store.owns(shown.id, owned.delete_key if owned else delete_key):
            raise ResultError("Only whoever made this result can share it; run the clip yourself to have your own.")
        self._make_preview(shown)
        return replace(shown, shared=self.store.share(shown.id).shared)

    def _make_preview(self, shown: ShownRun) -> None:
        """Request the picture for link previews; a failure is ignored, since links work without it."""
        if shown.clip is not None:
            with contextlib.suppress(JoshError, OSError):
                self.files_on_demand.request(shown, shown.best, PREVIEW)

    def delete(self, shown: ShownRun, session: str, delete_key: str = "") -> None:
        """Remove a run for its owner. Raises ResultError."""
        if shown.is_example:
            raise ResultError("An example cannot be deleted.")
        owned = self.owned(session, shown)
        self.remove(shown.id, delete_key or (owned.delete_key if owned else ""))

    def remove(self, run_id: str, delete_key: str) -> None:
        """Remove a run, and stop what is still computed for it. Raises ResultError unless the key is its owner's."""
        self.store.delete(run_id, delete_key)
        self.runs.stop(run_id)

    @property
    def served(self) -> list[Path]:
        """Folders whose files the page may show: results and examples, nothing else."""
        own = [self.store.root / "runs", self.disk.made]
        return [*own, *{folder.parent for shown in self.examples.values() for folder in shown.folders.values()},
                *{shown.clip for shown in self.examples.values() if shown.clip}]  # fmt: skip
