"""Whole-body motion over the feet: pelvis and trunk follow the gait, legs by two-bone inverse kinematics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from benchmarks.rendered.courses import STANCE, UNDER, Course, footprints
from benchmarks.rendered.feet import FootPath, Shoe, foot_path
from benchmarks.rendered.looks import DressedBody, posed_joints, skin
from josh_core.body.two_bones import two_bones
from josh_core.geometry import rotmat_to_rotvec, rotvec_to_rotmat, smooth_step
from josh_core.types import Bool, Float

FINE = 4  # samples a frame while paths are laid
PAD = 0.8  # s of motion laid before and after the clip, so that filters have no ends in it
REACH = 0.995  # of the leg's length, never stretched further
LEGS = ((1, 4, 7, 10), (2, 5, 8, 11))  # hip, knee, ankle, foot of the left and right leg
ARMS = ((13, 16, 18, 20, 22, 1.0), (14, 17, 19, 21, 23, -1.0))  # collar, shoulder, elbow, wrist, hand, side


@dataclass(frozen=True)
class Style:
    """How somebody moves besides going along a course."""

    lean: float = 0.04  # rad, trunk forward
    arms: float = 0.45  # rad, swing of the arms at a brisk walk
    crouch: float = 0.0  # m the pelvis is lower than when walking
    sway: float = 0.018  # m, pelvis to the standing foot
    restless: float = 1.0  # gestures of somebody who stands
    arms_out: float = 0.0  # rad, arms held away from the body
    seed: int = 0
    seat: Seat | None = None
    carry: Callable[[Float], Float] | None = None  # times [N] -> [N,3] m, by which everything is moved (skates, a belt)


@dataclass(frozen=True)
class Seat:
    """Sitting down on something level and standing up again."""

    top: float  # m
    back: float  # m the seated pelvis is behind the standing one
    down: tuple[float, float]  # s, from standing to seated
    up: tuple[float, float] = (np.inf, np.inf)


@dataclass(frozen=True)
class Motion:
    """One person's motion in the world, with what touches. T frames."""

    person: DressedBody
    rotations: Float  # [T,24,3,3] local
    root: Float  # [T,3] m of the pelvis joint
    turns: Float  # [T,24,3,3] world
    joints: Float  # [T,24,3] m
    touches: Bool  # [T,2,3] left, right: heel, ball, toe stand still
    slides: Bool  # [T,2] the foot touches but slides
    seated: Bool  # [T]
    support: Float  # [T,2] m height of the ground under each foot
    hands: Bool = field(default_factory=lambda: np.zeros((0, 2), bool))  # [T,2] hand rests on something still

    def vertices(self, frame: int) -> Float:
        """Dressed mesh [V,3] m of one frame."""
        return skin(self.person, self.turns[frame], self.joints[frame])


def move(person: DressedBody, course: Course, frames: int, fps: float, style: Style | None = None) -> Motion:
    """The motion of a person along a course for a clip of `frames` at `fps`."""
    style = style or Style()
    step = 1 / (FINE * fps)
    pad = int(PAD / step)
    times = (np.arange(frames * FINE + 2 * pad) - pad) * step
    seconds = frames / fps
    feet = [
        foot_path(Shoe.of(person, side), footprints(course, side, seconds), times, course.ground) for side in (0, 1)
    ]
    gait = _Gait.of(course, times)
    down = _seated(style.seat, times)
    pose = _upper_body(gait, style, times, down)
    root = _pelvis(person, course, feet, (gait, style, down), rotvec_to_rotmat(pose[:, 0]), times)
    frame = pad + FINE * np.arange(frames)
    rotations = _with_legs(person, root[frame], rotvec_to_rotmat(pose[frame]), [_at(f, frame) for f in feet])
    motion = _finish(person, rotations, root[frame], feet, frame, down >= 1.0)
    if style.seat is not None:
        motion = _on_seat(motion, style.seat, rotations, feet, frame, down)
    return _carried(motion, style.carry, times[frame]) if style.carry else motion


@dataclass(frozen=True)
class _Gait:
    """What the upper body follows. N times."""

    heading: Float  # [N] rad, smooth
    angle: Float  # [N] rad, 0 in the middle of the left stance
    vigour: Float  # [N] 0 standing to 1 walking briskly

    @classmethod
    def of(cls, course: Course, times: Float) -> _Gait:
        way = course.way(times)
        speed = np.linalg.norm(np.gradient(way, times, axis=0), axis=1)
        turning = np.abs(np.gradient(course.heading(times), times))
        angle = 2 * np.pi * (times / course.cycle + course.phase - STANCE * UNDER)
        return cls(course.heading(times), angle, np.clip(np.maximum(speed / 1.3, 0.25 * turning), 0, 1.1))


def _seated(seat: Seat | None, times: Float) -> Float:
    """0 standing to 1 seated [N]; exactly 1 while seated."""
    if seat is None:
        return np.zeros(len(times))
    down = smooth_step((times - seat.down[0]) / (seat.down[1] - seat.down[0]))
    return down if np.isinf(seat.up[0]) else down - smooth_step((times - seat.up[0]) / (seat.up[1] - seat.up[0]))


def _upper_body(gait: _Gait, style: Style, times: Float, down: Float) -> Float:
    """Axis-angle pose [N,24,3]: root in the world, trunk, head and arms; legs are left for later."""
    rng = np.random.default_rng(style.seed)
    count = len(times)
    drift = np.stack([sum(rng.normal(0, 0.5) * np.sin(rng.uniform(0.4, 1.6) * times + rng.uniform(0, 6))
                          for _ in range(3)) for _ in range(8)], 1)  # fmt: skip
    quiet = (1 - np.clip(gait.vigour, 0, 1)) * style.restless * (1 - down)
    bend = np.sin(np.pi * down)
    twist, list_ = 0.09 * gait.vigour * np.sin(gait.angle), 0.05 * gait.vigour * np.cos(gait.angle)
    turn = _about(1, gait.heading) @ _about(0, style.lean * 0.5 + 0.45 * bend - 0.1 * down)
    turn = turn @ _about(1, twist) @ _about(2, list_)
    pose = np.zeros((count, 24, 3))
    pose[:, 0] = rotmat_to_rotvec(turn)
    for joint in (3, 6, 9):  # the trunk turns against the pelvis
        pose[:, joint, 0] = style.lean / 4 + 0.08 * bend + 0.05 * down + 0.02 * quiet * drift[:, 0]
        pose[:, joint, 1] = -0.65 * twist + 0.06 * quiet * drift[:, 1]
        pose[:, joint, 2] = -0.4 * list_ + 0.02 * quiet * drift[:, 2]
    pose[:, 12, 0] = pose[:, 15, 0] = -style.lean / 2 - 0.12 * bend + 0.06 * drift[:, 3]
    pose[:, 12, 1] = pose[:, 15, 1] = 0.12 * drift[:, 4] + 0.45 * twist
    for (_, shoulder, elbow, wrist, hand, side), k in zip(ARMS, (5, 6), strict=True):
        swing = style.arms * gait.vigour * side * np.sin(gait.angle)
        lifted = quiet * 0.35 * np.maximum(drift[:, k], 0) + 0.55 * down + 0.1 * gait.vigour
        hang = 1.36 - style.arms_out - 0.06 * quiet * drift[:, k]
        arm = _about(0, -(swing + lifted)) @ _about(2, -side * hang)
        pose[:, shoulder] = rotmat_to_rotvec(arm)
        bent = 0.22 + 0.3 * np.maximum(swing, 0) + 0.9 * lifted + 0.15 * gait.vigour
        pose[:, elbow, 1] = -side * bent
        pose[:, wrist, 2] = -side * 0.1
        pose[:, hand, 2] = -side * 0.35
    return pose


def _pelvis(
    person: DressedBody,
    course: Course,
    feet: list[FootPath],
    how: tuple[_Gait, Style, Float],
    turn: Float,
    times: Float,
) -> Float:
    """Path [N,3] of the pelvis joint: over the feet, as high as both legs reach, smoothly."""
    gait, style, down = how
    step = float(times[1] - times[0])
    way = course.way(times)
    left = np.stack([np.cos(gait.heading), -np.sin(gait.heading)], 1)
    ahead = np.stack([np.sin(gait.heading), np.cos(gait.heading)], 1)
    way = way + style.sway * (gait.vigour * np.cos(gait.angle))[:, None] * left
    support = gaussian_filter1d(0.5 * (feet[0].support + feet[1].support), 0.14 / step, mode="nearest")
    stands = person.joints[0, 1] - 0.012 - style.crouch
    height = support + stands + 0.012 * gait.vigour * np.cos(2 * gait.angle)
    if style.seat is not None:
        back = style.seat.back * down + 0.06 * np.sin(np.pi * down)
        way = way - back[:, None] * ahead
        height = height + down * (style.seat.top + 0.1 - height)
    root = np.stack([way[:, 0], height, way[:, 1]], 1)
    short = np.maximum(root[:, 1] - _reachable(person, root, turn, feet), 0) * (down < 1)
    window = int(0.07 / step)
    lower = gaussian_filter1d(maximum_filter1d(short, 2 * window + 1), window / 2, radius=window)
    root[:, 1] -= np.where(down < 1, lower, 0.0)
    return root


def _reachable(person: DressedBody, root: Float, turn: Float, feet: list[FootPath]) -> Float:
    """Height [N] of the pelvis at which the leg that is stretched most reaches its ankle."""
    highest = np.full(len(root), np.inf)
    for foot, (hip, knee, ankle, _) in zip(feet, LEGS, strict=True):
        rest = person.joints
        length = REACH * (np.linalg.norm(rest[knee] - rest[hip]) + np.linalg.norm(rest[ankle] - rest[knee]))
        offset = turn @ (rest[hip] - rest[0])
        flat = (root + offset - foot.ankle)[:, [0, 2]]
        above = np.sqrt(np.maximum(length**2 - (flat**2).sum(1), 1e-4))
        highest = np.minimum(highest, foot.ankle[:, 1] + above - offset[:, 1])
    return highest


def _with_legs(person: DressedBody, root: Float, turns: Float, feet: list[FootPath]) -> Float:
    """Local rotations [T,24,3,3] with the legs solved for the feet. turns: [T,24,3,3] local, legs unset."""
    rest, rotations = person.joints, turns.copy()
    for foot, (hip, knee, ankle, ball), side in zip(feet, LEGS, (1.0, -1.0), strict=True):
        start = root + turns[:, 0] @ (rest[hip] - rest[0])
        outward = foot.heading + 0.1 * side
        front = turns[:, 0, :, 2] + np.stack([np.sin(outward), 0 * outward, np.cos(outward)], 1)
        thigh, shin = two_bones(rest[[hip, knee, ankle]], start, foot.ankle, front)
        rotations[:, hip] = turns[:, 0].swapaxes(1, 2) @ thigh
        rotations[:, knee] = thigh.swapaxes(1, 2) @ shin
        rotations[:, ankle] = shin.swapaxes(1, 2) @ foot.turn
        rotations[:, ball] = _about(0, -foot.toes)
    return rotations


def _finish(
    person: DressedBody, rotations: Float, root: Float, feet: list[FootPath], frame: Float, seated: Bool
) -> Motion:
    turns, joints = posed_joints(person, rotations, root)
    touches = np.stack([f.touches[frame] for f in feet], 1)
    return Motion(
        person=person,
        rotations=rotations,
        root=root,
        turns=turns,
        joints=joints,
        touches=touches,
        slides=np.zeros((len(root), 2), bool),
        seated=seated[frame],
        support=np.stack([f.support[frame] for f in feet], 1),
        hands=np.zeros((len(root), 2), bool),
    )


def _on_seat(motion: Motion, seat: Seat, rotations: Float, feet: list[FootPath], frame: Float, down: Float) -> Motion:
    """The motion with the seated pelvis at the height where the buttocks just meet the seat."""
    person, at = motion.person, int(np.argmax(motion.seated))
    for _ in range(4):
        gap = motion.vertices(at)[person.seat, 1].min() - seat.top
        root = motion.root - [0, 1, 0] * (gap * down[frame])[:, None]
        pose = rotations.copy()
        motion = _finish(person, _with_legs(person, root, pose, [_at(f, frame) for f in feet]), root, feet, frame,
                         down >= 1.0)  # fmt: skip
    return motion


def _carried(motion: Motion, carry: Callable[[Float], Float], times: Float) -> Motion:
    """Everything moved by carry(times): feet that stood now slide over the ground."""
    shift = carry(times)
    moving = np.linalg.norm(np.gradient(shift, times, axis=0), axis=1) > 1e-3
    return Motion(
        person=motion.person,
        rotations=motion.rotations,
        root=motion.root + shift,
        turns=motion.turns,
        joints=motion.joints + shift[:, None],
        touches=motion.touches & ~moving[:, None, None],
        slides=motion.touches.any(2) & moving[:, None],
        seated=motion.seated & ~moving,
        support=motion.support + shift[:, 1:2],
        hands=motion.hands,
    )


def _at(foot: FootPath, frame: Float) -> FootPath:
    return FootPath(*(getattr(foot, name)[frame] for name in FootPath.__dataclass_fields__))


def _about(axis: int, angle: Float) -> Float:
    vector = np.zeros((len(np.atleast_1d(angle)), 3))
    vector[:, axis] = angle
    return rotvec_to_rotmat(vector)
