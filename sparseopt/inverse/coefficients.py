"""The form of an answer to a sparse regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparseopt.interface.arrays import as_array, read_only, require_finite, to_double
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type


@json_type
@dataclass(frozen=True, eq=False)
class Coefficients:
    """The answer to a `SparseRegression`.

    Attributes
    ----------
    x : ndarray of float64 or complex128, shape (n,)
        The coefficients. Also for a float32 design they are float64: rounding them to float32
        would cap the proven relative gap near 1e-7.
    """

    x: np.ndarray

    def __post_init__(self) -> None:
        x = as_array(self.x, "x")
        if x.ndim != 1 or x.dtype.kind not in "iufc":
            raise ProblemError(
                f"x must be a vector of numbers, got shape {x.shape} and dtype {x.dtype}"
            )
        x = to_double(x, "x")
        require_finite(x, "x")
        object.__setattr__(self, "x", read_only(x))

    @property
    def support(self) -> np.ndarray:
        """The sorted indices of the nonzero coefficients.

        Coefficients are exactly zero or count as nonzero, however small. What is proved of the
        zeros is in `DualityGapCertificate.undecided`.
        """
        return np.flatnonzero(self.x)

    def __str__(self) -> str:
        return f"{len(self.support)} of {len(self.x)} coefficients are nonzero"
