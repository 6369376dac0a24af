"""What jobs do: a clip becomes a run folder with a bundle per mode and the files beside them; or just a first look.

Heavy rooms are imported inside, so that the page's own process never loads them.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from josh_core.jobs import Job
from josh_core.progress import Progress
from josh_core.settings import Settings

LOOKS = 3  # frames that a first look searches for people
LOOK_SIDE = 960  # px, longest side of a frame in a first look
TILE = 0.8  # side of a searched square over the picture's shorter side, beside the whole picture
SURE = 0.75  # score from which a sighting counts


def prepare() -> None:
    """Load what every run needs, before the first one."""
    import cv2  # noqa: F401  before pycolmap, which the scene room loads: the other order breaks image writing

    from josh_core import pipeline

    pipeline.warm_up()


def do(job: Job, progress: Progress) -> None:
    """Do a job of either kind."""
    if job.kind == "look":
        job.out.write_text(str(guess_people(job.clip, job.settings)), "utf-8")
    else:
        reconstruct(job, progress)


def reconstruct(job: Job, progress: Progress) -> None:
    """Run the pipeline and write `job.out`.

    <mode>/ bundles with result.glb; clip.mp4, whose frame k is frame k of the results; and beside the best mode's
    bundle everything.zip, its overlay.mp4 and its other exports in files/.
    """
    prepare()
    from josh_core import pipeline
    from josh_core.body import load_body
    from josh_core.clip import load_clip
    from josh_core.export.archive import save_archive

    with progress.stage("clip"):
        clip = load_clip(job.clip, job.settings, progress)
    evidence = pipeline.gather(clip, job.settings, progress)
    results = pipeline.assemble(evidence, job.settings, progress)
    folders = pipeline.write(results, job.out)
    best = list(results)[-1]
    with progress.stage("files"):
        save_archive(results[best], load_body(), folders[best] / "everything.zip", clip, progress)
    _unpack(folders[best], job.out)


def _unpack(folder: Path, out: Path) -> None:
    """Single files of the archive for the page: the videos where the viewer looks for them, exports under files/."""
    with zipfile.ZipFile(folder / "everything.zip") as archive:
        for name in archive.namelist():
            if name == "clip.mp4":
                archive.extract(name, out)
            elif name == "overlay.mp4":
                archive.extract(name, folder)
            elif not name.startswith("bundle/") and name != "result.glb":
                archive.extract(name, folder / "files")


def guess_people(path: Path, settings: Settings) -> int:
    """How many people a few frames of the chosen part show at once, at most; a guess before the run."""
    import cv2
    import numpy as np

    from josh_core.people.detect import Landmarker, Square, tiles
    from josh_core.people.track import bodies

    capture = cv2.VideoCapture(str(path))
    most = 0
    try:
        with Landmarker(1.0) as networks:
            for k in range(LOOKS):
                time = settings.start + (settings.seconds or 1.0) * (k + 0.5) / LOOKS
                capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * time)
                decoded, image = capture.read()
                if not decoded:
                    break
                scale = LOOK_SIDE / max(image.shape[:2])
                small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                rgb = np.ascontiguousarray(small[..., ::-1])
                whole = Square.around(np.array([0, 0, rgb.shape[1], rgb.shape[0]], float), 1.0)
                parts = [whole, *tiles(rgb.shape[1], rgb.shape[0], TILE)]
                seen = [d for part in parts for d in networks.search(rgb, part) if d.score >= SURE]
                most = max(most, len(bodies(seen, 1.0)))
    finally:
        capture.release()
    return most
