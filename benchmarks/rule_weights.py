"""Weights by a rule from the key names: a network with known, meaningless content, for tests and benchmarks.

The rule gives every matrix the variance of its fan-in, so that tokens stay near unit variance and no part of a network
is idle. Published outputs of the networks under this very rule are what ours are compared with.
"""

from __future__ import annotations

import zlib
from math import prod
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from josh_core.networks.architecture import Architecture
from josh_core.networks.loading import METADATA_KEY, NOTE_KEY, Pretrained
from josh_core.networks.mast3r import Mast3r

# MASt3R's layers, each as small as the code allows, for quick tests.
TINY_ARCHITECTURE = Architecture(enc_dim=64, enc_depth=2, enc_heads=4, dec_dim=48, dec_depth=12, dec_heads=4)


def rule_tensor(key: str, shape: tuple[int, ...]) -> Tensor:
    """The tensor of one key, named as in JOSH3R's checkpoint (MASt3R's keys with the prefix "mast3r.")."""
    noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    last = key.rsplit(".", 1)[-1]
    if last == "running_mean":
        value = np.float32(0.02) * noise
    elif last == "running_var":
        value = 1 + np.float32(0.1) * np.abs(noise)
    elif len(shape) >= 2:
        gain = 1 / prod(shape[1:]) ** 0.5 * (0.1 if ".dpt.head.4." in key else 1)  # keeps expm1 of points small
        value = noise * np.float32(gain)
    elif last == "weight":
        value = 1 + np.float32(0.02) * noise
    else:
        value = np.float32(0.02) * noise
    return torch.from_numpy(np.asarray(value, np.float32))


def rule_state(network: Pretrained) -> dict[str, Tensor]:
    """A whole state dict by the rule. Of two names of one tensor, the last in sorted order decides."""
    prefix = "mast3r." if isinstance(network, Mast3r) else ""
    shared = {name: id(value) for name, value in network.named_parameters(remove_duplicate=False)}
    owner = {shared[name]: name for name in sorted(shared)}
    state = {}
    for name, value in network.state_dict().items():
        name_of_value = owner[shared[name]] if name in shared else name
        whole = not value.is_floating_point()
        state[name] = (
            torch.zeros_like(value, device="cpu") if whole else rule_tensor(prefix + name_of_value, value.shape)
        )
    return state


def fill_by_rule(network: Pretrained) -> Pretrained:
    """Give a built network (its tensors may be on the meta device) rule-made weights, in evaluation mode."""
    network.load_state_dict(rule_state(network), strict=True, assign=True)
    return network.eval().requires_grad_(False)


def write_rule_weights(path: Path, network: type[Pretrained], architecture: Architecture = TINY_ARCHITECTURE) -> None:
    """A safetensors file that `from_pretrained` reads: tiny by default, its architecture in the metadata."""
    with torch.device("meta"):
        built = network(architecture)
    state = {key: value.contiguous().clone() for key, value in rule_state(built).items()}
    note = "made by rule, for tests: the result means nothing"
    save_file(state, path, metadata={METADATA_KEY: architecture.to_json(), NOTE_KEY: note})
