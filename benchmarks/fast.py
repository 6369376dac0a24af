"""Where the time of `fast` goes: python -m benchmarks.fast CLIPS_OR_FOLDERS [--repeat 3] [--set NAME=VALUE ...]

Every clip runs --repeat times in a process of its own with the models loaded; seconds are medians of wall time. "clip"
is decoding, "contacts" the image motion at the feet, "files" the bundle and the GLB. Then the student alone: frames of
one person a second on one and on two threads.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from benchmarks.clips import clip_files, read_options
from josh_core import pipeline
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.student.features import FEATURE_COUNT
from josh_core.student.network import load_student

STAGES = ("clip", "people", "tracks", "camera", "student", "bodies", "contacts", "world", "looks", "files")
NETWORK_FRAMES, NETWORK_REPEATS = 100, 20  # frames of the timed input, and how often it is timed


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="options, such as feed_forward=true")
    args = parser.parse_args()
    settings = Settings().with_options(**{"mode": "fast", **read_options(args.set)})
    print(f"{os.cpu_count()} cores, mode {settings.mode}, median of {args.repeat}, s")
    print(f"{'':<20s}{'frames':>8s}{'people':>8s}" + "".join(f"{s:>9s}" for s in STAGES) + f"{'whole':>9s}{'fps':>7s}")
    for clip in clip_files(args.clips):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            frames, people, runs = pool.apply(timed_runs, (clip, settings, args.repeat))
        print(row(clip.stem, frames, people, runs), flush=True)
    for threads in (1, 2):
        print(f"network alone, {threads} thread{'s' * (threads > 1)}: {network_fps(threads):.0f} frames a second")


def timed_runs(clip: Path, settings: Settings, repeat: int) -> tuple[int, int, list[dict[str, float]]]:
    """Frames, people, and for every run the seconds of each stage, "files" and "whole" among them."""
    pipeline.warm_up()
    frames = people = 0
    runs: list[dict[str, float]] = []
    for _ in range(repeat):
        progress, start = Progress(), time.perf_counter()
        results = pipeline.run(clip, settings, progress)
        done = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            pipeline.write(results, Path(folder))
            end = time.perf_counter()
        runs.append({**progress.seconds, "files": end - done, "whole": end - start})
        frames, people = len(results[settings.mode].world_from_cam), len(results[settings.mode].people)
    return frames, people, runs


def row(name: str, frames: int, people: int, runs: list[dict[str, float]]) -> str:
    """One line of the table: medians over the runs; 0 where a stage did not run."""
    spent = {stage: median(run.get(stage, 0.0) for run in runs) for stage in (*STAGES, "whole")}
    cells = "".join(f"{seconds:9.1f}" for seconds in spent.values())
    return f"{name[:20]:<20s}{frames:8d}{people:8d}{cells}{frames / spent['whole']:7.1f}"


def network_fps(threads: int) -> float:
    """Frames of one person a second that the student's network answers, features given."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        net, features = load_student(), torch.zeros(1, NETWORK_FRAMES, FEATURE_COUNT)
        with torch.no_grad():
            net(features)
            start = time.perf_counter()
            for _ in range(NETWORK_REPEATS):
                net(features)
        return NETWORK_REPEATS * NETWORK_FRAMES / (time.perf_counter() - start)
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main()
