"""A cache of responses that are the same for everybody, compressed once.

Gradio makes and compresses each one anew in the thread that serves all visitors: a first visit of some seventy files
took 0.35 s and more of that thread's time.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from josh_core.page.protection.request_rules import App, Message, Receive, Scope, Send, header

_FILES = re.compile(r"/(?:assets|static)/.*|/(?:gradio_api/)?theme\.css|/favicon\.ico", re.DOTALL)
_NAMED_BY_CONTENT = re.compile(
    r"/assets/.*-[\w-]{8}\.\w+"
)  # Gradio's build names them so; what is in one never changes
_TEXT = (b"text/", b"application/json", b"application/javascript", b"image/svg")  # types worth compressing
# Chosen by hand, except where a measurement or a source is given.
_LARGEST, _MOST = 4 << 20, 64 << 20  # bytes of one answer, and of all; the files of a visit have 1.2 MB
_FOREVER = b"public, max-age=31536000, immutable"


@dataclass(frozen=True)
class CachedResponse:
    """An answer with status 200."""

    headers: tuple[tuple[bytes, bytes], ...]  # without those of length and encoding
    body: bytes
    compressed: bytes  # gzip; empty where that saves nothing

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self.body) + len(self.compressed)

    def header(self, name: bytes) -> bytes:
        """One of the headers, b"" for none."""
        return next((value for key, value in self.headers if key == name), b"")

    async def answer(self, scope: Scope, send: Send) -> None:
        """Answer a request, compressed or with 304 where the client allows it."""
        tag = self.header(b"etag")
        if tag and header(scope, b"if-none-match") == tag.decode("latin-1"):
            await send({"type": "http.response.start", "status": 304, "headers": list(self.headers)})
            await send({"type": "http.response.body", "body": b""})
            return
        pack = bool(self.compressed) and "gzip" in header(scope, b"accept-encoding")
        body = self.compressed if pack else self.body
        headers = [*self.headers, (b"vary", b"accept-encoding"), (b"content-length", str(len(body)).encode())]
        headers += [(b"content-encoding", b"gzip")] if pack else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def cache_response(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> CachedResponse:
    """A response for the cache; it is compressed in another thread, since that takes a moment."""
    left = tuple((k, v) for k, v in headers if k not in (b"content-length", b"content-encoding", b"vary"))
    text = any(name == b"content-type" and value.startswith(_TEXT) for name, value in left)
    compressed = await asyncio.to_thread(gzip.compress, body, 9, mtime=0) if text else b""
    return CachedResponse(left, body, compressed if len(compressed) < len(body) else b"")


async def fetch(app: App, scope: Scope, receive: Receive) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """The application's response to a request, complete and not compressed: status, headers, body."""
    messages: list[Message] = []

    async def collect(message: Message) -> None:
        messages.append(message)

    personal = (b"accept-encoding", b"range", b"if-none-match", b"if-modified-since", b"if-range", b"cookie")
    headers = [(name, value) for name, value in scope["headers"] if name not in personal]
    await app({**scope, "query_string": b"", "headers": headers}, receive, collect)
    lowered = [(name.lower(), value) for name, value in messages[0]["headers"]]
    return messages[0]["status"], lowered, b"".join(message.get("body", b"") for message in messages[1:])


class FileCache:
    """The application with a cache for static files: those of Gradio's build, and `files`."""

    def __init__(self, app: App, files: Iterable[Path] = ()) -> None:
        self._app, self._files = app, {f"/gradio_api/file={file}" for file in files}
        self._cache: OrderedDict[str, CachedResponse] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        path = scope.get("path", "")
        mine = scope["type"] == "http" and scope["method"] == "GET" and self._is_file(path)
        if mine and path not in self._cache and not header(scope, b"range"):
            await self._fill(path, scope, receive)
        cached = self._cache.get(path) if mine else None
        await (cached.answer(scope, send) if cached else self._app(scope, receive, send))

    def _is_file(self, path: str) -> bool:
        return path in self._files or bool(_FILES.fullmatch(path))

    async def _fill(self, path: str, scope: Scope, receive: Receive) -> None:
        """Cache the response, unless it is an error or too large."""
        status, headers, body = await fetch(self._app, scope, receive)
        if status != 200 or len(body) > _LARGEST:
            return
        if _NAMED_BY_CONTENT.fullmatch(path):
            headers.append((b"cache-control", _FOREVER))
        self._cache[path] = await cache_response(headers, body)
        while sum(cached.size for cached in self._cache.values()) > _MOST:
            self._cache.popitem(last=False)
