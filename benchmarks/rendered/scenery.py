"""Streets and rooms around what happens: a ground, four walls, and things that stand about, never in the way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.rendered.grounds import Flat
from benchmarks.rendered.pieces import Pieces, Texture
from benchmarks.rendered.textures import GROUNDS, WALLS, facade, leaves, planks, sky
from josh_core.types import Float

GROUND_SIZE, GROUND_PPM = 9.6, 160.0  # m and pixels a metre of the ground's picture
WALL_PPM = 100.0  # pixels a metre of walls
KEEP_CLEAR = 0.75  # m around the ways of people and cameras, and around the lines of sight between them
THINGS = 22  # objects on the ground


def build(rng: np.random.Generator, ground: Flat, ways: list[Float], eyes: Float, room: bool) -> tuple[Pieces, Float]:
    """Pieces of the scene and its sky for people on `ways` [T,3] each, seen from eyes [T,3]."""
    pieces = Pieces(_textures(rng, room))
    busy = _busy(ways, eyes)
    margin = rng.uniform(1.8, 3.0, 2) if room else rng.uniform(2.5, 6.0, 2)
    low, high = busy.min(0) - margin, busy.max(0) + margin
    ground.draw(pieces, (low, high))
    _walls(rng, pieces, low, high, ground, room)
    _things(rng, pieces, (low, high), busy, ground, room)
    return pieces, sky(rng)


def _textures(rng: np.random.Generator, room: bool) -> dict[str, Texture]:
    def square(picture: Callable[..., Float], size: float, ppm: float) -> Texture:
        return Texture(picture(rng, size, size, ppm), (size, size))

    floors = ["planks", "concrete"] if room else ["paving", "asphalt", "paving", "grass", "planks"]
    return {
        "ground": square(GROUNDS[str(rng.choice(floors))], GROUND_SIZE, GROUND_PPM),
        "stone": square(WALLS["concrete"], 3.0, 160.0),
        "wood": square(planks, 3.0, 180.0),
        "paint": square(WALLS["plaster"], 3.0, 120.0),
        "leaves": Texture(leaves(rng), (1.0, 1.0)),
    }


def _busy(ways: list[Float], eyes: Float) -> Float:
    """Places [N,2] that must stay free: the ways, the cameras, and the ground along the lines of sight."""
    spots = [eyes[:, [0, 2]]]
    for way in ways:
        share = np.linspace(0, 1, 9)[:, None, None]
        spots.append((eyes[None, ::4] * (1 - share) + way[None, ::4] * share)[..., [0, 2]].reshape(-1, 2))
    return np.concatenate(spots)


def _walls(rng: np.random.Generator, pieces: Pieces, low: Float, high: Float, ground: Flat, room: bool) -> None:
    """A facade on each side; it reaches below the lowest ground."""
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    tall = 3.0 if room else float(rng.uniform(4.0, 7.0))
    for k in range(4):
        (xa, za), (xb, zb) = corners[k], corners[(k + 1) % 4]  # the wall's face looks inward
        base = min(float(ground.height(xa, za)), float(ground.height(xb, zb)))
        width = float(np.hypot(xb - xa, zb - za))
        name = f"wall{k}"
        rise = abs(float(ground.height(xa, za)) - float(ground.height(xb, zb)))
        pieces.textures[name] = Texture(facade(rng, width, tall + rise, WALL_PPM), (width, tall + rise))
        pieces.sheet(np.array([xa, base, za]), np.array([xb - xa, 0, zb - za]), np.array([0, tall + rise, 0]), name)


def _things(
    rng: np.random.Generator, pieces: Pieces, extent: tuple[Float, Float], busy: Float, ground: Flat, room: bool
) -> None:
    """Boxes, bins, planters, trees and lamp posts where nobody goes and nobody looks through."""
    low, high = extent
    kinds = [_crates, _shelf, _planter] if room else [_crates, _planter, _tree, _bin, _lamp, _crates]
    for _ in range(THINGS):
        for _ in range(12):
            spot = rng.uniform(low + 0.5, high - 0.5)
            if np.linalg.norm(busy - spot, axis=1).min() > KEEP_CLEAR:
                around = spot + np.array([[-0.4, -0.4], [0.4, -0.4], [-0.4, 0.4], [0.4, 0.4], [0, 0]])
                base = float(np.min(ground.height(around[:, 0], around[:, 1])))
                kinds[int(rng.integers(len(kinds)))](rng, pieces, np.array([spot[0], base, spot[1]]))
                break


def _crates(rng: np.random.Generator, pieces: Pieces, at: Float) -> None:
    size = rng.uniform(0.25, 0.65, 3)
    name = str(rng.choice(["wood", "stone", "paint"]))
    for _ in range(int(rng.integers(1, 3))):
        half = size * [0.5, 0, 0.5]
        pieces.box(at - half, at + half + [0, size[1], 0], name, tint=rng.uniform(0.5, 1.1, 3))
        at, size = at + [0, size[1], 0], size * rng.uniform(0.5, 0.9, 3)


def _shelf(rng: np.random.Generator, pieces: Pieces, at: Float) -> None:
    half, tall = np.array([0.3, 0, 0.2]), rng.uniform(0.8, 1.6)
    for level in np.arange(0.3, tall, 0.35):
        pieces.box(at - half + [0, level, 0], at + half + [0, level + 0.03, 0], "wood")
        pieces.box(at - 0.6 * half + [0, level + 0.03, 0], at + 0.6 * half + [0, level + rng.uniform(0.1, 0.3), 0],
                   "paint", tint=rng.uniform(0.2, 1.1, 3))  # fmt: skip


def _planter(rng: np.random.Generator, pieces: Pieces, at: Float) -> None:
    half, tall = np.array([rng.uniform(0.2, 0.4), 0, rng.uniform(0.2, 0.35)]), rng.uniform(0.35, 0.6)
    pieces.box(at - half, at + half + [0, tall, 0], str(rng.choice(["wood", "stone"])))
    pieces.foliage(rng, at + [0, tall + 0.15, 0], half * 1.2 + [0, 0.25, 0], 26, 0.3)


def _tree(rng: np.random.Generator, pieces: Pieces, at: Float) -> None:
    tall = rng.uniform(1.8, 2.6)
    pieces.column(at, rng.uniform(0.07, 0.13), tall + 0.5, "wood", 0.6)
    pieces.foliage(rng, at + [0, tall + 0.8, 0], np.array([1.0, 0.8, 1.0]), 90, 0.6)


def _bin(rng: np.random.Generator, pieces: Pieces, at: Float) -> None:
    pieces.column(at, 0.24, 0.8, "paint", rng.uniform(0.3, 0.9, 3))
    pieces.column(at + [0, 0.8, 0], 0.27, 0.06, "stone", 0.5)


def _lamp(rng: np.random.Generator, pieces: Pieces, at: Float) -> None:
    pieces.column(at, 0.09, 0.35, "stone", 0.6)
    pieces.column(at + [0, 0.35, 0], 0.045, 2.9, "paint", 0.45)
