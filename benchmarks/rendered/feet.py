"""Feet by a plan of footprints: while a foot stands it is exactly still; it rolls over heel and ball, and swings.

A foot's place is that of its ankle joint. In the stance the foot first turns about the heel until it is flat, then
about the ball joint (SMPL's foot joint) while the toes stay flat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from benchmarks.rendered.grounds import Flat
from benchmarks.rendered.looks import DressedBody
from josh_core.geometry import rotvec_to_rotmat, smooth_step
from josh_core.types import Bool, Float

# Chosen by hand, not measured.
STRIKE = 0.32  # rad, toes up when the heel meets the ground
PUSH = 0.85  # rad, heel up when the toes leave it
FLAT_FROM, FLAT_TO = 0.14, 0.55  # shares of the stance between which the foot is flat
CLEARANCE = 0.012  # m the shoe keeps over the ground while it swings
LIFT = 0.035  # m the swinging foot is raised besides


@dataclass(frozen=True)
class Stance:
    """One footprint."""

    land: float  # s
    lift: float  # s
    place: Float  # [3] m of the ground under the ankle
    heading: float  # rad about +Y from +Z
    gradient: Float  # [2] slope of the ground along x and z
    stride: float  # share of a full step: how much the foot rolls


@dataclass(frozen=True)
class FootPath:
    """One foot over time. N times."""

    ankle: Float  # [N,3] m
    turn: Float  # [N,3,3] world rotation of the foot
    toes: Float  # [N] rad the toes are bent up
    touches: Bool  # [N,3] heel, ball, toe stand still on the ground
    swing: Bool  # [N]
    support: Float  # [N] m height of the ground the foot stands on, or moves between
    heading: Float  # [N] rad


@dataclass(frozen=True)
class Shoe:
    """Points of one shoe relative to its ankle in the rest pose, m."""

    ankle_height: float
    ball: Float  # [3] the joint that the toes turn about
    heel: Float  # [3] rearmost point of the sole
    tip: Float  # [3] foremost point of the sole

    @classmethod
    def of(cls, person: DressedBody, side: int) -> Shoe:
        """The left (0) or right (1) shoe of a person."""
        ankle, ball = person.joints[7 + side], person.joints[10 + side]
        mine = person.dressed[person.weights[:, [7 + side, 10 + side]].sum(1) > 0.5]
        sole = mine[mine[:, 1] < 1e-6] - ankle
        heel, tip = sole[sole[:, 2].argmin()], sole[sole[:, 2].argmax()]
        return cls(float(ankle[1]), ball - ankle, heel * [0, 1, 1], tip * [0, 1, 1])


def foot_path(shoe: Shoe, plan: list[Stance], times: Float, ground: Flat) -> FootPath:
    """The path of one foot through its footprints, in order, at times [N]."""
    count = len(times)
    ankle, pitch, toes = np.zeros((count, 3)), np.zeros(count), np.zeros(count)
    touches, swing = np.zeros((count, 3), bool), np.zeros(count, bool)
    support, heading, gradient = np.zeros(count), np.zeros(count), np.zeros((count, 2))
    for stance, following in zip(plan, [*plan[1:], None], strict=True):
        on = (times >= stance.land) & (times < stance.lift)
        ankle[on], pitch[on], toes[on] = _stand(shoe, stance, times[on])
        touches[on] = _touching(stance, times[on])
        support[on], heading[on], gradient[on] = stance.place[1], stance.heading, stance.gradient
        if following is not None:
            off = (times >= stance.lift) & (times < following.land)
            swing |= off
            s = (times[off] - stance.lift) / max(following.land - stance.lift, 1e-9)
            ankle[off], pitch[off], toes[off] = _swing(shoe, stance, following, s)
            eased = s * s * (3 - 2 * s)
            support[off] = stance.place[1] + (following.place[1] - stance.place[1]) * eased
            heading[off] = stance.heading + (following.heading - stance.heading) * eased
            gradient[off] = stance.gradient + (following.gradient - stance.gradient) * eased[:, None]
    turn = flat_turn(heading, gradient) @ _about_x(pitch)
    ankle[:, 1] += _clear(shoe, ankle, turn, swing, ground, float(np.median(np.diff(times))))
    return FootPath(ankle, turn, toes, touches, swing, support, heading)


def flat_turn(heading: Float, gradient: Float) -> Float:
    """Rotation [N,3,3] of a foot that lies flat: turned about +Y by heading [N], then laid on slopes [N,2]."""
    normal = np.stack([-gradient[..., 0], np.ones_like(heading), -gradient[..., 1]], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    axis = np.cross(np.broadcast_to([0.0, 1.0, 0.0], normal.shape), normal)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, normal[..., 1:2])
    tilt = rotvec_to_rotmat(axis / np.maximum(sine, 1e-12) * angle)
    return np.asarray(tilt @ rotvec_to_rotmat(heading[..., None] * np.array([0.0, 1.0, 0.0])))


def _stand(shoe: Shoe, stance: Stance, times: Float) -> tuple[Float, Float, Float]:
    """Ankle [n,3], pitch [n] (positive: heel up) and toe bend [n] during a stance."""
    share = _share(stance, times)
    strike = -STRIKE * stance.stride * (1 - smooth_step(share / FLAT_FROM))
    push = PUSH * stance.stride * smooth_step((share - FLAT_TO) / (1 - FLAT_TO) * 0.5) * 2  # still rising at lift
    pitch = np.where(share < FLAT_FROM, strike, push)
    laid = flat_turn(np.array([stance.heading]), stance.gradient[None])[0]
    flat = stance.place + laid @ np.array([0, shoe.ankle_height, 0])
    pivot = np.where((pitch > 0)[:, None], shoe.ball, shoe.heel)
    turned = (_about_x(pitch) @ pivot[..., None])[..., 0]
    return flat + (pivot - turned) @ laid.T, pitch, np.maximum(push, 0) * (share > FLAT_FROM)


def _touching(stance: Stance, times: Float) -> Bool:
    share = _share(stance, times)
    rolls = stance.stride > 0
    heel = (share <= FLAT_TO) | (not rolls)
    front = (share >= FLAT_FROM) | (not rolls)
    return np.stack([heel, front, front], 1)


def _share(stance: Stance, times: Float) -> Float:
    """Progress [n] of the stance; one that begins or ends beyond any clip is flat there."""
    if np.isinf(stance.land):
        return np.full(len(times), 0.5 * (FLAT_FROM + FLAT_TO))
    return np.asarray((times - stance.land) / (stance.lift - stance.land))


def _swing(shoe: Shoe, a: Stance, b: Stance, s: Float) -> tuple[Float, Float, Float]:
    """From footprint a to footprint b, at progress s [n]: a cubic with both ends' velocities, raised in the middle."""
    span, tiny = b.land - a.lift, 1e-4
    ends = [_stand(shoe, a, np.array([a.lift - tiny, a.lift])), _stand(shoe, b, np.array([b.land, b.land + tiny]))]
    (p0, q0, t0), (p1, q1, _) = ends
    v0, v1 = (p0[1] - p0[0]) / tiny * span, (p1[1] - p1[0]) / tiny * span
    ankle = _hermite(s, p0[1], p1[0], np.clip(v0, -1, 1), v1)
    ankle[:, 1] += LIFT * max(a.stride, b.stride, 0.5) * np.sin(np.pi * s) ** 2
    rise = b.place[1] - a.place[1]
    early = smooth_step(s / 0.6) if rise > 0 else smooth_step((s - 0.35) / 0.65)
    ankle[:, 1] += rise * (early - smooth_step(s))
    w0, w1 = (q0[1] - q0[0]) / tiny * span, (q1[1] - q1[0]) / tiny * span
    pitch = _hermite(s, q0[1:], q1[:1], np.array([w0]), np.array([w1]))[:, 0]
    return ankle, pitch, t0[1] * (1 - smooth_step(s / 0.5))


def _clear(shoe: Shoe, ankle: Float, turn: Float, swing: Bool, ground: Flat, step: float) -> Float:
    """Heights [N] m to add so that the swinging shoe passes over the ground."""
    points = ankle[:, None] + np.stack([turn @ p for p in (shoe.heel, shoe.tip, 0.5 * (shoe.heel + shoe.tip))], 1)
    low = (ground.height(points[..., 0], points[..., 2]) + CLEARANCE - points[..., 1]).max(1)
    need = np.where(swing, np.maximum(low, 0), 0)
    window = max(int(0.08 / step), 1)
    need = gaussian_filter1d(maximum_filter1d(need, 2 * window + 1), window / 2, radius=window)
    edge = _since_change(swing) * step
    return np.asarray(need * smooth_step(edge / 0.06) * swing)


def _since_change(swing: Bool) -> Float:
    """Samples [N] to the nearest sample that is not swing."""
    stands = np.flatnonzero(~swing)
    if len(stands) == 0:
        return np.full(len(swing), 1e9)
    index = np.arange(len(swing))
    right = np.clip(np.searchsorted(stands, index), 0, len(stands) - 1)
    left = np.clip(right - 1, 0, len(stands) - 1)
    return np.minimum(np.abs(stands[right] - index), np.abs(index - stands[left]))


def _hermite(s: Float, a: Float, b: Float, va: Float, vb: Float) -> Float:
    s = s[:, None]
    cubic = (2 * s**3 - 3 * s**2 + 1) * a + (s**3 - 2 * s**2 + s) * va
    return np.asarray(cubic + (3 * s**2 - 2 * s**3) * b + (s**3 - s**2) * vb)


def _about_x(angle: Float) -> Float:
    return rotvec_to_rotmat(np.asarray(angle)[..., None] * np.array([1.0, 0.0, 0.0]))
