"""Progress on stderr: a bar with the time left for each stage on a terminal, else one line a stage."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from josh_core.progress import Progress, Report


@contextmanager
def bars() -> Iterator[Progress]:
    """A Progress that is displayed while the `with` block runs."""
    if not sys.stderr.isatty():
        yield Progress(report=_lines())
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Display

    columns = (
        TextColumn("{task.description:<12s}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
    )
    stages: dict[str, TaskID] = {}
    with Display(*columns, console=Console(stderr=True)) as display:

        def show(stage: str, fraction: float) -> None:
            if stage not in stages:
                stages[stage] = display.add_task(stage, total=1.0)
            display.update(stages[stage], completed=fraction)

        yield Progress(report=show)


def _lines() -> Report:
    """A report that prints the name of each stage when it begins."""
    seen: set[str] = set()

    def say(stage: str, _fraction: float) -> None:
        if stage not in seen:
            seen.add(stage)
            print(stage, file=sys.stderr, flush=True)

    return say
