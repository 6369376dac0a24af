"""What this machine has and can run: every weight, the machine, and the tier each mode would get."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import get_args

import psutil

from josh_core import __version__
from josh_core.networks.weights import WEIGHTS, Weight, choose_tier, find, format_size
from josh_core.settings import Mode, Settings
from josh_core.threads import cores

_HEADINGS = ("weight", "here", "size", "licence")


def report(environ: Mapping[str, str] = os.environ) -> str:
    """Text for the command line: a table of weights, the machine, and which tier runs."""
    lines = [f"josh_core {__version__}", "", *_table([_HEADINGS, *(_row(weight, environ) for weight in WEIGHTS)]), ""]
    lines += [line for weight in WEIGHTS for line in _details(weight, environ)]
    lines += ["", *machine(), ""]
    lines += [f"{mode:<9s} {choose_tier(Settings(mode=mode), environ=environ).reason}" for mode in get_args(Mode)]
    return "\n".join(lines)


def machine() -> list[str]:
    """Cores, memory, libraries and graphics cards, one line each."""
    import torch

    lines = [
        f"cores     {cores()}",
        f"memory    {_memory()}",
        f"python    {platform.python_version()}, torch {torch.__version__}",
    ]
    if not torch.cuda.is_available():
        return [*lines, "cuda      none"]
    cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [*lines, *(f"cuda      {card.name}, {card.total_memory / 1e9:.1f} GB" for card in cards)]


def _row(weight: Weight, environ: Mapping[str, str]) -> tuple[str, ...]:
    found = find(weight, environ)
    here = (
        "yes" if found.present else "optional" if weight.optional and not environ.get(weight.variable or "") else "no"
    )
    return weight.name, here, format_size(found.size or weight.size), weight.licence


def _details(weight: Weight, environ: Mapping[str, str]) -> list[str]:
    return [
        f"{weight.name}: {weight.purpose}",
        f"    from {weight.origin}",
        f"    {find(weight, environ).where}",
    ]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _memory() -> str:
    """All memory, and how much of it a new process could use."""
    memory = psutil.virtual_memory()
    return f"{memory.total / 1e9:.1f} GB, {memory.available / 1e9:.1f} GB available"
