"""`josh train`: train the student on labels, simulated motion or both."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from josh_core.errors import SettingsError


def add(commands: Any) -> None:
    """Its options."""
    parser = commands.add_parser("train", help="train the student, on labels, simulated motion or both")
    parser.add_argument("labels", type=Path, nargs="*", help="label files or folders of them")
    parser.add_argument("--out", type=Path, required=True, help="weights to write (.safetensors)")
    parser.add_argument("--recipe", type=Path, help="options (default: those of the shipped weights)")
    parser.add_argument("--labels-only", action="store_true", help="no simulated motion")
    parser.add_argument("--start", type=Path, help="weights to continue from (default: random ones)")
    parser.add_argument("--steps", type=int, help="another number of steps than the recipe's")
    parser.set_defaults(action=_train)


def _train(args: argparse.Namespace) -> int:
    if args.out.suffix != ".safetensors":
        raise SettingsError("--out must end with .safetensors.")
    from josh_core.student.training.label_file import read_label, windows
    from josh_core.student.training.recipe import SHIPPED, read_recipe
    from josh_core.student.training.train import recipe_text, train

    changes: dict[str, float] = {"steps": args.steps} if args.steps else {}
    recipe = read_recipe(args.recipe or SHIPPED, **changes, **({"motions": 0} if args.labels_only else {}))
    files = [f for path in args.labels for f in (sorted(path.glob("*.npz")) if path.is_dir() else [path])]
    taught = windows([read_label(f) for f in files], recipe.frames)
    if files and taught is None:
        raise SettingsError(f"The labels hold no window of {recipe.frames} frames with a trusted target.")
    _say(f"{recipe_text(recipe)}; {0 if taught is None else len(taught.features)} labelled windows")
    train(
        recipe, args.out, taught, lambda step, loss: _say(f"step {step} of {recipe.steps}: loss {loss:.3f}"), args.start
    )
    _say(f"wrote {args.out}")
    return 0


def _say(text: str) -> None:
    if os.environ.get("RANK", "0") == "0":  # of several processes only the first one prints
        print(text, file=sys.stderr, flush=True)
