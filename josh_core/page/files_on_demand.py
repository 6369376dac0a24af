"""Files of a result that are made at the first request: videos, other formats, everything as one zip.

They are made one after the other in a process of lower priority than the runs, from links to the files of the result,
so the result may be shared, deleted or expire meanwhile. A file appears complete or not at all, and stays with its
result for later requests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from josh_core.errors import ResultError
from josh_core.page.machine.rates import TURNTABLE_FRAMES, Rates, Size
from josh_core.page.parts.files import offers
from josh_core.page.parts.markup import duration
from josh_core.page.shown_run import ShownRun, file_url
from josh_core.serving.disk import link_or_copy, move
from josh_core.serving.jobs import Job, Jobs, Runner, Ticket
from josh_core.serving.store import Store
from josh_core.serving.tasks import ARCHIVE, CLIP_FILE, FORMATS, OVERLAY, PAIR, PREVIEW, SPLIT, SPLIT_MODES, TURNTABLE
from josh_core.serving.visitor_errors import visitor_error
from josh_core.settings import Settings

# Chosen by hand, except where a measurement or a source is given.
_LINE = 8  # files that may wait

_FileKey = tuple[str, str, str]  # query of the run, mode, and what is made: one of those in tasks.py


@dataclass(frozen=True)
class _FileJob:
    """A file that is being made, or that failed and whose error was not shown yet."""

    ticket: Ticket
    parts: tuple[str, ...]  # the files to make for it, in order; the stages of the job
    frames: int  # for the estimate


class FilesOnDemand:
    """Makes files, one at a time. Everything here may be called from any thread."""

    def __init__(
        self, store: Store, runner: Runner, rates: Rates, on_end: Callable[[Ticket], None] | None = None
    ) -> None:
        self._store, self._rates = store, rates
        self._jobs = Jobs([runner], _LINE, on_end=on_end)
        self._pending: dict[_FileKey, _FileJob] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Stop what is being made and end the process."""
        self._jobs.close()

    def request(self, shown: ShownRun, mode: str, name: str) -> dict[str, Any]:
        """State of a file: {url} when it exists, else {fraction, note} while it is made.

        `name` is that of one of `offers`. Raises ResultError for any other and when it cannot be made, JobError when
        too many files wait.
        """
        if mode not in shown.folders or name not in {PREVIEW, *(offer.name for offer in offers(shown, mode))}:
            raise ResultError("This result has no such file; choose one of the list.")
        order = (shown.query, mode, name.split("/", maxsplit=1)[0])
        with self._lock:
            found = shown.file(mode, name)
            if found is not None:
                return {"url": file_url(found)}
            job = self._pending.get(order) or self._begin(shown, order)
            if job.ticket.error is not None:
                del self._pending[order]
                raise job.ticket.error
        return self._progress(job)

    def _begin(self, shown: ShownRun, order: _FileKey) -> _FileJob:
        _, mode, part = order
        needed = (FORMATS, OVERLAY, PAIR, ARCHIVE) if part == ARCHIVE else (part,)
        parts = tuple(p for p in needed if shown.file(mode, p) is None)
        workspace = self._store.workspace()
        try:
            clip = _links(shown, mode, workspace)
            if part == SPLIT:
                _link_all([shown.folders[SPLIT_MODES[0]]], clip.with_name(SPLIT_MODES[0]))
        except FileNotFoundError:  # deleted or expired in this very moment
            self._store.discard(workspace)
            raise ResultError("This result has just been removed; run the clip again.") from None
        except OSError:  # such as a full disk, where a file of an example cannot be linked but has to be copied
            self._store.discard(workspace)
            raise
        try:
            ticket = self._jobs.submit(Job(clip, Settings(), workspace / "out", kind="file", name=part))
        except Exception:
            self._store.discard(workspace)
            raise
        job = self._pending[order] = _FileJob(ticket, parts, _length(shown, mode, part))
        threading.Thread(target=self._store_file, args=(shown, order, job), daemon=True, name="files").start()
        return job

    def _store_file(self, shown: ShownRun, order: _FileKey, job: _FileJob) -> None:
        """Move the finished file to its result; it is dropped if the result is gone meanwhile."""
        ticket, out = job.ticket, job.ticket.job.out
        ticket.ended.wait()
        with self._lock:
            try:
                if ticket.error is None and shown.is_example:
                    move(out, shown.made / order[1])
                elif ticket.error is None:
                    self._store.add(shown.id, out, order[1])
            except Exception as error:  # gone meanwhile, or the disk is full
                ticket.error = visitor_error(error)
            if ticket.error is None:
                del self._pending[order]
                for part, seconds in ticket.seconds.items():
                    self._rates.learn(part, Size(job.frames), {part: seconds})
        self._store.discard(out.parent)

    def _progress(self, job: _FileJob) -> dict[str, Any]:
        ticket, size = job.ticket, Size(job.frames)
        expected = [self._rates.total(part, size) for part in job.parts]
        now = job.parts.index(ticket.stage) if ticket.stage in job.parts else 0
        left = sum(expected[now:]) - ticket.fraction * expected[now]
        if ticket.state == "waiting":
            return {"fraction": 0.0, "note": f"number {len(self._jobs.ahead(ticket))} in line"}
        return {"fraction": round(1 - left / sum(expected), 3), "note": f"being made, about {duration(left)} left"}


def _length(shown: ShownRun, mode: str, part: str) -> int:
    """Frames that a file takes, for the estimate; a turntable is about as long whatever the clip is."""
    return TURNTABLE_FRAMES if part == TURNTABLE else int(shown.manifest(mode)["num_frames"])


def _links(shown: ShownRun, mode: str, workspace: Path) -> Path:
    """Links to all that a result holds, in workspace/source, and an empty workspace/out. Returns the clip's link."""
    source = workspace / "source"
    (workspace / "out").mkdir()
    source.mkdir()
    _link_all([shown.folders[mode], shown.made / mode], source)
    assert shown.clip is not None  # offers() has none to make without it
    link_or_copy(shown.clip, source / CLIP_FILE)
    return source / CLIP_FILE


def _link_all(folders: Sequence[Path], source: Path) -> None:
    """Links in `source` to all files of the folders, those of the first where several have one of a name."""
    for folder in folders:
        for path in folder.rglob("*") if folder.is_dir() else ():
            place = source / path.relative_to(folder)
            if path.is_file() and not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(path, place)
