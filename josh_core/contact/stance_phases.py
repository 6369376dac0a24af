"""Foot contact decided as whole stance phases: a linear-chain conditional random field over four phases of each foot.

At every moment a foot swings, stands on its heel, flat, or on its ball and toes. Scores of the phases are linear in
what is measured of the foot (image motion against the background, heights over the fitted body's lowest point, the
student's odds); scores of changes are fixed numbers. Both were fitted together on clips with true labels, so that the
field's marginals are probabilities (Lafferty et al. 2001). `python -m benchmarks.fit_stance` fits.
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

FILES = {asked: Path(__file__).parent / "assets" / f"stance_{asked}.npz" for asked in ("student", "alone")}
FPS = 30.0  # moments a second of the field: changes were fitted at this rate
PARTS = (("heel",), ("sole",), ("ball", "toe"))
TOUCHES = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 1], [0, 0, 1]])  # [phase, PARTS]: swing, heel, flat, toe
SLOWEST, FASTEST = 0.1, 5.0  # m/s, speeds below tell no difference, nor do speeds above
UNSEEN = 0.5  # m/s, stands for a speed that was not seen, between rest and swing
HIGHEST = 0.4  # m over the lowest point: heights above tell no difference
STEP_SECONDS = 0.6  # s to either side, in which a walking foot comes down once
MOST_ODDS = 6.0  # the student's log odds are held within this
SHARED = 3  # first features of a foot, which count for the other foot too


@dataclass(frozen=True)
class FootMotion(Shaped):
    """What is measured of one person's contact points."""

    times: Annotated[Float, "n"]  # s
    image_speed: Annotated[Float, "n C"]  # m/s across the line of sight, from this frame to the next; NaN: not seen
    height: Annotated[Float, "n C"]  # m over the lowest contact point
    odds: Annotated[Float, "n C"] | None  # log odds of the student; None where none was asked


@dataclass(frozen=True)
class StanceModel(Shaped):
    """Fitted numbers of the field."""

    mean: Annotated[Float, "F"]  # of the features
    std: Annotated[Float, "F"]
    weight: Annotated[Float, "4 F"]
    bias: Annotated[Float, "4"]
    change: Annotated[Float, "4 4"]  # score of going from a phase (row) to another


@cache
def load_model(asked: str) -> StanceModel:
    """The shipped numbers: with the "student"'s odds among the features, or "alone"."""
    with np.load(FILES[asked], allow_pickle=False) as stored:
        return StanceModel(**{name: stored[name] for name in stored.files})


def with_stances(contacts: Contacts, motion: FootMotion) -> Contacts:
    """The same contacts with those of the feet decided as stance phases."""
    model = load_model("alone" if motion.odds is None else "student")
    probability = contacts.probability.copy()
    said = part_probability(motion, contacts.names, model)
    for side, columns in enumerate(foot_columns(contacts.names)):
        for part, of_part in enumerate(columns):
            probability[:, of_part] = said[:, side, part, None]
    return replace(contacts, probability=probability)


def foot_columns(names: tuple[str, ...]) -> list[list[list[int]]]:
    """Columns of PARTS of the left and the right foot."""
    return [
        [[i for i, name in enumerate(names) if name.startswith(side) and is_part(name, part)] for part in PARTS]
        for side in ("left", "right")
    ]


def part_probability(motion: FootMotion, names: tuple[str, ...], model: StanceModel) -> Float:
    """[n,2,3] probability that PARTS of the left and the right foot stand still on something."""
    at, back = moments(motion.times)
    out = []
    for seen in features(motion, names):
        x = (interpolate_linear(seen, motion.times, at) - model.mean) / model.std
        out.append((marginals(x @ model.weight.T + model.bias, model.change) @ TOUCHES)[back])
    return np.stack(out, 1)


def moments(times: Float) -> tuple[Float, Int]:
    """Moments [m] s of the field for frames at times [n], and the moment [n] nearest to each frame."""
    at = np.arange(times[0], times[-1] + 0.5 / FPS, 1 / FPS)
    return at, np.abs(at[None] - times[:, None]).argmin(1)


def features(motion: FootMotion, names: tuple[str, ...]) -> Float:
    """[2,n,F] of the left and the right foot."""
    left, right = (_of_foot(motion, heel, front) for heel, _, front in foot_columns(names))
    return np.stack([np.hstack([a, b[:, :SHARED]]) for a, b in ((left, right), (right, left))])


def _of_foot(motion: FootMotion, heel: list[int], front: list[int]) -> Float:
    """[n,f] of one foot from the columns of its heel and its front."""
    pairs = [_beside(motion.image_speed[:, part].mean(1)) for part in (heel, front)]
    seen = np.isfinite(np.hstack(pairs)).all(1)
    image = [_log_speed(np.where(seen[:, None], pair, UNSEEN)) for pair in pairs]
    low, high = (np.clip(motion.height[:, part].min(1), 0, HIGHEST) for part in (heel, front))
    over_step = np.minimum(low, high) - _lowest(np.minimum(low, high), motion.times)
    columns = [image[0].min(1), image[1].min(1), seen, *image[0].T, *image[1].T, low, high, over_step]
    if motion.odds is not None:
        odds = np.clip(motion.odds, -MOST_ODDS, MOST_ODDS)
        columns += [odds[:, heel].mean(1), odds[:, front].mean(1)]
    return np.stack([np.asarray(c, np.float64) for c in columns], 1)


def _beside(after: Float) -> Float:
    """Speeds [n,2] before and after each frame from those [n] after it; one that is missing is as the other."""
    before = np.concatenate([after[:1], after[:-1]])
    return np.stack([np.where(np.isnan(x), y, x) for x, y in ((before, after), (after, before))], 1)


def _lowest(height: Float, times: Float) -> Float:
    """Lowest height [n] within a step of each time."""
    near = np.abs(times[None] - times[:, None]) <= STEP_SECONDS
    return np.where(near, height[None], np.inf).min(1)


def _log_speed(speed: Float) -> Float:
    return np.log(SLOWEST + np.minimum(speed, FASTEST))


def marginals(score: Float, change: Float) -> Float:
    """Probability [T,S] of each state of a chain with scores [T,S] and change [S,S], by forward-backward."""
    ahead, behind = score.copy(), np.zeros_like(score)
    for t in range(1, len(score)):
        ahead[t] += logsumexp(ahead[t - 1][:, None] + change, axis=0)
    for t in range(len(score) - 2, -1, -1):
        behind[t] = logsumexp(change + (score[t + 1] + behind[t + 1])[None], axis=1)
    both = ahead + behind
    return np.exp(both - logsumexp(both, axis=1, keepdims=True))
