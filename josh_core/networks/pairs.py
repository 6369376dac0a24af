"""Running the networks over pairs of frames: every frame encoded once, pairs decoded in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from josh_core.networks.device import device_of, half_precision, pairs_at_once
from josh_core.networks.frames import NetworkCrop, network_images
from josh_core.networks.mast3r import Mast3r
from josh_core.shapes import check_shapes
from josh_core.types import Int, UInt8


@dataclass(frozen=True)
class DecodedPairs:
    """Decoder tokens of a batch of pairs."""

    rows: Int  # [B] rows of the pair list
    tokens1: list[Tensor]  # 13 of [B,N,C], crop 1
    tokens2: list[Tensor]  # the same for crop 2


@dataclass
class PassCount:
    """How much work was done, in images through the encoder and pairs through the decoders."""

    encoder: int = 0
    decoder: int = 0


@dataclass
class _Features:
    """Encoder tokens of frames that a later pair still needs."""

    uses: Counter[int]
    tokens: dict[int, Tensor] = field(default_factory=dict)

    def release(self, frames: list[int]) -> None:
        for frame in frames:
            self.uses[frame] -= 1
            if not self.uses[frame]:
                del self.tokens[frame]


def decode_pairs(
    network: Mast3r, frames: UInt8, pairs: Int, crop: NetworkCrop, count: PassCount | None = None
) -> Iterator[DecodedPairs]:
    """Tokens of all pairs, batch by batch, in the order given.

    frames: [n,height,width,3] u8; pairs: [E,2] rows of frames. A frame's encoder tokens are kept from its first pair
    to its last, so memory follows the pairs' reach and not the clip's length.
    """
    check_shapes("decode_pairs", frames=(frames, "n h w 3"), pairs=(pairs, "E 2"))
    device = device_of(network)
    batch = pairs_at_once(device, crop.width * crop.height)
    count = count if count is not None else PassCount()
    features = _Features(Counter(pairs.ravel().tolist()))
    for start in range(0, len(pairs), batch):
        rows = np.arange(start, min(start + batch, len(pairs)))
        firsts, seconds = pairs[rows, 0].tolist(), pairs[rows, 1].tolist()
        with torch.inference_mode(), half_precision(device):
            new = [frame for frame in dict.fromkeys(firsts + seconds) if frame not in features.tokens]
            for part in _parts(new, batch):
                tokens = network.encode(network_images(frames[part], crop, device))
                features.tokens.update(zip(part, tokens, strict=True))
            tokens1, tokens2 = (torch.stack([features.tokens[f] for f in side]) for side in (firsts, seconds))
            decoded = network.decode(tokens1, tokens2, crop.grid)
        count.encoder += len(new)
        count.decoder += len(rows)
        features.release(firsts + seconds)
        yield DecodedPairs(rows, *([layer.float() for layer in layers] for layers in decoded))


def _parts(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
