"""Foot contact decided as whole stance phases: a linear-chain conditional random field over four phases of each foot.

At every time a foot swings, or stands on its heel, flat, or on ball and toes. The score of a phase is linear in the
foot's features (image motion relative to the background, heights over the body's lowest point, the student's log odds);
the score of a transition is constant. Both were fitted together to clips with true labels, so that the marginals are
probabilities (Lafferty et al. 2001), by `python -m benchmarks.fit_stance`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from scipy.special import logsumexp

from josh_core.body.names import is_part
from josh_core.geometry import interpolate_linear
from josh_core.shapes import Shaped
from josh_core.types import Contacts, Float, Int

MODEL_FILES = {kind: Path(__file__).parent / "assets" / f"stance_{kind}.npz" for kind in ("student", "alone")}
# Numbers without another source were chosen by hand before the fit; changing one needs a new fit.
FPS = 30.0  # time steps of the field a second: the scores of transitions were fitted at this rate
PHASE_PARTS = (("heel",), ("sole",), ("ball", "toe"))
PHASE_CONTACTS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 1], [0, 0, 1]])  # [phase, PHASE_PARTS]: swing, heel, flat, toe
MIN_SPEED, MAX_SPEED = 0.1, 5.0  # m/s, the feature is log(MIN_SPEED + speed), with speeds up to MAX_SPEED
UNSEEN_SPEED = 0.5  # m/s, used where no speed was observed: between rest and swing
MAX_HEIGHT = 0.4  # m over the body's lowest point, to which heights are clipped
STEP_SECONDS = 0.6  # s to either side, within which a walking foot touches down once
MAX_LOG_ODDS = 6.0  # to which the student's log odds are clipped
SHARED_FEATURES = 3  # a foot's features end with the first so many features of the other foot


@dataclass(frozen=True)
class FootMotion(Shaped):
    """Observations of one person's contact points."""

    times: Annotated[Float, "n"]  # s
    image_speed: Annotated[Float, "n C"]  # m/s across the line of sight, from this frame to the next; NaN: not seen
    height: Annotated[Float, "n C"]  # m over the lowest contact point
    odds: Annotated[Float, "n C"] | None  # log odds of the student; None without a student


@dataclass(frozen=True)
class StanceModel(Shaped):
    """Fitted parameters of the field."""

    mean: Annotated[Float, "F"]  # of the features
    std: Annotated[Float, "F"]  # of the features
    weight: Annotated[Float, "4 F"]  # of the normalised features in each phase's score
    bias: Annotated[Float, "4"]
    change: Annotated[Float, "4 4"]  # score of the transition from a phase (row) to another (column)


@cache
def load_model(kind: str) -> StanceModel:
    """The shipped parameters: "student" with the student's log odds among the features, "alone" without."""
    with np.load(MODEL_FILES[kind], allow_pickle=False) as stored:
        return StanceModel(**{name: stored[name] for name in stored.files})


def with_stances(contacts: Contacts, motion: FootMotion) -> Contacts:
    """The contacts [n,C] of one person with those of the feet replaced by the stance phases' probabilities."""
    model = load_model("alone" if motion.odds is None else "student")
    probability = contacts.probability.copy()
    stance = stance_probability(motion, contacts.names, model)
    for side, columns in enumerate(foot_columns(contacts.names)):
        for part, of_part in enumerate(columns):
            probability[:, of_part] = stance[:, side, part, None]
    return replace(contacts, probability=probability)


def foot_columns(names: tuple[str, ...]) -> list[list[list[int]]]:
    """Columns of the contact points that belong to each of PHASE_PARTS, for the left and the right foot."""
    return [
        [[i for i, name in enumerate(names) if name.startswith(side) and is_part(name, part)] for part in PHASE_PARTS]
        for side in ("left", "right")
    ]


def stance_probability(motion: FootMotion, names: tuple[str, ...], model: StanceModel) -> Float:
    """Contact probability [n,2,3] of the left and the right foot's PHASE_PARTS."""
    at, back = grid_times(motion.times)
    out = []
    for seen in foot_features(motion, names):
        x = (interpolate_linear(seen, motion.times, at) - model.mean) / model.std
        out.append((marginals(x @ model.weight.T + model.bias, model.change) @ PHASE_CONTACTS)[back])
    return np.stack(out, 1)


def grid_times(times: Float) -> tuple[Float, Int]:
    """Time steps [m] s of the field for frames at times [n] s, and the index [n] of the step nearest to each frame."""
    at = np.arange(times[0], times[-1] + 0.5 / FPS, 1 / FPS)
    return at, np.abs(at[None] - times[:, None]).argmin(1)


def foot_features(motion: FootMotion, names: tuple[str, ...]) -> Float:
    """Features [2,n,F] of the left and the right foot."""
    left, right = (_one_foot(motion, heel, front) for heel, _, front in foot_columns(names))
    return np.stack([np.hstack([a, b[:, :SHARED_FEATURES]]) for a, b in ((left, right), (right, left))])


def _one_foot(motion: FootMotion, heel: list[int], front: list[int]) -> Float:
    """Features [n,f] of one foot from the columns of its heel and of its ball and toes."""
    pairs = [_before_and_after(motion.image_speed[:, part].mean(1)) for part in (heel, front)]
    seen = np.isfinite(np.hstack(pairs)).all(1)
    image = [_log_speed(np.where(seen[:, None], pair, UNSEEN_SPEED)) for pair in pairs]
    low, high = (np.clip(motion.height[:, part].min(1), 0, MAX_HEIGHT) for part in (heel, front))
    over_step = np.minimum(low, high) - _lowest_within_step(np.minimum(low, high), motion.times)
    columns = [image[0].min(1), image[1].min(1), seen, *image[0].T, *image[1].T, low, high, over_step]
    if motion.odds is not None:
        odds = np.clip(motion.odds, -MAX_LOG_ODDS, MAX_LOG_ODDS)
        columns += [odds[:, heel].mean(1), odds[:, front].mean(1)]
    return np.stack([np.asarray(c, np.float64) for c in columns], 1)


def _before_and_after(after: Float) -> Float:
    """Speeds [n,2] before and after each frame, from those after it [n]; a missing one is replaced by the other."""
    before = np.concatenate([after[:1], after[:-1]])
    return np.stack([np.where(np.isnan(x), y, x) for x, y in ((before, after), (after, before))], 1)


def _lowest_within_step(height: Float, times: Float) -> Float:
    """Lowest height [n] within STEP_SECONDS of each time."""
    near = np.abs(times[None] - times[:, None]) <= STEP_SECONDS
    return np.where(near, height[None], np.inf).min(1)


def _log_speed(speed: Float) -> Float:
    return np.log(MIN_SPEED + np.minimum(speed, MAX_SPEED))


def marginals(score: Float, change: Float) -> Float:
    """Probability [T,S] of each state of a chain with scores [T,S] and transition scores [S,S], by forward-backward."""
    ahead, behind = score.copy(), np.zeros_like(score)
    for t in range(1, len(score)):
        ahead[t] += logsumexp(ahead[t - 1][:, None] + change, axis=0)
    for t in range(len(score) - 2, -1, -1):
        behind[t] = logsumexp(change + (score[t + 1] + behind[t + 1])[None], axis=1)
    both = ahead + behind
    return np.exp(both - logsumexp(both, axis=1, keepdims=True))
