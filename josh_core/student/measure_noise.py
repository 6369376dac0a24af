"""Build step: label files whose truth is exact -> assets/landmark_noise.npz, the model of measured.py.

    python -m benchmarks.rendered.labels CLIPS --out LABELS            # what the network saw, and the truth
    python -m josh_core.student.measure_noise LABELS [...] [--out FILE]
    python -m benchmarks.landmark_noise LABELS [...]                    # how large the errors are

Errors to expect are a ridge regression on pose and view; people are mirrored too. The residuals that are kept are of
people whom their regression never saw (folds by person).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from josh_core.body import BodyModel, load_body
from josh_core.student.features import lines_of_sight
from josh_core.student.label_file import read_label
from josh_core.student.measured import (
    ASSET,
    ERRORS,
    HARMONICS,
    MIRRORED,
    crop,
    facing,
    features,
    mirror,
    pack,
    pose_numbers,
)
from josh_core.types import Float

RIDGE = 1000.0  # frames' worth of belief that no feature matters: of 30 to 10000 what foretells unseen people best
FREE = 0.1
MODES, STRETCHES, FRAMES = 20, 64, 64
FOLDS = 5
ODDS = 4.0  # log odds of visibility are kept within this
CLIPPED = 6.0  # deviations
RANGE = (1.0, 99.0)  # percentiles of the measured poses


@dataclass(frozen=True)
class Measured:
    """One person of a label file, T frames."""

    points: Tensor  # [T,33,3] the truth in crop axes
    errors: Tensor  # [T,ERRORS]
    seen: Tensor  # [T,33] visibility


def main() -> None:
    """Read, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=ASSET)
    args = parser.parse_args()
    arrays, _ = fit(read_people(args.labels))
    np.savez_compressed(args.out, **arrays)  # type: ignore[arg-type]


def read_people(labels: list[Path]) -> list[Measured]:
    """Everybody of the label files and of those in the folders named."""
    files = sorted(f for path in labels for f in (path.glob("*.npz") if path.is_dir() else [path]))
    body = load_body()
    return [measure(person, body) for f in files for person in read_label(f).people]


def measure(person: dict[str, Float], body: BodyModel) -> Measured:
    """The network's errors on one person of a label file whose truth is exact."""
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
    odds = torch.logit(given["visibility"].clamp(1e-6, 1 - 1e-6)).clamp(-ODDS, ODDS)
    return Measured(here.points, pack(guess @ here.axes - here.points, across, odds), given["visibility"])


def mirrored(one: Measured) -> Measured:
    """The person's mirror image."""
    points = one.points[:, MIRRORED] * torch.tensor([-1.0, 1, 1])
    return Measured(points, mirror(one.errors), one.seen[:, MIRRORED])


def fit(people: list[Measured]) -> tuple[dict[str, Float], list[Tensor]]:
    """The asset's arrays, and the errors [T,ERRORS] foretold for everybody by the others."""
    pose = pose_numbers(torch.cat([q.points for p in people for q in (p, mirrored(p))]))
    least, most = (torch.quantile(pose[::2], q / 100, dim=0) for q in RANGE)
    foretold: list[Tensor] = [torch.empty(0)] * len(people)
    for fold in range(FOLDS):
        others = [p for k, p in enumerate(people) if k % FOLDS != fold]
        expected = _ridge(others, least, most)
        for k in range(fold, len(people), FOLDS):
            foretold[k] = features(people[k].points, least, most) @ expected
    left = [p.errors - f for p, f in zip(people, foretold, strict=True)]
    every = torch.cat([r for one in left for r in (one, mirror(one))])
    unit = (every.abs().quantile(0.68, dim=0)).clamp_min(1e-3)
    every = (every / unit).clamp(-CLIPPED, CLIPPED)
    modes = torch.linalg.eigh(every.T @ every / len(every)).eigenvectors[:, -MODES:].T.flip(0)
    rest = every - every @ modes.T @ modes
    stretches, looks = _stretches(people, [(r / unit).clamp(-CLIPPED, CLIPPED) @ modes.T for r in left])
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
    return arrays, foretold


def _ridge(people: list[Measured], least: Tensor, most: Tensor) -> Tensor:
    """[F,ERRORS]; a landmark counts by its visibility, its visibility by itself."""
    both = [q for p in people for q in (p, mirrored(p))]
    x = torch.cat([features(p.points, least, most) for p in both]).double()
    y = torch.cat([p.errors for p in both]).double()
    seen = torch.cat([p.seen for p in both]).double() ** 2
    spread = x.std(0).clamp_min(1e-3)
    spread[:HARMONICS] = FREE  # means and their change with the view are hardly held back
    x = x / spread
    out = torch.zeros(x.shape[1], ERRORS, dtype=torch.float64)
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


def _stretches(people: list[Measured], scores: list[Tensor]) -> tuple[Float, Float]:
    """Scores [N,FRAMES,K] of evenly chosen people, and the directions faced [N,2] in their middle."""
    long = [k for k, s in enumerate(scores) if len(s) >= FRAMES]
    chosen = [long[i] for i in np.unique(np.linspace(0, len(long) - 1, STRETCHES).round().astype(int))]
    starts = [(len(scores[k]) - FRAMES) // 2 for k in chosen]
    taken = [scores[k][s : s + FRAMES].numpy() for k, s in zip(chosen, starts, strict=True)]
    looks = [facing(people[k].points[s + FRAMES // 2]).numpy() for k, s in zip(chosen, starts, strict=True)]
    return np.stack(taken), np.stack(looks)


if __name__ == "__main__":
    main()
