"""Walks moved to other ground and paths: stairs up and down, kerbs, slopes, curves, turning on the spot, on a line.

The freely licensed motion capture walks straight on a floor. Each stance of a foot is moved as a whole, horizontally
and in height, so that standing feet stay still; the pelvis follows and the legs are solved by inverse kinematics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from josh_core.body.two_bones import two_bones
from josh_core.geometry import rotvec_to_rotmat, smooth_step, true_runs
from josh_core.student.training.squats import LEG_JOINTS
from josh_core.types import Bool, Float

# All numbers here are chosen by hand, rise and slope in the range of usual buildings; none was measured.
REACH = 0.99  # longest distance from hip to ankle over the leg's length
# How often each kind is drawn.
TERRAIN_SHARES = {"stairs": 0.4, "kerb": 0.12, "slope": 0.08, "turn": 0.12, "curve": 0.13, "line": 0.15}
RISE = {"stairs": (0.12, 0.2), "kerb": (0.08, 0.2)}  # m, range of a step's height
SLOPE = 0.17  # steepest slope, height over distance
# Range of the factor on the distance walked.
STRIDE_SCALE = {"stairs": (0.4, 0.75), "kerb": (0.75, 1.05), "slope": (0.7, 1.0), "turn": (0.0, 0.25),
                "curve": (0.6, 1.0), "line": (0.4, 1.0)}  # fmt: skip
STEP_WIDTH_SCALE = {"line": (-0.4, 0.4)}  # range of the factor on the feet's distance from the path; else (0.8, 1.2)
TURNS = {"turn": (0.4, 1.7), "curve": (0.2, 0.8)}  # rad/s
STAIR_STEPS = (3, 12)  # range of the number of steps in a row


@dataclass(frozen=True)
class Walk:
    """n frames in the world; legs as of squats.LEG_JOINTS, left and right."""

    local: Float  # [n,24,3,3] rotations relative to the parent
    world: Float  # [n,24,3,3] rotations in the world
    joints: Float  # [n,24,3] m
    stands: Bool  # [n,2] whether some part of the foot is in contact


@dataclass(frozen=True)
class _Path:
    """The new path of the pelvis and of both feet."""

    heading: Float  # [n] rad about +Y, added to the body's
    pelvis: Float  # [n,2] m, x and z
    ankle: Float  # [n,2,3] m
    yaw: Float  # [n,2] rad, added to the foot's
    height: Float  # [n,2] m, ground under each foot, interpolated while it swings


def move_to_terrain(rng: np.random.Generator, walk: Walk, rest: Float, fps: float) -> tuple[Float, Float]:
    """The walk on random ground: local rotations [n,24,3,3] and pelvis [n,3] m.

    rest: [24,3] m rest joints of the body; fps: frames a second of the walk.
    """
    kind = str(rng.choice(list(TERRAIN_SHARES), p=list(TERRAIN_SHARES.values())))
    path = _path(rng, walk, kind, fps)
    about = _about_y(path.heading)
    turned = walk.local.copy()
    turned[:, 0] = about @ walk.local[:, 0]
    level = gaussian_filter1d(path.height.mean(1), 0.12 * fps, mode="nearest")
    pelvis = np.c_[path.pelvis[:, 0], walk.joints[:, 0, 1] + level, path.pelvis[:, 1]]
    hips = [pelvis + (turned[:, 0] @ (rest[hip] - rest[0])) for hip, _, _ in LEG_JOINTS]
    lower = _pelvis_drop(hips, path, walk.stands, rest, fps)
    pelvis[:, 1] -= lower
    for side, (hip, knee, ankle) in enumerate(LEG_JOINTS):
        start = hips[side] - [0, 1, 0] * lower[:, None]
        foot = _about_y(path.yaw[:, side]) @ walk.world[:, ankle]
        bent = (about @ (walk.joints[:, knee] - 0.5 * (walk.joints[:, hip] + walk.joints[:, ankle]))[..., None])[..., 0]
        front = 0.3 * (turned[:, 0, :, 2] + foot[..., 2]) + 4.0 * bent
        thigh, shin = two_bones(rest[[hip, knee, ankle]], start, path.ankle[:, side], front)
        turned[:, hip] = turned[:, 0].swapaxes(1, 2) @ thigh
        turned[:, knee] = thigh.swapaxes(1, 2) @ shin
        turned[:, ankle] = shin.swapaxes(1, 2) @ foot
    return turned, pelvis


def _path(rng: np.random.Generator, walk: Walk, kind: str, fps: float) -> _Path:
    """A random path of the given kind for the walk."""
    n = len(walk.local)
    turn = rng.uniform(*TURNS[kind]) * rng.choice([-1, 1]) if kind in TURNS else 0.0
    heading = turn / fps * (np.arange(n) - n / 2)
    old = walk.joints[:, 0, [0, 2]]
    step = np.diff(np.c_[old[:, 0], 0 * old[:, 0], old[:, 1]], axis=0)
    moved = (_about_y(heading[:-1]) @ step[..., None])[..., 0] * rng.uniform(*STRIDE_SCALE[kind])
    pelvis = np.concatenate([np.zeros((1, 2)), np.cumsum(moved[:, [0, 2]], axis=0)])
    runs = [_runs(walk.stands[:, side]) for side in (0, 1)]
    middles = sorted({(a + b - 1) // 2 for side in runs for a, b in side})
    levels = dict(zip(middles, _ground_heights(rng, kind, pelvis[middles]), strict=True))
    beside = (1 - rng.uniform(*STEP_WIDTH_SCALE.get(kind, (0.8, 1.2)))) * _lateral_offsets(walk)
    out = [
        _foot(walk.joints[:, ankle] - beside[:, s], runs[s], (heading, pelvis, old), levels)
        for s, (*_, ankle) in enumerate(LEG_JOINTS)
    ]
    return _Path(heading, pelvis, *(np.stack(column, 1) for column in zip(*out, strict=True)))


def _lateral_offsets(walk: Walk) -> Float:
    """Sideways offsets [n,2,3] m of the ankles from the pelvis; constant during each stance."""
    left = walk.world[:, 0, :, 0] * [1, 0, 1]
    left = left / np.linalg.norm(left, axis=1, keepdims=True)
    off = np.stack([walk.joints[:, ankle] - walk.joints[:, 0] for *_, ankle in LEG_JOINTS], 1)
    way = np.einsum("nsd,nd->ns", off, left)[..., None] * left[:, None]
    for side in (0, 1):
        runs = _runs(walk.stands[:, side])
        middles = np.array([(a + b - 1) // 2 for a, b in runs] or [0])
        knots = np.array([[a, b - 1] for a, b in runs] or [[0, 0]]).reshape(-1)
        held = np.repeat(way[middles, side], 2, axis=0)
        way[:, side] = np.stack([np.interp(np.arange(len(way)), knots, held[:, d]) for d in range(3)], 1)
    return way


def _ground_heights(rng: np.random.Generator, kind: str, at: Float) -> Float:
    """Height [K] m of the ground under the stances, in order of time; at: [K,2] m, pelvis in the middle of each."""
    count = len(at)
    if kind in RISE:
        steps = 1 if kind == "kerb" else int(rng.integers(*STAIR_STEPS, endpoint=True))
        first = rng.integers(0, max(1, count // 2 if kind == "stairs" else count - 1))
        return rng.choice([-1, 1]) * rng.uniform(*RISE[kind]) * np.clip(np.arange(count) - first, 0, steps)
    along = np.linalg.norm(at - at[:1], axis=1) if count else np.zeros(0)
    return rng.uniform(-SLOPE, SLOPE) * along if kind == "slope" else 0 * along


def _foot(
    ankle: Float, runs: list[tuple[int, int]], way: tuple[Float, Float, Float], levels: dict[int, float]
) -> tuple[Float, Float, Float]:
    """New ankle [n,3] m, added yaw [n] rad and ground height [n] m of one foot; each stance moves as a whole."""
    heading, pelvis, old = way
    n = len(ankle)
    if not runs:
        runs, levels = [(0, n)], {(n - 1) // 2: 0.0}
    moved, yaw, ground = [], [], []
    for a, b in runs:
        m = (a + b - 1) // 2
        off = np.c_[ankle[:, 0] - old[m, 0], ankle[:, 1], ankle[:, 2] - old[m, 1]]
        moved.append(off @ _about_y(heading[[m]])[0].T + [pelvis[m, 0], levels[m], pelvis[m, 1]])
        yaw.append(heading[m])
        ground.append(levels[m])
    out, turned, level = moved[0].copy(), np.full(n, yaw[0]), np.full(n, ground[0])
    for k in range(1, len(runs)):
        lift, land = runs[k - 1][1], runs[k][0]
        s = np.clip((np.arange(n) - lift + 1) / (land - lift + 1), 0, 1)
        flat, up = smooth_step(s), smooth_step(s / 0.7) if ground[k] > ground[k - 1] else smooth_step((s - 0.3) / 0.7)
        share = np.stack([flat, up, flat], 1)
        out += share * (moved[k] - moved[k - 1])
        turned += flat * (yaw[k] - yaw[k - 1])
        level += flat * (ground[k] - ground[k - 1])
    return out, turned, level


def _pelvis_drop(hips: list[Float], path: _Path, stands: Bool, rest: Float, fps: float) -> Float:
    """How far [n] m the pelvis must be lowered so that the legs reach the standing feet."""
    need = np.zeros(len(hips[0]))
    for side, (hip, knee, ankle) in enumerate(LEG_JOINTS):
        leg = REACH * (np.linalg.norm(rest[knee] - rest[hip]) + np.linalg.norm(rest[ankle] - rest[knee]))
        to = hips[side] - path.ankle[:, side]
        flat = np.linalg.norm(to[:, [0, 2]], axis=1)
        high = to[:, 1] - np.sqrt(np.maximum(leg**2 - np.minimum(flat, 0.95 * leg) ** 2, 0))
        need = np.maximum(need, np.where(stands[:, side], high, 0))
    window = max(1, round(0.1 * fps))
    return gaussian_filter1d(maximum_filter1d(need, 2 * window + 1), 0.5 * window, mode="nearest")


def _runs(on: Bool) -> list[tuple[int, int]]:
    """Half-open intervals in which `on` [n] is True; gaps of up to two frames are closed."""
    runs: list[tuple[int, int]] = []
    for first, end in true_runs(on):
        if runs and first - runs[-1][1] <= 2:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((first, end))
    return runs


def _about_y(angle: Float) -> Float:
    return rotvec_to_rotmat(np.asarray(angle)[..., None] * np.array([0.0, 1.0, 0.0]))
