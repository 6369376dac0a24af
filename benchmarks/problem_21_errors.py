"""Errors of a result on the recorded 21-keyframe problem (problem_21.py), in the metrics of the recorded report."""

from __future__ import annotations

import numpy as np

from benchmarks.problem_21 import Arrays
from josh_core.body.skinning import skinned_points
from josh_core.geometry import umeyama
from josh_core.joint.variables import (
    Problem,
    State,
    camera_poses,
)
from josh_core.types import Float


def errors(problem: Problem, state: State, d: Arrays) -> dict[str, float]:
    """Errors against the truth, in the recorded report's metrics (mm, %, px)."""
    rotation, centre, _ = camera_poses(problem.cameras, state)
    world = skinned_points(problem.table, state.rotations, state.transl, state.betas[problem.person]).p.numpy()
    scale = (state.log_scale + state.log_size).exp().numpy() * d["true_depth_scale"]
    return metrics(rotation.numpy(), centre.numpy(), world, scale, float(state.log_focal.exp()), d)


def metrics(rotation: Float, centre: Float, world: Float, scale: Float, focal: float, d: Arrays) -> dict[str, float]:
    """rotation [21,3,3], centre [21,3] m of world_from_cam, joints [21,24+,3] m, scale [21] estimated over true."""
    truth, joints, cams = d["true_joints_world"], world[:, :24], d["true_cam2w"]
    relative = rotation[0].T @ (centre - centre[0]).T  # in the first camera
    true_relative = cams[0, :3, :3].T @ (cams[:, :3, 3] - cams[0, :3, 3]).T
    turn = np.einsum("nji,njk->nik", cams[0, :3, :3].T @ cams[:, :3, :3], rotation[0].T @ rotation)
    angle = np.degrees(np.arccos(((np.trace(turn, axis1=1, axis2=2) - 1) / 2).clip(-1, 1)))

    def aligned(count: int) -> float:
        s, r, t = umeyama(joints[:count].reshape(-1, 3), truth[:count].reshape(-1, 3))
        return float(np.linalg.norm(s * joints @ r.T + t - truth, axis=-1).mean() * 1000)

    return {
        "focal px": focal,
        "scale mean": float(scale.mean()),
        "scale std": float(scale.std()),
        "ATE mm": float(np.sqrt(((relative - true_relative) ** 2).sum(0).mean()) * 1000),
        "rotation deg": float(angle.mean()),
        "W-MPJPE mm": aligned(2),
        "WA-MPJPE mm": aligned(len(joints)),
        "slide mm/kf": _slide(world, d),
    }


def _slide(world: Float, d: Arrays) -> float:
    """Mean step of the touching points between neighbouring keyframes, mm."""
    vertices = np.unique(np.concatenate([d["contact_scale_vertex"], d["contact_static_vertex"]]))
    at, point = d["contact_static_smpl_frame"], 24 + np.searchsorted(vertices, d["contact_static_vertex"])
    return float(np.linalg.norm(world[at, point] - world[at - 1, point], axis=-1).mean() * 1000)
