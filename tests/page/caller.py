"""A browser tab, or a program, as far as the server can tell: uploads, calls functions of the page, listens."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import httpx

OPTIONS = ["refine", 0, 0, 0, "auto", "auto", 0]


class Tab:
    """One session on the page at `url`."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.session = secrets.token_hex(6)
        self.http = httpx.Client(base_url=url, timeout=120, headers=headers)
        functions = self.http.get("/config").json()["dependencies"]
        targets = [(f["id"], event, target) for f in functions for target, event in f["targets"]]
        ids = {c["id"]: c["props"].get("elem_id") for c in self.http.get("/config").json()["components"]}
        self._functions = {(ids.get(target), event): number for number, event, target in targets}

    def close(self) -> None:
        """Close all connections."""
        self.http.close()

    def upload(self, data: bytes | Path, name: str = "clip.mp4") -> str:
        """Send a file; where the server put it."""
        content = data if isinstance(data, bytes) else data.read_bytes()
        answer = self.http.post("/gradio_api/upload", files={"files": (name, content, "video/mp4")})
        answer.raise_for_status()
        return str(answer.json()[0])

    def join(self, element: str, event: str, data: list[Any], event_data: Any = None) -> None:
        """Call a function of the page without listening for what it says."""
        body = {"data": data, "fn_index": self._functions[element, event], "session_hash": self.session}
        self.http.post("/gradio_api/queue/join", json=body | {"event_data": event_data}).raise_for_status()

    def listen(self, seconds: float = 60) -> dict[str, Any]:
        """The last message of the call under way, with those before it as "heard": each says only what is new."""
        heard: list[dict[str, Any]] = []
        params = {"session_hash": self.session}
        with self.http.stream("GET", "/gradio_api/queue/data", params=params, timeout=seconds) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    message = json.loads(line[5:])
                    if message["msg"] in ("process_completed", "unexpected_error", "close_stream"):
                        return dict(message) | {"heard": heard}
                    heard.append(message)
        raise AssertionError("the server has hung up")

    def join_number(self, element: str, event: str) -> int:
        """Gradio's number of a function of the page."""
        return self._functions[element, event]

    def call(self, element: str, event: str, data: list[Any], seconds: float = 60) -> dict[str, Any]:
        """Call a function of the page and wait for its end."""
        self.join(element, event, data)
        return self.listen(seconds)

    def take(self, path: str, name: str = "clip.mp4", seconds: float = 60) -> dict[str, Any]:
        """Choose an upload as the clip."""
        chosen = {"file": {"path": path, "meta": {"_type": "gradio.FileData"}}, "name": name}
        return self.call("j-clip", "upload", [chosen, *OPTIONS], seconds)

    def run(self, length: float = 1.0, start: float = 0.0) -> dict[str, Any]:
        """Press Run."""
        return self.call("j-run", "click", [{"start": start, "length": length}, None, None, *OPTIONS])

    def reconstruct(self, path: str, values: int = 10) -> str:
        """Call the API as a program does, with the first so many values; the number of the call."""
        clip = {"path": path, "meta": {"_type": "gradio.FileData"}}
        body = {"data": [clip, "refine", 0, 1, None, None, None, 0, "auto", "auto"][:values]}
        answer = self.http.post("/gradio_api/call/reconstruct", json=body)
        answer.raise_for_status()
        return str(answer.json()["event_id"])
