"""Build step: label files with exact truth -> assets/landmark_noise.npz, the model of measured_noise.py.

    python -m benchmarks.rendered.labels CLIPS --out LABELS            # the network's output, and the truth
    python -m josh_core.student.training.build_noise LABELS [...] [--out FILE]
    python -m benchmarks.landmark_noise LABELS [...]                    # prints how large the errors are

The expected error is a ridge regression on pose and view, of people and their mirror images. The residuals that are
stored are those of cross-validation by person.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from josh_core.body import BodyModel, load_body
from josh_core.body.names import MIRRORED_LANDMARKS
from josh_core.student.features import lines_of_sight
from josh_core.student.training.label_file import read_label
from josh_core.student.training.measured_noise import (
    ERROR_COUNT,
    HARMONICS,
    NOISE_FILE,
    crop,
    facing,
    features,
    mirror,
    pack,
    pose_numbers,
)
from josh_core.types import Float

RIDGE = 1000.0  # ridge parameter, in frames: of 30 to 10000 the one that predicts unseen people best
# Chosen by hand, not measured:
FREE_SPREAD = 0.1  # scale of the features that are hardly regularised; smaller is less
MODE_COUNT = 20  # principal components of the residuals
STRETCH_COUNT, STRETCH_FRAMES = 64, 64  # recorded sequences and their length
FOLDS = 5  # of the cross-validation
MAX_LOG_ODDS = 4.0  # log odds of visibility are clipped to this
MAX_DEVIATION = 6.0  # residuals are clipped to this many standard deviations
POSE_PERCENTILES = (1.0, 99.0)  # of the measured poses, the range of the model


@dataclass(frozen=True)
class MeasuredPerson:
    """One person of a label file, T frames, in crop axes."""

    points: Tensor  # [T,33,3] m, true landmarks
    errors: Tensor  # [T,ERROR_COUNT]
    seen: Tensor  # [T,33] visibility in [0, 1]


def main() -> None:
    """Read, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=NOISE_FILE)
    args = parser.parse_args()
    arrays, _ = fit(read_people(args.labels))
    np.savez_compressed(args.out, **dict[str, Any](arrays))


def read_people(labels: list[Path]) -> list[MeasuredPerson]:
    """All people of the label files, or of the label files in folders."""
    files = sorted(f for path in labels for f in (path.glob("*.npz") if path.is_dir() else [path]))
    body = load_body()
    return [measure(person, body) for f in files for person in read_label(f).people]


def measure(person: dict[str, Float], body: BodyModel) -> MeasuredPerson:
    """The landmark network's errors on one person of a label file with exact truth."""
    given = {name: torch.as_tensor(value, dtype=torch.float32) for name, value in person.items()}
    with torch.no_grad():
        n = len(given["rotations"])
        posed = body.points(given["betas"].expand(n, -1), given["rotations"], torch.zeros(n, 3))
    true = posed.landmarks - posed.joints[:, :1] + given["pelvis"][:, None]
    sight = lines_of_sight(true[..., :2] / true[..., 2:], torch.ones(n, 33))
    here = crop(true @ sight)
    guess = given["guess"] - given["guess"][:, [23, 24]].mean(1, keepdim=True)
    shift = torch.cat([given["rays"] * true[..., 2:] - true[..., :2], torch.zeros(n, 33, 1)], -1) @ sight
    across = (shift @ here.axes)[..., :2] / here.size[:, None, None]
    odds = torch.logit(given["visibility"].clamp(1e-6, 1 - 1e-6)).clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS)
    return MeasuredPerson(here.points, pack(guess @ here.axes - here.points, across, odds), given["visibility"])


def mirrored(one: MeasuredPerson) -> MeasuredPerson:
    """The person's mirror image."""
    points = one.points[:, MIRRORED_LANDMARKS] * torch.tensor([-1.0, 1, 1])
    return MeasuredPerson(points, mirror(one.errors), one.seen[:, MIRRORED_LANDMARKS])


def fit(people: list[MeasuredPerson]) -> tuple[dict[str, Float], list[Tensor]]:
    """The asset's arrays, and for each person the errors [T,ERROR_COUNT] predicted by a fit to other people."""
    pose = pose_numbers(torch.cat([q.points for p in people for q in (p, mirrored(p))]))
    least, most = (torch.quantile(pose[::2], q / 100, dim=0) for q in POSE_PERCENTILES)
    predicted: list[Tensor] = [torch.empty(0)] * len(people)
    for fold in range(FOLDS):
        others = [p for k, p in enumerate(people) if k % FOLDS != fold]
        expected = _ridge(others, least, most)
        for k in range(fold, len(people), FOLDS):
            predicted[k] = features(people[k].points, least, most) @ expected
    left = [p.errors - f for p, f in zip(people, predicted, strict=True)]
    every = torch.cat([r for one in left for r in (one, mirror(one))])
    unit = (every.abs().quantile(0.68, dim=0)).clamp_min(1e-3)
    every = (every / unit).clamp(-MAX_DEVIATION, MAX_DEVIATION)
    modes = torch.linalg.eigh(every.T @ every / len(every)).eigenvectors[:, -MODE_COUNT:].T.flip(0)
    rest = every - every @ modes.T @ modes
    stretches, looks = _stretches(people, [(r / unit).clamp(-MAX_DEVIATION, MAX_DEVIATION) @ modes.T for r in left])
    score_unit = np.abs(stretches).max((0, 1)) / 127
    jump = (rest[1:] - rest[:-1]).square().mean() / (2 * rest.square().mean())
    arrays = {
        "least": least.numpy().astype(np.float16),
        "most": most.numpy().astype(np.float16),
        "expected": _ridge(people, least, most).numpy().astype(np.float16),
        "modes": (modes * unit).numpy().astype(np.float16),
        "scores": np.round(stretches / score_unit).astype(np.int8),
        "score_unit": score_unit.astype(np.float32),
        "facing": looks.astype(np.float16),
        "rest": (rest.std(0) * unit).numpy().astype(np.float16),
        "rest_white": np.float32(jump),
    }
    return arrays, predicted


def _ridge(people: list[MeasuredPerson], least: Tensor, most: Tensor) -> Tensor:
    """Linear map [F,ERROR_COUNT] from features to errors; errors of position are weighted by squared visibility."""
    both = [q for p in people for q in (p, mirrored(p))]
    x = torch.cat([features(p.points, least, most) for p in both]).double()
    y = torch.cat([p.errors for p in both]).double()
    seen = torch.cat([p.seen for p in both]).double() ** 2
    spread = x.std(0).clamp_min(1e-3)
    spread[:HARMONICS] = FREE_SPREAD  # the means by view are hardly regularised
    x = x / spread
    out = torch.zeros(x.shape[1], ERROR_COUNT, dtype=torch.float64)
    columns = pack(torch.arange(33)[:, None].expand(33, 3), torch.arange(33)[:, None].expand(33, 2), torch.arange(33))
    for k in range(33):
        mine = columns == k
        mine[-33:] = False
        out[:, mine] = _solve(x, y[:, mine], seen[:, k])
    out[:, -33:] = _solve(x, y[:, -33:], torch.ones(len(x), dtype=torch.float64))
    return (out / spread[:, None]).float()


def _solve(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    xw = x * weight[:, None]
    return torch.linalg.solve(xw.T @ x + RIDGE * torch.eye(x.shape[1], dtype=x.dtype), xw.T @ y)


def _stretches(people: list[MeasuredPerson], scores: list[Tensor]) -> tuple[Float, Float]:
    """Scores [N,STRETCH_FRAMES,K] of evenly chosen people, and the directions faced [N,2] in the middle frames."""
    long = [k for k, s in enumerate(scores) if len(s) >= STRETCH_FRAMES]
    chosen = [long[i] for i in np.unique(np.linspace(0, len(long) - 1, STRETCH_COUNT).round().astype(int))]
    starts = [(len(scores[k]) - STRETCH_FRAMES) // 2 for k in chosen]
    taken = [scores[k][s : s + STRETCH_FRAMES].numpy() for k, s in zip(chosen, starts, strict=True)]
    looks = [facing(people[k].points[s + STRETCH_FRAMES // 2]).numpy() for k, s in zip(chosen, starts, strict=True)]
    return np.stack(taken), np.stack(looks)


if __name__ == "__main__":
    main()
