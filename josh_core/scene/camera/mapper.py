"""Structure from motion of keyframes, in a process of its own with a time limit (see mapper_process)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from josh_core.progress import Progress
from josh_core.types import Float, Int

PROGRAM = Path(__file__).with_name("mapper_process.py")  # run by path, so that no other module of ours is loaded

# Chosen by hand, except where a measurement or a source is given.
GRACE_SECONDS = 15.0  # s after the mapper's own limit before its process is ended


@dataclass(frozen=True)
class MapperProblem:
    """What the mapper is given. Image k is keyframe k."""

    size: Int  # [2] width, height in px
    focal: float  # px, held fixed: a few images with little parallax would send a free one anywhere
    keypoint_starts: Int  # [K+1] rows of keypoints of image k are keypoint_starts[k]:keypoint_starts[k+1]
    keypoints: Float  # [N,2] px
    pairs: Int  # [E,2] images
    match_starts: Int  # [E+1]
    matches: Int  # [M,2] keypoint numbers within the two images of the pair
    max_error: float  # px, beyond which a correspondence is an outlier
    seed: int = 0
    time_limit: float = 60.0  # s


@dataclass(frozen=True)
class MapperMap:
    """The largest reconstruction: its world has any rotation, origin and scale."""

    focal: float  # px
    images: Int  # [R] registered keyframes, ascending
    cam_from_world: Float  # [R,3,4]
    points: Float  # [P,3]
    observations: Int  # [O,3] keyframe, keypoint number within it, point


def map_keyframes(problem: MapperProblem, progress: Progress) -> MapperMap | None:
    """Run the mapper. None where it fails, crashes, takes too long, or registers fewer than three keyframes."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "problem.npz", Path(folder) / "map.npz"
        np.savez(source, **asdict(problem))
        if not _run([sys.executable, PROGRAM, source, target], problem, progress):
            return None
        if not target.exists():
            return None
        with np.load(target, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    if len(found["images"]) < 3:
        return None
    return MapperMap(
        focal=float(found["focal"]),
        images=found["images"].astype(np.int64),
        cam_from_world=found["cam_from_world"],
        points=found["points"],
        observations=found["observations"].astype(np.int64),
    )


def _run(command: list[object], problem: MapperProblem, progress: Progress) -> bool:
    """True when the process ends well in time; it is ended when the user cancels or time is up."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    start = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        # The mapper's own limit comes first; this one is for a process that hangs.
        while time.monotonic() - start < problem.time_limit + GRACE_SECONDS:
            progress.update(min(0.95, (time.monotonic() - start) / problem.time_limit))
            try:
                return process.wait(0.2) == 0
            except subprocess.TimeoutExpired:
                continue
        return False
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
