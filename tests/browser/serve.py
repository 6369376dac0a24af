"""A page for the browser tests: `serve.py PORT STORE EXAMPLES`, with made-up work behind it.

What the work does goes by the word that the clip's file ends with: `slow` takes half a minute but listens, `crash`
dies, `nobody` finds nobody; any other takes a second and gives the first example's result.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from josh_core.errors import ClipError
from josh_core.progress import Progress
from josh_core.serving.jobs import Job

STAGES = ("clip", "people", "cameras", "bodies", "contacts", "world")


def work(job: Job, progress: Progress) -> None:
    """Write the first example as the result."""
    example = Path(os.environ["TEST_EXAMPLES"]) / "courtyard"
    if job.kind == "count":
        job.out.write_text("2", "utf-8")
        return
    ends = job.clip.read_bytes()[-8:]
    if ends.endswith(b"crash"):
        os.kill(os.getpid(), signal.SIGKILL)
    if ends.endswith(b"nobody"):
        raise ClipError("Nobody was found in this clip; use a clip that shows a person from head to foot.")
    for stage in STAGES:
        with progress.stage(stage):
            for step in range(100 if ends.endswith(b"slow") else 3):
                time.sleep(0.05)
                progress.update(step / 100)
    shutil.copytree(example / "result", job.out, dirs_exist_ok=True)
    shutil.copyfile(example / "clip.mp4", job.out / "clip.mp4")


def main(port: str, store: str, examples: str) -> None:
    """Serve until killed."""
    from josh_core.page import desk as desk_room
    from josh_core.page.config import Config
    from josh_core.page.desk import Desk
    from josh_core.page.looks import lookers
    from josh_core.page.page import Page
    from josh_core.serving import tasks as real
    from josh_core.serving.runners import ProcessRunner

    os.environ["TEST_EXAMPLES"] = examples
    proxies = int(os.environ.get("JOSH_TRUSTED_PROXIES", "0"))
    config = Config(store=Path(store), port=int(port), max_upload_mb=20, queue=4, trusted_proxies=proxies)
    files = ProcessRunner(real.do, "cpu", niceness=10)
    desk_room.COUNT_SECONDS = 60.0  # people are counted on a slow machine too
    desk = Desk(config, [ProcessRunner(work, "cpu", grace=2)], files, lookers(), Path(examples))
    try:
        Page(desk).launch(quiet=True)
    finally:
        desk.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
