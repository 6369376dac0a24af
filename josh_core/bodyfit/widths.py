"""Widths of trunk and limbs in a person's mask as evidence of the person's shape.

Lines across the projected bones are followed from the bone to the mask's edge on both sides, and the distance is
compared with the extent that the body's cross-section has there. The mask tells widths beside lengths, in pixels: how
tall somebody is stays what it was. DESIGN section 6.3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import cv2
import numpy as np
import torch

from josh_core.body.names import JOINTS
from josh_core.body.outline import PARTS, Outline
from josh_core.body.skinning import skinned_points
from josh_core.bodyfit.fit_body import SHAPES, Pose
from josh_core.lsq.robust import Cauchy
from josh_core.shapes import Shaped
from josh_core.types import Bool, Float, Int, UInt8

# Chosen by hand, except where a measurement or a source is given.
FRAMES = 40  # at most, in which widths are measured: evenly spread over the track
# How much wider than the body a mask is, mean and standard deviation, m: clothes, and edges that the network rounds.
# After rendered people of seed 33, whose bodies are known, with less for shins: their trousers are wider than most.
WIDER = {
    "trunk": (0.015, 0.02),
    "thigh": (0.008, 0.012),
    "shin": (0.012, 0.015),
    "upper_arm": (0.01, 0.012),
    "forearm": (0.005, 0.01),
}
SECTION_SIGMA = 0.012  # m, what one cross-section has for itself in all frames: folds, and bodies unlike the model's
FRAME_SIGMA = 0.015  # m, of a width in one look: it changes over a clip, and poses have errors that last
PIXEL_SIGMA = 0.8  # label px, of a width in one frame
EDGE_SIGMA = 0.5  # label px, that all widths of a part have in common
ROBUST = Cauchy(2.5)  # of one frame's width about the usual one of its cross-section
LOOSE = Cauchy(1.0)  # of those constant errors that make the mask wider: bags, skirts, jackets
ROUNDS = 5  # of reweighting them
STEPS = 64  # along a line
REACH = 1.8  # of the half width that the body has, as far as the mask's edge is looked for
MORE_REACH = 3.0  # label px
BEYOND = 2.0  # label px beyond an edge that must be background
CLEAR = 0.03  # m between an edge and another part of the body, at least
MAX_SLANT = 0.75  # sine of the angle between bone and picture plane
MIN_DEPTH = 0.1  # m, at which the projection is held
# What may stand before or beside a cross-section: part, joints, how far it goes in lengths of the bone, radius in m.
SOLIDS = (
    ("trunk", "pelvis", "neck", 1.0, 0.15),
    ("head", "neck", "head", 1.8, 0.11),
    ("thigh", "hip", "knee", 1.0, 0.08),
    ("shin", "knee", "ankle", 1.0, 0.055),
    ("foot", "ankle", "foot", 1.3, 0.05),
    ("upper_arm", "shoulder", "elbow", 1.0, 0.05),
    ("forearm", "elbow", "wrist", 1.0, 0.045),
    ("hand", "wrist", "hand", 1.8, 0.05),
)


@dataclass(frozen=True)
class PersonMask(Shaped):
    """Where a track's person is in the label images of its frames."""

    labels: Annotated[UInt8, "T h w"]  # of the whole clip
    label: int  # of this person
    frames: Annotated[Int, "n"]  # of the track
    focal: float  # label px

    def at(self, rows: Int | Bool) -> PersonMask:
        """The mask of some frames of the track."""
        return replace(self, frames=self.frames[rows])


@dataclass(frozen=True)
class Widths(Shaped):
    """Widths of S cross-sections in m frames, m at the person."""

    measured: Annotated[Float, "m S"]  # NaN where no edge of the mask is the outline of that part alone
    predicted: Annotated[Float, "m S"]  # of the body as it is
    by_shape: Annotated[Float, "m S 10"]  # its derivative, in the same place
    pixel: Annotated[Float, "m S"]  # m, size of a label pixel there


@dataclass(frozen=True)
class ShapeEvidence(Shaped):
    """A Gaussian likelihood of the betas: root @ betas - target has unit covariance."""

    root: Annotated[Float, "10 10"]
    target: Annotated[Float, "10"]


def shape_evidence(outline: Outline, pose: Pose, mask: PersonMask, looks: float) -> ShapeEvidence:
    """What the widths in a mask say about the betas, for a first fit `pose` of all frames of the mask.

    looks: number of independent observations among the frames.
    """
    rows = np.unique(np.linspace(0, len(mask.frames) - 1, FRAMES).astype(int))
    some = Pose(pose.rotations[rows], pose.transl[rows], pose.betas)
    return likelihood(measure_widths(outline, some, mask.at(rows)), outline, pose.betas, looks)


def likelihood(widths: Widths, outline: Outline, betas: Float, looks: float) -> ShapeEvidence:
    """The betas' likelihood by widths, for the betas [10] of the widths' body.

    Each part and each cross-section has a constant error of its own. These errors are unknowns with a Gaussian prior,
    robust toward wider ones: a bag or a skirt adds to a width, nothing takes from it. They are integrated out.
    """
    frame, section = np.nonzero(np.isfinite(widths.measured))
    if not len(frame):
        return ShapeEvidence(np.zeros((SHAPES, SHAPES)), np.zeros(SHAPES))
    part, sections = outline.part[section], len(outline.part)
    mean, sigma = np.array([WIDER[name] for name in PARTS]).T
    pixel = widths.pixel[frame, section]
    by_shape = widths.by_shape[frame, section]
    wider = widths.measured[frame, section] - widths.predicted[frame, section]
    weight = _frame_weights(wider, section, pixel) * min(1.0, looks / len(widths.measured))
    sigmas = np.concatenate([np.hypot(sigma, EDGE_SIGMA * np.median(pixel)), np.full(sections, SECTION_SIGMA)])
    precision = sigmas**-2.0
    # Rows: widths by betas, by errors of parts and of cross-sections; then what they should be.
    rows = np.hstack([by_shape, np.eye(len(PARTS))[part], np.eye(sections)[section]])
    normal = rows.T @ (weight[:, None] * rows)
    right = rows.T @ (weight * (wider - mean[part] + by_shape @ betas))
    errors = slice(SHAPES, None)
    for _ in range(ROUNDS):
        whole = normal + np.diag(np.concatenate([np.ones(SHAPES), precision]))
        error = np.linalg.solve(whole, right + np.concatenate([betas, np.zeros(len(precision))]))[errors]
        precision = sigmas**-2.0 * LOOSE.slope((np.maximum(error, 0.0) / sigmas) ** 2)
    gain = np.linalg.solve(normal[errors, errors] + np.diag(precision), normal[errors, :SHAPES]).T
    values, vectors = np.linalg.eigh(normal[:SHAPES, :SHAPES] - gain @ normal[errors, :SHAPES])
    told = values > 1e-9 * values[-1]
    root = np.sqrt(np.where(told, values, 0.0))
    target = vectors.T @ (right[:SHAPES] - gain @ right[errors])
    return ShapeEvidence(root[:, None] * vectors.T, np.where(told, target / np.where(told, root, 1.0), 0.0))


def _frame_weights(wider: Float, section: Int, pixel: Float) -> Float:
    """Precisions [k] of single widths: robust about the usual one of their cross-section."""
    usual = np.zeros(section.max() + 1)
    for s in np.unique(section):
        usual[s] = np.median(wider[section == s])
    spread = np.hypot(FRAME_SIGMA, PIXEL_SIGMA * pixel)
    return ROBUST.slope(((wider - usual[section]) / spread) ** 2) / spread**2


def measure_widths(outline: Outline, pose: Pose, mask: PersonMask) -> Widths:
    """Widths of a body's cross-sections in a mask and as the body has them, in every frame of `pose` and `mask`."""
    rotations, transl, betas = (torch.from_numpy(x) for x in (pose.rotations, pose.transl, pose.betas))
    skinned = skinned_points(outline.table, rotations, transl, betas.expand(len(transl), -1), True)
    assert skinned.by_shape is not None
    points, by_shape = skinned.p.numpy(), skinned.by_shape.numpy()
    a, b = points[:, outline.bone[:, 0]], points[:, outline.bone[:, 1]]
    centre = a + outline.share[:, None] * (b - a)
    view = _View(mask.focal, np.array(mask.labels.shape[:0:-1]) / 2)
    at = view(centre)
    along = view(centre + 0.02 * (b - a)) - at
    along /= np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
    across = np.stack([-along[..., 1], along[..., 0]], -1)  # [m,S,2]
    half, half_by_shape = _extents(outline, points, by_shape, view, at, across)
    found = _edges(mask, at, across, half)
    slant = np.abs((centre * (b - a)).sum(-1)) / (np.linalg.norm(centre, axis=-1) * np.linalg.norm(b - a, axis=-1))
    good = np.isfinite(found).all(-1) & (slant < MAX_SLANT)
    edges = [
        at + sign * across * np.nan_to_num(x[..., k, None]) for x in (found, half) for k, sign in ((0, -1), (1, 1))
    ]
    good &= _alone(outline, points, view, np.stack(edges, 2))
    pixel = np.maximum(centre[..., 2], MIN_DEPTH) / mask.focal
    measured = np.where(good, found.sum(-1), np.nan) * pixel
    return Widths(measured, half.sum(-1) * pixel, half_by_shape * pixel[..., None], pixel)


@dataclass(frozen=True)
class _View:
    """Projection into label images."""

    focal: float
    centre: Float  # [2] px

    def __call__(self, p: Float) -> Float:
        """Label px [...,2] of points [...,3] m in the camera."""
        return self.focal * p[..., :2] / np.maximum(p[..., 2:], MIN_DEPTH) + self.centre


def _extents(
    outline: Outline, points: Float, by_shape: Float, view: _View, at: Float, across: Float
) -> tuple[Float, Float]:
    """How far [m,S,2] label px each cross-section reaches against and along `across`; their sums' derivatives [m,S,10].

    The outermost point stays the same for a small change of the shape.
    """
    frames = np.arange(len(points))
    px = view(points)
    half = np.zeros((*at.shape[:2], 2))
    slope = np.zeros((*at.shape[:2], SHAPES))
    for s in range(len(outline.part)):
        own = np.arange(outline.first[s], outline.first[s + 1])
        reach = ((px[:, own] - at[:, s, None]) * across[:, s, None]).sum(-1)
        for k, (sign, outermost) in enumerate(((-1, reach.argmin(1)), (1, reach.argmax(1)))):
            v = own[outermost]
            half[:, s, k] = sign * reach[frames, outermost]
            ray = (px[frames, v] - view.centre) / view.focal
            turn = np.column_stack([across[:, s], -(across[:, s] * ray).sum(-1)])
            depth = np.maximum(points[frames, v, 2], MIN_DEPTH)
            slope[:, s] += (sign * view.focal / depth)[:, None] * np.einsum("mk,mkb->mb", turn, by_shape[frames, v])
    return half, slope


def _alone(outline: Outline, points: Float, view: _View, edges: Float) -> Bool:
    """Whether [m,S] no other part of the same body is near a cross-section's edges [m,S,E,2] label px."""
    own = np.array([side + PARTS[part] for side, part in zip(outline.side, outline.part, strict=True)])
    alone = np.ones(edges.shape[:2], bool)
    for part, start, end, far, radius in SOLIDS:
        for side in ("left_", "right_") if end not in JOINTS else ("",):
            a, b = (points[:, JOINTS.index(j if j in JOINTS else side + j)] for j in (start, end))
            b = a + far * (b - a)
            near = (radius + CLEAR) * view.focal / np.maximum(0.5 * (a + b)[:, 2], MIN_DEPTH)
            away = _distance(edges, view(a)[:, None, None], view(b)[:, None, None]).min(-1)
            alone &= (away > near[:, None]) | (own == side + part)
    return alone


def _distance(p: Float, a: Float, b: Float) -> Float:
    """Distance [...] of points from the line segments between a and b, each [...,2]."""
    way = b - a
    share = np.clip(((p - a) * way).sum(-1) / np.maximum((way**2).sum(-1), 1e-9), 0, 1)
    return np.linalg.norm(p - a - share[..., None] * way, axis=-1)


def _edges(mask: PersonMask, at: Float, across: Float, half: Float) -> Float:
    """How far [m,S,2] label px the mask reaches from `at` against and along `across`.

    NaN where the mask does not begin or does not end, or ends at another person or at the picture's border.
    """
    reach = REACH * half.max(-1) + MORE_REACH
    away = reach[..., None] * np.linspace(0, 1, STEPS)  # [m,S,STEPS]
    out = np.full(half.shape, np.nan)
    for f, frame in enumerate(mask.frames):
        label = mask.labels[frame]
        own = (label == mask.label).astype(np.float32)
        other = ((label != 0) & (label != mask.label)).astype(np.float32)
        for k, sign in enumerate((-1, 1)):
            line = at[f, :, None] + sign * away[f, ..., None] * across[f, :, None] - 0.5
            out[f, :, k] = _end(_sampled(own, line), _sampled(other, line), away[f])
    return out


def _sampled(picture: Float, line: Float) -> Float:
    """Values of a picture at places [S,STEPS,2] px, 1 outside of it."""
    x, y = (np.ascontiguousarray(line[..., k], np.float32) for k in (0, 1))
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1.0)


def _end(own: Float, other: Float, away: Float) -> Float:
    """Where [S] a mask ends on lines [S,STEPS] at distances `away`; NaN where it is not seen to end at background."""
    lines = np.arange(len(own))
    outside = own < 0.5
    first = np.maximum(outside.argmax(1), 1)
    inner, outer = own[lines, first - 1], own[lines, first]
    share = (inner - 0.5) / np.maximum(inner - outer, 1e-6)
    end = away[lines, first - 1] + share * (away[lines, first] - away[lines, first - 1])
    free = ~((other > 0.05) & (away < end[:, None] + BEYOND)).any(1)
    seen = outside.any(1) & ~outside[:, 0] & (end + BEYOND < away[:, -1])
    return np.where(seen & free, end, np.nan)
