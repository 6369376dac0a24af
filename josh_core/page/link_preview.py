"""What other programs show of a link to the page: title, description and, of a shared result, its picture.

Gradio's own tags of this kind name Gradio and no picture; they are replaced in the page as it goes out.
"""

from __future__ import annotations

import re
from html import escape
from urllib.parse import parse_qsl

from josh_core.errors import JoshError
from josh_core.page.desk import Desk
from josh_core.page.guard import App, Message, Receive, Scope, Send
from josh_core.page.shown import Shown, file_url
from josh_core.serving.tasks import PREVIEW, PREVIEW_SIZE

SITE_TITLE = "JOSH: people and places in 4D"
ABOUT = "One clip in; camera, people and place in one metric world out."
_THEIRS = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')


def tags(desk: Desk, query: str, origin: str) -> str:
    """The <meta> tags for an address with `query`; `origin` is the page's own, such as "https://host"."""
    try:
        shown = desk.open(dict(parse_qsl(query[:2000])))
    except JoshError:
        shown = None
    said = {"og:type": "website", "og:title": SITE_TITLE, "og:description": ABOUT, "twitter:card": "summary"}
    if shown is not None and shown.shared:
        said |= {"og:title": _title(shown), "og:description": _about(shown)}
        image = shown.file(shown.best, PREVIEW)
        if image is not None:
            width, height = PREVIEW_SIZE
            said |= {
                "og:image": f"{origin}/{file_url(image)}",
                "og:image:width": str(width),
                "og:image:height": str(height),
                "twitter:card": "summary_large_image",
            }
    named = {"twitter:card": "name"}
    return "".join(f'<meta {named.get(k, "property")}="{k}" content="{escape(v)}">' for k, v in said.items())


def _title(shown: Shown) -> str:
    return f"{shown.title if shown.is_example else 'A clip'} in 4D"


def _about(shown: Shown) -> str:
    manifest = shown.manifest(shown.best)
    count, seconds = len(manifest["people"]), manifest["num_frames"] / manifest["fps"]
    return (
        f"{count} {'person' if count == 1 else 'people'}, {seconds:.0f} s: turn it, play it, look through the camera."
    )


class LinkPreview:
    """The application, whose page says what a link to it shows."""

    def __init__(self, app: App, desk: Desk) -> None:
        """It stands behind the guard, which leaves only those X-Forwarded headers that count."""
        self._app, self._desk = app, desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        page = b""

        async def rewritten(message: Message) -> None:
            nonlocal start, page
            if message["type"] == "http.response.start":
                start = message
                return
            page += message.get("body", b"")
            if message.get("more_body", False):
                return
            headers = {name.lower(): value for name, value in start["headers"]}
            plain = b"content-encoding" not in headers and headers.get(b"content-type", b"").startswith(b"text/html")
            body = self._tagged(scope, page) if plain else page
            kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
            await send({**start, "headers": [*kept, (b"content-length", str(len(body)).encode())]})
            await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, rewritten)

    def _tagged(self, scope: Scope, page: bytes) -> bytes:
        query = scope.get("query_string", b"").decode("latin-1")
        ours = tags(self._desk, query, self._origin(scope)).encode()
        return _THEIRS.sub(b"", page).replace(b"</head>", ours + b"</head>", 1)

    def _origin(self, scope: Scope) -> str:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"x-forwarded-host") or headers.get(b"host", "")
        scheme = headers.get(b"x-forwarded-proto") or str(scope.get("scheme", "http"))
        return f"{scheme}://{host}"
