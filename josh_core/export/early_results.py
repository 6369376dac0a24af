"""Previews of an unfinished run: the people found, then cameras and points of the scene. They are never stored."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from josh_core.body.model import BodyModel
from josh_core.export.colors import person_color, rgb
from josh_core.export.scene3d.glb import glb_bytes
from josh_core.geometry import intrinsics
from josh_core.shapes import check_shapes
from josh_core.types import CameraPath, Clip, Float, People, PointCloud, Reconstruction, Scale, UInt8
from josh_core.world.frame import world_frame

PEOPLE, PLACE = "people", "place"  # names in Progress.show
# Chosen by hand, except where a measurement or a source is given.
_PICTURES = 4  # of the clip, side by side
_HEIGHT = 150  # px of them
_MAX_POINTS = 30_000  # 16 bytes each: half a megabyte
_MEDIAN_DISTANCE = 5.0  # m from the first camera to the points, assumed since the scale is not known yet
_FARTHEST = 6.0  # times the median distance; farther points are left out, since the view is fitted to the points


def people_found(clip: Clip, people: People) -> dict[str, Any]:
    """How many people there are ("count"), and pictures of the clip with a box around each ("jpeg")."""
    frames = np.linspace(0, len(clip) - 1, 2 * _PICTURES + 1).round().astype(int)[1::2]
    picture = np.concatenate([_boxed(clip, people, int(frame)) for frame in frames], 1)
    _, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return {"count": len(people.tracks), "jpeg": jpeg.tobytes()}


def _boxed(clip: Clip, people: People, frame: int) -> UInt8:
    scale = _HEIGHT / clip.height
    image = cv2.resize(clip.frame(frame), (round(clip.width * scale), _HEIGHT), interpolation=cv2.INTER_AREA)
    for track in people.tracks:
        row = np.flatnonzero(track.frames == frame)
        if len(row):
            x0, y0, x1, y1 = (int(v) for v in (track.boxes[row[0]] * scale).round())
            colour = rgb(person_color(track.id)).tolist()
            cv2.rectangle(image, (x0, y0), (x1, y1), colour, 2)
    return np.asarray(image, np.uint8)


def place_found(clip: Clip, cameras: CameraPath, cloud: tuple[Float, UInt8, Float], body: BodyModel) -> bytes | None:
    """A moving camera and the scene's points as a .glb, with the first camera level and an assumed scale.

    cloud: points [P,3] in the CameraPath's world, colours [P,3] and confidence [P]. None without points.
    """
    points, colors, confidence = cloud
    check_shapes("place_found", points=(points, "P 3"), colors=(colors, "P 3"), confidence=(confidence, "P"))
    if not len(points):
        return None
    away = np.linalg.norm(points - cameras.world_from_cam[0, :3, 3], axis=1)
    middle = float(np.median(away))
    near = np.flatnonzero(away < _FARTHEST * middle)
    up = -cameras.world_from_cam[:, :3, 1].mean(0)
    frame = world_frame(cameras, up / np.linalg.norm(up), None, Scale(_MEDIAN_DISTANCE / middle, "assumed", 1.0))
    shown = PointCloud(frame.points(points[near]).astype(np.float32), colors[near], confidence[near])
    found = Reconstruction(
        mode="place",
        tier="",
        camera_kind="moving",
        world_from_cam=frame.cameras(cameras.world_from_cam).astype(np.float32),
        intrinsics=intrinsics(cameras.focal, clip.width, clip.height).astype(np.float32),
        frame_times=np.asarray(clip.times, np.float64),
        fps=clip.fps,
        width=clip.width,
        height=clip.height,
        scene=shown,
        people=(),
        contact_names=(),
        scale_source="assumed",
        body_model=body.name,
    )
    return glb_bytes(found, body, _MAX_POINTS)
