"""Procedural pictures for floors, walls, leaves and sky: float32 RGB (or RGBA) in [0,1], made from a random generator.

`ppm` is pixels a metre. Every picture has detail at the scale of centimetres, so that features are found anywhere on
it, and marks at the scale of metres, so that no two places look alike.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from josh_core.types import Float

Rng = np.random.Generator
WORDS = ("CAFE", "OPEN", "MARKET", "No 27", "BOOKS", "RADIO", "FRESH", "KINO", "HOTEL", "TAXI", "LINE 4", "PRESS")


def noise(rng: Rng, height: int, width: int, cell: float, octaves: int = 4) -> Float:
    """Value noise [h,w] of unit deviation, the coarsest cells `cell` px wide."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        grid = rng.standard_normal((int(height / step) + 3, int(width / step) + 3)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * 0.6**octave
    return np.asarray(total / total.std())


def _tinted(tone: Float, shade: Float) -> Float:
    return (np.asarray(tone, np.float32) * (1 + shade)[..., None]).astype(np.float32)


def _blotches(rng: Rng, image: Float, count: int, largest: int) -> Float:
    """Dark stains of up to `largest` px."""
    height, width = image.shape[:2]
    mask = np.ones((height, width), np.float32)
    for _ in range(count):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(3, largest)), int(rng.integers(3, largest)))
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(0.55, 0.95)), -1)
    return np.asarray(image * cv2.GaussianBlur(mask, (0, 0), 2.0)[..., None])


def _specks(rng: Rng, image: Float, count: int) -> Float:
    """Small stones, leaves and chewing gum."""
    height, width = image.shape[:2]
    for x, y, r in zip(
        rng.integers(0, width, count), rng.integers(0, height, count), rng.integers(1, 4, count), strict=True
    ):
        color = rng.uniform(0.12, 0.85) * rng.uniform(0.8, 1.0, 3)
        cv2.circle(image, (int(x), int(y)), int(r), color.tolist(), -1, cv2.LINE_AA)
    return image


def _cracks(rng: Rng, image: Float, count: int, stride: float) -> Float:
    height, width = image.shape[:2]
    for _ in range(count):
        turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.5, int(rng.integers(6, 25))))
        way = np.cumsum(stride * np.stack([np.cos(turns), np.sin(turns)], 1), 0) + rng.uniform(0, 1, 2) * (
            width,
            height,
        )
        cv2.polylines(image, [way.astype(np.int32)], False, (0.16, 0.15, 0.14), 1, cv2.LINE_AA)
    return image


def _tiles(rng: Rng, size: tuple[int, int], stone: tuple[float, float], joint: float) -> tuple[Float, Float]:
    """Random shade of each stone of a running bond, and 0 in the joints to 1 on the stones; stone, joint in px."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    row = np.floor(y / stone[1]).astype(int)
    x = x + (row % 2) * stone[0] / 2
    column = np.floor(x / stone[0]).astype(int)
    shade = rng.standard_normal((row.max() + 1, column.max() + 1)).astype(np.float32)[row, column]
    from_x, from_y = x - column * stone[0], y - row * stone[1]
    edge = np.minimum(np.minimum(from_x, stone[0] - from_x), np.minimum(from_y, stone[1] - from_y))
    return shade, np.clip(edge / joint, 0, 1)


def paving(rng: Rng, width_m: float, height_m: float, ppm: float) -> Float:
    """Stone slabs."""
    h, w = int(height_m * ppm), int(width_m * ppm)
    long = rng.uniform(0.3, 0.7)
    shade, on = _tiles(rng, (h, w), (long * ppm, long * ppm * rng.uniform(0.5, 1.0)), 0.012 * ppm)
    tone = rng.uniform(0.42, 0.62) * np.array([1, rng.uniform(0.92, 1.0), rng.uniform(0.8, 1.0)])
    image = _tinted(tone, 0.12 * shade + 0.06 * noise(rng, h, w, 10) + 0.07 * noise(rng, h, w, 300, 5))
    image = _blotches(rng, image * (0.5 + 0.5 * on)[..., None], int(width_m * height_m), int(0.15 * ppm))
    return np.clip(_specks(rng, image, int(10 * width_m * height_m)), 0, 1)


def asphalt(rng: Rng, width_m: float, height_m: float, ppm: float) -> Float:
    """A road with patches and cracks."""
    h, w = int(height_m * ppm), int(width_m * ppm)
    tone = np.full(3, rng.uniform(0.3, 0.42))
    image = _tinted(tone, 0.16 * noise(rng, h, w, 3, 2) + 0.1 * noise(rng, h, w, 300, 6))
    for _ in range(int(0.06 * width_m * height_m) + 1):
        spot = ((rng.uniform(0, w), rng.uniform(0, h)), tuple(rng.uniform(0.5, 1.6, 2) * ppm), rng.uniform(-9, 9))
        patch = np.zeros((h, w), np.float32)
        corners = cv2.boxPoints(spot).astype(np.int32)
        cv2.fillPoly(patch, [corners], (1.0,))
        image *= (1 - rng.uniform(0.1, 0.25) * patch)[..., None]
        cv2.polylines(image, [corners], True, (0.15, 0.15, 0.15), 2, cv2.LINE_AA)
    image = _cracks(rng, image, int(0.6 * width_m * height_m), 0.05 * ppm)
    return np.clip(_specks(rng, image, int(30 * width_m * height_m)), 0, 1)


def planks(rng: Rng, width_m: float, height_m: float, ppm: float) -> Float:
    """Boards along x."""
    h, w = int(height_m * ppm), int(width_m * ppm)
    shade, on = _tiles(rng, (h, w), (rng.uniform(1.5, 3.0) * ppm, rng.uniform(0.1, 0.18) * ppm), 0.005 * ppm + 1)
    grain = cv2.resize(rng.standard_normal((h, max(w // 50, 2))).astype(np.float32), (w, h))
    tone = rng.uniform(0.75, 1.2) * np.array([0.5, 0.36, 0.24])
    image = _tinted(tone, 0.14 * shade + 0.13 * grain + 0.06 * noise(rng, h, w, 150, 4)) * (0.35 + 0.65 * on)[..., None]
    for _ in range(int(5 * width_m * height_m)):
        centre = (int(rng.integers(w)), int(rng.integers(h)))
        cv2.ellipse(
            image, centre, (int(0.02 * ppm), int(0.01 * ppm)), 0, 0, 360, (0.4 * tone).tolist(), -1, cv2.LINE_AA
        )
    return np.clip(image, 0, 1)


def grass(rng: Rng, width_m: float, height_m: float, ppm: float) -> Float:
    """A lawn of short strokes."""
    h, w = int(height_m * ppm), int(width_m * ppm)
    tone = np.array([0.3, 0.4, 0.17]) * rng.uniform(0.8, 1.15)
    image = np.ascontiguousarray(_tinted(0.75 * tone, 0.16 * noise(rng, h, w, 200, 6)))
    count = int(250 * width_m * height_m)
    start = rng.uniform(0, 1, (count, 2)) * (w, h)
    angle, length = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.02, 0.07, count) * ppm
    end = start + length[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    colors = rng.uniform(0.5, 1.6, (count, 1)) * tone * rng.normal(1, 0.1, (count, 3))
    for a, b, color in zip(start.astype(int).tolist(), end.astype(int).tolist(), colors.tolist(), strict=True):
        cv2.line(image, a, b, color, 1, cv2.LINE_AA)
    return np.clip(image, 0, 1)


def concrete(rng: Rng, width_m: float, height_m: float, ppm: float) -> Float:
    """Cast stone with pores."""
    h, w = int(height_m * ppm), int(width_m * ppm)
    tone = rng.uniform(0.45, 0.68) * np.array([1, 0.98, 0.95])
    image = _tinted(tone, 0.07 * noise(rng, h, w, 5, 2) + 0.08 * noise(rng, h, w, 120, 5))
    image = _cracks(rng, image, int(width_m * height_m), 0.04 * ppm)
    image = _blotches(rng, image, int(3 * width_m * height_m), int(0.12 * ppm) + 4)
    return np.clip(_specks(rng, image, int(70 * width_m * height_m)), 0, 1)


def brick(rng: Rng, width_m: float, height_m: float, ppm: float) -> Float:
    """A brick wall."""
    h, w = int(height_m * ppm), int(width_m * ppm)
    shade, on = _tiles(rng, (h, w), (0.24 * ppm, 0.085 * ppm), 0.009 * ppm)
    tone = np.array([0.56, 0.32, 0.25]) * rng.uniform(0.7, 1.2) + rng.uniform(0, 0.1, 3)
    stones = _tinted(tone, 0.2 * shade + 0.08 * noise(rng, h, w, 8, 3) + 0.07 * noise(rng, h, w, 300, 5))
    mortar = _tinted(np.array([0.6, 0.58, 0.54]), 0.08 * noise(rng, h, w, 8, 3))
    on = (on > 0.6).astype(np.float32)[..., None]
    return np.clip(_blotches(rng, stones * on + mortar * (1 - on), int(width_m * height_m), int(0.3 * ppm)), 0, 1)


def plaster(rng: Rng, width_m: float, height_m: float, ppm: float) -> Float:
    """A painted wall with stains and flaking."""
    h, w = int(height_m * ppm), int(width_m * ppm)
    rough, coarse = noise(rng, h, w, 9, 3), noise(rng, h, w, 140, 6)
    image = _tinted(rng.uniform(0.5, 0.85, 3), 0.04 * rough + 0.06 * coarse)
    flaked = np.clip(4 * (coarse - 1.6), 0, 1)[..., None]
    image = image * (1 - flaked) + _tinted(np.array([0.5, 0.46, 0.42]), 0.1 * rough) * flaked
    image = _cracks(rng, image.astype(np.float32), int(0.5 * width_m * height_m), 0.04 * ppm)
    return np.clip(_blotches(rng, image, int(1.5 * width_m * height_m), int(0.2 * ppm) + 4), 0, 1)


GROUNDS: dict[str, Callable[[Rng, float, float, float], Float]] = {
    "paving": paving,
    "asphalt": asphalt,
    "planks": planks,
    "grass": grass,
    "concrete": concrete,
}
WALLS: dict[str, Callable[[Rng, float, float, float], Float]] = {
    "brick": brick,
    "plaster": plaster,
    "concrete": concrete,
}


def facade(rng: Rng, width_m: float, height_m: float, ppm: float) -> Float:
    """A wall with windows, a door and posters; the bottom row of the picture is the ground."""
    image = np.ascontiguousarray(WALLS[str(rng.choice(list(WALLS)))](rng, width_m, height_m, ppm), np.float32)
    x = rng.uniform(0.4, 1.5)
    while x < width_m - 1.8:
        wide = rng.uniform(0.9, 1.4)
        if rng.random() < 0.2:
            _opening(rng, image, (x, 0.0, wide, 2.15), ppm, door=True)
        else:
            _opening(rng, image, (x, rng.uniform(0.9, 1.1), wide, rng.uniform(1.1, 1.5)), ppm, door=False)
        if height_m > 4.6:
            _opening(rng, image, (x, 3.2, wide, 1.3), ppm, door=False)
        x += wide + rng.uniform(0.6, 1.8)
    for _ in range(int(width_m * 0.8)):
        _poster(rng, image, ppm)
    return image


def _opening(rng: Rng, image: Float, box: tuple[float, float, float, float], ppm: float, door: bool) -> None:
    """Paint a window or a door at box (x, y from the ground, width, height) in m."""
    x, y, wide, high = (int(v * ppm) for v in box)
    top = image.shape[0] - y - high
    if top < 0 or x + wide > image.shape[1]:
        return
    if door:
        inside = _tinted(rng.uniform(0.1, 0.5, 3), 0.2 * noise(rng, high, wide, 6, 2))
        for k in range(3):
            panel = (wide // 6, int(high * (0.06 + 0.31 * k))), (wide * 5 // 6, int(high * (0.3 + 0.31 * k)))
            cv2.rectangle(inside, *panel, rng.uniform(0.1, 0.5, 3).tolist(), 2)
    else:
        inside = _tinted(np.array([0.18, 0.21, 0.25]), 0.35 * noise(rng, high, wide, 40, 4))
        for _ in range(4):
            centre = (int(rng.integers(wide)), int(rng.integers(high)))
            axes = (int(rng.integers(3, wide // 3)), int(rng.integers(3, high // 3)))
            cv2.ellipse(inside, centre, axes, 0, 0, 360, rng.uniform(0.05, 0.5, 3).tolist(), -1, cv2.LINE_AA)
        cv2.line(inside, (wide // 2, 0), (wide // 2, high), (0.8, 0.79, 0.76), 3)
        cv2.line(inside, (0, high // 3), (wide, high // 3), (0.8, 0.79, 0.76), 3)
    image[top : top + high, x : x + wide] = inside
    cv2.rectangle(image, (x, top), (x + wide, top + high), rng.uniform(0.6, 0.9, 3).tolist(), 5)


def _poster(rng: Rng, image: Float, ppm: float) -> None:
    """Paste a poster or a sign at up to 2.4 m from the ground."""
    high = int(rng.uniform(0.35, 0.9) * ppm)
    wide = int(high * rng.uniform(0.6, 1.4))
    x, y = int(rng.uniform(0, image.shape[1] - wide)), int(rng.uniform(0.5, 1.6) * ppm)
    top = max(image.shape[0] - y - high, 0)
    plain = _tinted(rng.uniform(0.1, 0.95, 3), 0.05 * noise(rng, high, wide, 12, 3))
    sheet = np.ascontiguousarray(255 * np.clip(plain, 0, 1)).astype(np.uint8)  # text is drawn in bytes only
    for _ in range(int(rng.integers(2, 6))):
        at, size = (int(rng.integers(wide)), int(rng.integers(high))), int(rng.uniform(0.08, 0.3) * wide)
        cv2.circle(sheet, at, size, rng.uniform(0, 255, 3).tolist(), -1 if rng.random() < 0.7 else 3, cv2.LINE_AA)
    for k in range(3):
        ink = rng.uniform(0, 255, 3).tolist()
        origin = (int(0.06 * wide), int(high * (0.25 + 0.25 * k)))
        cv2.putText(sheet, str(rng.choice(WORDS)), origin, cv2.FONT_HERSHEY_DUPLEX, wide / 170, ink, 2, cv2.LINE_AA)
    cv2.rectangle(sheet, (0, 0), (wide - 1, high - 1), (230, 230, 225), 2)
    image[top : top + high, x : x + wide] = sheet.astype(np.float32) / 255


def leaves(rng: Rng, size: int = 256) -> Float:
    """A tuft of leaves [size,size,4] with alpha."""
    tone = np.array([0.26, 0.38, 0.14]) * rng.uniform(0.7, 1.2) + rng.uniform(0, 0.06, 3)
    image = np.zeros((size, size, 4), np.float32)
    image[..., :3] = 0.6 * tone
    for _ in range(130):
        angle, radius = rng.uniform(0, 2 * np.pi), 0.42 * size * np.sqrt(rng.random())
        centre = (int(size / 2 + radius * np.cos(angle)), int(size / 2 + radius * np.sin(angle)))
        axes = (int(rng.uniform(0.035, 0.08) * size), int(rng.uniform(0.02, 0.035) * size))
        color = [*np.clip(tone * rng.uniform(0.5, 1.8) * rng.normal(1, 0.1, 3), 0, 1).tolist(), 1.0]
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, color, -1, cv2.LINE_AA)
    return image


def sky(rng: Rng) -> Float:
    """An equirectangular sky [512,1024,3] with clouds; the lower half is haze."""
    height, width = 512, 1024
    up = np.clip(1 - 2 * np.linspace(0, 1, height, dtype=np.float32), 0, 1)[:, None, None] ** 0.6
    horizon, zenith = np.array([0.78, 0.84, 0.9]), np.array([0.3, 0.5, 0.8]) * rng.uniform(0.8, 1.1)
    clouds = np.clip(0.5 * noise(rng, height, width, 130, 6) - 0.1, 0, 0.9)[..., None] * np.clip(4 * up, 0, 1)
    return np.clip((horizon * (1 - up) + zenith * up) * (1 - clouds) + 0.95 * clouds, 0, 1).astype(np.float32)
