"""How the page is served, from environment variables; every one has a default that works on a laptop."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from josh_core.errors import SettingsError
from josh_core.serving.mirror import FolderMirror, HubMirror, Mirror
from josh_core.serving.store import Retention

_PACKAGE = Path(__file__).resolve().parents[1]
_CHECKOUT = _PACKAGE.parent if (_PACKAGE.parent / "pyproject.toml").is_file() else None  # None: installed
EXAMPLES = (_CHECKOUT or _PACKAGE) / "examples"  # clips with results, which a wheel carries inside the package
RUNS = _CHECKOUT / "runs" if _CHECKOUT else Path.home() / ".josh" / "runs"  # results, where nothing else is said


@dataclass(frozen=True)
class Config:
    """Each field is the environment variable JOSH_<FIELD IN CAPITALS>."""

    store: Path = Path()  # where results are kept; default: /data/josh where a Space has that disk, else RUNS
    store_dataset: str = ""  # "owner/name" of a Hub dataset that keeps shared results
    store_mount: str = ""  # a mounted bucket or folder that keeps shared results instead
    keep_hours: float = 24.0  # h, an unshared result (it also ends with the program)
    keep_shared_days: float = 0.0  # days since a shared result was last opened; 0: as long as there is room
    store_gb: float = 5.0  # GB of everything on disk: results, uploads, files made on demand
    max_upload_mb: float = 300.0  # MB of one upload
    queue: int = 8  # clips that may wait
    per_visitor: int = 2  # clips of one visitor in line or running
    per_address: int = 4  # clips of all visitors from one network address in line or running
    trusted_proxies: int = 0  # proxies in front whose X-Forwarded headers are believed; 1 by itself on a Space
    hosts: str = ""  # names, comma-separated, that such a proxy may give the page; a Space's own by itself
    max_minutes: float = 60.0  # min, the longest run
    devices: str = "auto"  # comma-separated: auto, cpu, or CUDA indices; one process each
    engine: str = ""  # "ray" (begun here), "auto" or "ray://host:10001" (running): runs go to a Ray cluster instead
    lanes: int = 0  # clips at a time on that cluster; 0: as many as it has room for
    in_process: bool = False  # run jobs in the page's process; set by itself on ZeroGPU
    mcp: bool = False  # serve the API as MCP tools too
    host: str = "127.0.0.1"  # a Space sets GRADIO_SERVER_NAME
    port: int = 7860

    @staticmethod
    def from_environment(environ: Mapping[str, str] = os.environ) -> Config:
        """Read the variables. Raises SettingsError for a value that cannot be read."""
        values: dict[str, Any] = {}
        for name, default in Config().__dict__.items():
            text = environ.get(f"JOSH_{name.upper()}", "").strip()
            if text:
                values[name] = _read(name, text, default)
        values.setdefault("store", Path("/data/josh") if os.access("/data", os.W_OK) else RUNS)
        if environ.get("SPACE_ID"):
            values.setdefault("trusted_proxies", 1)
            values.setdefault("hosts", environ.get("SPACE_HOST", ""))
        if environ.get("SPACES_ZERO_GPU"):
            values["in_process"] = True
        if environ.get("GRADIO_SERVER_NAME"):
            values["host"] = environ["GRADIO_SERVER_NAME"]
        if environ.get("GRADIO_SERVER_PORT"):
            values["port"] = _read("port", environ["GRADIO_SERVER_PORT"], 0)
        return Config(**values)

    @property
    def limits(self) -> Retention:
        """Of the store."""
        return Retention(self.keep_hours, self.keep_shared_days, int(self.store_gb * 1e9))

    def mirror(self) -> Mirror | None:
        """The second home of shared results, if one is configured."""
        if self.store_mount:
            return FolderMirror(Path(self.store_mount))
        return HubMirror(self.store_dataset) if self.store_dataset else None


def _read(name: str, text: str, default: object) -> object:
    try:
        if isinstance(default, bool):
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        return type(default)(text) if isinstance(default, int | float | str) else Path(text)
    except (KeyError, ValueError):
        raise SettingsError(
            f"JOSH_{name.upper()}={text!r} cannot be read; set it to something like {default!r}."
        ) from None
