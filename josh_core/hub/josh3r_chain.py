"""JOSH3R's pairwise predictions in one world: cameras chained through people, people placed by the cameras.

The network's translations are SMPL's: a body point is R (p - pelvis) + pelvis + transl, in the camera and in the world
alike. A frame that truly moves with the body therefore sits at the pelvis, `pelvis + transl`, and the chain

    world_from_root2 = world_from_root1 @ root1_from_root2,    world_from_cam = world_from_root @ inv(cam_from_root)

holds for that frame only; with `transl` alone every turn of a camera by Q would add (Q - 1) pelvis to its path.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from josh_core.geometry import interpolate_linear, interpolate_rigid, invert, rigid
from josh_core.hub.josh3r_pairs import PairMotions, PairPlan
from josh_core.types import BodyTrack, Bool, Float, Int

# Chosen by hand, except where a measurement or a source is given.
MIN_DEPTH = 0.2  # m, in front of the camera; nearer predictions are discarded


def rotation_from_6d(d6: Float) -> Float:
    """Rotations [...,3,3] whose first two rows are d6 [...,6] after Gram-Schmidt (Zhou 2019)."""
    a, b = d6[..., :3].astype(np.float64), d6[..., 3:].astype(np.float64)
    row1 = a / np.linalg.norm(a, axis=-1, keepdims=True)
    b = b - (row1 * b).sum(-1, keepdims=True) * row1
    row2 = b / np.linalg.norm(b, axis=-1, keepdims=True)
    return np.stack([row1, row2, np.cross(row1, row2)], -2)


def root_frames(rotation: Float, transl: Float, pelvis: Float) -> Float:
    """Rigid frames [...,4,4] at the pelvis of bodies with root rotation [...,3,3] and SMPL translation [...,3]."""
    return rigid(rotation, transl + pelvis)


def mean_translations(plan: PairPlan, motions: PairMotions, people: int) -> Float:
    """SMPL translation [people,K,3] in the camera at every keyframe, the mean over both of its pairs; NaN for none."""
    total, number = np.zeros((people, len(plan.keyframes), 3)), np.zeros((people, len(plan.keyframes), 1))
    believed = motions.trans[..., 2].min(1) > MIN_DEPTH
    for side in (0, 1):
        at = (plan.row_person[believed], plan.row_pair[believed] + side)
        np.add.at(total, at, motions.trans[believed, side])
        np.add.at(number, at, 1.0)
    with np.errstate(invalid="ignore"):
        return total / number


def leading_rows(plan: PairPlan, usable: Bool, people: int) -> Int:
    """For every pair the row [K-1] of the best-tracked person in it, -1 where there is nobody.

    usable: [R] rows that may lead. Best is who is seen longest and most completely over the whole clip.
    """
    score = np.bincount(plan.row_person[usable], plan.row_inside[usable], minlength=people)
    out = np.full(max(len(plan.keyframes) - 1, 0), -1, np.int64)
    for row in np.flatnonzero(usable):
        best = out[plan.row_pair[row]]
        if best < 0 or score[plan.row_person[row]] > score[plan.row_person[best]]:
            out[plan.row_pair[row]] = row
    return out


def chain_cameras(
    plan: PairPlan, motions: PairMotions, bodies: tuple[BodyTrack, ...], pelvises: Float
) -> tuple[Float, Int]:
    """world_from_cam [K,4,4] m of the keyframes, first camera = identity, and the leading row of each pair (-1: held).

    bodies: their root rotations in the camera are used, as the network tells none; pelvises: [people,3] m.
    """
    transl = mean_translations(plan, motions, len(bodies))
    known = np.isfinite(transl[plan.row_person, plan.row_pair + [[0], [1]]]).all((0, 2))
    lead = leading_rows(plan, known, len(bodies))
    world_from_cam = [np.eye(4)]
    for pair, row in enumerate(lead):
        step = np.eye(4)
        if row >= 0:
            person = plan.row_person[row]
            rotation = _root_rotations(bodies[person], plan.keyframes[pair : pair + 2])
            cam_from_root = root_frames(rotation, transl[person, pair : pair + 2], pelvises[person])
            root1_from_root2 = rigid(rotation_from_6d(motions.rel_rot[row]), motions.rel_trans[row].astype(np.float64))
            step = cam_from_root[0] @ root1_from_root2 @ invert(cam_from_root[1])  # cam1_from_cam2
        world_from_cam.append(world_from_cam[-1] @ step)
    return np.stack(world_from_cam), lead


def every_frame(world_from_cam: Float, lead: Int, keyframes: Int, times: Float) -> tuple[Float, Bool]:
    """Cameras [T,4,4] of all frames from those of the keyframes [K,4,4], and where a person fixes them [T].

    Rotations are interpolated along the sphere; keyframes: [K] clip frames; times: [T] s.
    """
    cameras = interpolate_rigid(world_from_cam, times[keyframes], times)
    registered = np.zeros(len(times), np.bool_)
    for pair in np.flatnonzero(lead >= 0):
        registered[keyframes[pair] : keyframes[pair + 1] + 1] = True
    return cameras, registered


def move_bodies(
    plan: PairPlan, motions: PairMotions, bodies: tuple[BodyTrack, ...], focal: float, times: Float
) -> tuple[BodyTrack, ...]:
    """The fitted bodies at the network's distance.

    At keyframes the translation is the network's; between them the fit's own motion is kept and the difference is
    interpolated (held beyond the ends). A person without predictions keeps the fit's translation.
    """
    transl = mean_translations(plan, motions, len(bodies))
    return tuple(_retract(body, transl[i], plan.keyframes, focal, times) for i, body in enumerate(bodies))


def _retract(body: BodyTrack, transl: Float, keyframes: Int, focal: float, times: Float) -> BodyTrack:
    """transl: [K,3] of the network at the keyframes, NaN where it tells none."""
    fitted = body.transl * [1, 1, focal / body.focal]
    at = np.flatnonzero(np.isfinite(transl).all(-1) & np.isin(keyframes, body.frames))
    if len(at):
        rows = np.searchsorted(body.frames, keyframes[at])
        difference = transl[at] - fitted[rows]
        fitted = fitted + interpolate_linear(difference, times[keyframes[at]], times[body.frames])
    return replace(body, transl=fitted, focal=focal)


def _root_rotations(body: BodyTrack, frames: Int) -> Float:
    """Root rotations [n,3,3] in the camera at clip frames [n], all of which the track has."""
    return body.rotations[np.searchsorted(body.frames, frames), 0]
