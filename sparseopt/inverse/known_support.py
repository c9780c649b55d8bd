"""Least squares on a known support: the question."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.butterfly.linear import LinearMatrix
from sparseopt.interface.arrays import MatrixLike, as_indices, read_only
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.interface.problem import Problem
from sparseopt.inverse.fit import as_system, misfit, take_system
from sparseopt.inverse.gap_certificate import number_vector
from sparseopt.inverse.problem import FLOORED, SparseRegression


@json_type
@dataclass(frozen=True, eq=False)
class SupportedCoefficients:
    """The answer to a `KnownSupportRegression`.

    Attributes
    ----------
    x : ndarray of float64 or complex128, shape (n,)
        Zero off the support.
    rank : int
        The rank of the columns of the support, up to rounding; `KnownSupportCertificate` says what
        is proved.
    rank_deficient : bool
        Whether those columns depend on each other, up to rounding. Then many x are optimal, and
        this is the one of least norm.
    """

    x: np.ndarray
    rank: int
    rank_deficient: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", number_vector(self.x, "x"))
        if type(self.rank) is not int or self.rank < 0:
            raise ProblemError(f"rank must be an integer of at least 0, got {short(self.rank)}")
        if not isinstance(self.rank_deficient, bool):
            raise ProblemError("rank_deficient must be True or False")

    @property
    def support(self) -> np.ndarray:
        """The sorted indices of the nonzero coefficients, which may be fewer than were allowed."""
        return np.flatnonzero(self.x)

    def __str__(self) -> str:
        which = "the solution of least norm on a" if self.rank_deficient else "a"
        return f"{which} support of rank {self.rank}; {len(self.support)} nonzero coefficients"


def as_columns(value: Any, columns: int) -> np.ndarray:
    """Return distinct column numbers in ascending order, at least one."""
    try:
        array = as_indices(value, "support")
    except ValueError as error:
        raise ProblemError(f"support must be a list of column numbers ({error})") from error
    if array.dtype == bool and array.shape == (columns,):
        array = np.flatnonzero(array)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ProblemError(
            f"support must be a list of column numbers, or {columns} booleans; got shape "
            f"{array.shape} and dtype {array.dtype}"
        )
    if array.size == 0:
        raise ProblemError("support is empty, so x is 0; name at least one column")
    bad = np.flatnonzero((array < 0) | (array >= columns))
    if bad.size:
        raise ProblemError(
            f"entry {int(bad[0])} of support is {int(array[bad[0]])}, but the design has columns 0 "
            f"to {columns - 1}"
        )
    found, counts = np.unique(array, return_counts=True)
    if (counts > 1).any():
        raise ProblemError(f"support names column {int(found[counts > 1][0])} twice")
    return read_only(found.astype(np.intp))


@json_type
@dataclass(frozen=True, eq=False)
class KnownSupportRegression(Problem[SupportedCoefficients, Any]):
    """Minimise 1/2 |design x - target|^2 over x that vanish off a support.

    Where the columns of the support depend on each other, the solution of least Euclidean norm
    is asked for.

    Parameters
    ----------
    design : array_like, scipy.sparse csr or csc, LinearOperator or KroneckerProduct, shape (m, n)
        Real or complex; see `SparseRegression`.
    target : array_like, shape (m,)
    support : sequence of int, or of n booleans
        The columns that may be used, at least one. They are kept in ascending order.

    Raises
    ------
    ProblemError
        NaN or infinity, shapes that do not fit, columns that do not exist or are named twice.

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.KnownSupportRegression([[1, 1, 0], [1, 1, 1]], [2, 4], [0, 1])
    >>> answer = so.solve(problem).answer
    >>> answer.x, answer.rank, answer.rank_deficient
    (array([1.5, 1.5, 0. ]), 1, True)
    """

    design: Any
    target: np.ndarray
    support: np.ndarray
    default_tolerance: ClassVar = 1e-12
    accuracy_is: ClassVar = (
        f"relative gap of the objective, or of the norm if that is more {FLOORED}"
    )

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            design: MatrixLike | LinearMatrix,
            target: ArrayLike,
            support: Sequence[int] | ArrayLike,
        ) -> None: ...

    def __post_init__(self) -> None:
        system = take_system(self)
        object.__setattr__(self, "support", as_columns(self.support, system.shape[1]))

    @cached_property
    def system(self) -> SparseRegression:
        """Design and target as a regression without a penalty, which scales them."""
        return as_system(self.design, self.target)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, n) of the design."""
        return self.design.shape  # type: ignore[no-any-return]

    def evaluate(self, answer: SupportedCoefficients) -> Mapping[str, float]:
        """Return the objective and the norm."""
        x = np.asarray(answer.x)
        loss = 0.5 * math.fsum(r * r for r in misfit(self.system, x))
        return {"objective": loss, "norm": math.hypot(*np.abs(x).tolist())}

    def describe(self) -> str:
        """Return one line with the sizes."""
        m, n = self.shape
        return f"least squares on a support of {len(self.support)}, design {m} x {n}"
