"""The training's options in one frozen dataclass, read from recipe.toml; an unknown option is an error."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from josh_core.errors import SettingsError

SHIPPED = Path(__file__).parent / "recipe.toml"


@dataclass(frozen=True)
class Recipe:
    """See recipe.toml for the meaning of each."""

    seed: int
    motions: int
    pool_frames: int
    batch: int
    frames: int
    steps: int
    learning_rate: float
    weight_decay: float
    label_share: float
    checkpoint_every: int


def read_recipe(path: Path = SHIPPED, **changes: Any) -> Recipe:
    """The recipe of a file, with some options changed. Raises SettingsError for unknown or missing options."""
    values: dict[str, str] = {}
    for line in path.read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text:
            match = re.fullmatch(r"(\w+)\s*=\s*([-+.\deE]+)", text)
            if not match:
                raise SettingsError(f"The line {line!r} of {path.name} is not `name = number`.")
            values[match[1]] = match[2]
    known = {f.name: f.type for f in fields(Recipe)}
    if wrong := set(values) ^ set(known) or set(changes) - set(known):
        raise SettingsError(f"{path.name}: unknown or missing options: {', '.join(sorted(wrong))}.")
    whole: dict[str, Any] = {name: int(v) if known[name] == "int" else float(v) for name, v in values.items()}
    return replace(Recipe(**whole), **changes)
