"""A runner whose jobs run on a Ray cluster, for pages that need more than one machine.

One actor per runner keeps its models loaded, like the process of runners.ProcessRunner; it reads clips from and writes
results to the store, which must be on a disk shared by all machines. If the actor is killed or crashes, the visitor
gets a sentence and the next job a new actor.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from josh_core.errors import JobError, SettingsError
from josh_core.progress import Progress
from josh_core.serving.engines import CPUS, connect
from josh_core.serving.jobs import Job, JobFunction, Ticket
from josh_core.serving.runners import Watchdog, apply_message, worker_lost
from josh_core.serving.visitor_errors import visitor_error

# Chosen by hand:
_POLL = 0.25  # s between two checks of a job
_READY = 120.0  # s within which an actor must start: the first one loads torch


@dataclass(frozen=True)
class Cluster:
    """Where the actors run."""

    address: str | None  # as in engines.connect
    store: Path  # folder on a disk that all machines share
    gpus: float = 0.0  # of one actor


class RayRunner:
    """Runs jobs in one actor, started at the first job (or by `warm`), kept, and restarted when lost."""

    def __init__(
        self,
        work: JobFunction,
        cluster: Cluster,
        prepare: Callable[[], None] | None = None,
        grace: float = 8.0,
        longest: float = 3600.0,
    ) -> None:
        """work: runs one job. cluster: where.

        prepare: called once in each actor. grace: s after which a job that ignores a cancel is killed. longest: s that
        a job may take. Raises SettingsError without Ray or its cluster.
        """
        self._ray = connect(cluster.address)
        self._work, self._cluster, self._prepare = work, cluster, prepare
        self._grace, self._longest = grace, longest
        self._actor: Any = None

    def warm(self) -> None:
        """Start the actor now. Raises SettingsError if it does not start or cannot see the store."""
        if self._actor is not None:
            return
        remote = self._ray.remote(num_cpus=CPUS, num_gpus=self._cluster.gpus, max_concurrency=2)(_Actor)
        actor = remote.remote(self._work, self._prepare)
        token = self._cluster.store / f".seen_{secrets.token_hex(8)}"
        token.touch()
        try:
            seen = self._ray.get(actor.sees.remote(token), timeout=_READY)
        except self._ray.exceptions.GetTimeoutError:
            self._ray.kill(actor)
            raise SettingsError(
                f"The Ray cluster has no {CPUS:.0f} free CPUs for a run; give it more machines."
            ) from None
        finally:
            token.unlink()
        if not seen:
            self._ray.kill(actor)
            raise SettingsError(
                f"The machines of the Ray cluster do not see {str(self._cluster.store)!r}; "
                "set JOSH_STORE to a folder on a disk that all of them share."
            )
        self._actor = actor

    def run(self, ticket: Ticket) -> None:
        """Send the job to the actor and pass its messages on. Raises the job's error, or JobError if it is lost."""
        try:
            self.warm()
            watchdog = Watchdog(ticket, self._grace, self._longest, self._actor.stop.remote, self.close)
            done, heard = self._actor.run.remote(ticket.job), 0
            while not self._ray.wait([done], timeout=_POLL)[0]:
                heard = self._hear(ticket, heard)
                watchdog.check()
            error = self._ray.get(done)
            self._hear(ticket, heard, patience=_READY)
        except SettingsError as error_of_cluster:
            raise JobError(str(error_of_cluster)) from None
        except self._ray.exceptions.RayError:
            self.close()
            raise worker_lost() from None
        if error is not None:
            raise error

    def _hear(self, ticket: Ticket, heard: int, patience: float = _POLL) -> int:
        """Pass on the job's messages after the first `heard` ones, unless the actor is too busy to answer."""
        try:
            stage, messages = self._ray.get(self._actor.messages_after.remote(heard), timeout=patience)
        except self._ray.exceptions.GetTimeoutError:
            return heard
        for message in (*messages, *([("report", *stage)] if stage else [])):
            apply_message(ticket, message)
        return heard + len(messages)

    def close(self) -> None:
        """End the actor."""
        if self._actor is not None:
            self._ray.kill(self._actor)
            self._actor = None


def ray_runners(work: JobFunction, address: str | None, store: Path, count: int, **options: Any) -> list[RayRunner]:
    """`count` runners; 0: as many as the cluster has room for, with one GPU each if it has any."""
    have = connect(address).cluster_resources()
    gpus = have.get("GPU", 0.0)
    cluster = Cluster(address, store, 1.0 if gpus else 0.0)
    room = int(gpus or have.get("CPU", 0.0) // CPUS)
    return [RayRunner(work, cluster, **options) for _ in range(count or max(1, room))]


class _Actor:
    """A Ray actor: runs one job at a time, and meanwhile returns its messages and accepts a stop."""

    def __init__(self, work: JobFunction, prepare: Callable[[], None] | None) -> None:
        self._work = work
        self._stage: tuple[str, float] | None = None
        self._messages: list[tuple[Any, ...]] = []
        self._stopped = False
        if prepare is not None:
            prepare()

    def sees(self, path: Path) -> bool:
        """Whether a file exists on the actor's machine."""
        return path.exists()

    def run(self, job: Job) -> Exception | None:
        """Run a job; returns the error to show to the visitor, or None."""
        self._stage, self._messages, self._stopped = None, [], False
        try:
            self._work(job, Progress(self._report, lambda: self._stopped, self._hand_over, self._show))
        except Exception as error:
            told = visitor_error(error)
            return type(told)(str(told))
        return None

    def _report(self, stage: str, fraction: float) -> None:
        self._stage = (stage, fraction)

    def _hand_over(self, folder: Path, place: str) -> None:
        self._messages.append(("piece", folder, place))

    def _show(self, name: str, value: Any) -> None:
        self._messages.append(("show", name, value))

    def messages_after(self, heard: int) -> tuple[tuple[str, float] | None, list[tuple[Any, ...]]]:
        """Stage and fraction of the running job, and its messages after the first `heard`."""
        return self._stage, self._messages[heard:]

    def stop(self) -> None:
        """Ask the running job to stop."""
        self._stopped = True
