"""Focal length from pointmaps: the one with which their points project onto their own pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from josh_core.shapes import check_shapes
from josh_core.types import Float

# Chosen by hand, except where a measurement or a source is given.
_MIN_DEPTH = 1e-3  # in units of the pointmap's median depth


def focal_from_points(points: Tensor, confidence: Tensor, pixels: Tensor) -> Tensor:
    """Focal [B] px of pointmaps: the weighted median of what every point says by itself.

    points: [B,H,W,3] in the camera that sees them; confidence: [B,H,W]; pixels: [H,W,2] px from the principal point.
    A point's weight is its confidence times its pixel's distance from the centre; the median over ratios is robust to
    wrong points however near the camera they are. NaN where no point lies in front of the camera.
    """
    check_shapes(
        "focal_from_points",
        points=(points, "B H W 3"),
        confidence=(confidence, "B H W"),
        pixels=(pixels, "H W 2"),
    )
    points, pixels = points.double(), pixels.double()
    depth = points[..., 2]
    front = depth > _MIN_DEPTH * depth.abs().flatten(1).median(1).values[:, None, None]
    slope = points[..., :2] / depth.clamp(min=1e-12)[..., None]
    along = (slope * pixels).sum(-1)
    usable = front & (along > 0)
    ratio = torch.where(usable, (pixels * pixels).sum(-1) / along, torch.inf)
    weight = torch.where(usable, confidence.double() * pixels.norm(dim=-1), 0.0)
    order = ratio.flatten(1).argsort(1)
    ratio, weight = ratio.flatten(1).gather(1, order), weight.flatten(1).gather(1, order).cumsum(1)
    middle = (weight < weight[:, -1:] / 2).sum(1, keepdim=True)
    focal = ratio.gather(1, middle)[:, 0]
    return torch.where(focal.isfinite(), focal, torch.nan)


def agree_on_focal(estimates: Float, width: int, height: int, known: float | None) -> tuple[float, float]:
    """One focal in px and its relative standard deviation from the estimates of many pointmaps (NaN: none).

    A known focal is taken as it is. Without any valid estimate it is 1.2 x the longest side, within 30 %.
    """
    check_shapes("agree_on_focal", estimates=(estimates, "n"))
    if known is not None:
        return known, 0.0
    longest = max(width, height)
    usable = estimates[np.isfinite(estimates)]
    usable = usable[(usable > 0.3 * longest) & (usable < 6 * longest)]
    if not len(usable):
        return 1.2 * longest, 0.3
    logs = np.log(usable)
    middle = float(np.median(logs))
    spread = 1.48 * float(np.median(np.abs(logs - middle)))
    # Pointmaps of one clip err alike: a few percent remain however many agree.
    return float(np.exp(middle)), float(np.hypot(spread / np.sqrt(len(logs)), 0.03))
