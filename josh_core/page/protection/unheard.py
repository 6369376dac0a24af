"""Answers that nobody fetches are dropped: Gradio keeps them all, and the page's first one is hundreds of kilobytes.

A caller who makes calls and never listens would take the page's memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

# Chosen by hand, except where a measurement or a source is given.
_CHECK_EVERY = 2.0  # s


class Unheard:
    """Drops the calls and answers of sessions in Gradio's queue that have had no connection for `patience` seconds."""

    def __init__(
        self, queue: Any, listens: Callable[[str], bool], patience: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """listens: whether somebody listens for a session now. For the thread of the server's event loop."""
        self._queue, self._listens, self._patience, self._clock = queue, listens, patience, clock
        self._since: dict[str, float] = {}  # s, since when nobody listens

    async def watch(self) -> None:
        """Drop them regularly, until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_EVERY)
            await self.drop()

    async def drop(self) -> None:
        """Drop those of sessions to which nobody has listened for too long, as Gradio does for one that hangs up."""
        answers, calls, now = (
            self._queue.pending_messages_per_session,
            self._queue.pending_event_ids_session,
            self._clock(),
        )
        silent = [session for session in {*answers, *calls} if not self._listens(session)]
        self._since = {session: self._since.get(session, now) for session in silent}
        for session in [session for session, since in self._since.items() if now - since >= self._patience]:
            await self._queue.clean_events(session_hash=session)  # before the next line: it makes the calls say no more
            answers.pop(session, None)
            calls.pop(session, None)
            del self._since[session]
