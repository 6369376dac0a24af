"""Gravity: the up direction in the CameraPath's world, with its standard deviation.

Up is an unknown unit vector with evidence: people hold cameras nearly level, people who walk or stand are upright,
posts and walls are vertical, and ground is mostly level. Each observation may be an outlier (a rolled camera, a lying
person, a slope), so each likelihood is a mixture of a Gaussian and a uniform density; the posterior is evaluated on a
grid of directions, and its highest mode is the result. A person lying in an upright picture therefore stays lying.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from josh_core.body.posing import PosedPoints
from josh_core.geometry import transform
from josh_core.scene.edges import Edges, common_direction
from josh_core.shapes import Shaped, check_shapes
from josh_core.types import BodyTrack, CameraPath, Float, Floor

# Chosen by hand, except where a measurement or a source is given.
# How cameras are held: (share of clips, roll, pitch). Hand-held clips are level within a few
# degrees, some are rolled on purpose, a few are turned by a quarter or upside down; pitch is freer than roll.
CAMERA_MIXTURE = ((0.85, np.radians(3.0), np.radians(14.0)), (0.13, np.radians(15.0), np.radians(30.0)))
# Probability that straight legs under a straight back are upright; a handstand or a bed look the same.
STANDING_PROBABILITY = 0.8
WALKING_PROBABILITY = 0.995  # the same for somebody whose legs swing past each other
LEG_SWING = 0.12  # share of the stature, spread of one ankle before the other from which legs swing
LEAN_ACROSS = np.radians(3.0)  # mean lean of standing bodies, as seen in the picture
LEAN_ALONG = np.radians(7.0)  # the same toward or away from the camera, where the fit knows it less
# The student's up, beside an upright body: without edges up is off by 1.8 degrees in the mean over 30 clips, and by 2.2
# without the student (`python -m benchmarks.evidence`). Of 5, 7 and 10 degrees 7 was best.
STUDENT_SIGMA = np.radians(7.0)
STUDENT_PROBABILITY = 0.9  # that it is right. Chosen
TAUGHT_ROLL = np.radians(45.0)  # it was taught hardly any picture that is turned farther (training/simulate.py)
EDGES_PROBABILITY = 0.8  # probability that the direction near up which edges have in common is vertical
LEVEL_PROBABILITY = 0.75  # probability that the ground is level; else steps, slopes, or a wrong plane
GROUND_SIGMA = np.radians(1.5)  # how far level ground and its fit are off
MIN_TURNED_ROLL, MIN_LYING_LEAN = 45.0, 60.0  # degrees: roll nearer to another side's, and lean that nobody stands with
UNIFORM_DENSITY = 1 / (4 * np.pi)  # density of the uniform distribution on the sphere, for outliers
COARSE_DIRECTIONS = 20000  # directions over the sphere, 1.4 degrees apart
FINE_RADIUS = np.radians(15.0)  # around the best of them the posterior is summed up
FINE_DIRECTIONS = 61  # directions along each side of that square


@dataclass(frozen=True)
class Gravity(Shaped):
    """Which way is up in the CameraPath's world."""

    up: Annotated[Float, "3"]  # unit
    sigma: float  # rad, standard deviation of each of its two tilts

    def with_ground(self, floor: Floor | None, independent: bool) -> Gravity:
        """Up with the ground's normal as a further observation; without effect where the normal is far from up.

        independent: False for a floor that was fitted with this gravity as its prior: sigma does not change then.
        """
        if floor is None:
            return self
        off = float(np.arccos(np.clip(self.up @ floor.normal, -1, 1)))
        spread = float(np.hypot(self.sigma, GROUND_SIGMA))
        agrees = LEVEL_PROBABILITY * np.exp(-0.5 * (off / spread) ** 2) / (2 * np.pi * spread**2)
        trust = agrees / (agrees + (1 - LEVEL_PROBABILITY) * UNIFORM_DENSITY)
        share = trust * self.sigma**2 / spread**2
        up = (1 - share) * self.up + share * floor.normal
        known = trust * independent / GROUND_SIGMA**2 + 1 / self.sigma**2
        return Gravity(up / np.linalg.norm(up), float(known**-0.5))


def find_gravity(
    cameras: CameraPath,
    bodies: tuple[BodyTrack, ...],
    points: list[PosedPoints],
    edges: Edges | None = None,
    student_up: tuple[Float, ...] = (),
) -> Gravity:
    """Up from the picture and the bodies (in the order of `points`), then from the background's edges near it.

    student_up: [n,3] for each body, up in the camera as the student sees it, or nothing where it was not asked.
    People may be absent, or none of them upright. Edges are asked last because horizontal ones have a direction in
    common too, which a clip filmed on its side must not take for up.
    """
    for body, said in zip(bodies, student_up or (None,) * len(bodies), strict=True):
        check_shapes("find_gravity", frames=(body.frames, "n"), student_up=(said, "n 3"))
    axes = _body_axes(cameras, bodies, points, student_up)
    sides, ahead = cameras.world_from_cam[:, :3, 0], cameras.world_from_cam[:, :3, 2]
    level = -cameras.world_from_cam[:, :3, 1].mean(0)

    def log_density(up: Float) -> Float:
        roll, pitch = (np.arcsin(np.clip(up @ d.T, -1, 1)) for d in (sides, ahead))
        over = up @ level
        total = np.log(_camera_density(roll, pitch, over))
        for axis in axes:
            total = total + np.log(axis.density(up))
        return total

    coarse = _sphere(COARSE_DIRECTIONS)
    best = coarse[int(np.argmax(log_density(coarse)))]
    vertical = None if edges is None else common_direction(edges, _summed(best, log_density).up, cameras)
    if vertical is None:
        return _summed(best, log_density)

    def with_edges(up: Float) -> Float:
        off = np.arccos(np.clip(up @ vertical.direction, -1, 1))
        peak = np.exp(-0.5 * (off / vertical.sigma) ** 2) / (2 * np.pi * vertical.sigma**2)
        return log_density(up) + np.log(EDGES_PROBABILITY * peak + (1 - EDGES_PROBABILITY) * UNIFORM_DENSITY)

    return _summed(best, with_edges)


def _camera_density(roll: Float, pitch: Float, over: Float) -> Float:
    """Density [m] of m directions.

    roll, pitch: [m,T] rad of every frame; over: [m] positive where the direction points to the upper half of the image.
    """
    rest = 1 - sum(share for share, *_ in CAMERA_MIXTURE)
    out = np.full(len(roll), rest * UNIFORM_DENSITY)
    # The frames of one clip are one way of holding a camera, so their mean counts once.
    for share, sigma_roll, sigma_pitch in CAMERA_MIXTURE:
        off = (roll**2).mean(1) / sigma_roll**2 + (pitch**2).mean(1) / sigma_pitch**2
        out += share * (over > 0) * np.exp(-0.5 * off) / (2 * np.pi * sigma_roll * sigma_pitch)
    return out


@dataclass(frozen=True)
class _StudentUp:
    """Mean of what the student says of one person, in the CameraPath's world."""

    up: Float  # [3] unit
    level: Float  # [3] unit, up if the picture is upright

    def density(self, up: Float) -> Float:
        """[m] at directions [m,3]."""
        off = np.arccos(np.clip(up @ self.up, -1, 1))
        peak = np.exp(-0.5 * (off / STUDENT_SIGMA) ** 2) / (2 * np.pi * STUDENT_SIGMA**2)
        share = STUDENT_PROBABILITY * (up @ self.level > np.cos(TAUGHT_ROLL))
        return share * peak + (1 - share) * UNIFORM_DENSITY


@dataclass(frozen=True)
class _Axis:
    """Mean axis of one upright body in the CameraPath's world."""

    up: Float  # [3] unit
    ray: Float  # [3] unit, from the camera to the body, across `up`
    probability: float  # that the body is upright
    spread: float  # rad, of the mean
    student: _StudentUp | None

    def density(self, up: Float) -> Float:
        """[m] at directions [m,3]: of the axis and, where the body is upright, of what the student says."""
        upright, other = self._upright(up), UNIFORM_DENSITY
        if (
            self.student is not None
        ):  # it looks at the same landmarks, so it knows nothing where the body is not upright
            upright, other = upright * self.student.density(up), other * UNIFORM_DENSITY
        return self.probability * upright + (1 - self.probability) * other

    def _upright(self, up: Float) -> Float:
        side = np.cross(self.up, self.ray)
        off = np.arccos(np.clip(up @ self.up, -1, 1))
        scale = off / np.maximum(np.sin(off), 1e-6)
        along, across = np.hypot(LEAN_ALONG, self.spread), np.hypot(LEAN_ACROSS, self.spread)
        squares = (scale * (up @ self.ray) / along) ** 2 + (scale * (up @ side) / across) ** 2
        return np.where(off < np.pi / 2, np.exp(-0.5 * squares), 0.0) / (2 * np.pi * along * across)


def _body_axes(
    cameras: CameraPath,
    bodies: tuple[BodyTrack, ...],
    points: list[PosedPoints],
    student_up: tuple[Float, ...] = (),
) -> list[_Axis]:
    """The axes of those bodies that have one."""
    ups: tuple[Float | None, ...] = student_up or (None,) * len(bodies)
    axes = (_body_axis(cameras, *one) for one in zip(bodies, points, ups, strict=True))
    return [axis for axis in axes if axis is not None]


def _body_axis(cameras: CameraPath, body: BodyTrack, points: PosedPoints, student_up: Float | None) -> _Axis | None:
    """Mean axis from ankles to neck over the frames with straight legs and back; None without such frames."""
    pose = cameras.world_from_cam[body.frames]
    joints = points.joints
    ankles, hips, neck = joints[:, [7, 8]].mean(1), joints[:, [1, 2]].mean(1), joints[:, 12]
    straight = np.einsum("nd,nd->n", _unit(hips - ankles), _unit(neck - hips)).clip(0) ** 8
    weight = straight * (straight > 0.5)
    if weight.sum() < 0.1 * len(weight) or not weight.any():
        return None
    axes = np.einsum("nij,nj->ni", pose[:, :3, :3], _unit(neck - ankles))
    weight = weight / weight.sum()
    up = _unit(weight @ axes)
    # Half a second of frames leans alike: they count as one.
    spread = float(np.sqrt((weight * ((axes - up) ** 2).sum(1)).sum() / 2 / max(len(axes) / 15, 1)))
    ray = weight @ (transform(pose, joints[:, :1])[:, 0] - pose[:, :3, 3])
    ray = ray - (ray @ up) * up
    ray = _unit(ray) if np.linalg.norm(ray) > 1e-6 else _unit(np.cross(up, [0.3, 0.5, 0.8]))
    upright = WALKING_PROBABILITY if _legs_swing(joints, body.height_m) else STANDING_PROBABILITY
    said = None
    if student_up is not None:
        mean = _unit(np.einsum("nij,nj->ni", pose[:, :3, :3], student_up).mean(0))
        said = _StudentUp(mean, _unit(-pose[:, :3, 1].mean(0)))
    return _Axis(up, ray, upright, spread, said)


def _legs_swing(joints: Float, height_m: float) -> bool:
    """Whether one ankle goes before the other and back, along the line across hips and body axis."""
    hips = joints[:, 2] - joints[:, 1]
    axis = joints[:, 12] - joints[:, [7, 8]].mean(1)
    ahead = _unit(np.cross(hips, axis))
    lead = np.einsum("nd,nd->n", joints[:, 7] - joints[:, 8], ahead)
    return bool(np.std(lead) > LEG_SWING * height_m and lead.min() < 0 < lead.max())


def _summed(best: Float, log_density: Callable[[Float], Float]) -> Gravity:
    """Mean and spread of the posterior within FINE_RADIUS of `best`."""
    sides = np.linalg.svd(best[None])[2][1:]  # [2,3]
    tilt = np.linspace(-FINE_RADIUS, FINE_RADIUS, FINE_DIRECTIONS)
    a, b = (x.reshape(-1, 1) for x in np.meshgrid(tilt, tilt))
    up = _unit(best + np.tan(a) * sides[0] + np.tan(b) * sides[1])
    value = log_density(up)
    weight = np.exp(value - value.max())
    weight /= weight.sum()
    mean = _unit(weight @ up)
    variance = float((weight * ((up - mean) ** 2).sum(1)).sum()) / 2
    return Gravity(mean, float(np.sqrt(variance)))


def turn_notes(
    gravity: Gravity, cameras: CameraPath, bodies: tuple[BodyTrack, ...], points: list[PosedPoints]
) -> tuple[str, ...]:
    """A sentence where the picture is taken to be turned, or everybody in an upright one is not upright."""
    here = (cameras.world_from_cam[:, :3, :3].swapaxes(1, 2) @ gravity.up).mean(0)
    roll = abs(float(np.degrees(np.arctan2(here[0], -here[1]))))
    if roll > MIN_TURNED_ROLL:
        how = "upside down" if roll > 180 - MIN_TURNED_ROLL else "on its side"
        return (
            f"The clip is taken to be filmed {how}, as the people in it stand so. If it was not, turn the picture.",
        )
    axes = _body_axes(cameras, bodies, points)
    off = min((float(np.degrees(np.arccos(np.clip(axis.up @ gravity.up, -1, 1)))) for axis in axes), default=0.0)
    if off < MIN_LYING_LEAN:
        return ()
    how, but = ("is head down", "upside down") if off > 180 - MIN_TURNED_ROLL else ("lies", "on its side")
    return (
        f"Everybody {how} in the picture, which is taken for upright. If the clip was filmed {but}, turn the picture.",
    )


def _sphere(count: int) -> Float:
    """Directions [count,3] spread evenly over the sphere (Fibonacci lattice)."""
    i = np.arange(count) + 0.5
    z, turn = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(turn), across * np.sin(turn), z], 1)


def _unit(v: Float) -> Float:
    return np.asarray(v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12))
