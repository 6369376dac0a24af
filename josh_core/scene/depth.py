"""Dense depth of keyframes of a travelling camera: optical flow to frames around, triangulated with the known poses.

Dense flow (DIS, Kroeger et al., ECCV 2016) knows nothing of the poses, so how far it strays from the epipolar lines,
and how well several neighbours and several keyframes agree, tells how far it can be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import cv2
import numpy as np

from josh_core.geometry import invert, pixel_grid, transform
from josh_core.progress import Progress
from josh_core.scene.tracks import background
from josh_core.threads import in_threads
from josh_core.types import Bool, CameraPath, Clip, DepthMaps, Float, Int, People, UInt8

MAP_SIDE = 448  # px, longest side of a depth map
BASELINES = (4.0, 10.0, 25.0)  # px of the map: the parallax that a neighbour on each side should show
WIDEST, TURN = 45.0, 0.35  # px of parallax and rad: with more, two frames overlap too little
FLOW_NOISE, FLOW_DRIFT = 0.15, 0.03  # px of the map, and px per px of parallax
APART = 0.5  # s, neighbours closer together than this see the same people before the same background
ROUGH = 0.04  # relative standard deviation of depth at which the confidence is one half
SKY_DEPTH = 40.0  # times the scene's median depth: what is farther counts as sky
TEXTURE = 2.0  # grey levels, standard deviation in a patch that flow can follow
CONFIRMED = 0.04  # relative difference at which two keyframes agree


@dataclass(frozen=True)
class MapGrid:
    """The reduced image that depth maps are made on."""

    width: int
    height: int
    focal: float  # px of the map
    rays: Float  # [h,w,3] camera rays with z = 1

    @classmethod
    def of(cls, clip: Clip, focal: float, side: int = MAP_SIDE) -> MapGrid:
        """Grid for the frames of a clip and a focal in px of its frames."""
        scale = min(1.0, side / max(clip.width, clip.height))
        width, height = max(1, round(clip.width * scale)), max(1, round(clip.height * scale))
        centred = pixel_grid(width, height) - [width / 2, height / 2]
        small = focal * width / clip.width
        rays = np.concatenate([centred / small, np.ones((height, width, 1))], -1)
        return cls(width, height, small, rays.astype(np.float32))

    def pixels(self, p_cam: Float) -> Float:
        """Pixels [...,2] of camera points [...,3]; z is held above zero."""
        return self.focal * p_cam[..., :2] / np.maximum(p_cam[..., 2:], 1e-6) + [self.width / 2, self.height / 2]


def empty_depths(cameras: CameraPath, clip: Clip) -> DepthMaps:
    """Maps without any depth, for a camera that does not travel."""
    grid = MapGrid.of(clip, cameras.focal)
    shape = (len(cameras.keyframes), grid.height, grid.width)
    return DepthMaps(np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.bool_))


def estimate_depths(clip: Clip, people: People, cameras: CameraPath, points: Float, progress: Progress) -> DepthMaps:
    """Depth and confidence of every keyframe from its neighbours in time.

    points: [P,3] sparse points of the scene, which say how deep it is. People and sky stay at depth 0.
    """
    grid = MapGrid.of(clip, cameras.focal)
    out = empty_depths(cameras, clip)
    if len(points) == 0:
        return out
    frames = _Frames(clip, people, grid)

    def look(frame: int) -> tuple[Float, Float] | None:
        cam_from_world = invert(cameras.world_from_cam[frame])
        z = transform(cam_from_world, points)[:, 2]
        middle = float(np.median(z[z > 0])) if (z > 0).any() else 1.0
        neighbours = choose_neighbours(clip, cameras, frame, grid.focal / middle)
        if len(neighbours) == 0 or not cameras.registered[frame]:
            return None
        inverse, confidence = _triangulate(frames, cameras, frame, neighbours, grid)
        good = (
            frames.free(frame)
            & ~blank_above(frames.gray(frame))
            & (inverse > 1 / (SKY_DEPTH * middle))
            & (confidence > 0.02)
        )
        return np.divide(1, inverse, out=np.zeros_like(inverse), where=good), np.where(good, confidence, 0)

    for k, found in enumerate(in_threads(look, map(int, cameras.keyframes))):
        progress.update(k / len(cameras.keyframes))
        if found is not None:
            out.depth[k], out.confidence[k] = found
    return _confirm(out, cameras, grid)


class _Frames:
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


def choose_neighbours(clip: Clip, cameras: CameraPath, frame: int, px_per_unit: float) -> list[int]:
    """Frames before and after whose parallax is nearest to each of BASELINES, by increasing parallax.

    Frames near in time are preferred, and frames far apart from those chosen already.

    px_per_unit: px of the map by which a point at the median depth moves when the camera moves by one unit across.
    """
    world_from_cam = cameras.world_from_cam
    moved = np.linalg.norm(world_from_cam[:, :3, 3] - world_from_cam[frame, :3, 3], axis=-1)
    cosine = (world_from_cam[:, :3, 2] * world_from_cam[frame, :3, 2]).sum(-1)
    parallax = moved * px_per_unit
    usable = cameras.registered & (parallax > 0.1) & (parallax < WIDEST) & (cosine > np.cos(TURN))
    apart = np.abs(clip.times - clip.times[frame])
    chosen: list[int] = []
    for side in (np.arange(len(clip)) < frame, np.arange(len(clip)) > frame):
        for wanted in BASELINES:
            left = np.setdiff1d(np.nonzero(usable & side)[0], chosen)
            if len(left):
                unfit = np.abs(np.log(parallax[left] / wanted)) + 0.1 * apart[left]
                for other in chosen:
                    unfit += np.exp(-(((clip.times[left] - clip.times[other]) / APART) ** 2)) * 0.5
                chosen.append(int(left[unfit.argmin()]))
    return sorted(chosen, key=lambda t: parallax[t])


def _triangulate(
    frames: _Frames, cameras: CameraPath, frame: int, neighbours: list[int], grid: MapGrid
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
    confidence = agree / (1 + (sigma / ROUGH) ** 2) * _texture(gray)
    return fused, np.where(fused > 0, confidence, 0)


def _expected_flow(inverse: Float, step: Float, grid: MapGrid) -> Float:
    """Parallax [h,w,2] px of inverse depth [h,w] under a step [3] of the camera."""
    inverse = np.maximum(cv2.medianBlur(inverse.astype(np.float32), 5), 0)[..., None]
    seen = grid.rays + inverse * step
    return np.float32(grid.focal) * (seen[..., :2] / np.maximum(seen[..., 2:], 0.2) - grid.rays[..., :2])


class _FlowMeasurements:
    """Measurements of inverse depth [h,w], one from each neighbour: value, precision, agreement with the pose."""

    def __init__(self) -> None:
        self._rho: list[Float] = []
        self._precision: list[Float] = []
        self._trust: list[Float] = []

    def add(self, a: Float, flow: Float, shown: Float) -> None:
        """a, flow: [h,w,2] px with rho a + flow = 0; shown: [h,w] 0 where the neighbour sees a person or nothing."""
        info = (a**2).sum(-1).clip(1e-12)
        rho = -(a * flow).sum(-1) / info
        noise = FLOW_NOISE + FLOW_DRIFT * np.linalg.norm(flow, axis=-1)
        miss = np.linalg.norm(a * rho[..., None] + flow, axis=-1)
        self._rho.append(rho)
        self._precision.append(info / noise**2)
        self._trust.append(shown / np.square(1 + np.square(miss / (2 * noise))))

    def __len__(self) -> int:
        return len(self._rho)

    def fuse(self, rounds: int) -> tuple[Float, Float, Float]:
        """Robust mean of the inverse depths, its precision, and how well the neighbours agree in [0, 1]."""
        rho, precision, trust = np.array(self._rho), np.array(self._precision), np.array(self._trust)
        weight = trust * precision + 1e-12
        fused = (weight * rho).sum(0) / weight.sum(0)
        good = trust
        for _ in range(rounds):
            good = trust / np.square(1 + np.square(rho - fused) * precision / 4)
            weight = good * precision + 1e-12
            fused = (weight * rho).sum(0) / weight.sum(0)
        shown = (trust > 0).sum(0)
        return fused, weight.sum(0), good.sum(0) / np.maximum(shown, 2)


def _texture(gray: UInt8) -> Float:
    """1 where a patch has something for the flow to follow, falling to 0 where it is blank."""
    image = gray.astype(np.float32)
    mean = cv2.blur(image, (9, 9))
    variance = np.maximum(cv2.blur(image**2, (9, 9)) - mean**2, 0)
    return np.asarray(variance / (variance + TEXTURE**2))


def blank_above(gray: UInt8) -> Bool:
    """[h,w] True in blank stretches that reach the top of the image: sky, or a ceiling without anything on it.

    Flow paints them with the depth of whatever they border.
    """
    image = gray.astype(np.float32)
    mean = cv2.blur(image, (5, 5))
    rough = np.maximum(cv2.blur(image**2, (5, 5)) - mean**2, 0)
    fine = np.hypot(cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1)) / 8
    blank = ((rough < TEXTURE**2) | (fine < 0.5 * TEXTURE)).astype(np.uint8)
    _, labels = cv2.connectedComponents(blank, connectivity=4)
    top = np.unique(labels[0][blank[0] > 0])
    return np.asarray(np.isin(labels, top) & (blank > 0), np.bool_)


def _confirm(maps: DepthMaps, cameras: CameraPath, grid: MapGrid) -> DepthMaps:
    """Confidence raised where other keyframes see the same surface, lowered where they see through it."""
    count = len(cameras.keyframes)

    def judged(k: int) -> Float:
        yes, no = np.zeros(maps.depth[k].shape), np.zeros(maps.depth[k].shape)
        for other in (j for j in (k - 3, k - 1, k + 1, k + 3) if 0 <= j < count):
            same, through = compare(maps, cameras, grid, k, other)
            yes += same
            no += through
        vote = np.where(yes > no, 1.0, np.where(yes + no > 0, 0.3, 0.5))  # 0.5: nobody else looks there
        return (maps.confidence[k] * vote).astype(np.float32) ** np.where(yes > 1, 0.7, 1.0)

    confidence = np.array(list(in_threads(judged, range(count))), np.float32).reshape(maps.confidence.shape)
    return DepthMaps(maps.depth, confidence, maps.backdrop)


def compare(maps: DepthMaps, cameras: CameraPath, grid: MapGrid, k: int, other: int) -> tuple[Bool, Bool]:
    """Where [h,w] keyframe `other` sees the surface of keyframe k, and where it sees something behind it instead."""
    depth = maps.depth[k]
    known = depth > 0
    world_from_cam = cameras.world_from_cam[cameras.keyframes]
    other_from_cam = invert(world_from_cam[other]) @ world_from_cam[k]
    p = transform(other_from_cam, (grid.rays[known] * depth[known][:, None]))
    px = np.floor(grid.pixels(p)).astype(int)
    inside = (p[:, 2] > 0) & (px[:, 0] >= 0) & (px[:, 0] < grid.width) & (px[:, 1] >= 0) & (px[:, 1] < grid.height)
    seen = np.zeros(len(p))
    at = (px[inside, 1], px[inside, 0])
    seen[inside] = np.where(maps.confidence[other][at] > 0.1, maps.depth[other][at], 0)
    same, through = np.zeros(depth.shape, np.bool_), np.zeros(depth.shape, np.bool_)
    ratio = seen / np.maximum(p[:, 2], 1e-9)
    same[known] = (seen > 0) & (np.abs(ratio - 1) < CONFIRMED)
    through[known] = ratio > 1 + 2 * CONFIRMED
    return same, through


def keyframe_points(maps: DepthMaps, cameras: CameraPath, grid: MapGrid, k: int, good: Bool) -> Float:
    """World points [n,3] of the pixels of keyframe k that are True in good [h,w]."""
    p_cam = grid.rays[good] * maps.depth[k][good][:, None]
    return transform(cameras.world_from_cam[cameras.keyframes[k]], p_cam)


def frame_pixels(points_px: Float, clip: Clip, grid: MapGrid) -> Int:
    """Map pixels [...,2] (x, y) of clip pixels [...,2], held inside the map."""
    scaled = points_px * [grid.width / clip.width, grid.height / clip.height]
    return np.clip(np.floor(scaled), 0, [grid.width - 1, grid.height - 1]).astype(int)
