"""Products of Kronecker-sparse factors: the answer of a butterfly factorization."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.butterfly.splitting import merge_all, permute
from sparseopt.interface.arrays import read_only, require_finite
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.seams import multiplication
from sparseopt.judging.scaling import spread_power


class MultiplicationPlan(Protocol):
    """How a product is applied to operands of one batch size and dtype; printable."""

    steps: tuple[Any, ...]
    batch: int
    dtype: np.dtype[Any]

    @property
    def microseconds(self) -> float:
        """Predicted time of one multiplication, one thread."""
        ...


class Multiplication(Protocol):
    """Multiplies by a chain of NumPy factors. It is fast and judges nothing."""

    def plan(self, batch: int, dtype: Any) -> MultiplicationPlan:
        """Return the plan for operands (n, batch) of a dtype."""
        ...

    def known(self, x: np.ndarray) -> np.ndarray | None:
        """Return the product with a vector or matrix like one seen before, else None."""
        ...

    def matmat(self, x: Any) -> Any:
        """Return the product with an array or tensor (n, batch)."""
        ...


@json_type
@dataclass(frozen=True, eq=False)
class KroneckerProduct:
    """A product of Kronecker-sparse factors, usable as a linear operator.

    It has what `scipy.sparse.linalg.aslinearoperator` asks for, so SciPy's iterative solvers take
    it as it is. ``product @ x`` takes vectors (n,) and matrices (n, batch); with the batch first,
    write ``x @ product.T``. NumPy factors are multiplied by the methods that `plan` shows, chosen
    once for each batch size and dtype; torch factors one by one, with gradients. A product of NumPy
    factors times a torch tensor is a tensor on its device, with its gradients.

    Parameters
    ----------
    factors : sequence of array (a, b, c, d)
        Values of each factor, see `KroneckerPattern`: float or complex NumPy arrays, or torch
        tensors, which stay on their device.
    architecture : Architecture
        One pattern per factor; it need not be chainable.
    compiled : bool
        Whether plans may use compiled kernels too; see `accelerated`.

    Raises
    ------
    ProblemError
        If a factor does not fit its pattern, is not float or complex, or has NaN or infinity.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> product = so.KroneckerProduct([np.ones((1, 2, 2, 1))], so.Architecture([(1, 2, 2, 1)]))
    >>> product @ np.array([1.0, 2.0])
    array([3., 3.])
    """

    # NumPy arrays on the left of @ leave the product to `__rmatmul__`.
    __array_ufunc__ = None

    factors: tuple[Any, ...]
    architecture: Architecture
    compiled: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.architecture, Architecture):
            object.__setattr__(self, "architecture", Architecture(self.architecture))
        if not isinstance(self.factors, Iterable):
            raise ProblemError(
                f"factors must be a sequence of arrays, got {type(self.factors).__name__}"
            )
        object.__setattr__(self, "factors", tuple(self.factors))
        if len(self.factors) != len(self.architecture):
            raise ProblemError(
                f"{len(self.factors)} factors were given for {len(self.architecture)} patterns"
            )
        pairs = zip(self.factors, self.architecture, strict=True)
        kept = tuple(_valid(f, pattern, f"factor {i}") for i, (f, pattern) in enumerate(pairs))
        libraries = sorted({type(f).__module__.partition(".")[0] for f in kept})
        if len(libraries) > 1:
            raise ProblemError(f"the factors mix {' and '.join(libraries)}; use one library")
        object.__setattr__(self, "factors", kept)

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON; tensors as NumPy arrays."""
        return {"factors": self.to_numpy().factors, "architecture": self.architecture}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> KroneckerProduct:
        """Inverse of `to_fields`."""
        return cls(**fields)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.architecture.shape

    @property
    def dtype(self) -> Any:
        """Common dtype of the factors (the first one's, for torch tensors)."""
        if isinstance(self.factors[0], np.ndarray):
            return np.result_type(*self.factors)
        return self.factors[0].dtype

    @property
    def nnz(self) -> int:
        """Number of stored values."""
        return self.architecture.nnz

    def to_numpy(self) -> KroneckerProduct:
        """Return the same product with NumPy factors; itself if it has them."""
        if all(isinstance(factor, np.ndarray) for factor in self.factors):
            return self
        return KroneckerProduct(
            tuple(f.detach().cpu().resolve_conj().numpy() for f in self.factors),
            self.architecture,
            self.compiled,
        )

    def accelerated(self) -> KroneckerProduct:
        """Return the same product, whose plans may also use compiled kernels (numba).

        They take several factors with blocks of 2 or 4 rows in one pass over the operand. `plan`
        shows where they are predicted to be faster. The first multiplication of each dtype imports
        numba and compiles, which takes seconds; later ones, also of later processes, load what was
        compiled. Where numba is not installed the plan says so, and all else stays as it was; for
        torch factors nothing changes.

        Examples
        --------
        >>> import numpy as np, sparseopt as so
        >>> from sparseopt.tools.transforms import hadamard
        >>> fast = hadamard(64).accelerated()
        >>> bool(np.allclose(fast @ np.eye(64), fast.to_dense()))
        True
        """
        return replace(self, compiled=True)

    @property
    def ndim(self) -> int:
        """Two, as for a matrix."""
        return 2

    def plan(self, batch: int = 1, dtype: Any = None) -> MultiplicationPlan:
        """Return how ``self @ x`` is computed for x of shape (n, batch), printable.

        Parameters
        ----------
        batch : int
            Positive number of columns.
        dtype : numpy dtype, optional
            Of x; default that of the product.

        Raises
        ------
        ProblemError
            If the factors are torch tensors: those are always applied one by one.
        """
        if not self._is_numpy:
            raise ProblemError("a product of torch tensors has no plan; see to_numpy()")
        if batch < 1:
            raise ProblemError(f"batch must be positive, got {batch}")
        wanted = np.result_type(self.dtype, self.dtype if dtype is None else dtype, np.float32)
        if wanted.kind == "c" and self.dtype.kind != "c":
            wanted, batch = np.empty(0, dtype=wanted).real.dtype, 2 * batch
        return self._multiplication.plan(batch, wanted)

    def matmat(self, x: Any) -> Any:
        """Return the product with a matrix (n, batch), shape (m, batch). O(nnz batch)."""
        x = self._operand(x)
        if x.ndim != 2 or x.shape[0] != self.shape[1]:
            raise ProblemError(
                f"the operand must have shape ({self.shape[1]}, batch), got {tuple(x.shape)}"
            )
        return self._multiplication.matmat(x) if self._is_numpy else self.one_by_one(x)

    def matvec(self, x: Any) -> Any:
        """Return the product with a vector (n,) or column (n, 1), in the shape of the operand."""
        x = self._operand(x)
        if x.ndim not in (1, 2) or x.shape[0] != self.shape[1] or x.shape[1:] not in ((), (1,)):
            raise ProblemError(
                f"the operand must have shape ({self.shape[1]},) or ({self.shape[1]}, 1), "
                f"got {tuple(x.shape)}"
            )
        return self.matmat(x.reshape(-1, 1)).reshape((self.shape[0], *x.shape[1:]))

    def rmatmat(self, x: Any) -> Any:
        """Return the adjoint times a matrix (m, batch)."""
        return self.H.matmat(x)

    def rmatvec(self, x: Any) -> Any:
        """Return the adjoint times a vector."""
        return self.H.matvec(x)

    # Iterative solvers alternate products with the matrix and its adjoint: both are kept.
    @cached_property
    def T(self) -> KroneckerProduct:
        """The transpose."""
        flipped = tuple(permute(factor, (0, 2, 1, 3)) for factor in reversed(self.factors))
        return KroneckerProduct(flipped, self.architecture.transpose, self.compiled)

    @cached_property
    def H(self) -> KroneckerProduct:
        """The adjoint; the transpose itself if all factors are real."""
        if self._is_numpy and self.dtype.kind != "c":
            return self.T
        flipped = tuple(permute(f.conj(), (0, 2, 1, 3)) for f in reversed(self.factors))
        return KroneckerProduct(flipped, self.architecture.transpose, self.compiled)

    def transpose(self) -> KroneckerProduct:
        """Return the transpose, as `T`."""
        return self.T

    def adjoint(self) -> KroneckerProduct:
        """Return the adjoint, as `H`."""
        return self.H

    def dot(self, x: Any) -> Any:
        """Return ``self @ x``."""
        return self @ x

    __call__ = dot

    def __matmul__(self, x: Any) -> Any:
        if type(x) is np.ndarray and self._is_numpy:
            found = self._multiplication.known(x)
            if found is not None:
                return found
        if isinstance(x, KroneckerProduct):
            return self._followed_by(x)
        if is_operator(x):
            return self._operator() @ as_operator(x)
        x = self._operand(x)
        return self.matvec(x) if x.ndim == 1 else self.matmat(x)

    def __rmatmul__(self, x: Any) -> Any:
        x = self._operand(x)
        return self.T.matvec(x) if x.ndim == 1 else self.T.matmat(x.T).T

    def __mul__(self, number: Any) -> KroneckerProduct:
        """Return the product times a number, which multiplies its first factor."""
        if not isinstance(number, numbers.Number):
            return NotImplemented
        first, *others = self.factors
        return KroneckerProduct((first * number, *others), self.architecture, self.compiled)

    __rmul__ = __mul__

    def __neg__(self) -> KroneckerProduct:
        return self * -1.0

    def __add__(self, other: Any) -> Any:
        """Return the sum as a SciPy LinearOperator: it is no product of such factors."""
        if not is_operator(other):
            return NotImplemented
        return self._operator() + as_operator(other)

    def __sub__(self, other: Any) -> Any:
        """Return the difference as a SciPy LinearOperator."""
        if not is_operator(other):
            return NotImplemented
        return self._operator() - as_operator(other)

    def times_power(self, exponent: int) -> KroneckerProduct:
        """Return the product times 2**exponent, the power shared evenly among the factors.

        Exact unless an entry leaves the normal range of its dtype; `ProblemError` if one overflows.
        """
        factors = spread_power(self.factors, exponent)
        return KroneckerProduct(factors, self.architecture, self.compiled)

    def _followed_by(self, other: KroneckerProduct) -> KroneckerProduct:
        """Return ``self @ other``: the factors of both, one after the other."""
        if self.shape[1] != other.shape[0]:
            raise ProblemError(
                f"the operand must have {self.shape[1]} rows, got a product of shape {other.shape}"
            )
        architecture = Architecture((*self.architecture, *other.architecture))
        compiled = self.compiled or other.compiled
        return KroneckerProduct((*self.factors, *other.factors), architecture, compiled)

    def _operator(self) -> Any:
        """Return this as a SciPy LinearOperator, which sums and composes with others."""
        if not self._is_numpy:
            raise ProblemError(
                "the factors are torch tensors; take to_numpy() to combine it with operators"
            )
        return as_operator(self)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be computed again."""
        names = ("factors", "architecture", "compiled")
        return {name: getattr(self, name) for name in names}

    @cached_property
    def _is_numpy(self) -> bool:
        return isinstance(self.factors[0], np.ndarray)

    @cached_property
    def _multiplication(self) -> Multiplication:
        found: Multiplication = multiplication(self.factors, self.architecture, self.compiled)
        return found

    def to_dense(self) -> Any:
        """Return the product as an array (m, n).

        A product that is chainable, or whose transpose is, is expanded pattern by pattern, in a
        small multiple of m n operations; any other is applied to the identity.
        """
        architecture = self.architecture
        if architecture.is_chainable:
            return architecture.product.dense(merge_all(self.factors, architecture))
        if architecture.transpose.is_chainable:
            return self.T.to_dense().T
        first, size = self.factors[0], self.shape[1]
        if self._is_numpy:
            return self.one_by_one(np.eye(size, dtype=self.dtype))
        identity = first.new_zeros((size, size))
        identity.fill_diagonal_(1)
        return self.one_by_one(identity)

    def one_by_one(self, x: Any) -> Any:
        """Return the product with a matrix (n, batch) of the factors' library, without any plan.

        It is what a check calls, since it rests on these lines alone.
        """
        for factor, pattern in reversed(list(zip(self.factors, self.architecture, strict=True))):
            x = apply_factor(factor, pattern, x)
        return x

    def _operand(self, x: Any) -> Any:
        """Return a list or a SciPy sparse matrix as an array; arrays and tensors as they are."""
        if hasattr(x, "detach"):
            return x
        if not self._is_numpy:
            raise ProblemError(
                f"the factors are torch tensors, the operand is a {type(x).__name__}; make it a "
                "tensor, or take to_numpy()"
            )
        return x.toarray() if hasattr(x, "toarray") else np.asarray(x)

    def __str__(self) -> str:
        share = self.nnz / (self.shape[0] * self.shape[1])
        return (
            f"product of {len(self.factors)} Kronecker-sparse factors, {self.shape[0]} x "
            f"{self.shape[1]}, {self.nnz} values ({100 * share:.3g} % of dense)"
        )


def is_operator(x: Any) -> bool:
    """Whether x multiplies as SciPy's operators do; arrays, sparse matrices and tensors do not."""
    return hasattr(x, "matvec")


def as_operator(x: Any) -> Any:
    """Return x as a SciPy LinearOperator, which sums and composes with others."""
    from scipy.sparse.linalg import aslinearoperator

    return aslinearoperator(x)


def apply_factor(factor: Any, pattern: KroneckerPattern, x: Any) -> Any:
    """Return one factor times a matrix (a c d, batch): a matmul batched over (a, d)."""
    a, _, c, d = pattern
    blocks = permute(x.reshape(a, c, d, -1), (0, 2, 1, 3))
    y = permute(factor, (0, 3, 1, 2)) @ blocks
    return permute(y, (0, 2, 1, 3)).reshape(pattern.shape[0], -1)


def _valid(factor: Any, pattern: KroneckerPattern, name: str) -> Any:
    """Return the values of a factor, checked against its pattern."""
    if hasattr(factor, "detach"):
        values, kind = factor, str(factor.dtype).rpartition(".")[2][0]
    else:
        values = np.asarray(factor)
        kind = values.dtype.kind
    if tuple(values.shape) != pattern.values_shape:
        raise ProblemError(
            f"{name} has shape {tuple(values.shape)}; its pattern {tuple(pattern)} needs values "
            f"of shape {pattern.values_shape}"
        )
    if kind not in "fc":
        raise ProblemError(f"{name} has dtype {values.dtype}; use float or complex")
    if hasattr(factor, "detach"):
        if not bool(values.isfinite().all()):
            raise ProblemError(f"{name} has a NaN or an infinity; remove or replace it first")
        return values
    require_finite(values, name)
    return read_only(values)
