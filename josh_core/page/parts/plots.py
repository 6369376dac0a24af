"""Plots of a result as inline SVG: the place from above with everybody's way, and the camera's way over time.

World axes: +X to the right and -Z (where the first camera heads) up on the page; metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from josh_core.export.bundle import load_bundle
from josh_core.export.colors import CAMERA_COLOR, person_color
from josh_core.page.parts.markup import picture_png
from josh_core.page.shown_run import ShownRun
from josh_core.types import Float, Reconstruction, UInt8

# Chosen by hand, except where a measurement or a source is given.
_WIDTH, _HEIGHT, _MARGIN = 480.0, 360.0, 22.0  # of the drawing
_CELLS = 240  # cells of the ground picture along its longer side
_MAX_SCENE = 8.0  # m of scene shown around where people and camera are


def plots(shown: ShownRun) -> str:
    """Both plots of the best mode."""
    result = load_bundle(shown.folders[shown.best])
    return f'<div class="j-plots">{top_view(result)}{camera_chart(result)}</div>'


@dataclass(frozen=True)
class _Map:
    """Where metres lie on the page."""

    low: Float  # [2] m, smallest x and z
    high: Float  # [2] m
    scale: float  # px per metre

    def __call__(self, xz: Float) -> Float:
        """Page coordinates [n,2] of world x and z [n,2]."""
        used = (self.high - self.low) * self.scale
        free = (np.array([_WIDTH, _HEIGHT]) - used) / 2
        return (np.atleast_2d(xz) - self.low) * self.scale + free


def top_view(result: Reconstruction) -> str:
    """The ground from above: scene points, people's ways with their ends, the camera's way and first gaze, a scale."""
    eyes = result.world_from_cam[:, [0, 2], 3].astype(float)
    ways = [p.joints[:, 0][:, [0, 2]].astype(float) for p in result.people]
    place = _fit(np.concatenate([eyes, *ways]))
    parts = [_ground(result, place)]
    for k, (person, way) in enumerate(zip(result.people, ways, strict=True)):
        color = person_color(person.id)
        parts += [_polyline(place(part), color) for part in _unbroken(way, person.frames)]
        parts.append(_end_marker(place(way[-1])[0], color, str(k + 1)))
    parts += [_polyline(place(eyes), CAMERA_COLOR), _gaze(result, 0, place), _gaze(result, -1, place)]
    parts.append(_scale_bar(place.scale))
    label = f"The place from above with the ways of {len(result.people)} people and of the camera"
    return _figure(parts, _HEIGHT, label, "From above. The first camera looks up the page; yellow is the camera.")


def _fit(points: Float) -> _Map:
    low, high = points.min(0) - 1.0, points.max(0) + 1.0
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 2.0)
    half = np.maximum(half, np.minimum(half * 1.6, half + _MAX_SCENE))
    scale = float(min((_WIDTH - 2 * _MARGIN) / (2 * half[0]), (_HEIGHT - 2 * _MARGIN) / (2 * half[1])))
    reach = np.array([_WIDTH, _HEIGHT]) / scale / 2
    return _Map(middle - reach, middle + reach, scale)


def _ground(result: Reconstruction, place: _Map) -> str:
    """Mean colour of the scene points in each cell, as one small picture under the lines."""
    cell = float((place.high - place.low).max()) / _CELLS
    shape = np.ceil((place.high - place.low) / cell).astype(int)
    index = np.floor((result.scene.points[:, [0, 2]] - place.low) / cell).astype(int)
    inside = ((index >= 0) & (index < shape)).all(1) & (result.scene.points[:, 1] < 3.0)
    flat = index[inside, 1] * shape[0] + index[inside, 0]
    count = np.bincount(flat, minlength=int(shape.prod()))
    sums = [np.bincount(flat, result.scene.colors[inside, c], int(shape.prod())) for c in range(3)]
    mean = np.stack([s / np.maximum(count, 1) for s in sums], -1)
    rgba = np.concatenate([mean, 255 * (count > 0)[:, None]], -1).astype(np.uint8).reshape(shape[1], shape[0], 4)
    (x0, y0), (x1, y1) = place(np.stack([place.low, place.low + shape * cell]))
    image: UInt8 = rgba
    return (
        f'<image href="{picture_png(image)}" x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}" '
        'preserveAspectRatio="none" opacity="0.55"/>'
    )


def _unbroken(way: Float, frames: Sequence[int] | Float) -> list[Float]:
    return np.split(way, np.flatnonzero(np.diff(frames) != 1) + 1)


def _polyline(points: Float, color: str) -> str:
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{text}" fill="none" stroke="var(--j-ground)" stroke-width="6" stroke-opacity=".55"/>'
        f'<polyline points="{text}" fill="none" stroke="{color}" stroke-width="3" stroke-linecap="round"/>'
    )


def _end_marker(at: Float, color: str, label: str) -> str:
    x, y = at
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="10" fill="{color}"/>'
        f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" fill="#fff" font-weight="700">{escape(label)}</text>'
    )


def _gaze(result: Reconstruction, frame: int, place: _Map) -> str:
    """The camera's field of view at one frame as a small wedge."""
    pose = result.world_from_cam[frame].astype(float)
    half = result.width / 2 / float(result.intrinsics[0, 0])
    rays = np.array([[-half, 0, 1.0], [half, 0, 1.0]]) @ pose[:3, :3].T
    eye = pose[[0, 2], 3]
    flat = rays[:, [0, 2]] / np.maximum(np.linalg.norm(rays[:, [0, 2]], axis=1, keepdims=True), 1e-6)
    corners = place(np.stack([eye, *(eye + flat * 28 / place.scale)]))
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    opacity = 0.75 if frame == 0 else 0.35
    return f'<polygon points="{text}" fill="{CAMERA_COLOR}" fill-opacity="{opacity}"/>'


def _scale_bar(scale: float) -> str:
    metres = next(m for m in (0.5, 1, 2, 5, 10, 20, 50, 1000) if m * scale > 60)
    x, y, length = _MARGIN, _HEIGHT - 18, metres * scale
    return (
        f'<path d="M{x} {y - 5}v10M{x} {y}h{length:.1f}m0 -5v10" stroke="var(--j-ink)" stroke-width="2" fill="none"/>'
        f'<text x="{x + length + 8:.1f}" y="{y + 4}" fill="var(--j-ink)">{metres:g} m</text>'
    )


def camera_chart(result: Reconstruction) -> str:
    """How far the camera has travelled and how high it is, over time."""
    times = result.frame_times.astype(float)
    centres = result.world_from_cam[:, :3, 3].astype(float)
    travelled = np.concatenate([[0], np.linalg.norm(np.diff(centres, axis=0), axis=1).cumsum()])
    series = [("travelled", travelled, CAMERA_COLOR), ("height over the floor", centres[:, 1], "var(--j-on)")]
    high = max(1.0, *(float(v.max()) for _, v, _ in series))
    height, left, bottom = 190.0, 44.0, 160.0
    x = left + (times - times[0]) / max(float(times[-1] - times[0]), 1e-6) * (_WIDTH - left - _MARGIN)
    parts = []
    for share in (0, 0.5, 1):
        y = bottom - share * (bottom - 20)
        parts.append(f'<path d="M{left} {y}H{_WIDTH - _MARGIN}" stroke="var(--j-line)"/>')
        parts.append(
            f'<text x="{left - 6}" y="{y + 4}" text-anchor="end" fill="var(--j-soft)">{share * high:.1f}</text>'
        )
    for k, (name, values, color) in enumerate(series):
        points = np.stack([x, bottom - np.clip(values / high, 0, 1) * (bottom - 20)], 1)
        text = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline points="{text}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        parts.append(f'<text x="{left + 150 * k}" y="12" fill="{color}" font-weight="600">{name} (m)</text>')
    parts += [_label(left, bottom + 20, "0 s"), _label(_WIDTH - _MARGIN, bottom + 20, f"{times[-1]:.1f} s", "end")]
    kind = {"moving": "The camera moves.", "rotating": "The camera only turns.", "static": "The camera stands still."}
    return _figure(parts, height, "The camera's way over time", kind[result.camera_kind])


def _label(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="var(--j-soft)">{escape(text)}</text>'


def _figure(parts: Sequence[str], height: float, label: str, caption: str) -> str:
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(label)}" '
        f'font-size="12">{"".join(parts)}</svg><figcaption>{escape(caption)}</figcaption></figure>'
    )
