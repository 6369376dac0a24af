"""Left and right: frames where the landmark network exchanged the person's sides are found and put right.

Seen from the front or from behind a person has nearly the same outline, so a network that looks at single frames now
and then names all left landmarks right; from the side the legs hide each other, and it may exchange them for longer.
Between neighbouring frames a hand or a foot cannot change places with the other, which tells the few wrong frames
from the many right ones: a shortest path through four states per frame (upper body as named or exchanged, legs as
named or exchanged).

Legs that stay exchanged from one moment at which the ankles pass each other to the next (or to the end of the track)
make no long step anywhere. They show in how the ankles pass: the swinging foot goes past the standing one, so the
vector from one ankle to the other keeps its velocity, which turns round where the names change.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import median_filter

from josh_core.body.names import LANDMARKS
from josh_core.types import Bool, Float, Int, Track

UPPER_LANDMARKS = np.array(
    [LANDMARKS.index(f"{s}_{x}") for s in ("left", "right") for x in ("shoulder", "elbow", "wrist")]
)
LOWER_LANDMARKS = np.array([LANDMARKS.index(f"{s}_{x}") for s in ("left", "right") for x in ("hip", "knee", "ankle")])
ANKLES = np.array([LANDMARKS.index("left_ankle"), LANDMARKS.index("right_ankle")])
FACE_AND_ARMS = np.arange(LANDMARKS.index("left_hip"))
LEG_LANDMARKS = np.arange(LANDMARKS.index("left_hip"), len(LANDMARKS))
STATES = ((False, False), (True, True), (True, False), (False, True))  # exchanged: upper body, legs
HEIGHT = 1.7  # m, of an adult: what follows is over the height in the image
MAX_STEP = 0.2  # of the person's height: a step between two frames counts at most this; costs and step chosen by hand
# Weight of a step in the network's depths beside one in the picture, of the upper body: seen from the side the arms may
# be anywhere in the picture, but one is near and the other far. Chosen on seed 33 among 0 to 1.5, where the arms are
# wrong in 9 frames and the legs in 7, and in 10 and 9 without it; of seed 21 in 18 and 12, and 26 and 20
# (`python -m benchmarks.evidence`). The depths of legs only made them worse.
UPPER_DEPTH_WEIGHT = 0.5
# Cost of a frame in which all, only the upper body or only the legs are exchanged; steps cost their length over the
# person's height. Chosen on rendered clips of seed 33, where halves twice as costly had arms exchanged with the legs.
EXCHANGED_COST = {(True, True): 0.06, (True, False): 0.12, (False, True): 0.06}
# Width of the hips in the image, over the person's height, from which costs count in full: medians of ten people of
# seed 33 are 0.08 to 0.11 from the front and 0.03 from the side.
FRONTAL_WIDTH = 0.1
MIN_SHARE = 0.3  # of the costs where the hips lie on each other
# Ankles that pass each other: chosen on rendered clips of seed 33. In 17 of these the network exchanges the legs in 57
# frames, 37 are left without a look at passing ankles and 7 with it; of seed 21, 65, 14 and 12
# (`python -m benchmarks.evidence`).
PASSING_DISTANCE = 0.12  # of the height, between the ankles at the crossing
NEAR = 0.06  # s, in which there is one crossing only
WINDOW = 0.25  # s before and after a crossing; the next one follows after 0.5 s in a walk
MIN_ROWS = 3  # frames on either side
MAX_STEP_SECONDS = 0.05  # frames farther apart are not smoothed, since that would move the crossing away
MIN_VISIBILITY = 0.2  # of both ankles in the mean over the window
CHANGE_COST = 0.01  # for names that change at a crossing; this and the next against residuals over the person's height
EXCHANGED_SECOND = 0.05  # for a second of exchanged strides


def mirror_names() -> Int:
    """[33] index of the same landmark on the other side."""
    other = {"left": "right", "right": "left"}
    names = ["_".join(other.get(part, part) for part in name.split("_")) for name in LANDMARKS]
    return np.array([LANDMARKS.index(name) for name in names])


def fix_left_right(track: Track, px_per_m: Float, times: Float) -> tuple[Track, Bool]:
    """The track with consistent sides, and [n,2] where upper body and legs had been exchanged.

    px_per_m: [n] px of a metre at the person; times: [n] s of the track's frames.
    """
    height_px = HEIGHT * float(np.median(px_per_m))
    state = _shortest_path(_state_costs(track, height_px), _step_costs(track, height_px))
    exchanged = np.array(STATES)[state]  # [n,2]
    fixed = _swapped(track, exchanged)
    strides = exchanged_strides(fixed.landmarks_px[:, ANKLES] / height_px, fixed.visibility[:, ANKLES].min(1), times)
    strides = np.stack([np.zeros_like(strides), strides], -1)
    return _swapped(fixed, strides), exchanged ^ strides


def _swapped(track: Track, exchanged: Bool) -> Track:
    """The track with the sides of upper body and legs changed where `exchanged` [n,2] says."""
    swap = np.zeros(track.visibility.shape, bool)
    swap[:, FACE_AND_ARMS] = exchanged[:, :1]
    swap[:, LEG_LANDMARKS] = exchanged[:, 1:]
    mirror = mirror_names()

    def fixed(values: Float) -> Float:
        mask = swap.reshape(*swap.shape, *[1] * (values.ndim - 2))
        return np.where(mask, values[:, mirror], values)

    return replace(
        track,
        landmarks_px=fixed(track.landmarks_px),
        landmarks_m=fixed(track.landmarks_m),
        visibility=fixed(track.visibility),
    )


def exchanged_strides(ankles: Float, visibility: Float, times: Float) -> Bool:
    """[n] where the legs are exchanged from one crossing of the ankles to a later one, or to an end of the track.

    ankles: [n,2,2] left and right in the image over the person's height; visibility: [n] of both; times: [n] s. Of all
    ways to exchange whole stretches between crossings the one with the least cost: at each crossing how badly the
    motion fits a passing, and costs for changing the names and for each exchanged second.
    """
    between = ankles[:, 0] - ankles[:, 1]
    if len(times) > 1 and np.median(np.diff(times)) < MAX_STEP_SECONDS:
        between = median_filter(between, (3, 1), mode="nearest")  # single frames jump
    crossings = _crossings(between, visibility, times)
    bounds = [0, *(row for row, _ in crossings), len(times)]
    seconds = np.diff(np.append(times, times[-1:])[bounds])
    alone = np.stack([np.zeros_like(seconds), EXCHANGED_SECOND * seconds], -1)
    stay, change = (np.array([max(way * k, 0) for _, k in crossings]) for way in (-1, 1))
    steps = np.moveaxis(np.array([[stay, change + CHANGE_COST], [change + CHANGE_COST, stay]]), -1, 0)
    return np.repeat(_shortest_path(alone, steps).astype(bool), np.diff(bounds))


def _crossings(between: Float, visibility: Float, times: Float) -> list[tuple[int, float]]:
    """Rows at which the ankles are at the same place, and by how much a passing fits better than a turning back.

    between: [n,2] from one ankle to the other.
    """
    distance = np.linalg.norm(between, axis=-1)
    found = []
    for row in np.flatnonzero(distance < PASSING_DISTANCE):
        away = times - times[row]
        rows = np.abs(away) <= WINDOW
        enough = min((rows & (away < 0)).sum(), (rows & (away > 0)).sum()) >= MIN_ROWS
        if enough and distance[row] <= distance[np.abs(away) < NEAR].min() and visibility[rows].mean() > MIN_VISIBILITY:
            back = np.where(away[rows, None] > 0, -1, 1) * between[rows]
            passing, turning = (_misfit(way, visibility[rows], away[rows]) for way in (between[rows], back))
            found.append((int(row), turning - passing))
    # Where the landmarks are confused for a few frames, the clearest row is the crossing.
    return [
        (row, kept)
        for row, kept in found
        if all(abs(kept) >= abs(other) for at, other in found if abs(times[at] - times[row]) < WINDOW)
    ]


def _misfit(between: Float, weight: Float, away: Float) -> float:
    """Mean residual of a passing (an odd cubic in time beside a constant) over the frames of a window."""
    x = away / WINDOW
    basis = np.stack([np.ones_like(x), x, x**3], -1)
    root = np.sqrt(weight)[:, None]
    way = np.linalg.lstsq(basis * root, between * root, rcond=None)[0]
    return float(np.average(np.linalg.norm(between - basis @ way, axis=-1), weights=weight))


def _state_costs(track: Track, height_px: float) -> Float:
    """[n,4] cost of a state in each frame: less from the side, but not for arms alone."""
    left, right = (track.landmarks_px[:, LANDMARKS.index(f"{side}_hip")] for side in ("left", "right"))
    share = np.clip(np.linalg.norm(left - right, axis=-1) / height_px / FRONTAL_WIDTH, MIN_SHARE, 1)
    costs = [EXCHANGED_COST.get(state, 0.0) * (share if state[1] else 1.0) for state in STATES]
    return np.stack(np.broadcast_arrays(*costs), -1)


def _step_costs(track: Track, height_px: float) -> Float:
    """[n-1,4,4] cost of going from a state in one frame to a state in the next."""
    n, mirror = len(track.frames), mirror_names()
    px = np.stack([track.landmarks_px, track.landmarks_px[:, mirror]])  # [2,n,33,2]
    seen = np.stack([track.visibility, track.visibility[:, mirror]])
    depth = np.stack([track.landmarks_m[..., 2], track.landmarks_m[:, mirror, 2]]) / HEIGHT
    ways = np.empty((2, 2, 2, n - 1))  # [half, exchanged before, exchanged after, step]
    for half, (rows, along) in enumerate(((UPPER_LANDMARKS, UPPER_DEPTH_WEIGHT), (LOWER_LANDMARKS, 0.0))):
        for a in range(2):
            for b in range(2):
                way = np.linalg.norm(px[b, 1:, rows] - px[a, :-1, rows], axis=-1) / height_px
                weight = np.minimum(seen[b, 1:, rows], seen[a, :-1, rows])
                ways[half, a, b] = (weight * np.minimum(way, MAX_STEP)).sum(0)
                farther = np.abs(depth[b, 1:, rows] - depth[a, :-1, rows])
                ways[half, a, b] += along * np.minimum(farther, MAX_STEP).sum(0)
    costs = np.empty((n - 1, len(STATES), len(STATES)))
    for i, before in enumerate(STATES):
        for j, after in enumerate(STATES):
            costs[:, i, j] = sum(ways[h, int(before[h]), int(after[h])] for h in range(2))
    return costs


def _shortest_path(states: Float, steps: Float) -> Int:
    """State [n] of each frame that makes states [n,4] and steps [n-1,4,4] together cheapest."""
    total, back = states[0], []
    for own, step in zip(states[1:], steps, strict=True):
        way = total[:, None] + step + own
        back.append(way.argmin(0))
        total = way.min(0)
    path = [int(total.argmin())]
    for origin in reversed(back):
        path.append(int(origin[path[-1]]))
    return np.array(path[::-1])
