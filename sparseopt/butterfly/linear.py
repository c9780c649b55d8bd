"""What all matrices that are known by their factors have in common: one algebra of operators."""

from __future__ import annotations

import functools
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np

from sparseopt.butterfly.indexing import axes_of, block_of
from sparseopt.interface.arrays import on_device
from sparseopt.interface.errors import ProblemError


@dataclass(frozen=True, eq=False)
class LinearMatrix(ABC):
    """A matrix (m, n) that multiplies without being written out, usable as a linear operator.

    A subclass is a frozen dataclass with `factors`, arrays of one library, that defines what is
    abstract here and overrides nothing else.
    Its laws, with D for ``self.to_dense()`` and up to rounding: ``self @ x`` is D x, ``x @ self``
    is x D, `T` is the transpose of D and `H` its conjugate; ``a * self`` is a D; ``self @ other``
    and ``self + other`` are products and sums of the dense matrices; ``self[rows, columns]`` is
    D[rows, columns]. Operands are vectors (n,), matrices (n, batch) and stacks of them (..., n,
    batch): arrays, lists, SciPy sparse matrices, or torch tensors and CuPy arrays, which give the
    same.

    It has what `scipy.sparse.linalg.aslinearoperator` asks for.
    """

    # NumPy arrays on the left of @ leave the product to `__rmatmul__`.
    __array_ufunc__ = None

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    @abstractmethod
    def dtype(self) -> Any:
        """Dtype of the entries; one of torch if the matrix is held in tensors."""

    @abstractmethod
    def to_numpy(self) -> Self:
        """Return the same matrix held in NumPy arrays; itself if it is."""

    @abstractmethod
    def to_dense(self) -> Any:
        """Return the matrix as an array (m, n)."""

    @abstractmethod
    def _times(self, x: Any) -> Any:
        """Return the product with an array or tensor, in its shape but for the first axis.

        Whoever computes it calls `_require_operand` first, unless it knows the shape as a good one.
        """

    @abstractmethod
    def _flipped(self, conjugate: bool) -> Self:
        """Return the transpose, or the adjoint."""

    @abstractmethod
    def _changed(self, change: Callable[[tuple[Any, ...]], Iterable[Any]]) -> Self:
        """Return the matrix whose factors are ``change(factors)``, of the same shapes."""

    @abstractmethod
    def inv(self) -> Self:
        """Return the inverse; `ProblemError` if a factor has none of its own pattern."""

    @abstractmethod
    def _units(self, columns: Any) -> Any:
        """Return columns of the identity (n, len(columns)), in the library of the factors."""

    @abstractmethod
    def _followed_by(self, other: LinearMatrix) -> LinearMatrix | None:
        """Return ``self @ other``, whose sizes fit, if it is such a matrix again; None if not.

        What only `other` knows how to write is asked of the transposes, see `__matmul__`.
        """

    @property
    def ndim(self) -> int:
        """Two, as for a matrix."""
        return 2

    # Iterative solvers alternate products with the matrix and its adjoint: both are kept.
    @cached_property
    def T(self) -> Self:
        """The transpose."""
        return self._flipped(conjugate=False)

    @cached_property
    def H(self) -> Self:
        """The adjoint; the transpose itself if the entries are real numbers of NumPy or CuPy."""
        if isinstance(self.dtype, np.dtype) and self.dtype.kind != "c":
            return self.T
        return self._flipped(conjugate=True)

    def transpose(self) -> Self:
        """Return the transpose, as `T`."""
        return self.T

    def adjoint(self) -> Self:
        """Return the adjoint, as `H`."""
        return self.H

    def conj(self) -> Self:
        """Return the complex conjugate."""
        return self._changed(lambda factors: (f.conj() for f in factors))

    def astype(self, dtype: Any) -> Self:
        """Return the matrix with every factor in another dtype, as arrays convert.

        Raises
        ------
        ProblemError
            If the dtype is neither float nor complex, or real and the factors are complex.
        """
        if isinstance(self.dtype, np.dtype):
            wanted = np.dtype(dtype)
            if wanted.kind not in "fc":
                raise ProblemError(f"factors are float or complex, not {wanted}")
            if self.dtype.kind == "c" and wanted.kind == "f":
                raise ProblemError(
                    f"{wanted} would drop the imaginary parts of factors in {self.dtype}"
                )
            return self._changed(lambda factors: (f.astype(wanted) for f in factors))
        return self._changed(lambda factors: (f.to(dtype) for f in factors))

    def toarray(self) -> Any:
        """Return the matrix as an array (m, n), by the name that SciPy's sparse matrices have."""
        return self.to_dense()

    def matmat(self, x: Any) -> Any:
        """Return the product with a matrix (n, batch), shape (m, batch)."""
        x = self._operand(x)
        if x.ndim != 2:
            raise self._misfit(x, "batch")
        return self._times(x)

    def matvec(self, x: Any) -> Any:
        """Return the product with a vector (n,) or column (n, 1), in the shape of the operand."""
        x = self._operand(x)
        if x.ndim != 1 and x.shape[1:] != (1,):
            raise self._misfit(x)
        return self._times(x)

    def rmatmat(self, x: Any) -> Any:
        """Return the adjoint times a matrix (m, batch)."""
        return self.H.matmat(x)

    def rmatvec(self, x: Any) -> Any:
        """Return the adjoint times a vector."""
        return self.H.matvec(x)

    def dot(self, x: Any) -> Any:
        """Return ``self @ x``."""
        return self @ x

    __call__ = dot

    def __matmul__(self, x: Any) -> Any:
        # First, since small products take less time than to find out what x may else be.
        if type(x) is np.ndarray and self._is_numpy and x.ndim < 3:
            return self._times(x)
        if isinstance(x, LinearMatrix):
            return self._chained(x)
        if is_operator(x):
            return as_operator(self) @ as_operator(x)
        x = self._operand(x)
        return self._times_stack(x) if x.ndim > 2 else self._times(x)

    def __rmatmul__(self, x: Any) -> Any:
        x = self._operand(x)
        if x.ndim < 3:
            return self.T.matvec(x) if x.ndim == 1 else self.T.matmat(x.T).T
        if x.shape[-1] != self.shape[0]:
            raise ProblemError(
                f"the left operand must have {self.shape[0]} entries in its last dimension, got "
                f"shape {tuple(x.shape)}"
            )
        rows = x.reshape(-1, self.shape[0])
        return self.T.matmat(rows.T).T.reshape(*x.shape[:-1], self.shape[1])

    def __mul__(self, number: Any) -> Self:
        if not isinstance(number, numbers.Number):
            return NotImplemented
        return self._changed(lambda factors: (factors[0] * number, *factors[1:]))

    __rmul__ = __mul__

    def __truediv__(self, number: Any) -> Self:
        if not isinstance(number, numbers.Number):
            return NotImplemented
        if number == 0:
            raise ProblemError("a product of factors is divided by zero")
        return self._changed(lambda factors: (factors[0] / number, *factors[1:]))

    def __neg__(self) -> Self:
        return -1.0 * self

    def __pow__(self, exponent: Any) -> Any:
        """Return the matrix times itself, `exponent` factors of it; of the inverse, if negative."""
        if not isinstance(exponent, int | np.integer):
            return NotImplemented
        if self.shape[0] != self.shape[1] or exponent == 0:
            raise ProblemError(
                "powers are of square matrices, by an integer that is not 0; got "
                f"{exponent} of shape {self.shape}"
            )
        base = self if exponent > 0 else self.inv()
        return functools.reduce(lambda power, one: one @ power, [base] * abs(int(exponent)))

    def __add__(self, other: Any) -> Any:
        """Return the sum as a SciPy LinearOperator: it has no such factors."""
        if not is_operator(other):
            return NotImplemented
        return as_operator(self) + as_operator(other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        """Return the difference as a SciPy LinearOperator."""
        if not is_operator(other):
            return NotImplemented
        return as_operator(self) - as_operator(other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __getitem__(self, key: Any) -> Any:
        """Return entries as ``to_dense()[key]`` does, written out; other entries are not computed.

        `key` is one index, for rows, or a pair for rows and columns; each is an integer, a slice,
        or a vector of integers or of truth values. It takes the product with as many vectors as
        there are rows or columns in it, whichever are fewer.
        """
        rows, columns = axes_of(key, self.shape)
        if len(rows.places) < len(columns.places):
            return block_of(self.T @ self.T._units(rows.places), columns, rows, swapped=True)
        return block_of(self @ self._units(columns.places), rows, columns)

    def __iter__(self) -> Any:
        """Refused, since a loop over rows would multiply once for each."""
        raise TypeError("a product of factors is not iterated over; see to_dense() and rows [i]")

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """Refused: NumPy would write the matrix out silently."""
        raise TypeError(
            f"a {type(self).__name__} is not an array; write it out by to_dense(), or multiply by @"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be computed again; what lies on a CUDA device comes back in NumPy."""
        held = self.to_numpy() if self._is_on_device else self
        return {field.name: getattr(held, field.name) for field in fields(self)}

    def _chained(self, other: LinearMatrix) -> Any:
        """Return ``self @ other``: such a matrix if one of them knows how, else an operator."""
        if self.shape[1] != other.shape[0]:
            raise ProblemError(
                f"the operand must have {self.shape[1]} rows, got a product of shape {other.shape}"
            )
        found = self._followed_by(other)
        if found is None:  # (A B)^T = B^T A^T
            flipped = other.T._followed_by(self.T)
            found = None if flipped is None else flipped.T
        return as_operator(self) @ as_operator(other) if found is None else found

    @cached_property
    def _is_numpy(self) -> bool:
        return isinstance(self.factors[0], np.ndarray)  # type: ignore[attr-defined]

    @cached_property
    def _is_on_device(self) -> bool:
        return on_device(self.factors[0])  # type: ignore[attr-defined]

    def _operand(self, x: Any) -> Any:
        """Return a list or a SciPy sparse matrix as an array; arrays and tensors as they are."""
        if hasattr(x, "detach") or on_device(x):
            return x
        if not self._is_numpy:
            raise self._foreign(x)
        return x.toarray() if hasattr(x, "toarray") else np.asarray(x)

    def _foreign(self, x: Any) -> ProblemError:
        given = type(x).__name__
        if self._is_on_device:
            place = self.factors[0].device  # type: ignore[attr-defined]
            return ProblemError(
                f"the factors are on {place}, the operand is a {given}; bring it "
                "there by cupy.asarray, or take to_numpy()"
            )
        return ProblemError(
            f"the factors are torch tensors, the operand is a {given}; make it a tensor, or take "
            "to_numpy()"
        )

    def _times_stack(self, x: Any) -> Any:
        """Return the product with a stack of matrices (..., n, batch), as one wide matrix."""
        if x.shape[-2] != self.shape[1]:
            raise ProblemError(
                f"the operand must have shape (..., {self.shape[1]}, batch), got {tuple(x.shape)}"
            )
        *stack, n, batch = x.shape
        wide = x.swapaxes(-2, -1).reshape(-1, n)
        return (self._times(wide.T).T).reshape(*stack, batch, self.shape[0]).swapaxes(-2, -1)

    def _require_operand(self, x: Any) -> None:
        """Refuse an array or tensor that is not a vector (n,) and no matrix (n, batch)."""
        if x.ndim not in (1, 2) or x.shape[0] != self.shape[1]:
            raise self._misfit(x, "" if x.ndim == 1 else "batch")

    def _misfit(self, x: Any, batch: str = "") -> ProblemError:
        n = self.shape[1]
        wanted = f"({n}, {batch})" if batch else f"({n},) or ({n}, 1)"
        return ProblemError(f"the operand must have shape {wanted}, got {tuple(x.shape)}")


def is_operator(x: Any) -> bool:
    """Whether x multiplies as SciPy's operators do; arrays, sparse matrices and tensors do not."""
    return hasattr(x, "matvec")


def as_operator(x: Any) -> Any:
    """Return x as a SciPy LinearOperator, which sums and composes with others."""
    from scipy.sparse.linalg import LinearOperator, aslinearoperator

    if not isinstance(x, LinearMatrix):
        return aslinearoperator(x)
    if x._is_on_device:
        raise ProblemError(
            "the factors are on a device; take to_numpy() to combine it with operators of SciPy, "
            "or aslinearoperator of cupyx.scipy.sparse.linalg for those of CuPy"
        )
    if not x._is_numpy:
        raise ProblemError(
            "the factors are torch tensors; take to_numpy() to combine it with operators"
        )
    # SciPy's own conversion would multiply matrices column by column.
    return LinearOperator(x.shape, x.matvec, x.rmatvec, x.matmat, x.dtype, x.rmatmat)
