"""Paths of people: position and heading of the pelvis over time, and the footprints along it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.rendered.feet import Stance
from benchmarks.rendered.grounds import Flat
from josh_core.types import Float

STANCE = 0.62  # share of the cycle a foot stands (0.6 to 0.62 in the literature on gait)
# The following were chosen by hand.
UNDER = 0.46  # share of the stance at which the pelvis is over the ankle
SAME = 0.02  # m and rad: a footprint nearer than this to the last one is no step
FULL_STEP = 0.6  # m, from which on the foot rolls fully
BEYOND = 1.0  # s of steps planned before and after a clip


@dataclass(frozen=True)
class Course:
    """A path over the ground with its gait."""

    way: Callable[[Float], Float]  # times [N] s -> x, z [N,2] m
    heading: Callable[[Float], Float]  # times [N] s -> rad about +Y from +Z, unwrapped
    cycle: float = 1.05  # s, two steps
    phase: float = 0.0  # share of the cycle at time 0
    width: float = 0.13  # m between the feet
    ground: Flat = field(default_factory=Flat)


def straight(start: tuple[float, float], heading: float, speed: float, step: float, **more: Any) -> Course:
    """Walking straight from start (x, z) m at `speed` m/s with steps of `step` m."""
    ahead = np.array([np.sin(heading), np.cos(heading)])
    return Course(
        way=lambda t: np.asarray(start) + speed * np.asarray(t)[:, None] * ahead,
        heading=lambda t: np.full(len(t), heading),
        cycle=2 * step / speed,
        **more,
    )


def arc(start: tuple[float, float], heading: float, speed: float, step: float, turn: float, **more: Any) -> Course:
    """Walking on a circle: heading changes by `turn` rad a second."""

    def way(t: Float) -> Float:
        t = np.asarray(t)
        angle = heading + turn * t
        east = (np.cos(heading) - np.cos(angle)) / turn
        north = (np.sin(angle) - np.sin(heading)) / turn
        return np.asarray(start) + speed * np.stack([east, north], 1)

    return Course(way, lambda t: heading + turn * np.asarray(t), 2 * step / speed, **more)


def on_the_spot(at: tuple[float, float], heading: float, turn: float, **more: Any) -> Course:
    """Turning on the spot by `turn` rad a second; with 0 nobody steps."""
    return Course(
        way=lambda t: np.tile(np.asarray(at, np.float64), (len(t), 1)),
        heading=lambda t: heading + turn * np.asarray(t),
        **more,
    )


def footprints(course: Course, side: int, seconds: float) -> list[Stance]:
    """Stances of the left (0) or right (1) foot for a clip of `seconds`, without steps that do not move the foot."""
    first = int(np.floor(-BEYOND / course.cycle)) - 1
    last = int(np.ceil((seconds + BEYOND) / course.cycle)) + 1
    prints: list[Stance] = []
    for k in range(first, last):
        land = (k + 0.5 * side - course.phase) * course.cycle
        middle = np.array([land + UNDER * STANCE * course.cycle])
        heading = float(course.heading(middle)[0]) + (0.1 if side == 0 else -0.1)  # toes a little out
        spot = _beside(course, middle, side)
        new = _stance(course, spot, heading, (land, land + STANCE * course.cycle))
        if prints and _near(prints[-1], new):
            prints[-1] = _stance(course, prints[-1].place[[0, 2]], prints[-1].heading, (prints[-1].land, new.lift))
            continue
        prints.append(new)
    return _rolled(prints)


def _stance(course: Course, spot: Float, heading: float, span: tuple[float, float]) -> Stance:
    spot = course.ground.foothold(np.asarray(spot), heading)
    x, z = spot
    place = np.array([x, float(course.ground.height(x, z)), z])
    return Stance(*span, place, heading, course.ground.gradient(x, z), 0.0)


def _beside(course: Course, time: Float, side: int) -> Float:
    """Position of the foot beside the pelvis' path at `time` [1]."""
    heading = float(course.heading(time)[0])
    left = np.array([np.cos(heading), -np.sin(heading)])
    return course.way(time)[0] + (0.5 if side == 0 else -0.5) * course.width * left


def _near(a: Stance, b: Stance) -> bool:
    return bool(np.linalg.norm(a.place - b.place) < SAME and abs(a.heading - b.heading) < SAME)


def _rolled(prints: list[Stance]) -> list[Stance]:
    """The same stances, rolling as far as their steps are long; one that never ends does not roll."""
    if len(prints) == 1:
        only = prints[0]
        return [Stance(-np.inf, np.inf, only.place, only.heading, only.gradient, 0.0)]
    out = []
    for k, stance in enumerate(prints):
        other = prints[k + 1] if k + 1 < len(prints) else prints[k - 1]
        stride = float(np.linalg.norm((other.place - stance.place)[[0, 2]])) / 2
        climb = abs(other.place[1] - stance.place[1]) > 0.05
        share = float(np.clip(stride / FULL_STEP, 0, 1)) * (0.5 if climb else 1.0)
        out.append(Stance(stance.land, stance.lift, stance.place, stance.heading, stance.gradient, share))
    return out
