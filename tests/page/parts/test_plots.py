"""Plots of a made-up result: what is drawn is where the numbers say, in valid SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from josh_core.body import load_body
from josh_core.export.colors import CAMERA_COLOR, person_color
from josh_core.page.parts.plots import camera_chart, top_view
from josh_core.types import Reconstruction
from tests.example_result import made_up_result


@pytest.fixture(scope="module")
def result() -> Reconstruction:
    return made_up_result(load_body())


def lines(svg: ET.Element, color: str) -> list[np.ndarray]:
    """Points [n,2] of the polylines of a colour."""
    found = [e for e in svg.iter("polyline") if e.get("stroke") == color]
    return [np.array([p.split(",") for p in e.get("points", "").split()], float) for e in found]


def length(points: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def test_paths_from_above_are_to_scale(result: Reconstruction) -> None:
    svg = ET.fromstring(top_view(result))
    bar = next(e for e in svg.iter("path") if "m0 -5" in e.get("d", ""))
    px = float(re.search(r"h([\d.]+)", bar.get("d", ""))[1])  # type: ignore[index]
    metres = float(next(e.text for e in svg.iter("text") if (e.text or "").endswith(" m")).split()[0])  # type: ignore[union-attr]
    eyes = result.world_from_cam[:, [0, 2], 3]
    (camera,) = lines(svg, CAMERA_COLOR)
    assert length(camera) * metres / px == pytest.approx(length(eyes), rel=0.02)
    assert camera[-1, 1] < camera[0, 1]  # it goes toward -Z, which is up on the page
    first, second = (lines(svg, person_color(p.id)) for p in result.people)
    assert (len(first), len(second)) == (1, 2)  # the second person comes and goes
    way = result.people[0].joints[:, 0][:, [0, 2]]
    assert length(first[0]) * metres / px == pytest.approx(length(way), rel=0.02)
    apart = (way[-1] - eyes[0]) * px / metres
    assert first[0][-1] - camera[0] == pytest.approx(apart, abs=0.5)
    for points in (camera, *first, *second):
        assert (points >= 0).all() and (points <= [480, 360]).all()


def test_the_camera_over_time(result: Reconstruction) -> None:
    svg = ET.fromstring(camera_chart(result))
    (travelled,), (height,) = lines(svg, CAMERA_COLOR), lines(svg, "var(--j-on)")
    ticks = [float(e.text or 0) for e in svg.iter("text") if re.fullmatch(r"[\d.]+", e.text or "")]
    grid = [float(re.search(r"M[\d.]+ ([\d.]+)H", e.get("d", ""))[1]) for e in svg.iter("path")]  # type: ignore[index]
    per_px = (ticks[2] - ticks[0]) / (grid[0] - grid[2])
    centres = result.world_from_cam[:, :3, 3]
    assert (grid[0] - travelled[-1, 1]) * per_px == pytest.approx(length(centres), abs=0.05)
    assert (grid[0] - height[0, 1]) * per_px == pytest.approx(float(centres[0, 1]), abs=0.05)
    assert (np.diff(travelled[:, 0]) > 0).all() and len(travelled) == len(result.frame_times)
    assert any((e.text or "") == f"{result.frame_times[-1]:.1f} s" for e in svg.iter("text"))
