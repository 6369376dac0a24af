"""Answers that are the same for everybody: made once, packed once, and then given from memory.

Gradio makes each anew and packs it in the thread in which everybody waits: a first visit of some seventy files took
0.35 s and more of the page's own time.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from josh_core.page.request_rules import App, Message, Receive, Scope, Send, header

_FILES = re.compile(r"/(?:assets|static)/.*|/(?:gradio_api/)?theme\.css|/favicon\.ico", re.DOTALL)
_NAMED_BY_CONTENT = re.compile(
    r"/assets/.*-[\w-]{8}\.\w+"
)  # Gradio's build names them so; what is in one never changes
_TEXT = (b"text/", b"application/json", b"application/javascript", b"image/svg")  # what is worth packing
_LARGEST, _MOST = 4 << 20, 64 << 20  # bytes of one answer, and of all; the files of a visit have 1.2 MB
_FOREVER = b"public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Kept:
    """An answer with status 200."""

    headers: tuple[tuple[bytes, bytes], ...]  # without those of length and packing
    body: bytes
    packed: bytes  # gzip; empty where that saves nothing

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self.body) + len(self.packed)

    def header(self, name: bytes) -> bytes:
        """One of the headers, b"" for none."""
        return next((value for key, value in self.headers if key == name), b"")

    async def say(self, scope: Scope, send: Send) -> None:
        """Answer a request, in as few bytes as it allows."""
        tag = self.header(b"etag")
        if tag and header(scope, b"if-none-match") == tag.decode("latin-1"):
            await send({"type": "http.response.start", "status": 304, "headers": list(self.headers)})
            await send({"type": "http.response.body", "body": b""})
            return
        pack = bool(self.packed) and "gzip" in header(scope, b"accept-encoding")
        body = self.packed if pack else self.body
        headers = [*self.headers, (b"vary", b"accept-encoding"), (b"content-length", str(len(body)).encode())]
        headers += [(b"content-encoding", b"gzip")] if pack else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def keep(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Kept:
    """Make an answer that is kept. Packing takes a moment, on the side."""
    left = tuple((k, v) for k, v in headers if k not in (b"content-length", b"content-encoding", b"vary"))
    text = any(name == b"content-type" and value.startswith(_TEXT) for name, value in left)
    packed = await asyncio.to_thread(gzip.compress, body, 9, mtime=0) if text else b""
    return Kept(left, body, packed if len(packed) < len(body) else b"")


async def ask(app: App, scope: Scope, receive: Receive) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """What the application says to a request, whole and not packed: status, headers, body."""
    said: list[Message] = []

    async def hear(message: Message) -> None:
        said.append(message)

    personal = (b"accept-encoding", b"range", b"if-none-match", b"if-modified-since", b"if-range", b"cookie")
    headers = [(name, value) for name, value in scope["headers"] if name not in personal]
    await app({**scope, "query_string": b"", "headers": headers}, receive, hear)
    lowered = [(name.lower(), value) for name, value in said[0]["headers"]]
    return said[0]["status"], lowered, b"".join(message.get("body", b"") for message in said[1:])


class KeptFiles:
    """The application, whose own files are given from memory: those of Gradio's build, and `files`."""

    def __init__(self, app: App, files: Iterable[Path] = ()) -> None:
        self._app, self._files = app, {f"/gradio_api/file={file}" for file in files}
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        path = scope.get("path", "")
        mine = scope["type"] == "http" and scope["method"] == "GET" and self._is_file(path)
        if mine and path not in self._kept and not header(scope, b"range"):
            await self._try(path, scope, receive)
        kept = self._kept.get(path) if mine else None
        await (kept.say(scope, send) if kept else self._app(scope, receive, send))

    def _is_file(self, path: str) -> bool:
        return path in self._files or bool(_FILES.fullmatch(path))

    async def _try(self, path: str, scope: Scope, receive: Receive) -> None:
        """Keep the answer, unless it is a refusal or too large."""
        status, headers, body = await ask(self._app, scope, receive)
        if status != 200 or len(body) > _LARGEST:
            return
        if _NAMED_BY_CONTENT.fullmatch(path):
            headers.append((b"cache-control", _FOREVER))
        self._kept[path] = await keep(headers, body)
        while sum(kept.size for kept in self._kept.values()) > _MOST:
            self._kept.popitem(last=False)
