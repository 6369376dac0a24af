"""Bundled networks: loaded strictly, and they find and match what they should."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from josh_core.errors import WeightsError
from josh_core.scene.matching import features
from josh_core.scene.matching.features import FeatureMap, match
from josh_core.scene.matching.xfeat import sample


def texture(height: int = 240, width: int = 320) -> np.ndarray:
    rng = np.random.default_rng(0)
    image = np.zeros((height, width, 3), np.float32)
    for cells in (8, 20, 60):
        spots = rng.normal(0, 1, (height * cells // width, cells, 1)).astype(np.float32)
        image += cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return np.clip(128 + 40 * image, 0, 255).astype(np.uint8)


def test_networks_are_ready_for_inference() -> None:
    assert not features.load_xfeat().training
    assert not features.load_lighterglue().training


def test_xfeat_is_that_of_kornia() -> None:
    theirs = getattr(pytest.importorskip("kornia.feature"), "XFeat", None)
    if theirs is None:
        pytest.skip("kornia has XFeat for Python 3.11 and newer")
    model = theirs().eval()
    missing, unexpected = model.net.load_state_dict(features._weights("xfeat"), strict=False)
    assert not unexpected and all(name.startswith("fine_matcher.") for name in missing)
    image = torch.from_numpy(texture(96, 160)).permute(2, 0, 1)[None].float() / 255
    px = torch.rand(1, 50, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([159.0, 95.0])
    with torch.inference_mode():
        for ours, published in zip(features.load_xfeat()(image), model.net(image), strict=True):
            torch.testing.assert_close(ours, published, rtol=1e-5, atol=1e-5)
        dense = model.net(image)[0]
        torch.testing.assert_close(sample(dense, px, 96, 160), model.interpolator(dense, px, 96, 160))


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    state = features._weights("xfeat")
    key = "block1.0.layer.0.weight"
    if change == "missing":
        del state[key]
    elif change == "extra":
        state["left_over"] = torch.zeros(1)
    else:
        state[key] = torch.zeros(1, 2, 3)
    monkeypatch.setattr(features, "_weights", lambda name: state)
    features.load_xfeat.cache_clear()
    with pytest.raises(WeightsError):
        features.load_xfeat()
    features.load_xfeat.cache_clear()


def test_missing_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(features, "ASSETS", tmp_path)
    with pytest.raises(WeightsError, match=r"xfeat\.safetensors"):
        features._weights("xfeat")


def test_keypoints_keep_to_where_they_may_be() -> None:
    allowed = np.zeros((240, 320), bool)
    allowed[:, :160] = True
    px = FeatureMap(texture()).keypoints(allowed, 100)
    assert 20 < len(px) <= 100
    assert (px[:, 0] < 160).all()


def test_a_shifted_picture_is_matched_at_its_shift() -> None:
    picture = texture()
    first, second = picture[:, :288], picture[:, 32:]  # 32 px to the left
    maps = [FeatureMap(np.ascontiguousarray(p)) for p in (first, second)]
    everywhere = np.ones(first.shape[:2], bool)
    px = [m.keypoints(everywhere, 300) for m in maps]
    rows, scores = match(px[0], maps[0].describe(px[0]), px[1], maps[1].describe(px[1]), (288, 240))
    off = px[0][rows[:, 0]] - px[1][rows[:, 1]] - [32, 0]
    assert len(rows) > 60
    assert (np.linalg.norm(off, axis=1) < 2).mean() > 0.95
    assert ((scores > 0) & (scores <= 1)).all()


def test_nothing_matches_nothing() -> None:
    rows, scores = match(np.zeros((0, 2)), torch.zeros(0, 64), np.zeros((0, 2)), torch.zeros(0, 64), (320, 240))
    assert len(rows) == len(scores) == 0


def test_a_blank_picture_has_no_keypoints() -> None:
    blank = FeatureMap(np.full((240, 320, 3), 90, np.uint8))
    assert len(blank.keypoints(np.ones((240, 320), bool), 100)) == 0
