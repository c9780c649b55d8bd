"""Products with rows and columns in another order: the answer where the orders are unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.linear import LinearMatrix
from sparseopt.butterfly.product import KroneckerProduct, MultiplicationPlan
from sparseopt.interface.arrays import as_indices, read_only
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.seams import drawn


@json_type
@dataclass(frozen=True, eq=False)
class PermutedKroneckerProduct(LinearMatrix):
    """A Kronecker-sparse product with its rows and columns in another order.

    It stands for the matrix B with ``B[rows][:, columns]`` equal to `product`. It multiplies as a
    `KroneckerProduct` does, and its product with another one is such a matrix again where the
    order of the columns of the left one is that of the rows of the right one; else, as sums are, a
    SciPy LinearOperator.

    Parameters
    ----------
    product : KroneckerProduct (m, n)
    rows, columns : int array (m,), (n,)
        Permutations of ``range(m)`` and ``range(n)``.

    Raises
    ------
    ProblemError
        If `rows` or `columns` is not a permutation.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> product = so.KroneckerProduct([np.array([[[[1.0], [2.0]], [[3.0], [4.0]]]])],
    ...                               so.Architecture([(1, 2, 2, 1)]))
    >>> so.PermutedKroneckerProduct(product, [1, 0], [0, 1]).to_dense()
    array([[3., 4.],
           [1., 2.]])
    """

    product: KroneckerProduct
    rows: np.ndarray
    columns: np.ndarray

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self, product: KroneckerProduct, rows: ArrayLike, columns: ArrayLike
        ) -> None: ...

    def __post_init__(self) -> None:
        if not isinstance(self.product, KroneckerProduct):
            raise ProblemError(
                f"product must be a KroneckerProduct, got {type(self.product).__name__}"
            )
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
    def factors(self) -> tuple[Any, ...]:
        """The factors of `product`."""
        return self.product.factors

    @property
    def architecture(self) -> Architecture:
        """The patterns of `product`."""
        return self.product.architecture

    @property
    def nnz(self) -> int:
        """Number of stored values."""
        return self.product.nnz

    def to_numpy(self) -> PermutedKroneckerProduct:
        """Return the same matrix with NumPy factors; itself if it has them."""
        return self if self._is_numpy else replace(self, product=self.product.to_numpy())

    def accelerated(self) -> PermutedKroneckerProduct:
        """Return the same matrix, multiplied as `KroneckerProduct.accelerated` is."""
        return replace(self, product=self.product.accelerated())

    def plan(self, batch: int = 1, dtype: Any = None) -> MultiplicationPlan:
        """Return how ``product @ x`` is computed, see `KroneckerProduct.plan`."""
        return self.product.plan(batch, dtype)

    def to_dense(self) -> Any:
        """Return the matrix as an array (m, n)."""
        dense = _in_order(self.product.to_dense(), self._places)
        return _in_order(dense.T, np.argsort(self.columns)).T

    def _times(self, x: Any) -> Any:
        """Return the product with (n,) or (n, batch)."""
        self._require_operand(x)
        return _in_order(self.product @ _in_order(x, self.columns), self._places)

    @cached_property
    def _places(self) -> np.ndarray:
        """Which row of `product` each row is: the inverse of `rows`."""
        return np.argsort(self.rows)

    def _flipped(self, conjugate: bool) -> PermutedKroneckerProduct:
        """Return the transpose, or the adjoint: rows and columns change places."""
        product = self.product.H if conjugate else self.product.T
        return PermutedKroneckerProduct(product, self.columns, self.rows)

    def _changed(
        self, change: Callable[[tuple[Any, ...]], Iterable[Any]]
    ) -> PermutedKroneckerProduct:
        """Return the matrix of other factors, in the same orders."""
        return replace(self, product=self.product._changed(change))

    def inv(self) -> PermutedKroneckerProduct:
        """Return the inverse, see `KroneckerProduct.inv`: rows and columns change places."""
        return PermutedKroneckerProduct(self.product.inv(), self.columns, self.rows)

    def _units(self, columns: np.ndarray) -> Any:
        """Return columns of the identity."""
        return self.product._units(columns)

    def _followed_by(self, other: LinearMatrix) -> PermutedKroneckerProduct | None:
        """Return ``self @ other`` if the order of columns here is that of the rows there."""
        if isinstance(other, KroneckerProduct) and isinstance(other.dtype, np.dtype):
            other = PermutedKroneckerProduct(other, *map(np.arange, other.shape))
        if not isinstance(other, PermutedKroneckerProduct):
            return None
        if not np.array_equal(self.columns, other.rows):
            return None
        return PermutedKroneckerProduct(self.product @ other.product, self.rows, other.columns)

    def plot(self, ax: Any = None) -> Any:
        """Draw the values of each factor, in the order of the product; return the Axes."""
        return drawn(self, ax)

    def __repr__(self) -> str:
        return f"<{self}>"

    def __str__(self) -> str:
        return f"{self.product}, rows and columns permuted"


def _in_order(x: Any, order: np.ndarray) -> Any:
    """Return ``x[order]``; torch warns of index arrays that are read-only."""
    return x[order.copy() if hasattr(x, "detach") else order]


def permutation(value: Any, size: int, name: str) -> np.ndarray:
    """Return a permutation of ``range(size)`` as a read-only int64 array, or refuse it."""
    order = as_indices(value, name)
    if order.shape != (size,) or order.dtype.kind not in "iu":
        raise ProblemError(
            f"{name} must be {size} integers, got shape {order.shape} and dtype {order.dtype}"
        )
    if not np.array_equal(np.sort(order), np.arange(size)):
        raise ProblemError(f"{name} must hold every number from 0 to {size - 1} once")
    return read_only(order.astype(np.int64))
