"""Sparse recovery: does a method find every vector of a kind from its image?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from sparseopt.butterfly.linear import LinearMatrix
from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.interface.arrays import MatrixLike, as_array, as_indices, read_only
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import printable, short
from sparseopt.interface.problem import Problem
from sparseopt.interface.real_arrays import as_complex, as_real
from sparseopt.inverse.fit import as_system
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.problem import LARGEST, SMALLEST
from sparseopt.inverse.recovery_columns import DesignColumns

VALUES = ("recovers", "fails", "unknown")
METHODS = ("l1", "omp")
UNIT_WITHIN = 1e-6
"""How far the modulus of a complex sign may be from 1."""


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
            raise ProblemError(f"value must be one of {VALUES}, got {short(self.value)}")
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
    design : array_like, scipy.sparse, LinearOperator or KroneckerProduct, shape (m, n)
        Real, or complex: then the vectors are complex too. It is taken as it is: columns are not
        normalized. A sparse matrix or an operator is kept as it is given; proofs read its columns
        (an operator's by products with unit vectors). Up to 2^22 entries they are kept while a
        proof needs them. Beyond, they are read a few at a time, which is enough for coherence
        (sparse designs), the exact recovery condition of l1 on a support, and dual vectors of
        given signs; solvers that need the whole matrix say so. A linear operator stands for the
        matrix of the columns that its ``matvec`` returns, and cannot be saved as JSON.
    sparsity : int or None
        The vectors with at most this many nonzeros, from 1 to n.
    support : sequence of int or None
        Distinct column numbers (or a mask of n booleans): the vectors that vanish off these
        columns. Exactly one of `sparsity` and `support` is given.
    signs : sequence of +1 and -1, or None
        One for each entry of `support`: only the vectors with exactly this support and these signs.
        For complex designs complex numbers z of modulus 1, to 1e-6: the vectors with the phases
        ``z / |z|``.
    method : {"l1", "omp"}
        ``"l1"``: x is the only vector of least 1-norm among those with its image (basis pursuit).
        ``"omp"``: orthogonal matching pursuit with as many steps as `sparsity`, or `support`, has
        columns; it takes the column with the largest correlation over its norm and ends when
        nothing is left. Where two are largest it may take either, so "recovers" holds for every
        choice and "fails" for some.

    Raises
    ------
    ProblemError
        Empty designs, NaN, both kinds or none, a sparsity above n, columns that are not there or
        are given twice, signs without a support, other than +1 and -1, or of another modulus.

    Notes
    -----
    NP-hard in general (Tillmann, Pfetsch 2014), so the answer may be "unknown". With the support
    in a set S, l1 recovers every vector on S if and only if ``|h_S|_1 < |h_rest|_1`` for all h != 0
    with ``design @ h = 0`` (null space property); every k-sparse one if that holds for all S of
    k columns; every one with signs s on S if ``s.h_S < |h_rest|_1`` for all of them (Foucart,
    Rauhut, A Mathematical Introduction to Compressive Sensing, 2013, chapter 4).

    Complex numbers have moduli for magnitudes and ``z / |z|`` for signs. Coherence, exact recovery
    condition (l1 and omp), bounds of all kernel vectors, dual vectors of given phases and
    counterexamples are proved for them as for real ones, with the transpose conjugated. All phases
    on a support are a continuum: one column has but one, up to a factor; for more a dual vector
    for each point of a grid proves it, where a margin is left for what lies between, see
    `DualVectorsCertificate`. If the design is real, complex vectors are recovered where all real
    ones on the same support are (Foucart, Gribonval 2010, arXiv:0910.1694).

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> design = np.hstack([np.eye(4), np.array([[1, 1], [1, -1], [1, 1], [1, -1]]) / 2])
    >>> print(so.solve(so.RecoveryGuarantee(design, sparsity=1)).answer.value)
    recovers
    >>> print(so.solve(so.RecoveryGuarantee(design, sparsity=2)).answer.value)
    fails
    """

    design: Any
    sparsity: int | None = None
    support: tuple[int, ...] | None = None
    signs: tuple[Any, ...] | None = None
    method: str = "l1"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            design: MatrixLike | LinearMatrix,
            sparsity: int | None = None,
            support: ArrayLike | None = None,
            signs: ArrayLike | None = None,
            method: str = "l1",
        ) -> None: ...

    def __post_init__(self) -> None:
        design, read = _taken(self.design)
        columns = read.shape[1]
        if (self.sparsity is None) == (self.support is None):
            raise ProblemError("give either sparsity= or support=, and not both")
        if self.signs is not None and self.support is None:
            raise ProblemError("signs belong to a support; give support= as well")
        if type(self.method) is not str or self.method not in METHODS:
            raise ProblemError(f"method must be one of {METHODS}, got {short(self.method)}")
        object.__setattr__(self, "design", design)
        object.__setattr__(self, "columns", read)  # read once
        if self.sparsity is not None:
            object.__setattr__(self, "sparsity", _as_sparsity(self.sparsity, columns))
            return
        support = _as_columns(self.support, columns)
        order = sorted(range(len(support)), key=support.__getitem__)
        if self.signs is not None:
            signs = _as_signs(self.signs, len(support), read.is_complex)
            object.__setattr__(self, "signs", tuple(signs[i] for i in order))
        object.__setattr__(self, "support", tuple(support[i] for i in order))

    @property
    def size(self) -> int:
        """The sparsity, or the number of columns in the support."""
        return self.sparsity if self.support is None else len(self.support)  # type: ignore[return-value]

    @cached_property
    def columns(self) -> DesignColumns:
        """The columns of the design, as proofs read them."""
        return _taken(self.design)[1]

    @property
    def is_complex(self) -> bool:
        """Whether design and vectors are complex."""
        return self.columns.is_complex

    @cached_property
    def scaled(self) -> np.ndarray:
        """The design times a power of two, its largest part in [1/2, 1); recovery is the same.

        Whole, up to what its columns are off by: for engines, where it fits.
        """
        return read_only(self.columns.all.columns)

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
        name = "complex design" if self.is_complex else "design"
        return f"recovery of {kind} by {self.method}, {name} {m} x {n}"

    def structure(self) -> Mapping[str, str | int | bool]:
        """Return the method, whether numbers are complex, and whether the design may be kept."""
        return {
            "method": self.method,
            "complex": self.is_complex,
            "fits": self.columns.fits,
        }

    def undecided(self, tried: Sequence[str]) -> RecoveryVerdict:
        """Return the honest "unknown"."""
        return RecoveryVerdict("unknown", f"{self.method}: nothing is proved: " + "; ".join(tried))


def _taken(design: Any) -> tuple[Any, DesignColumns]:
    """Return a design as it is kept, and its columns."""
    if scipy.sparse.issparse(design) or hasattr(design, "matvec"):
        if len(design.shape) != 2 or 0 in design.shape:
            raise ProblemError(f"design must be a matrix with entries, got shape {design.shape}")
        if isinstance(design, KroneckerProduct):
            return _product(design.to_numpy())
        system = as_system(design, np.zeros(design.shape[0]))
        known = system.real_design if isinstance(system.real_design, ColumnOperator) else None
        form = (system.shape, system.is_complex)
        return system.design, DesignColumns(known or system.design, *form)
    design = as_array(design, "design")
    is_complex = design.dtype.kind == "c"
    found = as_complex(design, "design", 2) if is_complex else as_real(design, "design", 2)
    return found, DesignColumns(found, found.shape, is_complex)


def _product(design: KroneckerProduct) -> tuple[Any, DesignColumns]:
    """Return a product of factors, whose columns are not read yet, and its columns."""
    is_complex = np.dtype(design.dtype).kind == "c"
    known = ColumnOperator(design, is_complex)
    if known.largest and not SMALLEST <= known.largest <= LARGEST:
        raise ProblemError(
            f"entries of design may be as large as {known.largest:.3g}; divide its factors "
            f"so that this lies between {SMALLEST:g} and {LARGEST:g}"
        )
    return design, DesignColumns(known, design.shape, is_complex)


def _as_sparsity(value: Any, columns: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ProblemError(f"sparsity must be an integer, got {short(value)}")
    if not 1 <= value <= columns:
        raise ProblemError(
            f"sparsity is {value}; the design has {columns} columns, so give 1 to {columns}"
        )
    return int(value)


def _as_columns(value: Any, columns: int) -> list[int]:
    """Return distinct column numbers, from numbers or a mask."""
    array = as_indices(value, "support")
    if array.dtype == bool:
        if array.shape != (columns,):
            raise ProblemError(
                f"support is a mask of shape {array.shape}; the design has {columns} columns"
            )
        array = np.flatnonzero(array)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise ProblemError(
            "support must be a non-empty list of column numbers, or a mask with one boolean per "
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


def _as_signs(value: Any, count: int, is_complex: bool) -> list[Any]:
    array = as_array(value, "signs")
    kinds = "iufc" if is_complex else "iuf"
    if array.shape != (count,) or array.dtype.kind not in kinds:
        words = "numbers of modulus 1" if is_complex else "numbers +1 or -1"
        raise ProblemError(f"signs must be {count} {words}, one for each column of the support")
    for place, sign in enumerate(array.tolist()):
        if is_complex and not abs(abs(sign) - 1.0) <= UNIT_WITHIN:
            raise ProblemError(
                f"signs has {sign} at entry {place}; give z / |z|, of modulus 1 within "
                f"{UNIT_WITHIN:g}"
            )
        if not is_complex and sign not in (1, -1):
            raise ProblemError(f"signs has {sign} at entry {place}; only +1 and -1 are signs")
    if is_complex:
        return [complex(sign) for sign in array.tolist()]
    return [int(sign) for sign in array]
