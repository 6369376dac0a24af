"""Run whole clips and print stage times, quality numbers and errors against truth where there is one.

    python -m benchmarks.clips FOLDER_OR_CLIP [...] [--mode refine] [--set NAME=VALUE ...] [--out DIR]

A truth is looked for beside a clip as NAME_truth.npz. Every clip runs in a process of its own (peak memory is its
own), with the models loaded once before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
from pathlib import Path
from typing import Any

from benchmarks.evaluate import table
from josh_core import pipeline
from josh_core.export.bundle import load_bundle
from josh_core.metrics.accuracy import evaluate
from josh_core.metrics.ground_truth import load_truth
from josh_core.metrics.verdicts import short
from josh_core.settings import Settings

QUALITY = ("foot_slide_mm", "foot_height_cm", "jitter", "reprojection_pct")


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--mode", default="refine")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="options, such as use_student=false")
    parser.add_argument("--out", type=Path, default=Path("out"))
    args = parser.parse_args()
    options = read_options(args.set)
    print(f"{os.cpu_count()} cores, mode {args.mode}", *args.set)
    context = multiprocessing.get_context("spawn")
    for clip in clip_files(args.clips):
        with context.Pool(1) as pool:
            seconds, memory_gb = pool.apply(run_one, (clip, args.mode, args.out / clip.stem, options))
        report(clip, args.out / clip.stem, seconds, memory_gb)


def read_options(given: list[str]) -> dict[str, Any]:
    """Settings by name from NAME=VALUE with values as in JSON."""
    return {name: json.loads(value) for name, value in (text.split("=", 1) for text in given)}


def clip_files(paths: list[Path]) -> list[Path]:
    """The clips named, and those in the folders named."""
    return [clip for path in paths for clip in (sorted(path.glob("*.mp4")) if path.is_dir() else [path])]


def true_path(clip: Path) -> Path:
    """Where a clip's truth lies if it has one."""
    return clip.with_name(f"{clip.stem}_truth.npz")


def run_one(clip: Path, mode: str, out: Path, options: dict[str, Any] | None = None) -> tuple[float, float]:
    """Run a clip into `out`, one folder a mode; wall seconds and peak memory in GB of this process."""
    import time

    pipeline.warm_up()
    start = time.perf_counter()
    pipeline.write(pipeline.run(clip, Settings().with_options(mode=mode, **options or {})), out)
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def report(clip: Path, out: Path, seconds: float, memory_gb: float) -> None:
    """Print one clip's results."""
    folders = [out / mode for mode in pipeline.MODES if (out / mode / "manifest.json").exists()]
    results = {folder.name: load_bundle(folder) for folder in folders}
    last = list(results.values())[-1]
    frames = len(last.world_from_cam)
    print(f"\n== {clip.stem}: {frames} frames, {last.camera_kind} camera, {len(last.people)} people")
    print(f"   {seconds:.1f} s ({frames / seconds:.2f} frames a second), peak memory {memory_gb:.1f} GB")
    print("   " + ", ".join(f"{name} {spent:.1f}" for name, spent in last.stages))
    for mode, result in results.items():
        numbers = ", ".join(f"{key} {_short(result.quality.get(key))}" for key in QUALITY)
        print(f"   {mode:<9s} {numbers}, focal {short(result.intrinsics[0, 0])}, scale by {result.scale_source}")
    if true_path(clip).exists():
        truth = load_truth(true_path(clip))
        print_errors({mode: evaluate(result, truth) for mode, result in results.items()})


def print_errors(errors: dict[str, dict[str, Any]]) -> None:
    """One line a number, one column a mode."""
    tables = {mode: dict(line.rsplit(maxsplit=1) for line in table(e)) for mode, e in errors.items()}
    print(f"   {'':<34s}" + "".join(f"{mode:>12s}" for mode in tables))
    for name in next(iter(tables.values())):
        print(f"   {name:<34s}" + "".join(f"{t.get(name, '-'):>12s}" for t in tables.values()))


def _short(value: float | None) -> str:
    return "-" if value is None else short(value)


if __name__ == "__main__":
    main()
