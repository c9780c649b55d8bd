"""Products of Kronecker-sparse factors: the answer of a butterfly factorization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.arrays import read_only, require_finite
from sparseopt.errors import ProblemError
from sparseopt.kronecker.pattern import Architecture
from sparseopt.serialization import json_type


@json_type
@dataclass(frozen=True, eq=False)
class KroneckerProduct:
    """A product of Kronecker-sparse factors, usable as a linear operator.

    Parameters
    ----------
    factors : sequence of array (a, b, c, d)
        Values of each factor, see `KroneckerPattern`.
    architecture : Architecture
        One pattern per factor.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> product = so.KroneckerProduct([np.ones((1, 2, 2, 1))], so.Architecture([(1, 2, 2, 1)]))
    >>> product @ np.array([1.0, 2.0])
    array([3., 3.])
    """

    factors: tuple[np.ndarray, ...]
    architecture: Architecture

    def __post_init__(self) -> None:
        if len(self.factors) != len(self.architecture):
            raise ProblemError(
                f"{len(self.factors)} factors were given for {len(self.architecture)} patterns"
            )
        kept = []
        for i, (factor, pattern) in enumerate(zip(self.factors, self.architecture, strict=True)):
            values = np.asarray(factor)
            if values.shape != pattern.values_shape:
                raise ProblemError(
                    f"factor {i} has shape {values.shape}; its pattern needs {pattern.values_shape}"
                )
            if values.dtype.kind not in "fc":
                raise ProblemError(f"factor {i} has dtype {values.dtype}; use float or complex")
            require_finite(values, f"factor {i}")
            kept.append(read_only(values))
        object.__setattr__(self, "factors", tuple(kept))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.architecture.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Common dtype of the factors."""
        return np.result_type(*self.factors)

    @property
    def nnz(self) -> int:
        """Number of stored values."""
        return self.architecture.nnz

    def matmat(self, x: np.ndarray) -> np.ndarray:
        """Return the product with a matrix (n, batch). O(nnz * batch)."""
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[0] != self.shape[1]:
            raise ProblemError(
                f"the operand must have shape ({self.shape[1]}, batch), got {x.shape}"
            )
        pairs = zip(self.factors, self.architecture, strict=True)
        for factor, (a, _, c, d) in reversed(list(pairs)):
            blocks = x.reshape(a, c, d, -1).transpose(0, 2, 1, 3)
            y = factor.transpose(0, 3, 1, 2) @ blocks
            x = y.transpose(0, 2, 1, 3).reshape(-1, x.shape[1])
        return x

    def matvec(self, x: np.ndarray) -> np.ndarray:
        """Return the product with a vector (n,) or column (n, 1), in the shape of the operand."""
        x = np.asarray(x)
        return self.matmat(x.reshape(-1, 1)).reshape((self.shape[0], *x.shape[1:]))

    def rmatmat(self, x: np.ndarray) -> np.ndarray:
        """Return the adjoint times a matrix (m, batch)."""
        return self.H.matmat(x)

    def rmatvec(self, x: np.ndarray) -> np.ndarray:
        """Return the adjoint times a vector."""
        return self.H.matvec(x)

    @property
    def T(self) -> KroneckerProduct:
        """The transpose."""
        flipped = tuple(factor.transpose(0, 2, 1, 3) for factor in reversed(self.factors))
        return KroneckerProduct(flipped, self.architecture.transpose)

    @property
    def H(self) -> KroneckerProduct:
        """The adjoint."""
        flipped = tuple(f.conj().transpose(0, 2, 1, 3) for f in reversed(self.factors))
        return KroneckerProduct(flipped, self.architecture.transpose)

    def __matmul__(self, x: Any) -> np.ndarray:
        x = np.asarray(x)
        return self.matvec(x) if x.ndim == 1 else self.matmat(x)

    def to_dense(self) -> np.ndarray:
        """Return the product as an array (m, n)."""
        return self.matmat(np.eye(self.shape[1], dtype=self.dtype))

    def __str__(self) -> str:
        share = self.nnz / (self.shape[0] * self.shape[1])
        return (
            f"product of {len(self.factors)} Kronecker-sparse factors, {self.shape[0]} x "
            f"{self.shape[1]}, {self.nnz} values ({100 * share:.3g} % of dense)"
        )
