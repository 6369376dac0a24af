"""Sessions with an open connection to the page (reported by guard.py)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

# Chosen by hand, except where a measurement or a source is given.
_POLL = 0.1  # s
_KEPT = 600.0  # s for which it is known when a session was last there


class Presence:
    """Connected sessions. Until connections are reported (`watched`), everybody counts as connected."""

    def __init__(self) -> None:
        self.watched = False
        self._open: dict[str, int] = {}
        self._last: OrderedDict[str, float] = OrderedDict()  # s, time.monotonic() of the last end, oldest first
        self._lock = threading.Lock()

    @contextmanager
    def connection(self, session: str) -> Iterator[None]:
        """While a connection of the session is open."""
        with self._lock:
            self._open[session] = self._open.get(session, 0) + 1
        try:
            yield
        finally:
            now = time.monotonic()
            with self._lock:
                self._open[session] -= 1
                if not self._open[session]:
                    del self._open[session]
                    self._last[session] = now
                    self._last.move_to_end(session)
                    while now - next(iter(self._last.values())) > _KEPT:
                        self._last.popitem(last=False)

    def is_connected(self, session: str, within: float = 0.0) -> bool:
        """Whether the session is connected, or was at most `within` seconds ago."""
        if not self.watched:
            return True
        with self._lock:
            since = time.monotonic() - self._last.get(session, float("-inf"))
            return session in self._open or since <= within

    async def wait(self, session: str, seconds: float) -> bool:
        """Wait until the session is connected, at most `seconds`."""
        end = time.monotonic() + seconds
        while not self.is_connected(session):
            if time.monotonic() > end:
                return False
            await asyncio.sleep(_POLL)
        return True

    @property
    def count(self) -> int:
        """How many sessions are connected now."""
        return len(self._open)
