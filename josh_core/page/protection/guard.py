"""ASGI middleware between the network and Gradio: headers, client address, size limits, and who is connected.

It wraps the whole application (ASGI), so that nothing that Gradio answers goes around it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

from starlette.requests import ClientDisconnect

from josh_core.page.protection.rate_limits import CALLS_UNDER_WAY, RateLimits, network_of
from josh_core.page.protection.request_rules import (
    App,
    Message,
    Receive,
    Rules,
    Scope,
    Send,
    header,
    is_call,
    is_file,
    is_open,
    listening_session,
    parse_call,
    refusal_of_call,
)
from josh_core.page.protection.responses import Response, is_foreign
from josh_core.page.protection.upload_body import UploadBody
from josh_core.serving.visitor_errors import visitor_error

# Chosen by hand, except where a measurement or a source is given.
_BODY = 1 << 20  # bytes of a request that is no upload
_ENVELOPE = 1 << 16  # bytes of an upload's request around the file
_STEP = 8 << 20  # bytes of an upload between two checks of the disk space
_PATIENCE = 30.0  # s for a request's body, and as long again for each _SLOWEST bytes a second that have come
_SLOWEST = 16_000  # bytes a second; the slowest telephone networks give more
_STREAMS = ("/gradio_api/heartbeat/", "/gradio_api/queue/data")  # a session of which nobody has heard begins there too
_CANCEL = "/gradio_api/cancel"
_DISCARD_SECONDS = 5.0  # s for which the rest of an upload that has failed is read
_HOST = b"x-forwarded-host"
_ADDRESS_HEADERS = (b"x-forwarded-", b"forwarded", b"x-gradio-server")  # in which clients and proxies give addresses
_PIECE = re.compile(rb"bytes=\d{0,18}-\d{0,18}")  # one piece of a file; Gradio fails at several and at long numbers
_TOO_MANY = "There are too many requests from your network address; please try again in a minute."
_ONE_FILE = "Send one file in a request, as multipart/form-data."
_FAULT = "Something went wrong inside the program; please try again."
_NO_ROOM = "There is no room for another clip here now; please try again in a few minutes."
_log = logging.getLogger(__name__)


class Gate(Protocol):
    """What the guard needs of the service."""

    def listening(self, session: str) -> contextlib.AbstractContextManager[None]:
        """While a connection of the session is open."""

    def has_room_for(self, more: int, network: str, arriving: int) -> bool:
        """Whether `more` bytes of uploads can be taken now. May block."""

    def health(self) -> dict[str, Any]:
        """What /healthz says. May block."""


class Guard:
    """The application, guarded."""

    def __init__(self, app: App, gate: Gate, rules: Rules) -> None:
        self._app, self._gate, self._rules = app, gate, rules
        self._rate_limits = RateLimits()
        self._arriving: Counter[str] = Counter()  # bytes of uploads under way, by network

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = dict(scope)
        self._set_client(scope)
        response = Response(send, scope)
        # Calls have limits of their own.
        with self._rate_limits.request(_network(scope), is_call(scope) or is_file(scope["path"])) as let_in:
            try:
                await (self._http(scope, receive, response) if let_in else response.refuse(429, _TOO_MANY))
                if response.failed:
                    await response.refuse(500, _FAULT)
            except Exception as error:
                await self._failed(error, response)

    @staticmethod
    async def _failed(error: Exception, response: Response) -> None:
        """Gradio has raised: a sentence, or where it had begun to response, the end of the response."""
        # The client has hung up, or has had its refusal already and this is how the rest ended.
        if response.closed or isinstance(error, ClientDisconnect):
            return
        if response.begun:  # such as a listener to a call that is not there
            _log.warning("an answer ended early: %s", type(error).__name__)
            with contextlib.suppress(Exception):
                await response({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await response.refuse(500, str(visitor_error(error)))

    async def _http(self, scope: Scope, receive: Receive, response: Response) -> None:
        path, method = scope["path"], scope["method"]
        if path == "/healthz":
            await response.send_json(200, await asyncio.to_thread(self._gate.health))
        elif not is_open(path, self._rules):
            await response.refuse(404, "There is nothing at this address.")
        elif method == "POST" and is_foreign(scope):
            await response.refuse(403, "This page takes no orders from other pages.")
        elif path.rstrip("/") == "/gradio_api/upload" and method == "POST":
            await self._upload(scope, receive, response)
        elif is_call(scope):
            await self._join(scope, receive, response)
        elif scope["path"].startswith(_STREAMS) and not self._allows_session(scope, listening_session(scope)):
            await response.refuse(429, _TOO_MANY)
        else:
            with self._listening(scope):
                await self._app(scope, self._limited(receive, response, _BODY), response)

    def _allows_session(self, scope: Scope, session: str) -> bool:
        return self._rate_limits.allows_session(session, _network(scope))

    def _set_client(self, scope: Scope) -> None:
        """Set scope["client"] to the caller's address; drop address headers that cannot be trusted."""
        forwarded = {name: self._forwarded(scope, name) for name in (b"x-forwarded-for", b"x-forwarded-proto", _HOST)}
        if forwarded[b"x-forwarded-for"]:
            scope["client"] = (forwarded[b"x-forwarded-for"][:64], 0)
        client = scope.get("client")
        scope["client"] = (network_of(client[0]), client[1]) if client else ("", 0)
        # Gradio makes the page's own address of these. A proxy need not know the header, then its caller wrote it.
        believed = forwarded[_HOST].lower() in self._rules.hosts | {header(scope, b"host").lower()}
        kept = [(name, value) for name, value in scope["headers"] if not name.startswith(_ADDRESS_HEADERS)]
        kept = [(name, value) for name, value in kept if name != b"range" or _PIECE.fullmatch(value)]
        kept += [(_HOST, forwarded[_HOST].encode("latin-1"))] if forwarded[_HOST] and believed else []
        kept += [(b"x-forwarded-proto", b"https")] if forwarded[b"x-forwarded-proto"] == "https" else []
        scope["headers"] = kept

    def _forwarded(self, scope: Scope, name: bytes) -> str:
        """The outermost trusted proxy's value in a header to which each proxy appends; "" without proxies."""
        value = b",".join(value for key, value in scope["headers"] if key == name)
        parts = [part.strip() for part in value.decode("latin-1").split(",") if part.strip()]
        count = min(self._rules.proxies, len(parts))
        return parts[-count] if count > 0 else ""

    @contextlib.contextmanager
    def _listening(self, scope: Scope) -> Iterator[None]:
        session = listening_session(scope)
        with self._gate.listening(session) if session else contextlib.nullcontext():
            yield

    def _limited(self, receive: Receive, response: Response, most: int) -> Receive:
        """`receive` that refuses a body of more than `most` bytes, or one that comes too slowly, as soon as it is."""
        got, whole, begun = 0, False, time.monotonic()

        async def limited() -> Message:
            nonlocal got, whole
            if whole:
                return await receive()
            left = begun + _PATIENCE + got / _SLOWEST - time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), max(left, 0.0))
            except asyncio.TimeoutError:
                await response.refuse(408, "This request came too slowly; please try again on a better connection.")
                return {"type": "http.disconnect"}
            got += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if got > most:
                await response.refuse(413, "This is larger than the maximum allowed size.")
                return {"type": "http.disconnect"}
            return message

        return limited

    async def _upload(self, scope: Scope, receive: Receive, response: Response) -> None:
        most = self._rules.upload_bytes + _ENVELOPE
        length = header(scope, b"content-length")
        forwarded = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
        try:
            body = UploadBody(header(scope, b"content-type"))
        except ValueError:
            await response.refuse(415, _ONE_FILE)
            return
        if forwarded > most:
            await response.refuse(413, "This file is larger than the maximum allowed size.")
            return
        if not self._rate_limits.allows_upload(_network(scope)):
            await response.refuse(429, _TOO_MANY)
            return
        network = _network(scope)
        announced = max(forwarded - _ENVELOPE, 0)
        if not await self._has_room(announced or _STEP, network):
            await response.refuse(503, _NO_ROOM)
            return
        scope["query_string"] = b""  # an upload_id, of which Gradio would keep account for ever
        limited, counted = self._limited(receive, response, most), 0

        async def counting() -> Message:
            nonlocal counted
            message = await limited()
            piece = message.get("body", b"")
            counted += len(piece)
            self._arriving[network] += len(piece)
            if not body.accepts(piece):
                await response.refuse(415, _ONE_FILE)
                return {"type": "http.disconnect"}
            if counted // _STEP != (counted - len(piece)) // _STEP:  # others may have arrived meanwhile
                if not await self._has_room(max(announced - counted, 0) if announced else _STEP, network):
                    await response.refuse(503, _NO_ROOM)
                    return {"type": "http.disconnect"}
            return message

        try:
            await self._app(scope, counting, response)
        except OSError:  # such as a full disk
            await _discard_rest(limited)
            raise
        finally:
            self._arriving[network] -= counted
            if not self._arriving[network]:
                del self._arriving[network]

    async def _has_room(self, more: int, network: str) -> bool:
        return await asyncio.to_thread(self._gate.has_room_for, more, network, self._arriving[network])

    async def _join(self, scope: Scope, receive: Receive, response: Response) -> None:
        """A call of one of Gradio's functions: which one and by whom is checked before Gradio sees it."""
        limited, body, more = self._limited(receive, response, _BODY), b"", True
        while more:
            message = await limited()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        asked = parse_call(body)
        refusal = refusal_of_call(scope["path"], asked, self._rules)
        if refusal:
            await response.refuse(*refusal)
            return
        session = str((asked or {}).get("session_hash") or "")
        crowded = self._rules.under_way(_network(scope)) >= CALLS_UNDER_WAY and not scope["path"].startswith(_CANCEL)
        if crowded or not (self._rate_limits.allows_call(_network(scope)) and self._allows_session(scope, session)):
            await response.refuse(429, _TOO_MANY)
            return
        sent = False

        async def replayed() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replayed, response)


async def _discard_rest(receive: Receive) -> None:
    """Reads the rest of a body for a while: a client that is still sending loses a response after which we hang up."""

    async def rest() -> None:
        message = await receive()
        while message["type"] == "http.request" and message.get("more_body", False):
            message = await receive()

    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(rest(), _DISCARD_SECONDS)


def _network(scope: Scope) -> str:
    return str(scope["client"][0])
