"""Made-up jobs for tests of the line, the process and the page: quick, obedient, stubborn, crashing, refusing."""

from __future__ import annotations

import gc
import os
import signal
import time
import weakref

from josh_core.errors import ClipError
from josh_core.progress import Progress
from josh_core.serving.jobs import Job
from josh_core.serving.processes import limit_memory


def write_pid(job: Job, progress: Progress) -> None:
    """Two stages, then the process id into `out`."""
    for stage in ("people", "scene"):
        with progress.stage(stage):
            progress.update(0.5)
    job.out.write_text(str(os.getpid()))


def obedient(job: Job, progress: Progress) -> None:
    """Works for a minute but asks often whether to stop."""
    with progress.stage("people"):
        for step in range(600):
            time.sleep(0.02 if step < 5 else 0.1)
            progress.update(step / 600)


def talkative(job: Job, progress: Progress) -> None:
    """Never stops reporting for a minute, and asks each time whether to stop."""
    end = time.monotonic() + 60
    with progress.stage("people"):
        while time.monotonic() < end:
            progress.report(f"stage {time.monotonic()}", 0.5)
            progress.update(0.5)
            time.sleep(0.001)


def stubborn(job: Job, progress: Progress) -> None:
    """Reports once and never asks whether to stop."""
    progress.report("people", 0.1)
    time.sleep(60)


def crashing(job: Job, progress: Progress) -> None:
    """Dies like a process that the kernel takes for want of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def refusing(job: Job, progress: Progress) -> None:
    """Says what is wrong with the clip."""
    raise ClipError("This is not a video; choose an MP4 file.")


def faulty(job: Job, progress: Progress) -> None:
    """A fault of the program itself."""
    raise ZeroDivisionError("secret detail")


def hungry(job: Job, progress: Progress) -> None:
    """Wants more memory than there is."""
    raise MemoryError


def greedy(job: Job, progress: Progress) -> None:
    """Takes more memory than the system gives."""
    limit_memory(1 << 30)
    progress.report("people", 0.1)
    bytearray(2 << 30)


class Large:
    """In a cycle with itself, as decoded pictures and their container are."""

    def __init__(self) -> None:
        self.itself = self


_left: list[weakref.ref[Large]] = []


def untidy(job: Job, progress: Progress) -> None:
    """Writes how much the jobs before it have left in memory, and leaves something itself."""
    gc.disable()  # it would be collected at some time
    job.out.write_text(str(sum(left() is not None for left in _left)))
    _left.append(weakref.ref(Large()))


def by_name(job: Job, progress: Progress) -> None:
    """Whichever of these the clip is named after."""
    globals()[job.clip.stem](job, progress)
