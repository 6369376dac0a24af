"""Checks of uploads, in processes that can be killed: the page's own process never decodes what it was sent.

Time, memory and the number of waiting checks are limited; the check of a visitor who leaves is cancelled.
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

# Chosen by hand, except where a measurement or a source is given.
LANES = 2  # checks at a time. Chosen
QUEUE = 24  # checks that may wait. Chosen
FACTS_SECONDS = 8.0  # s until the facts of a file must be known
MEMORY = 2 << 30  # bytes for one check: 8K video needs about 1 GB to decode
_POLL = 0.03  # s
_LONGEST = 60.0  # s for a check and the start of its process, on a busy machine. Chosen
_GRACE = 0.3  # s from asking a check to stop until its process is killed. Chosen


def check_runners() -> list[ProcessRunner]:
    """The processes that check, started at once, so that the first visitor need not wait for them."""
    runners = [
        ProcessRunner(check_upload, "cpu", grace=_GRACE, longest=_LONGEST, prepare=_prepare) for _ in range(LANES)
    ]
    for runner in runners:
        runner.warm()
    return runners


def _prepare() -> None:
    limit_memory(MEMORY)


def check_upload(job: Job, progress: Progress) -> None:
    """Check the clip of a job: each better Look replaces the file `job.out`."""

    def keep(found: Look) -> None:
        progress.update(0.0)
        fresh = job.out.with_suffix(".tmp")
        fresh.write_text(found.to_json(), "utf-8")
        os.replace(fresh, job.out)

    with progress.stage("look"):  # signals that the process has started
        look_at(job.clip, keep)


class UploadChecks:
    """The queue of checks."""

    def __init__(self, runners: Sequence[Runner]) -> None:
        self._jobs = Jobs(runners, QUEUE, per_owner=2, per_client=QUEUE // 2, by_use=True)

    def close(self) -> None:
        """Stop all checks and end the processes."""
        self._jobs.close()

    def leave(self, session: str) -> None:
        """The visitor has gone."""
        self._jobs.cancel_owner(session)

    async def check(self, clip: Path, session: str, client: str) -> Look:
        """Check a file. Raises ClipError when it cannot be used, JobError when too many wait, Cancelled."""
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
        """Wait until the check is over; one that takes too long is stopped, and its last Look counts."""
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
