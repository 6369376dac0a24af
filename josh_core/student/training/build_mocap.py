"""Build step: DeepMimic's motion clips in the body's own layout -> assets/mocap.npz.

    python -m josh_core.student.training.build_mocap FOLDER  # .../pybullet_data/data/motions of PyPI's pybullet

Source frame: x forward, y up, z to the right, quaternions WXYZ, hinge angles for knees and elbows, arms hanging at
rest. Ours: x to the left, y up, z forward, arms out at rest. Licence of the data: zlib (see assets/NOTICE.txt).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from josh_core.student.features import FPS
from josh_core.student.training.motions import MOCAP_FILE
from josh_core.types import Float

OURS_FROM_SOURCE = np.array([[0, 0, -1.0], [0, 1, 0], [1, 0, 0]])  # axes as above
LEG = 0.83  # m, hip to ankle of DeepMimic's humanoid (0.42 + 0.41)
CYCLES = 6  # how often the loops walk and run are repeated; chosen by hand


def convert(path: Path) -> tuple[Float, Float]:
    """Local rotation vectors [T,24,3] and pelvis positions [T,3] in leg lengths, at FPS."""
    stored = json.loads(path.read_text())
    frames = np.asarray(stored["Frames"])
    if stored.get("Loop") == "wrap" and path.stem.endswith(("_walk", "_run")):
        frames = _repeat(frames)
    times = np.concatenate([[0], np.cumsum(frames[:-1, 0])])
    joints = _joints(frames)
    at = np.arange(0, times[-1] + 1e-9, 1 / FPS).clip(0, times[-1])
    turned = np.stack([Slerp(times, joints[j])(at).as_rotvec() for j in range(24)], 1)
    pelvis = frames[:, 1:4] @ OURS_FROM_SOURCE.T / LEG
    return turned, np.stack([np.interp(at, times, pelvis[:, k]) for k in range(3)], 1)


def _repeat(frames: Float) -> Float:
    cycle, stride = frames[:-1], (frames[-1, 1:4] - frames[0, 1:4]) * [1, 0, 1]
    return np.concatenate([np.c_[cycle[:, :1], cycle[:, 1:4] + k * stride, cycle[:, 4:]] for k in range(CYCLES)])


def _joints(f: Float) -> dict[int, Any]:
    """Rotation of each SMPL joint [T]; spine and neck are shared out evenly over their joints."""
    n = len(f)
    joint: dict[int, Any] = {j: Rotation.identity(n) for j in range(24)}
    joint[0] = _ball(f[:, 4:8])
    joint[3] = joint[6] = joint[9] = Rotation.from_rotvec(_ball(f[:, 8:12]).as_rotvec() / 3)
    joint[12] = joint[15] = Rotation.from_rotvec(_ball(f[:, 12:16]).as_rotvec() / 2)
    for side, (hip, knee, ankle, shoulder, elbow), at in (
        (-1, (2, 5, 8, 17, 19), 16),
        (1, (1, 4, 7, 16, 18), 30),
    ):
        hang = Rotation.from_rotvec([0, 0, -side * np.pi / 2])
        joint[hip], joint[knee] = _ball(f[:, at : at + 4]), _hinge(f[:, at + 4])
        joint[ankle] = _ball(f[:, at + 5 : at + 9])
        joint[shoulder] = _ball(f[:, at + 9 : at + 13]) * hang
        joint[elbow] = hang.inv() * _hinge(f[:, at + 13]) * hang
    return joint


def _ball(wxyz: Float) -> Any:
    source = Rotation.from_quat(np.c_[wxyz[:, 1:], wxyz[:, :1]]).as_matrix()
    return Rotation.from_matrix(OURS_FROM_SOURCE @ source @ OURS_FROM_SOURCE.T)


def _hinge(angle: Float) -> Any:
    axis = OURS_FROM_SOURCE @ [0, 0, 1.0]
    return Rotation.from_rotvec(angle[:, None] * axis)


def main(folder: Path) -> None:
    arrays = {}
    for path in sorted(folder.glob("humanoid3d_*.txt")):
        name = path.stem.removeprefix("humanoid3d_")
        turned, pelvis = convert(path)
        arrays[f"{name}_rotvec"], arrays[f"{name}_pelvis"] = turned.astype(np.float16), pelvis.astype(np.float32)
    np.savez_compressed(MOCAP_FILE, **dict[str, Any](arrays))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
