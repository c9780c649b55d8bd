"""Fixed-support matrix factorization: the nearest product of two factors with given supports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import Supports, as_support, read_only, require_finite
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.problem import Problem
from sparseopt.judging.rounding import sum_of_squares
from sparseopt.judging.scaling import exponent_of, is_safe, largest_part, times_power
from sparseopt.supports.bounds import ScaledTarget
from sparseopt.supports.components import is_tractable
from sparseopt.supports.factors import SupportedFactors


@json_type
@dataclass(frozen=True, eq=False)
class FixedSupportFactorization(Problem[SupportedFactors, Any]):
    """Minimize ``|A - X Y|`` (Frobenius) over factors with given supports.

    Parameters
    ----------
    target : array (m, n)
        float32, float64, complex64 or complex128; integers are taken as float64.
    supports : sequence of two 0/1 arrays (m, r), (r, n)
        The entries of X and Y that may be nonzero.

    Raises
    ------
    ProblemError
        If shapes do not chain, a support is not 0/1, or the target has NaN, infinity or a norm
        beyond the range of floats.

    Notes
    -----
    NP-hard in general; solved exactly when the rectangles are pairwise disjoint or identical
    (arXiv 2112.00386). For supports that are not closed the infimum may not be attained: ask
    `Closedness` about them.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> I, J = [[1, 0], [1, 0], [0, 1]], [[1, 1, 0], [0, 0, 1]]
    >>> solution = so.solve(so.FixedSupportFactorization(np.ones((3, 3)), [I, J]))
    >>> round(solution.certificate.error**2, 12), solution.answer.attainment
    (4.0, 'attained')
    """

    target: np.ndarray
    supports: tuple[np.ndarray, np.ndarray]
    accuracy_is: ClassVar[str] = "error above the proven lower bound, over the norm of the target"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, target: ArrayLike, supports: Supports) -> None: ...

    def __post_init__(self) -> None:
        target = np.asarray(self.target)
        if target.ndim != 2 or 0 in target.shape:
            raise ProblemError(f"target must be a non-empty matrix, got shape {target.shape}")
        if target.dtype.kind in "biu":
            target = target.astype(np.float64)
        if target.dtype not in (np.float32, np.float64, np.complex64, np.complex128):
            raise ProblemError(
                f"target has dtype {target.dtype}; use float32, float64, complex64 or complex128"
            )
        require_finite(target, "target")
        if ScaledTarget(target).norm().high() == math.inf:
            raise ProblemError(
                "the norm of the target is beyond the range of floats; divide the target by a "
                "power of two, and multiply a factor by it afterwards"
            )
        supports = self.supports
        if not isinstance(supports, list | tuple | np.ndarray) or len(supports) != 2:
            raise ProblemError("supports must be two 0/1 matrices [I, J]")
        left, right = as_support(supports[0], "I"), as_support(supports[1], "J")
        if left.shape[1] != right.shape[0]:
            raise ProblemError(
                f"the supports do not chain: I has {left.shape[1]} columns and J has "
                f"{right.shape[0]} rows"
            )
        if (left.shape[0], right.shape[1]) != target.shape:
            raise ProblemError(
                f"the supports give products of shape {(left.shape[0], right.shape[1])}, "
                f"the target has shape {target.shape}"
            )
        object.__setattr__(self, "target", read_only(target))
        object.__setattr__(self, "supports", (left, right))

    def normalized(self) -> tuple[FixedSupportFactorization, int]:
        """Return the problem for the target times ``2**-exponent``, and the exponent.

        Engines solve that one: sums of squares, and of products of such, are safe. It is the
        problem itself where the exponent is 0; `SupportedFactors.times_power` takes the answer
        back. Nothing is rounded, except entries below 2^-126 (single precision) or 2^-1022 of the
        largest.
        """
        target = self.target
        exponent = exponent_of(largest_part(target))
        if is_safe(sum_of_squares(target), target.size, target.dtype) or exponent == 0:
            return self, 0
        scaled = times_power(target, -exponent)
        return FixedSupportFactorization(scaled, self.supports), exponent

    def evaluate(self, answer: SupportedFactors) -> Mapping[str, float]:
        """Return the Frobenius error and the mass of the factors outside their supports."""
        left, right = self.supports
        outside = np.linalg.norm(answer.left[~left]) + np.linalg.norm(answer.right[~right])
        error = ScaledTarget(self.target).error(answer.left, answer.right)
        found = math.ldexp(error.value, error.exponent)
        return {"error": found, "outside_support": float(outside)}

    def describe(self) -> str:
        """Return one line with the sizes."""
        (m, r), n = self.supports[0].shape, self.supports[1].shape[1]
        return f"nearest product of factors {m} x {r} and {r} x {n} with fixed supports"

    def structure(self) -> dict[str, Any]:
        """Say whether the rectangles are pairwise disjoint or identical."""
        return {"tractable": is_tractable(*self.supports)}
