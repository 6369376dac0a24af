"""`josh label`: run JOSH on clips and write training labels for the student."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from josh_core.errors import SettingsError


def add(commands: Any) -> None:
    """Its options."""
    parser = commands.add_parser("label", help="run JOSH on clips and write training labels for the student")
    parser.add_argument("clips", type=Path, nargs="+", help="video files")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the label files")
    parser.add_argument("--engine", default="here", help="here or ray (default here)")
    parser.add_argument("--address", help="of a running Ray cluster (default: one on this machine)")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="only every Nth clip from the Ith, from 0")
    parser.set_defaults(action=_label)


def _label(args: argparse.Namespace) -> int:
    match = re.fullmatch(r"(\d+)/(\d+)", args.shard)
    if not match or int(match[1]) >= int(match[2]):
        raise SettingsError(f"--shard is I/N with I from 0 to N - 1, not {args.shard!r}.")
    for clip in args.clips:
        if not clip.is_file():
            raise SettingsError(f"There is no file {str(clip)!r}; give video files.")
    from josh_core.serving.engines import engine
    from josh_core.settings import Settings
    from josh_core.student.training.label import label_clips

    settings = Settings(mode="refine")
    shard = (int(match[1]), int(match[2]))
    outcome = label_clips(args.clips, args.out, engine(args.engine, args.address), settings, shard)
    _say(f"{len(outcome.made)} labels made, {len(outcome.there)} were there, {len(outcome.failed)} clips failed")
    return 0 if outcome.made or outcome.there or not args.clips else 1


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
