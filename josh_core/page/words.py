"""Small pieces of page: numbers as people say them, and cards as HTML. Everything that is not ours is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from josh_core.page.shown import MODES, Shown, file_url
from josh_core.quality import rows, short

_SIGNS = {"good": "✓", "fair": "~", "poor": "✕", "": ""}


def duration(seconds: float) -> str:
    """Rounded as people say it: "12 s", "3 min", "1 h 20 min"."""
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


def progress_card(title: str, stages: Sequence[str], current: str, fraction: float, note: str) -> str:
    """The stages of a run as a row of bars, what is happening, and the time left."""
    here = stages.index(current) if current in stages else -1
    bars = "".join(
        f'<i class="{"j-done" if k < here else "j-now" if k == here else ""}" title="{escape(stage)}">'
        f'<b style="width:{100 if k < here else 100 * fraction if k == here else 0:.0f}%"></b></i>'
        for k, stage in enumerate(stages)
    )
    return (
        f'<div class="j-card" role="status" aria-live="polite"><p><b>{escape(title)}</b><span>{escape(note)}</span></p>'
        f'<div class="j-stages">{bars}</div></div>'
    )


def quality_table(shown: Shown) -> str:
    """One column per mode, one line per quantity, with a verdict; then the sentences of the best mode."""
    tables = {mode: {r.name: r for r in rows(shown.manifest(mode).get("quality") or {})} for mode in shown.folders}
    told = (row for table in tables.values() for row in table.values() if row.value is not None)
    names = list(dict.fromkeys(row.name for row in told if not row.name.startswith("Person")))
    head = "".join(f'<th scope="col">{MODES[mode][0]}</th>' for mode in tables)
    lines = []
    for name in names:
        cells = "".join(_cell(table.get(name)) for table in tables.values())
        unit = next((t[name].unit for t in tables.values() if name in t and t[name].unit), "")
        lines.append(f'<tr><th scope="row">{escape(name)} <small>{escape(unit)}</small></th>{cells}</tr>')
    said = "".join(f"<li>{escape(row.sentence)}</li>" for row in tables[shown.best].values() if row.value is not None)
    notes = shown.manifest(shown.best).get("notes") or []
    notes = [*notes, *((shown.manifest(shown.best).get("clip") or {}).get("notes") or [])]
    more = "".join(f"<li>{escape(str(note))}</li>" for note in notes)
    return (
        f'<div class="j-words"><div class="j-scroll"><table class="j-table"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
        f"<h4>{MODES[shown.best][0]}, in words</h4><ul>{said}</ul>"
        + (f"<h4>Notes</h4><ul>{more}</ul>" if more else "")
        + "</div>"
    )


def _cell(row: Any) -> str:
    if row is None or row.value is None:
        return "<td>–</td>"
    value = row.value if isinstance(row.value, str) else short(row.value)
    verdict = f'<span class="j-{row.verdict}">{_SIGNS[row.verdict]} {row.verdict}</span>' if row.verdict else ""
    return f"<td>{escape(value)} {verdict}</td>"


def details(shown: Shown) -> str:
    """What made this result: method, machine time, versions, settings, licences."""
    manifest = shown.manifest(shown.best)
    clip = manifest.get("clip") or {}
    total = sum(stage["seconds"] for stage in manifest.get("stages") or [])
    facts = {
        "Frames": f"{manifest['num_frames']} at {manifest['fps']:.4g} a second",
        "Picture": f"{manifest['width']} x {manifest['height']} px",
        "Camera": manifest["camera"],
        "Scale from": manifest["scale_source"],
        "People": ", ".join(f"{p['height_m']:.2f} m" for p in manifest["people"]) or "none",
        "Tier": manifest["tier"],
        "Body": manifest["body_model"],
        "Computed in": duration(total) if total else "not recorded",
        "Clip": f"sha256 {str(clip.get('sha256', ''))[:16]}…",
    }
    stages = {s["name"]: f"{s['seconds']:.1f} s" for s in manifest.get("stages") or []}
    settings = {k: str(v) for k, v in (manifest.get("settings") or {}).items() if v is not None}
    licences = "".join(f"<li>{escape(str(line))}</li>" for line in manifest.get("licences") or [])
    return (
        f'<div class="j-words">{_pairs(facts)}<details><summary>Stages</summary>{_pairs(stages)}</details>'
        f"<details><summary>Settings</summary>{_pairs(settings)}</details>"
        f"<details><summary>Versions</summary>{_pairs(manifest.get('versions') or {})}</details>"
        f"<h4>Licences</h4><ul>{licences or '<li>See NOTICE.</li>'}</ul></div>"
    )


def film(path: Path | None, caption: str) -> str:
    """A video with a caption, or that there is none."""
    if path is None:
        return card(["There is no video of this result."])
    return (
        f'<figure class="j-film"><video controls loop muted playsinline preload="none" src="{escape(file_url(path))}" '
        f'aria-label="{escape(caption)}"></video><figcaption>{escape(caption)}</figcaption></figure>'
    )


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
