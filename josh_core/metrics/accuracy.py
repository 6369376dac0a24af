"""Errors of a result against ground truth, in the protocol of WHAM and TRAM: segments of 100 frames, rigid alignment.

Lengths are metres, joints are the 12 of ground_truth.EVALUATED_JOINTS, the root is the midpoint of the hips (so no
number depends on where a body model puts its pelvis). Only PA-MPJPE and the camera error "with scale" let a scale be
fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from josh_core.geometry import rotation_angle, umeyama
from josh_core.metrics.ground_truth import GroundTruth, TruePerson, foot_rows, limb_rows
from josh_core.metrics.quality import foot_slide, jitter
from josh_core.shapes import check_shapes
from josh_core.types import Float, Int, PersonMotion, Reconstruction

# Chosen by hand, except where a measurement or a source is given.
SEGMENT_FRAMES = 100  # frames between two alignments
MIN_TRAVEL = 0.05  # m, RMS spread of the true camera centres from which the scale is compared
MAX_SCENE_DISTANCE = 18.0  # m from the nearest true camera: scene points beyond are not compared
HIP_ROWS = [0, 1]  # rows of EVALUATED_JOINTS
Similarity = tuple[float, Float, Float]


def w_mpjpe(pred: Float, true: Float) -> Float:
    """W-MPJPE: joint errors [n,J] after rigid alignment on the first two frames. pred, true: [n,J,3]."""
    check_shapes("w_mpjpe", pred=(pred, "n J 3"), true=(true, "n J 3"))
    return _distance(move(umeyama(_flat(pred[:2]), _flat(true[:2]), with_scale=False), pred), true)


def wa_mpjpe(pred: Float, true: Float) -> Float:
    """WA-MPJPE: joint errors [n,J] after rigid alignment on all frames. pred, true: [n,J,3]."""
    check_shapes("wa_mpjpe", pred=(pred, "n J 3"), true=(true, "n J 3"))
    return _distance(move(umeyama(_flat(pred), _flat(true), with_scale=False), pred), true)


def pa_mpjpe(pred: Float, true: Float) -> Float:
    """PA-MPJPE: joint errors [n,J] after a similarity alignment of each frame. pred, true: [n,J,3]."""
    check_shapes("pa_mpjpe", pred=(pred, "n J 3"), true=(true, "n J 3"))
    return np.stack([_distance(move(umeyama(p, t), p), t) for p, t in zip(pred, true, strict=True)])


def in_segments(
    error: Callable[[Float, Float], Float], pred: Float, true: Float, length: int = SEGMENT_FRAMES
) -> float:
    """Mean of an aligned error over segments of `length` frames; a last segment of one frame is left out."""
    parts = [error(pred[a : a + length], true[a : a + length]) for a in range(0, len(pred) - 1, length)]
    return float(np.concatenate([part.reshape(-1) for part in parts]).mean())


def root_error(pred: Float, true: Float) -> tuple[float, float]:
    """Mean error [m] of a root path [n,3] after rigid alignment of all of it, and the length [m] of the true path."""
    aligned = move(umeyama(pred, true, with_scale=False), pred)
    return float(_distance(aligned, true).mean()), path_length(true)


def path_length(path: Float) -> float:
    """Length [m] of a path [n,3]."""
    return float(np.linalg.norm(np.diff(path, axis=0), axis=-1).sum())


def trajectory_error(pred: Float, true: Float, with_scale: bool) -> float:
    """ATE: root mean square distance [m] of camera centres [T,3] after rigid (or similarity) alignment."""
    aligned = move(umeyama(pred, true, with_scale=with_scale), pred)
    return float(np.sqrt((_distance(aligned, true) ** 2).mean()))


def align_cameras(pred: Float, true: Float) -> Similarity:
    """Rigid motion from the predicted to the true world that best fits centres and unit axes of cameras [T,4,4].

    With the axes it is determined for a still camera and for a straight path too.
    """

    def marks(world_from_cam: Float) -> Float:
        centre = world_from_cam[:, :3, 3]
        axes = world_from_cam[:, :3, :3].swapaxes(1, 2)  # rows are the camera's axes in the world
        return np.concatenate([centre[:, None], centre[:, None] + axes], 1).reshape(-1, 3)

    return umeyama(marks(pred), marks(true), with_scale=False)


def camera_errors(pred: Float, true: Float, up: Float) -> dict[str, float | None]:
    """Errors of path, orientation and scale of cameras pred, true [T,4,4]; up: [3] of the true world."""
    p, t = pred[:, :3, 3], true[:, :3, 3]
    _, turn, _ = world = align_cameras(pred, true)
    angle = np.degrees(rotation_angle(true[:, :3, :3].swapaxes(1, 2) @ turn @ pred[:, :3, :3]))
    moving = float(np.sqrt(((t - t.mean(0)) ** 2).sum(1).mean())) > MIN_TRAVEL
    scale = umeyama(p, t)[0] if moving else 0.0
    return {
        "ate_m": trajectory_error(p, t, with_scale=False),
        "ate_pose_m": float(np.sqrt((_distance(move(world, p), t) ** 2).mean())),
        "ate_scaled_m": trajectory_error(p, t, with_scale=True) if moving else None,
        "scale_ratio": 1 / scale if scale > 1e-9 else None,  # size of the result over the true size
        "path_m": path_length(p),
        "true_path_m": path_length(t),
        "rotation_deg": float(angle.mean()),
        "rotation_median_deg": float(np.median(angle)),
        "up_deg": float(np.degrees(np.arccos(np.clip(turn[:, 1] @ up, -1, 1)))),
    }


def focal_error(result: Reconstruction, truth: GroundTruth) -> float:
    """Error of the focal length in % of the true one; both are taken relative to their image's width."""
    focal = result.intrinsics[[0, 1], [0, 1]].mean() / result.width
    true_focal = truth.intrinsics[[0, 1], [0, 1]].mean() / truth.size[0]
    return float(100 * (focal / true_focal - 1))


def scene_errors(points: Float, true: Float, cameras: Float) -> dict[str, float | None]:
    """Accuracy (result to truth), completeness (truth to result), as means and medians, and the F-score at 10 cm.

    points [P,3] and true [Q,3] in the true world; cameras [T,3]: points farther than MAX_SCENE_DISTANCE from all are
    left out.
    """
    points = points[cKDTree(cameras).query(points)[0] < MAX_SCENE_DISTANCE] if len(points) else points
    if len(points) == 0 or len(true) == 0:
        return {}
    accuracy, completeness = cKDTree(true).query(points)[0], cKDTree(points).query(true)[0]
    precision, recall = (accuracy < 0.1).mean(), (completeness < 0.1).mean()
    return {
        "accuracy_m": float(accuracy.mean()),
        "accuracy_median_m": float(np.median(accuracy)),
        "completeness_m": float(completeness.mean()),
        "completeness_median_m": float(np.median(completeness)),
        "fscore_10cm": float(2 * precision * recall / max(precision + recall, 1e-9)),
    }


def person_errors(pred: Float, true: TruePerson, rows: Int, truth: GroundTruth, step: int) -> dict[str, float | None]:
    """Errors of one person. pred: [n,24,3]; rows: [n] rows of `true`; step: frames of the truth from row to row."""
    limbs, true_limbs = pred[:, limb_rows()], true.limbs[rows]
    root, true_root = limbs[:, HIP_ROWS].mean(1), true_limbs[:, HIP_ROWS].mean(1)
    error, way = root_error(root, true_root)
    frames = true.frames[rows] // step
    times = true.frames[rows] / truth.fps
    jerk, true_jerk = jitter(limbs, frames, times), jitter(true_limbs, frames, times)
    out = {
        "w_mpjpe_mm": 1000 * in_segments(w_mpjpe, limbs, true_limbs),
        "wa_mpjpe_mm": 1000 * in_segments(wa_mpjpe, limbs, true_limbs),
        "pa_mpjpe_mm": 1000 * float(pa_mpjpe(limbs, true_limbs).mean()),
        "rte_m": error,
        "rte_pct": 100 * error / way if way > 0.2 else None,  # of the way walked; nobody walked below 0.2 m
        "path_ratio": path_length(root) / way if way > 0.2 else None,
        "jitter": float(jerk.mean()) if len(jerk) else None,
        "true_jitter": float(true_jerk.mean()) if len(true_jerk) else None,
    }
    if truth.floor_at_zero:
        out["root_height_m"] = float(np.abs((root - true_root) @ truth.up).mean())
    return {**out, **_foot_errors(pred, true, rows, truth, frames)}


def _foot_errors(pred: Float, true: TruePerson, rows: Int, truth: GroundTruth, frames: Int) -> dict[str, float | None]:
    """Slide per frame of ankles and toe bases while the truth says they stand, and their error in height."""
    if true.foot_contact is None or true.feet is None:
        return {}
    feet, true_feet = pred[:, foot_rows()], true.feet[rows]
    standing = np.repeat(true.foot_contact[rows], 2, axis=1)  # [n,4] ankle and toe base of each foot
    out: dict[str, float | None] = {}
    for name, points in (("foot_slide_mm", feet), ("true_foot_slide_mm", true_feet)):
        slide, _ = foot_slide(points, standing, frames, frames.astype(np.float64))
        out[name] = 1000 * float(slide.mean()) if len(slide) else None
    if truth.floor_at_zero and standing.any():
        height = np.abs((feet - true_feet) @ truth.up)
        out["contact_height_m"] = float(height[standing].mean())
    return out


def evaluate(result: Reconstruction, truth: GroundTruth) -> dict[str, Any]:
    """All errors of a result: {"camera": {...}, "scene": {...}, "people": [{...} for each true person]}.

    Frames are brought together by time, so the result may have fewer frames a second and start later in the clip.
    A true person whom nobody in the result stands for has only "found": 0.
    """
    begin = float(result.clip.get("start") or 0.0)
    rows = np.round((result.frame_times + begin) * truth.fps).astype(np.int64)
    rows = rows[rows < len(truth.world_from_cam)]
    pred, true = result.world_from_cam[: len(rows)].astype(np.float64), truth.world_from_cam[rows]
    world = align_cameras(pred, true)
    scene: dict[str, float | None] = {}
    if truth.scene_points is not None:
        points = move(world, result.scene.points.astype(np.float64))
        scene = scene_errors(points, truth.scene_points, true[:, :3, 3])
    camera = {**camera_errors(pred, true, truth.up), "focal_error_pct": focal_error(result, truth)}
    return {"camera": camera, "scene": scene, "people": _people_errors(result, truth, rows, world)}


def _people_errors(result: Reconstruction, truth: GroundTruth, rows: Int, world: Similarity) -> list[dict[str, Any]]:
    step = max(1, round(truth.fps / result.fps))
    pairs = match_people(result, truth, rows, world)
    people = []
    for i, true in enumerate(truth.people):
        out: dict[str, Any] = {"person": i, "found": 0.0}
        shared = same_moments(result.people[pairs[i]], true, rows) if i in pairs else None
        if shared is not None:
            mine, theirs = shared
            out["found"] = len(mine) / int(np.isin(true.frames, rows).sum())
            joints = result.people[pairs[i]].joints[mine].astype(np.float64)
            out.update(person_errors(joints, true, theirs, truth, step))
        people.append(out)
    return people


def match_people(result: Reconstruction, truth: GroundTruth, rows: Int, world: Similarity) -> dict[int, int]:
    """True person -> person of the result, one to one, by mean joint distance in the aligned world.

    The distance (and 10 cm more) counts the more, the fewer of the true frames are covered: a short fragment that
    fits well does not take the place of the whole track.
    """
    impossible = 1e6
    cost = np.full((len(truth.people), len(result.people)), impossible)
    for i, true in enumerate(truth.people):
        for j, person in enumerate(result.people):
            shared = same_moments(person, true, rows)
            if shared is not None:
                mine, theirs = shared
                limbs = move(world, person.joints[mine][:, limb_rows()].astype(np.float64))
                near = float(_distance(limbs, true.limbs[theirs]).mean())
                cost[i, j] = (near + 0.1) * np.isin(true.frames, rows).sum() / len(mine)
    return {int(i): int(j) for i, j in zip(*linear_sum_assignment(cost), strict=True) if cost[i, j] < impossible}


def move(world: Similarity, points: Float) -> Float:
    """Points [...,3] under a similarity (s, R, t)."""
    scale, rotation, translation = world
    return scale * points @ rotation.T + translation


def same_moments(person: PersonMotion, true: TruePerson, rows: Int) -> tuple[Int, Int] | None:
    """Rows of the person's and of the true person's frames that are the same moment; None for less than two."""
    inside = np.flatnonzero(person.frames < len(rows))
    _, mine, theirs = np.intersect1d(rows[person.frames[inside]], true.frames, return_indices=True)
    return (inside[mine], theirs) if len(mine) > 1 else None


def _distance(a: Float, b: Float) -> Float:
    return np.asarray(np.linalg.norm(a - b, axis=-1))


def _flat(points: Float) -> Float:
    return points.reshape(-1, 3)
