"""Pace: whether people move as fast as people do, or the clip is sped up, a time lapse, or in slow motion.

Legs are pendulums: over walking and running alike, the speed over the square of the cadence (the walk ratio, times 60)
hardly changes, 0.38 s m for adults (Sekiya, Nagasaki 1998: 0.0064 m per step a minute). Played k times as fast it is k
times smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from josh_core.types import Float

# Chosen by hand, except where a measurement or a source is given.
ANKLES = (7, 8)  # SMPL's joints
# m/s and 10 m/s^3: a walk of that speed has a jerk of 5 to 10; played five times as fast, 125 times that, of which the
# body fit leaves less the coarser the frames are.
BRISK_SPEED, ABRUPT_JERK = 1.5, 25.0
RUNNING_SPEED = 3.0  # m/s: whoever walks goes at 0.8 to 2 m/s, and from about 2.5 people run (Bramble, Lieberman 2004)
# Walk ratio in m s (python -m benchmarks.pace RESULT prints it): walkers on the boardwalk, as reconstructed, have 0.26
# to 0.34, rendered ones 0.29 to 0.33. A clip is sped up below MIN_WALK_RATIO, at more steps a second than walkers
# make; in slow motion above MAX_WALK_RATIO; fast people with more than USUAL_WALK_RATIO run. MAX_STEP_RATIO is used
# where the steps are too few to count: the limit of the squared length of a step over the speed.
MIN_WALK_RATIO, USUAL_WALK_RATIO, MAX_WALK_RATIO, MAX_STEP_RATIO = 0.22, 0.26, 0.5, 0.9
FAST_CADENCE, MIN_WALK_SPEED = 2.5, 0.7  # 1/s and m/s: who steps on the spot is left out
LONG_STEP, MIN_CREEP_SPEED = 0.35, 0.05  # m and m/s: feet so far apart, and a body that still goes on
MIN_STRAIGHTNESS = 0.7  # way from the first to the last place over the way gone, at least, of who walks somewhere
MIN_SWING = 0.3  # of the widest step, by which the feet must pass each other to count
# What falls freely does so at 9.8 m/s^2, so nobody's trunk sinks faster for long; MAX_FALL leaves room for errors.
# Level accelerations tell nothing: those along the line of sight are noise.
TRUNK = (0, 3, 6, 9)  # SMPL's pelvis and spine
FALL_SECONDS, MIN_FALL_FRAMES, MAX_FALL = 0.2, 5, 13.7  # s over which it is measured, frames of them; m/s^2


def steps(joints: Float, times: Float) -> tuple[float | None, float | None]:
    """Steps a second, and their length in m, of who walks somewhere; None where that cannot be told.

    joints: [n,24,3] m in the world; times: [n] s.
    """
    ground = np.asarray(joints, np.float64)[:, :, [0, 2]]
    way = ground[-1, 0] - ground[0, 0]
    stride = max(1, len(ground) // max(1, round(2 * float(times[-1] - times[0]))))  # half a second: without the sway
    gone = np.linalg.norm(np.diff(ground[::stride, 0], axis=0), axis=-1).sum()
    if np.linalg.norm(way) < max(MIN_STRAIGHTNESS * gone, 1e-6):
        return None, None
    apart = (ground[:, ANKLES[0]] - ground[:, ANKLES[1]]) @ (way / np.linalg.norm(way))
    ahead, passes, widest = 0.0, [], []
    for time, distance in zip(times, apart, strict=True):
        if abs(distance) < MIN_SWING * np.abs(apart).max():
            continue
        if np.sign(distance) != np.sign(ahead):
            passes.append(float(time))
            widest.append(0.0)
        ahead = distance
        widest[-1] = max(widest[-1], abs(float(distance)))
    if len(passes) < 3:  # begins with one foot ahead, then each passes the other
        return None, None
    cadence = (len(passes) - 2) / (passes[-1] - passes[1]) if len(passes) > 3 else None
    return cadence, float(np.median(widest))


def fall(joints: Float, times: Float) -> float | None:
    """Largest downward acceleration in m/s^2 of the trunk over FALL_SECONDS; None where the frames are too far apart.

    joints: [n,24,3] m in the world; times: [n] s.
    """
    height = np.asarray(joints, np.float64)[:, TRUNK, 1].mean(1)
    found = []
    for first, begin in enumerate(times):
        end = int(np.searchsorted(times, begin + FALL_SECONDS + 1e-3))
        if end == len(times):
            break
        if end - first >= MIN_FALL_FRAMES:
            since = np.asarray(times[first:end] - begin, np.float64)
            found.append(-2 * float(np.polyfit(since, height[first:end], 2)[0]))
    return max(0.0, *found) if found else None


def pace(person: Mapping[str, Any]) -> str:
    """Whether a person (of quality.py's numbers) moves too "fast", "falls" too fast or is too "slow" for a real one; ""
    if not.
    """
    speed, jitter = person["speed_m_s"] or 0.0, person.get("jitter") or 0.0
    cadence, step = person.get("steps_hz"), person.get("step_m")
    ratio = speed / cadence**2 if cadence else None
    if cadence and ratio is not None and ratio < MIN_WALK_RATIO and cadence > FAST_CADENCE and speed > MIN_WALK_SPEED:
        return "fast"
    if (ratio is None or ratio < USUAL_WALK_RATIO) and (
        speed > RUNNING_SPEED or (speed > BRISK_SPEED and jitter > ABRUPT_JERK)
    ):
        return "fast"
    if (person.get("fall_m_s2") or 0.0) > MAX_FALL:
        return "falls"
    if step is None or step < LONG_STEP or speed < MIN_CREEP_SPEED:
        return ""
    return "slow" if (step**2 / speed > MAX_STEP_RATIO if ratio is None else ratio > MAX_WALK_RATIO) else ""


def pace_notes(quality: Mapping[str, Any]) -> tuple[str, ...]:
    """Sentences about who moves faster than people can, who falls faster, and who is slower."""
    people = list(enumerate(quality["people"], 1))
    notes = []
    for kind, what in (("fast", max), ("falls", max), ("slow", min)):
        key = "fall_m_s2" if kind == "falls" else "speed_m_s"
        off = [(person[key], k) for k, person in people if pace(person) == kind]
        if off:
            value, k = what(off)
            who = f"Person {k}" if len(people) > 1 else "The person"
            notes.append(f"{who} {_SENTENCES[kind].format(value)}")
    return tuple(notes)


_SENTENCES = {
    "fast": "moves at {:.1f} m/s, faster or more abruptly than people walk: if nobody runs, rides or skates here, "
    "the clip is sped up (a time lapse?), and speeds and contacts are wrong. Give the clip at its true speed.",
    "falls": "goes down with {:.0f} m/s², faster than anything falls (9.8): the clip is sped up (a time lapse, a speed "
    "ramp?), or the motion that was found is wrong. Speeds and contacts are too. Give the clip at its true speed.",
    "slow": "moves at {:.2f} m/s, slower than people go with steps that long: if nobody does so on purpose, "
    "the clip is in slow motion, and speeds and contacts are wrong. Give the clip at its true speed.",
}
