"""HTML of cards and tables, and numbers as text. Everything that comes from outside is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import cv2
import numpy as np

from josh_core.metrics.verdicts import QUANTITIES, rows
from josh_core.page.shown_run import MODE_TEXTS, ShownRun, rounded

LEAVING = "Keep this page open: closing it ends the run, and gives up a place in line."
LEAVING_MEDIA = "The result is there already. Closing this page only ends the making of its files."
STAGES = {  # progress text of each stage
    "clip": "Reading the clip",
    "people": "Finding people",
    "tracks": "Following points of the place",
    "camera": "Solving the camera's path",
    "cameras": "Solving the camera's path",
    "depth": "Measuring depth",
    "josh3r": "Running JOSH3R",
    "student": "Asking the student about poses and contacts",
    "bodies": "Fitting bodies",
    "contacts": "Finding contacts",
    "world": "Putting everything into one world",
    "looks": "Taking everybody's colours from the clip",
    "result": "Writing the first result",
    "joint": "Solving all of it together",
    "joint_looks": "Taking everybody's colours from the clip",
    "joint_result": "Writing the result",
    "formats": "Result is here; writing files",
    "videos": "Result is here; making the overlay video",
}
LABELS = {  # lines of the quality table: its key (metrics/verdicts.py), what the page calls it
    "foot_slide_mm": "Planted feet slide",
    "foot_height_cm": "Feet in contact, from the floor",
    "floating_cm": "Floating, at most",
    "penetration_cm": "Sinking in, at most",
    "jitter": "Shaking of the joints",
    "reprojection_pct": "Body against the picture",
    "camera_path_m": "Camera travels",
    "feet_seen_pct": "Feet in the picture",
    "heads_seen_pct": "Heads in the picture",
    "match_cover_pct": "Image that ties the frames together",
    "match_agree_pct": "Of it, what fits the camera",
    "lens": "Field of view of the longer side, degrees",
    "scale": "Scale of the world, from",
}
# Evidence of other lines: if poor, the sentence is shown too
SEEN_KEYS = ("feet_seen_pct", "heads_seen_pct", "match_cover_pct", "match_agree_pct")
_UNITS = {"jitter": "a real walk has 5 to 10"}  # text in place of the unit
_SETTINGS = {  # those of the page's inputs; others are of no use to a visitor
    "mode": "Method", "start": "Begins at, s", "seconds": "Length, s", "people": "Most people",
    "height_m": "Height of the first person, m", "focal_px": "Focal length, px", "static_camera": "Camera",
    "turn": "Picture turned by, degrees",
}  # fmt: skip
_CAMERAS = {"static": "stands still", "moving": "moves", "rotating": "turns in place"}
_SETTING_VALUES = {"auto": "found out", "on": "stands still", "off": "moves"}
_SCALE_FROM = {"contact": "contact with the place", "height": "the body's height", "assumed": "nothing, it is assumed"}
_TIERS = {"embedded": "built in", "hub": "of the paper"}
_BODIES = {"anny-neutral-1": "Anny, neutral"}
_SIGNS = {"good": "✓", "fair": "~", "poor": "✕", "": ""}


def duration(seconds: float) -> str:
    """A rounded duration: "12 s", "3 min", "1 h 20 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """Bytes as kB or MB."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"


def card(lines: Iterable[str], kind: str = "") -> str:
    """A bordered box of lines that are HTML already."""
    body = "".join(f"<p>{line}</p>" for line in lines)
    return f'<div class="j-card {kind}" role="status">{body}</div>'


def problem(message: str) -> str:
    """A box with one sentence about what is wrong."""
    return card([escape(message)], "j-bad")


def progress_card(stages: Mapping[str, float], current: str, fraction: float, note: str, leaving: str = LEAVING) -> str:
    """The stages of a run as a row of bars as wide as they take long, what is happening, and the time left.

    `stages` are those of STAGES with their expected seconds; `current` is one of them, or a sentence of its own.
    """
    names = list(stages)
    here = names.index(current) if current in names else -1
    least = 0.04 * sum(stages.values())  # so that a quick stage can be seen too
    bars = "".join(
        f'<i style="flex-grow:{max(seconds, least):.2f}" title="{escape(STAGES.get(name, name))}">'
        f'<b style="width:{100 if k < here else 100 * fraction if k == here else 0:.0f}%"></b></i>'
        for k, (name, seconds) in enumerate(stages.items())
    )
    return (
        '<div class="j-card" role="status" aria-live="polite">'
        f"<p><b>{escape(STAGES.get(current, current))}</b><span>{escape(note)}</span></p>"
        f'<div class="j-stages">{bars}</div><p class="j-small">{leaving}</p></div>'
    )


def people_found(count: int, jpeg: bytes) -> str:
    """Pictures of the clip with boxes around the people that a run has found."""
    caption = "Nobody found" if count == 0 else "1 person found" if count == 1 else f"{count} people found"
    source = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    return f'<figure class="j-found"><img alt="" src="{source}"><figcaption>{caption}</figcaption></figure>'


def quality_table(shown: ShownRun) -> str:
    """One column per mode, one line per quantity, with limits and verdicts; then what was found in the best mode."""
    tables = {mode: {r.key: r for r in rows(shown.manifest(mode).get("quality") or {})} for mode in shown.folders}
    head = "".join(f'<th scope="col">{MODE_TEXTS[mode].label}</th>' for mode in tables)
    lines = []
    for key, label in LABELS.items():
        if any(key in table and table[key].value is not None for table in tables.values()):
            cells = "".join(_cell(table.get(key)) for table in tables.values())
            lines.append(f'<tr><th scope="row">{label} <small>{_limits(key)}</small></th>{cells}</tr>')
    best = rows(shown.manifest(shown.best).get("quality") or {})
    sentences = [row.sentence for row in best if row.key in ("scale", "lens", "person")]
    sentences += [row.sentence for row in best if row.key in SEEN_KEYS and row.verdict == "poor"]
    manifest = shown.manifest(shown.best)
    sentences += [*(manifest.get("notes") or []), *((manifest.get("clip") or {}).get("notes") or [])]
    more = "".join(f"<li>{escape(str(sentence))}</li>" for sentence in sentences)
    return (
        f'<div class="j-words"><div class="j-scroll"><table class="j-table"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div><ul>{more}</ul></div>"
    )


def _limits(key: str) -> str:
    """Unit of a line and from where on it is no longer good."""
    quantity = next((q for q in QUANTITIES if q.key == key), None)
    if quantity is None:
        return ""
    unit = escape(_UNITS.get(key, quantity.unit))
    if quantity.good is None or quantity.fair is None:
        return unit
    return f"{unit}, good {'up to' if quantity.good < quantity.fair else 'from'} {quantity.good:g}"


def _cell(row: Any) -> str:
    if row is None or row.value is None:
        return "<td>–</td>"
    value = row.value if isinstance(row.value, str) else rounded(row.value)
    verdict = f' <span class="j-{row.verdict}">{_SIGNS[row.verdict]} {row.verdict}</span>' if row.verdict else ""
    return f"<td>{escape(value)}{verdict}</td>"


def details(shown: ShownRun) -> str:
    """Provenance of a result: method, machine time, versions, settings, licences."""
    manifest = shown.manifest(shown.best)
    clip = manifest.get("clip") or {}
    total = sum(stage["seconds"] for stage in manifest.get("stages") or [])
    facts = {
        "Frames": f"{manifest['num_frames']} at {manifest['fps']:.4g} a second",
        "Picture": f"{manifest['width']} x {manifest['height']} px",
        "Camera": _CAMERAS.get(manifest["camera"], manifest["camera"]),
        "Scale from": _SCALE_FROM.get(manifest["scale_source"], manifest["scale_source"]),
        "People": ", ".join(f"{p['height_m']:.2f} m" for p in manifest["people"]) or "none",
        "Networks": _TIERS.get(manifest["tier"], manifest["tier"]),
        "Body": _BODIES.get(manifest["body_model"], manifest["body_model"]),
        "Computed in": duration(total) if total else "not recorded",
        "Clip": f"sha256 {str(clip.get('sha256', ''))[:16]}…",
    }
    stages: dict[str, float] = {}  # those under one name together
    for stage in manifest.get("stages") or []:
        name = STAGES.get(stage["name"], stage["name"])
        stages[name] = stages.get(name, 0.0) + stage["seconds"]
    times = {name: f"{seconds:.1f} s" for name, seconds in stages.items()}
    stored = manifest.get("settings") or {}
    settings = {label: _setting(key, stored[key]) for key, label in _SETTINGS.items() if stored.get(key) is not None}
    licences = "".join(f"<li>{escape(str(line))}</li>" for line in manifest.get("licences") or [])
    return (
        f'<div class="j-words">{_pairs(facts)}<details><summary>Stages</summary>{_pairs(times)}</details>'
        f"<details><summary>Settings</summary>{_pairs(settings)}</details>"
        f"<details><summary>Versions</summary>{_pairs(manifest.get('versions') or {})}</details>"
        f"<h4>Licences</h4><ul>{licences or '<li>See NOTICE.</li>'}</ul></div>"
    )


def _setting(key: str, value: Any) -> str:
    """A setting as the page's inputs call it."""
    if isinstance(value, str):
        return MODE_TEXTS[value].label if key == "mode" and value in MODE_TEXTS else _SETTING_VALUES.get(value, value)
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _pairs(values: Mapping[str, Any]) -> str:
    lines = "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in values.items())
    return f'<dl class="j-pairs">{lines}</dl>'


def picture(image: Any, quality: int = 80) -> str:
    """An RGB image [h,w,3] u8 as a data URL."""
    ok, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()


def picture_png(image: Any) -> str:
    """An RGBA image [h,w,4] u8 as a data URL."""
    ok, png = cv2.imencode(".png", np.ascontiguousarray(image[..., [2, 1, 0, 3]]))
    assert ok
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()
