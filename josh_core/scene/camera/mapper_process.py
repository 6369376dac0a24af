"""Incremental mapping with pycolmap, run as a program of its own: `python mapper_process.py IN OUT`.

It shares a process with nothing: pycolmap and OpenCV clash inside one, a mapper that hangs can be ended, and one that
crashes takes nobody along. IN and OUT are npz files; their arrays are described at mapper.MapperProblem and MapperMap.
This file imports nothing of ours.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np


def run(problem: dict[str, Any], work: Path) -> dict[str, Any]:
    """Largest reconstruction of the problem as arrays; empty arrays where nothing could be built."""
    import pycolmap

    pycolmap.set_random_seed(int(problem["seed"]))
    pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value
    database = work / "database.db"
    _write_database(pycolmap, problem, database)
    images, out = work / "images", work / "models"
    images.mkdir()
    out.mkdir()
    models = pycolmap.incremental_mapping(database, images, out, options=_options(pycolmap, problem))
    return _arrays(max(models.values(), key=lambda m: m.num_reg_images(), default=None))


def _write_database(pycolmap: Any, problem: dict[str, Any], path: Path) -> None:
    """Cameras, keypoints and verified two-view geometries."""
    width, height = (int(v) for v in problem["size"])
    starts, keypoints = problem["keypoint_starts"], problem["keypoints"]
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_PINHOLE", float(problem["focal"]), width, height)
    camera.has_prior_focal_length = True
    options = pycolmap.TwoViewGeometryOptions()
    options.ransac.random_seed = int(problem["seed"])
    options.ransac.max_error = float(problem["max_error"])
    database = pycolmap.Database.open(path)
    camera_id = database.write_camera(camera)
    points, ids = [], []
    for k in range(len(starts) - 1):
        points.append(keypoints[starts[k] : starts[k + 1]])
        ids.append(database.write_image(pycolmap.Image(name=f"{k:06d}", camera_id=camera_id)))
        database.write_keypoints(ids[-1], points[-1].astype(np.float32))
    for e, (a, b) in enumerate(problem["pairs"]):
        rows = problem["matches"][problem["match_starts"][e] : problem["match_starts"][e + 1]]
        geometry = pycolmap.estimate_two_view_geometry(
            camera, points[a], camera, points[b], rows.astype(np.uint32), options
        )
        database.write_matches(ids[a], ids[b], rows.astype(np.uint32))
        database.write_two_view_geometry(ids[a], ids[b], geometry)
    database.close()


def _options(pycolmap: Any, problem: dict[str, Any]) -> Any:
    """Options for video: small baselines, one thread and one seed so that a clip always gives the same map."""
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = options.mapper.num_threads = 1
    options.random_seed = options.mapper.random_seed = options.triangulation.random_seed = int(problem["seed"])
    options.extract_colors = False
    options.min_model_size = 3
    options.max_num_models = 3
    options.max_runtime_seconds = int(problem["time_limit"])
    options.ba_refine_focal_length = options.mapper.abs_pose_refine_focal_length = False
    options.mapper.init_min_tri_angle = 4.0
    options.mapper.init_min_num_inliers = 60
    options.mapper.filter_min_tri_angle = options.triangulation.min_angle = 0.7
    options.mapper.filter_max_reproj_error = 2 * float(problem["max_error"])
    options.ba_global_frames_ratio = options.ba_global_points_ratio = 1.4
    options.ba_global_max_refinements = 2
    options.ba_local_max_num_iterations = 15
    options.ba_global_max_num_iterations = 30
    return options


def _arrays(model: Any) -> dict[str, Any]:
    if model is None:
        empty = {"images": (0,), "cam_from_world": (0, 3, 4), "points": (0, 3), "observations": (0, 3)}
        return {"focal": np.zeros(())} | {name: np.zeros(shape) for name, shape in empty.items()}
    images = sorted((i for i in model.images.values() if i.has_pose), key=lambda i: i.name)
    number = {image.image_id: int(image.name) for image in images}
    points = sorted(model.points3D.items())
    return {
        "focal": np.array(next(iter(model.cameras.values())).params[0]),
        "images": np.array([int(i.name) for i in images]),
        "cam_from_world": np.array([i.cam_from_world().matrix() for i in images]),
        "points": np.array([p.xyz for _, p in points]).reshape(-1, 3),
        "observations": np.array(
            [(number[e.image_id], e.point2D_idx, j) for j, (_, p) in enumerate(points) for e in p.track.elements]
        ).reshape(-1, 3),
    }


def main(source: str, target: str) -> None:
    """Read the problem at `source`, write the map to `target`."""
    with np.load(source, allow_pickle=False) as file:
        problem = {name: file[name] for name in file.files}
    with tempfile.TemporaryDirectory() as work:
        result = run(problem, Path(work))
    np.savez(target, **result)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
