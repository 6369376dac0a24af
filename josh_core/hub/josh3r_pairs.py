"""Which pairs of frames and people JOSH3R is run on, and its predictions for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from josh_core.networks.device import device_of, gpu_seconds, held, hold, on_gpu
from josh_core.networks.focal import focal_from_points
from josh_core.networks.frames import CENTRE_HALF, NetworkCrop, crop_of, network_frame
from josh_core.networks.josh3r import Josh3r
from josh_core.networks.pairs import DecodedPairs, PassCount, decode_pairs
from josh_core.progress import Progress
from josh_core.types import Clip, Float, Int, People, UInt8

# Chosen by hand, except where a measurement or a source is given.
PAIR_SECONDS = 0.1  # between the frames of a pair: three frames at 30 fps, as the network was trained
MIN_BOX_SHARE = 0.5  # share of a person's box that the network must see, in both frames
MAX_DEPTHS = 60  # pairs whose pointmap is kept, evenly spread over the clip
PAIRS_PER_CALL = 120  # pairs in one call to the GPU, so that its duration stays bounded


@dataclass(frozen=True)
class PairPlan:
    """Consecutive keyframes make the pairs; a row is one person in one pair."""

    crop: NetworkCrop
    keyframes: Int  # [K] clip frames; pair e is (keyframes[e], keyframes[e+1]), K - 1 pairs
    row_pair: Int  # [R] pair
    row_person: Int  # [R] index into people.tracks
    row_inside: Float  # [R] share of the person's box that is seen, the lesser of both frames
    row_boxes: Float  # [R,2,4] xyxy, shares of the crop
    depth_pairs: Int  # [D] pairs whose first frame's pointmap is kept


@dataclass(frozen=True)
class PairMotions:
    """JOSH3R's predictions: rows as in the plan, pointmaps as in its depth_pairs; metres but for the depth."""

    rel_rot: Float  # [R,6]
    rel_trans: Float  # [R,3]
    trans: Float  # [R,2,3] SMPL translation in the camera of both frames
    scale: Float  # [R,2] metres per unit of the pointmaps
    depth: Float  # [D,height,width] z in camera of the crop's pixels, in units of its pair
    confidence: Float  # [D,height,width] in [0, 1)
    focal: Float  # [D] px of the frame; NaN where a pointmap gives none
    passes: Int  # [1,2] images through the encoder, pairs through the decoders


def plan_pairs(clip: Clip, people: People) -> PairPlan:
    """Keyframes a tenth of a second apart, the last frame included; people where their box is in crop.

    The network knows the middle half of each frame (its published inference cuts it out). If the best-tracked person
    is not there, it is given the whole frame instead.
    """
    gap = max(1, round(PAIR_SECONDS * clip.fps))
    keyframes = np.unique(np.append(np.arange(0, len(clip), gap), len(clip) - 1))
    half, whole = crop_of(clip, CENTRE_HALF), crop_of(clip)
    best = people.tracks[0]
    crop = half if np.median(_share_inside(half.boxes(best.boxes, clip))) >= MIN_BOX_SHARE else whole
    rows = [
        (pair, person, inside, boxes)
        for person, track in enumerate(people.tracks)
        for pair, inside, boxes in _rows_of_track(track.frames, crop.boxes(track.boxes, clip), keyframes)
    ]
    rows.sort(key=lambda row: row[:2])
    pairs = max(len(keyframes) - 1, 0)
    return PairPlan(
        crop=crop,
        keyframes=keyframes,
        row_pair=np.array([row[0] for row in rows], np.int64),
        row_person=np.array([row[1] for row in rows], np.int64),
        row_inside=np.array([row[2] for row in rows], np.float64),
        row_boxes=np.array([row[3] for row in rows], np.float32).reshape(-1, 2, 4),
        depth_pairs=np.unique(np.linspace(0, pairs - 1, min(pairs, MAX_DEPTHS)).astype(np.int64)),
    )


def _rows_of_track(frames: Int, boxes: Float, keyframes: Int) -> Iterator[tuple[int, float, Float]]:
    """(pair, inside, boxes [2,4]) for every pair of keyframes in both of which the person is seen well enough."""
    at = {int(frame): i for i, frame in enumerate(frames)}
    inside = _share_inside(boxes)
    for pair in range(len(keyframes) - 1):
        first, second = int(keyframes[pair]), int(keyframes[pair + 1])
        if first in at and second in at:
            both = [at[first], at[second]]
            seen = float(inside[both].min())
            if seen >= MIN_BOX_SHARE:
                yield pair, seen, boxes[both]


def _share_inside(boxes: Float) -> Float:
    """Share of each box [n,4], in shares of the crop, that lies in the crop; 0 for a box without area."""
    seen = np.clip(boxes, 0, 1)
    area, seen_area = (np.prod(b[:, 2:] - b[:, :2], axis=-1) for b in (boxes, seen))
    return np.where(area > 0, seen_area / np.maximum(area, 1e-12), 0.0)


def read_pairs(clip: Clip, plan: PairPlan, network: Josh3r, progress: Progress) -> PairMotions:
    """Run the network over the whole plan."""
    key, pairs = hold(network), len(plan.keyframes) - 1
    predictions = [_no_predictions(plan.crop)]
    for start in range(0, pairs, PAIRS_PER_CALL):
        for prediction in _compute(key, _request(clip, plan, start, min(start + PAIRS_PER_CALL, pairs))):
            predictions.append(prediction)
            progress.update(sum(int(a.passes[:, 1].sum()) for a in predictions) / pairs)
    joined = {f.name: np.concatenate([getattr(a, f.name) for a in predictions]) for f in fields(PairMotions)}
    return PairMotions(**joined | {"passes": joined["passes"].sum(0, keepdims=True)})


@dataclass(frozen=True)
class _Request:
    """Pairs of consecutive frames, counted from the first of them."""

    frames: UInt8  # [n,height,width,3]
    row_pair: Int  # [R]
    row_boxes: Float  # [R,2,4]
    depth_pairs: Int  # [D]
    crop: NetworkCrop
    size: tuple[int, int]  # px, width and height of the clip's frames


def _request(clip: Clip, plan: PairPlan, start: int, stop: int) -> _Request:
    rows = (plan.row_pair >= start) & (plan.row_pair < stop)
    depths = plan.depth_pairs[(plan.depth_pairs >= start) & (plan.depth_pairs < stop)]
    return _Request(
        frames=np.stack([network_frame(clip, int(f), plan.crop) for f in plan.keyframes[start : stop + 1]]),
        row_pair=plan.row_pair[rows] - start,
        row_boxes=plan.row_boxes[rows],
        depth_pairs=depths - start,
        crop=plan.crop,
        size=(clip.width, clip.height),
    )


def _seconds(key: str, request: _Request) -> float:
    pairs = len(request.frames) - 1
    return gpu_seconds(len(request.frames), pairs, -(-len(request.row_pair) // max(pairs, 1)))


@on_gpu(_seconds)
def _compute(key: str, request: _Request) -> Iterator[PairMotions]:
    """Predictions of the held network, batch by batch."""
    network: Josh3r = held(key)
    first = np.arange(len(request.frames) - 1)
    count, encoded = PassCount(), 0
    for decoded in decode_pairs(network.mast3r, request.frames, np.stack([first, first + 1], 1), request.crop, count):
        motion = _people_of(network, decoded, request)
        points = _points_of(network, decoded, request)
        yield PairMotions(**motion, **points, passes=np.array([[count.encoder - encoded, len(decoded.rows)]]))
        encoded = count.encoder


@torch.inference_mode()
def _people_of(network: Josh3r, decoded: DecodedPairs, request: _Request) -> dict[str, Float]:
    rows = np.flatnonzero(np.isin(request.row_pair, decoded.rows))
    if not len(rows):
        empty = _no_predictions(request.crop)
        return {name: getattr(empty, name) for name in ("rel_rot", "rel_trans", "trans", "scale")}
    device = device_of(network)
    batch = torch.from_numpy(request.row_pair[rows] - decoded.rows[0]).to(device)  # a row's pair within this batch
    boxes = torch.from_numpy(request.row_boxes[rows]).to(device)
    motion = network.motion(decoded.tokens1[-1][batch], decoded.tokens2[-1][batch], boxes, request.crop.grid)
    return {
        "rel_rot": _numpy(motion.rel_rot),
        "rel_trans": _numpy(motion.rel_trans),
        "trans": _numpy(torch.stack([motion.trans1, motion.trans2], 1)),
        "scale": _numpy(torch.cat([motion.scale1, motion.scale2], 1)),
    }


@torch.inference_mode()
def _points_of(network: Josh3r, decoded: DecodedPairs, request: _Request) -> dict[str, Float]:
    wanted = np.flatnonzero(np.isin(decoded.rows, request.depth_pairs))
    if not len(wanted):
        empty = _no_predictions(request.crop)
        return {name: getattr(empty, name) for name in ("depth", "confidence", "focal")}
    tokens = [layer[wanted] for layer in decoded.tokens1]
    points, confidence = network.mast3r.downstream_head1.points(tokens, request.crop.grid)
    pixels = torch.from_numpy(request.crop.pixels(*request.size)).to(points)
    return {
        "depth": _numpy(points[..., 2]),
        "confidence": _numpy(1 - 1 / confidence),
        "focal": _numpy(focal_from_points(points, confidence, pixels)),
    }


def _numpy(value: Tensor) -> Float:
    return value.float().cpu().numpy()


def _no_predictions(crop: NetworkCrop) -> PairMotions:
    def empty(*shape: int) -> Float:
        return np.zeros((0, *shape), np.float32)

    return PairMotions(
        rel_rot=empty(6),
        rel_trans=empty(3),
        trans=empty(2, 3),
        scale=empty(2),
        depth=empty(crop.height, crop.width),
        confidence=empty(crop.height, crop.width),
        focal=empty(),
        passes=np.zeros((0, 2), np.int64),
    )
