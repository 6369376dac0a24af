"""The network by rule that tests/networks makes."""

from tests.networks.conftest import tiny

__all__ = ["tiny"]
