"""Supports: what people stand, sit and lie on beside the floor, found from lasting contacts alone.

A hold is one body part that rests: a stance phase of a foot, a seat while somebody sits, a back while somebody lies.
Each hold is on the floor or on one horizontal patch, and a patch is made only where its holds differ from the floor by
clearly more than the errors. All functions work in a level world: metres, +Y up, any origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import cv2
import numpy as np

from josh_core.body.names import FEET, LIMBS, SEAT, is_part
from josh_core.geometry import true_runs
from josh_core.shapes import Shaped, check_shapes
from josh_core.types import IN_CONTACT, Bool, Float, Floor, Support

# Chosen by hand, except where a measurement or a source is given.
MIN_FOOT_SECONDS, MIN_REST_SECONDS = 0.25, 1.0  # s, shortest hold of a foot, of another part
MAX_SWAY = 0.1  # m, standard deviation of the place of a part that rests, in each direction
MAX_BOB = 0.05  # m, the same of its height
HOLD_SIGMA = 0.015  # m, error of a hold's height
MIN_RISE = 0.09  # m over or under the floor of any patch: less than steps and most kerbs, more than rough ground
SURE = 4.0  # standard deviations by which the holds of a patch are off the floor together
PATCH_COST = 9.0  # squared standard deviations that a further patch has to explain, against a floor that tilts
TILT_SIGMA = np.radians(1.5)  # error of the floor's tilt
NEAR = 0.75  # m between holds that share a patch
RIM = 0.12  # m of a patch around the contact points: they lie inside the sole
MAX_SLOPE = np.radians(20.0)  # ground that people walk on; the steepest streets have 19 degrees, stairs 25 to 40
DOUBT = 3.0  # standard deviations of a person's common error, up to which all heights may be wrong together
RIM_DIRECTIONS = np.stack([f(np.arange(12) * np.pi / 6) for f in (np.cos, np.sin)], 1)  # [12,2]


@dataclass(frozen=True)
class Touching(Shaped):
    """One person's contact points in a level world."""

    points: Annotated[Float, "n C 3"]  # m, +Y up
    probability: Annotated[Float, "n C"]  # of contact
    frames: Annotated[Float, "n"]  # clip frames
    times: Annotated[Float, "n"]  # s
    sigma: float  # m, standard deviation of the error that all of this person's heights have in common


@dataclass(frozen=True)
class _Hold:
    """One part of one person at rest."""

    person: int
    start: float  # s
    seconds: float
    foot: bool
    place: Float  # [2] m: x, z
    y: float  # m
    over: float  # m over the floor
    sigma: float  # m, of both
    touched: Float  # [m,2] m: x, z of the points that touch


def common_sigma(height_sigma: float, scale_sigma: float, cameras: Float, floor: Floor | None) -> float:
    """Touching.sigma in m: wrong size of a body or of the scene moves its feet by a share of the camera's height.

    height_sigma, scale_sigma: shares; cameras: [T,3] m, centres in the level world.
    """
    check_shapes("common_sigma", cameras=(cameras, "T 3"))
    over = cameras[:, 1] if floor is None else cameras @ floor.normal + floor.offset
    return float(np.hypot(height_sigma, scale_sigma) * np.median(np.abs(over)))


def find_supports(people: Sequence[Touching], names: tuple[str, ...], floor: Floor | None) -> tuple[Support, ...]:
    """The patches beside the floor (None: y = 0) that people's lasting contacts ask for; names: [C].

    None over a floor that follows a flight of steps: they are patches over `ground_of_steps` only.
    """
    if _is_steep(floor):
        return ()
    holds = _on_own_ground(_holds(people, names, floor), people)
    feet = [h for h in holds if h.foot]
    patches = [p for p in _patches(feet) if _is_confirmed(p, feet)]
    on_floor = len(feet) > sum(map(len, patches))
    if patches and on_floor and _tilted_floor_cost(feet) < _patches_cost(feet, patches):
        patches = []
    patches += _patches([h for h in holds if not h.foot])
    return tuple(_support(patch) for patch in patches)


def height_over_support(points: Float, floor: Floor | None, supports: Sequence[Support]) -> Float:
    """Height [...] m of points [...,3] over the floor or over the patch under them, whichever is nearer in height."""
    check_shapes("height_over_support", points=(points, "... 3"))
    height = points[..., 1] if floor is None else points @ floor.normal + floor.offset
    for support in supports:
        over = points[..., 1] - support.height
        mine = _within(points[..., [0, 2]], support.outline) & (np.abs(over) < np.abs(height))
        height = np.where(mine, over, height)
    return np.asarray(height)


def ground_of_steps(floor: Floor, people: Sequence[Touching], names: tuple[str, ...]) -> Floor:
    """The floor itself, or level ground under the first hold where it is steeper than people walk.

    A plane fitted to a flight of stairs follows its slope; the steps are found as patches over level ground.
    """
    if not _is_steep(floor):
        return floor
    feet = [h for h in _holds(people, names, floor) if h.foot]
    if not feet:
        return floor
    first = min(feet, key=lambda hold: hold.start)
    return Floor(np.array([0.0, 1.0, 0.0]), -first.y, 0.0)


def _is_steep(floor: Floor | None) -> bool:
    return floor is not None and float(floor.normal[1]) < np.cos(MAX_SLOPE)


def _holds(people: Sequence[Touching], names: tuple[str, ...], floor: Floor | None) -> list[_Hold]:
    """Every person's holds, in the order of people and parts."""
    rest = [i for i, name in enumerate(names) if not is_part(name, FEET + LIMBS + SEAT)]
    feet = [[i for i, n in enumerate(names) if n.startswith(side) and is_part(n, FEET)] for side in ("left", "right")]
    seat = [i for i, name in enumerate(names) if is_part(name, SEAT)]
    out = []
    for k, person in enumerate(people):
        for part in (*feet, seat, rest):
            touching = np.asarray((person.probability[:, part] > IN_CONTACT).any(1))
            for run in _runs(touching, person.frames):
                hold = _hold(k, person, np.asarray(part), run, floor, foot=part in feet)
                if hold is not None:
                    out.append(hold)
    return out


def _runs(touching: Bool, frames: Float) -> list[slice]:
    """Rows of unbroken contact in consecutive frames."""
    breaks = np.flatnonzero(np.diff(frames) != 1) + 1
    out = []
    for rows in np.split(np.arange(len(frames)), breaks):
        out += [slice(rows[0] + a, rows[0] + b) for a, b in true_runs(touching[rows])] if len(rows) else []
    return out


def _hold(k: int, person: Touching, part: Float, run: slice, floor: Floor | None, foot: bool) -> _Hold | None:
    """The hold of person k's part in these rows; None where it is too short or does not rest."""
    times, points = person.times[run], person.points[run][:, part]
    step = (person.times[-1] - person.times[0]) / max(len(person.times) - 1, 1)
    if times[-1] - times[0] + step < (MIN_FOOT_SECONDS if foot else MIN_REST_SECONDS):
        return None
    on = person.probability[run][:, part] > IN_CONTACT
    over = points[..., 1] if floor is None else points @ floor.normal + floor.offset
    # A foot rests on its lowest point, which changes from heel to toe; what is soft rests on all of it.
    y, over = (
        np.where(on, h, np.inf).min(1) if foot else np.nanmedian(np.where(on, h, np.nan), 1)
        for h in (points[..., 1], over)
    )
    place = points[..., [0, 2]].mean(1)
    if place.std(0).max() > MAX_SWAY or over.std() > MAX_BOB:
        return None
    sigma = float(np.hypot(HOLD_SIGMA, over.std()))
    touched = points[..., [0, 2]][on]
    start, seconds = float(times[0]), float(times[-1] - times[0] + step)
    return _Hold(k, start, seconds, foot, place.mean(0), float(np.median(y)), float(np.median(over)), sigma, touched)


def _on_own_ground(holds: list[_Hold], people: Sequence[Touching]) -> list[_Hold]:
    """The holds without the error that each person's heights have in common, with the scatter of the person's feet.

    Whoever is placed too far away sinks in, and whoever is too near floats, with all holds alike: the feet's holds
    nearest to the floor are taken for holds on it, as far as such an error can be. Where they are farther off, the
    heights count as they are.
    """
    out = []
    for k, person in enumerate(people):
        mine = [h for h in holds if h.person == k]
        feet = sorted((h for h in mine if h.foot), key=lambda h: h.start)
        doubt = DOUBT * person.sigma
        base = min((h.over for h in feet), key=abs, default=np.inf)
        if abs(base) > doubt:
            out += [h for h in mine if abs(h.over) > doubt]
            continue
        base = float(np.median([h.over for h in feet if abs(h.over - base) < MIN_RISE]))
        scatter = _scatter(np.array([h.over for h in feet]))
        for h in mine:
            sigma = float(np.hypot(h.sigma, scatter)) if h.foot else h.sigma
            out.append(replace(h, y=h.y - base, over=h.over - base, sigma=sigma))
    return out


def _scatter(heights: Float) -> float:
    """Random error of successive heights [m], by their second differences: steps in one direction do not count."""
    second = np.abs(np.diff(heights, 2))
    return float(1.4826 * np.median(second) / np.sqrt(6)) if len(second) >= 3 else 0.0


def _patches(holds: list[_Hold]) -> list[list[_Hold]]:
    """Holds off the floor, put together where they are near each other and of one height."""
    off = [h for h in holds if abs(h.over) > MIN_RISE]
    patches: list[list[_Hold]] = []
    for hold in sorted(off, key=lambda h: h.sigma):
        fitting = [p for p in patches if _fits(hold, p)]
        patches = [p for p in patches if p not in fitting] + [sum(fitting, [hold])]
    return [p for p in patches if sum((h.over / h.sigma) ** 2 for h in p) > SURE**2]


def _is_confirmed(patch: list[_Hold], feet: list[_Hold]) -> bool:
    """More than one short step: a second hold, a long one, or the step before or after is off the floor likewise.

    On flat ground a single stance phase may be 15 cm wrong, where the foot is hidden or its contact is not one.
    """
    if len(patch) > 1 or patch[0].seconds >= MIN_REST_SECONDS:
        return True
    own = sorted((h for h in feet if h.person == patch[0].person), key=lambda h: h.start)
    at = next(i for i, h in enumerate(own) if h is patch[0])
    beside = own[max(at - 1, 0) : at] + own[at + 1 : at + 2]
    return any(h.over * patch[0].over > 0 and abs(h.over) > MIN_RISE for h in beside)


def _fits(hold: _Hold, patch: list[_Hold]) -> bool:
    near = min(np.linalg.norm(h.place - hold.place) for h in patch) < NEAR
    return bool(near and abs(_height(patch) - hold.y) < MIN_RISE)


def _height(patch: list[_Hold]) -> float:
    """Height y of a patch in m, from its holds by their precision."""
    return float(np.average([h.y for h in patch], weights=[h.sigma**-2 for h in patch]))


def _patches_cost(holds: list[_Hold], patches: list[list[_Hold]]) -> float:
    """Squares that the floor and these patches leave, and PATCH_COST for each patch."""
    own = {id(h): h.y - _height(p) for p in patches for h in p}
    return sum((own.get(id(h), h.over) / h.sigma) ** 2 for h in holds) + PATCH_COST * len(patches)


def _tilted_floor_cost(holds: list[_Hold]) -> float:
    """Squares that one plane through all holds leaves, of any height and with the floor's own tilt as its prior."""
    sigma = np.array([h.sigma for h in holds])
    place = np.stack([h.place for h in holds])
    lhs = np.concatenate([place - place.mean(0), np.ones((len(holds), 1))], 1) / sigma[:, None]
    lhs = np.concatenate([lhs, np.eye(2, 3) / TILT_SIGMA])
    rhs = np.concatenate([np.array([h.over for h in holds]) / sigma, np.zeros(2)])
    return float(((lhs @ np.linalg.lstsq(lhs, rhs, rcond=None)[0] - rhs) ** 2).sum())


def _support(patch: list[_Hold]) -> Support:
    """A patch around all points that touch it, RIM wider."""
    touched = np.concatenate([h.touched for h in patch])
    rim = (touched[:, None] + RIM * RIM_DIRECTIONS).reshape(-1, 2).astype(np.float32)
    return Support(_height(patch), cv2.convexHull(rim)[:, 0].astype(np.float64))


def _within(xz: Float, outline: Float) -> Bool:
    """Whether points [...,2] lie in a convex outline [m,2] of either orientation."""
    edge = np.roll(outline, -1, 0) - outline
    away = xz[..., None, :] - outline
    side = edge[:, 0] * away[..., 1] - edge[:, 1] * away[..., 0]
    return np.asarray((side >= 0).all(-1) | (side <= 0).all(-1))
