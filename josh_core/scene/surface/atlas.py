"""One texture for all sheets of a surface: the used part of each keyframe's picture, packed side by side."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from josh_core.scene.surface.plates import Plates
from josh_core.scene.surface.sheets import SQUARE_3X3, Sheets
from josh_core.types import Clip, Int, Surface, UInt8

# Chosen by hand, except where a measurement or a source is given.
# px, longest side of the texture: 50 MB of graphics memory with its mipmaps, which phones have.
TEXTURE_SIDE = 3072
PICTURE_SIDE = 1280  # px, longest side of a keyframe's whole picture in it, where there is room
JPEG_QUALITY = 82  # of the JPEG
_SHRINK = 0.9  # factor from one try to the next


@dataclass(frozen=True)
class SheetPart:
    """What the surface takes from one keyframe."""

    sheet: int  # which keyframe of the sheets
    pixels: Int  # [v] flat pixel of the reduced grid, one a vertex
    triangles: Int  # [f,3] rows of `pixels`


def textured(clip: Clip, sheets: Sheets, parts: list[SheetPart], plates: Plates | None) -> Surface:
    """All parts as one mesh; plates: where their pictures are not those of the keyframes themselves."""
    width, height = sheets.grid.width, sheets.grid.height
    boxes = np.stack([_box(part.pixels, width, height) for part in parts])  # [n,4] x, y, w, h of the grid
    scale = min(PICTURE_SIDE, max(clip.width, clip.height)) / max(width, height)
    places = _pack(np.ceil(boxes[:, 2:] * scale).astype(int))
    while places is None:
        scale *= _SHRINK
        places = _pack(np.ceil(boxes[:, 2:] * scale).astype(int))
    size = np.ceil(boxes[:, 2:] * scale).astype(int)
    whole = (places + size).max(0)
    atlas = np.zeros((whole[1], whole[0], 3), np.uint8)
    vertices, faces, uv, count = [], [], [], 0
    for part, box, place, (w, h) in zip(parts, boxes, places, size, strict=True):
        frame = int(sheets.frames[part.sheet])
        shot = clip.frame(frame) if plates is None else plates.at(frame)
        atlas[place[1] : place[1] + h, place[0] : place[0] + w] = _cropped(shot, part, box, (w, h), (width, height))
        y, x = np.divmod(part.pixels, width)
        at = (np.stack([x, y], -1) + 0.5 - box[:2]) / box[2:] * [w, h] + place
        uv.append(at / whole)
        vertices.append(sheets.points(part.sheet).reshape(-1, 3)[part.pixels])
        faces.append(part.triangles + count)
        count += len(part.pixels)
    jpeg = cv2.imencode(".jpg", np.ascontiguousarray(atlas[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return Surface(
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(uv).astype(np.float32),
        jpeg.tobytes(),
    )


def _box(pixels: Int, width: int, height: int) -> Int:
    """x, y, w, h of the box around flat pixels of the grid, a pixel wider on each side where there is one."""
    y, x = np.divmod(pixels, width)
    left, top = max(x.min() - 1, 0), max(y.min() - 1, 0)
    return np.array([left, top, min(x.max() + 2, width) - left, min(y.max() + 2, height) - top])


def _pack(size: Int) -> Int | None:
    """Places [n,2] of rectangles [n,2] (w, h) on shelves in a square of TEXTURE_SIDE, tallest first; None: no room."""
    places = np.zeros_like(size)
    x = y = shelf = 0
    for part in np.argsort(-size[:, 1], kind="stable"):
        w, h = size[part]
        if x + w > TEXTURE_SIDE:
            x, y, shelf = 0, y + shelf, 0
        if w > TEXTURE_SIDE or y + h > TEXTURE_SIDE:
            return None
        places[part] = x, y
        x, shelf = x + w, max(shelf, h)
    return places


def _cropped(shot: UInt8, part: SheetPart, box: Int, size: tuple[int, int], grid: tuple[int, int]) -> UInt8:
    """The box of a picture in `size` (w, h) px, in one colour where nothing uses it: a JPEG of that is small."""
    mask = np.zeros(grid[::-1], np.uint8)
    mask.ravel()[part.pixels] = 1
    x, y, w, h = box
    used = cv2.dilate(mask, SQUARE_3X3)[y : y + h, x : x + w]
    per_px = np.array(shot.shape[1::-1]) / grid
    (x0, y0), (x1, y1) = np.round([x, y] * per_px).astype(int), np.round([x + w, y + h] * per_px).astype(int)
    tile = cv2.resize(shot[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA)
    kept = cv2.resize(used, size, interpolation=cv2.INTER_NEAREST) > 0
    return np.where(kept[..., None], tile, tile[kept].mean(0).astype(np.uint8))
