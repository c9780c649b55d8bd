"""Regression with a sparsity penalty: the question."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import MatrixLike, read_only, require_finite
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.problem import Problem
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.penalty import Penalty
from sparseopt.inverse.scaling import ScaledProblem, largest_entry

LARGEST, SMALLEST = 1e150, 1e-140
"""Magnitudes whose squares, and small fractions of them, are numbers of full precision."""


def _as_design(value: Any) -> Any:
    """Return a matrix of float32 or float64, dense or csr or csc, without copying if it is one."""
    if scipy.sparse.issparse(value):
        return _as_sparse_design(value)
    if hasattr(value, "matvec"):
        raise ProblemError(
            "design is a linear operator; the proof needs the norm of every column, so pass the "
            "matrix itself (dense, scipy.sparse csr or csc)"
        )
    array = _as_real(value, "design")
    if array.ndim != 2:
        raise ProblemError(f"design must be a matrix, got an array of shape {array.shape}")
    require_finite(array, "design")
    return read_only(array)


def _as_real(value: Any, name: str) -> np.ndarray:
    """Return an array of float32 or float64; integers and booleans become float64."""
    if isinstance(value, np.ma.MaskedArray):
        raise ProblemError(
            f"{name} is a masked array; fill or drop the masked entries first (.filled(value))"
        )
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ProblemError(f"{name} is ragged: its rows differ in length ({error})") from error
    _require_real(array.dtype, name)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _require_real(dtype: np.dtype, name: str) -> None:
    if dtype.kind == "c":
        raise ProblemError(
            f"{name} is complex; stack real and imaginary parts, [[Re, -Im], [Im, Re]], with one "
            "GroupL1 group per complex coefficient"
        )
    if dtype.kind not in "biu" and dtype not in (np.float32, np.float64):
        raise ProblemError(f"{name} has dtype {dtype}; convert it to float32 or float64")


def _as_sparse_design(value: Any) -> Any:
    _require_real(value.dtype, "design")
    if value.ndim != 2:
        raise ProblemError(f"design must be a matrix, got a sparse array of shape {value.shape}")
    matrix = value if value.format in ("csr", "csc") else value.tocsc()
    cls = scipy.sparse.csr_array if matrix.format == "csr" else scipy.sparse.csc_array
    if matrix.dtype.kind != "f":
        matrix = matrix.astype(np.float64)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    data = matrix.data
    bad = np.flatnonzero(~np.isfinite(data))
    if bad.size:
        stored = matrix.tocoo()
        place = (int(stored.row[bad[0]]), int(stored.col[bad[0]]))
        raise ProblemError(
            f"design has a {data[bad[0]]} at entry {place} ({bad.size} such entries); remove or "
            "replace them first"
        )
    parts = tuple(read_only(part) for part in (data, matrix.indices, matrix.indptr))
    return cls(parts, shape=matrix.shape)


def _require_scale(largest: float, name: str) -> None:
    if largest and not SMALLEST <= largest <= LARGEST:
        raise ProblemError(
            f"the largest entry of {name} is {largest:.3g} in magnitude, and its square leaves the "
            f"range of float64; multiply {name} by a constant so that it lies between "
            f"{SMALLEST:g} and {LARGEST:g}, and strength by the same"
        )


def _require_limits(penalty: Penalty, size: int) -> None:
    """Refuse products of strength and weight that leave the range of float64."""
    limits = penalty.limits(size)
    bad = np.flatnonzero(~((limits >= 1e-290) & (limits <= 1e300)) & (penalty.strength > 0))
    if bad.size:
        raise ProblemError(
            f"strength times weight is {limits[bad[0]]:.3g} for block {int(bad[0])}; take a "
            "strength of 0, or multiply design and target so that it can lie between 1e-290 and "
            "1e300"
        )


@json_type
@dataclass(frozen=True, eq=False)
class SparseRegression(Problem[Coefficients, Any]):
    """Minimise 1/2 |design x - target|^2 + penalty(x) over x.

    Parameters
    ----------
    design : array_like or scipy.sparse csr or csc, shape (m, n)
        float32 or float64, of any memory layout, kept without a copy; other numbers become
        float64. Complex matrices and linear operators are refused.
    target : array_like, shape (m,)
    penalty : Penalty
        `L1` or `GroupL1`. With strength 0 this is least squares.

    Raises
    ------
    ProblemError
        NaN or infinity, shapes that do not fit, groups that are no partition of the columns,
        magnitudes whose squares leave float64.

    Notes
    -----
    Let f be the penalty, a sum of limits w_g times block norms |x_g|. The dual problem is to
    maximise D(t) = target.t - |t|^2 / 2 over |design_g^T t| <= w_g for every block g. D never
    exceeds the minimum, which makes any such t a proof, see `DualityGapCertificate`.

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
    default_tolerance: ClassVar = 1e-12
    accuracy_is: ClassVar = "relative duality gap"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, design: MatrixLike, target: ArrayLike, penalty: Penalty) -> None: ...

    def __post_init__(self) -> None:
        design = _as_design(self.design)
        target = _as_real(self.target, "target")
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
        if not isinstance(self.penalty, Penalty):
            raise ProblemError(
                f"penalty must be L1(strength) or GroupL1(strength, groups), got {self.penalty!r}"
            )
        self.penalty.blocks(design.shape[1])
        _require_limits(self.penalty, design.shape[1])
        object.__setattr__(self, "design", design)
        object.__setattr__(self, "target", read_only(target))
        _require_scale(self.largest_entries[0], "design")
        _require_scale(self.largest_entries[1], "target")
        self.scaled()  # it refuses a design whose entries no scaling holds

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, n) of the design."""
        return self.design.shape  # type: ignore[no-any-return]

    @cached_property
    def largest_entries(self) -> tuple[float, float]:
        """The largest magnitude in the design, and in the target."""
        return largest_entry(self.design), largest_entry(self.target)

    def scaled(self) -> ScaledProblem:
        """Return the same question in numbers of moderate size, by powers of two."""
        return ScaledProblem(self.design, self.target, self.penalty, self.largest_entries)

    def evaluate(self, answer: Coefficients) -> Mapping[str, float]:
        """Return the objective and its two parts; O(m n)."""
        x = np.asarray(answer.x, dtype=np.float64)
        residual = self.target - self.design @ x
        loss = 0.5 * math.fsum(np.square(residual).tolist())
        penalty = self.penalty.value(x)
        return {"objective": loss + penalty, "loss": loss, "penalty": penalty}

    def describe(self) -> str:
        """Return one line with the sizes and the penalty."""
        m, n = self.shape
        kind = f"sparse ({self.design.nnz} stored) " if scipy.sparse.issparse(self.design) else ""
        name = type(self.penalty).__name__
        return f"{name} regression, strength {self.penalty.strength:g}, {kind}design {m} x {n}"

    def structure(self) -> Mapping[str, str | int | bool]:
        """Return the penalty's name, and whether the design is sparse."""
        return {
            "penalty": type(self.penalty).__name__,
            "sparse": bool(scipy.sparse.issparse(self.design)),
        }
