"""Regression with a sparsity penalty: the question."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import ArrayLike

from sparseopt.butterfly.linear import LinearMatrix
from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.interface.arrays import (
    MatrixLike,
    as_array,
    bad_entries,
    read_only,
    require_finite,
    to_double,
    unmasked,
)
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.interface.problem import Problem
from sparseopt.interface.sparse_arrays import summed
from sparseopt.inverse.blocks import as_weights
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.matrix_penalties import NuclearNorm, TotalVariation
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.penalty import Penalty
from sparseopt.inverse.scaling import ScaledProblem, as_parts, largest_entry
from sparseopt.inverse.squares import column_squares
from sparseopt.judging.rounding import row_dots

LARGEST, SMALLEST = 1e151, 1e-151
"""Magnitudes whose squares, and small fractions of them, are numbers of float64."""
LARGEST_LIMIT, SMALLEST_LIMIT = 1e305, 1e-304
"""Of strengths times weights: products of two such magnitudes."""
_LEAST_SQUARE = 2.0**-150
FLOORED = "(objectives below 2^-53 of that at x = 0 count as that)"
"""Said of gaps that are divided by the objective."""
_FLOATS = np.float32, np.float64, np.complex64, np.complex128


def _as_design(value: Any) -> Any:
    """Return a dense, csr or csc matrix, without copying if it is one, or an operator."""
    if scipy.sparse.issparse(value):
        return _as_sparse_design(value)
    if isinstance(value, KroneckerProduct):
        return value.to_numpy()
    if hasattr(value, "matvec"):
        return _as_operator(value)
    array = _as_numbers(value, "design")
    if array.ndim != 2:
        raise ProblemError(f"design must be a matrix, got an array of shape {array.shape}")
    return read_only(array)


def _as_operator(value: Any) -> Any:
    found = scipy.sparse.linalg.aslinearoperator(value)
    dtype = np.dtype(np.float64 if found.dtype is None else found.dtype)
    if dtype.kind not in "fcbiu":
        raise ProblemError(f"design is a linear operator of dtype {dtype}; give one of numbers")
    if dtype.kind not in "fc":
        found.dtype = np.dtype(np.float64)
    return found


def _as_numbers(value: Any, name: str) -> np.ndarray:
    """Return an array of floats or complex numbers; integers and booleans become float64."""
    value = unmasked(value, name)
    array = as_array(value, name)
    _require_numbers(array.dtype, name)
    return array if array.dtype.kind in "fc" else to_double(array, name)


def _require_numbers(dtype: np.dtype, name: str) -> None:
    if dtype.kind not in "biu" and dtype not in _FLOATS:
        raise ProblemError(
            f"{name} has dtype {dtype}; convert it to float32 or float64, complex64 or complex128"
        )


def _as_sparse_design(value: Any) -> Any:
    _require_numbers(value.dtype, "design")
    if value.ndim != 2:
        raise ProblemError(f"design must be a matrix, got a sparse array of shape {value.shape}")
    cls = scipy.sparse.csr_array if value.format == "csr" else scipy.sparse.csc_array
    matrix = summed(value, cls, "design")
    parts = tuple(read_only(part) for part in (matrix.data, matrix.indices, matrix.indptr))
    return cls(parts, shape=matrix.shape)


def _require_finite(design: Any) -> None:
    """Refuse a dense or sparse design with a NaN or infinity, naming the place."""
    if isinstance(design, np.ndarray):
        require_finite(design, "design")
    elif scipy.sparse.issparse(design) and (bad := np.flatnonzero(~np.isfinite(design.data))).size:
        stored = design.tocoo()
        place = (int(stored.row[bad[0]]), int(stored.col[bad[0]]))
        raise ProblemError(f"design has {bad_entries(design.data[bad[0]], place, bad.size)}")


def _as_sample_weights(value: Any, rows: int) -> np.ndarray:
    """Return one weight per row, not all zero, whose ratios leave room for their squares."""
    weights = as_weights(value, rows, "sample_weights")
    used = weights[weights > 0]
    if not used.size:
        raise ProblemError("sample_weights are all 0; nothing would be fitted")
    if used.min() < 1e-60 * used.max():
        i = int(np.argmin(np.where(weights > 0, weights, np.inf)))
        raise ProblemError(
            f"sample_weights lie between {weights[i]:.3g} (entry {i}) and {used.max():.3g}; set "
            "those below 1e-60 times the largest to 0"
        )
    if not 1e-100 <= used.max() <= 1e100:
        raise ProblemError(
            f"the largest of sample_weights is {used.max():.3g}; divide them, and the strength, by "
            "a constant so that it lies between 1e-100 and 1e100"
        )
    return weights


def _require_scale(largest: float, name: str) -> None:
    if largest and not SMALLEST <= largest <= LARGEST:
        raise ProblemError(
            f"the largest entry of {name} is {largest:.3g} in magnitude, and its square leaves the "
            f"range of float64; multiply {name} by a constant so that it lies between "
            f"{SMALLEST:g} and {LARGEST:g}, and what it is weighed "
            "against (strength, radius, noise) accordingly"
        )


def _require_limits(penalty: Penalty, size: int) -> None:
    """Refuse products of strength and weight that leave the range of float64."""
    values = penalty.limits(size), np.array([penalty.ridge]), penalty.thresholds(size)
    for name, own in zip(("block", "ridge", "coefficient"), values, strict=True):
        limits = np.array([]) if own is None else own
        bad = ((limits != 0) & ((limits < SMALLEST_LIMIT) | (limits > LARGEST_LIMIT))).nonzero()[0]
        if bad.size:
            raise ProblemError(
                f"strength times weight is {limits[bad[0]]:.3g} for {name} {int(bad[0])}; take a "
                "strength of 0, or multiply design and target so that it can lie between "
                f"{SMALLEST_LIMIT:g} and {LARGEST_LIMIT:g}"
            )


@json_type
@dataclass(frozen=True, eq=False)
class SparseRegression(Problem[Coefficients, Any]):
    """Minimise 1/2 sum_i w_i |(design x - target)_i|^2 + penalty(x) over x.

    Parameters
    ----------
    design : array_like, scipy.sparse csr or csc, LinearOperator or KroneckerProduct, shape (m, n)
        float32, float64, complex64 or complex128, of any memory layout, kept without a copy; other
        numbers become float64. A linear operator stands for the matrix of the columns that its
        ``matvec`` returns; the proof takes n of them, a few at a time. It cannot be saved as JSON;
        a `KroneckerProduct` can.
    target : array_like, shape (m,)
        If it or the design is complex, so are the coefficients.
    penalty : Penalty
        `L1`, `GroupL1`, `SparseGroupL1`, `Ridge`, sums of them, `TotalVariation` or
        `NuclearNorm`. With strength 0 this is least squares.
    sample_weights : array_like, shape (m,), optional
        w, not negative; ones if not given.

    Raises
    ------
    ProblemError
        NaN or infinity, shapes that do not fit, groups that are not a partition of the columns,
        negative weights, magnitudes whose squares leave float64, complex data with
        ``positive=True``.

    Notes
    -----
    Let the penalty be a sum of limits L_g times block norms |x_g|. The dual problem is to maximise
    D(t) = target.t - sum_i t_i^2 / (2 w_i) over |design_g^T t| <= L_g for every block g. D never
    exceeds the minimum, which makes any such t a proof, see `DualityGapCertificate`; the duals of
    the other penalties are in `sparseopt.inverse.penalty`.

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.SparseRegression([[1.0, 0.0], [0.0, 1.0]], [3.0, 0.5], so.L1(1.0))
    >>> so.solve(problem).answer.x
    array([2., 0.])
    """

    design: Any
    target: np.ndarray
    penalty: Penalty
    sample_weights: np.ndarray | None = None
    default_tolerance: ClassVar = 1e-12
    accuracy_is: ClassVar = f"relative duality gap {FLOORED}"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            design: MatrixLike | LinearMatrix,
            target: ArrayLike,
            penalty: Penalty,
            sample_weights: ArrayLike | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        design = _as_design(self.design)
        target = _as_numbers(self.target, "target")
        if 0 in design.shape:
            raise ProblemError(
                f"design has shape {design.shape}; it needs at least one row and one column"
            )
        if target.shape != design.shape[:1]:
            raise ProblemError(
                f"target has shape {target.shape}, but design has {design.shape[0]} rows; give a "
                f"vector of shape ({design.shape[0]},)"
            )
        require_finite(target, "target")
        object.__setattr__(self, "design", design)
        object.__setattr__(self, "target", read_only(target))
        if self.column_squares is None:
            _require_finite(design)
            _require_scale(self.largest_entries[0], "design")
        if not isinstance(self.penalty, Penalty):
            raise ProblemError(
                "penalty must be L1(strength) or GroupL1(strength, groups), or another Penalty, "
                f"got {short(self.penalty)}"
            )
        _require_limits(self.penalty, design.shape[1])
        if self.sample_weights is not None:
            weights = _as_sample_weights(self.sample_weights, len(target))
            object.__setattr__(self, "sample_weights", weights)
        if self.is_complex and self.penalty.positive:
            raise ProblemError(
                "positive=True needs real data, and "
                f"{'target' if design.dtype.kind != 'c' else 'design'} is complex; complex numbers "
                "have no order"
            )
        _require_scale(largest_entry(self.target), "target")
        self.scaled()  # it refuses a design whose entries no scaling holds

    @cached_property
    def is_complex(self) -> bool:
        """Whether the coefficients are complex."""
        return "c" in (np.dtype(self.design.dtype).kind, self.target.dtype.kind)

    @cached_property
    def real_design(self) -> Any:
        """The design in real numbers: [[Re, -Im], [Im, Re]] if coefficients are complex."""
        if isinstance(self.design, KroneckerProduct) or hasattr(self.design, "matvec"):
            return ColumnOperator(self.design, self.is_complex)
        if not self.is_complex:
            return self.design
        real, imag = self.design.real, self.design.imag
        if not scipy.sparse.issparse(self.design):
            return np.block([[real, -imag], [imag, real]])
        if self.design.dtype.kind != "c":
            return scipy.sparse.block_diag([real, real], format=self.design.format)
        return scipy.sparse.block_array([[real, -imag], [imag, real]], format=self.design.format)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, n) of the design."""
        return self.design.shape  # type: ignore[no-any-return]

    @cached_property
    def largest_entries(self) -> tuple[float, float]:
        """The largest magnitude in the design, and in the target."""
        return largest_entry(self.real_design), largest_entry(self.target)

    @cached_property
    def column_squares(self) -> np.ndarray | None:
        """Sums of the squares of the columns of `real_design`, rounded, if they are moderate.

        They prove then that all of the design is finite, and its largest entry at most 2^76, and
        at least 2^-75 over the root of the rows, of which there are fewer than 2^40. None for
        designs of other sizes, and for operators.
        """
        if isinstance(self.real_design, ColumnOperator):
            return None
        squares = column_squares(self.real_design)
        return squares if _LEAST_SQUARE <= squares.max() <= 1.0 / _LEAST_SQUARE else None

    def scaled(self) -> ScaledProblem:
        """Return the same question in real numbers of moderate size, by powers of two."""
        return self._scaled

    @cached_property
    def _scaled(self) -> ScaledProblem:
        return ScaledProblem(self)

    def evaluate(self, answer: Coefficients) -> Mapping[str, float]:
        """Return the objective and its two parts; O(m n)."""
        x = np.asarray(answer.x)
        squares = np.square(self.residual_parts(x))
        if self.sample_weights is not None:
            squares *= np.tile(self.sample_weights, 1 + self.is_complex)
        loss = 0.5 * math.fsum(squares.tolist())
        penalty = self.penalty.value(x)
        return {"objective": loss + penalty, "loss": loss, "penalty": penalty}

    def residual_parts(self, x: np.ndarray) -> np.ndarray:
        """Return target minus design times x, real parts before imaginary ones; O(m n).

        To about the last bit, as far as the products are numbers: columns that nearly agree leave
        little of coefficients that are large. For operators in their own arithmetic.
        """
        if isinstance(self.real_design, ColumnOperator):
            residual = np.asarray(self.target - self.design.matvec(x))
            return as_parts(residual, self.is_complex)
        known, target = as_parts(x, self.is_complex), as_parts(self.target, self.is_complex)
        used = np.flatnonzero(known)
        columns = self.real_design[:, used].astype(np.float64)
        if scipy.sparse.issparse(columns):
            rows = scipy.sparse.hstack([columns, scipy.sparse.csr_array(target[:, None])], "csr")
        else:
            rows = np.column_stack([columns, target])
        with np.errstate(over="ignore", invalid="ignore"):
            found = -row_dots(rows, np.append(known[used], -1.0))[0]
        return found if np.isfinite(found).all() else target - columns @ known[used]

    def describe(self) -> str:
        """Return one line with the sizes and the penalty."""
        m, n = self.shape
        kind = f"sparse ({self.design.nnz} stored) " if scipy.sparse.issparse(self.design) else ""
        if isinstance(self.real_design, ColumnOperator):
            kind = "operator "
        kind = ("complex " if self.is_complex else "") + kind
        parts = getattr(self.penalty, "parts", (self.penalty,))
        name = " + ".join(type(part).__name__ for part in parts)
        return f"{name} regression, strength {self.penalty.strength:g}, {kind}design {m} x {n}"

    def structure(self) -> Mapping[str, str | int | bool]:
        """Return what engines select on.

        The penalty's name; whether the design is sparse, an operator, complex; whether it is
        `plain`: positive limits of norms of blocks and nothing else.
        """
        return dict(self._structure)

    @cached_property
    def _structure(self) -> Mapping[str, str | int | bool]:
        penalty, size = self.penalty, self.shape[1]
        return {
            "penalty": type(penalty).__name__,
            "sparse": bool(scipy.sparse.issparse(self.design)),
            "operator": isinstance(self.real_design, ColumnOperator),
            "complex": self.is_complex,
            "plain": bool(penalty.limits(size).min() > 0)
            and not penalty.ridge
            and not penalty.positive
            and not isinstance(penalty, TotalVariation | NuclearNorm)
            and penalty.thresholds(size) is None,
        }
