"""A run as the page shows it: which modes there are, which files, and what the viewer needs to know.

A stored run and an example look the same from here: a source clip and one bundle folder per mode, all in one world.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from josh_core.bundle import load_manifest
from josh_core.errors import ResultError
from josh_core.quality import rows, short

MODES = {  # name -> what the page calls it, and what it is in one sentence
    "baseline": ("Assembly line", "Camera, then people, then place; nothing is fed back and scale is assumed."),
    "fast": ("Fast", "Scale and floor come from where the people touch the ground."),
    "refine": ("JOSH", "Camera, people and place are solved together, tied by contact."),
}
VIEW_KEYS = ("t", "mode", "view", "hide", "point")
_VIEW_VALUE = re.compile(r"[A-Za-z0-9_.,-]{1,200}")
_CLIPS = ("clip.mp4", "clip.webm")
_FILMS = ("overlay.mp4", "overlay.webm")


@dataclass(frozen=True)
class Shown:
    """A run that can be put on the page. `query` is what a link to it says."""

    id: str
    query: str  # "run=..." or "example=..."
    title: str
    clip: Path | None  # a video that browsers play; its frame k is frame k of the result
    folders: Mapping[str, Path]  # mode -> bundle folder, in the order baseline, fast, refine
    shared: bool = False

    @property
    def best(self) -> str:
        """The most elaborate mode there is."""
        return list(self.folders)[-1]

    def manifest(self, mode: str) -> dict[str, Any]:
        """The manifest of one mode."""
        return _manifest(self.folders[mode])


@functools.lru_cache(maxsize=64)
def _manifest(folder: Path) -> dict[str, Any]:
    return load_manifest(folder)  # a bundle never changes once it is written


def shown_run(run_id: str, folder: Path, shared: bool) -> Shown:
    """A stored run. Raises ResultError when it holds no result."""
    folders = _bundles(folder)
    if not folders:
        raise ResultError("This result is not complete; run the clip again.")
    name = _manifest(list(folders.values())[-1]).get("clip", {}).get("name") or "Clip"
    return Shown(run_id, f"run={run_id}", Path(str(name)).stem, _first(folder, _CLIPS), folders, shared)


def examples(root: Path) -> dict[str, Shown]:
    """Every example under `root` that comes with a result: name/clip.mp4, name/LICENSE, name/result/<mode>/."""
    found = {}
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        bundles = _bundles(folder / "result")
        clip = _first(folder / "result", _CLIPS) or _first(folder, _CLIPS)
        if bundles and clip and re.fullmatch(r"[a-z0-9_]{1,40}", folder.name):
            title = folder.name.replace("_", " ").capitalize()
            found[folder.name] = Shown(folder.name, f"example={folder.name}", title, clip, bundles, shared=True)
    return found


def file_url(path: Path) -> str:
    """Address of a served file, relative to the app's root."""
    return "gradio_api/file=" + quote(str(path))


def viewer_value(shown: Shown, query: Mapping[str, str]) -> dict[str, Any]:
    """What viewer.js shows; addresses are relative to the app's root."""

    def served(path: Path) -> dict[str, str]:
        return {"url": file_url(path)}

    film = film_of(shown, shown.best)
    return {
        "id": shown.id,
        "title": shown.title,
        "clip": served(shown.clip) if shown.clip else None,
        "overlay": served(film) if film else None,
        "modes": [
            {
                "name": mode,
                "label": MODES[mode][0],
                "title": f"{MODES[mode][1]} {headline(shown.manifest(mode))}".strip(),
                "glb": served(folder / "result.glb"),
            }
            for mode, folder in shown.folders.items()
        ],
        "mode": shown.best,
        "view": clean_view(query),
    }


def clean_view(query: Mapping[str, str]) -> dict[str, str]:
    """The parts of a link that describe a view, if they look like it."""
    return {key: query[key] for key in VIEW_KEYS if key in query and _VIEW_VALUE.fullmatch(query[key])}


def film_of(shown: Shown, mode: str) -> Path | None:
    """The video of the bodies drawn over the clip, if there is one."""
    return _first(shown.folders[mode], _FILMS) or _first(shown.folders[mode] / "files", _FILMS)


def headline(manifest: Mapping[str, Any]) -> str:
    """The one number that tells the modes apart: how far planted feet slide."""
    row = next((r for r in rows(manifest.get("quality") or {}) if r.name == "Foot slide"), None)
    if row is None or not isinstance(row.value, float | int):
        return ""
    return f"Planted feet slide {short(row.value)} mm a frame."


def _bundles(folder: Path) -> dict[str, Path]:
    return {
        mode: folder / mode
        for mode in MODES
        if (folder / mode / "manifest.json").is_file() and (folder / mode / "result.glb").is_file()
    }


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)
