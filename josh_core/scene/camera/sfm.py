"""A camera that travels: keyframes mapped by structure from motion, then all tracks in one bundle adjustment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from josh_core.progress import Progress
from josh_core.scene.camera.bundle_adjustment import TOLERANCE, Adjusted, SightingNoise, adjust
from josh_core.scene.camera.lens import FocalPrior, Lens
from josh_core.scene.camera.mapper import MapperMap, MapperProblem, map_keyframes
from josh_core.scene.camera.rotation_only import RotationSolution
from josh_core.scene.camera.sparse_model import SparseModel, refined_points, triangulate
from josh_core.scene.matching.tracks import Sightings, Tracks, sightings_of
from josh_core.shapes import Shaped
from josh_core.threads import in_threads
from josh_core.types import Float, Int

# Chosen by hand, except where a measurement or a source is given.
MAP_GAPS = (1, 2, 3, 5, 8, 13, 21, 34)  # keyframes between the images of a pair
MAPPED_POINTS = 300  # most keypoints of a keyframe that the mapper gets: enough to start from, and they cost time
# Of the longest side: each is tried, since from a wrong focal the map comes out wrong.
TRIED_FOCALS = (0.8, 1.15, 0.55, 1.6)
# Natural logarithm, and relative: focals and costs of two settled maps, up to which they are one
SAME_FOCAL, SAME_COST = 0.05, 0.02
# Steps of some of the points and of all, and relative decrease of the cost at which they end. With 20, 8 and 1e-5 the
# focal of a camera that moves sideways was left off (side tracking of `benchmarks.rendered_clips`).
SETTLED_STEPS, FULL_STEPS, VALLEY_TOLERANCE = 60, 12, 1e-6
BENT_MAPS = 2  # maps that settle behind a lens that bends where they disagree: the costly step
LITTLE_PARALLAX = 10.0  # in units of track noise: with less parallax the mapper is not tried
FIRST_POINTS = 250  # points of the first, quick adjustment
CAUCHY_WIDTHS = (32.0, 8.0, 2.0)  # noises: where the weight of a sighting falls to a half, from tolerant to strict
DISTORTED_COST = 0.95  # a lens is called distorted when that lowers the cost to this share,
DISTORTED_SIGMAS = 3.0  # is this many of its standard deviations away from none,
DISTORTED_NOISES = 1.0  # and moves the corners of the image by this many noises: less is not worth resampling the clip
EXPLAINED_NOISES = 4.0  # noises: a sighting that is off by less is explained
MIN_POINTS = 30  # of a map: fewer tell nothing of the camera's way
USUAL_DEPTH = 8.0  # units: the median distance of the points that the map is scaled to
# Points near each other err alike too. Chosen so that the focals of travelling cameras in rendered clips of
# seeds 21 and 33 err as much as is stated.
MORE_ALIKE = 1.3
TRAVEL_COST = 0.6  # a camera counts as moving if translation lowers the cost to this share of that of rotation alone


@dataclass(frozen=True)
class KeyMap(Shaped):
    """A map of keyframes: cameras and points, in the world of the first of them."""

    frames: Annotated[Int, "R"]  # the keyframes in it, ascending
    model: SparseModel  # their cameras, and the points
    ids: Annotated[Int, "P"]  # track of each point, ascending
    focal_sigma: float  # relative
    explained: float = 1.0  # share of all sightings that cameras and points explain

    def sample(self, tracks: Tracks, count: int) -> tuple[SparseModel, Sightings]:
        """The map with at most `count` of its points, the same in every run, and their sightings in its keyframes."""
        sightings, ids = sightings_of(tracks, self.frames, 3)
        common = np.intersect1d(ids, self.ids)
        chosen = np.sort(np.random.default_rng(0).permutation(common)[:count])
        number = np.full(len(ids), -1)
        number[np.searchsorted(ids, chosen)] = np.arange(len(chosen))
        few = sightings.where(number[sightings.point] >= 0)
        rows = np.searchsorted(self.ids, chosen)
        model = replace(self.model, rays=self.model.rays[rows], inverse=self.model.inverse[rows])
        return model, replace(few, point=number[few.point])


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
    start = mapped.start if mapped else still
    progress.update(0.7)
    sightings, ids = sightings_of(tracks, start.frames, 3)
    if len(ids) < MIN_POINTS:
        return None
    model = triangulate(start.rotations, start.centres, start.lens, sightings, len(ids))
    if mapped is None:
        model = _all_at_one_distance(model, sightings)
    adjusted = _adjust_in_two(model, sightings, prior, tracks.noise, mapped)
    if mapped is None and not _travels(adjusted, sightings, prior, tracks.noise):
        return None
    return _filtered_map(adjusted, sightings, start.frames, ids, tracks.noise)


def _best_map(tracks: Tracks, keyframes: Int, prior: FocalPrior, seed: int, progress: Progress) -> _Candidate | None:
    """The map that explains the tracks best once it has settled.

    From a wrong focal the adjustment may end in another place, with a multiple of the cost. So two maps from unlike
    focals must settle to one lens; else two more are made, and the best settle behind a lens that bends too.
    """
    focals = [f * max(tracks.size) for f in TRIED_FOCALS] if prior.sigma > 0 else [prior.focal]
    problem = mapper_problem(tracks, keyframes, seed)
    found: list[_Candidate] = []
    with ThreadPoolExecutor(2) as pool:
        for two in (focals[:2], focals[2:]):
            maps = list(pool.map(lambda f: map_keyframes(replace(problem, focal=f), progress), two))
            starts = [_from_map(m, keyframes) for m in maps if m is not None]
            settled = in_threads(lambda s: _settled_straight(s, tracks, prior, len(keyframes)), starts)
            found += [one for one in settled if one is not None]
            if len(found) == 2 and found[0].agrees(found[1]):
                return min(found, key=lambda one: one.cost)
    best = sorted(found, key=lambda one: one.cost)[:BENT_MAPS]
    if len(best) > 1:
        best = list(in_threads(lambda one: _settled_bent(one, tracks, prior), best))
    return min(best, key=lambda one: one.cost) if best else None


@dataclass(frozen=True)
class _Candidate:
    """A map, and how it settles with some of its points."""

    start: _Start
    straight: Adjusted  # behind a lens without distortion
    missing: float  # factor on its cost for keyframes that are not in it
    bent: Adjusted | None = None  # behind one that may have some, where that was tried

    @property
    def cost(self) -> float:
        """Of a sighting."""
        least = min(one.cost for one in (self.straight, self.bent) if one is not None)
        return least / len(self.straight.residual) * self.missing

    def agrees(self, other: _Candidate) -> bool:
        """Whether both settle to one straight lens at the same cost."""
        focals = (self.straight.model.lens.focal, other.straight.model.lens.focal)
        least, most = sorted((self.cost, other.cost))
        return bool(abs(np.log(focals[0] / focals[1])) < SAME_FOCAL and most - least < SAME_COST * least)


def _settled_straight(start: _Start, tracks: Tracks, prior: FocalPrior, keyframes: int) -> _Candidate | None:
    """A map settled behind a straight lens; None with too few points."""
    model, sightings = _triangulated(start, tracks)
    if len(model.rays) < MIN_POINTS:
        return None
    straight_prior = replace(prior, distortion_sigma=0.0)
    straight = _settle(*_fewer(model, sightings), straight_prior, tracks.noise, SETTLED_STEPS, VALLEY_TOLERANCE)
    return _Candidate(start, straight, (keyframes / len(start.frames)) ** 2)


def _settled_bent(candidate: _Candidate, tracks: Tracks, prior: FocalPrior) -> _Candidate:
    return replace(candidate, bent=_settle_bent(*_fewer(*_triangulated(candidate.start, tracks)), prior, tracks.noise))


def _triangulated(start: _Start, tracks: Tracks) -> tuple[SparseModel, Sightings]:
    sightings, ids = sightings_of(tracks, start.frames, 3)
    return triangulate(start.rotations, start.centres, start.lens, sightings, len(ids)), sightings


def _fewer(model: SparseModel, sightings: Sightings) -> tuple[SparseModel, Sightings]:
    """The same with FIRST_POINTS of the points, drawn at random."""
    kept = np.sort(np.random.default_rng(0).permutation(len(model.rays))[:FIRST_POINTS])
    number = np.full(len(model.rays), -1)
    number[kept] = np.arange(len(kept))
    few = sightings.where(number[sightings.point] >= 0)
    small = replace(model, rays=model.rays[kept], inverse=model.inverse[kept])
    return small, replace(few, point=number[few.point])


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


def _adjust_in_two(
    model: SparseModel, sightings: Sightings, prior: FocalPrior, noise: float, mapped: _Candidate | None
) -> Adjusted:
    """Cameras and lens from some of the points, with and without distortion; then everything.

    mapped: the map that `model` is of, which has settled already.
    """
    small, few = _fewer(model, sightings)
    straight_prior = replace(prior, distortion_sigma=0.0)
    straight = mapped.straight if mapped else _settle(small, few, straight_prior, noise)
    bent = mapped.bent if mapped and mapped.bent else _settle_bent(small, few, prior, noise)
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
    full = refined_points(full, sightings, noise)
    adjusted = adjust(full, sightings, kept, SightingNoise.usual(noise), FULL_STEPS, VALLEY_TOLERANCE)
    if kept is prior and not _is_bent(adjusted, sightings, noise):
        return adjust(
            adjusted.model, sightings, straight_prior, SightingNoise.usual(noise), FULL_STEPS, VALLEY_TOLERANCE
        )
    return adjusted


def _is_bent(adjusted: Adjusted, sightings: Sightings, noise: float) -> bool:
    """Whether the distortion is known to be there, and seen: else the lens is straight."""
    lens = adjusted.model.lens
    radius = float(np.linalg.norm(sightings.xy, axis=-1).max())  # px, the farthest that is seen
    moved = abs(lens.distortion) * radius**3 / lens.focal**2
    return abs(lens.distortion) > DISTORTED_SIGMAS * adjusted.distortion_sigma and moved > DISTORTED_NOISES * noise


def _settle_bent(model: SparseModel, sightings: Sightings, prior: FocalPrior, noise: float) -> Adjusted:
    """The model of a map settled behind a lens that may bend.

    From the map, as the best straight lens may be far off, and the way back from it ends half-way. So may the first
    descent, as focal and distortion move together along a narrow valley: so there are two.
    """
    return _settle(_settle(model, sightings, prior, noise).model, sightings, prior, noise)


def _settle(
    model: SparseModel, sightings: Sightings, prior: FocalPrior, noise: float, steps: int = 20, until: float = TOLERANCE
) -> Adjusted:
    """Adjustment from wide to narrow robust weights, so that a poor initial focal does not make all points outliers.

    steps, until: of the last one, and the relative decrease of the cost at which it ends.
    """
    for width in CAUCHY_WIDTHS[:-1]:
        model = adjust(model, sightings, prior, SightingNoise(noise, width * noise), 12).model
    return adjust(model, sightings, prior, SightingNoise(noise, CAUCHY_WIDTHS[-1] * noise), steps, until)


def _travels(adjusted: Adjusted, sightings: Sightings, prior: FocalPrior, noise: float) -> bool:
    """Whether travel explains the tracks much better than turning on the spot with the same lens."""
    model = adjusted.model
    still = replace(model, centres=np.zeros_like(model.centres), inverse=np.zeros_like(model.inverse))
    turned = adjust(still, sightings, replace(prior, focal=model.lens.focal, sigma=0.0), SightingNoise.usual(noise), 4)
    return adjusted.cost < TRAVEL_COST * turned.cost


def _filtered_map(adjusted: Adjusted, sightings: Sightings, frames: Int, ids: Int, noise: float) -> KeyMap | None:
    """The map scaled to USUAL_DEPTH, with only the points that agree with their observations; None without enough."""
    model = adjusted.model
    explained = adjusted.residual < EXPLAINED_NOISES * noise
    good = np.bincount(sightings.point[explained], minlength=len(ids)) >= 3
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
    # The sightings of one point err alike, since flow carries its errors on: they count as one.
    alike = float(np.sqrt(len(sightings.point) / len(ids)))
    sigma = MORE_ALIKE * alike * adjusted.focal_sigma
    return KeyMap(frames, model, ids[good], sigma, float(explained.mean()))
