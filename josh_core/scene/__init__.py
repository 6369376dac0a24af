"""Camera and scene from one clip: background tracks and matches, camera path, dense depth, floor, point cloud."""

from josh_core.scene.floor import fit_floor, lay_floor
from josh_core.scene.lens import undistort_clip
from josh_core.scene.point_cloud import clean_plate, point_cloud
from josh_core.scene.reconstruct import reconstruct_scene
from josh_core.scene.surface import surface

__all__ = ["clean_plate", "fit_floor", "lay_floor", "point_cloud", "reconstruct_scene", "surface", "undistort_clip"]
