"""The kinds of clips. Each takes a random generator, which decides bodies, clothes, paths, cameras and street."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.rendered import cameras
from benchmarks.rendered.courses import STANCE, UNDER, Course, arc, on_the_spot, straight
from benchmarks.rendered.grounds import Block, Flat, Slope, Steps
from benchmarks.rendered.looks import make_person
from benchmarks.rendered.motions import Motion, Seat, Style, move
from josh_core.body.model import BodyModel
from josh_core.types import Float

SIZE = (640, 360)  # px
Rng = np.random.Generator


@dataclass(frozen=True)
class Shot:
    """A clip before it is drawn: people, cameras, ground, lens."""

    name: str
    fps: float
    focal: float  # px
    motions: list[Motion]
    cameras: Float  # [T,4,4]
    ground: Flat = field(default_factory=Flat)
    room: bool = False
    size: tuple[int, int] = SIZE


class Set:
    """The random choices and building blocks from which a kind makes its clip."""

    def __init__(self, name: str, seed: int, body: BodyModel, frames: int | None = None) -> None:
        self.rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        self.name, self._body = name, body
        self.fps = 25.0 if self.rng.random() < 0.25 else 30.0
        self.frames = int(self.rng.integers(70, 91))
        self.seconds = self.frames / self.fps
        if frames is not None:
            self.frames = frames

    def among(self, low: float, high: float) -> float:
        """A number between two."""
        return float(self.rng.uniform(low, high))

    def side(self) -> float:
        """1 or -1."""
        return float(self.rng.choice([-1.0, 1.0]))

    def actor(self, course: Course, height: float | None = None, **style: Any) -> Motion:
        """Somebody new on a course."""
        person = make_person(self._body, self.rng, height)
        style = {
            "seed": int(self.rng.integers(1 << 30)),
            "arms": self.among(0.3, 0.55),
            "lean": self.among(0, 0.08),
        } | style
        return move(person, course, self.frames, self.fps, Style(**style))

    def walk(self, start: tuple[float, float], heading: float, speed: float | None = None, **more: Any) -> Course:
        """A straight walk at an ordinary pace."""
        speed = speed or self.among(1.0, 1.45)
        step = 0.62 * np.sqrt(speed / 1.25) * self.among(0.95, 1.05)
        return straight(start, heading, speed, float(step), phase=self.among(0, 1), **more)

    def shot(self, focal: float, motions: list[Motion], path: Float, **more: Any) -> Shot:
        """The finished clip."""
        return Shot(self.name, self.fps, focal, motions, path, **more)


def _way(motion: Motion, height: float = 0.0) -> Float:
    """The pelvis's path [T,3] on the ground, raised by `height` m."""
    return motion.root * [1, 0, 1] + [0, height, 0]


def tripod_depth(s: Set) -> Shot:
    """Tripod: a walk across the picture and toward the camera."""
    turn = s.side()
    course = s.walk((-1.9 * turn, -2.6), turn * s.among(0.6, 0.95))
    actor = s.actor(course)
    path = cameras.tripod(s.frames, np.array([0.3 * turn, s.among(1.3, 1.6), 4.6]), np.array([0, 0.9, -0.8]))
    return s.shot(s.among(520, 620), [actor], path)


def walk_away(s: Set) -> Shot:
    """Straight away from a camera that follows."""
    actor = s.actor(s.walk((0.0, 0.0), np.pi))
    way = cameras.smooth(_way(actor), 0.4, s.fps)
    eye = way + [s.among(-0.5, 0.5), s.among(1.4, 1.6), s.among(3.6, 4.4)]
    path = cameras.hand_held(s.rng, eye, way + [0, 0.95, 0], s.fps, steps=1.9)
    return s.shot(s.among(540, 680), [actor], path)


def walk_toward(s: Set) -> Shot:
    """Straight toward a camera that steps back more slowly."""
    actor = s.actor(s.walk((0.0, -3.0), 0.0))
    u = np.linspace(0, 1, s.frames)[:, None]
    eye = np.array([s.among(-0.3, 0.3), 1.45, 3.4]) + u * [0, 0, s.among(0.6, 1.2)]
    path = cameras.hand_held(s.rng, eye, cameras.smooth(_way(actor, 0.95), 0.4, s.fps), s.fps, steps=1.5)
    return s.shot(s.among(500, 620), [actor], path)


def _stairs(s: Set, rise: float, count: int) -> tuple[Course, Steps]:
    """A course along +z over stairs whose treads lie under the footprints."""
    depth, cycle, phase = s.among(0.31, 0.34), s.among(1.1, 1.25), s.among(0, 1)
    speed = 2 * depth / cycle
    k = 2  # the first footprint on the stairs
    at = speed * (k / 2 - phase + UNDER * STANCE) * cycle
    ground = Steps(start=at - 0.5 * depth + 0.07, count=count, rise=rise, depth=depth)
    return Course(
        lambda t: speed * np.asarray(t)[:, None] * [0.0, 1.0], lambda t: np.zeros(len(t)), cycle, phase, 0.14, ground
    ), ground


def stairs_up(s: Set) -> Shot:
    """Up a flight of stairs, seen from behind and from the side."""
    course, ground = _stairs(s, s.among(0.14, 0.17), 7)
    actor = s.actor(course)
    way = cameras.smooth(actor.root * [0.3, 0.6, 0.5], 0.4, s.fps)
    path = cameras.hand_held(s.rng, way + [s.side() * s.among(2.2, 3.0), 0.9, -2.6], way + [0, 0.45, 0.6], s.fps)
    return s.shot(s.among(540, 640), [actor], path, ground=ground)


def stairs_down(s: Set) -> Shot:
    """Down a flight of stairs, seen from below."""
    course, ground = _stairs(s, -s.among(0.14, 0.17), 7)
    actor = s.actor(course)
    way = cameras.smooth(actor.root * [0.3, 0.6, 0.5], 0.4, s.fps)
    foot = np.array([s.side() * s.among(0.8, 1.6), -7 * abs(ground.rise) + 1.75, 5.4])
    path = cameras.hand_held(s.rng, 0.25 * way + foot, way + [0, 0.4, 0.5], s.fps)
    return s.shot(s.among(540, 640), [actor], path, ground=ground)


def kerb(s: Set) -> Shot:
    """Over a kerb, seen from the side by a camera that tracks."""
    ground = Steps(start=s.among(1.2, 1.8), count=1, rise=s.side() * s.among(0.11, 0.15), depth=0.3)
    actor = s.actor(s.walk((0.0, -0.6), 0.0, ground=ground))
    way = cameras.smooth(_way(actor), 0.4, s.fps)
    eye = 0.7 * way + [s.side() * s.among(3.4, 4.0), 1.4, 0.3]
    path = cameras.hand_held(s.rng, eye, 0.85 * way + [0, 0.85, 0.15], s.fps, steps=1.8)
    return s.shot(s.among(520, 620), [actor], path, ground=ground)


def slope(s: Set) -> Shot:
    """Up or down a slope of 5 to 8 degrees, tracked from the side."""
    ground = Slope(rise=s.side() * float(np.tan(np.radians(s.among(5, 8)))))
    actor = s.actor(s.walk((0.0, -0.8), 0.0, s.among(0.95, 1.2), ground=ground))
    way = cameras.smooth(actor.root - [0, actor.person.joints[0, 1], 0], 0.4, s.fps)
    eye = 0.8 * way + [s.side() * s.among(3.3, 3.9), 1.45, 1.2]
    path = cameras.hand_held(s.rng, eye, way + [0, 0.9, 0], s.fps, steps=1.8)
    return s.shot(s.among(540, 640), [actor], path, ground=ground)


def on_a_box(s: Set) -> Shot:
    """One person stands on a box, another walks past on the ground."""
    x, top = s.side() * s.among(0.7, 1.0), s.among(0.85, 1.05)
    ground = Block((x - 0.4, -1.9), (x + 0.4, -1.1), top)
    walker = s.actor(s.walk((-s.side() * 1.9, s.among(-0.3, 0.1)), 0.0, 0.9))
    turn = -np.sign(walker.root[0, 0])
    walker = s.actor(s.walk((-1.9 * turn, 0.0), turn * np.pi / 2, s.among(1.0, 1.3)))
    stander = s.actor(on_the_spot((x, -1.5), s.among(-0.4, 0.4), 0.0, ground=ground))
    eye = np.array([-0.7 * turn, 1.5, 4.2]) + np.linspace(0, 1, s.frames)[:, None] * [1.3 * turn, 0, -0.2]
    path = cameras.hand_held(s.rng, eye, np.tile([0.0, 1.15, -0.9], (s.frames, 1)), s.fps, steps=1.7)
    return s.shot(s.among(480, 560), [walker, stander], path, ground=ground)


def bench(s: Set) -> Shot:
    """Somebody sits down on a bench; the camera moves sideways."""
    top = s.among(0.42, 0.48)
    ground = Block((-0.9, -0.75), (0.9, -0.25), top)
    seat = Seat(top, s.among(0.40, 0.44), (0.5, s.among(1.4, 1.6)))
    actor = s.actor(on_the_spot((0.0, 0.0), 0.0, 0.0), seat=seat)
    turn = s.side()
    eye = np.array([turn * 1.9, 1.35, 3.0]) + np.linspace(0, 1, s.frames)[:, None] * [-turn * s.among(0.8, 1.4), 0, 0.2]
    path = cameras.hand_held(s.rng, eye, np.tile([0.0, 0.75, -0.2], (s.frames, 1)), s.fps, steps=1.5)
    return s.shot(s.among(520, 600), [actor], path, ground=ground, room=bool(s.rng.random() < 0.5))


def crossing(s: Set) -> Shot:
    """The paths of two people of 1.80 and 1.53 m cross."""
    turn, tall = s.side(), s.rng.permutation([1.80, 1.53])
    near = s.actor(s.walk((-1.7 * turn, 0.2), turn * s.among(1.5, 1.65)), float(tall[0]))
    far = s.actor(s.walk((1.8 * turn, -1.2), -turn * s.among(1.45, 1.6)), float(tall[1]))
    u = np.linspace(0, 1, s.frames)[:, None]
    eye = np.array([-0.5 * turn, 1.45, 4.3]) + u * [s.among(0.7, 1.2) * turn, 0, -0.3]
    path = cameras.hand_held(s.rng, eye, np.tile([0.0, 0.9, -0.6], (s.frames, 1)), s.fps, steps=1.7)
    return s.shot(s.among(520, 620), [near, far], path)


def turning_camera(s: Set) -> Shot:
    """A camera that only turns follows somebody who walks by."""
    turn = s.side()
    actor = s.actor(s.walk((-2.0 * turn, -0.4), turn * s.among(1.3, 1.8)))
    path = cameras.turning(s.rng, np.array([0.0, 1.5, 4.0]), _way(actor, 0.92), s.fps)
    return s.shot(s.among(560, 760), [actor], path)


def rolled(s: Set) -> Shot:
    """The camera is held 20 degrees askew and tracks a walk."""
    turn = s.side()
    actor = s.actor(s.walk((-1.4 * turn, 0.0), turn * s.among(1.2, 1.7)))
    way = cameras.smooth(_way(actor), 0.5, s.fps)
    eye = 0.7 * way + [0.0, 1.45, 4.2]
    path = cameras.hand_held(s.rng, eye, way + [0, 0.9, 0], s.fps, steps=1.8)
    angle = s.side() * np.radians(20)
    roll = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    path[:, :3, :3] = path[:, :3, :3] @ roll
    return s.shot(s.among(540, 640), [actor], path)


def truncation(s: Set) -> Shot:
    """Walking up to the camera until the legs have left the picture."""
    turn = s.side()
    actor = s.actor(s.walk((-0.9 * turn, -2.2), turn * s.among(0.15, 0.3), s.among(0.9, 1.15)))
    eye = np.array([0.2 * turn, 1.45, 2.9]) + np.linspace(0, 1, s.frames)[:, None] * [0.5 * turn, 0, 0]
    target = cameras.smooth(_way(actor), 0.4, s.fps) * [0.7, 0, 0] + [0, 1.1, 0]
    path = cameras.hand_held(s.rng, eye, target, s.fps, steps=1.6)
    return s.shot(s.among(520, 600), [actor], path)


def turn_on_spot(s: Set) -> Shot:
    """Turning on the spot by small steps while the camera moves sideways."""
    actor = s.actor(
        on_the_spot((0.0, 0.0), s.among(-1, 1), s.side() * s.among(0.9, 1.3), cycle=1.1, phase=s.among(0, 1))
    )
    turn = s.side()
    eye = np.array([-0.7 * turn, 1.4, 3.4]) + np.linspace(0, 1, s.frames)[:, None] * [1.5 * turn, 0, 0.1]
    path = cameras.hand_held(s.rng, eye, np.tile([0.0, 0.9, 0.0], (s.frames, 1)), s.fps, steps=1.6)
    return s.shot(s.among(520, 620), [actor], path, room=True)


def side_tracking(s: Set) -> Shot:
    """A walk along a wide curve, tracked from the side by a long lens."""
    turn = s.side()
    speed = s.among(1.1, 1.4)
    course = arc((-1.6 * turn, 0.0), turn * 1.3, speed, 0.62 * np.sqrt(speed / 1.25), turn * s.among(0.1, 0.25),
                 phase=s.among(0, 1))  # fmt: skip
    actor = s.actor(course)
    way = cameras.smooth(_way(actor), 0.5, s.fps)
    eye = 0.75 * way + [0.0, 1.5, 6.6]
    path = cameras.hand_held(s.rng, eye, way + [0, 0.9, 0], s.fps, steps=1.8)
    return s.shot(s.among(900, 1100), [actor], path)


def skater(s: Set) -> Shot:
    """Gliding past on skates: the feet touch the ground and slide."""
    turn, speed = s.side(), s.among(1.6, 2.2)
    heading = turn * s.among(1.35, 1.75)
    ahead = np.array([np.sin(heading), 0.0, np.cos(heading)])

    def glide(t: Float) -> Float:
        side = 0.12 * np.sin(2 * np.pi * 0.55 * t)[:, None] * np.array([np.cos(heading), 0, -np.sin(heading)])
        return speed * t[:, None] * ahead + side

    course = on_the_spot((-2.2 * turn, 0.0), heading, 0.0, width=0.2)
    actor = s.actor(course, crouch=0.09, lean=0.25, arms_out=0.35, restless=2.0, carry=glide)
    way = cameras.smooth(_way(actor), 0.4, s.fps)
    path = cameras.hand_held(s.rng, 0.75 * way + [0, 1.45, 4.1], way + [0, 0.85, 0], s.fps, steps=1.8)
    return s.shot(s.among(520, 620), [actor], path)


def treadmill(s: Set) -> Shot:
    """Walking on a treadmill: the body stays, the feet are carried back."""
    speed = s.among(1.0, 1.3)
    course = s.walk((0.0, 0.0), 0.0, speed, ground=Flat())
    height = 0.14
    actor = s.actor(course, carry=lambda t: np.asarray(t)[:, None] * [0.0, 0.0, -speed] + [0.0, height, 0.0])
    turn = s.side()
    eye = np.array([turn * 2.8, 1.4, 1.6]) + np.linspace(0, 1, s.frames)[:, None] * [-0.4 * turn, 0, 0.9]
    path = cameras.hand_held(s.rng, eye, np.tile([0.0, 0.95, 0.0], (s.frames, 1)), s.fps, steps=1.6)
    return s.shot(s.among(480, 560), [actor], path, ground=Block((-0.35, -0.9), (0.35, 0.8), height), room=True)


KINDS: dict[str, Callable[[Set], Shot]] = {
    kind.__name__: kind
    for kind in (tripod_depth, walk_away, walk_toward, stairs_up, stairs_down, kerb, slope, on_a_box, bench, crossing,
                 turning_camera, rolled, truncation, turn_on_spot, side_tracking, skater, treadmill)
}  # fmt: skip
