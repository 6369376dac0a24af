"""Allow-lists for requests to Gradio: addresses, functions, and which calls a session may cancel.

Gradio has more routes than this page uses: a video editor, run histories, a code editor, monitoring. What is not
listed here gets 404, before Gradio sees the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Container, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]  # of ASGI, as the three below
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_API = "/gradio_api/"
_NAME = r"[A-Za-z0-9_-]{1,64}"
_OPEN = re.compile(
    rf"/|/(?:config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|pwa_icon(?:/\d+)?)/?|/(?:assets|static)/.*"
    rf"|{_API}(?:info|openapi\.json|app_id|startup-events|theme\.css|upload|component_server|reset"
    rf"|cancel|queue/(?:join|data|status)|heartbeat/{_NAME})/?"
    rf"|{_API}(?:run|api|call(?:/v2)?)/{_NAME}(?:/{_NAME})?/?"
    rf"|{_API}file=(?!\w+:/).*",  # a file of ours, no address elsewhere
    re.DOTALL,
)
_MCP = re.compile(rf"{_API}mcp(?:/.*)?")
_JOINS = re.compile(rf"{_API}(?:queue/join|run/.*|api/.*|call/.*|cancel|component_server)/?")
_NAMED = re.compile(rf"{_API}(?:run|api|call(?:/v2)?)/({_NAME})/?")
_SESSION = re.compile(_NAME)
# Of these there are seventy in a visit; the rest of what is asked for Gradio makes anew, in the thread that serves all
_FILES = re.compile(rf"/(?:assets|static)/.*|/(?:gradio_api/)?theme\.css|/favicon\.ico|{_API}file=.*", re.DOTALL)
_LONGEST_NAME = 255  # bytes of one name in a path: the systems on which this runs fail at a longer one
_LISTENS = re.compile(rf"{_API}(?:heartbeat|call(?:/v2)?/[^/]+)/({_NAME})/?")

Refusal = tuple[int, str]  # status and sentence


@dataclass(frozen=True)
class Rules:
    """Limits of uploads, trusted proxies, and what may be called."""

    upload_bytes: int  # of one upload
    proxies: int = 0  # how many proxies in front are trusted with their X-Forwarded headers
    hosts: frozenset[str] = frozenset()  # names under which proxies offer the page, beside those that Host gives
    mcp: bool = False  # whether the API is served as MCP tools too
    functions: Callable[[], Container[int]] = field(default=lambda: range(10_000))  # numbers of Gradio's functions
    names: Callable[[], Container[str]] = field(default=lambda: ())  # names of those that are an API
    servers: Callable[[], Container[tuple[int, str]]] = field(default=lambda: ())  # of components, which a button asks
    calls: Callable[[str], Container[str]] = field(default=lambda _session: ())  # a session's calls under way
    under_way: Callable[[str], int] = field(default=lambda _network: 0)  # how many calls of a network wait or run


def header(scope: Scope, name: bytes) -> str:
    """A header of a request, "" for none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def is_open(path: str, rules: Rules) -> bool:
    """Whether callers may use this address at all."""
    if "\0" in path or any(len(name.encode("utf-8", "replace")) > _LONGEST_NAME for name in path.split("/")):
        return False
    return bool(_OPEN.fullmatch(path) or (rules.mcp and _MCP.fullmatch(path)))


def is_file(path: str) -> bool:
    """Whether this is the address of a file as it lies on the disk."""
    return bool(_FILES.fullmatch(path))


def is_call(scope: Scope) -> bool:
    """Whether this request calls one of Gradio's functions, or cancels a call."""
    return scope["method"] == "POST" and bool(_JOINS.fullmatch(scope["path"]))


def parse_call(body: bytes) -> dict[str, Any] | None:
    """The JSON object of a call; None when it is none."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return asked if isinstance(asked, dict) else None


def refusal_of_call(path: str, asked: dict[str, Any] | None, rules: Rules) -> Refusal | None:
    """Why a call is refused: its function or its session; None for one that is allowed."""
    if asked is None:
        return 400, "The request is no JSON object."
    session, number = asked.get("session_hash"), asked.get("fn_index")
    if session is not None and not (isinstance(session, str) and _SESSION.fullmatch(session)):
        return 400, "The session_hash is none."
    named = _NAMED.fullmatch(path)
    known = number is None or (isinstance(number, int) and number in rules.functions())
    if not known or (named and named.group(1) not in rules.names()):
        return 404, "There is no such function."
    place = path.removeprefix(_API).rstrip("/")
    if place == "component_server" and (session is None or not _is_served(asked, rules)):
        return 404, "There is no such function."
    if place == "cancel":  # Gradio would end whatever call has this number, whoever asks
        call = asked.get("event_id")
        if session is None or not isinstance(call, str) or call not in rules.calls(session):
            return 403, "Only whoever made a call can cancel it."
    return None


def _is_served(asked: dict[str, Any], rules: Rules) -> bool:
    component, name = asked.get("component_id"), asked.get("fn_name")
    return isinstance(component, int) and isinstance(name, str) and (component, name) in rules.servers()


def listening_session(scope: Scope) -> str:
    """The session whose events this connection receives, "" for none."""
    if scope["method"] != "GET":
        return ""
    if scope["path"].rstrip("/") == f"{_API}queue/data":
        session = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("session_hash", [""])[0]
        return session if _SESSION.fullmatch(session) else ""
    found = _LISTENS.fullmatch(scope["path"])
    return found.group(1) if found else ""
