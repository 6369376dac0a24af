"""Responses as the guard sends them: with security headers, and errors as one sentence."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from josh_core.page.protection.request_rules import Message, Scope, Send, header

# Gradio's page runs inline scripts and makes functions of text; everything comes from this server.
_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self' https://huggingface.co https://*.huggingface.co https://*.hf.space",
    ]
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (b"permissions-policy", b"geolocation=(), microphone=(), payment=(), usb=()"),
)
_LOCAL = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}


class Response:
    """`send` with our headers; after an error response, further messages of the application are dropped."""

    def __init__(self, send: Send, scope: Scope) -> None:
        self._send, self._scope = send, scope
        self.begun = self.closed = False
        self.failed = False  # the application has raised; why is not known before the exception comes out of it

    async def __call__(self, message: Message) -> None:
        if self.closed or self.failed:
            return
        if message["type"] == "http.response.start":
            if message["status"] == 500 and not _is_json(message):  # Starlette's own text for an exception
                self.failed = True
                return
            self.begun = True
            message = {**message, "headers": [*self._kept(message.get("headers", [])), *_HEADERS]}
        await self._send(message)

    def _kept(self, headers: Any) -> list[tuple[bytes, bytes]]:
        """The application's headers, without those that let other sites act for a visitor (CORS)."""
        ours = {name for name, _ in _HEADERS} | {b"access-control-allow-credentials"}
        if is_foreign(self._scope):
            ours.add(b"access-control-allow-origin")
        saved_as = _download_name(self._scope)
        if saved_as:
            ours.add(b"content-disposition")
        kept = [(name, value) for name, value in headers if name.lower() not in ours]
        return kept + ([(b"content-disposition", saved_as)] if saved_as else [])

    async def send_json(self, status: int, value: Any, close: bool = False) -> None:
        """Respond with JSON; close: end the connection, so that the rest of a body need not be read."""
        body = json.dumps(value).encode()
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        headers += [(b"connection", b"close")] if close else []
        self.failed = False
        await self({"type": "http.response.start", "status": status, "headers": headers})
        await self({"type": "http.response.body", "body": body})

    async def refuse(self, status: int, sentence: str) -> None:
        """Respond with an error of one sentence, unless the application has begun a response."""
        if not self.begun and not self.closed:
            await self.send_json(status, {"detail": sentence}, close=status in (408, 413, 415, 503))
        self.closed = True


def _is_json(message: Message) -> bool:
    return any(n.lower() == b"content-type" and v.startswith(b"application/json") for n, v in message["headers"])


def _download_name(scope: Scope) -> bytes:
    """Content-Disposition with the name that a file's address gives; Gradio would give the stored file's."""
    if not scope["path"].startswith("/gradio_api/file="):
        return b""
    name = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("name", [""])[0][:200]
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}".encode() if name else b""


def is_foreign(scope: Scope) -> bool:
    """Whether a page from elsewhere calls a server that only this machine can reach (another port is elsewhere)."""
    origin, host = header(scope, b"origin"), header(scope, b"host")
    try:
        local = urlsplit(f"//{host}").hostname in _LOCAL
        return bool(origin) and local and urlsplit(origin).netloc != host
    except ValueError:
        return True
