"""How people move: walking, walking on the spot, sitting down on a box. Stance feet stand exactly still.

Everything happens in the walker's frame (y up, facing +z, x to the left, floor at y = 0); scene.py puts it into the
world. Feet are given first, the pelvis moves over them, and the legs follow by two-bone inverse kinematics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from josh_core.body import BodyModel
from josh_core.geometry import axes_along, rotmat_to_rotvec, rotvec_to_rotmat
from josh_core.types import Float

CYCLE = 1.0  # s, two steps
STANCE = 0.62  # share of the cycle a foot is on the ground
HEEL_OFF = 0.55  # share of the stance after which the heel rises
HEEL_PITCH = 0.7  # rad, how far it has risen when the toes leave the ground
EARLY = 0.06  # share of the cycle: the foot lands less far ahead than it is left behind
LIFT = 0.07  # m, height of the swinging foot
REACH = 0.992  # of the leg's length, never stretched further
BOX_HEIGHT = 0.45  # m
BOX = (np.array([-0.6, 0.0, -0.66]), np.array([0.6, BOX_HEIGHT, -0.12]))  # in the walker's frame
LEGS = ((1, 4, 7, 10), (2, 5, 8, 11))  # hip, knee, ankle, foot of the left and right leg


@dataclass(frozen=True)
class Motion:
    """SMPL parameters in the walker's frame."""

    betas: Float  # [10]
    rotations: Float  # [T,24,3,3]
    transl: Float  # [T,3] m


@dataclass(frozen=True)
class Foot:
    """Where one foot is to be."""

    ball: Float  # [T,3] m, position of the foot joint (SMPL 10 or 11)
    pitch: Float  # [T] rad, heel raised about the ball
    toes: Float  # [T] rad, toes bent back against that


class Walker:
    """Rest measures of one body shape, and the inverse kinematics over them."""

    def __init__(self, body: BodyModel, betas: Float) -> None:
        beta = torch.as_tensor(betas, dtype=body.j_template.dtype)[None]
        self.betas = betas
        self.rest = body.rest_joints(beta)[0].double().numpy()  # [24,3]
        self.rest[:, 1] -= float(body.rest_vertices(beta)[0, :, 1].min())  # soles at y = 0
        self.pelvis = body.pelvis(beta)[0].double().numpy()

    def solve(self, pelvis: Float, pose: Float, feet: tuple[Foot, Foot]) -> Motion:
        """The motion with pelvis joint at `pelvis` [T,3]; `pose` [T,24,3] axis-angle gives root and upper body."""
        turn = rotvec_to_rotmat(pose)
        for (hip, knee, ankle, ball), foot in zip(LEGS, feet, strict=True):
            target, foot_turn = self._ankle(foot, ankle, ball)
            start = pelvis + _apply(turn[:, 0], self.rest[hip] - self.rest[0])
            thigh, shin = self._two_bones(start, target, (hip, knee, ankle))
            turn[:, hip] = turn[:, 0].swapaxes(1, 2) @ thigh
            turn[:, knee] = thigh.swapaxes(1, 2) @ shin
            turn[:, ankle] = shin.swapaxes(1, 2) @ foot_turn
            turn[:, ball] = _about_x(-foot.toes)
        return Motion(self.betas, turn, pelvis - self.pelvis)

    def highest_pelvis(self, pelvis: Float, turn: Float, feet: tuple[Foot, Foot]) -> float:
        """By how much (m, negative) `pelvis` [T,3] must be lowered so that both legs always reach."""
        lower, upper = -0.6, 0.3
        for _ in range(40):
            middle = (lower + upper) / 2
            stretched = max(
                self._stretch(pelvis + [0, middle, 0], turn, f, leg) for f, leg in zip(feet, LEGS, strict=True)
            )
            lower, upper = (middle, upper) if stretched < REACH else (lower, middle)
        return lower

    def _stretch(self, pelvis: Float, turn: Float, foot: Foot, leg: tuple[int, ...]) -> float:
        hip, knee, ankle, ball = leg
        target, _ = self._ankle(foot, ankle, ball)
        start = pelvis + _apply(turn, self.rest[hip] - self.rest[0])
        length = np.linalg.norm(self.rest[knee] - self.rest[hip]) + np.linalg.norm(self.rest[ankle] - self.rest[knee])
        return float(np.linalg.norm(target - start, axis=1).max() / length)

    def _ankle(self, foot: Foot, ankle: int, ball: int) -> tuple[Float, Float]:
        """Position [T,3] of the ankle joint and rotation [T,3,3] of the foot."""
        turn = _about_x(foot.pitch)
        return foot.ball + _apply(turn, self.rest[ankle] - self.rest[ball]), turn

    def _two_bones(self, start: Float, end: Float, leg: tuple[int, int, int]) -> tuple[Float, Float]:
        """World rotations [T,3,3] of thigh and shin from hip `start` to ankle `end`, the knee bending to the front."""
        upper, lower = self.rest[leg[1]] - self.rest[leg[0]], self.rest[leg[2]] - self.rest[leg[1]]
        a, b = np.linalg.norm(upper), np.linalg.norm(lower)
        way = end - start
        d = np.linalg.norm(way, axis=1)
        along = (a**2 - b**2 + d**2) / (2 * d)  # law of cosines
        out = np.sqrt(np.maximum(a**2 - along**2, 0))
        axes = axes_along(way, np.broadcast_to([0.0, 0.0, 1.0], way.shape))
        knee = start + along[:, None] * axes[..., 0] + out[:, None] * axes[..., 1]
        ahead = axes[..., 1]
        rest_ahead = np.array([[0.0, 0.0, 1.0]])
        thigh = axes_along(knee - start, ahead) @ axes_along(upper[None], rest_ahead).swapaxes(1, 2)
        shin = axes_along(end - knee, ahead) @ axes_along(lower[None], rest_ahead).swapaxes(1, 2)
        return thigh, shin


def walk(body: BodyModel, betas: Float, times: Float, speed: float, phase: float = 0.0) -> Motion:
    """Walking along +z from the origin at `speed` m/s (0: on the spot); `phase` in cycles."""
    walker = Walker(body, betas)
    feet = (_step(walker, times, speed, phase, 0), _step(walker, times, speed, phase + 0.5, 1))
    left = 2 * np.pi * (times / CYCLE + phase - STANCE / 2)  # 0 in the middle of the left stance
    bob = 0.02 * min(speed + 0.2, 1.0)
    swing = 0.35 * np.sin(left) * min(speed + 0.3, 1.0)
    pose = _upper_body(swing, -swing)
    pose[:, 0, 0] = 0.05
    pose[:, 0, 1] = 0.1 * np.sin(left) * min(speed, 1.0)
    pelvis = np.stack([0.02 * np.cos(left), bob * np.cos(2 * left), speed * times], 1) + walker.rest[0] * [0, 1, 0]
    pelvis[:, 1] += walker.highest_pelvis(pelvis, rotvec_to_rotmat(pose[:, 0]), feet)
    return walker.solve(pelvis, pose, feet)


def sit(body: BodyModel, betas: Float, times: Float) -> Motion:
    """Standing, sitting down on BOX behind (from 20 to 40 % of the time), staying to 75 %, standing up by 95 %."""
    walker = Walker(body, betas)
    n = len(times)
    s = np.linspace(0, 1, n)
    down = _smooth((s - 0.2) / 0.2) - _smooth((s - 0.75) / 0.2)  # 0 standing, 1 seated
    feet = tuple(Foot(np.tile(walker.rest[leg[3]], (n, 1)), np.zeros(n), np.zeros(n)) for leg in LEGS)
    swing = 0.6 * down + 0.02 * np.sin(2 * np.pi * times)
    pose = _upper_body(swing, swing)
    lean = 0.55 * np.sin(np.pi * down)
    pose[:, 0, 0] = 0.8 * lean - 0.05 * down
    pose[:, 3, 0] = 0.3 * lean
    stand = walker.rest[0] + [0, -0.012, 0.01]
    seated = np.array([0, BOX_HEIGHT + 0.1, -0.36])
    for _ in range(6):  # lower or raise the seat onto the box
        pelvis = stand + down[:, None] * (seated - stand)
        pelvis[:, 2] -= 0.05 * np.sin(np.pi * down)  # hips go back first
        motion = walker.solve(pelvis, pose, feet)  # type: ignore[arg-type]
        seated[1] += BOX_HEIGHT - _lowest_seat(body, motion, int(n * 0.57))
    return motion


def _lowest_seat(body: BodyModel, motion: Motion, frame: int) -> float:
    dtype = body.j_template.dtype
    parts = (motion.betas[None], motion.rotations[frame : frame + 1], motion.transl[frame : frame + 1])
    with torch.no_grad():
        contacts = body.points(*(torch.as_tensor(p, dtype=dtype) for p in parts)).contacts[0]
    chosen = [i for i, name in enumerate(body.contact_names) if "seat" in name or "thigh" in name]
    return float(contacts[chosen, 1].min())


def _step(walker: Walker, times: Float, speed: float, phase: float, side: int) -> Foot:
    """One foot's path: flat on the ground, heel rising about the ball, swinging to the next place."""
    _, _, ankle, ball = LEGS[side]
    cycle = times / CYCLE + phase
    number, part = np.floor(cycle), cycle - np.floor(cycle)
    place = walker.rest[ball] - walker.rest[ankle] * [0, 0, 1]
    place = place * [0.8, 1, 1]  # feet a little closer than at rest
    middle = speed * CYCLE * (number + STANCE / 2 - EARLY - phase)  # where the pelvis is early in the stance
    s = np.clip((part - STANCE) / (1 - STANCE), 0, 1)  # progress of the swing
    at = np.tile(place, (len(times), 1))
    at[:, 2] += middle + speed * CYCLE * _smooth(s)
    at[:, 1] += LIFT * np.sin(np.pi * s) ** 2
    rising = HEEL_PITCH * _smooth((part / STANCE - HEEL_OFF) / (1 - HEEL_OFF))
    pitch = rising * (1 - _smooth(s / 0.8)) - 0.12 * np.sin(np.pi * s) ** 2 * s
    return Foot(at, pitch, rising * (1 - _smooth(s)) ** 2)


def _upper_body(left: Float, right: Float) -> Float:
    """Axis-angle pose [n,24,3] with hanging arms that swing forward by `left` and `right` [n] rad."""
    pose = np.zeros((len(left), 24, 3))
    for shoulder, elbow, sign, swing in ((16, 18, 1.0, left), (17, 19, -1.0, right)):
        hang = rotvec_to_rotmat(np.array([0, 0, -1.25 * sign]))
        pose[:, shoulder] = rotmat_to_rotvec(_about_x(-swing) @ hang)
        pose[:, elbow, 1] = -sign * (0.25 + 0.3 * np.maximum(swing, 0))
    pose[:, 6, 1] = -0.06 * (left - right)
    pose[:, 12, 0] = 0.05
    return pose


def _smooth(x: Float) -> Float:
    """0 to 1 with zero speed and acceleration at both ends."""
    x = np.clip(x, 0, 1)
    return x**3 * (10 - 15 * x + 6 * x**2)


def _about_x(angle: Float) -> Float:
    return rotvec_to_rotmat(np.stack([angle, 0 * angle, 0 * angle], -1))


def _apply(turn: Float, vector: Float) -> Float:
    return (turn @ vector[..., None])[..., 0]
