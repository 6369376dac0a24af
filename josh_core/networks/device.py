"""Where networks run: device, precision, batch size, and the one decorator that asks ZeroGPU for a GPU.

On ZeroGPU a decorated function runs in a process of its own, for as long as it said it would. So it is a generator of
numpy arrays, it states its duration from the work at hand, and it finds its network by a key instead of being given it.
Everywhere else the decorator changes nothing, whether `spaces` is installed or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ParamSpec, TypeVar

import torch
from torch import nn

P = ParamSpec("P")
Item = TypeVar("Item")

# Guesses for a ZeroGPU card, which was not at hand: too short a duration kills the run, too long a one costs quota.
START_SECONDS = 10.0  # the process starts and its weights arrive
ENCODE_SECONDS = 0.04  # one frame
DECODE_SECONDS = 0.10  # one pair, both decoders and dense heads
PERSON_SECONDS = 0.01  # one person in one pair
LONGEST_SECONDS = 300.0  # asked of ZeroGPU at once

# Measured: working memory of one pair. The published sizes in float32 peak 0.7 GB above their weights at 512 x 288 px.
BYTES_PER_PIXEL = 6000
_MAX_PAIRS = 16  # decoded at once; chosen by hand
_SHARE_OF_FREE = 0.6  # of the free memory that one batch may take; chosen by hand

_held: dict[str, nn.Module] = {}


def on_gpu(seconds: Callable[P, float]) -> Callable[[Callable[P, Iterator[Item]]], Callable[P, Iterator[Item]]]:
    """Decorator for a generator that computes on the GPU; `seconds` gets the same arguments and tells its duration."""

    def decorate(compute: Callable[P, Iterator[Item]]) -> Callable[P, Iterator[Item]]:
        try:
            import spaces
        except ImportError:
            return compute
        return spaces.GPU(duration=lambda *args, **kwargs: round(seconds(*args, **kwargs)))(compute)

    return decorate


def gpu_seconds(frames: int, pairs: int, people: int = 0) -> float:
    """Seconds of GPU to ask for: frames encoded, pairs decoded, people in pairs (0 where only the scene is wanted)."""
    work = ENCODE_SECONDS * frames + (DECODE_SECONDS + PERSON_SECONDS * people) * pairs
    return min(START_SECONDS + work, LONGEST_SECONDS)


def hold(network: nn.Module) -> str:
    """Keep a network on its device for the decorated functions; the key finds it again in any forked process."""
    key = f"{type(network).__name__}-{id(network):x}"
    _held[key] = network
    return key


def held(key: str) -> Any:
    """The network that `hold` gave this key."""
    return _held[key]


def place(network: nn.Module) -> nn.Module:
    """Move a network to CUDA if there is one."""
    return network.to("cuda") if torch.cuda.is_available() else network


def device_of(network: nn.Module) -> torch.device:
    """Where a network's weights are."""
    return next(network.parameters()).device


def half_precision(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 (or float16 on older cards) inside, on CUDA; float32 on the CPU."""
    if device.type != "cuda":
        return nullcontext()
    return torch.autocast("cuda", torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)


def pairs_at_once(device: torch.device, pixels: int) -> int:
    """How many pairs of images of so many pixels fit into the free memory; one on the CPU, where more is not faster."""
    if device.type != "cuda":
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    return int(min(max(_SHARE_OF_FREE * free / (BYTES_PER_PIXEL * pixels), 1), _MAX_PAIRS))
