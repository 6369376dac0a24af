"""A short video for sharing: the camera goes once around the people while they move, and the end runs into the start.

Everything is drawn in software (raster.py). The place is drawn from the side that was filmed only, so that a wall
between the camera and the people does not hide them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from josh_core.body.model import BodyModel
from josh_core.body.posing import meshes_by_frame
from josh_core.errors import ResultError
from josh_core.export.pictures.preview import Meshes, draw_people, draw_surface, look_at, texture_of
from josh_core.export.pictures.raster import Canvas, View
from josh_core.export.pictures.video import encode
from josh_core.geometry import interpolate_linear, interpolate_rotations, intrinsics, rotmat_to_rotvec, rotvec_to_rotmat
from josh_core.progress import Progress
from josh_core.types import Float, Int, PersonMotion, Reconstruction, UInt8

# Chosen by hand, except where a measurement or a source is given.
SIZE = 1280, 720  # px
RATE = 24  # frames per second
# All below was chosen by eye on examples/ and a clip of four walkers.
_SECONDS = 6.5  # s of one turn, about: a short motion is played several times, of a long one only a part
_FADE = 0.5  # s over which the end of the motion dissolves into its start
_FOCAL = 0.9  # of the picture's width: about 33 mm of a full-frame camera
_RISE = np.radians(15)  # how far the camera looks down
_FILLED = 0.9  # share of the picture's half width and half height that the people may fill
_NEAREST, _FARTHEST = 3.0, 12.0  # m from the camera to the middle of the people
_ABOVE = 0.1  # m, what the view's middle lies below the middle of the people: floor is worth more than sky
_SKY, _GROUND = np.array([12, 14, 18]), np.array([38, 43, 51])  # sRGB, the background's top and bottom
_GRID = np.array([84, 92, 106])  # sRGB of the lines on the floor, one each metre
_GRID_REACH = 9  # m from the middle to where the lines have faded away
_SHADOW = 0.55  # share of light that a shadow on the floor takes
_SUN = np.array([0.22, 0.13])  # m that a shadow moves in x and z for each metre of height


@dataclass(frozen=True)
class _Part:
    """What of the motion is shown. All counts are frames of the video."""

    start: float  # s, time in the clip
    period: int  # until the motion begins again
    fade: int  # before it, shown while the play before ends
    plays: int  # in one turn of the camera


@dataclass(frozen=True)
class _Orbit:
    """The camera's way round the people, whose middle moves evenly along a line."""

    middle: Float  # [2,3] m, where they are at the start and m/s
    distance: float  # m
    heading: float  # rad, from which side it begins

    def view(self, seconds: float, turn: float) -> View:
        """The view at a time from the start of the part, after a share of the turn."""
        target = self.middle[0] + seconds * self.middle[1] - [0, _ABOVE, 0]
        angle = self.heading + 2 * np.pi * turn
        away = np.array([np.cos(_RISE) * np.sin(angle), np.sin(_RISE), np.cos(_RISE) * np.cos(angle)])
        return View(look_at(target + self.distance * away, target), intrinsics(_FOCAL * SIZE[0], *SIZE), *SIZE)


def save_turntable(result: Reconstruction, body: BodyModel, path: Path, progress: Progress | None = None) -> None:
    """The place and the people from all around as `path` (.mp4, H.264). Raises ResultError where there is nobody."""
    if not any(len(person.frames) for person in result.people):
        raise ResultError("There is nobody in this result whom a camera could go around.")
    part = part_of(result)
    count = part.period * part.plays
    encode(_frames(result, body, part, progress), np.arange(count) / RATE, path)


def part_of(result: Reconstruction) -> _Part:
    """What of the motion is shown, so that whole plays of it make one turn: from where most people are there."""
    length = float(result.frame_times[-1] - result.frame_times[0])
    shown = min(length, _SECONDS + _FADE)
    fade = int(min(_FADE, shown / 4) * RATE)
    period = max(1, round(shown * RATE) - fade)
    return _Part(_fullest(result, shown), period, fade, max(1, round(_SECONDS * RATE / period)))


def _fullest(result: Reconstruction, seconds: float) -> float:
    """Where a part of this length begins, s, in which people are seen most; the middle one of several as good."""
    times = result.frame_times
    present = np.bincount(np.concatenate([p.frames for p in result.people]), minlength=len(times))
    total = np.concatenate([[0], np.cumsum(present)])
    starts = times[times <= times[-1] - seconds + 1e-6]
    ends = np.searchsorted(times, starts + seconds + 1e-6)
    seen = total[ends] - total[np.arange(len(starts))]
    best = np.flatnonzero(seen == seen.max())
    return float(starts[best[len(best) // 2]])


def _frames(result: Reconstruction, body: BodyModel, part: _Part, progress: Progress | None) -> Iterator[UInt8]:
    every = result.frame_times[0] + part.start + np.arange(part.fade + part.period) / RATE
    orbit, texture = _orbit(result, part), texture_of(result)
    begin, motion = _at(result, every[: part.fade]), _at(result, every[part.fade :])
    for play in range(part.plays):
        coming = meshes_by_frame(begin, body)
        for frame, meshes in enumerate(meshes_by_frame(motion, body)):
            turn = (play + frame / part.period) / part.plays
            if progress is not None:
                progress.update(turn)
            picture = _picture(result, body, meshes, orbit.view((part.fade + frame) / RATE, turn), texture)
            new = frame - (part.period - part.fade)  # of the next play, which begins while this one ends
            if new >= 0:
                other = _picture(result, body, next(coming), orbit.view(new / RATE, turn), texture)
                share = (new + 1) / (part.fade + 1)
                picture = cv2.addWeighted(other, share, picture, 1 - share, 0)
            yield picture


def _at(result: Reconstruction, times: Float) -> Reconstruction:
    """The result with its people as they are at other times [n] s."""
    position = np.interp(times, result.frame_times, np.arange(len(result.frame_times)))
    nearest = np.round(position).astype(np.int64)
    return replace(
        result,
        frame_times=times,
        world_from_cam=result.world_from_cam[nearest],
        people=tuple(_moved(person, position, nearest) for person in result.people),
    )


def _moved(person: PersonMotion, position: Float, nearest: Int) -> PersonMotion:
    """A person at positions [n] among the clip's frames; there where the clip shows them at the nearest frame [n]."""
    there = np.flatnonzero(np.isin(nearest, person.frames))
    if not len(there):
        empty = {name: getattr(person, name)[:0] for name in ("pose", "transl", "joints", "contact")}
        return replace(person, frames=person.frames[:0], **empty)
    row, seen, at = np.searchsorted(person.frames, nearest[there]), person.frames.astype(np.float64), position[there]
    pose = interpolate_rotations(rotvec_to_rotmat(person.pose), seen, at)
    return replace(
        person,
        frames=there.astype(np.int32),
        pose=rotmat_to_rotvec(pose),
        transl=interpolate_linear(person.transl.astype(np.float64), seen, at),
        joints=person.joints[row],
        contact=person.contact[row],
    )


def _orbit(result: Reconstruction, part: _Part) -> _Orbit:
    """A way round the people from which everybody can be seen all the time, beginning where the clip was filmed."""
    seconds, joints = _shown_joints(result, part)
    mean, moving = joints.mean(1), np.stack([np.ones_like(seconds), seconds], 1)
    middle = np.linalg.lstsq(moving, mean, rcond=None)[0]
    middle[:, 1] = mean[:, 1].mean(), 0.0
    off = joints - (moving @ middle)[:, None]
    aside = float(np.percentile(np.hypot(off[..., 0], off[..., 2]), 98))
    tall = float(np.percentile(np.abs(off[..., 1]), 99))
    # Whoever is nearest to the camera is the first to leave the picture: at its sides, and at its lower edge.
    wide = np.hypot(aside, aside * 2 * _FOCAL / _FILLED)
    low = (tall * np.cos(_RISE) + aside * np.sin(_RISE)) * 2 * _FOCAL * SIZE[0] / SIZE[1] / _FILLED
    frame = int(np.searchsorted(result.frame_times, result.frame_times[0] + part.start))
    ahead = np.asarray(result.world_from_cam[frame, :3, 2], np.float64)
    distance = float(np.clip(max(wide, aside * np.cos(_RISE) + low), _NEAREST, _FARTHEST))
    return _Orbit(middle, distance, float(np.arctan2(-ahead[0], -ahead[2])))


def _shown_joints(result: Reconstruction, part: _Part) -> tuple[Float, Float]:
    """Times [n] s from the start of the part, and joints [n,24,3] m of everybody seen in it."""
    times = result.frame_times - result.frame_times[0] - part.start
    shown = (times > -1e-6) & (times < (part.period + part.fade) / RATE + 1e-6)
    rows = [shown[person.frames] for person in result.people]
    seconds = [times[person.frames][row] for person, row in zip(result.people, rows, strict=True)]
    joints = [person.joints[row] for person, row in zip(result.people, rows, strict=True)]
    return np.concatenate(seconds), np.concatenate(joints).astype(np.float64)


def _picture(result: Reconstruction, body: BodyModel, meshes: Meshes, view: View, texture: UInt8 | None) -> UInt8:
    """One frame [h,w,3] sRGB; people are drawn twice as large and reduced, so that their edges are smooth."""
    place = Canvas(view, _background(view))
    _draw_grid(place)
    draw_surface(place, result, texture, both_sides=False)
    _draw_shadows(place, meshes)
    fine = View(view.world_from_cam, np.diag([2.0, 2.0, 1.0]) @ view.intrinsics, 2 * view.width, 2 * view.height)
    canvas = Canvas(fine, place.image.repeat(2, 0).repeat(2, 1))
    canvas.depth = place.depth.repeat(2, 0).repeat(2, 1)
    draw_people(canvas, meshes, body)
    return np.asarray(cv2.resize(canvas.image, SIZE, interpolation=cv2.INTER_AREA), np.uint8)


def _background(view: View) -> UInt8:
    down = np.linspace(0, 1, view.height)[:, None, None]
    return np.asarray(np.broadcast_to(_SKY + down * (_GROUND - _SKY), (view.height, view.width, 3)), np.uint8)


def _draw_grid(canvas: Canvas) -> None:
    """Lines on the floor, one each metre, that fade away from the point that the camera looks at."""
    eye, ahead = canvas.view.world_from_cam[:3, 3], canvas.view.world_from_cam[:3, 2]
    middle = np.round((eye - ahead * eye[1] / ahead[1])[[0, 2]])
    steps = np.arange(-_GRID_REACH, _GRID_REACH + 1)
    across, along = np.repeat(steps, len(steps) - 1), np.tile(steps[:-1], len(steps))
    share = 1 - np.hypot(across, along + 0.5) / _GRID_REACH
    across, along, share = across[share > 0], along[share > 0], share[share > 0, None]
    ends = np.zeros((len(across), 2, 3))
    ends[:, :, 0], ends[:, 0, 2], ends[:, 1, 2] = across[:, None], along, along + 1
    both = np.concatenate([ends, ends[..., ::-1]]) + [middle[0], 0, middle[1]]
    canvas.segments(both, np.tile(_GROUND + share * (_GRID - _GROUND), (2, 1)))


def _draw_shadows(canvas: Canvas, meshes: Meshes) -> None:
    """Soft shadows of the people on the floor and on what lies at its height."""
    mask = np.zeros(canvas.image.shape[:2], np.uint8)
    for _, vertices in meshes:
        flat = np.array(vertices, np.float64)
        flat[:, [0, 2]] += flat[:, 1:2] * _SUN
        flat[:, 1] = 0.0
        px, z = canvas.view.project(flat)
        xy = np.floor(px).astype(np.int64)
        inside = (z > canvas.view.near) & (xy >= 0).all(1) & (xy < (canvas.view.width, canvas.view.height)).all(1)
        x, y = xy[inside].T
        open_to = np.abs(canvas.depth[y, x] - z[inside]) < 0.15
        mask[y[open_to], x[open_to]] = 255
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    dark = cv2.GaussianBlur(closed, (0, 0), 4).astype(np.float32)[..., None] * (_SHADOW / 255)
    canvas.image[:] = (canvas.image * (1 - dark)).astype(np.uint8)
