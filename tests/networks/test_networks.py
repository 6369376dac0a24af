"""Parity with the published networks: outputs and intermediates under weights made by the same rule."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.rule_weights import TINY_ARCHITECTURE, fill_by_rule
from josh_core.networks.architecture import PATCH, Architecture
from josh_core.networks.heads import DenseHead, Dpt
from josh_core.networks.josh3r import Josh3r, RootMotion, roi_align
from josh_core.networks.layers import rotary_table, rotate
from josh_core.networks.mast3r import Mast3r

DATA = Path(__file__).parent / "data"
IMAGES_SHA = "c86f06f193517dfcd8c66c27fb4cac449e49f99437811c6603e394a8619d782d"
Golden = dict[str, np.ndarray]


def golden(name: str) -> Golden:
    with np.load(DATA / name, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def images(seed: int, batch: int, height: int, width: int) -> Tensor:
    """[2,batch,3,height,width], the view first."""
    noise = np.random.default_rng(seed).standard_normal((batch, 2, 3, height, width)).astype(np.float32)
    if seed == 0:
        assert hashlib.sha256(noise.tobytes()).hexdigest() == IMAGES_SHA
    return torch.from_numpy(noise).transpose(0, 1)


@torch.inference_mode()
def run(
    network: Josh3r, views: Tensor, boxes: np.ndarray
) -> tuple[RootMotion, list[list[Tensor]], list[tuple[Tensor, Tensor]]]:
    """RootMotion, decoder tokens and (points, confidence) of both views [2,B,3,H,W] with boxes [B,2,4] px."""
    height, width = views.shape[-2:]
    grid = (height // PATCH, width // PATCH)
    encoded = network.mast3r.encode(views.flatten(0, 1)).unflatten(0, (2, -1))
    decoded = list(network.mast3r.decode(encoded[0], encoded[1], grid))
    shares = torch.from_numpy(boxes) / torch.tensor([width, height, width, height])
    motion = network.motion(decoded[0][-1], decoded[1][-1], shares, grid)
    heads = heads_of(network)
    return motion, decoded, [head.points(tokens, grid) for head, tokens in zip(heads, decoded, strict=True)]


def heads_of(network: Josh3r) -> tuple[DenseHead, DenseHead]:
    return network.mast3r.downstream_head1, network.mast3r.downstream_head2


@contextmanager
def recorded(modules: dict[str, nn.Module]) -> Iterator[dict[str, list[Tensor]]]:
    """Outputs of modules, by name, one per call."""
    seen: dict[str, list[Tensor]] = {name: [] for name in modules}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: seen[name].append(output)

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    yield seen
    for handle in handles:
        handle.remove()


def close(actual: Any, expected: np.ndarray, tolerance: float, name: str) -> None:
    actual = np.asarray(actual)
    assert actual.shape == expected.shape, f"{name}: {actual.shape} instead of {expected.shape}"
    worst = np.abs(actual - expected).max()
    assert worst < tolerance, f"{name} differs by {worst:.2e}"


def check_fill(network: Josh3r, want: Golden) -> None:
    state = network.state_dict()
    for key, total in zip(want["fill_check_keys"], want["fill_check_sum"], strict=True):
        assert float(state[str(key)].double().sum()) == pytest.approx(float(total), abs=1e-9), key


@torch.inference_mode()
def check_everything(network: Josh3r, want: Golden, tolerance: float) -> None:
    """Every stored intermediate and output of the landscape pair."""
    views = images(0, 1, 288, 512)
    mast3r, heads = network.mast3r, heads_of(network)
    probes: dict[str, nn.Module] = {
        "patch_embed": mast3r.patch_embed.proj,
        "enc_norm": mast3r.enc_norm,
        "mast3r_dec": mast3r.dec_norm,
        "josh_dec": network.dec_norm,
        "dpt_raw1": heads[0].dpt,
        "dpt_raw2": heads[1].dpt,
        "log_scale1": network.scene_head_1,
        "log_scale2": network.scene_head_2,
        "human_feat1": network.human_feat_extractor_1,
        "human_feat2": network.human_feat_extractor_2,
    }
    with recorded(probes) as seen:
        motion, decoded, dense = run(network, views, want["bbox"])
    step, token, channel = (int(want[k]) for k in ("subsample_stride", "mid_token_stride", "mid_roi_channel_stride"))
    for name, value in motion._asdict().items():
        close(value, want[name], tolerance, name)
    close(seen["patch_embed"][0][:, :16], want["mid_patch_embed"], tolerance, "patch_embed")
    close(seen["enc_norm"][0][:, ::token], want["mid_enc_norm"], tolerance, "enc_norm")
    grid = (18, 32)
    shares = torch.from_numpy(want["bbox"]) / torch.tensor([512, 288, 512, 288])
    for k in (1, 2):
        last, new = seen["mast3r_dec"][k - 1], seen["josh_dec"][k - 1]
        close(last[:, ::token], want[f"mid_mast3r_dec{k}_last"], tolerance, f"decoder {k}")
        close(new[:, ::token], want[f"mid_josh_dec{k}_new"], tolerance, f"person decoder {k}")
        close(new[:, -1], want[f"mid_human_token{k}"], tolerance, f"human token {k}")
        close(new[:, :-1].amax(1), want[f"mid_scene_token{k}"], tolerance, f"scene token {k}")
        roi = roi_align(last.transpose(1, 2).unflatten(-1, grid), shares[:, k - 1])
        close(roi[:, ::channel], want[f"mid_roi{k}"], tolerance, f"roi {k}")
        for name in ("human_feat", "log_scale"):
            close(seen[f"{name}{k}"][0], want[f"mid_{name}{k}"], tolerance, f"{name} {k}")
        raw = seen[f"dpt_raw{k}"][0].permute(0, 2, 3, 1)
        close(raw[:, ::step, ::step], want[f"mid_dpt_raw{k}"], tolerance, f"dpt {k}")
        points, confidence = dense[k - 1]
        close(points[:, ::step, ::step], want[f"X{k}1"], tolerance, f"points {k}")
        close(confidence[:, ::step, ::step], want[f"C{k}1"], tolerance, f"confidence {k}")
        stats = want[f"X{k}1_full_stats"]
        flat = points.double()
        assert [flat.mean(), flat.std(correction=0)] == pytest.approx(list(stats[:2]), abs=tolerance)
        assert float(flat.abs().sum()) == pytest.approx(stats[2], rel=tolerance)
        descriptors, trust = heads[k - 1].descriptors(decoded[k - 1], grid)
        close(descriptors[:, ::step, ::step], want[f"desc{k}"], tolerance, f"descriptors {k}")
        close(trust[:, ::step, ::step], want[f"desc_conf{k}"], tolerance, f"descriptor confidence {k}")


def test_tiny_landscape(tiny: Josh3r) -> None:
    want = golden("golden_tiny.npz")
    check_fill(tiny, want)
    check_everything(tiny, want, 2e-5)


@pytest.mark.parametrize(
    ("prefix", "seed", "batch", "height", "width"), [("b2", 1, 2, 288, 512), ("portrait", 2, 1, 512, 288)]
)
def test_tiny_batch_and_portrait(tiny: Josh3r, prefix: str, seed: int, batch: int, height: int, width: int) -> None:
    """A batch of two with boxes partly outside the image, and a portrait pair."""
    want = golden("golden_tiny.npz")
    motion, _, dense = run(tiny, images(seed, batch, height, width), want[f"{prefix}_bbox"])
    for name, value in motion._asdict().items():
        close(value, want[f"{prefix}_{name}"], 2e-5, name)
    for k in (1, 2):
        close(dense[k - 1][0].flatten(1, 2)[:, ::97], want[f"{prefix}_X{k}1"], 2e-5, f"points {k}")


@pytest.mark.slow
def test_full_network() -> None:
    """The published sizes: 754 million parameters, about 4 GB, a minute or two on two cores."""
    with torch.device("meta"):
        network = Josh3r(Architecture())
    fill_by_rule(network)
    want = golden("golden_full.npz")
    check_fill(network, want)
    check_everything(network, want, 2e-4)


def published(column: int) -> dict[str, tuple[int, ...]]:
    """Key -> shape of the published list; column 1 is the full network, 2 the tiny one."""
    lines = (DATA / "state_dict.txt").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split() for line in lines]
    shapes = {row[0]: row[column] for row in rows if row[column] != "."}
    return {key: () if text == "-" else tuple(map(int, text.split(","))) for key, text in shapes.items()}


@pytest.mark.parametrize(("architecture", "column", "count"), [(Architecture(), 1, 1342), (TINY_ARCHITECTURE, 2, 1078)])
def test_keys_and_shapes_are_the_published_ones(architecture: Architecture, column: int, count: int) -> None:
    want = {key: shape for key, shape in published(column).items() if not key.startswith("smpl.")}
    with torch.device("meta"):
        josh3r, mast3r = Josh3r(architecture), Mast3r(architecture)
    ours = {key: tuple(value.shape) for key, value in josh3r.state_dict().items()}
    assert len(ours) == count
    assert ours == want
    alone = {f"mast3r.{key}": tuple(value.shape) for key, value in mast3r.state_dict().items()}
    assert alone == {key: shape for key, shape in want.items() if key.startswith("mast3r.")}


def test_parameter_counts_are_the_published_ones() -> None:
    with torch.device("meta"):
        network = Josh3r()
    assert sum(p.numel() for p in network.mast3r.parameters()) == 688_638_856
    assert sum(p.numel() for p in network.parameters()) == 754_037_908


def test_rotary_attention_depends_on_differences_only() -> None:
    """q.k after rotation is the same when both tokens move by the same offset, and not when only one moves."""
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 32, generator=generator, dtype=torch.float32)

    def score(at_q: tuple[float, float], at_k: tuple[float, float]) -> float:
        turned = [rotate(x, rotary_table(torch.tensor([at]), 32)) for x, at in ((q, at_q), (k, at_k))]
        return float((turned[0] * turned[1]).sum())

    assert score((3, 5), (7, 2)) == pytest.approx(score((-1, 9), (3, 6)), abs=1e-4)
    assert abs(score((3, 5), (7, 2)) - score((3, 5), (2, 7))) > 0.1


def test_roi_align_samples_edges_and_repeats_the_border() -> None:
    columns = torch.arange(4.0).expand(1, 1, 4, 4)  # value = column index at the centre of each cell
    whole = roi_align(columns, torch.tensor([[0.125, 0.125, 0.875, 0.875]]))
    assert whole[0, 0, 0].tolist() == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3])
    outside = roi_align(columns, torch.tensor([[2.0, 2.0, 3.0, 3.0]]))
    assert outside.unique().tolist() == [3]


def test_odd_grids_keep_the_image_size() -> None:
    """A grid with an odd side is rounded up at the coarsest level and cropped again."""
    dpt = Dpt(64, 48).eval()
    tokens = [torch.zeros(1, 15, 64)] + [torch.zeros(1, 15, 48)] * 12
    assert dpt(tokens, (5, 3)).shape == (1, 4, 80, 48)
