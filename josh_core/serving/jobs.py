"""The job queue: one heavy job at a time on each device, limits per queue, visitor and address, and tickets.

Runners (runners.py) decide where a job runs: in a process of its own, or in the page's. Messages to visitors call the
queue "the line".
"""

from __future__ import annotations

import contextvars
import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from josh_core.errors import Cancelled, JobError, JoshError
from josh_core.progress import Progress
from josh_core.serving.disk import move
from josh_core.serving.visitor_errors import visitor_error
from josh_core.settings import Settings

USE_HALVES = 60.0  # s in which the time that an address has used counts half; chosen by hand
JobState = Literal["waiting", "running", "done", "failed", "cancelled"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One run: what to read, how, and the folder to write into."""

    clip: Path
    settings: Settings
    out: Path
    owner: str = ""  # the visitor who submitted it, for limits per visitor
    client: str = ""  # network address of the visitor; several visitors may share one
    frames: int = 0  # expected, for estimates and the log
    # "look" and "count" inspect a clip before a run, and `out` is a file. "file" makes the file `name` from the result
    # beside `clip`.
    kind: Literal["run", "look", "count", "file"] = "run"
    name: str = ""


JobFunction = Callable[[Job, Progress], None]
OnPiece = Callable[["Ticket", Path, str], None]


@dataclass
class Ticket:
    """The state of one job, written by the thread of its runner and read by the page."""

    job: Job
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: JobState = "waiting"
    stage: str = ""
    fraction: float = 0.0  # done of the stage, in [0, 1]
    error: JoshError | None = None  # why it failed
    begun: float = 0.0  # s, time.monotonic() at the start
    took: float = 0.0  # s, duration
    seconds: dict[str, float] = field(default_factory=dict)  # wall time of each stage so far
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    hand_over: OnPiece | None = None  # receives each finished piece of the result; None: pieces stay in the job's `out`
    shown: dict[str, Any] = field(default_factory=dict)  # intermediate values from the job (Progress.show), by name
    _stage_begun: float = 0.0

    @property
    def over(self) -> bool:
        """Done, failed or cancelled."""
        return self.state in ("done", "failed", "cancelled")

    def report(self, stage: str, fraction: float) -> None:
        """Record progress; called by the runner."""
        if stage != self.stage and stage in self.seconds and fraction == 1.0:
            return  # the end of a stage that contains others
        now = time.monotonic()
        if self.stage:
            self.seconds[self.stage] = now - self._stage_begun
        if stage != self.stage:
            self._stage_begun = now - self.seconds.get(stage, 0.0)
        self.stage, self.fraction = stage, fraction
        self.seconds[stage] = now - self._stage_begun

    def take(self, folder: Path, place: str) -> None:
        """Receive a finished folder for `place` in the result; if that fails, the job fails."""
        try:
            if self.hand_over is None:
                move(folder, self.job.out / place)
            else:
                self.hand_over(self, folder, place)
        except Exception as error:
            self.error = visitor_error(error)
            self.stop.set()

    def show(self, name: str, value: Any) -> None:
        """Record an intermediate value; called by the runner."""
        self.shown[name] = value

    def finish(self, error: JoshError | None) -> None:
        """Record the end of the job; `error` is None if it succeeded."""
        self.error = error = self.error or error
        now = time.monotonic()
        self.took = now - self.begun if self.begun else 0.0
        if self.stage:
            self.seconds[self.stage] = now - self._stage_begun
        self.state = "done" if error is None else "cancelled" if isinstance(error, Cancelled) else "failed"
        self.ended.set()


class Runner(Protocol):
    """Runs jobs on one device. `run` returns when the job is done and raises JoshError if it failed."""

    def run(self, ticket: Ticket) -> None:
        """Run the ticket's job to its end."""

    def close(self) -> None:
        """Release all resources."""


class Jobs:
    """The job queue, with one thread per runner. All methods may be called from any thread."""

    def __init__(
        self,
        runners: Sequence[Runner],
        limit: int = 8,
        per_owner: int = 2,
        per_client: int = 0,
        on_end: Callable[[Ticket], None] | None = None,
        by_use: bool = False,
    ) -> None:
        """limit: jobs that may wait. per_owner, per_client: jobs of one visitor, one address (0: no limit) in total.

        on_end: called with the ticket of each job that is over, from any thread. by_use: among equal turns, who has
        used the least time lately comes first, so that a few who keep all runners busy do not hold up a newcomer.
        """
        self._line: list[Ticket] = []
        self._running: list[Ticket] = []
        self._change = threading.Condition()
        self._closed = False
        self.limit, self.per_owner, self.per_client = limit, per_owner, per_client or limit
        self._by_use = by_use
        self._used: dict[str, tuple[float, float]] = {}  # by address: s of runners' time, and when it was that much
        self._on_end = on_end or (lambda ticket: None)
        self._runners = list(runners)
        for runner in self._runners:
            threading.Thread(target=self._serve, args=(runner,), daemon=True, name="runner").start()

    def submit(self, job: Job, hand_over: OnPiece | None = None) -> Ticket:
        """Append a job to the queue. Raises JobError if the queue is full or a limit of its owner or client is reached.

        hand_over: receives each folder that the job finishes (Ticket.take), in the thread of its runner.
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

    def ahead(self, ticket: Ticket) -> list[Ticket]:
        """The jobs before this one, running ones first; none once it runs or is over."""
        with self._change:
            if ticket not in self._line:
                return []
            line = self._in_turn()
            return [*self._running, *line[: line.index(ticket)]]

    def tickets(self) -> list[Ticket]:
        """All running and waiting jobs, in order."""
        with self._change:
            return [*self._running, *self._in_turn()]

    def _in_turn(self) -> list[Ticket]:
        """The queue in the order of service: first come first served, but one job of each address in turn."""
        count = Counter(t.job.client for t in self._running if t.job.client)
        turns: list[tuple[int, float, Ticket]] = []
        for ticket in self._line:
            client = ticket.job.client
            turns.append((count[client] if client else 0, self._use(client) if self._by_use else 0.0, ticket))
            count[client] += 1
        return [ticket for *_, ticket in sorted(turns, key=lambda turn: turn[:2])]

    def _use(self, client: str) -> float:
        """Seconds of runners' time that an address has used, older ones counting less."""
        seconds, then = self._used.get(client, (0.0, 0.0))
        return float(seconds * 0.5 ** ((time.monotonic() - then) / USE_HALVES))

    def _note_use(self, ticket: Ticket) -> None:
        self._used = {client: used for client, used in self._used.items() if self._use(client) > 0.1}
        self._used[ticket.job.client] = (self._use(ticket.job.client) + ticket.took, time.monotonic())

    def cancel(self, ticket: Ticket) -> None:
        """Remove a waiting job from the queue, or ask a running one to stop."""
        ticket.stop.set()
        with self._change:
            if ticket in self._line:
                self._line.remove(ticket)
                ticket.finish(Cancelled("The run was cancelled."))
                self._tell_end(ticket)

    def cancel_owner(self, owner: str) -> None:
        """Cancel all waiting and running jobs of this owner."""
        with self._change:
            mine = [t for t in (*self._line, *self._running) if t.job.owner == owner]
        for ticket in mine:
            self.cancel(ticket)

    def close(self) -> None:
        """Cancel all jobs and end the processes."""
        with self._change:
            self._closed = True
            waiting, running = list(self._line), list(self._running)
            self._change.notify_all()
        for ticket in (*waiting, *running):
            self.cancel(ticket)
        for runner in self._runners:
            runner.close()

    def _serve(self, runner: Runner) -> None:
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
                self._note_use(ticket)
                self._change.notify_all()
            self._tell_end(ticket)

    def _tell_end(self, ticket: Ticket) -> None:
        """Call `on_end`; its faults end neither this thread, without which no job would run, nor a cancel."""
        try:
            self._on_end(ticket)
        except Exception:
            _log.exception("a job that is over could not be dealt with")


def _outcome(runner: Runner, ticket: Ticket) -> JoshError | None:
    try:
        runner.run(ticket)
    except Exception as error:
        return visitor_error(error)
    return None
