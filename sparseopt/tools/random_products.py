"""Products with random factors, for tests and measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.product import KroneckerProduct


def random_product(
    architecture: Architecture | Sequence[Sequence[int]],
    rng: np.random.Generator,
    dtype: Any = np.float64,
) -> KroneckerProduct:
    """Return a product with independent Gaussian values, scaled so that the product has entries
    of order 1 whatever the number of factors.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> from sparseopt.tools.random_products import random_product
    >>> random_product([(1, 2, 2, 1)], np.random.default_rng(0)).shape
    (2, 2)
    """
    built = architecture if isinstance(architecture, Architecture) else Architecture(architecture)
    factors = []
    for pattern, rank in zip(built, (*built.ranks, 1), strict=True):
        values = rng.standard_normal(pattern.values_shape)
        if np.dtype(dtype).kind == "c":
            values = (values + 1j * rng.standard_normal(pattern.values_shape)) / np.sqrt(2)
        factors.append((values / np.sqrt(rank)).astype(dtype))
    return KroneckerProduct(tuple(factors), built)
