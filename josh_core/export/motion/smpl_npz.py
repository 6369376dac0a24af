"""One person's SMPL parameters under AMASS's names, in the result's own world (+Y up, where AMASS has +Z)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from josh_core.types import PersonMotion, Reconstruction

_FRAME = (
    "right-handed world, +Y up, metres, floor at y = 0; vertices = LBS(poses, betas) + trans, and the root turns "
    "about the pelvis joint, not the origin"
)


def save_smpl(result: Reconstruction, person: PersonMotion, path: Path) -> None:
    """Write one person's parameters as `path` (.npz, no pickle).

    poses [n,72] axis-angle (root, then 23 joints), trans [n,3] m, betas [10], gender, mocap_framerate; and beyond
    AMASS: frames [n] of the clip, times [n] s, joints [n,24,3] m, up_axis, unit, frame and body_model as texts.
    """
    np.savez_compressed(
        path,
        poses=person.pose.reshape(len(person.frames), 72).astype(np.float32),
        trans=person.transl.astype(np.float32),
        betas=person.betas.astype(np.float32),
        gender=np.array("neutral"),
        mocap_framerate=np.array(float(result.fps)),
        frames=person.frames.astype(np.int32),
        times=result.frame_times[person.frames].astype(np.float64),
        joints=person.joints.astype(np.float32),
        up_axis=np.array("+Y"),
        unit=np.array("metre"),
        frame=np.array(_FRAME),
        body_model=np.array(result.body_model),
    )
