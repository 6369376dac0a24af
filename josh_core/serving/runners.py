"""Runners of jobs: one spawned process per device that keeps its models loaded, or the page's own process.

If a job's process is killed, crashes or runs out of memory, the visitor gets a sentence and the page goes on.
ZeroGPU assigns its GPU only to the process that asks for it; there the jobs run in threads of the page's process.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import logging
import multiprocessing as mp
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from josh_core.errors import Cancelled, JobError, JoshError
from josh_core.progress import Progress
from josh_core.serving.jobs import Job, JobFunction, Ticket
from josh_core.serving.processes import kill_group, lower_priority, start_group
from josh_core.serving.visitor_errors import visitor_error

# Chosen by hand:
_POLL = 0.1  # s between two checks of a process
_REPORT_EVERY = 0.1  # s between two messages about the same stage
_log = logging.getLogger(__name__)


class Watchdog:
    """Watches one running job: passes a cancel on, and kills a job that ignores it or takes too long."""

    def __init__(
        self, ticket: Ticket, grace: float, longest: float, stop: Callable[[], object], end: Callable[[], object]
    ) -> None:
        """stop: asks the job to stop. end: kills it. grace: s between the two. longest: s that the job may take."""
        self._ticket, self._grace, self._longest = ticket, grace, longest
        self._stop, self._end = stop, end
        self._asked: float | None = None  # when the cancel was passed on

    def check(self) -> None:
        """To be called regularly. Raises Cancelled or JobError after killing the job."""
        now = time.monotonic()
        if self._ticket.stop.is_set() and self._asked is None:
            self._asked = now
            self._stop()
        elif self._asked is not None and now - self._asked > self._grace:
            self._end()
            raise Cancelled("The run was cancelled.")
        elif now - self._ticket.begun > self._longest:
            self._end()
            raise JobError(
                f"The run took longer than {self._longest / 60:.0f} minutes and was stopped; "
                "try a shorter part of the clip."
            )


def worker_lost() -> JobError:
    """The error when the process of a job has ended unexpectedly."""
    return JobError(
        "The computation ended unexpectedly, most likely for want of memory; "
        "try a shorter part of the clip or fewer people."
    )


def apply_message(ticket: Ticket, message: tuple[Any, ...]) -> None:
    """Apply a job's message ("report" | "piece" | "show", ...) to its ticket."""
    receivers: dict[str, Callable[..., None]] = {"report": ticket.report, "piece": ticket.take, "show": ticket.show}
    receivers[message[0]](*message[1:])


class LocalRunner:
    """Runs jobs in the page's own process, in the submitter's context, which ZeroGPU needs to assign its GPU."""

    def __init__(self, work: JobFunction) -> None:
        self._work = work

    def run(self, ticket: Ticket) -> None:
        """Run the ticket's job in this thread."""
        progress = Progress(ticket.report, ticket.stop.is_set, ticket.take, ticket.show)
        ticket.context.run(self._work, ticket.job, progress)

    def close(self) -> None:
        """Nothing to release: a running job sees that its ticket is cancelled."""


class ProcessRunner:
    """Runs jobs in one spawned process, started at the first job (or by `warm`), kept, and restarted when lost."""

    def __init__(
        self,
        work: JobFunction,
        device: str = "auto",
        grace: float = 8.0,
        longest: float = 3600.0,
        prepare: Callable[[], None] | None = None,
        niceness: int = 0,
    ) -> None:
        """work: runs one job. device: "auto", "cpu" or a CUDA index.

        grace: s after which a job that ignores a cancel is killed. longest: s that a job may take. prepare: called once
        in each new process, to load what every job needs. niceness: by which the priority is lowered (os.nice).
        """
        self._work, self._device, self._grace, self._longest = work, device, grace, longest
        self._prepare, self._niceness = prepare, niceness
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
        args = (theirs, self._stop, self._work, self._prepare, (self._device, self._niceness))
        # Not a daemon: a job starts processes of its own. It ends by itself when this end of the pipe closes.
        self._process = self._spawn.Process(target=_serve, args=args, name=f"jobs-{self._device}")
        self._process.start()
        theirs.close()

    def run(self, ticket: Ticket) -> None:
        """Send the job to the process and pass its messages on. Raises the job's error, or JobError if it is lost."""
        self.warm()
        self._stop.clear()
        try:
            self._pipe.send(ticket.job)
        except OSError:  # the process has ended meanwhile
            self._start()
            self._pipe.send(ticket.job)
        watchdog = Watchdog(ticket, self._grace, self._longest, self._stop.set, self._end)
        while True:
            message = self._receive()
            if message is not None and message[0] == "error":
                if message[2]:
                    self._end()
                raise message[1]
            if message is not None and message[0] == "done":
                return
            if message is not None:
                apply_message(ticket, message)
            watchdog.check()  # after each message too: a job may send messages without pause

    def _receive(self) -> tuple[Any, ...] | None:
        """The next message, or None if none came within _POLL. Raises JobError if the process has ended."""
        try:
            return self._pipe.recv() if self._pipe.poll(_POLL) else None
        except (EOFError, OSError):
            self._end()
            raise worker_lost() from None

    def _end(self) -> None:
        """Kill the process and its children."""
        if self._process is None:
            return
        kill_group(self._process.pid)
        self._process.join(5)
        self._pipe.close()
        self._process = None

    def close(self) -> None:
        """End the process."""
        self._end()


def _serve(pipe: Any, stop: Any, work: JobFunction, prepare: Callable[[], None] | None, place: tuple[str, int]) -> None:
    """Main function of a device's process: jobs come through the pipe, messages and the outcome go back."""
    device, niceness = place
    start_group()
    lower_priority(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()  # a crash of a library leaves a word in the log
    if device != "auto":
        os.environ["CUDA_VISIBLE_DEVICES"] = "" if device == "cpu" else device
    if prepare is not None:
        prepare()
    while True:
        try:
            job = pipe.recv()
            pipe.send(_answer(pipe, stop, work, job))
            # Decoded pictures are in reference cycles: those of large clips would take the memory of the next one.
            gc.collect()
        except (EOFError, OSError):  # the page has ended
            return


def _answer(pipe: Any, stop: Any, work: JobFunction, job: Job) -> tuple[Any, ...]:
    try:
        work(job, Progress(_Reporter(pipe), stop.is_set, _sender(pipe, "piece"), _sender(pipe, "show")))
    except BrokenPipeError:  # the page has ended
        raise
    except Exception as error:
        told = visitor_error(error)
        unsound = not isinstance(error, JoshError)  # it may e.g. still hold memory: the next job gets a new process
        return ("error", type(told)(str(told)), unsound)
    return ("done",)


def _sender(pipe: Any, kind: str) -> Callable[..., None]:
    return lambda *values: pipe.send((kind, *values))


class _Reporter:
    """Sends reports, but at most ten a second for one stage."""

    def __init__(self, pipe: Any) -> None:
        self._pipe, self._stage, self._sent = pipe, "", 0.0

    def __call__(self, stage: str, fraction: float) -> None:
        now = time.monotonic()
        if stage == self._stage and fraction < 1 and now - self._sent < _REPORT_EVERY:
            return
        self._stage, self._sent = stage, now
        self._pipe.send(("report", stage, fraction))
