"""How near two computations of the same thing must be: relative to the size of what is compared, by precision.

Another processor, another number of threads or another batch adds the same numbers in another order. Each sum then
differs by some units in the last place of its largest part, and a network of a hundred layers lets them grow to about a
thousand; so a share of the array's largest value, not of each element, which may be near zero by cancellation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

UNITS = 1000  # in the last place of the largest value: 1e-4 in float32, 2e-13 in float64


def assert_same(actual: ArrayLike, expected: ArrayLike, what: str = "", units: float = UNITS) -> None:
    """Arrays are the same up to rounding in the lower of their precisions; NaN equals NaN, integers are exact."""
    a, b = np.asarray(actual), np.asarray(expected)
    assert a.shape == b.shape, f"{what}: shapes {a.shape} and {b.shape}"
    kinds = [x.dtype for x in (a, b) if np.issubdtype(x.dtype, np.floating)]
    if not kinds or not b.size:
        np.testing.assert_array_equal(a, b, err_msg=what)
        return
    size = float(np.nanmax(np.abs(b), initial=0.0))
    epsilon = max(float(np.finfo(kind).eps) for kind in kinds)
    np.testing.assert_allclose(a, b, rtol=0, atol=units * epsilon * size, equal_nan=True, err_msg=what)
