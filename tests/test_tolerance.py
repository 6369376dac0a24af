"""The tolerance of the tests tells rounding from error, whatever the size."""

import numpy as np
import pytest

from tests.tolerance import assert_same


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_rounding_passes_and_errors_do_not(size: float) -> None:
    values = size * np.linspace(-1, 1, 11, dtype=np.float32)
    assert_same(values * np.float32(1 + 3e-5), values)
    with pytest.raises(AssertionError):
        assert_same(values * np.float32(1 + 3e-4), values)
    with pytest.raises(AssertionError):
        assert_same(values.astype(np.float64) * (1 + 1e-9), values.astype(np.float64))
    with pytest.raises(AssertionError):
        assert_same(values[:-1], values)
    with pytest.raises(AssertionError):
        assert_same(np.where(values > 0, np.nan, values), values)
