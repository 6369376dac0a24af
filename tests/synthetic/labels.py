"""Who is where in the image: low-resolution label maps of the bodies, drawn with a depth buffer."""

from __future__ import annotations

import numpy as np

from josh_core.body import BodyModel
from josh_core.body.posing import meshes_by_frame
from josh_core.export.pictures.raster import Canvas, View
from josh_core.geometry import intrinsics
from josh_core.types import Int, Reconstruction, UInt8
from tests.synthetic.room import Room

REDUCTION = 4  # px of the frame for one of the label and depth maps
KEYFRAME_STEP = 5


def keyframes_of(frames: int) -> Int:
    """Every fifth frame and the last one."""
    return np.unique(np.r_[np.arange(0, frames, KEYFRAME_STEP), frames - 1])


def label_maps(truth: Reconstruction, body: BodyModel, room: Room) -> UInt8:
    """Labels [T,h,w]: 0 for the room, k + 1 for people[k] where nothing hides them."""
    w, h = truth.width // REDUCTION, truth.height // REDUCTION
    k = intrinsics(truth.intrinsics[0, 0] / REDUCTION, w, h)
    out = np.zeros((len(truth.frame_times), h, w), np.uint8)
    for frame, meshes in enumerate(meshes_by_frame(truth, body)):
        world_from_cam = truth.world_from_cam[frame]
        canvas = Canvas(View(world_from_cam, k, w, h), np.zeros(3, np.uint8))
        canvas.depth[:] = (
            room.cast_pixels(world_from_cam, k, w, h).distance.reshape(h, w) + 0.02
        )  # feet touch the ground
        for person, vertices in meshes:
            before = canvas.depth.copy()
            canvas.mesh(vertices, body.faces, np.array([255, 255, 255], np.uint8))
            out[frame][canvas.depth < before] = person.id + 1
    return out
