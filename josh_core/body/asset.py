"""The body as a file: SMPL's arrays plus our contact points and landmark regressor, in one npz without pickle."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from josh_core.body.names import LANDMARKS, PARENTS
from josh_core.errors import WeightsError
from josh_core.types import Float, Int

MAX_BYTES = 1 << 30  # of a body unpacked; SMPL's takes about 40 MB
DEFAULT_ASSET = Path(__file__).parent / "assets" / "anny_neutral.npz"


@dataclass(frozen=True)
class BodyData:
    """A body in SMPL's layout: metres, y up, facing +z, x to the body's left, 24 joints in SMPL's order."""

    name: str  # for example "anny-neutral-1"
    v_template: Float  # [V,3] m, rest pose (a T) of the mean shape
    shapedirs: Float  # [V,3,10] m per unit beta
    posedirs: Float | None  # [V,3,207] m, or None where the body has no pose correctives
    j_regressor: Float  # [24,V] rest joints from rest vertices
    weights: Float  # [V,24] skinning weights, rows sum to 1
    faces: Int  # [F,3]
    contact_names: tuple[str, ...]  # [C]
    contact_vertices: Int  # [C] vertex of each contact point
    landmark_joints: Float  # [33,24] share of each posed joint in a landmark
    landmark_vertices: Int  # [33] vertex added with the remaining share, 1 - the row's sum


def save_body(data: BodyData, path: Path | str) -> None:
    """Write the npz layout that `read_body` reads. Regressor and weights are stored by their non-zero entries."""
    arrays: dict[str, np.ndarray] = {
        "name": np.array(data.name),
        "v_template": data.v_template.astype(np.float32),
        "shapedirs": data.shapedirs.astype(np.float32),
        "kintree_table": np.array([PARENTS, range(24)], np.int64),
        "f": data.faces.astype(np.int32),
        "contact_names": np.array(data.contact_names),
        "contact_vertices": data.contact_vertices.astype(np.int32),
        "landmark_joints": data.landmark_joints.astype(np.float32),
        "landmark_vertices": data.landmark_vertices.astype(np.int32),
    }
    if data.posedirs is not None:
        arrays["posedirs"] = data.posedirs.astype(np.float32)
    for key, dense in (("J_regressor", data.j_regressor), ("weights", data.weights)):
        rows, columns = np.nonzero(dense)
        arrays[f"{key}_index"] = np.stack([rows, columns]).astype(np.int32)
        arrays[f"{key}_value"] = dense[rows, columns].astype(np.float32)
    np.savez_compressed(path, **dict[str, Any](arrays))


def read_body(path: Path | str | None = None) -> BodyData:
    """Read a body written by `save_body`; None reads the file that JOSH_BODY names, else the bundled one.

    Raises WeightsError when the file is missing or is not such a body.
    """
    path = Path(path or os.environ.get("JOSH_BODY", "").strip() or DEFAULT_ASSET)
    if not path.is_file():
        raise WeightsError(f"The body file {path.name} is not there; make one with `python -m josh_core import-smpl`.")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as npz:
            if sum(member.file_size for member in npz.zip.infolist()) > MAX_BYTES:
                raise ValueError("too large when unpacked")
            return _from_arrays({k: npz[k] for k in npz.files})
    except Exception as error:  # a broken file can raise nearly anything
        raise WeightsError(
            f"{path.name} is not a body file; bring SMPL in with `python -m josh_core import-smpl`."
        ) from error


def _from_arrays(z: dict[str, np.ndarray]) -> BodyData:
    vertices = len(z["v_template"])
    data = BodyData(
        name=str(z["name"]),
        v_template=z["v_template"],
        shapedirs=z["shapedirs"],
        posedirs=z.get("posedirs"),
        j_regressor=_dense(z, "J_regressor", (24, vertices)),
        weights=_dense(z, "weights", (vertices, 24)),
        faces=z["f"],
        contact_names=tuple(str(n) for n in z["contact_names"]),
        contact_vertices=z["contact_vertices"],
        landmark_joints=z["landmark_joints"],
        landmark_vertices=z["landmark_vertices"],
    )
    if not np.array_equal(z["kintree_table"][0], PARENTS):
        raise ValueError("joints are not in SMPL's order")
    if data.shapedirs.shape != (vertices, 3, 10) or data.landmark_joints.shape != (len(LANDMARKS), 24):
        raise ValueError("shapes differ from SMPL's layout")
    return data


def _dense(z: dict[str, np.ndarray], key: str, shape: tuple[int, int]) -> Float:
    out = np.zeros(shape, np.float32)
    out[tuple(z[f"{key}_index"])] = z[f"{key}_value"]
    return out
