"""First looks at uploads, in processes that can be killed: the page's own process never decodes what it was sent.

Time, memory and the number of looks in line are limited; who leaves takes their look along.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

from josh_core.clip.look import STRIP_SECONDS, Look, look_at
from josh_core.errors import Cancelled, ClipError, JobError
from josh_core.progress import Progress
from josh_core.serving.jobs import Job, Jobs, Runner, Ticket
from josh_core.serving.processes import limit_memory
from josh_core.serving.runners import ProcessRunner
from josh_core.settings import Settings

LANES = 2  # looks at once
LINE = 24  # looks that may wait
FACTS_SECONDS = 8.0  # s until the facts of a file must be known
MEMORY = 2 << 30  # bytes for one look: 8K video needs about 1 GB to decode
_POLL = 0.03  # s
_LONGEST = 60.0  # s for a look and the start of its process, on a machine that has much else to do
_GRACE = 0.3  # s from asking a look to stop until its process is killed


def lookers() -> list[ProcessRunner]:
    """The processes that look, started at once, so that the first visitor need not wait for them."""
    runners = [ProcessRunner(look, "cpu", grace=_GRACE, longest=_LONGEST, prepare=_prepare) for _ in range(LANES)]
    for runner in runners:
        runner.warm()
    return runners


def _prepare() -> None:
    limit_memory(MEMORY)


def look(job: Job, progress: Progress) -> None:
    """The work of a look: each better one replaces the file `job.out`."""

    def keep(found: Look) -> None:
        progress.update(0.0)
        fresh = job.out.with_suffix(".tmp")
        fresh.write_text(found.to_json(), "utf-8")
        os.replace(fresh, job.out)

    with progress.stage("look"):  # says that the process is there
        look_at(job.clip, keep)


class Looks:
    """The line of looks."""

    def __init__(self, runners: Sequence[Runner]) -> None:
        self._jobs = Jobs(runners, LINE, per_owner=2, per_client=LINE // 2)

    def close(self) -> None:
        """Stop all looks and end the processes."""
        self._jobs.close()

    def leave(self, session: str) -> None:
        """The visitor has gone."""
        self._jobs.cancel_owner(session)

    async def at(self, clip: Path, session: str, client: str) -> Look:
        """Look at a file. Raises ClipError when it cannot be used, JobError when too many wait, Cancelled."""
        self.leave(session)  # who chooses another clip no longer waits for the first
        note = clip.with_name("look.json")
        ticket = self._jobs.submit(Job(clip, Settings(), note, session, client, kind="look"))
        try:
            await self._follow(ticket, note)
        except BaseException:
            self._jobs.cancel(ticket)
            raise
        if isinstance(ticket.error, ClipError):
            raise ticket.error
        if note.is_file():
            return Look.from_json(note.read_text("utf-8"))
        if isinstance(ticket.error, Cancelled) and ticket.stop.is_set():
            raise _too_slow() if ticket.begun else ticket.error
        if isinstance(ticket.error, JobError):
            raise ClipError("This clip cannot be read here, it needs too much memory; export it again as MP4 (H.264).")
        raise ticket.error or _too_slow()

    async def _follow(self, ticket: Ticket, note: Path) -> None:
        """Until the look is over; one that takes too long is stopped, and what it has found by then counts."""
        begun = facts_known = 0.0
        while not ticket.over:
            await asyncio.sleep(_POLL)
            now = time.monotonic()
            if not begun and ticket.stage:  # a new process, after one was ended, takes a while to start
                begun = now
            if not facts_known and begun and note.is_file():
                facts_known = now
            late = now - facts_known > 1.5 * STRIP_SECONDS if facts_known else False
            if late or (begun and not facts_known and now - begun > FACTS_SECONDS):
                self._jobs.cancel(ticket)


def _too_slow() -> ClipError:
    return ClipError(
        f"This clip cannot be read within {FACTS_SECONDS:.0f} s; please cut it, or export it again as MP4 (H.264)."
    )
