"""Left and right: frames where the landmark network exchanged the person's sides are found and put right.

Seen from the front or from behind a person has nearly the same outline, so a network that looks at single frames now
and then names all left landmarks right; from the side the legs hide each other, and it may exchange them for longer.
Between neighbouring frames a hand or a foot cannot change places with the other, which tells the few wrong frames
from the many right ones: a shortest path through four states per frame (upper body as named or exchanged, legs as
named or exchanged).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from josh_core.body.names import LANDMARKS
from josh_core.types import Bool, Float, Int, Track

UPPER_LANDMARKS = np.array(
    [LANDMARKS.index(f"{s}_{x}") for s in ("left", "right") for x in ("shoulder", "elbow", "wrist")]
)
LOWER_LANDMARKS = np.array([LANDMARKS.index(f"{s}_{x}") for s in ("left", "right") for x in ("hip", "knee", "ankle")])
FACE_AND_ARMS = np.arange(LANDMARKS.index("left_hip"))
LEG_LANDMARKS = np.arange(LANDMARKS.index("left_hip"), len(LANDMARKS))
STATES = ((False, False), (True, True), (True, False), (False, True))  # exchanged: upper body, legs
MAX_STEP = 0.2  # of the person's height: a step between two frames counts at most this; costs and step chosen by hand
EXCHANGED_COST = 0.02  # cost of a frame with exchanged sides; steps cost their length over the person's height
HALF_EXCHANGED_COST = 0.1  # the same for a frame where only one half of the body is exchanged
# Width of the hips in the image, over the person's height, from which costs count in full: medians of ten people of
# seed 33 are 0.08 to 0.11 from the front and 0.03 from the side. On 15 clips (`python -m benchmarks.evidence`) 27
# frames keep exchanged legs, with full costs 34; the network has 50.
FRONTAL_WIDTH = 0.1
MIN_SHARE = 0.3  # of the costs where the hips lie on each other


def mirror_names() -> Int:
    """[33] index of the same landmark on the other side."""
    other = {"left": "right", "right": "left"}
    names = ["_".join(other.get(part, part) for part in name.split("_")) for name in LANDMARKS]
    return np.array([LANDMARKS.index(name) for name in names])


def fix_left_right(track: Track, height_px: float) -> tuple[Track, Bool]:
    """The track with consistent sides, and [n,2] where upper body and legs had been exchanged.

    height_px: the person's size in the image.
    """
    state = _shortest_path(_state_costs(track, height_px), _step_costs(track, height_px))
    exchanged = np.array(STATES)[state]  # [n,2]
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
    ), exchanged


def _state_costs(track: Track, height_px: float) -> Float:
    """[n,4] cost of a state in each frame: less from the side, but not for arms alone."""
    left, right = (track.landmarks_px[:, LANDMARKS.index(f"{side}_hip")] for side in ("left", "right"))
    share = np.clip(np.linalg.norm(left - right, axis=-1) / height_px / FRONTAL_WIDTH, MIN_SHARE, 1)
    costs = [
        (EXCHANGED_COST * (upper + legs) + HALF_EXCHANGED_COST * (upper != legs)) * (share if legs else 1.0)
        for upper, legs in STATES
    ]
    return np.stack(np.broadcast_arrays(*costs), -1)


def _step_costs(track: Track, height_px: float) -> Float:
    """[n-1,4,4] cost of going from a state in one frame to a state in the next."""
    n, mirror = len(track.frames), mirror_names()
    px = np.stack([track.landmarks_px, track.landmarks_px[:, mirror]])  # [2,n,33,2]
    seen = np.stack([track.visibility, track.visibility[:, mirror]])
    ways = np.empty((2, 2, 2, n - 1))  # [half, exchanged before, exchanged after, step]
    for half, rows in enumerate((UPPER_LANDMARKS, LOWER_LANDMARKS)):
        for a in range(2):
            for b in range(2):
                way = np.linalg.norm(px[b, 1:, rows] - px[a, :-1, rows], axis=-1) / height_px
                weight = np.minimum(seen[b, 1:, rows], seen[a, :-1, rows])
                ways[half, a, b] = (weight * np.minimum(way, MAX_STEP)).sum(0)
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
