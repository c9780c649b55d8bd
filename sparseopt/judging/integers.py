"""Floats as integers over one power of two: exact products, sums and comparisons."""

from __future__ import annotations

from functools import reduce
from itertools import chain
from operator import or_

import numpy as np


def as_integers(*arrays: np.ndarray) -> tuple[list[np.ndarray], int]:
    """Return object arrays of Python's integers and e such that each array is integers 2**e.

    The arrays are finite and float64; e is as large as can be, so small integers stay small.

    Examples
    --------
    >>> as_integers(np.array([0.75, -2.0]))
    ([array([3, -8], dtype=object)], -2)
    """
    ratios = [[x.as_integer_ratio() for x in np.ravel(a).astype(float).tolist()] for a in arrays]
    unit = max((under for pairs in ratios for _, under in pairs), default=1)
    found = [[over * (unit // under) for over, under in pairs] for pairs in ratios]
    bits = reduce(or_, chain(*found), 0)
    lowest = max((bits & -bits).bit_length() - 1, 0)
    whole = [np.array([n >> lowest for n in numbers], dtype=object) for numbers in found]
    shaped = [n.reshape(np.shape(array)) for n, array in zip(whole, arrays, strict=True)]
    return shaped, lowest - (unit.bit_length() - 1)
