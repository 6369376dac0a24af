"""A user's own licensed SMPL file as a body file of this program: SMPL_NEUTRAL.pkl in, npz out."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from smplx.vertex_ids import vertex_ids

from josh_core.body.asset import BodyData, save_body
from josh_core.body.names import LANDMARKS, PARENTS
from josh_core.body.places import Places, find_places
from josh_core.body.unpickle import read_arrays
from josh_core.errors import WeightsError
from josh_core.types import Float, Int

KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
SMPL_VERTICES = 6890  # of SMPL (Loper et al. 2015)
# Landmarks for which smplx knows the vertex of SMPL's own mesh.
KNOWN_VERTICES = {
    "nose": "nose",
    "left_eye": "leye",
    "right_eye": "reye",
    "left_ear": "lear",
    "right_ear": "rear",
    "left_heel": "LHeel",
    "right_heel": "RHeel",
}


def import_smpl(pickle_path: Path | str, out_npz: Path | str) -> None:
    """Read SMPL's pickle without running it and write a body file for `load_body`.

    Contact points and landmarks are found on its mesh by their places relative to the joints (places.py). Raises
    WeightsError when the file is not SMPL, is damaged or asks for anything but arrays.
    """
    arrays = read_arrays(pickle_path, KEYS)
    _check(arrays, Path(pickle_path).name)
    digest = hashlib.sha256(Path(pickle_path).read_bytes()).hexdigest()
    template, regressor, weights = arrays["v_template"], arrays["J_regressor"], arrays["weights"]
    places = _with_known_vertices(find_places(template, regressor @ template, weights), len(template))
    data = BodyData(
        name=f"smpl-{digest[:8]}",
        v_template=template,
        shapedirs=arrays["shapedirs"][:, :, :10],
        posedirs=arrays["posedirs"],
        j_regressor=regressor,
        weights=weights,
        faces=arrays["f"].astype(np.int64),
        contact_names=places.contact_names,
        contact_vertices=places.contact_vertices,
        landmark_joints=places.landmark_joints,
        landmark_vertices=places.landmark_vertices,
    )
    save_body(data, out_npz)


def _with_known_vertices(places: Places, vertices: int) -> Places:
    if vertices != SMPL_VERTICES:
        return places
    chosen: Int = places.landmark_vertices.copy()
    for landmark, name in KNOWN_VERTICES.items():
        chosen[LANDMARKS.index(landmark)] = vertex_ids["smplh"][name]  # one topology for SMPL and SMPL-H
    return replace(places, landmark_vertices=chosen)


def _check(arrays: dict[str, Float], name: str) -> None:
    """Raises WeightsError unless shapes and joint order are SMPL's and all numbers finite."""
    vertices = arrays["v_template"].shape[0] if arrays["v_template"].ndim else 0
    wanted = {
        "v_template": (vertices, 3),
        "shapedirs": (vertices, 3, max(10, arrays["shapedirs"].shape[-1] if arrays["shapedirs"].ndim else 0)),
        "posedirs": (vertices, 3, 207),
        "J_regressor": (24, vertices),
        "weights": (vertices, 24),
        "kintree_table": (2, 24),
        "f": (len(arrays["f"]), 3),
    }
    for key, shape in wanted.items():
        if arrays[key].shape != shape or not np.isfinite(arrays[key]).all():
            raise WeightsError(
                f"{name} is not SMPL's body with 24 joints: {key} should be {shape}; use SMPL, not SMPL-X."
            )
    if tuple(arrays["kintree_table"][0, 1:].astype(int)) != PARENTS[1:]:
        raise WeightsError(f"{name} has its joints in another order than SMPL; use the file SMPL_NEUTRAL.pkl.")
    if arrays["f"].min() < 0 or arrays["f"].max() >= vertices:
        raise WeightsError(f"{name} has triangles of vertices that are not there; download it again from its owner.")
