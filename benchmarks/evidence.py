"""What is known before people, camera and scene are put into one world, against the truth of clips that have one.

    python -m benchmarks.evidence CLIPS

For each clip NAME.mp4 with NAME_truth.npz it prints
- up: error in degrees by picture and bodies, with the student, by the background's edges alone, and by all together;
- legs: frames of everybody in which the landmarks' legs are exchanged, as the network names them, as corrected with
  costs that do not know the side view, without a look at how ankles pass each other, without one at the depths of
  arms, and as corrected;
- arms: the same of arms, as the network names them, with one half of a body alone twice as costly, without a look at
  their depths, and as corrected;
- foot lock: W-MPJPE, WA-MPJPE and true foot slide (mm) of `fast` for several standard deviations along the ray.
The last lines are sums (legs, arms) and means (up, foot lock) over the clips.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clips import clip_files, true_path
from josh_core import modes
from josh_core.bodyfit import left_right
from josh_core.bodyfit.fit import observe_people
from josh_core.bodyfit.observations import px_per_metre
from josh_core.clip.load import load_clip
from josh_core.contact import foot_lock
from josh_core.evidence import Evidence
from josh_core.geometry import invert, transform
from josh_core.metrics.accuracy import evaluate
from josh_core.metrics.ground_truth import EVALUATED_JOINTS, GroundTruth, load_truth
from josh_core.pipeline import gather
from josh_core.progress import Progress
from josh_core.scene.edges import common_direction, find_edges
from josh_core.settings import Settings
from josh_core.student.estimate import estimate_people
from josh_core.types import Float, Int, Track
from josh_core.world.gravity import find_gravity

ALONG = (0.05, 0.03, 0.02, 0.01)  # values of foot_lock.ALONG_SIGMA that are compared
UNCLEAR = 0.06  # of the person's size in the image: sums of distances of both namings nearer than this do not tell
FAR = 0.2  # of the size: a person whose hips are farther from a track's is not the track's


@dataclass(frozen=True)
class Limbs:
    """Limbs whose sides the network may exchange, and values of left_right.py that are compared."""

    joints: tuple[str, ...]  # of EVALUATED_JOINTS
    landmarks: list[int]  # BlazePose's, in the order of the joints,
    exchanged: list[int]  # and with left and right exchanged
    compared: tuple[dict[str, Any], ...]


LEGS = Limbs(
    ("left_knee", "right_knee", "left_ankle", "right_ankle"),
    [25, 26, 27, 28],
    [26, 25, 28, 27],
    ({"MIN_SHARE": 1.0}, {"CHANGE_COST": 1e9}, {"UPPER_DEPTH_WEIGHT": 0.0}, {}),
)
ARMS = Limbs(
    ("left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    [13, 14, 15, 16],
    [14, 13, 16, 15],
    (
        {"EXCHANGED_COST": {(True, True): 0.06, (True, False): 0.12, (False, True): 0.12}},
        {"UPPER_DEPTH_WEIGHT": 0.0},
        {},
    ),
)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    ups, legs, arms, locks = [], [], [], []
    for path in (c for c in clip_files(parser.parse_args().clips) if true_path(c).exists()):
        truth, settings = load_truth(true_path(path)), Settings(mode="fast", tier="embedded")
        evidence = gather(load_clip(path, settings), settings, Progress())
        legs.append(exchanged_limbs(evidence, truth, LEGS))
        arms.append(exchanged_limbs(evidence, truth, ARMS))
        locks.append(foot_locks(evidence, truth))
        ups.append(up_errors(evidence, truth))
        up = " ".join(f"{error:.2f}" for error in ups[-1])
        exchanged = f"legs {legs[-1]}   arms {arms[-1]}"
        print(f"{path.stem:<24s} up {up}   {exchanged}   foot lock {_lock_line(locks[-1])}", flush=True)
    print(f"up: picture and bodies, with the student, edges, all: {np.round(np.nanmean(ups, 0), 2).tolist()}")
    print(f"legs: network, full costs, without passing ankles, without depths, as is: {np.sum(legs, 0).tolist()}")
    print(f"arms: network, halves twice as costly, without depths, as is: {np.sum(arms, 0).tolist()}")
    print(f"foot lock at {ALONG}: {_lock_line(np.nanmean(locks, 0))}")


def up_errors(e: Evidence, truth: GroundTruth) -> list[float]:
    """Degrees between true up and that of picture and bodies, with the student, of edges (NaN if none), and of all."""
    cameras = e.scene.cameras
    true = cameras.world_from_cam[:, :3, :3] @ truth.world_from_cam[: len(e.clip), :3, :3].swapaxes(1, 2) @ truth.up
    edges = find_edges(e.clip, e.people, cameras)
    observed = observe_people(e.people, cameras, e.clip, None)
    said = tuple(s.up for s in estimate_people(e.people, observed, cameras, e.clip.times, e.body))
    alone, student = (find_gravity(cameras, e.bodies, e.points, None, ups) for ups in ((), said))
    common = common_direction(edges, alone.up, cameras)
    found = (
        alone.up,
        student.up,
        None if common is None else common.direction,
        find_gravity(cameras, e.bodies, e.points, edges, said).up,
    )
    mean = true.mean(0) / np.linalg.norm(true.mean(0))
    return [np.nan if up is None else float(np.degrees(np.arccos(np.clip(up @ mean, -1, 1)))) for up in found]


def exchanged_limbs(e: Evidence, truth: GroundTruth, limbs: Limbs) -> list[int]:
    """Frames with exchanged limbs, over all tracks: as the network names them, and with each of limbs.compared."""
    counts = np.zeros(1 + len(limbs.compared), int)
    for track in e.people.tracks:
        size = float(np.median(np.ptp(track.landmarks_px[..., 1], axis=1)))
        true = true_limbs(track, e, truth, size, limbs)
        if true is None:
            continue
        times = e.clip.times[track.frames]
        px_per_m = px_per_metre(track, times)
        tracks = [track]
        for other in limbs.compared:
            with setting(left_right, **other):
                tracks.append(left_right.fix_left_right(track, px_per_m, times)[0])
        counts += [int((named(t.landmarks_px[true[0]], true[1], size, limbs) < 0).sum()) for t in tracks]
    return counts.tolist()


def named(landmarks_px: Float, true_px: Float, size: float, limbs: Limbs) -> Int:
    """1 where landmarks [n,33,2] name the limbs as the truth [n,4,2] does, -1 where exchanged, 0 where unclear."""
    right, wrong = (
        np.linalg.norm(landmarks_px[:, rows] - true_px, axis=-1).sum(1) for rows in (limbs.landmarks, limbs.exchanged)
    )
    return np.where(np.abs(right - wrong) < UNCLEAR * size, 0, np.where(right < wrong, 1, -1))


def true_limbs(track: Track, e: Evidence, truth: GroundTruth, size: float, limbs: Limbs) -> tuple[Int, Float] | None:
    """Rows of the track and true pixels [n,4,2] of the limbs there, of the person at its place; None without one."""
    middle, found = np.array([e.clip.width, e.clip.height]) / 2, None
    focal = truth.intrinsics[0, 0] * e.clip.width / truth.size[0]
    nearest = FAR * size
    for person in truth.people:
        frames, rows, at = np.intersect1d(track.frames, person.frames, return_indices=True)
        if not len(frames):
            continue
        joints = transform(invert(truth.world_from_cam[frames]), person.limbs[at])
        px = joints[..., :2] / joints[..., 2:] * focal + middle
        apart = np.linalg.norm(px[:, :2].mean(1) - track.landmarks_px[rows][:, 23:25].mean(1), axis=-1).mean()
        if apart < nearest:
            nearest, found = apart, (rows, px[:, [EVALUATED_JOINTS.index(name) for name in limbs.joints]])
    return found


def foot_locks(e: Evidence, truth: GroundTruth) -> list[list[float]]:
    """[W-MPJPE, WA-MPJPE, true foot slide] in mm of `fast` for each of ALONG, means over the people."""
    rows = []
    for sigma in ALONG:
        with setting(foot_lock, ALONG_SIGMA=sigma):
            people = evaluate(modes.fast(e), truth)["people"]
        keys = ("w_mpjpe_mm", "wa_mpjpe_mm", "foot_slide_mm")
        rows.append([float(np.mean([p[k] for p in people if p.get(k) is not None] or [np.nan])) for k in keys])
    return rows


@contextmanager
def setting(module: Any, **values: float) -> Iterator[None]:
    """Constants of a module at other values for a while."""
    before = {name: getattr(module, name) for name in values}
    try:
        for name, value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def _lock_line(rows: Any) -> str:
    return " | ".join("/".join(f"{value:.1f}" for value in row) for row in rows)


if __name__ == "__main__":
    main()
