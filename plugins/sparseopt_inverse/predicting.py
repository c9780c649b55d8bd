"""What memory predictions of regressions count: the numbers that a design holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse

BASE = float(1 << 21)
"""Bytes that small objects take, and libraries that are called for the first time."""


def design_bytes(design: Any) -> float:
    """Return the bytes of a copy of a design in double precision.

    Of a sparse one with its indices; of an operator as an array, which its columns together are.
    """
    if scipy.sparse.issparse(design):
        return 12.0 * float(design.nnz) + 4.0 * design.shape[1]
    complex_too = np.dtype(design.dtype).kind == "c"
    return (16.0 if complex_too else 8.0) * math.prod(design.shape)
