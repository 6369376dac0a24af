"""A camera that travels: keyframes mapped by structure from motion, then all tracks in one bundle adjustment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from josh_core.lsq.robust import Cauchy
from josh_core.progress import Progress
from josh_core.scene.camera.bundle_adjustment import Adjusted, SightingNoise, adjust
from josh_core.scene.camera.lens import FocalPrior, Lens
from josh_core.scene.camera.mapper import MapperMap, MapperProblem, map_keyframes
from josh_core.scene.camera.rotation_only import RotationSolution
from josh_core.scene.camera.sparse_model import SparseModel, residuals, triangulate
from josh_core.scene.matching.tracks import Sightings, Tracks, sightings_of
from josh_core.shapes import Shaped
from josh_core.threads import in_threads
from josh_core.types import Float, Int

# Chosen by hand, except where a measurement or a source is given.
MAP_GAPS = (1, 2, 3, 5, 8, 13, 21, 34)  # keyframes between the images of a pair
MAPPED_POINTS = 300  # most keypoints of a keyframe that the mapper gets: enough to start from, and they cost time
# Of the longest side: each is tried, since from a wrong focal the map comes out wrong.
TRIED_FOCALS = (0.8, 1.15, 0.55, 1.6)
# Cost of a map, the mean of Cauchy(8) of errors in noises, below which no further focals are tried: the adjustment that
# follows frees the focal. Chosen so that clips whose camera travels mostly need the first two only.
GOOD_MAP = 10.0
LITTLE_PARALLAX = 10.0  # in units of track noise: with less parallax the mapper is not tried
FIRST_POINTS = 400  # points of the first, quick adjustment
CAUCHY_WIDTHS = (32.0, 8.0, 2.0)  # noises: where the weight of a sighting falls to a half, from tolerant to strict
DISTORTED_COST = 0.95  # a lens is called distorted when that lowers the cost to this share,
DISTORTED_SIGMAS = 3.0  # is this many of its standard deviations away from none,
DISTORTED_NOISES = 1.0  # and moves the corners of the image by this many noises: less is not worth resampling the clip
MIN_POINTS = 30  # of a map: fewer tell nothing of the camera's way
USUAL_DEPTH = 8.0  # units: the median distance of the points that the map is scaled to
TRAVEL_COST = 0.6  # a camera counts as moving if translation lowers the cost to this share of that of rotation alone


@dataclass(frozen=True)
class KeyMap(Shaped):
    """A map of keyframes: cameras and points, in the world of the first of them."""

    frames: Annotated[Int, "R"]  # the keyframes in it, ascending
    model: SparseModel  # their cameras, and the points
    ids: Annotated[Int, "P"]  # track of each point, ascending
    focal_sigma: float  # relative


@dataclass(frozen=True)
class _Start:
    """Where a bundle adjustment begins."""

    frames: Int  # [R]
    rotations: Float  # [R,3,3] world_from_cam
    centres: Float  # [R,3]
    lens: Lens


def solve_moving(
    tracks: Tracks, keyframes: Int, turning: RotationSolution, prior: FocalPrior, seed: int, progress: Progress
) -> KeyMap | None:
    """Map of the keyframes, or None where no translation is found.

    turning: the best camera that only rotates; a camera that moves by centimetres starts from it.
    """
    mapped = None
    if float(np.percentile(turning.residual, 90)) > LITTLE_PARALLAX * tracks.noise:
        mapped = _best_map(tracks, keyframes, prior, seed, progress)
    still = _Start(keyframes, turning.world_from_cam, np.zeros((len(keyframes), 3)), Lens(turning.focal))
    start = mapped or still
    progress.update(0.7)
    sightings, ids = sightings_of(tracks, start.frames, 3)
    if len(ids) < MIN_POINTS:
        return None
    model = triangulate(start.rotations, start.centres, start.lens, sightings, len(ids))
    if mapped is None:
        model = _all_at_one_distance(model, sightings)
    adjusted = _adjust_in_two(model, sightings, prior, tracks.noise)
    if mapped is None and not _travels(adjusted, sightings, prior, tracks.noise):
        return None
    return _filtered_map(adjusted, sightings, start.frames, ids, tracks.noise)


def _best_map(tracks: Tracks, keyframes: Int, prior: FocalPrior, seed: int, progress: Progress) -> _Start | None:
    """Maps with several focals, two at a time until one is good; the one whose cameras explain all tracks best."""
    focals = [f * max(tracks.size) for f in TRIED_FOCALS] if prior.sigma > 0 else [prior.focal]
    problem = mapper_problem(tracks, keyframes, seed)
    best, least = None, np.inf
    with ThreadPoolExecutor(2) as pool:
        for two in (focals[:2], focals[2:]):
            maps = list(pool.map(lambda f: map_keyframes(replace(problem, focal=f), progress), two))
            for start in (_from_map(found, keyframes) for found in maps if found is not None):
                cost = _map_cost(start, tracks, len(keyframes))
                if cost < least:
                    best, least = start, cost
            if least < GOOD_MAP:
                break
    return best


def _map_cost(start: _Start, tracks: Tracks, keyframes: int) -> float:
    """How badly a map's cameras explain all tracks; more where some of the keyframes are missing."""
    sightings, ids = sightings_of(tracks, start.frames, 3)
    model = triangulate(start.rotations, start.centres, start.lens, sightings, len(ids))
    off = np.linalg.norm(residuals(model, sightings), axis=-1) / tracks.noise
    return float(Cauchy(8.0).value(off**2).mean()) * (keyframes / len(start.frames)) ** 2


def mapper_problem(tracks: Tracks, keyframes: Int, seed: int) -> MapperProblem:
    """Keypoints and matches for the mapper, drawn at random (the longest tracks would all be far away)."""
    sightings, ids = sightings_of(tracks, keyframes, 3)
    order = np.random.default_rng(seed).permutation(len(ids))
    rows = []
    for k in range(len(keyframes)):
        mine = np.nonzero(sightings.camera == k)[0]
        rows.append(mine[np.argsort(order[sightings.point[mine]], kind="stable")[:MAPPED_POINTS]])
    pairs, matches = [], []
    for a in range(len(keyframes)):
        for b in (a + gap for gap in MAP_GAPS if a + gap < len(keyframes)):
            ours, theirs = sightings.point[rows[a]], sightings.point[rows[b]]
            _, i, j = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
            if len(i) >= 20:
                pairs.append((a, b))
                matches.append(np.stack([i, j], -1))
    return MapperProblem(
        size=np.array(tracks.size),
        focal=TRIED_FOCALS[0] * max(tracks.size),
        keypoint_starts=np.concatenate([[0], np.cumsum([len(r) for r in rows])]),
        keypoints=sightings.xy[np.concatenate(rows)] + tracks.centre,
        pairs=np.array(pairs, np.int64).reshape(-1, 2),
        match_starts=np.concatenate([[0], np.cumsum([len(m) for m in matches])]).astype(np.int64),
        matches=np.concatenate([np.zeros((0, 2), np.int64), *matches]),
        max_error=4 * tracks.noise,
        seed=seed,
    )


def _from_map(found: MapperMap, keyframes: Int) -> _Start:
    """The mapper's cameras with the first of them as the world and a spread of one."""
    rotations = found.cam_from_world[:, :, :3].swapaxes(-1, -2)
    centres = -np.einsum("kij,kj->ki", rotations, found.cam_from_world[:, :, 3])
    first = rotations[0].T
    centres = (centres - centres[0]) @ first.T
    size = np.sqrt((centres**2).sum(-1).mean())
    return _Start(keyframes[found.images], first @ rotations, centres / max(size, 1e-12), Lens(found.focal))


def _all_at_one_distance(model: SparseModel, sightings: Sightings) -> SparseModel:
    """Points for cameras that do not move yet. (Structure from accidental motion starts so: Yu, Gallup, CVPR 2014.)"""
    rays = np.concatenate([sightings.xy / model.lens.focal, np.ones((len(sightings.xy), 1))], -1)
    rays = np.einsum("oij,oj->oi", model.rotations[sightings.camera], rays)
    mean = np.stack([np.bincount(sightings.point, rays[:, i], len(model.rays)) for i in range(3)], -1)
    return replace(model, rays=mean / np.linalg.norm(mean, axis=-1, keepdims=True), inverse=np.ones(len(model.rays)))


def _adjust_in_two(model: SparseModel, sightings: Sightings, prior: FocalPrior, noise: float) -> Adjusted:
    """Cameras and lens from some of the points, with and without distortion; then everything."""
    anchors = np.sort(np.random.default_rng(0).permutation(len(model.rays))[:FIRST_POINTS])
    number = np.full(len(model.rays), -1)
    number[anchors] = np.arange(len(anchors))
    few = sightings.where(number[sightings.point] >= 0)
    few = replace(few, point=number[few.point])
    small = replace(model, rays=model.rays[anchors], inverse=model.inverse[anchors])
    straight_prior = replace(prior, distortion_sigma=0.0)

    def settled(lens: FocalPrior) -> Adjusted:
        if lens is straight_prior:
            return _settle(replace(small, lens=Lens(model.lens.focal)), few, lens, noise)
        # From the map again: the best straight lens may be far off, and the way back from it ends half-way. So may the
        # first descent, as focal and distortion move together along a narrow valley.
        return _settle(_settle(small, few, lens, noise).model, few, lens, noise)

    bent, straight = in_threads(settled, (prior, straight_prior))
    if bent.cost < DISTORTED_COST * straight.cost:
        best, kept = bent, prior
    else:
        best, kept = straight, straight_prior
    full = triangulate(
        best.model.rotations,
        best.model.centres,
        best.model.lens,
        sightings,
        len(model.rays),
    )
    adjusted = adjust(full, sightings, kept, SightingNoise.usual(noise), 8)
    if kept is prior and not _is_bent(adjusted, sightings, noise):
        return adjust(adjusted.model, sightings, straight_prior, SightingNoise.usual(noise), 8)
    return adjusted


def _is_bent(adjusted: Adjusted, sightings: Sightings, noise: float) -> bool:
    """Whether the distortion is known to be there, and seen: else the lens is straight."""
    lens = adjusted.model.lens
    radius = float(np.linalg.norm(sightings.xy, axis=-1).max())  # px, the farthest that is seen
    moved = abs(lens.distortion) * radius**3 / lens.focal**2
    return abs(lens.distortion) > DISTORTED_SIGMAS * adjusted.distortion_sigma and moved > DISTORTED_NOISES * noise


def _settle(model: SparseModel, sightings: Sightings, prior: FocalPrior, noise: float) -> Adjusted:
    """Adjustment from wide to narrow robust weights, so that a poor initial focal does not make all points outliers."""
    for width in CAUCHY_WIDTHS[:-1]:
        model = adjust(model, sightings, prior, SightingNoise(noise, width * noise), 12).model
    return adjust(model, sightings, prior, SightingNoise(noise, CAUCHY_WIDTHS[-1] * noise), 20)


def _travels(adjusted: Adjusted, sightings: Sightings, prior: FocalPrior, noise: float) -> bool:
    """Whether travel explains the tracks much better than turning on the spot with the same lens."""
    model = adjusted.model
    still = replace(model, centres=np.zeros_like(model.centres), inverse=np.zeros_like(model.inverse))
    turned = adjust(still, sightings, replace(prior, focal=model.lens.focal, sigma=0.0), SightingNoise.usual(noise), 4)
    return adjusted.cost < TRAVEL_COST * turned.cost


def _filtered_map(adjusted: Adjusted, sightings: Sightings, frames: Int, ids: Int, noise: float) -> KeyMap | None:
    """The map scaled to USUAL_DEPTH, with only the points that agree with their observations; None without enough."""
    model = adjusted.model
    good = np.bincount(sightings.point[adjusted.residual < 4 * noise], minlength=len(ids)) >= 3
    good &= model.inverse > -1e-3
    if good.sum() < MIN_POINTS:
        return None
    depth = 1 / np.maximum(model.inverse[good], 1e-4)
    scale = USUAL_DEPTH / float(np.median(depth))
    model = replace(
        model,
        centres=model.centres * scale,
        rays=model.rays[good],
        inverse=model.inverse[good] / scale,
    )
    return KeyMap(frames, model, ids[good], adjusted.focal_sigma)
