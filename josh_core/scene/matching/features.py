"""XFeat features and LighterGlue matches, with the weights that lie in assets/ (kornia runs LighterGlue)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional

from josh_core.errors import WeightsError
from josh_core.scene.matching.xfeat import CELL, XFeatNet, sample
from josh_core.types import Bool, Float, Int, UInt8

ASSETS = Path(__file__).parent / "assets"
KEYPOINT_THRESHOLD = 0.05  # of the keypoint softmax; XFeat's own default
PEAK = np.ones((5, 5), np.uint8)  # px within which a keypoint is the best one; XFeat's own default
MATCH_THRESHOLD = 0.1  # of LighterGlue's assignment; its own default


def _weights(name: str) -> dict[str, torch.Tensor]:
    """Weights in full precision, whatever precision they are stored in. Raises WeightsError if the file is missing."""
    from safetensors.torch import load_file

    path = ASSETS / f"{name}.safetensors"
    if not path.exists():
        raise WeightsError(f"The bundled weights {path.name} are missing; install the package again.")
    stored = load_file(path)
    return {name: value.float() if value.is_floating_point() else value for name, value in stored.items()}


def _load_strictly(net: torch.nn.Module, state: dict[str, torch.Tensor], computed: set[str]) -> None:
    """Load `state` and refuse any missing or left-over key but the buffers in `computed`. Raises WeightsError."""
    try:
        missing, unexpected = net.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"The bundled weights do not fit {type(net).__name__}: {error}") from error
    wrong = sorted((set(missing) - computed) | set(unexpected))
    if wrong:
        raise WeightsError(f"The bundled weights do not fit {type(net).__name__}: {', '.join(wrong[:5])}.")
    net.eval()


@lru_cache(maxsize=1)
def load_xfeat() -> XFeatNet:
    """XFeat's network with bundled weights, ready for inference. Raises WeightsError."""
    net = XFeatNet()
    _load_strictly(net, _weights("xfeat"), set())
    return net.fused()


@lru_cache(maxsize=1)
def load_lighterglue() -> Any:
    """LighterGlue (kornia.feature.LightGlue in XFeat's layout) with bundled weights. Raises WeightsError."""
    from kornia.feature import LightGlue

    model = LightGlue(
        None,  # type: ignore[arg-type]  # what kornia's own documentation says for weights of one's own
        input_dim=64,
        descriptor_dim=96,
        n_layers=6,
        num_heads=1,
        depth_confidence=-1,
        width_confidence=0.95,
        filter_threshold=MATCH_THRESHOLD,
        weights=None,
    )
    _load_strictly(model, _weights("lighterglue"), {"confidence_thresholds"})
    return model


class FeatureMap:
    """XFeat's output for one image: where keypoints are, and a descriptor for any pixel of it."""

    @torch.inference_mode()
    def __init__(self, rgb: UInt8) -> None:
        """rgb: [h,w,3] u8; it is resized to whole multiples of 32 px, as the network needs."""
        self.height, self.width = rgb.shape[:2]
        image = torch.tensor(rgb).permute(2, 0, 1)[None].float() / 255
        self._net_size = (max(32, self.height // 32 * 32), max(32, self.width // 32 * 32))
        image = functional.interpolate(image, self._net_size, mode="bilinear", align_corners=False)
        self._dense, logits, reliability = load_xfeat()(image)
        keypointness = functional.pixel_shuffle(logits.softmax(1)[:, :-1], CELL)
        reliability = functional.interpolate(reliability, self._net_size, mode="bilinear", align_corners=False)
        probability = keypointness[0, 0].numpy()
        y, x = np.nonzero((probability == cv2.dilate(probability, PEAK)) & (probability > KEYPOINT_THRESHOLD))
        self._keypoints = (np.stack([x, y], -1) + 0.5) * self._ratio()
        self._scores = probability[y, x] * reliability[0, 0].numpy()[y, x]

    def _ratio(self) -> Float:
        return np.array([self.width / self._net_size[1], self.height / self._net_size[0]])

    def keypoints(self, allowed: Bool, most: int) -> Float:
        """The best keypoints [n,2] px (centres at integers + 0.5) where `allowed` [h,w] is True, best first."""
        px, scores = self._keypoints, self._scores
        at = px.astype(int)
        keep = allowed[at[:, 1].clip(0, self.height - 1), at[:, 0].clip(0, self.width - 1)]
        order = np.argsort(-scores[keep], kind="stable")[:most]
        return px[keep][order]

    @torch.inference_mode()
    def describe(self, px: Float) -> torch.Tensor:
        """Unit descriptors [n,64] at pixels px [n,2] of the image."""
        at = torch.from_numpy(px / self._ratio() - 0.5).float()[None]
        out = sample(self._dense, at, *self._net_size)[0]
        return functional.normalize(out, dim=-1)


@torch.inference_mode()
def match(
    px_a: Float, descriptors_a: torch.Tensor, px_b: Float, descriptors_b: torch.Tensor, size: tuple[int, int]
) -> tuple[Int, Float]:
    """LighterGlue between two sets of features of images of one `size` (width, height).

    px_a, px_b: [n,2], [m,2]; descriptors: [n,64], [m,64]. Returns rows (a, b) [M,2] and scores [M] in [0, 1].
    """
    if len(px_a) == 0 or len(px_b) == 0:
        return np.zeros((0, 2), np.int64), np.zeros(0)
    wh = torch.tensor([size], dtype=torch.float32)
    limit = np.array(size, np.float32)
    data = {
        name: {
            "keypoints": torch.from_numpy(np.clip(px, 0, limit).astype(np.float32))[None],
            "descriptors": descriptors[None],
            "image_size": wh,
        }
        for name, px, descriptors in (("image0", px_a, descriptors_a), ("image1", px_b, descriptors_b))
    }
    out = load_lighterglue()(data)
    return out["matches"][0].numpy().astype(np.int64), out["scores"][0].numpy().astype(np.float64)
