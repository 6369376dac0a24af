"""`josh run`: reconstruct one clip or many, each into a result folder."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from josh_core.errors import Cancelled, ClipError, JoshError, ResultError
from josh_core.settings import MODES, Settings

VIDEO_SUFFIXES = tuple(
    ".mp4 .mov .m4v .mkv .webm .avi .gif .webp .avif .mpg .mpeg .ts .mts .m2ts .mxf .ogv .wmv .3gp .flv".split()
)
# What a run writes into its folder, whatever its options.
_RUN_ENTRIES = ("manifest.json", "arrays.npz", "result.glb", "clip.mp4", "overlay.mp4", "files", "export", *MODES)
OPTIONS = {  # option of the command line -> field of Settings
    "mode": "mode", "tier": "tier", "start": "start", "seconds": "seconds", "height": "height_m", "focal": "focal_px",
    "people": "people", "turn": "turn", "static_camera": "static_camera",
}  # fmt: skip


def add(commands: Any) -> None:
    """Its options."""
    defaults = Settings()
    run = commands.add_parser("run", help="reconstruct clips into folders")
    run.add_argument("clips", type=Path, nargs="+", metavar="CLIP", help="video files, or folders of them")
    run.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the result, or for one a clip",
    )
    run.add_argument("--force", action="store_true", help="replace a result that is there already")
    run.add_argument("--mode", default=defaults.mode, help=f"baseline, fast or refine (default {defaults.mode})")
    run.add_argument("--tier", default=defaults.tier, help="auto, embedded or hub (default auto)")
    run.add_argument("--start", type=float, default=defaults.start, metavar="S", help="seconds into the clip")
    run.add_argument("--seconds", type=float, metavar="S", help="how much to take (default all)")
    run.add_argument("--height", type=float, metavar="M", help="height of the best-tracked person in metres")
    run.add_argument("--focal", type=float, metavar="PX", help="focal length in pixels of the decoded frame")
    run.add_argument("--people", type=int, metavar="N", help="most people to follow")
    run.add_argument("--turn", type=int, default=defaults.turn, metavar="DEG", help="turn the picture: 90, 180 or 270")
    run.add_argument("--static-camera", default=defaults.static_camera, help="auto, on or off (default auto)")
    run.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="any other setting")
    run.add_argument("--all-modes", action="store_true", help="keep every mode up to --mode, one folder each")
    run.set_defaults(action=_run)


def _run(args: argparse.Namespace) -> int:
    options = {setting: getattr(args, option) for option, setting in OPTIONS.items()}
    settings = Settings().with_options(**options, **dict(_option(text) for text in args.set))
    clips = _clips(args.clips)
    if len(clips) == 1 and not args.clips[0].is_dir():
        _one(clips[0], args.out, settings, args)
        return 0
    refused = 0
    for clip in clips:
        print(f"\n{clip.name}", file=sys.stderr)
        try:
            _one(clip, args.out / clip.stem, settings, args)
        except Cancelled:
            raise
        except JoshError as error:  # one bad clip must not end the others
            print(f"error: {error}", file=sys.stderr)
            refused += 1
    print(f"{len(clips) - refused} of {len(clips)} clips done", file=sys.stderr)
    return 2 if refused else 0


def _clips(given: Sequence[Path]) -> list[Path]:
    """The video files named, and those in the folders named.

    Raises ClipError for a folder without videos and for two clips of the same name.
    """
    clips: list[Path] = []
    for place in given:
        inside = (
            [f for f in sorted(place.iterdir()) if f.suffix.lower() in VIDEO_SUFFIXES] if place.is_dir() else [place]
        )
        if not inside:
            raise ClipError(f"There is no video in the folder {place.name!r}; name another one.")
        clips += inside
    stems = [clip.stem for clip in clips]
    duplicate = next((clip for clip in clips if stems.count(clip.stem) > 1), None)
    if duplicate is not None:
        raise ClipError(f"Two of the clips are called {duplicate.stem!r} and would share a folder; rename one of them.")
    return clips


def _option(text: str) -> tuple[str, object]:
    """NAME=VALUE with VALUE as a number, true, false or text."""
    name, _, value = text.partition("=")
    try:
        return name.strip(), json.loads(value)
    except json.JSONDecodeError:
        return name.strip(), value


def _one(clip: Path, out: Path, settings: Settings, args: argparse.Namespace) -> None:
    """Run one clip into a temporary folder beside `out` and rename it: a result is complete or absent."""
    out = out.resolve()
    check_place(out, args.force)
    from josh_core.cli.bars import bars
    from josh_core.serving.jobs import Job
    from josh_core.serving.tasks import reconstruct

    fresh = out.parent / f".{out.name}.{secrets.token_hex(4)}.tmp"
    try:
        with bars() as progress:
            reconstruct(Job(clip, settings, fresh), progress)
        best = fresh / settings.mode
        _report(best)
        if not args.all_modes:
            _flatten(fresh, best)
        replace_folder(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    print(f"wrote {out}")


def check_place(out: Path, force: bool) -> None:
    """Raises ResultError, before the run, if `out` cannot become the result's folder."""
    from josh_core.export.bundle import MANIFEST, check_writable

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not any((out / place / MANIFEST).is_file() for place in ("", *MODES)):
            raise ResultError(f"{out.name!r} holds other files; choose a new or empty folder for the result.")
        if not force:
            raise ResultError(f"{out.name!r} holds a result; add --force to replace it, or choose another folder.")
    check_writable(out)


def _report(bundle: Path) -> None:
    """Print notes, quality table and times on stdout."""
    from josh_core.export.bundle import load_manifest
    from josh_core.metrics.verdicts import format_table

    manifest = load_manifest(bundle)
    for note in (*manifest["clip"].get("notes", ()), *manifest["notes"]):
        print(f"note: {note}")
    print(format_table(manifest["quality"]))
    for stage in manifest["stages"]:
        print(f"{stage['name']:<12s} {stage['seconds']:7.1f} s")


def _flatten(run: Path, best: Path) -> None:
    """Keep only the mode asked for and move its files up into the run's folder."""
    for mode in set(MODES) - {best.name}:
        shutil.rmtree(run / mode, ignore_errors=True)
    for entry in best.iterdir():
        os.rename(entry, run / entry.name)
    best.rmdir()


def replace_folder(fresh: Path, out: Path) -> None:
    """Rename a finished folder to `out`. An older result there is removed, files that no run writes are kept."""
    if not out.exists():
        os.rename(fresh, out)
        return
    old = out.with_name(f".{out.name}.{secrets.token_hex(4)}.old")
    os.rename(out, old)
    os.rename(fresh, out)
    written = {entry.name for entry in out.iterdir()} | set(_RUN_ENTRIES)
    for entry in list(old.iterdir()):
        if entry.name not in written:
            os.rename(entry, out / entry.name)
    shutil.rmtree(old, ignore_errors=True)
