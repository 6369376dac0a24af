"""One person's joints and markers as TRC, which OpenSim and Pose2Sim read: metres, +Y up, one row a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from josh_core.body.model import BodyModel
from josh_core.body.names import JOINTS, LANDMARKS
from josh_core.body.posing import posed_points
from josh_core.types import PersonMotion, Reconstruction

_MARKERS = tuple(name for name in LANDMARKS if name not in JOINTS)  # shoulders, elbows... are joints already


def marker_names() -> tuple[str, ...]:
    """Names of the columns: SMPL's 24 joints, then BlazePose's landmarks on the body that are no joints."""
    return (*JOINTS, *_MARKERS)


def save_trc(result: Reconstruction, body: BodyModel, person: PersonMotion, path: Path) -> None:
    """Write the positions of one person's joints and markers as `path` (.trc).

    Rows go from the person's first frame to the last one, numbered as the clip's frames (from 0) and with its times in
    s. Where the person was not seen the cells are empty, as the format defines it for a missing marker.
    """
    joints, _, landmarks = posed_points(body, person.betas, person.pose, person.transl)
    places = np.concatenate([joints, landmarks[:, [LANDMARKS.index(name) for name in _MARKERS]]], 1)
    rows = {int(frame): place.reshape(-1) for frame, place in zip(person.frames, places, strict=True)}
    frames = range(int(person.frames[0]), int(person.frames[-1]) + 1)
    names = marker_names()
    rate, count = f"{result.fps:.6g}", len(frames)
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{Path(path).name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{count}\t{len(names)}\tm\t{rate}\t{frames[0]}\t{count}",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{k + 1}" for k in range(len(names)) for axis in "XYZ"),
    ]
    for frame in frames:
        cells = [f"{value:.6f}" for value in rows[frame]] if frame in rows else [""] * (3 * len(names))
        lines.append("\t".join([str(frame), f"{result.frame_times[frame]:.6f}", *cells]))
    Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")
