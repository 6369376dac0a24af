"""Detection of zoom: near and far points scale about one image point, as no camera translation does."""

from __future__ import annotations

import cv2
import numpy as np

from josh_core.scene.camera.rotation_only import PixelPairs
from josh_core.types import CameraPath, Float

# Chosen by hand, except where a measurement or a source is given.
MIN_ZOOM = 1.08  # largest over smallest image; less is within what a turning camera explains
MAX_SIMILARITY_RESIDUAL = 1.5  # px of an image 1280 px long: largest residual of an image similarity for a zoom
# The same over the way that the zoom moves a point, since the lens bends what it magnifies: 0.02 in three zooms made
# from real clips, 0.05 and more under cameras that travel (eight real and rendered clips).
MAX_RESIDUAL_SHARE = 0.04


def zoom_of(pairs: PixelPairs, nodes: int, unit: float) -> float | None:
    """How many times larger the image is made in the whole clip, at most; None where the lens does not zoom.

    Correspondences of every pair are explained by one similarity of the image. unit: px of the frame per px of an
    image 1280 px long.
    """
    edge = pairs.first * nodes + pairs.second
    edges, scales, left = [], [], []
    for key in np.unique(edge):
        rows = edge == key
        a, b = pairs.xy_first[rows].astype(np.float32), pairs.xy_second[rows].astype(np.float32)
        cv2.setRNGSeed(0)
        matrix, _ = cv2.estimateAffinePartial2D(a, b, ransacReprojThreshold=2 * MAX_SIMILARITY_RESIDUAL * unit)
        if matrix is None:
            continue
        edges.append(divmod(int(key), nodes))
        scales.append(float(np.hypot(matrix[0, 0], matrix[1, 0])))
        residual = np.percentile(np.linalg.norm(a @ matrix[:, :2].T + matrix[:, 2] - b, axis=-1), 75) / unit
        way = abs(scales[-1] - 1) * np.percentile(np.linalg.norm(a - a.mean(0), axis=-1), 75) / unit
        left.append(residual / max(MAX_SIMILARITY_RESIDUAL, MAX_RESIDUAL_SHARE * way))
    if not scales:
        return None
    most = float(np.exp(np.ptp(_sizes(edges, np.log(scales), nodes))))
    return most if most > MIN_ZOOM and np.percentile(left, 90) < 1 else None


def _sizes(edges: list[tuple[int, int]], steps: Float, nodes: int) -> Float:
    """Logarithm of the size [nodes] of the image at every keyframe that has an edge, from steps [E] along edges.

    A point that is seen at the beginning may have left the picture at the end: only all steps together tell.
    """
    system, seen = np.zeros((len(edges) + 1, nodes)), np.zeros(nodes, bool)
    for row, (first, second) in enumerate(edges):
        system[row, [first, second]] = -1, 1
        seen[[first, second]] = True
    system[-1, edges[0][0]] = 1
    return np.linalg.lstsq(system, np.append(steps, 0.0), rcond=None)[0][seen]


def zoom_notes(cameras: CameraPath) -> tuple[str, ...]:
    """A sentence for the user where the lens zooms: the camera is then solved as static."""
    if cameras.zoom <= MIN_ZOOM:
        return ()
    return (
        f"The lens zooms ({cameras.zoom:.1f} times): the camera is taken to stand still, and people seem to come "
        "nearer or go away while it zooms. Film without zoom, or take a part before or after it.",
    )
