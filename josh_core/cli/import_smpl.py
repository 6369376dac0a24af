"""`josh import-smpl`: a licensed SMPL pickle becomes a body file that this project reads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Its options."""
    parser = commands.add_parser("import-smpl", help="turn a licensed SMPL pickle into this project's body file")
    parser.add_argument("pickle", type=Path, help="SMPL_NEUTRAL.pkl")
    parser.add_argument("out", type=Path, nargs="?", default=Path("smpl_neutral.npz"), help="npz to write")
    parser.set_defaults(action=_import_smpl)


def _import_smpl(args: argparse.Namespace) -> int:
    from josh_core.body.import_smpl import import_smpl

    import_smpl(args.pickle, args.out)
    print(f"wrote {args.out}; set JOSH_BODY={args.out} to use it")
    return 0
