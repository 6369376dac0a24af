"""The networks of this process: each read once, placed on the GPU if there is one, and kept."""

from __future__ import annotations

from threading import Lock
from typing import cast

import torch

from josh_core.networks.device import place
from josh_core.networks.josh3r import Josh3r
from josh_core.networks.loading import Network, Pretrained
from josh_core.networks.mast3r import Mast3r
from josh_core.networks.weights import JOSH3R, MAST3R, find, source_of
from josh_core.progress import Progress

_networks: dict[tuple[type[Pretrained], str], Pretrained] = {}
_lock = Lock()


def load_mast3r(progress: Progress | None = None) -> Mast3r:
    """MASt3R from where its variable says. Raises WeightsError that tells how to get it."""
    return _load(Mast3r, source_of(MAST3R), progress)


def load_josh3r(progress: Progress | None = None) -> Josh3r:
    """JOSH3R from where its variable says. Raises WeightsError that tells how to get it."""
    return _load(Josh3r, source_of(JOSH3R), progress)


def load_present() -> list[str]:
    """Read the networks that `auto` would use, and say which: before the first visitor, as ZeroGPU wants it.

    Nothing without CUDA. Raises WeightsError when a weight that should be there cannot be read.
    """
    if not torch.cuda.is_available():
        return []
    loaders = ((MAST3R, load_mast3r), (JOSH3R, load_josh3r))
    return [str(load().source) for weight, load in loaders if find(weight).present]


def _load(kind: type[Network], source: str, progress: Progress | None) -> Network:
    with _lock:
        if (kind, source) not in _networks:
            _networks[kind, source] = cast(Pretrained, place(kind.from_pretrained(source, progress=progress)))
        return cast(Network, _networks[kind, source])
