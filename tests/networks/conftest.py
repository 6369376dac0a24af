"""Networks with weights made by rule, shared by the tests of this room."""

from __future__ import annotations

import pytest
import torch

from benchmarks.rule_weights import TINY_ARCHITECTURE, fill_by_rule
from josh_core.networks.josh3r import Josh3r


@pytest.fixture(scope="session")
def tiny() -> Josh3r:
    with torch.device("meta"):
        network = Josh3r(TINY_ARCHITECTURE)
    fill_by_rule(network)
    return network
