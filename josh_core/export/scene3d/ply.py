"""The scene's points as binary PLY, all of them, with colour and confidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from josh_core.types import Reconstruction

_RECORD = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("confidence", "<f4")]
)
_PLY_TYPE = {"f4": "float", "u1": "uchar"}


def save_ply(result: Reconstruction, path: Path) -> None:
    """Write the scene as `path` (.ply): world frame (+Y up), metres, sRGB colours."""
    cloud = result.scene
    record = np.empty(len(cloud.points), _RECORD)
    record["x"], record["y"], record["z"] = cloud.points.T
    record["red"], record["green"], record["blue"] = cloud.colors.T
    record["confidence"] = cloud.confidence
    properties = [f"property {_PLY_TYPE[_RECORD[name].str[1:]]} {name}" for name in _RECORD.names or ()]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment right-handed world, +Y up, metres, floor at y = 0",
        f"element vertex {len(record)}",
        *properties,
        "end_header",
    ]
    Path(path).write_bytes("\n".join(header).encode("ascii") + b"\n" + record.tobytes())
