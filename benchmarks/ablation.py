"""What each part of JOSH adds: the paper's claim as a table, on scenes with known answers and on real clips.

    python -m benchmarks.ablation [CLIP_OR_FOLDER ...] [--examples] [--seeds 3] [--frames 60] [--each]

First the synthetic suite: walking, sitting down, marching on the spot and two people passing, with moving, turning and
still cameras, each with several seeds. Then every clip given (with --examples those of examples/ too): numbers that
need no truth, and the errors where NAME_truth.npz lies beside the clip. The evidence of a clip is gathered once.

The rows are modes and flags of josh_core/settings.py:

    baseline             mode baseline: the assembly line, no contact; the scale of a moving camera is assumed
    fast                 mode fast: the assembly line with the scale by contact and feet locked to the floor
    joint, no contact    mode refine without use_contact_scene, use_contact_static, use_collision, use_smooth and
                         use_heading
    + contact scale      the same with use_contact_scene: points in contact lie on the scene, which gives the scale
    + contact static     the same with use_contact_static as well: points in contact do not move
    + smooth             the same with use_smooth
    + heading            the same with use_heading
    + collision = JOSH   mode refine with everything
    JOSH, no ...         mode refine with that one flag off ("no collision" is the row "+ heading")

Mode refine starts from the scale by contact; where use_contact_scene is off it starts from the baseline's assumed
scale instead, or the start would contain what the row leaves out. The floor from the people of a still camera stays.
Scale and camera path (ATE, in % of the true path) are those of cameras that travel. A star marks rows in which a
solution was no better than its start, which then stands in the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.clips import QUALITY, clip_files, true_path
from josh_core import modes, pipeline
from josh_core.clip.load import load_clip
from josh_core.evidence import Evidence
from josh_core.metrics.accuracy import evaluate
from josh_core.metrics.ground_truth import GroundTruth, load_truth
from josh_core.metrics.quality import measure
from josh_core.metrics.verdicts import short
from josh_core.modes import ASSUMED_SIGMA
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.types import CameraKind, Reconstruction, Scale
from josh_core.world.metric_scale import assumed_scale
from tests.synthetic import make_scene
from tests.synthetic.evidence import evidence_of, truth_of
from tests.synthetic.scene import Kind

EXAMPLES = Path(__file__).parent.parent / "examples"
Numbers = dict[str, list[float]]  # samples by column


@dataclass(frozen=True)
class Variant:
    """One row: a mode, and the losses of refine that are left out."""

    name: str
    mode: str = "refine"
    off: tuple[str, ...] = ()


FULL = Variant("+ collision = JOSH")
LATER = ("use_collision", "use_heading", "use_smooth")
VARIANTS = (
    Variant("baseline", "baseline"),
    Variant("fast", "fast"),
    Variant("joint, no contact", off=("use_contact_scene", "use_contact_static", *LATER)),
    Variant("+ contact scale", off=("use_contact_static", *LATER)),
    Variant("+ contact static", off=LATER),
    Variant("+ smooth", off=("use_collision", "use_heading")),
    Variant("+ heading", off=("use_collision",)),
    FULL,
    Variant("JOSH, no match", off=("use_match",)),
    Variant("JOSH, no c. scale", off=("use_contact_scene",)),
    Variant("JOSH, no c. static", off=("use_contact_static",)),
    Variant("JOSH, no heading", off=("use_heading",)),
    Variant("JOSH, no landmarks", off=("use_landmarks",)),
)
CASES = tuple(f"{kind}-{camera}" for camera in ("moving", "static") for kind in ("walk", "sit", "two_people", "march"))
CASES += ("walk-rotating", "two_people-rotating")
ERRORS = ("W-MPJPE mm", "WA-MPJPE mm", "scale %", "foot slide mm", "ATE %")
AGAINST_BASELINE = "W / baseline"
COLUMNS = (*ERRORS, AGAINST_BASELINE)
# Goals for the means of the full solution, not measurements.
TARGETS = {AGAINST_BASELINE: 0.5, "scale %": 4.0, "foot slide mm": 5.0, "ATE %": 3.0}


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--examples", action="store_true", help="the clips of examples/ as well")
    parser.add_argument("--seeds", type=int, default=3, help="of each synthetic case; 0 leaves the suite out")
    parser.add_argument("--frames", type=int, default=60, help="of each synthetic scene")
    parser.add_argument("--cases", nargs="+", default=CASES, help="such as walk-moving; all by default")
    parser.add_argument("--each", action="store_true", help="print every synthetic scene's numbers as well")
    args = parser.parse_args()
    scenes = {}
    for case, seed in [(case, seed) for case in args.cases for seed in range(args.seeds)]:
        rows = scenes[f"{case}-{seed}"] = run_scene(case, seed, args.frames)
        if args.each:
            print(f"\n{case}-{seed}\n" + "\n".join(table(rows, COLUMNS)), flush=True)
    if scenes:
        print_suite(scenes)
    for clip in clip_files([*args.clips, *(sorted(EXAMPLES.glob("*/clip.mp4")) if args.examples else [])]):
        name = f"{clip.parent.name}/{clip.name}"
        print(f"\n{name}\n" + "\n".join(table(run_clip(clip), (*QUALITY, *ERRORS))), flush=True)


def reconstruct(evidence: Evidence, variant: Variant) -> Reconstruction:
    """The result of one row from the evidence of a clip."""
    if variant.mode == "baseline":
        return modes.baseline(evidence)
    if variant.mode == "fast":
        return modes.fast(evidence.fast or evidence)
    settings = Settings(mode="refine").with_options(**dict.fromkeys(variant.off, False))
    if not settings.use_contact_scene:
        scale = assumed_scale(evidence.scene.cameras, evidence.floor)
        evidence = replace(evidence, scale=Scale(scale, "assumed", ASSUMED_SIGMA))
    return modes.refined(evidence, settings, Progress())


def run_scene(case: str, seed: int, frames: int, variants: Iterable[Variant] = VARIANTS) -> dict[str, Numbers]:
    """Errors of every row on one synthetic scene; case: KIND-CAMERA."""
    kind, camera = case.split("-")
    synthetic = make_scene(cast(Kind, kind), cast(CameraKind, camera), frames=frames, seed=seed)
    evidence, truth = evidence_of(synthetic), truth_of(synthetic.truth)
    rows = {}
    for variant in variants:
        result = reconstruct(evidence, variant)
        rows[starred(variant, result, evidence)] = errors(result, truth)
    return against_baseline(rows)


def run_clip(path: Path) -> dict[str, Numbers]:
    """Quality numbers of every row on a clip, and errors where a truth lies beside it."""
    settings = Settings(mode="refine")
    evidence = pipeline.gather(load_clip(path, settings), settings, Progress())
    truth = load_truth(true_path(path)) if true_path(path).exists() else None
    rows = {}
    for variant in VARIANTS:
        result = reconstruct(evidence, variant)
        quality = measure(result, evidence.body, evidence.people)
        numbers = {name: [] if quality[name] is None else [float(quality[name])] for name in QUALITY}
        rows[starred(variant, result, evidence)] = numbers | (errors(result, truth) if truth else {})
    return rows


def starred(variant: Variant, result: Reconstruction, evidence: Evidence) -> str:
    """Name of the row, with a star where the solver gave back its start."""
    return variant.name + "*" * (variant.mode == "refine" and len(result.notes) > len(evidence.notes))


def errors(result: Reconstruction, truth: GroundTruth) -> Numbers:
    """Errors against a truth: one sample a person, one a camera that travels."""
    found: dict[str, Any] = evaluate(result, truth)
    camera, people = found["camera"], found["people"]

    def of_people(key: str) -> list[float]:
        return [person[key] for person in people if person.get(key) is not None]

    travels = camera["scale_ratio"] is not None
    return {
        "W-MPJPE mm": of_people("w_mpjpe_mm"),
        "WA-MPJPE mm": of_people("wa_mpjpe_mm"),
        "scale %": [100 * abs(camera["scale_ratio"] - 1)] if travels else [],
        "foot slide mm": of_people("foot_slide_mm"),
        "ATE %": [100 * camera["ate_m"] / camera["true_path_m"]] if travels else [],
    }


def against_baseline(rows: dict[str, Numbers]) -> dict[str, Numbers]:
    """Each row's W-MPJPE over that of the row `baseline`, person by person, as a further column."""
    key = "W-MPJPE mm"
    base = rows["baseline"][key]
    return {
        name: numbers | {AGAINST_BASELINE: [a / b for a, b in zip(numbers[key], base, strict=True)]}
        for name, numbers in rows.items()
    }


def pooled(scenes: Iterable[dict[str, Numbers]]) -> dict[str, Numbers]:
    """All scenes' samples together, row by row; a row that is starred in one scene is starred."""
    out: dict[str, Numbers] = {}
    stars = set()
    for rows in scenes:
        for name, numbers in rows.items():
            plain = name.rstrip("*")
            stars |= {plain} if name != plain else set()
            row = out.setdefault(plain, {})
            for column, samples in numbers.items():
                row.setdefault(column, []).extend(samples)
    return {name + "*" * (name in stars): row for name, row in out.items()}


def table(rows: dict[str, Numbers], columns: Iterable[str]) -> list[str]:
    """Lines with mean and worst of every column that has samples at all."""
    shown = [c for c in columns if any(numbers.get(c) for numbers in rows.values())]
    lines = [f"{'mean / worst':<20s}" + "".join(f"{column:>17s}" for column in shown)]
    for name, numbers in rows.items():
        cells = [numbers.get(column, []) for column in shown]
        lines.append(f"{name:<20s}" + "".join(f"{_mean_and_worst(samples):>17s}" for samples in cells))
    return lines


def _mean_and_worst(samples: list[float]) -> str:
    if len(samples) < 2:
        return short(samples[0]) if samples else "-"
    return f"{short(float(np.mean(samples)))} / {short(max(samples))}"


def judged(scenes: dict[str, dict[str, Numbers]]) -> list[str]:
    """Whether the full solution meets each target, and the scenes in which it does not."""
    lines = []
    for column, limit in TARGETS.items():
        samples = {name: rows[key].get(column, []) for name, rows in scenes.items() for key in rows if _is_full(key)}
        everything = [value for values in samples.values() for value in values]
        if not everything:
            continue
        missed = {name: max(values) for name, values in samples.items() if values and max(values) > limit}
        where = "".join(f"; {name} {short(worst)}" for name, worst in missed.items())
        met = f"{len(everything)} samples, {len(missed)} scenes over it"
        lines.append(f"{column} up to {limit:g}: mean {short(float(np.mean(everything)))}, {met}{where}")
    return lines


def _is_full(name: str) -> bool:
    return name.rstrip("*") == FULL.name


def print_suite(scenes: dict[str, dict[str, Numbers]]) -> None:
    """Tables of the synthetic suite, by kind of camera and over all."""
    for camera in dict.fromkeys(name.split("-")[1] for name in scenes):
        some = [rows for name, rows in scenes.items() if name.split("-")[1] == camera]
        print(f"\nsynthetic scenes, {camera} camera ({len(some)})\n" + "\n".join(table(pooled(some), COLUMNS)))
    print(f"\nsynthetic scenes, all ({len(scenes)})\n" + "\n".join(table(pooled(scenes.values()), COLUMNS)))
    print(f"\ntargets of '{FULL.name}'\n" + "\n".join(judged(scenes)), flush=True)


if __name__ == "__main__":
    main()
