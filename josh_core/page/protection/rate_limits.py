"""Rate limits by network: requests, concurrent ones, calls, and new sessions.

Gradio keeps data of every session id that it is sent, and drops the oldest when there are too many. A client that sends
thousands of ids would take the page's memory and push out the sessions of others. All tables here are bounded.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Chosen by hand, except where a measurement or a source is given.
# A browser keeps at most six connections to one server, so this is some forty people behind one router.
AT_ONCE = 256  # requests of one network under way
# A first visit asks for some seventy files and ten other things, and a video for a part at each jump in it.
REQUESTS, REQUESTS_A_SECOND = 3000, 100.0  # bucket size and refill
# Of the page, its configuration and all else that is no file: Gradio makes them anew, in the one thread for all
PAGES, PAGES_A_SECOND = 400, 20.0  # bucket size and refill
CALLS_UNDER_WAY = 32  # calls of one network that wait or run; a tab has one or two
CALL_PLACES = 128  # calls that Gradio runs at once; one that waits for its visitor or for the line has a place too
CALLS, CALLS_A_SECOND = 200, 10.0  # bucket size and refill; a tab that waits for a file asks once a second
# Gradio keeps the messages of 2000 sessions: pushing out somebody else's takes one network an hour.
SESSIONS, SESSIONS_A_SECOND = 200, 0.5  # bucket size and refill
SESSIONS_KEPT = 1000  # by Gradio; each takes 0.1 MB, measured with this page
# Of files one after the other: a visitor brings few, and each small one is a folder to make, count and remove again.
UPLOADS, UPLOADS_A_SECOND = 60, 0.5  # bucket size and refill; for some forty people behind one router
_REMEMBERED = 10_000  # networks, and sessions that are not new


def network_of(address: str) -> str:
    """The address itself; of IPv6 the 64 bits that a customer is given, who may use all addresses behind them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a proxy may give a name
        return address
    if parsed.version == 4:
        return address
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False).network_address)


class RateLimits:
    """Counts by network. For one thread, that of the server's event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._now: Counter[str] = Counter()  # requests under way
        self._requests = _TokenBucket(REQUESTS, REQUESTS_A_SECOND, clock)
        self._pages = _TokenBucket(PAGES, PAGES_A_SECOND, clock)
        self._calls = _TokenBucket(CALLS, CALLS_A_SECOND, clock)
        self._begun = _TokenBucket(SESSIONS, SESSIONS_A_SECOND, clock)
        self._uploads = _TokenBucket(UPLOADS, UPLOADS_A_SECOND, clock)
        self._sessions: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def request(self, network: str, is_file: bool = True) -> Iterator[bool]:
        """Counts a request, for a file or anything else, while the `with` block runs; yields whether it is allowed."""
        self._now[network] += 1
        try:
            allowed = self._now[network] <= AT_ONCE and self._requests.take(network)
            yield allowed and (is_file or self._pages.take(network))
        finally:
            self._now[network] -= 1
            if not self._now[network]:
                del self._now[network]

    def allows_call(self, network: str) -> bool:
        """Whether one more call may be made from this network now."""
        return self._calls.take(network)

    def allows_upload(self, network: str) -> bool:
        """Whether one more file may be sent from this network now."""
        return self._uploads.take(network)

    def allows_session(self, session: str, network: str) -> bool:
        """Whether a session is known, or one more may begin from this network now; "" always begins one."""
        known = session in self._sessions
        if not known and not self._begun.take(network):
            return False
        if session:
            self._sessions[session] = None
            self._sessions.move_to_end(session)
            _shorten(self._sessions)
        return True


class _TokenBucket:
    """A token bucket for each network: `most` at once, then `a_second` more each second."""

    def __init__(self, most: int, a_second: float, clock: Callable[[], float]) -> None:
        self._most, self._rate, self._clock = most, a_second, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when it was

    def take(self, network: str) -> bool:
        """Take one token of a network; False if there is none left."""
        now = self._clock()
        left, then = self._left.pop(network, (float(self._most), now))
        left = min(self._most, left + self._rate * (now - then))
        allowed = left >= 1
        self._left[network] = (left - allowed, now)
        _shorten(self._left)
        return allowed


def _shorten(table: OrderedDict[str, Any]) -> None:
    if len(table) > _REMEMBERED:
        table.popitem(last=False)
