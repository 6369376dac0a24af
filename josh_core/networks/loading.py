"""Weight files into networks: only tensors are read, and every key and shape must fit, by name.

A file that fits by luck or by half would give a network that runs and means nothing, so nothing is guessed: keys that
are missing, left over or of another shape are refused. `Pretrained` gives a network its `from_pretrained`.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from josh_core.errors import WeightsError
from josh_core.networks.architecture import Architecture
from josh_core.networks.hub_file import locate
from josh_core.progress import Progress

METADATA_KEY = "josh_architecture"  # of a safetensors file: Architecture.to_json(); absent means the published sizes
NOTE_KEY = "josh_note"  # of a safetensors file: what a reader of a result should know of its weights
_CONTAINERS = ("model", "state_dict")  # a torch checkpoint may keep its state dict under one of these
# Chosen by hand, except where a measurement or a source is given.
_NAMES_SHOWN = 4  # keys in an error message
_LONGEST_NOTE = 100  # characters

Network = TypeVar("Network", bound="Pretrained")


@dataclass(frozen=True)
class WeightsSource:
    """Where a network's weights came from, for caches and for the result."""

    label: str  # file name, or Hub id with its revision; never a path
    fingerprint: str  # hash of keys, shapes and a sample of every tensor
    note: str = ""  # what the file says of itself

    def __str__(self) -> str:
        return f"{self.label} [{self.fingerprint}]" + (f", {self.note}" if self.note else "")


class Pretrained(nn.Module):
    """A network that can be read from a weight file. Subclasses take one optional Architecture."""

    unused_prefix: str | None = None  # keys of the published file that belong to no module here
    source: WeightsSource | None = None  # None for a network that was only built

    @classmethod
    def from_pretrained(
        cls: type[Network], source: str | Path, revision: str | None = None, progress: Progress | None = None
    ) -> Network:
        """The network in evaluation mode on the CPU, from a local file or a Hub id.

        Reads safetensors or a torch file that holds only tensors. Raises WeightsError when the file cannot be found,
        fetched or read, or when a key is missing, left over or of another shape.
        """
        path, label = locate(str(source), revision, progress)
        tensors, metadata = read_tensors(path)
        stated = metadata.get(METADATA_KEY)
        with torch.device("meta"):  # no memory for values that the file replaces
            network = cls(Architecture.from_json(stated) if stated else Architecture())
        load_strictly(network, tensors, label)
        network.source = WeightsSource(label, fingerprint(tensors), metadata.get(NOTE_KEY, "")[:_LONGEST_NOTE])
        return network.eval().requires_grad_(False)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors and the metadata (empty for torch) of a safetensors or torch file. Raises WeightsError."""
    try:
        with path.open("rb") as file:
            is_torch = file.read(2) in (b"PK", b"\x80\x02")  # a zip archive, or the older bare pickle
        return (_read_torch(path), {}) if is_torch else _read_safetensors(path)
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(f"{path.name} is damaged or no weight file; get it again.") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path.name} holds more than tensors and is not opened; get it from its authors."
        ) from error


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118 (not a dict)


def _read_torch(path: Path) -> dict[str, Tensor]:
    # MASt3R's own release keeps its training options beside the weights, as a plain namespace.
    with torch.serialization.safe_globals([argparse.Namespace]):
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    for name in _CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path.name} holds no state dict; get the checkpoint from its authors.")
    return content


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def load_strictly(network: Pretrained, tensors: dict[str, Tensor], label: str) -> None:
    """Put tensors into a network, key by key. Raises WeightsError that names every kind of misfit.

    Two names of one tensor count as one: a file may hold either or both, but both must agree.
    """
    unused = network.unused_prefix
    given = {key: value for key, value in tensors.items() if unused is None or not key.startswith(unused)}
    _share_aliases(network, given, label)
    expected = network.state_dict()
    problems = [
        _listed("missing", [key for key in expected if key not in given]),
        _listed("left over", [key for key in given if key not in expected]),
        _listed(
            "of another shape",
            [
                f"{key} is {list(given[key].shape)} instead of {list(value.shape)}"
                for key, value in expected.items()
                if key in given and given[key].shape != value.shape
            ],
        ),
    ]
    if any(problems):
        found = "; ".join(problem for problem in problems if problem)
        raise WeightsError(f"{label} does not hold the weights of {type(network).__name__}: {found}.")
    fitting = {key: value.to(expected[key].dtype) for key, value in given.items()}
    network.load_state_dict(fitting, strict=True, assign=True)


def _share_aliases(network: nn.Module, given: dict[str, Tensor], label: str) -> None:
    """Give every name of a shared parameter the same tensor, in place."""
    names: dict[int, list[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    for group in names.values():
        present = [name for name in group if name in given]
        for name in present[1:]:
            if not torch.equal(given[name], given[present[0]]):
                raise WeightsError(f"{label} holds two different tensors for {present[0]} and {name}, which are one.")
        if present:
            given.update(dict.fromkeys(group, given[present[0]]))


def _listed(what: str, names: list[str]) -> str:
    """Such as "2 missing (a, b)"; empty for no names."""
    if not names:
        return ""
    more = ", …" if len(names) > _NAMES_SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:_NAMES_SHOWN])}{more})"


def fingerprint(tensors: dict[str, Tensor]) -> str:
    """Hex digest of all keys, shapes and some values of each tensor: quick, and tells versions apart."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key]
        flat = value.reshape(-1)
        sample = flat[:: max(1, flat.numel() // 64)][:64].double()
        digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()[:16]
