"""Looks at pictures with MediaPipe's PoseLandmarker: a search finds people, a follow keeps an eye on one of them.

Every look gets a square picture. A follow uses the network's own tracking, which looks where the person was in the
last picture; because each picture is cut so that the person stays at its centre, that also holds when the person or
the camera moves. Its timestamps are far apart, which switches off the smoothing over time that would lag behind.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from josh_core.people.detection import Detection, Mask, colours_of, score_of
from josh_core.types import Float, UInt8

MODEL = Path(__file__).parent / "assets" / "pose_landmarker_full.task"
LOOK_SIDE = 320  # px of the square picture that a follow looks at; the network itself uses 256
SEARCH_SIDE = 640  # px at most of the square picture that a search looks at
FAR_APART_MS = 100_000  # between two looks of a follow
MIN_DETECTION = 0.2  # the detector's threshold; low, because what is no person is dropped later
MIN_PRESENCE = 0.3  # the landmark network's threshold
MOST_IN_A_LOOK = 6  # people in one search picture


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
        self._search: Any = None
        self._follows: dict[int, tuple[Any, int]] = {}

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(self, *_: object) -> None:
        for network, _count in self._follows.values():
            network.close()
        self._follows.clear()
        if self._search is not None:
            self._search.close()
            self._search = None

    def search(self, image: UInt8, square: Square) -> list[Detection]:
        """Everybody the detector sees in one square of an RGB image [H,W,3]."""
        if self._search is None:
            self._search = _network(video=False, people=MOST_IN_A_LOOK)
        side = min(SEARCH_SIDE, round(square.side))
        result = self._search.detect(_picture(image, square, side))
        return self._detections(image, square, result)

    def follow(self, key: int, image: UInt8, square: Square) -> Detection | None:
        """The person `key` in the square that is expected to be centred on them; None when out of sight."""
        network, count = self._follows.get(key) or (_network(video=True, people=1), 0)
        self._follows[key] = (network, count + 1)
        result = network.detect_for_video(_picture(image, square, LOOK_SIDE), count * FAR_APART_MS)
        found = self._detections(image, square, result)
        return found[0] if found else None

    def forget(self, key: int) -> None:
        """End the follow of a person, so that the next one begins afresh."""
        network, _count = self._follows.pop(key, (None, 0))
        if network is not None:
            network.close()

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

    def _mask(self, soft: Float, square: Square, width: int, height: int) -> Mask:
        """The network's mask of a square, cut to the image and reduced to label resolution."""
        scale = self._label_scale
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        x0, y0 = (int(np.clip(np.floor(v * scale), 0, limit)) for v, limit in ((square.x, w), (square.y, h)))
        x1, y1 = (
            int(np.clip(np.ceil((v + square.side) * scale), 0, limit)) for v, limit in ((square.x, w), (square.y, h))
        )
        if x1 <= x0 or y1 <= y0:
            return Mask(0, 0, np.zeros((0, 0), np.uint8))
        soft = np.ascontiguousarray(soft.reshape(soft.shape[0], soft.shape[1]), np.float32)
        # From label pixel centres to the pixels of the network's picture.
        step = soft.shape[0] / square.side / scale
        shift = [(x0 + 0.5) * step - square.x * soft.shape[0] / square.side - 0.5]
        shift.append((y0 + 0.5) * step - square.y * soft.shape[0] / square.side - 0.5)
        matrix = np.array([[step, 0, shift[0]], [0, step, shift[1]]])
        if step > 1:
            soft = cv2.blur(soft, (max(1, round(step)),) * 2)
        patch = cv2.warpAffine(soft, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        return Mask(x0, y0, np.asarray(np.clip(patch * 255, 0, 255), np.uint8))


def tiles(width: int, height: int, share: float) -> list[Square]:
    """Overlapping squares that cover an image, each `share` of its shorter side; the whole image for share 0."""
    if share == 0:
        side = max(width, height)
        return [Square((width - side) / 2, (height - side) / 2, side)]
    side = min(width, height) * share
    steps = [int(np.ceil((length - side) / (0.5 * side) - 1e-6)) + 1 for length in (width, height)]
    return [
        Square(float(x), float(y), side)
        for y in np.linspace(0, height - side, max(1, steps[1]))
        for x in np.linspace(0, width - side, max(1, steps[0]))
    ]


def _picture(image: UInt8, square: Square, side: int) -> Any:
    import mediapipe as mp

    step = square.side / side
    matrix = np.array([[step, 0, square.x + 0.5 * step - 0.5], [0, step, square.y + 0.5 * step - 0.5]])
    if step > 1.5:  # warping alone would alias
        image = np.asarray(cv2.blur(image, (round(step),) * 2), np.uint8)
    picture = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return mp.Image(image_format=mp.ImageFormat.SRGB, data=picture)


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


_QUIET = threading.Lock()


@contextmanager
def _quiet() -> Iterator[None]:
    """Send the process's stderr nowhere for a moment: the networks announce themselves there at start-up."""
    with _QUIET, open(os.devnull, "wb") as nowhere:
        kept = os.dup(2)
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
