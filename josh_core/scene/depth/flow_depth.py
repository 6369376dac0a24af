"""Inverse depth of one keyframe from optical flow to its neighbours, triangulated with the known poses.

Dense flow (DIS, Kroeger et al., ECCV 2016) knows nothing of the poses, so how far it strays from the epipolar lines
tells how far it can be trusted.
"""

from __future__ import annotations

from threading import Lock

import cv2
import numpy as np

from josh_core.geometry import invert
from josh_core.lsq.robust import Geman, reweighted
from josh_core.scene.depth.map_grid import MapGrid
from josh_core.scene.matching.tracks import background
from josh_core.types import Bool, CameraPath, Clip, Float, People, UInt8

# Chosen by hand, except where a measurement or a source is given.
FLOW_NOISE, FLOW_DRIFT = 0.15, 0.03  # px of the map, and px per px of parallax
HALF_CONFIDENCE_SIGMA = 0.04  # relative standard deviation of depth at which the confidence is one half
NORM = Geman(2.0)  # of errors over their standard deviations
TEXTURE_SIGMA = 2.0  # grey levels, standard deviation in a patch that flow can follow


def triangulate_flow(
    frames: GrayFrames, cameras: CameraPath, frame: int, neighbours: list[int], grid: MapGrid
) -> tuple[Float, Float]:
    """Inverse depth [h,w] and confidence [h,w] of one frame from the flow to its neighbours.

    Each neighbour is turned to look as the frame does, so that only parallax is left: a ray r (z = 1) is then seen
    along r + rho t, t the neighbour's step. Flow v to pixel u gives two equations rho a + v = 0, a = u t_z - f t_xy.
    The flow to the next neighbour starts from the depth that the previous ones gave.
    """
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    dis.setFinestScale(0)
    gray = frames.gray(frame)
    measurements = _FlowMeasurements()
    fused = np.zeros(gray.shape, np.float32)
    for neighbour in neighbours:
        near_from_cam = invert(cameras.world_from_cam[neighbour]) @ cameras.world_from_cam[frame]
        step = (near_from_cam[:3, :3].T @ near_from_cam[:3, 3]).astype(np.float32)
        turned, visible = frames.turned(neighbour, near_from_cam[:3, :3], grid)
        flow = dis.calc(gray, turned, _expected_flow(fused, step, grid))
        seen = np.float32(grid.focal) * grid.rays[..., :2] + flow  # px from the centre
        at = seen + np.array([grid.width / 2 - 0.5, grid.height / 2 - 0.5], np.float32)
        x, y = np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1])
        shown = cv2.remap(visible, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
        measurements.add(seen * step[2] - np.float32(grid.focal) * step[:2], flow, (shown > 0).astype(np.float32))
        fused, precision, agree = measurements.fuse(rounds=1 if len(measurements) < len(neighbours) else 3)
    sigma = 1 / np.maximum(np.sqrt(precision) * np.abs(fused), 1e-9)  # relative
    confidence = agree / (1 + (sigma / HALF_CONFIDENCE_SIGMA) ** 2) * _texture(gray)
    return fused, np.where(fused > 0, confidence, 0)


class GrayFrames:
    """Grey frames at the size of the maps and where no person stands in them, each decoded once while it is needed."""

    def __init__(self, clip: Clip, people: People, grid: MapGrid) -> None:
        self._clip, self._people, self._grid = clip, people, grid
        self._kept: dict[int, tuple[UInt8, UInt8]] = {}
        self._lock = Lock()  # keyframes are looked at in several threads

    def _frame(self, frame: int) -> tuple[UInt8, UInt8]:
        with self._lock:
            if frame not in self._kept:
                if len(self._kept) > 150:
                    self._kept.pop(next(iter(self._kept)))
                size = (self._grid.width, self._grid.height)
                gray = cv2.cvtColor(self._clip.frame(frame, max(size)), cv2.COLOR_RGB2GRAY)
                free = background(self._people, frame, *size)
                self._kept[frame] = np.asarray(gray, np.uint8), np.asarray(free * np.uint8(255), np.uint8)
            return self._kept[frame]

    def gray(self, frame: int) -> UInt8:
        """[h,w] grey image."""
        return self._frame(frame)[0]

    def free(self, frame: int) -> Bool:
        """[h,w] True where no person is."""
        return self._frame(frame)[1] > 0

    def turned(self, frame: int, frame_from_cam: Float, grid: MapGrid) -> tuple[UInt8, UInt8]:
        """The frame as a camera turned by frame_from_cam [3,3] would see it, and 255 where it shows background."""
        k = np.array([[grid.focal, 0, grid.width / 2 - 0.5], [0, grid.focal, grid.height / 2 - 0.5], [0, 0, 1]])
        warp = k @ frame_from_cam @ np.linalg.inv(k)
        size = (grid.width, grid.height)
        gray, free = self._frame(frame)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        image = cv2.warpPerspective(gray, warp, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        return np.asarray(image, np.uint8), np.asarray(cv2.warpPerspective(free, warp, size, flags=flags), np.uint8)


def _expected_flow(inverse: Float, step: Float, grid: MapGrid) -> Float:
    """Parallax [h,w,2] px of inverse depth [h,w] under a step [3] of the camera."""
    inverse = np.maximum(cv2.medianBlur(inverse.astype(np.float32), 5), 0)
    ahead = np.maximum(1 + inverse * step[2], 0.2)
    x, y = (
        np.float32(grid.focal) * ((rays + inverse * along) / ahead - rays)
        for rays, along in zip(cv2.split(grid.rays[..., :2]), step[:2], strict=True)
    )
    return np.asarray(cv2.merge([x, y]))


class _FlowMeasurements:
    """Measurements of inverse depth [h,w], one from each neighbour: value, precision, agreement with the pose."""

    def __init__(self) -> None:
        self._rho: list[Float] = []
        self._precision: list[Float] = []
        self._trust: list[Float] = []

    def add(self, a: Float, flow: Float, shown: Float) -> None:
        """a, flow: [h,w,2] px with rho a + flow = 0; shown: [h,w] 0 where the neighbour sees a person or nothing."""
        (a_x, a_y), (flow_x, flow_y) = cv2.split(a), cv2.split(flow)  # sums over a last axis of two are slow
        info = np.maximum(a_x**2 + a_y**2, 1e-12)
        rho = -(a_x * flow_x + a_y * flow_y) / info
        noise = FLOW_NOISE + FLOW_DRIFT * np.sqrt(flow_x**2 + flow_y**2)
        miss = np.sqrt((a_x * rho + flow_x) ** 2 + (a_y * rho + flow_y) ** 2)
        self._rho.append(rho)
        self._precision.append(info / noise**2)
        self._trust.append(shown * NORM.slope(np.square(miss / noise)))

    def __len__(self) -> int:
        return len(self._rho)

    def fuse(self, rounds: int) -> tuple[Float, Float, Float]:
        """Robust mean of the inverse depths, its precision, and how well the neighbours agree in [0, 1]."""
        rho, precision, trust = np.array(self._rho), np.array(self._precision), np.array(self._trust)

        def squares(fused: tuple[Float, ...]) -> Float:
            return np.square(rho - fused[0]) * precision

        def mean(_: object, slope: Float) -> tuple[Float, ...]:
            good = trust * slope
            weight = good * precision + 1e-12
            total = weight.sum(0)
            return (weight * rho).sum(0) / total, total, good.sum(0)

        fused, total, good = reweighted(mean, squares, NORM, mean(None, np.ones_like(rho)), rounds)
        return fused, total, good / np.maximum((trust > 0).sum(0), 2)


def _texture(gray: UInt8) -> Float:
    """1 where a patch has something for the flow to follow, falling to 0 where it is blank."""
    image = gray.astype(np.float32)
    mean = cv2.blur(image, (9, 9))
    variance = np.maximum(cv2.blur(image**2, (9, 9)) - mean**2, 0)
    return np.asarray(variance / (variance + TEXTURE_SIGMA**2))


def blank_above(gray: UInt8) -> Bool:
    """[h,w] True in blank stretches that reach the top of the image: sky, or a ceiling without anything on it.

    Flow paints them with the depth of whatever they border.
    """
    image = gray.astype(np.float32)
    mean = cv2.blur(image, (5, 5))
    rough = np.maximum(cv2.blur(image**2, (5, 5)) - mean**2, 0)
    fine = np.hypot(cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1)) / 8
    blank = ((rough < TEXTURE_SIGMA**2) | (fine < 0.5 * TEXTURE_SIGMA)).astype(np.uint8)
    _, labels = cv2.connectedComponents(blank, connectivity=4)
    top = np.unique(labels[0][blank[0] > 0])
    return np.asarray(np.isin(labels, top) & (blank > 0), np.bool_)
