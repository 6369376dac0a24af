"""Time of one full-size pair, and what a 100-frame clip costs in encoder and decoder passes.

    python -m benchmarks.networks [--repeat 3] [--tiny]

The weights are made by rule (their values do not change the time). The published implementation took 12.3 s for the
same pair, median of three on two cores, and 3.68 GB at its peak.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.rule_weights import TINY_ARCHITECTURE, fill_by_rule
from josh_core.hub.josh3r_pairs import plan_pairs, read_pairs
from josh_core.hub.mast3r_pairs import window_pairs
from josh_core.hub.mast3r_scene import choose_keyframes
from josh_core.networks.architecture import Architecture
from josh_core.networks.device import place
from josh_core.networks.frames import NetworkCrop
from josh_core.networks.josh3r import Josh3r
from josh_core.networks.pairs import PassCount, decode_pairs
from josh_core.progress import Progress
from josh_core.types import Clip, People, Track

PUBLISHED_SECONDS, PUBLISHED_GB = 12.3, 3.68  # measured once, see above
HEIGHT, WIDTH = 288, 512  # px, the networks' input for a film of 16 to 9
GRID = (HEIGHT // 16, WIDTH // 16)  # tokens


def build(architecture: Architecture) -> Josh3r:
    """JOSH3R with rule-made weights on the GPU if there is one."""
    with torch.device("meta"):
        network = Josh3r(architecture)
    fill_by_rule(network)
    place(network)
    return network


@torch.inference_mode()
def time_parts(network: Josh3r, repeat: int) -> dict[str, tuple[float, float]]:
    """Median wall and processor seconds of every part of one pair; "pair" is what the published forward does."""
    device = next(network.parameters()).device
    images = torch.randn(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)).to(device)
    boxes = torch.tensor([[[0.3, 0.2, 0.6, 0.9], [0.3, 0.2, 0.6, 0.9]]], device=device)
    mast3r = network.mast3r
    heads = (mast3r.downstream_head1, mast3r.downstream_head2)
    tokens = mast3r.encode(images)
    decoded = mast3r.decode(tokens[:1], tokens[1:], GRID)
    parts: dict[str, Callable[[], object]] = {
        "encode one frame": lambda: mast3r.encode(images[:1]),
        "decode one pair": lambda: mast3r.decode(tokens[:1], tokens[1:], GRID),
        "points of one image": lambda: heads[0].points(decoded[0], GRID),
        "descriptors of one image": lambda: heads[0].descriptors(decoded[0], GRID),
        "one person in one pair": lambda: network.motion(decoded[0][-1], decoded[1][-1], boxes, GRID),
        "pair": lambda: _whole(network, images, boxes),
    }
    return {name: _median_seconds(part, repeat) for name, part in parts.items()}


def _whole(network: Josh3r, images: Tensor, boxes: Tensor) -> None:
    """Everything the published network computes for a pair: both images, both heads, the person."""
    mast3r = network.mast3r
    tokens = mast3r.encode(images)
    decoded = mast3r.decode(tokens[:1], tokens[1:], GRID)
    for head, layers in zip((mast3r.downstream_head1, mast3r.downstream_head2), decoded, strict=True):
        head.points(layers, GRID)
        head.descriptors(layers, GRID)
    network.motion(decoded[0][-1], decoded[1][-1], boxes, GRID)


def _median_seconds(work: Callable[[], object], repeat: int) -> tuple[float, float]:
    wall, processor = [], []
    for _ in range(repeat):
        start, start_processor = time.perf_counter(), time.process_time()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
    return median(wall), median(processor)


def count_josh3r(network: Josh3r, frames: int) -> tuple[int, int, int]:
    """Encoder passes, decoder passes and people for a clip with one person, counted while it runs (small images)."""
    clip = _grey_clip(frames)
    zeros = np.zeros
    track = Track(
        0, np.arange(frames), np.tile([25.0, 10, 40, 40], (frames, 1)), zeros((frames, 33, 2)), zeros((frames, 33)),
        zeros((frames, 33, 3)), np.ones(frames, bool),
    )  # fmt: skip
    plan = replace(plan_pairs(clip, People((track,), zeros((frames, 3, 4), np.uint8))), crop=NetworkCrop(32, 32))
    encoder, decoder = read_pairs(clip, plan, network, Progress()).passes[0].tolist()
    return encoder, decoder, len(plan.row_pair)


def count_scene(network: Josh3r, frames: int) -> tuple[int, int]:
    """Encoder and decoder passes of MASt3R's window of keyframes, counted while it runs (small images)."""
    keyframes = choose_keyframes(_grey_clip(frames))
    images = np.zeros((len(keyframes), 32, 32, 3), np.uint8)
    count = PassCount()
    for _ in decode_pairs(network.mast3r, images, window_pairs(len(keyframes)), NetworkCrop(32, 32), count):
        pass
    return count.encoder, count.decoder


def _grey_clip(frames: int) -> Clip:
    jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 128, np.uint8))[1].tobytes()
    return Clip([jpeg] * frames, np.arange(frames) / 30, 64, 48, 30.0)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--tiny", action="store_true", help="the tiny network: quick, and no ratio")
    args = parser.parse_args()
    tiny = build(TINY_ARCHITECTURE)
    network = tiny if args.tiny else build(Architecture())
    measured = time_parts(network, args.repeat)
    seconds = {name: wall for name, (wall, _) in measured.items()}
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {WIDTH}x{HEIGHT}, median of {args.repeat}")
    for name, (wall, processor) in measured.items():
        print(f"{name:<24s} {wall:8.2f} s   {processor:8.2f} processor seconds")
    if not args.tiny:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"published pair           {PUBLISHED_SECONDS:8.2f} s   ratio {seconds['pair'] / PUBLISHED_SECONDS:.2f}")
        print(f"peak memory              {peak:8.2f} GB  (published {PUBLISHED_GB})")
    encoder, decoder, people = count_josh3r(tiny, args.frames)
    each = (seconds["encode one frame"], seconds["decode one pair"] + seconds["points of one image"])
    total = encoder * each[0] + decoder * each[1] + people * seconds["one person in one pair"]
    print(f"\nJOSH3R, {args.frames} frames, pairs 3 frames apart, one person")
    print(f"encoder passes {encoder} (without reuse {2 * decoder}), decoder passes {decoder}: {total:.0f} s")
    print(f"the same by whole pairs: {decoder * seconds['pair']:.0f} s")
    encoder, decoder = count_scene(tiny, args.frames)
    total = encoder * each[0] + decoder * (sum(each[1:]) + 2 * seconds["descriptors of one image"])
    print(f"\nMASt3R scene, {args.frames} frames, window of 10 keyframes")
    print(f"encoder passes {encoder} (without reuse {2 * decoder}), decoder passes {decoder}: {total:.0f} s")


if __name__ == "__main__":
    main()
