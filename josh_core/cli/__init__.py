"""The command line: one module per command, each with `add` (its options) and a function that runs it.

Arguments are read before anything heavy is imported. Bad input is one sentence on stderr and exit status 2.
"""

from __future__ import annotations

import argparse
import sys

from josh_core import __version__
from josh_core.cli import app, deploy, doctor, export, import_smpl, label, run, train
from josh_core.errors import JoshError

COMMANDS = (run, export, app, doctor, import_smpl, label, train, deploy)


def main(argv: list[str] | None = None) -> int:
    """Run the command given by the arguments. Returns the exit status: 0, 2 for bad input, 130 when interrupted."""
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
    parser = argparse.ArgumentParser(prog="josh", description="4D human-scene reconstruction from a clip of people.")
    parser.add_argument("--version", action="version", version=f"josh {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
