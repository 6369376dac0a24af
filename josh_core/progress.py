"""Progress of a run: named stages with fractions and times, what is known and finished on the way, and cancelling."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from josh_core.errors import Cancelled

_log = logging.getLogger(__name__)
Report = Callable[[str, float], None]
HandOver = Callable[[Path, str], None]
Show = Callable[[str, Any], None]


def _silent(stage: str, fraction: float) -> None:
    """Report nothing."""


def _never() -> bool:
    return False


@dataclass
class Progress:
    """Passed down through the stages.

    `report(stage, fraction)` is called with fraction in [0, 1] of that stage; `cancelled()` is asked at every
    update, and a true answer raises Cancelled there. `seconds` collects the wall time of each finished stage, without
    that of the stages inside it, so that they add up. Whoever watches a run may give two functions more:
    `hand_over(folder, place)` takes a finished folder away to `place` in the result while the run goes on, and
    `on_show(name, value)` is told of what is known before anything is finished.
    """

    report: Report = _silent
    cancelled: Callable[[], bool] = _never
    hand_over: HandOver | None = None
    on_show: Show | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    _stage: str = ""
    _inside: float = 0.0  # s spent in the stages inside the current one

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Time and announce one stage."""
        outer, self._stage = self._stage, name
        before, self._inside = self._inside, 0.0
        start = time.perf_counter()
        self.update(0.0)
        try:
            yield self
            self.update(1.0)
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._inside
            self._stage, self._inside = outer, before + spent

    def show(self, name: str, make: Callable[[], Any]) -> None:
        """Show what `make` makes, a small value that can be pickled; without anybody who watches it is not made.

        What cannot be shown is left out with a line in the log: a look on the way is not worth the run.
        """
        if self.on_show is None:
            return
        try:
            value = make()
        except Exception:
            _log.exception("%s cannot be shown", name)
        else:
            self.on_show(name, value)

    def update(self, fraction: float) -> None:
        """Report the fraction of the current stage that is done. Raises Cancelled when asked to stop."""
        if self.cancelled():
            raise Cancelled("The run was cancelled.")
        self.report(self._stage, min(max(fraction, 0.0), 1.0))
