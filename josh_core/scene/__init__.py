"""Camera and scene from one clip: tracks and matches, camera path, sparse and dense depth, floor, point cloud."""

from josh_core.scene.camera.lens import undistort_clip
from josh_core.scene.floor import fit_floor, lay_floor
from josh_core.scene.matching.follow import PointFollower
from josh_core.scene.reconstruct import SolvedScene, solve_scene, with_dense_depth
from josh_core.scene.surface.mesh import surface
from josh_core.scene.surface.point_cloud import point_cloud

__all__ = [
    "PointFollower",
    "SolvedScene",
    "fit_floor",
    "lay_floor",
    "point_cloud",
    "solve_scene",
    "surface",
    "undistort_clip",
    "with_dense_depth",
]
