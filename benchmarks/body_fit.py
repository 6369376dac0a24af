"""Print how the body fit compares with the raw 3D landmarks: python -m benchmarks.body_fit [FOLDER]

FOLDER (or the environment variable JOSH_CLIPS) holds clips with their truth beside them as NAME_truth.npz. Focal length
and cameras are the true ones, so that only people and body fit are measured. PA-MPJPE in mm over the 12 limb joints.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.clips import true_path
from josh_core.body import load_body
from josh_core.body.names import JOINTS, LANDMARKS
from josh_core.body.posing import track_points
from josh_core.bodyfit.fit import fit_bodies
from josh_core.clip.load import load_clip
from josh_core.geometry import invert, project, transform
from josh_core.metrics.accuracy import pa_mpjpe
from josh_core.metrics.ground_truth import EVALUATED_JOINTS, GroundTruth, load_truth
from josh_core.progress import Progress
from josh_core.settings import Settings
from josh_core.tracking import find_people
from josh_core.types import CameraKind, CameraPath, Clip, Float, Track

STANDS_STILL = 0.05  # m, a camera whose centres spread less than this only turns
JOINT_ROWS = [JOINTS.index(name) for name in EVALUATED_JOINTS]
LANDMARK_ROWS = [LANDMARKS.index(name) for name in EVALUATED_JOINTS]


def main(argv: list[str]) -> int:
    """Returns the exit status: 2 without a folder."""
    folder = argv[1] if len(argv) > 1 else os.environ.get("JOSH_CLIPS")
    if folder is None:
        print(__doc__, file=sys.stderr)
        return 2
    print(f"{'clip':<18}{'frames':>7}{'raw mm':>8}{'fit mm':>8}{'change':>8}{'depth':>8}{'fit s':>7}")
    rows = [_measure(path) for path in sorted(Path(folder).glob("*.mp4")) if true_path(path).exists()]
    raw, fit = np.mean(rows, axis=0)
    print(f"{'mean':<25}{raw:8.1f}{fit:8.1f}{100 * (fit / raw - 1):7.0f}%")
    return 0


def _measure(path: Path) -> tuple[float, float]:
    """Print one clip's row; PA-MPJPE of raw landmarks and of the fit, mm."""
    settings, truth, body = Settings(), load_truth(true_path(path)), load_body()
    clip = load_clip(path, settings)
    cameras, rows = true_cameras(truth, clip)
    people = find_people(clip, settings)
    started = time.perf_counter()
    bodies = fit_bodies(people, cameras, clip, body, settings, Progress())
    seconds = time.perf_counter() - started
    true = transform(invert(truth.world_from_cam), truth.people[0].limbs)  # [n,12,3] in the true frames' cameras
    scale = clip.width / truth.size[0]
    best = int(np.argmin([distance_px(t, true[rows[t.frames]], truth, scale) for t in people.tracks]))
    track, joints = people.tracks[best], track_points(bodies[best], body).joints[:, JOINT_ROWS]
    target = true[rows[track.frames]]
    raw = 1000 * float(pa_mpjpe(track.landmarks_m[:, LANDMARK_ROWS], target).mean())
    fit = 1000 * float(pa_mpjpe(joints, target).mean())
    depth = 100 * float(np.median(joints[..., 2].mean(1) / target[..., 2].mean(1)) - 1)
    change = 100 * (fit / raw - 1)
    print(f"{path.stem:<18}{len(target):7d}{raw:8.1f}{fit:8.1f}{change:7.0f}%{depth:7.1f}%{seconds:7.1f}", flush=True)
    return raw, fit


def true_cameras(truth: GroundTruth, clip: Clip) -> tuple[CameraPath, np.ndarray]:
    """Cameras of the clip's frames, and the row of the truth for each frame."""
    rows = np.minimum(np.round(clip.times * truth.fps).astype(int), len(truth.world_from_cam) - 1)
    poses = truth.world_from_cam[rows]
    travels = float(np.linalg.norm(poses[:, :3, 3].std(0))) > STANDS_STILL
    focal = float(truth.intrinsics[0, 0]) * clip.width / truth.size[0]
    everything = np.arange(len(rows))
    kind: CameraKind = "moving" if travels else "rotating"
    return CameraPath(kind, poses, focal, 0.0, everything, np.ones(len(rows), bool)), rows


def distance_px(track: Track, true: Float, truth: GroundTruth, scale: float) -> float:
    """Median distance between a track's limb landmarks and true joints [n,12,3] in the camera."""
    px = project(truth.intrinsics, true) * scale
    return float(np.median(np.linalg.norm(track.landmarks_px[:, LANDMARK_ROWS] - px, axis=-1)))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
