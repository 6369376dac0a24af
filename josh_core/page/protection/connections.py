"""Idle connections are closed, since a client that opens thousands of them would leave none for others.

The server itself (uvicorn) waits for ever for the rest of a request that has begun, and for a first byte.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

# Chosen by hand, except where a measurement or a source is given.
_CHECK_EVERY = 2.0  # s
_PATIENCE = 20.0  # s for a whole head of a request; browsers open a connection that they may not use at once
_CROWDED, _IMPATIENCE = 0.5, 2.0  # share of the connections that there can be, and s for which one may wait then


class Connections:
    """Closes idle connections of a server. `server` gives it once it runs; `most` can be open at once."""

    def __init__(self, server: Callable[[], Any], most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._server, self._most, self._clock = server, most, clock
        self._idle: dict[Any, tuple[Any, float]] = {}  # after which request, and since when

    async def watch(self) -> None:
        """Close idle connections regularly, until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_EVERY)
            self.close_idle()

    def close_idle(self) -> None:
        """Close those that have been idle for too long."""
        server, now = self._server(), self._clock()
        there = [c for c in server.server_state.connections if hasattr(c, "cycle")] if server is not None else []
        self._idle = {c: self._since(c, now) for c in there if _is_idle(c)}
        patience = _IMPATIENCE if len(there) > _CROWDED * self._most else _PATIENCE
        for connection, (_, since) in self._idle.items():
            if now - since >= patience:
                with suppress(Exception):  # it has just ended by itself
                    connection.transport.abort()

    def _since(self, connection: Any, now: float) -> tuple[Any, float]:
        last, since = self._idle.get(connection, (None, now))
        return (last, since) if last is connection.cycle else (connection.cycle, now)


def _is_idle(connection: Any) -> bool:
    """Whether no request of a connection is being answered."""
    return connection.cycle is None or bool(connection.cycle.response_complete)
