"""Keyframes into one world: verified matches, the spanning tree of the strongest, and one pose and scale along it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from josh_core.geometry import invert, rigid, transform, unproject
from josh_core.hub.mast3r_pairs import Canonical, PairMatches
from josh_core.types import Bool, Float, Int

# Chosen by hand, except where a measurement or a source is given.
EPIPOLAR_ERROR = 1.5  # px of the network's image; matches come in whole pixels
RESECTION_ERROR = 3.0  # px of the network's image: larger, because depth errors add
MIN_MATCHES = 16  # that a pair needs to be used
PLACING_CONFIDENCE = 0.2  # confidence that a depth needs to place a keyframe


@dataclass(frozen=True)
class PlacedKeyframes:
    """Keyframes in one world whose unit is about that of their depth maps."""

    world_from_cam: Float  # [K,4,4]
    scale: Float  # [K] world units in a unit of the keyframe's depth map
    known: Bool  # [K] False where only the pose of the neighbour is known


def verified(matches: PairMatches, seed: int) -> PairMatches:
    """The matches that one epipolar geometry explains."""
    if len(matches.xy1) < MIN_MATCHES:
        return _chosen(matches, np.zeros(len(matches.xy1), np.bool_))
    cv2.setRNGSeed(seed)
    _, inlier = cv2.findFundamentalMat(
        matches.xy1.astype(np.float64), matches.xy2.astype(np.float64), cv2.USAC_MAGSAC, EPIPOLAR_ERROR, 0.999, 2000
    )
    keep = np.zeros(len(matches.xy1), np.bool_) if inlier is None else inlier[:, 0] > 0
    return _chosen(matches, keep if keep.sum() >= MIN_MATCHES else np.zeros_like(keep))


def _chosen(m: PairMatches, keep: Bool) -> PairMatches:
    return PairMatches(m.first, m.second, m.xy1[keep], m.xy2[keep], m.confidence[keep])


def spanning_tree(matches: list[PairMatches], count: int) -> Int:
    """Edges [K-1,2] (parent, child), parents before their children, along the strongest matches.

    A pair's strength is the sum of its confidences. Neighbours are always joined, if only by a token strength, so that
    every keyframe has its place. The root is the keyframe with the strongest edges.
    """
    strength = np.zeros((count, count))
    for m in matches:
        strength[m.first, m.second] = m.confidence.sum()
    joined = strength.copy()
    neighbours = np.arange(count - 1)
    joined[neighbours, neighbours + 1] += 1e-6
    cost = np.where(joined > 0, 1 / np.maximum(joined, 1e-12), 0)
    tree = minimum_spanning_tree(csr_matrix(cost))
    root = int((strength + strength.T).sum(1).argmax())
    order, parent = breadth_first_order(tree, root, directed=False)
    return np.array([(parent[child], child) for child in order[1:]], np.int64).reshape(-1, 2)


def place_keyframes(matches: list[PairMatches], canonical: Canonical, k_network: Float, seed: int) -> PlacedKeyframes:
    """Poses and scales along the spanning tree, by resection of each child from its parent's depth.

    k_network: [3,3] intrinsics in px of the network's image (its pixels may be a little wider than high).
    """
    count = len(canonical.depth)
    by_pair = {(m.first, m.second): m for m in matches}
    world_from_cam = np.tile(np.eye(4), (count, 1, 1))
    scale, known = np.ones(count), np.zeros(count, np.bool_)
    for parent, child in spanning_tree(matches, count).tolist():
        pair = by_pair.get((min(parent, child), max(parent, child)))
        found = None if pair is None else _child_from_parent(pair, parent, canonical, k_network, seed)
        if found is None:
            world_from_cam[child], scale[child] = world_from_cam[parent], scale[parent]
            continue
        child_from_parent, ratio = found
        parent_from_child = invert(child_from_parent)
        parent_from_child[:3, 3] *= scale[parent]
        world_from_cam[child] = world_from_cam[parent] @ parent_from_child
        scale[child] = scale[parent] * ratio
        known[[parent, child]] = True
    unit = float(np.exp(np.median(np.log(scale))))
    world_from_cam[:, :3, 3] /= unit
    return PlacedKeyframes(invert(world_from_cam[0]) @ world_from_cam, scale / unit, known)


def _child_from_parent(
    pair: PairMatches, parent: int, canonical: Canonical, k: Float, seed: int
) -> tuple[Float, float] | None:
    """Rigid motion [4,4] in the parent's unit, and the parent's units in a unit of the child; None where it fails."""
    forward = pair.first == parent
    child = pair.second if forward else pair.first
    xy_parent, xy_child = (pair.xy1, pair.xy2) if forward else (pair.xy2, pair.xy1)
    depth, trust = (_at(value[parent], xy_parent) for value in (canonical.depth, canonical.confidence))
    usable = (depth > 0) & (trust > PLACING_CONFIDENCE)
    if usable.sum() < MIN_MATCHES:
        return None
    p_parent = unproject(k, xy_parent[usable] + 0.5, depth[usable])
    child_from_parent = resect(p_parent, xy_child[usable] + 0.5, k, seed)
    if child_from_parent is None:
        return None
    depth_parent_unit = transform(child_from_parent, p_parent)[:, 2]
    depth_child_unit = _at(canonical.depth[child], xy_child[usable])
    both = (depth_parent_unit > 0) & (depth_child_unit > 0)
    if both.sum() < MIN_MATCHES:
        return None
    return child_from_parent, float(np.median(depth_parent_unit[both] / depth_child_unit[both]))


def resect(points: Float, px: Float, k: Float, seed: int) -> Float | None:
    """cam_from_points [4,4] of a camera k that sees points [N,3] at px [N,2], robustly; None where it fails."""
    cv2.setRNGSeed(seed)
    try:
        ok, rvec, tvec, inlier = cv2.solvePnPRansac(
            points, px, k, None, iterationsCount=200, reprojectionError=RESECTION_ERROR, flags=cv2.SOLVEPNP_SQPNP
        )
        if not ok or inlier is None or len(inlier) < MIN_MATCHES:
            return None
        rows = np.asarray(inlier).ravel()
        rvec, tvec = cv2.solvePnPRefineLM(points[rows], px[rows], k, None, rvec, tvec)
    except cv2.error:
        return None  # degenerate points
    pose = rigid(np.asarray(cv2.Rodrigues(rvec)[0]), np.asarray(tvec)[:, 0])
    return pose if np.isfinite(pose).all() else None


def _at(image: Float, xy: Int) -> Float:
    """Values [m] of an image [height,width] at whole pixels [m,2]."""
    return image[xy[:, 1], xy[:, 0]]
