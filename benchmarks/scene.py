"""Camera and dense depth of a rendered clip against its truth, and the time of every stage of the scene.

    python -m benchmarks.scene CLIP [TRUTH.npz]

TRUTH holds world_from_cam [T,4,4], intrinsics [3,3], and for some frames depth_frames [n], depth [n,h,w] m and
depth_person [n,h,w], where people are.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import cv2
import numpy as np

from josh_core.clip.load import load_clip
from josh_core.geometry import umeyama
from josh_core.progress import Progress
from josh_core.scene import point_cloud, solve_scene, with_dense_depth
from josh_core.settings import Settings
from josh_core.tracking.tracker import find_people
from josh_core.types import Float, Scene

CONFIDENCES = (0.0, 0.1, 0.3, 0.5, 0.7, 1.0)  # bounds of the table's rows


def main(clip_path: Path, truth_path: Path | None) -> None:
    """Reconstruct the clip's scene and print its tables."""
    settings, progress = Settings(), Progress()
    clip = load_clip(clip_path, settings)
    people = find_people(clip, settings, Progress())
    solved = solve_scene(clip, people, settings, progress)
    scene, straight_clip, straight_people = with_dense_depth(solved, progress), solved.clip, solved.people
    cameras = scene.cameras
    cloud = point_cloud(straight_clip, straight_people, scene)[0]
    print(f"{clip_path.name}: {cameras.kind}, {cameras.registered.mean():.0%} of {len(clip)} frames registered")
    print(f"focal {cameras.focal:.1f} px +- {cameras.focal_sigma:.2%}, distortion {cameras.distortion:.3f}")
    print(f"{len(cameras.keyframes)} keyframes, {len(scene.matches.px)} matches, {len(cloud)} points")
    for stage, seconds in progress.seconds.items():
        print(f"  {stage:8} {seconds:6.1f} s")
    if truth_path is not None:
        with np.load(truth_path, allow_pickle=False) as file:
            truth = {name: file[name] for name in file.files}
        scale = _compare_cameras(scene, truth)
        _compare_depth(scene, truth, scale)


def _compare_cameras(scene: Scene, truth: dict[str, Float]) -> float:
    """Print focal and path errors; returns metres per unit of the scene."""
    found, true = scene.cameras.world_from_cam[:, :3, 3], truth["world_from_cam"][:, :3, 3]
    scale, rotation, shift = umeyama(found, true)
    off = np.linalg.norm(scale * found @ rotation.T + shift - true, axis=-1)
    length = np.linalg.norm(np.diff(true, axis=0), axis=-1).sum()
    print(f"focal error {scene.cameras.focal / truth['intrinsics'][0, 0] - 1:+.2%}")
    print(f"camera ATE {np.sqrt((off**2).mean()):.4f} m = {np.sqrt((off**2).mean()) / length:.2%} of {length:.2f} m")
    return scale


def _compare_depth(scene: Scene, truth: dict[str, Float], scale: float) -> None:
    """Print relative depth errors by confidence."""
    height, width = truth["depth"].shape[1:]
    errors, confidences, pixels = [], [], 0
    for frame, depth, person in zip(truth["depth_frames"], truth["depth"], truth["depth_person"], strict=True):
        key = np.flatnonzero(scene.cameras.keyframes == frame)
        if len(key) == 0:
            continue
        maps = (scene.depths.depth[key[0]], scene.depths.confidence[key[0]])
        found, sure = (cv2.resize(m, (width, height), interpolation=cv2.INTER_NEAREST) for m in maps)
        real = np.isfinite(depth) & (depth > 0) & ~person.astype(bool)
        known = real & (found > 0)
        pixels += int(real.sum())
        errors.append(np.abs(found[known] * scale / depth[known].astype(float) - 1))
        confidences.append(sure[known])
    error, confidence = np.concatenate(errors), np.concatenate(confidences)
    print("confidence   share  median error  90 %   under 5 %")
    for low, high in itertools.pairwise(CONFIDENCES):
        e = error[(confidence > low) & (confidence <= high)]
        if len(e):
            row = f"{len(e) / pixels:6.1%}  {np.median(e):12.2%}  {np.percentile(e, 90):5.1%}  {(e < 0.05).mean():9.1%}"
            print(f"{low:.1f} to {high:.1f}  {row}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
