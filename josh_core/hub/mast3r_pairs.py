"""MASt3R over pairs of keyframes: reciprocal matches, and every keyframe's pointmaps merged into one depth map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from josh_core.networks.device import gpu_seconds, held, hold, on_gpu
from josh_core.networks.focal import focal_from_points
from josh_core.networks.frames import NetworkCrop
from josh_core.networks.mast3r import Mast3r
from josh_core.networks.pairs import DecodedPairs, decode_pairs
from josh_core.progress import Progress
from josh_core.types import Bool, Float, Int, UInt8

# Chosen by hand, except where a measurement or a source is given.
STRIDE = 8  # px of the network's image between the points whose match is looked for
WINDOW = 10  # keyframes: how far apart two may be and still be a pair
HALF_CONFIDENCE_SPREAD = 0.03  # relative spread of a pixel's depth over its pointmaps that halves its confidence
_ROUNDS = 5  # there and back until a match is its own match's match
_QUERIES = 256  # descriptors compared with a whole image at once


@dataclass(frozen=True)
class PairMatches:
    """Reciprocal matches of two keyframes, first < second, in whole pixels of the network's image."""

    first: int
    second: int
    xy1: Int  # [m,2]
    xy2: Int  # [m,2]
    confidence: Float  # [m] in [0, 1]


@dataclass(frozen=True)
class Canonical:
    """One depth map for each keyframe, in a unit of its own (about a metre), and focals seen in the pointmaps."""

    depth: Float  # [K,height,width] z in camera, 0 where unknown
    confidence: Float  # [K,height,width] in [0, 1)
    focal: Float  # [F] px of the frame, one for each pointmap; NaN where it gives none


@dataclass(frozen=True)
class Keyframes:
    """Input of the network."""

    frames: UInt8  # [K,height,width,3]
    free: Bool  # [K,height,width] True where no person is
    crop: NetworkCrop
    size: tuple[int, int]  # px, width and height of the clip's frames


def window_pairs(count: int, window: int = WINDOW) -> Int:
    """Ordered pairs [E,2] of keyframes: each with those up to `window` after it, and neighbours both ways.

    The first of a pair gets a pointmap, so both ways for neighbours gives every keyframe one.
    """
    return np.array(
        [(i, j) for i in range(count) for j in range(max(i - 1, 0), min(i + window + 1, count)) if i != j], np.int64
    ).reshape(-1, 2)


def read_keyframes(network: Mast3r, given: Keyframes, progress: Progress) -> tuple[list[PairMatches], Canonical]:
    """Matches of all pairs in the window, and the keyframes' depth maps."""
    pairs = window_pairs(len(given.frames))
    matches: list[PairMatches] = []
    canonical: Canonical | None = None
    done = 0
    for part in _compute(hold(network), given):
        if isinstance(part, Canonical):
            canonical = part
        else:
            matches += part.matches
            done += part.pairs
            progress.update(done / len(pairs))
    assert canonical is not None  # the last part of every computation
    return matches, canonical


@dataclass(frozen=True)
class _Batch:
    pairs: int  # done
    matches: list[PairMatches]


def _seconds(key: str, given: Keyframes) -> float:
    return gpu_seconds(len(given.frames), len(window_pairs(len(given.frames))))


@on_gpu(_seconds)
def _compute(key: str, given: Keyframes) -> Iterator[_Batch | Canonical]:
    """Matches batch by batch, then the depth maps."""
    network: Mast3r = held(key)
    pairs = window_pairs(len(given.frames))
    merged = _Merged(given)
    for decoded in decode_pairs(network, given.frames, pairs, given.crop):
        merged.add(network, decoded, pairs[decoded.rows, 0])
        yield _Batch(len(decoded.rows), _matches_of(network, decoded, pairs[decoded.rows], given))
    yield merged.result()


@torch.inference_mode()
def _matches_of(network: Mast3r, decoded: DecodedPairs, pairs: Int, given: Keyframes) -> list[PairMatches]:
    """Matches of the pairs whose first keyframe comes first; the others only serve the depth maps."""
    descriptors1, confidence1 = network.downstream_head1.descriptors(decoded.tokens1, given.crop.grid)
    descriptors2, confidence2 = network.downstream_head2.descriptors(decoded.tokens2, given.crop.grid)
    free = torch.from_numpy(given.free).to(descriptors1.device).flatten(1)  # [K,N]
    found = []
    for b, (i, j) in enumerate(pairs.tolist()):
        if i > j:
            continue
        seeds = _grid(given.crop, free.device)
        at1, at2 = reciprocal(descriptors1[b].flatten(0, 1), descriptors2[b].flatten(0, 1), free[i], free[j], seeds)
        trust = (confidence1[b].flatten()[at1] * confidence2[b].flatten()[at2]).sqrt()
        xy1, xy2 = (torch.stack([at % given.crop.width, at // given.crop.width], -1).cpu().numpy() for at in (at1, at2))
        found.append(PairMatches(i, j, xy1, xy2, (trust / (1 + trust)).cpu().numpy()))
    return found


def _grid(crop: NetworkCrop, device: torch.device) -> Tensor:
    """Flat indices of every STRIDE-th pixel."""
    rows = torch.arange(STRIDE // 2, crop.height, STRIDE, device=device)
    columns = torch.arange(STRIDE // 2, crop.width, STRIDE, device=device)
    return (rows[:, None] * crop.width + columns).flatten()


def reciprocal(
    descriptors1: Tensor, descriptors2: Tensor, free1: Tensor, free2: Tensor, seeds: Tensor
) -> tuple[Tensor, Tensor]:
    """Pixels of image 1 and 2 that are each other's nearest descriptor: flat indices [m], [m], without doubles.

    descriptors1, descriptors2: [N,24] unit; free1, free2: [N] bool, pixels that may match; seeds: [s] flat indices in
    image 1 to start from. A seed whose match's match is elsewhere goes on from there, a few times.
    """
    index1, index2 = free1.nonzero()[:, 0], free2.nonzero()[:, 0]
    start = seeds[free1[seeds]]
    if not len(start) or not len(index2):
        return start[:0], start[:0]
    all1, all2 = descriptors1[index1], descriptors2[index2]
    pairs = []
    for _ in range(_ROUNDS):
        there = index2[_nearest(descriptors1[start], all2)]
        back = index1[_nearest(descriptors2[there], all1)]
        settled = back == start
        pairs.append(torch.stack([start[settled], there[settled]], -1))
        start = back[~settled]
        if not len(start):
            break
    both = torch.cat(pairs).unique(dim=0)
    return both[:, 0], both[:, 1]


def _nearest(queries: Tensor, candidates: Tensor) -> Tensor:
    """Row of candidates [M,24] nearest to each of queries [m,24]."""
    return torch.cat([(part @ candidates.T).argmax(1) for part in queries.split(_QUERIES)])


class _Merged:
    """Running weighted means of every keyframe's pointmaps, each brought to the same median depth first."""

    def __init__(self, given: Keyframes) -> None:
        self.given = given
        shape = given.free.shape
        self.weight = np.zeros(shape)
        self.depth = np.zeros(shape)  # weighted sum, of depth over its pointmap's median
        self.square = np.zeros(shape)
        self.trust = np.zeros(shape)  # weighted sum of confidence
        self.log_median: list[list[float]] = [[] for _ in range(shape[0])]
        self.focal: list[float] = []

    @torch.inference_mode()
    def add(self, network: Mast3r, decoded: DecodedPairs, firsts: Int) -> None:
        """The pointmap of every pair's first image; firsts: [B] its keyframe."""
        points, confidence = network.downstream_head1.points(decoded.tokens1, self.given.crop.grid)
        free = torch.from_numpy(self.given.free[firsts]).to(points.device)
        pixels = torch.from_numpy(self.given.crop.pixels(*self.given.size)).to(points)
        self.focal += focal_from_points(points, confidence * free, pixels).tolist()
        for b, k in enumerate(firsts.tolist()):
            self._add_one(k, points[b, ..., 2].double().cpu().numpy(), confidence[b].double().cpu().numpy())

    def _add_one(self, k: int, depth: Float, confidence: Float) -> None:
        front = self.given.free[k] & (depth > 0) & np.isfinite(depth)
        if not front.any():
            return
        median = float(np.median(depth[front]))
        weight, depth = confidence * front, np.where(front, depth / median, 0.0)
        self.log_median[k].append(np.log(median))
        self.weight[k] += weight
        self.depth[k] += weight * depth
        self.square[k] += weight * depth**2
        self.trust[k] += weight * confidence

    def result(self) -> Canonical:
        known = self.weight > 0
        weight = np.where(known, self.weight, 1.0)
        depth = self.depth / weight
        spread = np.sqrt(np.maximum(self.square / weight - depth**2, 0)) / np.maximum(depth, 1e-9)
        confidence = (1 - 1 / np.maximum(self.trust / weight, 1)) / (1 + (spread / HALF_CONFIDENCE_SPREAD) ** 2)
        unit = np.array([np.exp(np.mean(logs)) if logs else 1.0 for logs in self.log_median])
        depth = np.where(known, depth * unit[:, None, None], 0.0)
        return Canonical(
            depth.astype(np.float32), np.where(known, confidence, 0.0).astype(np.float32), np.array(self.focal)
        )
