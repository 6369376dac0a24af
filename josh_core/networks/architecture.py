"""Sizes of the networks, and how a weight file states them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from josh_core.errors import WeightsError

PATCH = 16  # px, side of the image patch behind one token
HOOKS = (0, 6, 9, 12)  # which of a view's token lists the dense head reads; 0 is the encoder's output


@dataclass(frozen=True)
class Architecture:
    """Sizes of the networks. The defaults are the published ones: ViT-Large encoder, ViT-Base decoders."""

    enc_dim: int = 1024
    enc_depth: int = 24
    enc_heads: int = 16
    dec_dim: int = 768
    dec_depth: int = 12
    dec_heads: int = 12

    def __post_init__(self) -> None:
        sizes = [getattr(self, f.name) for f in fields(self)]
        whole = all(type(size) is int and 0 < size <= 4096 for size in sizes)
        if not whole or self.enc_dim % (4 * self.enc_heads) or self.dec_dim % (4 * self.dec_heads):
            raise WeightsError(f"The weight file describes an impossible network: {self}; get the file again.")
        if self.dec_depth != HOOKS[-1]:
            raise WeightsError(
                f"The weight file describes {self.dec_depth} decoder blocks; the heads need {HOOKS[-1]}."
            )

    def to_json(self) -> str:
        """As stored in a safetensors file's metadata."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Architecture:
        """Raises WeightsError when the text is not an architecture."""
        try:
            return Architecture(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise WeightsError("The weight file describes no known network; get the file again.") from error
