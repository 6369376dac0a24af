r"""Fit the numbers of josh_core/contact/stance_phases.py to rendered clips, and write them beside it.

    python -m benchmarks.fit_stance DIR [...] [--out DIR]

DIR holds NAME.mp4 with NAME_truth.npz. The shipped numbers come from 18 clips; the skater's and treadmills' feet never
stand still:

    python -m benchmarks.rendered.make --out DIR --seed 47 --only treadmill
    python -m benchmarks.rendered.make --out DIR --seed 33

and are judged on clips of other seeds (benchmarks.contacts, benchmarks.rendered_clips).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.clips import clip_files, true_path
from josh_core import modes, pipeline
from josh_core.bodyfit.fit import observe_people
from josh_core.clip.load import load_clip
from josh_core.contact.detect import FilmedScene, foot_motions, pair_speeds
from josh_core.contact.stance_phases import MODEL_FILES, FootMotion, StanceModel, foot_features, grid_times
from josh_core.evidence import Evidence
from josh_core.geometry import interpolate_linear
from josh_core.metrics.contact_labels import labelled_people
from josh_core.metrics.ground_truth import GroundTruth, load_truth
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.student.estimate import StudentEstimate, estimate_people
from josh_core.types import Float, Int

# Regularisation, chosen by hand:
WEIGHT_DECAY = 0.01  # of squared weights, per time step
TRANSITION_DECAY = 0.001  # of squared transition scores
STEPS = 120  # of L-BFGS; it converges earlier
PHASE = np.array([[0, 3], [1, 2]])  # by heel and toe


@dataclass(frozen=True)
class Example:
    """One foot of one clip at the time steps of the field."""

    features: Float  # [m,F]
    phases: Int  # [m]


def main() -> None:
    """Parse, gather, fit with and without the student's odds, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=MODEL_FILES["student"].parent)
    args = parser.parse_args()
    clips = [clip for clip in clip_files(args.clips) if true_path(clip).exists()]
    seen = [(load_truth(true_path(clip)), *gather(clip)) for clip in clips]
    fit_all([labelled_motions(*clip) for clip in seen], args.out)


def gather(clip: Path) -> tuple[Evidence, tuple[StudentEstimate, ...]]:
    """The evidence of `fast` on a clip, and the student's estimates."""
    settings, progress = Settings().with_options(mode="fast"), Progress()
    e = pipeline.gather(load_clip(clip, settings, progress), settings, progress)
    observed = observe_people(e.people, e.scene.cameras, e.clip, None)
    return e, estimate_people(e.people, observed, e.scene.cameras, e.clip.times, e.body)


@dataclass(frozen=True)
class LabelledMotion:
    """Observations and true contacts of one person of one clip."""

    motion: FootMotion
    names: tuple[str, ...]  # of the contact points
    rows: Int  # [r] frames of `motion` that have labels
    touches: Float  # [r,2,2] true contact of left and right, heel and toe


def labelled_motions(truth: GroundTruth, e: Evidence, estimates: tuple[StudentEstimate, ...]) -> list[LabelledMotion]:
    """All people of a clip who have labels."""
    names = tuple(e.body.contact_names)
    view = FilmedScene(e.clip, e.people, e.scene.cameras, e.gravity.up)
    speeds = pair_speeds(view, e.bodies, e.points, Progress())
    motions = foot_motions(view, e.bodies, e.points, speeds, tuple(s.contact for s in estimates))
    columns = [[truth.contact_names.index(f"{side}_{part}") for part in ("heel", "toe")] for side in ("left", "right")]
    out = []
    for true, person, both in labelled_people(modes.baseline(e), truth):
        if true.contact is not None and person is not None and both is not None:
            out.append(LabelledMotion(motions[person], names, both[0], true.contact[both[1]][:, columns]))
    return out


def fit_all(clips: list[list[LabelledMotion]], out: Path) -> None:
    """Fit with the student's odds and without, and write both."""
    people = [person for clip in clips for person in clip]
    out.mkdir(parents=True, exist_ok=True)
    for kind in MODEL_FILES:
        given = people if kind == "student" else [replace(p, motion=replace(p.motion, odds=None)) for p in people]
        examples = [example for p in given for example in examples_of(p)]
        model, loss = fit(examples)
        np.savez_compressed(out / MODEL_FILES[kind].name, **asdict(model))
        print(f"{kind}: {len(examples)} feet, {sum(len(e.phases) for e in examples)} time steps, loss {loss:.3f}")


def examples_of(person: LabelledMotion) -> Iterator[Example]:
    """Both feet of a person."""
    times = person.motion.times
    at, _ = grid_times(times[person.rows])
    nearest = np.abs(at[:, None] - times[person.rows][None]).argmin(1)
    for side, seen in enumerate(foot_features(person.motion, person.names)):
        heel, toe = person.touches[nearest, side].astype(int).T
        yield Example(interpolate_linear(seen, times, at), PHASE[heel, toe])


def fit(examples: list[Example]) -> tuple[StanceModel, float]:
    """The maximum-likelihood field for the true phases, and its loss per time step."""
    every = np.concatenate([e.features for e in examples])
    mean, std = every.mean(0), every.std(0) + 1e-3
    x, y, known = _padded([replace(e, features=(e.features - mean) / std) for e in examples])
    weight = torch.zeros(4, x.shape[-1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    change = torch.zeros(4, 4, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([weight, bias, change], max_iter=STEPS, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        search.zero_grad()
        loss = _negative_log_likelihood(x @ weight.mT + bias, change, y, known) / known.sum()
        loss = loss + WEIGHT_DECAY * (weight**2).sum() + TRANSITION_DECAY * (change**2).sum()
        loss.backward()
        return loss.detach()

    search.step(objective)
    loss = float(objective())
    fitted = (t.detach().numpy() for t in (weight, bias, change))
    return StanceModel(mean, std, *fitted), loss


def _negative_log_likelihood(score: Tensor, change: Tensor, y: Tensor, known: Tensor) -> Tensor:
    """Negative log likelihood of the phases y [E,m] where known, for scores [E,m,4]."""
    of_path = score.gather(2, y[..., None])[..., 0]
    of_all, path = score[:, 0], of_path[:, 0]
    for t in range(1, score.shape[1]):
        ahead = score[:, t] + torch.logsumexp(of_all[:, :, None] + change, 1)
        of_all = torch.where(known[:, t, None], ahead, of_all)
        path = path + torch.where(known[:, t], of_path[:, t] + change[y[:, t - 1], y[:, t]], 0.0)
    return (torch.logsumexp(of_all, 1) - path).sum()


def _padded(examples: list[Example]) -> tuple[Tensor, Tensor, Tensor]:
    """Features [E,m,F], phases [E,m] and which of them are real [E,m], of the longest example's length."""
    count, most = len(examples), max(len(e.phases) for e in examples)
    x = torch.zeros(count, most, examples[0].features.shape[1], dtype=torch.float64)
    y, known = torch.zeros(count, most, dtype=torch.long), torch.zeros(count, most, dtype=torch.bool)
    for i, e in enumerate(examples):
        m = len(e.phases)
        x[i, :m], y[i, :m], known[i, :m] = torch.from_numpy(e.features), torch.from_numpy(e.phases), True
    return x, y, known


if __name__ == "__main__":
    main()
