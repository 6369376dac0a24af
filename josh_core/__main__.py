"""Command line: run a clip, import an SMPL body, or say what this machine can run. Bad input exits with status 2."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from josh_core.errors import JoshError


def main(argv: list[str] | None = None) -> int:
    """Parse before anything heavy is imported, then do it. Returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        return int(args.action(args))
    except JoshError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m josh_core", description="4D human-scene reconstruction.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="reconstruct a clip into a folder")
    run.add_argument("clip", type=Path, help="video file")
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the result (new or empty)")
    run.add_argument("--mode", default="fast", help="baseline, fast or refine (default fast)")
    run.add_argument("--tier", default="auto", help="auto, embedded or hub (default auto)")
    run.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds into the clip")
    run.add_argument("--seconds", type=float, metavar="S", help="how much to take (default all)")
    run.add_argument("--height", type=float, metavar="M", help="height of the best-tracked person in metres")
    run.add_argument("--focal", type=float, metavar="PX", help="focal length in pixels of the decoded frame")
    run.add_argument("--people", type=int, metavar="N", help="most people to follow")
    run.add_argument("--static-camera", default="auto", help="auto, on or off (default auto)")
    run.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="any other setting")
    run.add_argument("--all-modes", action="store_true", help="write every mode up to --mode, one folder each")
    run.set_defaults(action=_run)
    smpl = commands.add_parser("import-smpl", help="turn a licensed SMPL pickle into this project's body file")
    smpl.add_argument("pickle", type=Path, help="SMPL_NEUTRAL.pkl")
    smpl.add_argument("out", type=Path, nargs="?", default=Path("smpl_neutral.npz"), help="npz to write")
    smpl.set_defaults(action=_import_smpl)
    doctor = commands.add_parser("doctor", help="list every weight and what this machine can run")
    doctor.set_defaults(action=_doctor)
    return parser


def _run(args: argparse.Namespace) -> int:
    from josh_core.settings import Settings

    settings = Settings().with_options(
        mode=args.mode,
        tier=args.tier,
        start=args.start,
        seconds=args.seconds,
        height_m=args.height,
        focal_px=args.focal,
        people=args.people,
        static_camera=args.static_camera,
        **dict(_option(text) for text in args.set),
    )
    from josh_core import pipeline
    from josh_core.export.bundle import check_folder
    from josh_core.metrics.quality import format_table
    from josh_core.progress import Progress

    modes = pipeline.MODES[: pipeline.MODES.index(settings.mode) + 1]
    for folder in [args.out / mode for mode in modes] if args.all_modes else [args.out]:
        check_folder(folder)
    try:
        results = pipeline.run(args.clip, settings, Progress(report=_Printer()))
    finally:
        print(file=sys.stderr)  # ends the line of the last stage
    final = results[settings.mode]
    written = pipeline.write(results if args.all_modes else {settings.mode: final}, args.out, flat=not args.all_modes)
    for note in (*final.clip.get("notes", ()), *final.notes):
        print(f"note: {note}")
    print(format_table(final.quality))
    for name, seconds in final.stages:
        print(f"{name:<12s} {seconds:7.1f} s")
    for folder in written.values():
        print(f"wrote {folder}")
    return 0


def _option(text: str) -> tuple[str, object]:
    """NAME=VALUE with VALUE as a number, true, false or text."""
    import json

    name, _, value = text.partition("=")
    try:
        return name.strip(), json.loads(value)
    except json.JSONDecodeError:
        return name.strip(), value


class _Printer:
    """One line per stage on stderr, rewritten as the stage advances where stderr is a terminal."""

    def __init__(self) -> None:
        self.stage, self.percent = "", -1

    def __call__(self, stage: str, fraction: float) -> None:
        percent = round(fraction * 100) if sys.stderr.isatty() else 0
        if (stage, percent) == (self.stage, self.percent):
            return
        start = "\r" if stage == self.stage else "\n" if self.stage else ""
        self.stage, self.percent = stage, percent
        share = f" {percent:3d} %" if sys.stderr.isatty() else ""
        print(f"{start}{stage:<12s}{share}", end="", file=sys.stderr, flush=True)


def _import_smpl(args: argparse.Namespace) -> int:
    from josh_core.body.import_smpl import import_smpl

    import_smpl(args.pickle, args.out)
    print(f"wrote {args.out}; set JOSH_BODY={args.out} to use it")
    return 0


def _doctor(_args: argparse.Namespace) -> int:
    from josh_core.networks.doctor import report

    print(report())
    return 0


if __name__ == "__main__":
    sys.exit(main())
