"""Heavy work off the page: one job at a time per device, in a process of its own that keeps its models warm.

A job's process can be stopped, can crash and can run out of memory without the page noticing more than a sentence.
Where a GPU is lent only to the process that asks for it (ZeroGPU), the same jobs run in threads of the page itself.
"""

from __future__ import annotations

import atexit
import contextvars
import logging
import multiprocessing as mp
import os
import secrets
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from josh_core.errors import Cancelled, JobError, JoshError
from josh_core.progress import Progress
from josh_core.settings import Settings

State = Literal["waiting", "running", "done", "failed", "cancelled"]
_POLL = 0.1  # s between two looks at a process
_REPORT_EVERY = 0.1  # s between two messages about the same stage
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One run: what to read, how, and the folder to write into."""

    clip: Path
    settings: Settings
    out: Path
    owner: str = ""  # whose job it is, to give everybody a fair share of the line


Work = Callable[[Job, Progress], None]


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
    seconds: dict[str, float] = field(default_factory=dict)  # wall time of each stage so far
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    _stage_begun: float = 0.0

    @property
    def over(self) -> bool:
        """Done, failed or cancelled."""
        return self.state in ("done", "failed", "cancelled")

    def report(self, stage: str, fraction: float) -> None:
        """Note progress; the lane calls it."""
        now = time.monotonic()
        if stage != self.stage:
            self._stage_begun = now - self.seconds.get(stage, 0.0)
        self.stage, self.fraction = stage, fraction
        self.seconds[stage] = now - self._stage_begun

    def finish(self, error: JoshError | None) -> None:
        """Note the end."""
        self.error = error
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

    def __init__(self, runners: Sequence[Runner], limit: int = 8, per_owner: int = 2) -> None:
        self._line: list[Ticket] = []
        self._running: list[Ticket] = []
        self._change = threading.Condition()
        self._closed = False
        self.limit, self.per_owner = limit, per_owner
        self._runners = list(runners)
        for runner in self._runners:
            threading.Thread(target=self._lane, args=(runner,), daemon=True, name="lane").start()

    def submit(self, job: Job) -> Ticket:
        """Put a job in line. Raises JobError when the line is full or its owner has enough in it."""
        with self._change:
            mine = [t for t in (*self._line, *self._running) if job.owner and t.job.owner == job.owner]
            if len(mine) >= self.per_owner:
                raise JobError(
                    f"You already have {len(mine)} clips in line; wait for one to finish or cancel it, then try again."
                )
            if len(self._line) >= self.limit:
                raise JobError(
                    f"The line is full ({self.limit} clips are waiting); please try again in a few minutes, "
                    "and look at an example meanwhile."
                )
            ticket = Ticket(job)
            self._line.append(ticket)
            self._change.notify_all()
            return ticket

    def position(self, ticket: Ticket) -> int:
        """How many jobs are before this one, those that run included; 0 once it runs or is over."""
        with self._change:
            if ticket not in self._line:
                return 0
            return self._line.index(ticket) + len(self._running)

    def ahead(self, ticket: Ticket) -> list[Ticket]:
        """The jobs before this one, running ones first."""
        with self._change:
            if ticket not in self._line:
                return []
            return [*self._running, *self._line[: self._line.index(ticket)]]

    def tickets(self) -> list[Ticket]:
        """All that run or wait, in order."""
        with self._change:
            return [*self._running, *self._line]

    def cancel(self, ticket: Ticket) -> None:
        """Take a job out of the line, or ask it to stop where it is."""
        ticket.stop.set()
        with self._change:
            if ticket in self._line:
                self._line.remove(ticket)
                ticket.finish(Cancelled("The run was cancelled."))

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
                ticket = self._line.pop(0)
                self._running.append(ticket)
                ticket.begun, ticket.state = time.monotonic(), "running"
            error = _outcome(runner, ticket)
            with self._change:
                self._running.remove(ticket)
                ticket.finish(error)
                self._change.notify_all()


def _outcome(runner: Runner, ticket: Ticket) -> JoshError | None:
    try:
        runner.run(ticket)
    except JoshError as error:
        return error
    except Exception:  # a fault of this program: the visitor gets a sentence, the log what is needed to mend it
        _log.exception("a job failed unexpectedly")
        return _fault()
    return None


def _fault() -> JobError:
    return JobError("Something went wrong inside the program; try a shorter part of the clip, or another mode.")


class LocalRunner:
    """Runs jobs in the page's own process, in the submitter's context, which ZeroGPU needs to lend its GPU."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def run(self, ticket: Ticket) -> None:
        """Do the ticket's job here."""
        ticket.context.run(self._work, ticket.job, Progress(report=ticket.report, cancelled=ticket.stop.is_set))

    def close(self) -> None:
        """Nothing to let go of: a running job notices its cancelled ticket."""


class ProcessRunner:
    """Runs jobs in one spawned process, started at the first job (or by `warm`) and kept; started again when lost."""

    def __init__(self, work: Work, device: str = "auto", grace: float = 8.0, longest: float = 3600.0) -> None:
        """`device` is "auto", "cpu" or a CUDA index; `grace` s until a job that ignores a cancel is ended by force."""
        self._work, self._device, self._grace, self._longest = work, device, grace, longest
        self._spawn = mp.get_context("spawn")
        self._process: Any = None
        self._pipe: Any = None
        self._stop: Any = None
        atexit.register(self.close)  # before multiprocessing's own exit hook, which would wait for the process

    def warm(self) -> None:
        """Start the process now, so that the first job need not wait for it."""
        if self._process is None or not self._process.is_alive():
            self._start()

    def _start(self) -> None:
        self._end()
        self._pipe, theirs = self._spawn.Pipe()
        self._stop = self._spawn.Event()
        args = (theirs, self._stop, self._work, self._device)
        # Not a daemon: a job starts processes of its own. It ends by itself when this end of the pipe closes.
        self._process = self._spawn.Process(target=_serve, args=args, name=f"jobs-{self._device}")
        self._process.start()
        theirs.close()

    def run(self, ticket: Ticket) -> None:
        """Send the job over and pass on its reports. Raises what the job raised, or JobError when it was lost."""
        self.warm()
        self._stop.clear()
        self._pipe.send(ticket.job)
        asked: float | None = None
        while True:
            message = self._receive()
            if message is None:
                asked = self._watch(ticket, asked)
            elif message[0] == "report":
                ticket.report(*message[1:])
            elif message[0] == "error":
                raise message[1]
            else:
                return

    def _receive(self) -> tuple[Any, ...] | None:
        """The next message, or None when none came for a moment. Raises JobError when the process has ended."""
        try:
            return self._pipe.recv() if self._pipe.poll(_POLL) else None
        except (EOFError, OSError):
            self._end()
            raise JobError(
                "The computation ended unexpectedly, most likely for want of memory; "
                "try a shorter part of the clip or fewer people."
            ) from None

    def _watch(self, ticket: Ticket, asked: float | None) -> float | None:
        """Pass on a cancel, and end by force what does not listen. Returns when the cancel was first passed on."""
        now = time.monotonic()
        if ticket.stop.is_set() and asked is None:
            self._stop.set()
            return now
        if asked is not None and now - asked > self._grace:
            self._end()
            raise Cancelled("The run was cancelled.")
        if now - ticket.begun > self._longest:
            self._end()
            raise JobError(
                f"The run took longer than {self._longest / 60:.0f} minutes and was stopped; "
                "try a shorter part of the clip."
            )
        return asked

    def _end(self) -> None:
        """End the process with everything that it started."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self._process.kill()
        self._process.join(5)
        self._pipe.close()
        self._process = None

    def close(self) -> None:
        """End the process."""
        self._end()


def _serve(pipe: Any, stop: Any, work: Work, device: str) -> None:
    """The process of one device: jobs come through the pipe, reports and the outcome go back."""
    os.setpgid(0, 0)  # so that its own children end with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if device != "auto":
        os.environ["CUDA_VISIBLE_DEVICES"] = "" if device == "cpu" else device
    while True:
        try:
            job = pipe.recv()
            pipe.send(_answer(pipe, stop, work, job))
        except (EOFError, OSError):  # the page has ended
            return


def _answer(pipe: Any, stop: Any, work: Work, job: Job) -> tuple[Any, ...]:
    try:
        work(job, Progress(report=_Reporter(pipe), cancelled=stop.is_set))
    except JoshError as error:
        return ("error", type(error)(str(error)))
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        _log.error("a job failed: %s", traceback.format_exc())
        return ("error", _fault())
    except Exception:  # a fault of this program; see _outcome
        _log.error("a job failed: %s", traceback.format_exc())
        return ("error", _fault())
    return ("done",)


class _Reporter:
    """Sends reports, but not more than ten a second of one stage."""

    def __init__(self, pipe: Any) -> None:
        self._pipe, self._stage, self._sent = pipe, "", 0.0

    def __call__(self, stage: str, fraction: float) -> None:
        now = time.monotonic()
        if stage == self._stage and fraction < 1 and now - self._sent < _REPORT_EVERY:
            return
        self._stage, self._sent = stage, now
        self._pipe.send(("report", stage, fraction))
