"""Run rendered clips in all modes and print their errors, the medians, and whether the stated bounds hold.

    python -m benchmarks.rendered_clips DIR [--out DIR] [--again] [--heights] [--set NAME=VALUE ...]

DIR holds NAME.mp4 with NAME_truth.npz, as benchmarks.rendered.make writes them. A clip that has its results in --out
is not run again unless told. --heights gives the true height of whoever is alone in a clip: nothing in a picture tells
it, and a person taken for 10 % too small walks a way that is 10 % too short. Numbers of a clip are means over its
people.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clips import clip_files, read_options, run_one, true_path
from benchmarks.contacts import Scores, table, total
from josh_core.export.bundle import load_bundle
from josh_core.metrics.accuracy import evaluate
from josh_core.metrics.contact_labels import contact_scores
from josh_core.metrics.ground_truth import load_truth
from josh_core.pipeline import MODES

Row = dict[str, float | None]
PERSON = {"W": "w_mpjpe_mm", "WA": "wa_mpjpe_mm", "PA": "pa_mpjpe_mm", "slide": "foot_slide_mm", "found": "found"}
CAMERA = {"scale": "scale_ratio", "focal": "focal_error_pct", "up": "up_deg"}
COLUMNS = ("W", "WA", "PA", "scale", "focal", "up", "slide", "feet F1", "seat F1", "found")

# Goals of `refine`, not measurements: sentence, column, bound on the median over clips.
BOUNDS = (
    ("median W-MPJPE under 90 mm", "W", 90.0),
    ("median WA-MPJPE under 45 mm", "WA", 45.0),
    ("median PA-MPJPE under 42 mm", "PA", 42.0),
    ("median scale error within 3 %", "scale error", 3.0),
    ("median focal error within 8 %", "focal error", 8.0),
    ("median up within 2 degrees", "up", 2.0),
    ("median foot slide under 3 mm a frame", "slide", 3.0),
)
MIN_F1 = {"feet": 0.9, "seat": 0.8}  # of contact labels, as the bounds above


def main() -> None:
    """Parse, run what is missing, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--heights", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="options, such as use_student=false")
    args = parser.parse_args()
    options = read_options(args.set)
    rows: dict[str, dict[str, Row]] = {mode: {} for mode in MODES}
    scores: dict[str, list[Scores]] = {mode: [] for mode in MODES}
    for clip in (c for c in clip_files(args.clips) if true_path(c).exists()):
        given = options | (true_height(true_path(clip)) if args.heights else {})
        _run(clip, args.out / clip.stem, args.again, given)
        print(f"\n{clip.stem:<28s}" + "".join(f"{name:>9s}" for name in COLUMNS))
        for mode in MODES:
            if (args.out / clip.stem / mode / "manifest.json").exists():
                rows[mode][clip.stem], found = measure(clip, args.out / clip.stem / mode)
                scores[mode].append(found)
                print(f"  {mode:<26s}" + _line(rows[mode][clip.stem]))
    _summary(rows, scores)


def _run(clip: Path, out: Path, again: bool, options: dict[str, Any]) -> None:
    """Fill `out` with one folder a mode, in a process of its own."""
    if again or not (out / "refine" / "manifest.json").exists():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            pool.apply(run_one, (clip, "refine", out, options))


def true_height(truth: Path) -> dict[str, Any]:
    """The option that gives the height of the only person; empty for more people or where the truth has no height."""
    with np.load(truth, allow_pickle=False) as stored:
        heights = [float(stored[name]) for name in stored.files if name.endswith("_height_m")]
    return {"height_m": round(heights[0], 3)} if len(heights) == 1 else {}


def measure(clip: Path, folder: Path) -> tuple[Row, Scores]:
    """Errors of one result, and the counts of its contact labels."""
    result, truth = load_bundle(folder), load_truth(true_path(clip))
    errors, scores = evaluate(result, truth), contact_scores(result, truth)
    row: Row = {name: errors["camera"].get(key) for name, key in CAMERA.items()}
    for name, key in PERSON.items():
        values = [p[key] for p in errors["people"] if p.get(key) is not None]
        row[name] = float(np.mean(values)) if values else None
    for group in ("feet", "seat"):
        row[f"{group} F1"] = scores[group][0].f1 if group in scores else None
    scale, focal = row["scale"], row["focal"]
    row["scale error"] = None if scale is None else 100 * abs(scale - 1)
    row["focal error"] = None if focal is None else abs(focal)
    return row, scores


def over_clips(rows: dict[str, Row], column: str, middle: Callable[[list[float]], Any] = np.median) -> float | None:
    """Median (or mean) over the clips that have the number."""
    values = [value for row in rows.values() if (value := row.get(column)) is not None]
    return float(middle(values)) if values else None


def _summary(rows: dict[str, dict[str, Row]], scores: dict[str, list[Scores]]) -> None:
    for words, middle in (("medians", np.median), ("means", np.mean)):
        print(f"\n{words:<28s}" + "".join(f"{name:>9s}" for name in COLUMNS))
        for mode in MODES:
            print(f"  {mode:<26s}" + _line({name: over_clips(rows[mode], name, middle) for name in COLUMNS}))
    for mode in MODES:
        print("\n".join([f"\ncontact labels of {mode}", *table(total(scores[mode]))]))
    print("\nrefine must show")
    for words, column, bound in BOUNDS:
        value = over_clips(rows["refine"], column)
        print(_verdict(words, value, value is not None and value < bound))
    pairs = [(rows["baseline"][c]["W"], r["W"]) for c, r in rows["refine"].items() if c in rows["baseline"]]
    both = [(b, r) for b, r in pairs if b is not None and r is not None]
    if both:
        half, above = float(np.mean([r <= 0.5 * b for b, r in both])), sum(r > b for b, r in both)
        print(_verdict("W-MPJPE at most half of baseline on nine clips of ten", half, half >= 0.9))
        print(_verdict("clips where W-MPJPE is above baseline: none", float(above), above == 0))
    for group, least in MIN_F1.items():
        f1 = total(scores["refine"])[group][0].f1
        print(_verdict(f"contact F1 of {group} over {least}", f1, f1 is not None and f1 > least))


def _verdict(words: str, value: float | None, holds: bool) -> str:
    return f"  {'pass' if holds else 'FAIL'}  {words}: {'-' if value is None else f'{value:.2f}'}"


def _line(row: Row) -> str:
    digits = {"scale": 2, "feet F1": 2, "seat F1": 2, "found": 2}
    return "".join(
        f"{'-' if row.get(name) is None else f'{row[name]:.{digits.get(name, 1)}f}':>9s}" for name in COLUMNS
    )


if __name__ == "__main__":
    main()
