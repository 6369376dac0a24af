"""Kinds of ground: height everywhere, possible footholds, and pieces to be drawn.

x, z and heights in m, +Y up. Walks start at height 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.rendered.pieces import Pieces
from josh_core.types import Float

HEEL, TIP = 0.09, 0.23  # m a shoe reaches behind and ahead of the ankle, with some room
STEP_ROOM = 0.08  # m more before an edge that is stepped over
Extent = tuple[Float, Float]  # low and high (x, z) of what is to be covered


@dataclass(frozen=True)
class Flat:
    """The plane y = 0."""

    def height(self, x: Float, z: Float) -> Float:
        """Heights of the ground at x, z of any shape."""
        return 0.0 * (np.asarray(x) + np.asarray(z))

    def gradient(self, x: Float, z: Float) -> Float:
        """Slopes [...,2] along x and z."""
        return np.zeros((*np.broadcast_shapes(np.shape(x), np.shape(z)), 2))

    def foothold(self, spot: Float, heading: float) -> Float:
        """The place [2] next to `spot` where a foot pointing along `heading` rad has room."""
        return spot

    def draw(self, pieces: Pieces, extent: Extent) -> None:
        """Add the ground's pieces; textures "ground" and "stone" are there."""
        floor(pieces, extent, 0.0)


@dataclass(frozen=True)
class Slope(Flat):
    """A plane that rises along +z through the origin's height 0."""

    rise: float = 0.1  # m a metre

    def height(self, x: Float, z: Float) -> Float:
        return self.rise * np.asarray(z, np.float64) + 0.0 * np.asarray(x)

    def gradient(self, x: Float, z: Float) -> Float:
        return super().gradient(x, z) + [0.0, self.rise]

    def draw(self, pieces: Pieces, extent: Extent) -> None:
        (x0, z0), (x1, z1) = extent
        corner = np.array([x0, self.rise * z1, z1])
        pieces.quad(corner, np.array([x1 - x0, 0, 0]), np.array([0, self.rise * (z0 - z1), z0 - z1]), "ground")


@dataclass(frozen=True)
class Steps(Flat):
    """Height 0 up to z = `start`, then `count` steps up (or down) along +z, then flat again. A kerb has one step."""

    start: float = 0.0  # m
    count: int = 1
    rise: float = 0.16  # m a step, negative when it goes down
    depth: float = 0.3  # m

    def height(self, x: Float, z: Float) -> Float:
        steps = np.floor((np.asarray(z, np.float64) - self.start) / self.depth) + 1
        return self.rise * np.clip(steps, 0, self.count) + 0.0 * np.asarray(x)

    def foothold(self, spot: Float, heading: float) -> Float:
        ahead = np.cos(heading)
        behind, front = (HEEL, TIP) if ahead > 0 else (TIP, HEEL)
        edges = self.start + self.depth * np.arange(self.count)
        if self.count > 1:  # a tread: its middle
            k = (spot[1] + (front - behind) / 2 - self.start) / self.depth
            if 0 <= k < self.count:
                return np.array([spot[0], self.start + (np.floor(k) + 0.5) * self.depth - (front - behind) / 2])
        front, behind = front + STEP_ROOM, behind + STEP_ROOM / 2
        for edge in edges[[0, -1]]:
            if edge - front < spot[1] < edge + behind:
                nearer = edge - front if spot[1] < edge - (front - behind) / 2 else edge + behind
                return np.array([spot[0], nearer])
        return spot

    def draw(self, pieces: Pieces, extent: Extent) -> None:
        (x0, z0), (x1, z1) = extent
        end = self.start + self.depth * (self.count - 1)
        floor(pieces, (np.array([x0, z0]), np.array([x1, self.start])), 0.0)
        floor(pieces, (np.array([x0, end]), np.array([x1, z1])), self.rise * self.count)
        for k in range(self.count):
            z, low, high = self.start + k * self.depth, self.rise * k, self.rise * (k + 1)
            bottom, top = min(low, high), max(low, high)
            wide, tall = np.array([x1 - x0, 0, 0]), np.array([0, top - bottom, 0])
            if self.rise > 0:
                pieces.quad(np.array([x1, bottom, z]), -wide, tall, "stone", 0.85)
            else:
                pieces.quad(np.array([x0, bottom, z]), wide, tall, "stone", 0.85)
            if k < self.count - 1:
                pieces.quad(np.array([x0, high, z + self.depth]), wide, np.array([0, 0, -self.depth]), "stone")


@dataclass(frozen=True)
class Block(Flat):
    """A box (or a bench) on the plane y = 0, with height `top` between low and high (x, z)."""

    low: tuple[float, float] = (-0.5, -0.5)
    high: tuple[float, float] = (0.5, 0.5)
    top: float = 1.0  # m

    def height(self, x: Float, z: Float) -> Float:
        x, z = np.asarray(x), np.asarray(z)
        on = (x > self.low[0]) & (x < self.high[0]) & (z > self.low[1]) & (z < self.high[1])
        return np.where(on, self.top, 0.0)

    def draw(self, pieces: Pieces, extent: Extent) -> None:
        floor(pieces, extent, 0.0)
        low = np.array([self.low[0], 0.0, self.low[1]])
        pieces.box(low, np.array([self.high[0], self.top, self.high[1]]), "wood", top="wood")


def floor(pieces: Pieces, extent: Extent, height: float) -> None:
    """A level rectangle."""
    (x0, z0), (x1, z1) = extent
    pieces.quad(np.array([x0, height, z1]), np.array([x1 - x0, 0, 0]), np.array([0, 0, z0 - z1]), "ground")
