"""Scaling a product into the range of a format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.choosing.solving import solve
from sparseopt.interface.solution import Solution
from sparseopt.quantization.exponents import ExponentFit, ExponentFitting
from sparseopt.quantization.rank_one import FormatLike


def fit_exponents(
    product: KroneckerProduct, format: FormatLike | Iterable[FormatLike]
) -> Solution[ExponentFit, Any]:
    """Scale the factors of a product by powers of two so that all entries are in a format's range.

    The product stays what it is, exactly. Rounding the entries afterwards, by a cast for instance,
    then changes only digits: none overflows, and none is lost at the lower end.

    Parameters
    ----------
    product : KroneckerProduct
    format : NumberFormat, str, int or None, or a sequence with one for each factor
        See `ExponentFitting`.

    Returns
    -------
    Solution
        ``answer.value`` is "fits", and ``answer.product`` holds the scaled factors; or
        "does_not_fit", and ``certificate.cycle`` names entries that cannot fit together. Both are
        proved. O(nnz) for each of the few rounds that it takes.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> wide = so.KroneckerProduct([np.array([1e-9, 1e9]).reshape(1, 1, 2, 1)], [(1, 1, 2, 1)])
    >>> solution = so.fit_exponents(wide, "fp16")
    >>> solution.answer.value, solution.certificate.cycle
    ('does_not_fit', ((0, 0, -1),))
    """
    return solve(ExponentFitting(product, format))
