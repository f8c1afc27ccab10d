"""What the aggregations share."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def ratio(above: Array, below: Array) -> Array:
    """Quotient, NaN where the denominator is 0."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    quotient: Array = np.full(above.shape, np.nan)
    return np.divide(above, below, out=quotient, where=below != 0)
