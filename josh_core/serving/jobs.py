"""The line of jobs in front of the devices: one heavy job at a time on each, a limit, a fair share, and tickets.

Where a job runs is a runner's business (runners.py): in a process of its own, or in the page's.
"""

from __future__ import annotations

import contextvars
import errno
import logging
import os
import secrets
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from josh_core.errors import Cancelled, JobError, JoshError
from josh_core.progress import Progress
from josh_core.serving.disk import move
from josh_core.settings import Settings

State = Literal["waiting", "running", "done", "failed", "cancelled"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One run: what to read, how, and the folder to write into."""

    clip: Path
    settings: Settings
    out: Path
    owner: str = ""  # the visitor whose job it is, to give everybody a fair share of the line
    client: str = ""  # the address that the visitor came from; several visitors may share one
    frames: int = 0  # expected, for estimates and the log
    # A look at a clip and a count of its people come before a run; their `out` is a file. A file job makes `name` of
    # the result beside `clip`.
    kind: Literal["run", "look", "count", "file"] = "run"
    name: str = ""


Work = Callable[[Job, Progress], None]
HandOver = Callable[["Ticket", Path, str], None]


@dataclass
class Ticket:
    """The life of one job, written by its lane and read by the page."""

    job: Job
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "waiting"
    stage: str = ""
    fraction: float = 0.0  # of the stage, in [0, 1]
    error: JoshError | None = None  # why it failed
    begun: float = 0.0  # s, time.monotonic() at the start
    took: float = 0.0  # s from start to end
    seconds: dict[str, float] = field(default_factory=dict)  # wall time of each stage so far
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    hand_over: HandOver | None = None  # takes what the job has finished on the way; None leaves it in the job's `out`
    shown: dict[str, Any] = field(default_factory=dict)  # what the job has shown on the way, by name
    _stage_begun: float = 0.0

    @property
    def over(self) -> bool:
        """Done, failed or cancelled."""
        return self.state in ("done", "failed", "cancelled")

    def report(self, stage: str, fraction: float) -> None:
        """Note progress; the lane calls it."""
        if stage != self.stage and stage in self.seconds and fraction == 1.0:
            return  # the end of a stage that held others
        now = time.monotonic()
        if self.stage:
            self.seconds[self.stage] = now - self._stage_begun
        if stage != self.stage:
            self._stage_begun = now - self.seconds.get(stage, 0.0)
        self.stage, self.fraction = stage, fraction
        self.seconds[stage] = now - self._stage_begun

    def take(self, folder: Path, place: str) -> None:
        """Take a folder that the job has finished, for `place` in its result; when that fails, the job has failed."""
        try:
            if self.hand_over is None:
                move(folder, self.job.out / place)
            else:
                self.hand_over(self, folder, place)
        except Exception as error:
            self.error = as_told(error)
            self.stop.set()

    def show(self, name: str, value: Any) -> None:
        """Note what the job shows; the lane calls it."""
        self.shown[name] = value

    def finish(self, error: JoshError | None) -> None:
        """Note the end."""
        self.error = error = self.error or error
        now = time.monotonic()
        self.took = now - self.begun if self.begun else 0.0
        if self.stage:
            self.seconds[self.stage] = now - self._stage_begun
        self.state = "done" if error is None else "cancelled" if isinstance(error, Cancelled) else "failed"
        self.ended.set()


class Runner(Protocol):
    """Where jobs of one device run. `run` returns when the job is done and raises JoshError when it is not."""

    def run(self, ticket: Ticket) -> None:
        """Do the ticket's job."""

    def close(self) -> None:
        """Let go of everything."""


class Jobs:
    """The line in front of the devices. Everything here may be called from any thread."""

    def __init__(
        self,
        runners: Sequence[Runner],
        limit: int = 8,
        per_owner: int = 2,
        per_client: int = 0,
        on_end: Callable[[Ticket], None] | None = None,
    ) -> None:
        """`limit` jobs may wait, `per_owner` and `per_client` (0: any number) of one may wait or run.

        on_end: told of each job that is over, from any thread.
        """
        self._line: list[Ticket] = []
        self._running: list[Ticket] = []
        self._change = threading.Condition()
        self._closed = False
        self.limit, self.per_owner, self.per_client = limit, per_owner, per_client or limit
        self._on_end = on_end or (lambda ticket: None)
        self._runners = list(runners)
        for runner in self._runners:
            threading.Thread(target=self._lane, args=(runner,), daemon=True, name="lane").start()

    def submit(self, job: Job, hand_over: HandOver | None = None) -> Ticket:
        """Put a job in line. Raises JobError when the line is full or its owner has enough in it.

        hand_over: takes each folder that the job finishes on the way (Ticket.take), in the thread of its lane.
        """
        with self._change:
            mine = [t for t in (*self._line, *self._running) if job.owner and t.job.owner == job.owner]
            if len(mine) >= self.per_owner:
                raise JobError(
                    f"You already have {len(mine)} clips in line; wait for one to finish or cancel it, then try again."
                )
            near = [t for t in (*self._line, *self._running) if job.client and t.job.client == job.client]
            if len(near) >= self.per_client:
                raise JobError(
                    f"There are {len(near)} clips in line already from your network address; "
                    "wait for one to finish, then try again."
                )
            if len(self._line) >= self.limit:
                raise JobError(
                    f"The line is full ({self.limit} clips are waiting); please try again in a few minutes, "
                    "and look at an example meanwhile."
                )
            ticket = Ticket(job, hand_over=hand_over)
            self._line.append(ticket)
            self._change.notify_all()
            return ticket

    def position(self, ticket: Ticket) -> int:
        """How many jobs are before this one, those that run included; 0 once it runs or is over."""
        with self._change:
            if ticket not in self._line:
                return 0
            return self._in_turn().index(ticket) + len(self._running)

    def ahead(self, ticket: Ticket) -> list[Ticket]:
        """The jobs before this one, running ones first."""
        with self._change:
            if ticket not in self._line:
                return []
            line = self._in_turn()
            return [*self._running, *line[: line.index(ticket)]]

    def tickets(self) -> list[Ticket]:
        """All that run or wait, in order."""
        with self._change:
            return [*self._running, *self._in_turn()]

    def _in_turn(self) -> list[Ticket]:
        """The line in the order in which it is served: first come, but everybody's first before anybody's second."""
        count = Counter(t.job.client for t in self._running if t.job.client)
        turns: list[tuple[int, Ticket]] = []
        for ticket in self._line:
            client = ticket.job.client
            turns.append((count[client] if client else 0, ticket))
            count[client] += 1
        return [ticket for _, ticket in sorted(turns, key=lambda turn: turn[0])]

    def cancel(self, ticket: Ticket) -> None:
        """Take a job out of the line, or ask it to stop where it is."""
        ticket.stop.set()
        with self._change:
            if ticket in self._line:
                self._line.remove(ticket)
                ticket.finish(Cancelled("The run was cancelled."))
                self._on_end(ticket)

    def cancel_owner(self, owner: str) -> None:
        """Cancel whatever this owner has in line or running."""
        with self._change:
            mine = [t for t in (*self._line, *self._running) if t.job.owner == owner]
        for ticket in mine:
            self.cancel(ticket)

    def close(self) -> None:
        """Stop everything and end the processes."""
        with self._change:
            self._closed = True
            waiting, running = list(self._line), list(self._running)
            self._change.notify_all()
        for ticket in (*waiting, *running):
            self.cancel(ticket)
        for runner in self._runners:
            runner.close()

    def _lane(self, runner: Runner) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._line or self._closed)
                if self._closed:
                    return
                ticket = self._in_turn()[0]
                self._line.remove(ticket)
                self._running.append(ticket)
                ticket.begun, ticket.state = time.monotonic(), "running"
            error = _outcome(runner, ticket)
            with self._change:
                self._running.remove(ticket)
                ticket.finish(error)
                self._change.notify_all()
            self._on_end(ticket)


def _outcome(runner: Runner, ticket: Ticket) -> JoshError | None:
    try:
        runner.run(ticket)
    except Exception as error:
        return as_told(error)
    return None


def as_told(error: BaseException) -> JoshError:
    """Any error as a visitor is told of it: one sentence. What only its makers can mend goes to the log as well."""
    if isinstance(error, JoshError):
        below = error.__cause__  # a folder that a command line's user may change, a visitor may not
        return as_told(below) if isinstance(below, OSError) and below.errno in _DISK else error
    if isinstance(error, MemoryError):
        return JobError("There is not enough memory for this clip; try a shorter part of it or fewer people.")
    if isinstance(error, OSError) and error.errno in _DISK:
        _log.error("the results folder cannot be written: %s", os.strerror(error.errno))
        return no_room(_DISK[error.errno])
    _log.error("a fault of this program: %s", "".join(traceback.format_exception(error)).rstrip())
    return JobError("Something went wrong inside the program; try a shorter part of the clip, or another mode.")


def no_room(reason: str = "its disk is full") -> JobError:
    """What is said when nothing can be stored."""
    return JobError(f"This service cannot store anything now ({reason}); please try again later.")


_DISK = {
    errno.ENOSPC: "its disk is full",
    errno.EDQUOT: "its disk is full",
    errno.EROFS: "its disk is read-only",
    errno.EIO: "its disk fails",
    errno.EACCES: "its folder may not be written",
    errno.EPERM: "its folder may not be written",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
}
