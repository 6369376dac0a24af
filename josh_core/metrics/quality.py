"""Quality numbers of one result, without ground truth.

`measure` takes the numbers; verdicts.py judges them, for the page, the command line and the exports alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from josh_core.body.model import BodyModel
from josh_core.body.names import FEET, LIMB_LANDMARKS, is_part
from josh_core.body.posing import posed_points
from josh_core.contact.supports import height_over_support
from josh_core.geometry import inside, invert, project
from josh_core.metrics.collisions import overlaps
from josh_core.metrics.pace import fall, steps
from josh_core.metrics.seen import feet_inside
from josh_core.shapes import check_shapes
from josh_core.types import IN_CONTACT, Bool, Float, People, PersonMotion, Reconstruction, Track

# Chosen by hand, except where a measurement or a source is given.
SEEN_VISIBILITY = 0.5  # visibility from which a landmark counts as seen
BODY_LANDMARKS = list(LIMB_LANDMARKS)


def measure(result: Reconstruction, body: BodyModel, people: People | None = None) -> dict[str, Any]:
    """Numbers of a result, as plain JSON values; None where something cannot be measured (nobody touches, one frame).

    Keys: those of QUANTITIES over all people; scale_source; sunk_cm_max and sunk_cm_median, how deep the deepest
    contact point of a body, touching or not, is under the floor or in a support; overlap_cm_max and overlap_cm_median,
    how deep two people are in each other where they are (collisions.py), 0 where none are; people: for each one id,
    frames_share, height_m, speed_m_s, steps_hz, step_m and fall_m_s2 (pace.py), and those that belong to a person. With
    `people` (the tracks in the image) reprojection is measured.
    """
    tracks = {track.id: track for track in people.tracks} if people is not None else {}
    pools = [_measure_person(result, person, body, tracks.get(person.id)) for person in result.people]
    per_person = [
        {
            "id": int(person.id),
            "frames_share": round(len(person.frames) / len(result.frame_times), 4),
            "height_m": round(float(person.height_m), 3),
            "speed_m_s": _rounded(_speed(result, person)),
            **_steps(result, person),
            **_summary([pool]),
        }
        for person, pool in zip(result.people, pools, strict=True)
    ]
    steps = np.linalg.norm(np.diff(result.world_from_cam[:, :3, 3].astype(np.float64), axis=0), axis=-1)
    return {
        **_summary(pools),
        **_overlap(100 * overlaps(result, body)),
        "camera_path_m": _rounded(float(steps.sum())),
        "scale_source": result.scale_source,
        "people": per_person,
    }


@dataclass(frozen=True)
class _Pool:
    """Samples of one person, so that medians can be taken over one person or all."""

    slide_mm: Float
    slide_mm_s: Float
    height_cm: Float  # signed, over what is under it: the floor or a support
    sunk_cm: Float  # of every frame the deepest contact point's depth under the same, 0 where none is
    jerk: Float  # 10 m/s^3
    error_px: Float
    error_pct: Float


def _measure_person(result: Reconstruction, person: PersonMotion, body: BodyModel, track: Track | None) -> _Pool:
    joints, contacts, landmarks = posed_points(body, person.betas, person.pose, person.transl)
    feet = [i for i, name in enumerate(result.contact_names) if is_part(name, FEET)]
    sides = [[i for i, j in enumerate(feet) if result.contact_names[j].startswith(s)] for s in ("left", "right")]
    touching = person.contact[:, feet] > IN_CONTACT
    for foot, seen in zip(sides, _feet_seen(result, person, track).T, strict=True):
        touching[:, foot] &= seen[:, None]
    points = contacts[:, feet]
    over = height_over_support(contacts, result.floor, result.supports)
    heights = over[:, feet]
    times = result.frame_times[person.frames]
    slide, seconds = foot_slide(points, touching, person.frames, times)
    error_px, error_pct = _reprojection(result, person, joints, landmarks, track)
    return _Pool(
        slide_mm=1000 * slide,
        slide_mm_s=1000 * slide / seconds,
        height_cm=100 * np.concatenate([_lowest_contact(heights[:, foot], touching[:, foot]) for foot in sides]),
        sunk_cm=100 * np.maximum(-over.min(1), 0.0),
        jerk=jitter(joints, person.frames, times),
        error_px=error_px,
        error_pct=error_pct,
    )


def _feet_seen(result: Reconstruction, person: PersonMotion, track: Track | None) -> Bool:
    """[n,2] False where the left, the right foot is known to be outside the image: such frames are not measured."""
    seen = np.ones((len(person.frames), 2), bool)
    if track is not None:
        _, mine, theirs = np.intersect1d(person.frames, track.frames, return_indices=True)
        seen[mine] = feet_inside(track, result.width, result.height)[theirs]
    return seen


def foot_slide(points: Float, touching: Any, frames: Any, times: Float) -> tuple[Float, Float]:
    """Way [S] in m, and time [S] in s, of every point between two consecutive frames in both of which it touches.

    points: [n,C,3] m in the world; touching: [n,C] bool; frames: [n]; times: [n] s.
    """
    check_shapes(
        "foot_slide", points=(points, "n C 3"), touching=(touching, "n C"), frames=(frames, "n"), times=(times, "n")
    )
    both = touching[1:] & touching[:-1] & (np.diff(frames) == 1)[:, None]
    way = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    seconds = np.broadcast_to(np.diff(times)[:, None], way.shape)
    return way[both], seconds[both]


def jitter(joints: Float, frames: Any, times: Float) -> Float:
    """Size of the third derivative of joints [n,24,3] m by time, in 10 m/s^3, at every joint and frame that has one.

    A run of four consecutive frames makes one: six times the divided difference of Newton, which holds for time
    stamps at uneven distances too.
    """
    check_shapes("jitter", joints=(joints, "n J 3"), frames=(frames, "n"), times=(times, "n"))
    if len(frames) < 4:
        return np.zeros(0)
    slope = joints
    for order in (1, 2, 3):
        slope = np.diff(slope, axis=0) / (times[order:] - times[:-order])[:, None, None]
    jerk = np.linalg.norm(6 * slope, axis=-1) / 10
    return np.asarray(jerk[frames[3:] - frames[:-3] == 3].reshape(-1))


def _lowest_contact(heights: Float, touching: Any) -> Float:
    """Height [m] of the lowest touching point of one foot, at the frames where one touches; heights: [n,C] m."""
    low = np.where(touching, heights, np.inf).min(1, initial=np.inf)
    return low[np.isfinite(low)]


def _reprojection(
    result: Reconstruction, person: PersonMotion, joints: Float, landmarks: Float, track: Track | None
) -> tuple[Float, Float]:
    """Distance [S] in px, and in % of the person's height in the image, of seen limb landmarks from the model's."""
    if track is None:
        return np.zeros(0), np.zeros(0)
    _, mine, theirs = np.intersect1d(person.frames, track.frames, return_indices=True)
    k = np.asarray(result.intrinsics, np.float64)
    cam_from_world = invert(result.world_from_cam[person.frames[mine]].astype(np.float64))
    p_cam = landmarks[mine][:, BODY_LANDMARKS] @ cam_from_world[:, :3, :3].swapaxes(1, 2)
    p_cam = p_cam + cam_from_world[:, None, :3, 3]
    error = np.linalg.norm(project(k, p_cam) - track.landmarks_px[theirs][:, BODY_LANDMARKS], axis=-1)
    depth = np.einsum("nd,nd->n", cam_from_world[:, 2, :3], joints[mine, 0]) + cam_from_world[:, 2, 3]
    height_px = k[1, 1] * person.height_m / np.maximum(depth, 1e-6)
    seen = (track.visibility[theirs][:, BODY_LANDMARKS] > SEEN_VISIBILITY) & track.detected[theirs][:, None]
    seen &= inside(track.landmarks_px[theirs][:, BODY_LANDMARKS], result.width, result.height)
    return error[seen], (100 * error / height_px[:, None])[seen]


def _speed(result: Reconstruction, person: PersonMotion) -> float | None:
    """Mean speed over the ground in m/s: way of the pelvis in half-second steps, so that its sway does not count."""
    stride = max(1, round(result.fps / 2))
    ground = person.joints[::stride, 0][:, [0, 2]].astype(np.float64)
    seconds = result.frame_times[person.frames[::stride]]
    if len(ground) < 2:
        return None
    return float(np.linalg.norm(np.diff(ground, axis=0), axis=-1).sum() / (seconds[-1] - seconds[0]))


def _steps(result: Reconstruction, person: PersonMotion) -> dict[str, float | None]:
    times = result.frame_times[person.frames]
    cadence, length = steps(person.joints, times)
    return {
        "steps_hz": _rounded(cadence),
        "step_m": _rounded(length),
        "fall_m_s2": _rounded(fall(person.joints, times)),
    }


def _summary(pools: Sequence[_Pool]) -> dict[str, float | None]:
    def pooled(name: str) -> Float:
        return np.concatenate([np.zeros(0), *(getattr(pool, name) for pool in pools)])

    height = pooled("height_cm")
    return {
        "foot_slide_mm": _median(pooled("slide_mm")),
        "foot_slide_mm_s": _median(pooled("slide_mm_s")),
        "foot_height_cm": _median(np.abs(height)),
        "floating_cm": _rounded(max(0.0, float(np.percentile(height, 90)))) if len(height) else None,
        "penetration_cm": _rounded(max(0.0, -float(np.percentile(height, 10)))) if len(height) else None,
        **_deepest("sunk_cm", pooled("sunk_cm")),
        "jitter": _rounded(float(pooled("jerk").mean())) if len(pooled("jerk")) else None,
        "reprojection_px": _median(pooled("error_px")),
        "reprojection_pct": _median(pooled("error_pct")),
    }


def _deepest(name: str, depths: Float) -> dict[str, float | None]:
    """The largest depth and the median one; None without any."""
    return {f"{name}_max": _rounded(float(depths.max())) if len(depths) else None, f"{name}_median": _median(depths)}


def _overlap(depths: Float) -> dict[str, float | None]:
    """The largest depth, and the median one of the frames in which two people overlap; None where nobody meets."""
    deep = depths[depths > 0]
    return _deepest("overlap_cm", deep if len(deep) else depths)


def _median(values: Float) -> float | None:
    return _rounded(float(np.median(values))) if len(values) else None


def _rounded(value: float | None) -> float | None:
    """Four significant digits: more would only look exact."""
    return None if value is None else float(f"{value:.4g}")
