"""Sparse recovery: does a method find every vector of a kind from its image?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import MatrixLike, read_only
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import printable
from sparseopt.interface.problem import Problem
from sparseopt.interface.real_arrays import as_real
from sparseopt.judging.scaling import exponent_of, largest_part, times_power

VALUES = ("recovers", "fails", "unknown")
METHODS = ("l1", "omp")
MOST_ENTRIES = 2**22
"""Of a sparse design that is written out."""


@json_type
@dataclass(frozen=True)
class RecoveryVerdict:
    """The answer to a `RecoveryGuarantee`, and the condition that gives it.

    Attributes
    ----------
    value : str
        ``"recovers"``: every vector of the kind. ``"fails"``: not every one; the certificate holds
        one that is missed. ``"unknown"``: nothing is claimed.
    condition : str
        The condition used and the method that it speaks of, in words.
    """

    value: str
    condition: str

    def __post_init__(self) -> None:
        if type(self.value) is not str or self.value not in VALUES:
            raise ProblemError(f"value must be one of {VALUES}, got {self.value!r}")
        if type(self.condition) is not str:
            raise ProblemError(f"condition must be a text, got {type(self.condition).__name__}")

    def __str__(self) -> str:
        return printable(f"{self.value}: {self.condition}", 2000)


@json_type
@dataclass(frozen=True, eq=False)
class RecoveryGuarantee(Problem[RecoveryVerdict, Any]):
    """Does a method find every vector x of a kind from ``design @ x``?

    Parameters
    ----------
    design : array_like or scipy.sparse, shape (m, n)
        Real; kept as a dense array of float64, for proofs take its entries one by one. It is taken
        as it is: columns are not normalized.
    sparsity : int or None
        The vectors with at most this many nonzeros, from 1 to n.
    support : sequence of int or None
        Distinct column numbers (or a mask of n truth values): the vectors that vanish off these
        columns. Exactly one of `sparsity` and `support` is given.
    signs : sequence of +1 and -1, or None
        One for each entry of `support`: only the vectors with exactly this support and these signs.
    method : {"l1", "omp"}
        ``"l1"``: x is the only vector of least 1-norm among those with its image (basis pursuit).
        ``"omp"``: orthogonal matching pursuit with as many steps as `sparsity`, or `support`, has
        columns; it takes the column with the largest correlation over its norm and ends when
        nothing is left. Where two are largest it may take either, so "recovers" holds for every
        choice and "fails" for some.

    Raises
    ------
    ProblemError
        Complex or empty designs, linear operators, NaN, both kinds or none, a sparsity above n,
        columns that are not there or are given twice, signs without a support or other than +1
        and -1.

    Notes
    -----
    NP-hard in general (Tillmann, Pfetsch 2014), so the answer may be "unknown". With the support
    in a set S, l1 recovers every vector on S if and only if ``|h_S|_1 < |h_rest|_1`` for all h != 0
    with ``design @ h = 0`` (null space property); every k-sparse one if that holds for all S of
    k columns; every one with signs s on S if ``s.h_S < |h_rest|_1`` for all of them (Foucart,
    Rauhut, A Mathematical Introduction to Compressive Sensing, 2013, chapter 4).

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> design = np.hstack([np.eye(4), np.array([[1, 1], [1, -1], [1, 1], [1, -1]]) / 2])
    >>> print(so.solve(so.RecoveryGuarantee(design, sparsity=1)).answer.value)
    recovers
    >>> print(so.solve(so.RecoveryGuarantee(design, sparsity=2)).answer.value)
    fails
    """

    design: np.ndarray
    sparsity: int | None = None
    support: tuple[int, ...] | None = None
    signs: tuple[int, ...] | None = None
    method: str = "l1"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            design: MatrixLike,
            sparsity: int | None = None,
            support: ArrayLike | None = None,
            signs: ArrayLike | None = None,
            method: str = "l1",
        ) -> None: ...

    def __post_init__(self) -> None:
        design = as_real(_written(self.design), "design", 2)
        columns = design.shape[1]
        if (self.sparsity is None) == (self.support is None):
            raise ProblemError("give either sparsity= or support=, and not both")
        if self.signs is not None and self.support is None:
            raise ProblemError("signs belong to a support; give support= as well")
        if type(self.method) is not str or self.method not in METHODS:
            raise ProblemError(f"method must be one of {METHODS}, got {self.method!r}")
        object.__setattr__(self, "design", design)
        if self.sparsity is not None:
            object.__setattr__(self, "sparsity", _as_sparsity(self.sparsity, columns))
            return
        support = _as_columns(self.support, columns)
        order = sorted(range(len(support)), key=support.__getitem__)
        if self.signs is not None:
            signs = _as_signs(self.signs, len(support))
            object.__setattr__(self, "signs", tuple(signs[i] for i in order))
        object.__setattr__(self, "support", tuple(support[i] for i in order))

    @property
    def size(self) -> int:
        """The sparsity, or the number of columns in the support."""
        return self.sparsity if self.support is None else len(self.support)  # type: ignore[return-value]

    @cached_property
    def scaled(self) -> np.ndarray:
        """The design times a power of two, largest entry in [1/2, 1); recovery is the same."""
        return read_only(times_power(self.design, -self.exponent))

    @property
    def exponent(self) -> int:
        """The design is ``scaled`` times two to this power."""
        return exponent_of(largest_part(self.design))

    def evaluate(self, answer: RecoveryVerdict) -> Mapping[str, float]:
        """Return 1 for an answer that leaves the question open."""
        return {"undecided": float(answer.value == "unknown")}

    def describe(self) -> str:
        """Return one line with the method, the kind of vectors and the sizes."""
        m, n = self.design.shape
        if self.sparsity is not None:
            kind = f"every vector with at most {self.sparsity} nonzeros"
        else:
            signs = " with given signs" if self.signs is not None else ""
            kind = f"every vector on {self.size} given columns{signs}"
        return f"recovery of {kind} by {self.method}, design {m} x {n}"

    def structure(self) -> Mapping[str, str | int | bool]:
        """Return the method."""
        return {"method": self.method}

    def undecided(self, tried: Sequence[str]) -> RecoveryVerdict:
        """Return the honest "unknown"."""
        return RecoveryVerdict("unknown", f"{self.method}: nothing is proved: " + "; ".join(tried))


def _as_array(design: Any) -> Any:
    """Return nested lists as an array; ragged ones as they are, to be refused by name."""
    try:
        return np.asarray(design)
    except ValueError:
        return design


def _written(design: Any) -> Any:
    """Return a sparse design as an array; complex ones are refused, with what takes them."""
    if scipy.sparse.issparse(design):
        if design.ndim != 2 or math.prod(design.shape) > MOST_ENTRIES:
            raise ProblemError(
                f"design has shape {design.shape}; of a sparse one up to {MOST_ENTRIES} entries "
                "are written out, as proofs take them one by one"
            )
        design = design.toarray()
    if isinstance(design, list | tuple):
        design = _as_array(design)
    if getattr(getattr(design, "dtype", None), "kind", "") == "c":
        raise ProblemError(
            "design is complex; what is proved here is proved of real vectors. "
            "BasisPursuit takes complex data, and its answer.unique says whether one vector is "
            "recovered"
        )
    return design


def _as_sparsity(value: Any, columns: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ProblemError(f"sparsity must be an integer, got {value!r}")
    if not 1 <= value <= columns:
        raise ProblemError(
            f"sparsity is {value}; the design has {columns} columns, so give 1 to {columns}"
        )
    return int(value)


def _as_columns(value: Any, columns: int) -> list[int]:
    """Return distinct column numbers, from numbers or a mask."""
    array = np.asarray(value)
    if array.dtype == bool:
        if array.shape != (columns,):
            raise ProblemError(
                f"support is a mask of shape {array.shape}; the design has {columns} columns"
            )
        array = np.flatnonzero(array)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise ProblemError(
            "support must be a non-empty list of column numbers, or a mask with one truth value a "
            "column"
        )
    numbers = [int(i) for i in array]
    for place, number in enumerate(numbers):
        if not 0 <= number < columns:
            raise ProblemError(
                f"support has {number} at entry {place}; the columns are 0 to {columns - 1}"
            )
    if len(set(numbers)) < len(numbers):
        twice = next(i for i in numbers if numbers.count(i) > 1)
        raise ProblemError(f"support has column {twice} twice; give each column once")
    return numbers


def _as_signs(value: Any, count: int) -> list[int]:
    array = np.asarray(value)
    if array.shape != (count,) or array.dtype.kind not in "iuf":
        raise ProblemError(
            f"signs must be {count} numbers +1 or -1, one for each column of the support"
        )
    for place, sign in enumerate(array.tolist()):
        if sign not in (1, -1):
            raise ProblemError(f"signs has {sign} at entry {place}; only +1 and -1 are signs")
    return [int(sign) for sign in array]
