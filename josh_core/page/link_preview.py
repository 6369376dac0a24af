"""Open Graph tags of the page: title, description and, for a shared result, its picture.

Gradio's own tags of this kind name Gradio and no picture; they are replaced.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from contextlib import suppress
from html import escape
from typing import Any
from urllib.parse import parse_qsl

from josh_core.errors import JoshError, ResultError
from josh_core.page.protection.request_rules import App, Receive, Scope, Send, header
from josh_core.page.protection.response_cache import CachedResponse, cache_response, fetch
from josh_core.page.service import PageService
from josh_core.page.shown_run import ShownRun, file_url
from josh_core.serving.tasks import PREVIEW, PREVIEW_SIZE

SITE_TITLE = "JOSH: people and places in 4D"
ABOUT = "One clip in; camera, people and place in one metric world out."
# Chosen by hand, except where a measurement or a source is given.
_CACHED = 32  # pages, and pages with the tags of a link
_GRADIO_TAGS = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')


def tags(service: PageService, query: str, origin: str) -> str:
    """The <meta> tags for an address with `query`; `origin` is the page's own, such as "https://host"."""
    values = {"og:type": "website", "og:title": SITE_TITLE, "og:description": ABOUT, "twitter:card": "summary"}
    with suppress(JoshError, OSError):  # the page itself says what is wrong with a result
        shown = service.open(dict(parse_qsl(query[:2000])))
        values |= _of_run(shown, origin) if shown is not None and shown.shared else {}
    named = {"twitter:card": "name"}
    return "".join(f'<meta {named.get(k, "property")}="{k}" content="{escape(v)}">' for k, v in values.items())


def _of_run(shown: ShownRun, origin: str) -> dict[str, str]:
    """Those of a run. Raises JoshError for a result that is broken or has just been deleted."""
    values = {"og:title": _title(shown), "og:description": _about(shown)}
    image = shown.file(shown.best, PREVIEW)
    if image is not None:
        width, height = PREVIEW_SIZE
        values |= {
            "og:image": f"{origin}/{file_url(image)}",
            "og:image:width": str(width),
            "og:image:height": str(height),
            "twitter:card": "summary_large_image",
        }
    return values


def _title(shown: ShownRun) -> str:
    return f"{shown.title if shown.is_example else 'A clip'} in 4D"


def _about(shown: ShownRun) -> str:
    manifest = shown.manifest(shown.best)
    count, seconds = len(manifest["people"]), manifest["num_frames"] / manifest["fps"]
    return (
        f"{count} {'person' if count == 1 else 'people'}, {seconds:.0f} s: turn it, play it, look through the camera."
    )


class LinkPreview:
    """The application, whose page gets Open Graph tags.

    Gradio writes the same page anew for everybody, which takes 10 ms and more while others wait; here it does so once
    for each address under which the page is offered.
    """

    def __init__(self, app: App, service: PageService) -> None:
        """It stands behind the guard, which leaves only those X-Forwarded headers that count."""
        self._app, self._service = app, service
        self._pages: OrderedDict[tuple[str, str], bytes] = OrderedDict()  # Gradio's, by origin and path
        self._tagged: OrderedDict[tuple[bytes, str], CachedResponse] = OrderedDict()  # by page and tags

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or scope["path"] != "/":
            await self._app(scope, receive, send)
            return
        page = await self._page(scope, receive)
        query = scope.get("query_string", b"").decode("latin-1")
        asked = (self._service, query, _origin(scope))
        # On the side, so that nobody else waits: a shared run may have to be fetched first.
        ours = await asyncio.to_thread(tags, *asked) if query else tags(*asked)
        cached = self._tagged.get((page, ours))
        if cached is None:
            body = page.replace(b"</head>", ours.encode() + b"</head>", 1)
            cached = await cache_response([(b"content-type", b"text/html; charset=utf-8")], body)
            _put(self._tagged, (page, ours), cached)
        await cached.answer(scope, send)

    async def _page(self, scope: Scope, receive: Receive) -> bytes:
        """Gradio's page, without what the address asks for: the browser asks for that when the page has loaded."""
        place = (_origin(scope), str(scope.get("root_path", "")))
        if place not in self._pages:
            status, _, page = await fetch(self._app, {**scope, "method": "GET"}, receive)
            if status != 200:
                raise ResultError("The page cannot be shown now; please try again.")
            _put(self._pages, place, _GRADIO_TAGS.sub(b"", page))
        return self._pages[place]


def _put(table: OrderedDict[Any, Any], key: object, value: object) -> None:
    table[key] = value
    if len(table) > _CACHED:
        table.popitem(last=False)


def _origin(scope: Scope) -> str:
    host = header(scope, b"x-forwarded-host") or header(scope, b"host")
    scheme = header(scope, b"x-forwarded-proto") or str(scope.get("scheme", "http"))
    return f"{scheme}://{host}"
