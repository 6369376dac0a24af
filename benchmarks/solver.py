"""The joint solver on the recorded 21-keyframe problem: time, steps, objective and errors beside the published run.

    python -m benchmarks.solver [--repeat 5] [--threads 2] [--published-schedule]

Without --published-schedule the published Adam run is quoted from its recording (700 steps, about 77 s on two quiet
cores); with it, the reference schedule in benchmarks/published.py is run as well, which takes minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch

from benchmarks import published, published_cameras
from benchmarks.problem_21 import load, published_problem, solve_weighted, weighted_problem
from benchmarks.problem_21_errors import errors, metrics
from josh_core.joint.variables import State

RECORDED = {  # the published optimiser on this problem, after 700 steps
    "focal px": 532.3,
    "scale mean": 0.985,
    "scale std": 0.012,
    "ATE mm": 11.9,
    "rotation deg": 0.17,
    "W-MPJPE mm": 241.0,
    "WA-MPJPE mm": 212.0,
    "slide mm/kf": 385.0,
    "objective": 0.690,
    "steps": 700,
    "seconds": 77.0,
}
# The same run with one focal update in each step instead of one for each keyframe.
RECORDED_ONCE = {"focal px": 512.9, "scale mean": 1.015, "scale std": 0.017, "ATE mm": 15.4, "rotation deg": 0.07}
RECORDED_ONCE |= {"W-MPJPE mm": 242.0, "WA-MPJPE mm": 215.0, "slide mm/kf": 385.0, "objective": 0.633, "steps": 700}

T = TypeVar("T")


def timed(run: Callable[[], T], repeat: int) -> tuple[T, float]:
    """Result and median wall time of some runs."""
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return result, statistics.median(seconds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--published-schedule", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    d, body = load()
    reference = published_problem(d, body)

    (problem, solution), seconds = timed(lambda: solve_weighted(d, body), args.repeat)
    columns = {"published, recorded": RECORDED, "published, focal once": RECORDED_ONCE}
    columns["ours"] = errors(problem, solution.state, d) | {"steps": solution.iterations, "seconds": seconds}

    def same_objective() -> tuple[State, int]:
        start_problem, start = weighted_problem(d, body)
        return published_cameras.solve_published(reference, start_problem.cameras, start)

    (state, steps), seconds = timed(same_objective, 1)
    start_problem, _start = weighted_problem(d, body)
    x = published_cameras.as_parameters(reference, start_problem.cameras, state)
    columns["ours, published objective"] = _published_errors(reference, x, d) | {"steps": steps, "seconds": seconds}
    if args.published_schedule:
        for label, updates in (("schedule, focal repeated", len(reference.median)), ("schedule, focal once", 1)):
            x, seconds = timed(partial(_schedule, reference, updates), 1)
            columns[label] = _published_errors(reference, x, d) | {"steps": 700, "seconds": seconds}

    machine = f"{args.threads} threads of {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"problem_21 on {machine}; truth: focal 500 px, scale 1")
    print(f"{'':14s}" + "".join(f"{name:>27s}" for name in columns))
    for key in [*RECORDED]:
        row = "".join(f"{columns[c][key]:27.3f}" if key in columns[c] else f"{'':>27s}" for c in columns)
        print(f"{key:14s}{row}")
    print(
        f"our objective: start {solution.start_cost:.1f}, end {solution.cost:.1f}, after each step "
        + " ".join(f"{c:.1f}" for c in solution.costs)
    )


def _schedule(reference: published.Published, updates: int) -> published.Parameters:
    x, _ = published.adam(reference, published.start_parameters(reference), False, published.COARSE)
    return published.adam(reference, x, True, published.FINE, updates)[0]


def _published_errors(reference: published.Published, x: published.Parameters, d: dict[str, Any]) -> dict[str, float]:
    """Errors of published parameters; bodies get the depth of the final focal, as in the recorded report."""
    rotation, centre = published.chain_cameras(reference, x)
    p_cam = published.bodies(reference, x)
    ratio = float(x.log_focal.exp()) / reference.focal
    shift = torch.nn.functional.pad(x.transl[:, 2:] * (ratio - 1), (2, 0))
    world = (p_cam + shift[:, None]) @ rotation.mT + centre[:, None]
    scale = x.log_sizes.exp().numpy() * d["true_depth_scale"]
    out = metrics(rotation.numpy(), centre.numpy(), world.numpy(), scale, float(x.log_focal.exp()), d)
    return out | {"objective": float(published.objective(reference, x, True).total)}


if __name__ == "__main__":
    main()
