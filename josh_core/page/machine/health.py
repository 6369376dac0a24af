"""For the operator: one line in the log for each job, and the report of /healthz.

Neither holds names, addresses or any other data of a visitor.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import psutil

from josh_core import __version__
from josh_core.page.machine.disk_space import DiskSpace
from josh_core.serving.jobs import Jobs, Ticket

JOB_LOG = logging.getLogger("josh.jobs")


class Health:
    """Notes jobs that are over, and reports."""

    def __init__(self, devices: str) -> None:
        self._devices = devices
        self._begun = time.time()
        self._last_run: dict[str, Any] = {}
        self._counts = {"done": 0, "failed": 0, "cancelled": 0}

    def note(self, ticket: Ticket) -> None:
        """A job is over."""
        job = ticket.job
        line = {
            "event": "job",
            "id": ticket.id,
            "kind": job.kind,
            "mode": job.settings.mode if job.kind == "run" else job.name,
            "frames": job.frames,
            "seconds": round(ticket.took, 2),
            "outcome": ticket.state,
            "error": type(ticket.error).__name__ if ticket.error else "",
        }
        JOB_LOG.info(json.dumps(line))
        if job.kind == "run":
            self._counts[ticket.state] = self._counts.get(ticket.state, 0) + 1
            self._last_run = {k: line[k] for k in ("mode", "frames", "seconds", "outcome", "error")}
            self._last_run["ended"] = round(time.time())

    def report(self, jobs: Jobs, disk: DiskSpace, listening: int) -> dict[str, Any]:
        """The state of the service; "status" is "ok" or what is wrong."""
        tickets = jobs.tickets()
        running = sum(ticket.state == "running" for ticket in tickets)
        used, free = disk.used(), disk.free()
        full = len(tickets) - running >= jobs.limit
        status = "disk full" if disk.is_full else "line full" if full else "ok"
        return {
            "status": status,
            "version": __version__,
            "up_seconds": round(time.time() - self._begun),
            "device": self._devices,
            "listening": listening,
            "queue": {"running": running, "waiting": len(tickets) - running, "limit": jobs.limit},
            "disk": {"used_bytes": used, "limit_bytes": disk.max_bytes, "free_bytes": free},
            "memory_bytes": psutil.Process().memory_info().rss,
            "runs": dict(self._counts),
            "last_run": self._last_run or None,
        }
