"""From a decoded frame to the picture that a player shows: square pixels, upright, standard dynamic range."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import av
import av.sidedata.sidedata
import cv2
import numpy as np

from josh_core.types import Float, UInt8

# Chosen by hand, except where a measurement or a source is given.
PLAUSIBLE_ASPECT = (0.25, 4.0)  # of a pixel; what a file says outside this range is an error of its writer
HD_HEIGHT = 720  # px: without a tag, pictures from this height on are BT.709, smaller ones BT.601 (as players do)
PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
WHITE_NITS = 203.0  # luminance of a white surface in HDR, ITU-R BT.2408
PEAK_NITS = 1000.0  # HLG's nominal display, BT.2100
KNEE = 0.7  # of white: what is brighter is compressed, what is darker stays as it is
# BT.2020 to BT.709 primaries in linear light (ITU-R BT.2087), for BGR.
_NARROWED = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])[::-1, ::-1]


@dataclass(frozen=True)
class DisplayTransform:
    """How the pixels of a stream are shown."""

    aspect: float  # width over height of a stored pixel
    turns: int  # quarter turns clockwise that make the picture upright
    mirrored: bool  # left and right exchanged after turning
    transfer: int  # H.273; PQ and HLG are brought to standard range

    def turned(self, degrees: int) -> DisplayTransform:
        """The same with the shown picture turned clockwise by a multiple of 90 degrees."""
        quarters = degrees // 90 * (-1 if self.mirrored else 1)  # mirroring comes last and exchanges the senses
        return replace(self, turns=(self.turns + quarters) % 4)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Upright size in px of a stored picture, square pixels, no row or column lost."""
        w, h = self._stretched(width, height)
        return (h, w) if self.turns % 2 else (w, h)

    def _stretched(self, width: int, height: int) -> tuple[int, int]:
        if self.aspect >= 1:
            return round(width * self.aspect), height
        return width, round(height / self.aspect)

    def picture(self, frame: Any, size: tuple[int, int], combed: bool = False) -> UInt8:
        """A frame (av.VideoFrame) as BGR [h,w,3] u8 of upright `size` (width, height).

        combed: its even and odd lines show two moments, whatever the frame says of itself.
        """
        width, height = size[::-1] if self.turns % 2 else size
        colorspace = int(frame.colorspace)
        if colorspace in (0, 2):  # RGB or untagged; swscale would take BT.601 for all of the latter
            colorspace = 1 if frame.height >= HD_HEIGHT else 5
        if frame.interlaced_frame or combed:
            return self._upright(_one_field(frame, (width, height), _COLORSPACES.get(colorspace, 1)))
        smaller = width * height < frame.width * frame.height
        small = frame.reformat(
            width=width,
            height=height,
            format="bgr24",
            src_colorspace=_COLORSPACES.get(colorspace, 1),
            interpolation="AREA" if smaller else "BICUBIC",
        )
        return self._upright(np.asarray(small.to_ndarray(), np.uint8))

    def _upright(self, image: UInt8) -> UInt8:
        """BGR as stored, in standard range and upright."""
        if self.transfer in (PQ, HLG):
            image = _standard_range(image, self.transfer)
        if self.turns:
            image = np.asarray(cv2.rotate(image, _ROTATIONS[self.turns]), np.uint8)
        return np.ascontiguousarray(image[:, ::-1]) if self.mirrored else image


SQUARE_UPRIGHT = DisplayTransform(aspect=1.0, turns=0, mirrored=False, transfer=0)


def _one_field(frame: Any, size: tuple[int, int], matrix: int) -> UInt8:
    """BGR [h,w,3] of `size` (width, height) from every second line: the others were filmed a moment later."""
    whole = frame.reformat(format="bgr24", src_colorspace=matrix).to_ndarray()
    return np.asarray(cv2.resize(whole[::2], size, interpolation=cv2.INTER_AREA), np.uint8)


# swscale's numbers of H.273's matrices: BT.709, FCC, BT.601 (twice), SMPTE 240M, BT.2020 (twice)
_COLORSPACES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_ROTATIONS = {1: cv2.ROTATE_90_CLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_COUNTERCLOCKWISE}


def shown_by(stream: Any, frame: Any) -> DisplayTransform:
    """How a stream's (av.VideoStream) first decoded frame says it is to be shown."""
    ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    aspect = float(ratio) if ratio else 1.0
    if not PLAUSIBLE_ASPECT[0] <= aspect <= PLAUSIBLE_ASPECT[1]:
        aspect = 1.0
    turns, mirrored = _upright(frame)
    return DisplayTransform(aspect, turns, mirrored, int(stream.codec_context.color_trc or 0))


def _upright(frame: Any) -> tuple[int, bool]:
    """Quarter turns clockwise and mirroring of a frame's display matrix (ISO 14496-12, rows act on row vectors)."""
    data = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
    if data is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(bytes(data)[:20], np.int32) / 65536.0
    mirrored = a * d - b * c < 0
    if mirrored:  # undo the exchange of left and right, which is applied last
        a, c = -a, -c
    return round(np.degrees(np.arctan2(b, a)) / 90) % 4, bool(mirrored)


def _standard_range(image: UInt8, transfer: int) -> UInt8:
    """HDR code values [h,w,3] BGR as sRGB: white at WHITE_NITS, highlights compressed."""
    linear = cv2.transform(cv2.LUT(image, _to_linear(transfer)), _NARROWED.astype(np.float32))
    index = np.clip(linear * 255.0, 0, 1275).astype(np.uint16)  # up to five times white
    return np.asarray(_to_srgb()[index], np.uint8)


@lru_cache(maxsize=2)
def _to_linear(transfer: int) -> Float:
    """Light [256] f32, 1 at WHITE_NITS, of code values: the curves of BT.2100."""
    code = np.linspace(0, 1, 256)
    if transfer == PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = code ** (1 / m2)
        nits = 10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        nits = PEAK_NITS * scene**1.2
    return (nits / WHITE_NITS).astype(np.float32)


@lru_cache(maxsize=1)
def _to_srgb() -> UInt8:
    """sRGB code values [1276] of light in steps of 1/255 of white, rolled off above KNEE."""
    light = np.arange(1276) / 255
    rolled = KNEE + (1 - KNEE) * (1 - np.exp(-(light - KNEE) / (1 - KNEE)))
    light = np.where(light > KNEE, rolled, light)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    return np.round(255 * np.clip(code, 0, 1)).astype(np.uint8)
