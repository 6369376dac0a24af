"""A page for the browser tests: `serve.py PORT STORE EXAMPLES`, with made-up work behind it.

What the work does goes by the word that the clip's file ends with: `slow` takes half a minute but listens, `crash`
dies, `nobody` finds nobody, `gated` waits before each step for the test's leave; any other takes a second and gives the
first example's result, piece by piece as a run does. A step that `die_K` names is the process's last.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from josh_core.errors import ClipError
from josh_core.export.early_results import PEOPLE, PLACE
from josh_core.progress import Progress
from josh_core.serving.jobs import Job

STAGES = ("clip", "people", "cameras", "bodies", "contacts", "world")


def work(job: Job, progress: Progress) -> None:
    """Write the first example as the result."""
    example = Path(os.environ["TEST_EXAMPLES"]) / "courtyard"
    if job.kind == "count":
        job.out.write_text("2", "utf-8")
        return
    ends = job.clip.read_bytes()[-12:]
    if ends.endswith(b"crash"):
        os.kill(os.getpid(), signal.SIGKILL)
    if ends.endswith(b"nobody"):
        raise ClipError("Nobody was found in this clip; use a clip that shows a person from head to foot.")
    for stage in STAGES:
        with progress.stage(stage):
            for step in range(100 if ends.endswith(b"slow") else 3):
                time.sleep(0.05)
                progress.update(step / 100)
    glb = (example / "result" / "refine" / "result.glb").read_bytes()
    _step(0, ends, progress)
    progress.show(
        PEOPLE, lambda: {"count": 2, "jpeg": cv2.imencode(".jpg", np.zeros((40, 80, 3), np.uint8))[1].tobytes()}
    )
    _step(1, ends, progress)
    progress.show(PLACE, lambda: glb)
    _step(2, ends, progress)
    _hand_over(job, progress, "", {"clip.mp4": example, "baseline": example / "result", "fast": example / "result"})
    _step(3, ends, progress)
    _hand_over(job, progress, "", {"refine": example / "result"})
    with progress.stage("videos"):
        _step(4, ends, progress)
        _hand_over(job, progress, "refine", {"overlay.mp4": example / "clip.mp4"})


def _step(number: int, ends: bytes, progress: Progress) -> None:
    """Wait for the test's leave, or die, where the clip says so."""
    if ends.endswith(b"die_%d" % number):
        os.kill(os.getpid(), signal.SIGKILL)
    gate = Path(os.environ["TEST_EXAMPLES"]) / f"gate_{number}"
    while ends.endswith(b"gated") and not gate.exists():
        time.sleep(0.05)
        progress.update(0.5)


def _hand_over(job: Job, progress: Progress, place: str, parts: dict[str, Path]) -> None:
    """Copies of files (named by path) and of folders (named by the folder that holds them) as one piece."""
    assert progress.hand_over is not None
    folder = job.out / f"piece_{time.monotonic_ns()}"
    folder.mkdir()
    for name, source in parts.items():
        found = source if source.is_file() else source / name
        for file in [found] if found.is_file() else [path for path in found.rglob("*") if path.is_file()]:
            copy = folder / name / file.relative_to(found)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    progress.hand_over(folder, place)


def main(port: str, store: str, examples: str) -> None:
    """Serve until killed."""
    from josh_core.page import service as service_module
    from josh_core.page.config import Config
    from josh_core.page.page import Page
    from josh_core.page.protection.upload_checks import check_runners
    from josh_core.page.service import PageService
    from josh_core.serving import tasks as real
    from josh_core.serving.runners import ProcessRunner

    os.environ["TEST_EXAMPLES"] = examples
    proxies = int(os.environ.get("JOSH_TRUSTED_PROXIES", "0"))
    config = Config(store=Path(store), port=int(port), max_upload_mb=20, queue=4, trusted_proxies=proxies)
    files = ProcessRunner(real.do, "cpu", niceness=10)
    service_module.COUNT_SECONDS = 60.0  # people are counted on a slow machine too
    service = PageService(config, [ProcessRunner(work, "cpu", grace=2)], files, check_runners(), Path(examples))
    try:
        Page(service).launch(quiet=True)
    finally:
        service.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
