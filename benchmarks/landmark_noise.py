"""Print how the landmark network errs on people whose pose is known: python -m benchmarks.landmark_noise LABELS [...]

LABELS are label files with exact truth, as benchmarks.rendered.labels writes them. By view and kind of landmark, mm of
a body of usual size: error of the 3D guess, bias and spread in the picture, bias of the depth, share of the true swing
along the line of sight that is shown and its correlation with the truth; left: what the model of
josh_core/student/training/measured_noise.py does not predict for people outside its fit.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from josh_core.body.names import MIRRORED_LANDMARKS
from josh_core.student.training.build_noise import MeasuredPerson, fit, read_people
from josh_core.student.training.measured_noise import facing, unpack

FACING = 0.7  # cosine of the direction faced, from which somebody is seen from the front or from behind
KINDS = {"head": [*range(11)], "shoulders": [11, 12], "elbows": [13, 14], "wrists": [15, 16], "hands": [*range(17, 23)],
         "hips": [23, 24], "knees": [25, 26], "ankles": [27, 28], "heels, toes": [29, 30, 31, 32]}  # fmt: skip


def main() -> None:
    """Parse, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="+", type=Path)
    people = read_people(parser.parse_args().labels)
    print(f"{len(people)} people")
    report(people, fit(people)[1])


def report(people: list[MeasuredPerson], predicted: list[Tensor]) -> None:
    """Print the errors by view and kind of landmark, and how much of them is predicted for people outside the fit."""
    look = torch.cat([facing(p.points) for p in people])
    true, errors, expected = (torch.cat(x) for x in ([p.points for p in people], [p.errors for p in people], predicted))
    views = {"front": look[:, 0] > FACING, "side": look[:, 0].abs() <= FACING, "back": look[:, 0] < -FACING}
    columns = ("3D", "left", "2D bias", "spread", "left", "depth bias", "gain", "corr", "visible")
    for view, rows in views.items():
        print(f"{view:7s}{int(rows.sum()):5d} frames" + "".join(f"{c:>11s}" for c in columns))
        for kind, marks in KINDS.items():
            print(
                f"  {kind:16s}"
                + "".join(f"{v:11.2f}" for v in _errors(true[rows], errors[rows], expected[rows], marks))
            )
    across = [unpack(p.errors)[1].flatten(1) for p in people]
    along = [unpack(p.errors)[0][..., 2] for p in people]
    for name, series in (("2D", across), ("depth", along)):
        print(f"{name} errors are alike after frames: "
              + ", ".join(f"{n}: {_alike(series, n):.2f}" for n in (1, 3, 8, 15, 30)))  # fmt: skip
    for name, pairs in (("arms", (13, 15)), ("legs", (25, 27))):
        swapped = [_swapped(view_rows, true, errors, pairs) for view_rows in views.values()]
        print(f"{name} exchanged: " + ", ".join(f"{v} {s:.1%}" for v, s in zip(views, swapped, strict=True)))


def _errors(true: Tensor, errors: Tensor, expected: Tensor, marks: list[int]) -> list[float]:
    """The columns of the report for landmarks `marks`."""
    (e3, e2, odds), (f3, f2, _) = ([x[:, marks] for x in unpack(y)] for y in (errors, expected))
    depth = true[:, marks, 2]
    shown = depth + e3[..., 2]
    swing, shown_swing = depth - depth.mean(0), shown - shown.mean(0)
    both = (swing * shown_swing).sum()
    lengths = [e3.norm(dim=-1).mean(), (e3 - f3).norm(dim=-1).mean(), e2.mean(0).norm(dim=-1).mean(),
               (e2 - e2.mean(0)).norm(dim=-1).mean(), (e2 - f2).norm(dim=-1).mean(), e3[..., 2].mean()]  # fmt: skip
    shares = [both / swing.square().sum(), both / (swing.square().sum() * shown_swing.square().sum()).sqrt(),
              torch.sigmoid(odds).mean()]  # fmt: skip
    return [1000 * float(v) for v in lengths] + [float(v) for v in shares]


def _alike(series: list[Tensor], frames: int) -> float:
    """Correlation of errors [T,n] with those `frames` later, their constant part included."""
    pairs = [(s[:-frames], s[frames:]) for s in series if len(s) > frames]
    both = sum(float((a * b).sum()) for a, b in pairs)
    return both / sum(float((a.square().sum() + b.square().sum()) / 2) for a, b in pairs)


def _swapped(rows: Tensor, true: Tensor, errors: Tensor, left: tuple[int, ...]) -> float:
    """Share of frames in which the picture's landmarks `left` and their right ones lie nearer to each other's truth."""
    pairs = [*left, *(k + 1 for k in left)]
    others = [MIRRORED_LANDMARKS[k] for k in pairs]
    at = true[rows][..., :2]
    seen = (at + unpack(errors[rows])[1])[:, pairs]
    right, wrong = ((seen - at[:, k]).norm(dim=-1).sum(1) for k in (pairs, others))
    apart = (at[:, pairs] - at[:, others]).norm(dim=-1).sum(1)
    return float((wrong < right - 0.5 * apart).float().mean())


if __name__ == "__main__":
    main()
