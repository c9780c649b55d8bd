"""Least squares with a bounded number of nonzero coefficients: the question."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.butterfly.linear import LinearMatrix
from sparseopt.interface.arrays import MatrixLike
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.interface.problem import Problem
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.fit import as_system, misfit, take_system
from sparseopt.inverse.problem import FLOORED, SparseRegression


@json_type
@dataclass(frozen=True, eq=False)
class CardinalityRegression(Problem[Coefficients, Any]):
    """Minimise 1/2 |design x - target|^2 over x with at most `size` nonzero entries.

    Parameters
    ----------
    design : array_like, scipy.sparse csr or csc, LinearOperator or KroneckerProduct, shape (m, n)
        Real or complex; see `SparseRegression`.
    target : array_like, shape (m,)
    size : int
        From 1 to n.

    Raises
    ------
    ProblemError
        NaN or infinity, shapes that do not fit, a size below 1 or above n.

    Notes
    -----
    Also called best subset selection. The best supports of two sizes need not be nested, and the
    best one need not be the one that a target was made from.

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.CardinalityRegression([[1, 0, 1], [0, 1, 1], [0, 0, 1]], [4, -3, 0], size=2)
    >>> solution = so.solve(problem)
    >>> solution.answer.support, solution.solver
    (array([0, 1]), 'best_subset')
    """

    design: Any
    target: np.ndarray
    size: int
    default_tolerance: ClassVar = 1e-12
    accuracy_is: ClassVar = f"relative gap {FLOORED}"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self, design: MatrixLike | LinearMatrix, target: ArrayLike, size: int
        ) -> None: ...

    def __post_init__(self) -> None:
        system = take_system(self)
        size, n = self.size, system.shape[1]
        if isinstance(size, bool) or not isinstance(size, int | np.integer):
            raise ProblemError(f"size must be an integer, got {short(size)}")
        if not 1 <= size <= n:
            raise ProblemError(f"size is {size}; it must lie between 1 and the {n} columns")
        object.__setattr__(self, "size", int(size))

    @cached_property
    def system(self) -> SparseRegression:
        """Design and target as a regression without a penalty, which scales them."""
        return as_system(self.design, self.target)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, n) of the design."""
        return self.design.shape  # type: ignore[no-any-return]

    def evaluate(self, answer: Coefficients) -> Mapping[str, float]:
        """Return the objective, and by how much the support is too large."""
        x = np.asarray(answer.x)
        excess = max(int(np.count_nonzero(x)) - self.size, 0)
        return {
            "objective": 0.5 * math.fsum(r * r for r in misfit(self.system, x)),
            "excess": float(excess),
        }

    def describe(self) -> str:
        """Return one line with the sizes."""
        m, n = self.shape
        return f"least squares with at most {self.size} nonzero of {n}, design {m} x {n}"
