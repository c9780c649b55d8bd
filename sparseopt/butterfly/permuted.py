"""Products with rows and columns in another order: the answer where the orders are unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.butterfly.product import KroneckerProduct, as_operator, is_operator
from sparseopt.interface.arrays import read_only
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type


@json_type
@dataclass(frozen=True, eq=False)
class PermutedKroneckerProduct:
    """A Kronecker-sparse product with its rows and columns in another order.

    It stands for the matrix B with ``B[rows][:, columns]`` equal to `product`.

    Parameters
    ----------
    product : KroneckerProduct (m, n)
        With NumPy factors.
    rows, columns : int array (m,), (n,)
        Permutations of ``range(m)`` and ``range(n)``.

    Raises
    ------
    ProblemError
        If `rows` or `columns` is no permutation, or a factor is no NumPy array.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> product = so.KroneckerProduct([np.array([[[[1.0], [2.0]], [[3.0], [4.0]]]])],
    ...                               so.Architecture([(1, 2, 2, 1)]))
    >>> so.PermutedKroneckerProduct(product, [1, 0], [0, 1]).to_dense()
    array([[3., 4.],
           [1., 2.]])
    """

    # NumPy arrays on the left of @ leave the product to `__rmatmul__`.
    __array_ufunc__ = None

    product: KroneckerProduct
    rows: np.ndarray
    columns: np.ndarray

    def __post_init__(self) -> None:
        if not isinstance(self.product, KroneckerProduct):
            raise ProblemError(
                f"product must be a KroneckerProduct, got {type(self.product).__name__}"
            )
        object.__setattr__(self, "product", self.product.to_numpy())
        for name, size in zip(("rows", "columns"), self.product.shape, strict=True):
            object.__setattr__(self, name, permutation(getattr(self, name), size, name))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.product.shape

    @property
    def dtype(self) -> Any:
        """Common dtype of the factors."""
        return self.product.dtype

    @property
    def T(self) -> PermutedKroneckerProduct:
        """The transpose."""
        return PermutedKroneckerProduct(self.product.T, self.columns, self.rows)

    @property
    def H(self) -> PermutedKroneckerProduct:
        """The adjoint."""
        return PermutedKroneckerProduct(self.product.H, self.columns, self.rows)

    def matmat(self, x: Any) -> np.ndarray:
        """Return the product with a matrix (n, batch), shape (m, batch)."""
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[0] != self.shape[1]:
            raise ProblemError(
                f"the operand must have shape ({self.shape[1]}, batch), got {x.shape}"
            )
        inner = self.product.matmat(x[self.columns])
        out = np.empty_like(inner)
        out[self.rows] = inner
        return out

    def matvec(self, x: Any) -> np.ndarray:
        """Return the product with a vector (n,) or column (n, 1), in the shape of the operand."""
        x = np.asarray(x)
        return self.matmat(x.reshape(-1, 1)).reshape((self.shape[0], *x.shape[1:]))

    def rmatmat(self, x: Any) -> np.ndarray:
        """Return the adjoint times a matrix (m, batch)."""
        return self.H.matmat(x)

    def rmatvec(self, x: Any) -> np.ndarray:
        """Return the adjoint times a vector."""
        return self.H.matvec(x)

    def __matmul__(self, x: Any) -> Any:
        if is_operator(x):
            return as_operator(self) @ as_operator(x)
        x = np.asarray(x)
        return self.matvec(x) if x.ndim == 1 else self.matmat(x)

    def __rmatmul__(self, x: Any) -> np.ndarray:
        x = np.asarray(x)
        return self.T.matvec(x) if x.ndim == 1 else self.T.matmat(x.T).T

    def to_dense(self) -> np.ndarray:
        """Return the matrix as an array (m, n)."""
        dense = self.product.to_dense()
        out = np.empty_like(dense)
        out[np.ix_(self.rows, self.columns)] = dense
        return out

    def __str__(self) -> str:
        return f"{self.product}, rows and columns permuted"


def permutation(value: Any, size: int, name: str) -> np.ndarray:
    """Return a permutation of ``range(size)`` as a read-only int64 array, or refuse it."""
    order = np.asarray(value)
    if order.shape != (size,) or order.dtype.kind not in "iu":
        raise ProblemError(
            f"{name} must be {size} integers, got shape {order.shape} and dtype {order.dtype}"
        )
    if not np.array_equal(np.sort(order), np.arange(size)):
        raise ProblemError(f"{name} must hold every number from 0 to {size - 1} once")
    return read_only(order.astype(np.int64))
