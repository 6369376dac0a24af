"""Frames as the networks expect them: longest side 512 px, sides multiples of 16, RGB in [-1, 1].

Coordinates go between frame and network image as shares of the image in [0, 1], one axis at a time, because rounding
the sides to multiples of 16 changes the aspect ratio a little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from josh_core.networks.architecture import PATCH
from josh_core.types import Clip, Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
LONGEST = 512  # px
WHOLE_FRAME = (0.0, 0.0, 1.0, 1.0)  # xyxy, shares of width and height
CENTRE_HALF = (0.25, 0.25, 0.75, 0.75)  # xyxy, likewise


@dataclass(frozen=True)
class NetworkCrop:
    """What part of a frame the network looks at, and in which size."""

    width: int  # px of the network's image
    height: int  # px
    window: tuple[float, float, float, float] = WHOLE_FRAME  # xyxy, shares of the frame; centred

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens."""
        return self.height // PATCH, self.width // PATCH

    def boxes(self, boxes_px: Float, clip: Clip) -> Float:
        """Boxes [...,4] xyxy px of the frame -> shares of the window; may lie outside [0, 1]."""
        x1, y1, x2, y2 = self.window
        shares = np.clip(boxes_px / np.tile([clip.width, clip.height], 2), 0, 1)
        return (shares - [x1, y1, x1, y1]) / np.tile([x2 - x1, y2 - y1], 2)

    def pixels(self, frame_width: int, frame_height: int) -> Float:
        """Pixel centres [height,width,2] of the network's image in px of the frame, from the frame's centre."""
        x1, y1, x2, y2 = self.window
        x = (x1 - 0.5 + (x2 - x1) * (np.arange(self.width) + 0.5) / self.width) * frame_width
        y = (y1 - 0.5 + (y2 - y1) * (np.arange(self.height) + 0.5) / self.height) * frame_height
        return np.stack(np.meshgrid(x, y), -1)

    def on_whole_frame(self, values: Float, width: int, height: int) -> Float:
        """Values [...,self.height,self.width] at the pixel centres of an image [...,height,width] of the whole frame.

        The nearest value is taken, as blending across depth edges makes points in mid-air; 0 outside the window.
        """
        x1, y1, x2, y2 = self.window
        x = np.floor(((np.arange(width) + 0.5) / width - x1) / (x2 - x1) * self.width).astype(int)
        y = np.floor(((np.arange(height) + 0.5) / height - y1) / (y2 - y1) * self.height).astype(int)
        inside = ((y >= 0) & (y < self.height))[:, None] & ((x >= 0) & (x < self.width))
        rows, columns = np.clip(y, 0, self.height - 1)[:, None], np.clip(x, 0, self.width - 1)
        return np.where(inside, values[..., rows, columns], 0).astype(values.dtype)


def crop_of(clip: Clip, window: tuple[float, float, float, float] = WHOLE_FRAME) -> NetworkCrop:
    """The network's image size for a clip: any aspect ratio, portrait or landscape."""
    longest = max(clip.width, clip.height)
    width, height = (max(PATCH, round(side * LONGEST / longest) // PATCH * PATCH) for side in (clip.width, clip.height))
    return NetworkCrop(width, height, window)


def network_frame(clip: Clip, frame: int, crop: NetworkCrop) -> UInt8:
    """Frame as [height,width,3] u8 of the network's size; always the whole frame, whatever the window."""
    image = Image.fromarray(clip.frame(frame))
    shrinks = max(clip.width, clip.height) > LONGEST
    method = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    return np.asarray(image.resize((crop.width, crop.height), method), np.uint8)


def network_images(frames: UInt8, crop: NetworkCrop, device: torch.device) -> Tensor:
    """Network input [n,3,height,width] from frames [n,height,width,3] u8.

    A window is cut from the resized frame and enlarged, as the published inference does: the network knows such images.
    """
    images = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    if crop.window == WHOLE_FRAME:
        return images
    x1, y1, x2, y2 = crop.window
    rows = slice(round(y1 * crop.height), round(y2 * crop.height))
    columns = slice(round(x1 * crop.width), round(x2 * crop.width))
    size = (crop.height, crop.width)
    return F.interpolate(images[:, :, rows, columns], size, mode="bilinear", antialias=True, align_corners=False)
