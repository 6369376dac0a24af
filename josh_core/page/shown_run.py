"""A run as the page shows it: which modes there are, which files, and what the viewer needs to know.

A stored run and an example look the same from here: a source clip and one bundle folder per mode, all in one world.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from josh_core.errors import ResultError
from josh_core.export.bundle import load_manifest
from josh_core.metrics.verdicts import rows
from josh_core.serving.tasks import CLIP_FILE, OVERLAY
from josh_core.settings import MODES


class ModeText(NamedTuple):
    """What the page calls a mode."""

    label: str
    short: str  # three words
    sentence: str


MODE_TEXTS: dict[str, ModeText] = {
    "baseline": ModeText(
        "Assembly line",
        "one step after the other",
        "Camera, then people, then place; nothing is fed back and scale is assumed.",
    ),
    "fast": ModeText("Fast", "scale from contact", "Scale and floor come from where the people touch the ground."),
    "refine": ModeText("JOSH", "all solved together", "Camera, people and place are solved together, tied by contact."),
}
SCALES = {"contact": "scale from contact", "height": "scale from body height", "assumed": "scale only assumed"}
NEUTRAL_TITLE = "Clip"  # of a run, for all but its owner: what they have typed is theirs
VIEW_KEYS = ("t", "mode", "view", "hide", "point")
_VIEW_VALUE = re.compile(r"[A-Za-z0-9_.,-]{1,200}")


@dataclass(frozen=True)
class ShownRun:
    """A run that can be put on the page. `query` is what a link to it says."""

    id: str
    query: str  # "run=..." or "example=..."
    title: str
    clip: Path | None  # a video that browsers play; its frame k is frame k of the result
    folders: Mapping[str, Path]  # mode -> bundle folder, in the order baseline, fast, refine
    made: Path  # <mode>/ in here holds files made from the bundle of that mode; may be missing
    shared: bool = False

    @property
    def best(self) -> str:
        """The most elaborate mode there is."""
        return list(self.folders)[-1]

    @property
    def is_example(self) -> bool:
        """Whether it came with the program."""
        return self.query.startswith("example=")

    def file(self, mode: str, name: str) -> Path | None:
        """One of a mode's files by its path in there, if it has been made."""
        places = (self.folders[mode] / name, self.made / mode / name)
        return next((place for place in places if place.exists()), None)

    def manifest(self, mode: str) -> dict[str, Any]:
        """The manifest of one mode."""
        return _manifest(self.folders[mode])


@functools.lru_cache(maxsize=64)
def _manifest(folder: Path) -> dict[str, Any]:
    manifest = load_manifest(folder)  # a bundle never changes once it is written
    try:
        rows(manifest.get("quality") or {})
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError):  # numbers that are none
        raise ResultError("The quality numbers of this result cannot be read; run the clip again.") from None
    return manifest


def stored_run(run_id: str, folder: Path, shared: bool) -> ShownRun:
    """A stored run. Raises ResultError when it holds no result."""
    folders = _bundles(folder)
    if not folders:
        raise ResultError("This result is not complete; run the clip again.")
    clip = folder / CLIP_FILE if (folder / CLIP_FILE).is_file() else None
    return ShownRun(run_id, f"run={run_id}", NEUTRAL_TITLE, clip, folders, folder, shared)


def examples(root: Path, made: Path) -> dict[str, ShownRun]:
    """Every example under `root` that comes with a result, in the order of index.json, which holds their titles.

    name/clip.mp4, name/LICENSE, name/result/<mode>/; name/result/clip.mp4 where browsers cannot play the clip itself or
    its frames are not those of the result. What is made from them later goes to `made`/name/<mode>/.
    """
    found, index = {}, root / "index.json"
    for name, title in json.loads(index.read_text("utf-8")).items() if index.is_file() else ():
        result = root / name / "result"
        bundles = _bundles(result)
        clip = next((clip for clip in (result / CLIP_FILE, root / name / CLIP_FILE) if clip.is_file()), None)
        if bundles and clip is not None:
            found[name] = ShownRun(name, f"example={name}", title, clip, bundles, made / name, shared=True)
    return found


def file_url(path: Path, name: str = "") -> str:
    """Address of a served file, relative to the app's root; with a name it is saved under that (guard.py)."""
    return "gradio_api/file=" + quote(str(path)) + (f"?name={quote(name, safe='')}" if name else "")


def viewer_value(shown: ShownRun, query: Mapping[str, str]) -> dict[str, Any]:
    """What viewer.js shows; addresses are relative to the app's root."""

    def served(path: Path) -> dict[str, str]:
        return {"url": file_url(path)}

    film = shown.file(shown.best, OVERLAY)
    return {
        "id": shown.id,
        "query": shown.query,
        "title": shown.title,
        "clip": served(shown.clip) if shown.clip else None,
        "overlay": served(film) if film else None,
        "modes": [
            {
                "name": mode,
                "label": MODE_TEXTS[mode].label,
                "title": MODE_TEXTS[mode].sentence,
                "facts": facts(shown.manifest(mode)),
                "glb": served(folder / "result.glb"),
            }
            for mode, folder in shown.folders.items()
        ],
        "mode": shown.best,
        "view": clean_view(query),
    }


def preview_value(key: str, glb: bytes) -> dict[str, Any]:
    """What viewer.js shows before there is a result: cameras and points, which are not stored."""
    place = {
        "name": "place",
        "label": "",
        "title": "",
        "facts": ["the camera's path and the place so far; the people follow"],
        "glb": {"url": "data:model/gltf-binary;base64," + base64.b64encode(glb).decode()},
    }
    return {
        "id": f"preview-{key}",
        "title": NEUTRAL_TITLE,
        "clip": None,
        "overlay": None,
        "modes": [place],
        "mode": "place",
    }


def clean_view(query: Mapping[str, str]) -> dict[str, str]:
    """The parts of a link that describe a view, if they look like it."""
    return {key: query[key] for key in VIEW_KEYS if key in query and _VIEW_VALUE.fullmatch(query[key])}


def facts(manifest: Mapping[str, Any]) -> list[str]:
    """The few numbers that tell the modes apart, for the viewer to show beside the switch."""
    found: dict[str, Any] = {r.key: r.value for r in rows(manifest.get("quality") or {}) if r.value is not None}
    sentences = []
    if "foot_slide_mm" in found:
        sentences.append(f"planted feet slide {rounded(found['foot_slide_mm'])} mm a frame")
    if "foot_height_cm" in found:
        sentences.append(f"{rounded(found['foot_height_cm'])} cm from the floor")
    if "scale" in found:
        sentences.append(SCALES[found["scale"]])
    return sentences


def rounded(value: float) -> str:
    """As many digits as say something in a table: 250, 17, 8.3, 0.17."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"


def _bundles(folder: Path) -> dict[str, Path]:
    return {
        mode: folder / mode
        for mode in MODES
        if (folder / mode / "manifest.json").is_file() and (folder / mode / "result.glb").is_file()
    }
