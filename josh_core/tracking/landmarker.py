"""Looks at pictures with MediaPipe's PoseLandmarker: a search finds people, a follow tracks one of them.

Every look gets a square picture. A follow uses the network's own tracking, which looks where the person was in the
last picture; because each picture is cut so that the person stays at its centre, that also holds when the person or
the camera moves. Its timestamps are far apart, which switches off the smoothing over time that would lag behind.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from josh_core.tracking.detection import Detection, Mask, colours_of, score_of
from josh_core.tracking.masks import hide
from josh_core.types import Float, UInt8

MODEL = Path(__file__).parent / "assets" / "pose_landmarker_full.task"
# Chosen by hand, except where a measurement or a source is given.
FOLLOW_SIDE = 320  # px of the square picture that a follow looks at; the network itself uses 256
SEARCH_SIDE = 640  # px at most of the square picture that a search looks at
FAR_APART_MS = 100_000  # between two looks of a follow
MIN_DETECTION = 0.2  # the detector's threshold; low, because what is no person is dropped later
MIN_PRESENCE = 0.3  # the landmark network's threshold
MAX_IN_A_LOOK = 6  # people in one search picture


@dataclass(frozen=True)
class Square:
    """A square part of the image, in px; it may reach beyond the image."""

    x: float  # left
    y: float  # top
    side: float

    @staticmethod
    def around(box: Float, margin: float) -> Square:
        """The square about the centre of an xyxy box, `margin` times its longer side."""
        side = float(max(box[2] - box[0], box[3] - box[1])) * margin
        centre = (box[:2] + box[2:]) / 2
        return Square(float(centre[0]) - side / 2, float(centre[1]) - side / 2, side)


class Landmarker:
    """The networks of one run. Close it, or use it in a `with` statement."""

    def __init__(self, label_scale: float) -> None:
        self._label_scale = label_scale  # label px per image px, for the masks
        self._searches = threading.local()  # a network for each thread that searches
        self._open: list[Any] = []
        self._follows: dict[int, _Follow] = {}
        self._idle: list[_Follow] = []

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(self, *_: object) -> None:
        networks: list[Any] = [*self._follows.values(), *self._idle, *self._open]
        with _quiet():
            for network in networks:
                network.close()
        self._follows.clear()
        self._idle.clear()
        self._open.clear()

    def search(self, image: UInt8, square: Square, hidden: UInt8 | None = None) -> list[Detection]:
        """Everybody the detector sees in one square of an RGB image [H,W,3], except who is hidden.

        hidden: [h,w] u8 at label resolution, painted over where it is above 127.
        """
        network = self._search_network()
        side = min(SEARCH_SIDE, round(square.side))
        picture = self._picture(image, square, side, hidden)
        with _quiet() if self._searches.fresh else nullcontext():
            result = network.detect(picture)
        self._searches.fresh = self._searches.fresh and not result.pose_landmarks
        return self._detections(image, square, result)

    def _search_network(self) -> Any:
        """This thread's network for searches."""
        if not hasattr(self._searches, "network"):
            self._searches.network = _network(video=False, people=MAX_IN_A_LOOK)
            self._searches.fresh = True  # it announces itself once more when it first sees somebody
            self._open.append(self._searches.network)
        return self._searches.network

    def prepare(self, keys: Iterable[int]) -> None:
        """Have a network ready for each person to be followed; afterwards they may be followed in several threads."""
        for key in keys:
            if key not in self._follows:
                self._follows[key] = self._idle.pop() if self._idle else _Follow()

    def follow(self, key: int, image: UInt8, square: Square, hidden: UInt8 | None = None) -> Detection | None:
        """The person `key` in the square that is expected to be centred on them; None when out of sight.

        The person must have been prepared.
        """
        network = self._follows[key]
        found = self._detections(image, square, network.look(self._picture(image, square, FOLLOW_SIDE, hidden)))
        return found[0] if found else None

    def forget(self, key: int) -> None:
        """End the follow of a person, so that the next one begins afresh."""
        network = self._follows.pop(key, None)
        if network is not None:
            network.reset()
            self._idle.append(network)

    def _detections(self, image: UInt8, square: Square, result: Any) -> list[Detection]:
        found = []
        for points, world, mask in zip(
            result.pose_landmarks, result.pose_world_landmarks, result.segmentation_masks or [], strict=True
        ):
            unit = np.array([[p.x, p.y] for p in points])
            px = unit * square.side + [square.x, square.y]
            visibility = np.array([p.visibility for p in points])
            metres = np.array([[p.x, p.y, p.z] for p in world])
            patch = self._mask(mask.numpy_view(), square, image.shape[1], image.shape[0])
            found.append(
                Detection(
                    landmarks_px=px,
                    visibility=visibility,
                    landmarks_m=metres,
                    mask=patch,
                    colours=colours_of(image, px, patch, self._label_scale),
                    score=score_of(px, visibility, patch, self._label_scale),
                )
            )
        return found

    def _picture(self, image: UInt8, square: Square, side: int, hidden: UInt8 | None) -> Any:
        """The square as a picture [side,side,3] for MediaPipe."""
        step = square.side / side
        if step > 1.5:  # warping alone would alias
            image = np.asarray(cv2.blur(image, (round(step),) * 2), np.uint8)
        picture = _cut(image, square, side, 1.0)
        if hidden is not None:
            picture = hide(picture, _cut(hidden, square, side, self._label_scale))
        return _media_image(picture)

    def _mask(self, soft: Float, square: Square, width: int, height: int) -> Mask:
        """The network's mask of a square, cut to the image and reduced to label resolution."""
        scale = self._label_scale
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        low, high = np.array([square.x, square.y]) * scale, np.array([square.x, square.y]) * scale + square.side * scale
        x0, y0 = np.clip(np.floor(low), 0, [w, h]).astype(int).tolist()
        x1, y1 = np.clip(np.ceil(high), 0, [w, h]).astype(int).tolist()
        if x1 <= x0 or y1 <= y0:
            return Mask(0, 0, np.zeros((0, 0), np.uint8))
        soft = np.ascontiguousarray(soft.reshape(soft.shape[0], soft.shape[1]), np.float32)
        step = soft.shape[0] / (square.side * scale)  # from label px to px of the network's picture
        shift = (np.array([x0, y0]) + 0.5 - low) * step - 0.5
        matrix = np.array([[step, 0, shift[0]], [0, step, shift[1]]])
        if step > 1:
            soft = cv2.blur(soft, (max(1, round(step)),) * 2)
        patch = cv2.warpAffine(soft, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        return Mask(x0, y0, np.asarray(np.clip(patch * 255, 0, 255), np.uint8))


class _Follow:
    """A network that looks where it saw somebody last."""

    def __init__(self) -> None:
        self._network = _network(video=True, people=1)
        self._looks = 0
        self.close = self._network.close

    def look(self, picture: Any) -> Any:
        """The network's answer to the next picture."""
        self._looks += 1
        return self._network.detect_for_video(picture, self._looks * FAR_APART_MS)

    def reset(self) -> None:
        """Make it search the next picture: an empty one shows nobody to look for."""
        self.look(_media_image(np.zeros((FOLLOW_SIDE, FOLLOW_SIDE, 3), np.uint8)))


def tiles(width: int, height: int, share: float) -> list[Square]:
    """Overlapping squares that cover an image, each `share` of its shorter side; the whole image for share 0."""
    if share == 0:
        longest = max(width, height)
        return [Square((width - longest) / 2, (height - longest) / 2, longest)]
    side = min(width, height) * share
    counts = [int(np.ceil((length - side) / (0.5 * side) - 1e-6)) + 1 for length in (width, height)]
    return [
        Square(float(x), float(y), side)
        for y in np.linspace(0, height - side, max(1, counts[1]))
        for x in np.linspace(0, width - side, max(1, counts[0]))
    ]


def _cut(image: UInt8, square: Square, side: int, scale: float) -> UInt8:
    """A square (given in frame px) of an image at `scale` times the frame's size, as a picture of `side` px."""
    step = square.side * scale / side
    matrix = np.array([[step, 0, square.x * scale + 0.5 * step - 0.5], [0, step, square.y * scale + 0.5 * step - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), flags=flags), np.uint8)


def _media_image(picture: UInt8) -> Any:
    import mediapipe as mp

    return mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))


def _network(video: bool, people: int) -> Any:
    with _quiet():
        from mediapipe.tasks.python import BaseOptions, vision

        mode = vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE
        options = vision.PoseLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(MODEL)),
            running_mode=mode,
            num_poses=people,
            min_pose_detection_confidence=MIN_DETECTION,
            min_pose_presence_confidence=MIN_PRESENCE,
            min_tracking_confidence=MIN_PRESENCE,
            output_segmentation_masks=True,
        )
        return vision.PoseLandmarker.create_from_options(options)


def load_landmarker() -> None:
    """Load MediaPipe, which takes a second or two, before it is needed."""
    from mediapipe.tasks.python import vision

    assert vision.PoseLandmarker


_QUIET = threading.Lock()


@contextmanager
def _quiet() -> Iterator[None]:
    """Send the process's stderr nowhere for a moment: the networks announce there that they start and that they end."""
    with _QUIET, open(os.devnull, "wb") as nowhere:
        kept = os.dup(2)
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
