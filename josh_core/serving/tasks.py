"""The work of jobs: reconstruct a clip into a run folder, make files from a result, or count the people of a clip.

Heavy modules are imported inside the functions, so that the page's own process never loads them.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from josh_core.errors import ResultError
from josh_core.progress import Progress
from josh_core.serving.disk import move
from josh_core.serving.jobs import Job
from josh_core.types import Reconstruction

# Files made from a result:
FORMATS, OVERLAY, PAIR, DATASET, ARCHIVE = "files", "overlay.mp4", "side_by_side.mp4", "dataset.zip", "everything.zip"
USD, T_POSE, RIGS = "result.usdz", "result_tpose.glb", "rigs.zip"
TURNTABLE, SPLIT = "turntable.mp4", "split.mp4"
SPLIT_MODES = "baseline", "refine"  # what the split video compares; it is one of the second's files
CLIP_FILE = "clip.mp4"
PREVIEW, PREVIEW_SIZE = "preview.jpg", (1200, 630)  # picture for link previews; px, the size that they expect


def prepare() -> None:
    """Load the models that every run needs."""
    import cv2  # noqa: F401  before pycolmap, which the scene room loads: the other order breaks image writing

    from josh_core import pipeline

    pipeline.warm_up()


def do(job: Job, progress: Progress) -> None:
    """Run a job of any kind."""
    if job.kind == "count":
        from josh_core.tracking.count import guess_people

        job.out.write_text(str(guess_people(job.clip, job.settings)), "utf-8")
    elif job.kind == "file":
        make_file(job, progress)
    else:
        reconstruct(job, progress)


def reconstruct(job: Job, progress: Progress) -> None:
    """Run the pipeline and hand its result over piece by piece; without a receiver the pieces stay in `job.out`.

    The first piece is clip.mp4, whose frame k is frame k of the results with lens distortion removed; then the bundles,
    <mode>/ with result.glb, as soon as each is finished; then the best mode's files/ in other formats and overlay.mp4.
    All other files are made on request (make_file). Raises JoshError.
    """
    prepare()
    from josh_core import pipeline
    from josh_core.body import load_body
    from josh_core.clip.load import load_clip
    from josh_core.export.archive import write_formats
    from josh_core.export.pictures.video import save_clip, save_overlay

    with progress.stage("clip"):
        clip = load_clip(job.clip, job.settings, progress)
    evidence = pipeline.gather(clip, job.settings, progress)
    written = False
    for results in pipeline.assemble_in_turn(evidence, job.settings, progress):
        with progress.stage("joint_result" if written else "result"), _piece(job, progress) as folder:
            pipeline.write(results, folder)
            if not written:
                save_clip(evidence.clip, folder / CLIP_FILE)
        written = True
    best, result = list(results.items())[-1]
    body = load_body()
    with progress.stage("formats"), _piece(job, progress, best) as folder:
        write_formats(result, body, folder / FORMATS)
    with progress.stage("videos"), _piece(job, progress, best) as folder:
        save_overlay(result, body, evidence.clip, folder / OVERLAY, progress)


@contextmanager
def _piece(job: Job, progress: Progress, place: str = "") -> Iterator[Path]:
    """A new folder in `job.out`; after the `with` block its content is handed over for `place` in the result."""
    folder = job.out / f".{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    yield folder
    if progress.hand_over is not None:
        progress.hand_over(folder, place)
    else:
        move(folder, job.out / place)
        folder.rmdir()


def make_file(job: Job, progress: Progress) -> None:
    """Make the file `job.name`, one of the constants above, in `job.out` from the bundle beside the clip `job.clip`.

    The archive uses files that exist beside the bundle and makes the others in `job.out` too. The split video also
    needs the bundle of the mode that it compares with, in a folder of that name. Raises ResultError.
    """
    import cv2  # noqa: F401  first, as in `prepare`

    from josh_core.export.archive import pack

    source = job.clip.parent
    needed = (FORMATS, OVERLAY, PAIR) if job.name == ARCHIVE else (job.name,)
    place = {part: (source if (source / part).exists() else job.out) / part for part in needed}
    missing = [path for path in place.values() if path.parent == job.out]
    if missing:
        _make_parts(missing, job.clip, progress)
    if job.name == ARCHIVE:
        with progress.stage(ARCHIVE):
            videos = {CLIP_FILE: job.clip, OVERLAY: place[OVERLAY], PAIR: place[PAIR]}
            pack(source, place[FORMATS], videos, job.out / ARCHIVE)


def _make_parts(paths: Sequence[Path], clip: Path, progress: Progress) -> None:
    """Make files by their names, from the bundle beside the clip, each in a stage of its own."""
    from josh_core.body import load_body
    from josh_core.export.archive import write_formats
    from josh_core.export.bundle import load_bundle
    from josh_core.export.dataset import save_dataset
    from josh_core.export.formats import check_body, made_when_asked
    from josh_core.export.pictures.preview import save_preview
    from josh_core.export.pictures.split import save_split
    from josh_core.export.pictures.turntable import save_turntable
    from josh_core.export.pictures.video import read_clip, save_overlay, save_side_by_side

    result, body = load_bundle(clip.parent), load_body()
    check_body(result, body)
    frames = functools.cache(lambda: read_clip(clip, result.frame_times))
    writers: dict[str, Callable[[Path], None]] = {
        FORMATS: lambda path: write_formats(result, body, path),
        PREVIEW: lambda path: save_preview(result, body, path, PREVIEW_SIZE),
        TURNTABLE: lambda path: save_turntable(result, body, path, progress),
        OVERLAY: lambda path: save_overlay(result, body, frames(), path, progress),
        DATASET: lambda path: save_dataset(result, body, frames(), path, progress),
        PAIR: lambda path: save_side_by_side(result, body, frames(), path, progress),
        SPLIT: lambda path: save_split(_other(clip.parent), result, body, frames(), path, progress),
    }
    for path in paths:
        alone = made_when_asked(path.name)
        with progress.stage(path.name):
            if alone is not None:
                alone.write(result, body, path.parent)
            else:
                writers[path.name](path)


def _other(bundle: Path) -> Reconstruction:
    """The result that a split video compares with. Raises ResultError."""
    from josh_core.export.bundle import load_bundle

    if not (bundle / SPLIT_MODES[0] / "manifest.json").is_file():
        raise ResultError(f"The split video compares {SPLIT_MODES[0]} with {SPLIT_MODES[1]}; this result lacks one.")
    return load_bundle(bundle / SPLIT_MODES[0])
