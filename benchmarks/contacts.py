"""Print how good a result's contact labels are: python -m benchmarks.contacts TRUTH.npz RESULT_DIR [TRUTH RESULT ...]

Precision, recall and F1 of feet (heel, ball and toe of each), seat and hands, by frames and by events; more than one
pair is also summed up. Then, over all of them, how often feet are in contact for each tenth of predicted probability.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from josh_core.errors import JoshError
from josh_core.export.bundle import load_bundle
from josh_core.metrics.contact_labels import GROUPS, Score, contact_scores, predictions, reliability
from josh_core.metrics.ground_truth import load_truth
from josh_core.types import Bool, Float

Scores = dict[str, tuple[Score, Score]]


def main(argv: list[str]) -> int:
    """Returns the exit status: 2 for files that cannot be used."""
    if len(argv) < 3 or len(argv) % 2 == 0:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        all_scores, feet = [], []
        for truth, result in zip(argv[1::2], argv[2::2], strict=True):
            pair = load_bundle(Path(result)), load_truth(Path(truth))
            all_scores.append(contact_scores(*pair))
            if pair[1].contact_names:
                feet += [(said, true) for group, said, true in predictions(*pair) if group == "feet"]
            print("\n".join([truth, *table(all_scores[-1])]))
    except JoshError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if len(all_scores) > 1:
        print("\n".join(["all", *table(total(all_scores))]))
    print("\n".join(calibration(feet)))
    return 0


def calibration(feet: list[tuple[Float, Bool]]) -> list[str]:
    """One line for each tenth of probability; none without labels."""
    if not feet:
        return []
    said, true = (np.concatenate(column) for column in zip(*feet, strict=True))
    lines = [f"  {mean:4.2f}  {share:4.2f}  ({count})" for mean, share, count in reliability(said, true)]
    return ["feet: probability said, share that is true", *lines]


def total(all_scores: list[Scores]) -> Scores:
    """The counts of several clips together."""
    out = {}
    for group in GROUPS:
        scores = [s[group] for s in all_scores if group in s]
        out[group] = (sum((s[0] for s in scores), Score()), sum((s[1] for s in scores), Score()))
    return out


def table(scores: Scores) -> list[str]:
    """One line a group and level."""
    lines = []
    for group, levels in scores.items():
        for level, score in zip(("frames", "events"), levels, strict=True):
            numbers = (("precision", score.precision), ("recall", score.recall), ("F1", score.f1))
            shown = "  ".join(f"{name} {'-' if value is None else f'{value:.2f}':>4s}" for name, value in numbers)
            lines.append(
                f"  {group:<6s} {level:<7s} {shown}  ({score.hit} right, {score.false} false, {score.missed} missed)"
            )
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv))
