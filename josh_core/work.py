"""What one job does: a clip becomes a run folder with a bundle per mode and the videos and files beside them."""

from __future__ import annotations

from josh_core.jobs import Job
from josh_core.progress import Progress


def reconstruct(job: Job, progress: Progress) -> None:
    """Run the pipeline and write `job.out`: <mode>/ bundles, clip.mp4, and overlay.mp4 of the best mode.

    Heavy rooms are imported here, so that the page's own process never loads them.
    """
    import cv2  # noqa: F401  before pycolmap, which the scene room loads: the other order breaks image writing

    from josh_core import pipeline
    from josh_core.body import load_body
    from josh_core.clip import load_clip
    from josh_core.export.video import save_clip, save_overlay

    with progress.stage("clip"):
        clip = load_clip(job.clip, job.settings, progress)
    evidence = pipeline.gather(clip, job.settings, progress)
    results = pipeline.assemble(evidence, job.settings, progress)
    folders = pipeline.write(results, job.out)
    with progress.stage("videos"):
        save_clip(clip, job.out / "clip.mp4", progress)
        best = list(results)[-1]
        save_overlay(results[best], load_body(), clip, folders[best] / "overlay.mp4", progress)
