"""Products of Kronecker-sparse factors: the answer of a butterfly factorization."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.butterfly.architecture import Architecture, Patterns
from sparseopt.butterfly.linear import LinearMatrix
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.butterfly.splitting import merge_all, permute
from sparseopt.interface.arrays import (
    as_array,
    as_count,
    beside,
    library_of,
    on_device,
    read_only,
    require_finite,
    require_finite_beside,
)
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.seams import (
    device_multiplication,
    drawn,
    multiplication,
    notebook_page,
)
from sparseopt.judging.scaling import spread_power

PRECISIONS = "ieee", "tf32", "tf32x3"


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


class DeviceMultiplication(Protocol):
    """Multiplies CuPy arrays by a chain of factors, wherever those lie. It judges nothing."""

    def plan(self, batch: int, dtype: Any, layout: str, tune: bool) -> MultiplicationPlan:
        """Return the plan for operands (n, batch) of a dtype, batch last or first in memory, its
        steps measured if `tune`."""
        ...

    def matmat(self, x: Any) -> Any:
        """Return the product with an array or tensor (n, batch) on a device."""
        ...


@json_type
@dataclass(frozen=True, eq=False)
class KroneckerProduct(LinearMatrix):
    """A product of Kronecker-sparse factors, usable as a linear operator.

    It has what `scipy.sparse.linalg.aslinearoperator` asks for, so SciPy's iterative solvers take
    it as it is. ``product @ x`` takes vectors (n,) and matrices (n, batch); with the batch first,
    write ``x @ product.T``. NumPy factors are multiplied by the methods that `plan` shows, chosen
    once for each batch size and dtype; torch factors one by one, with gradients. A product of NumPy
    factors times a torch tensor is a tensor on its device, with its gradients; times a CuPy array
    it is a CuPy array: the factors are copied to the device once. There too plans choose the
    methods, and operands may lie by rows or, as ``x.T`` does, by columns: none is copied.

    Time O(z b), memory O(n b), for z values in all factors, n rows and b columns of an operand.

    Parameters
    ----------
    factors : sequence of array (a, b, c, d)
        Values of each factor, see `KroneckerPattern`: float or complex NumPy arrays, or torch
        tensors or CuPy arrays, which stay on their device.
    architecture : Architecture
        One pattern per factor; it need not be chainable.
    compiled : bool
        Whether plans may use compiled kernels too; see `accelerated`.
    precision : {"ieee", "tf32", "tf32x3"}
        How float32 is multiplied on a CUDA device: exactly rounded products; products of numbers of
        11 digits on tensor cores; or three of those, nearly as exact as the first. On a processor
        it changes nothing.

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

    factors: tuple[Any, ...]
    architecture: Architecture
    compiled: bool = False
    precision: str = "ieee"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            factors: Iterable[ArrayLike],
            architecture: Patterns,
            compiled: bool = False,
            precision: str = "ieee",
        ) -> None: ...

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
        kinds = {(type(f).__module__.partition(".")[0], str(f.device)) for f in kept}
        if len(kinds) > 1 or self.precision not in PRECISIONS:
            raise _unfit(kinds, self.precision)
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
        if isinstance(self.factors[0].dtype, np.dtype):
            return np.result_type(*(f.dtype for f in self.factors))
        return self.factors[0].dtype

    @property
    def nnz(self) -> int:
        """Number of stored values."""
        return self.architecture.nnz

    def to_numpy(self) -> KroneckerProduct:
        """Return the same product with NumPy factors; itself if it has them."""
        if all(isinstance(factor, np.ndarray) for factor in self.factors):
            return self
        if self._is_on_device:
            return self._changed(lambda factors: (f.get() for f in factors))
        return self._changed(lambda fs: (as_array(f, "a factor") for f in fs))

    def accelerated(self, precision: str | None = None) -> KroneckerProduct:
        """Return the same product, whose plans may also use compiled kernels (numba).

        They take several factors with blocks of 2 or 4 rows in one pass over the operand. `plan`
        shows where they are predicted to be faster. `precision`, if given, replaces that of the
        product. The first multiplication of each dtype imports
        numba and compiles, which takes seconds; later ones, also of later processes, load what was
        compiled. Where numba is not installed the plan says so, and all else stays as it was; for
        torch factors nothing changes, and on CUDA devices plans always use kernels.

        Examples
        --------
        >>> import numpy as np, sparseopt as so
        >>> from sparseopt.tools.transforms import hadamard
        >>> fast = hadamard(64).accelerated()
        >>> bool(np.allclose(fast @ np.eye(64), fast.to_dense()))
        True
        """
        return replace(self, compiled=True, precision=precision or self.precision)

    def plan(
        self,
        batch: int = 1,
        dtype: Any = None,
        *,
        device: str | None = None,
        layout: str = "last",
        tune: bool = False,
    ) -> MultiplicationPlan:
        """Return how ``self @ x`` is computed for x of shape (n, batch), printable.

        Parameters
        ----------
        batch : int
            Positive number of columns.
        dtype : numpy dtype, optional
            Of x; default that of the product.
        device : {"cpu", "cuda"}, optional
            Where x lies; default: where the factors do. A plan for "cuda" needs no device: it is
            made with the figures known of one, and says which.
        layout : {"last", "first"}
            On a device: whether the entries of a row of x lie together, or those of a column.
        tune : bool
            On a device: measure there all methods and tiles for the steps that the plan rests on.
            The figures are kept in the user's cache folder, and later products and plans for as
            many columns use them. It takes seconds; nothing is measured without being asked for.

        Raises
        ------
        ProblemError
            If the factors are torch tensors: those are always applied one by one; if nothing can be
            measured.
        """
        if not (self._is_numpy or self._is_on_device):
            raise ProblemError("a product of torch tensors has no plan; see to_numpy()")
        batch = as_count(batch, "batch")
        if device is None:
            device = "cuda" if self._is_on_device else "cpu"
        least = [np.float32] if device == "cpu" else []  # devices multiply float16 as it is
        wanted = np.result_type(self.dtype, self.dtype if dtype is None else dtype, *least)
        if wanted.kind == "c" and self.dtype.kind != "c" and layout in ("last", "first"):
            # Real and imaginary parts are columns side by side.
            wanted, batch, layout = np.empty(0, dtype=wanted).real.dtype, 2 * batch, "last"
        if device == "cuda" and layout in ("last", "first"):
            return self._on_cuda.plan(batch, wanted, layout, tune)
        if device != "cpu" or not self._is_numpy:
            raise ProblemError(
                f"device must be cpu (for NumPy factors) or cuda and layout last or first, got "
                f"{device!r} and {layout!r}"
            )
        if tune:
            raise ProblemError('only methods of a CUDA device are measured; give device="cuda"')
        return self._multiplication.plan(batch, wanted)

    def _times(self, x: Any) -> Any:
        """Return the product with (n,) or (n, batch). O(nnz batch)."""
        if type(x) is np.ndarray and self._is_numpy:
            found = self._multiplication.known(x)
            if found is not None:
                return found
        self._require_operand(x)
        columns = x.reshape(-1, 1) if x.ndim == 1 else x
        if on_device(columns) or self._is_on_device or getattr(columns, "is_cuda", False):
            y = self._on_cuda.matmat(columns)
        else:
            y = self._multiplication.matmat(columns) if self._is_numpy else self.one_by_one(columns)
        return y.reshape(-1) if x.ndim == 1 else y

    def _flipped(self, conjugate: bool) -> KroneckerProduct:
        """Return the transpose, or the adjoint: of each factor, in reverse order."""
        factors = [f.conj() if conjugate else f for f in reversed(self.factors)]
        flipped = tuple(permute(factor, (0, 2, 1, 3)) for factor in factors)
        return replace(self, factors=flipped, architecture=self.architecture.transpose)

    def _changed(self, change: Callable[[tuple[Any, ...]], Iterable[Any]]) -> KroneckerProduct:
        """Return the product of other factors of the same patterns."""
        return replace(self, factors=tuple(change(self.factors)))

    def inv(self) -> KroneckerProduct:
        """Return the inverse, factor by factor: of each block, in reverse order.

        Raises
        ------
        ProblemError
            If a factor has blocks that are not square, or a singular one. The product may have an
            inverse all the same, which is then no product of such factors.

        Notes
        -----
        O(nnz b) operations. As for dense matrices, the more a block is ill-conditioned, the less
        accurate is its inverse; nothing is certified.

        Examples
        --------
        >>> import numpy as np
        >>> from sparseopt.tools.transforms import hadamard
        >>> bool(np.allclose((hadamard(8).inv() @ hadamard(8)).to_dense(), np.eye(8)))
        True
        """
        pairs = zip(self.factors, self.architecture, strict=True)
        inverses = [_inverse(f, pattern, i) for i, (f, pattern) in enumerate(pairs)]
        return replace(
            self, factors=tuple(inverses[::-1]), architecture=self.architecture.transpose
        )

    def _units(self, columns: np.ndarray) -> Any:
        """Return columns of the identity."""
        first, shape = self.factors[0], (self.shape[1], len(columns))
        plain = self._is_numpy or self._is_on_device
        units = np.zeros(shape, self.dtype) if plain else first.new_zeros(shape)
        units[columns, np.arange(len(columns))] = 1
        return beside(units, first) if self._is_on_device else units

    def _followed_by(self, other: LinearMatrix) -> KroneckerProduct | None:
        """Return ``self @ other``: the factors of both, one after the other."""
        if not isinstance(other, KroneckerProduct):
            return None
        architecture = Architecture((*self.architecture, *other.architecture))
        compiled = self.compiled or other.compiled
        factors = *self.factors, *other.factors
        return KroneckerProduct(factors, architecture, compiled, self.precision)

    def times_power(self, exponent: int) -> KroneckerProduct:
        """Return the product times 2**exponent, the power shared evenly among the factors.

        Exact unless an entry leaves the normal range of its dtype; `ProblemError` if one overflows.
        """
        if exponent == 0:
            return self
        factors = spread_power(self.factors, exponent)
        return replace(self, factors=factors)

    @cached_property
    def _multiplication(self) -> Multiplication:
        found: Multiplication = multiplication(self.factors, self.architecture, self.compiled)
        return found

    @cached_property
    def _on_cuda(self) -> DeviceMultiplication:
        found: DeviceMultiplication = device_multiplication(
            self.factors, self.architecture, self.precision
        )
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
        return self.one_by_one(self._units(np.arange(self.shape[1])))

    def one_by_one(self, x: Any) -> Any:
        """Return the product with a matrix (n, batch) of the factors' library, without any plan.

        It is what a check calls, since it rests on these lines alone.
        """
        for factor, pattern in reversed(list(zip(self.factors, self.architecture, strict=True))):
            x = apply_factor(factor, pattern, x)
        return x

    def plot(self, ax: Any = None) -> Any:
        """Draw the values of each factor; return the matplotlib Axes (extra ``plot``)."""
        return drawn(self, ax)

    def _repr_html_(self) -> str:
        return notebook_page(self)

    def __repr__(self) -> str:
        return f"<{self}, {self.dtype}>"

    def __str__(self) -> str:
        share = self.nnz / (self.shape[0] * self.shape[1])
        return (
            f"product of {len(self.factors)} Kronecker-sparse factors, {self.shape[0]} x "
            f"{self.shape[1]}, {self.nnz} values ({100 * share:.3g} % of dense)"
        )


def apply_factor(factor: Any, pattern: KroneckerPattern, x: Any) -> Any:
    """Return one factor times a matrix (a c d, batch): a matmul batched over (a, d)."""
    a, _, c, d = pattern
    blocks = permute(x.reshape(a, c, d, -1), (0, 2, 1, 3))
    y = permute(factor, (0, 3, 1, 2)) @ blocks
    return permute(y, (0, 2, 1, 3)).reshape(pattern.shape[0], -1)


def _inverse(factor: Any, pattern: KroneckerPattern, i: int) -> Any:
    """Return the values of the inverse of factor i, whose pattern is that of the transpose."""
    _, b, c, _ = pattern
    if b != c:
        raise ProblemError(
            f"factor {i} has blocks of {b} rows and {c} columns: it has no inverse of such blocks"
        )
    blocks = permute(factor, (0, 3, 1, 2))
    try:
        if isinstance(factor, np.ndarray):
            inverses = np.linalg.inv(blocks)
            finite = bool(np.isfinite(inverses).all())
        elif on_device(factor):
            inverses = library_of(factor).linalg.inv(blocks)
            finite = bool((inverses - inverses == 0).all())
        else:
            inverses = blocks.inverse()
            finite = bool(inverses.isfinite().all())
    except (np.linalg.LinAlgError, RuntimeError):  # torch's error is a RuntimeError
        finite = False
    if not finite:
        raise ProblemError(f"factor {i} has a singular block: it has no inverse")
    return permute(inverses, (0, 2, 3, 1))


def _unfit(kinds: set[tuple[str, str]], precision: str) -> ProblemError:
    """Return what is wrong with the libraries and devices of all factors, or the precision."""
    libraries, places = (sorted(set(names)) for names in zip(*kinds, strict=True))
    if len(libraries) > 1:
        return ProblemError(f"the factors mix {' and '.join(libraries)}; use one library")
    if len(places) > 1:
        return ProblemError(f"the factors lie on {' and '.join(places)}; bring them to one")
    allowed = ", ".join(PRECISIONS)
    return ProblemError(f"precision must be one of {allowed}, got {precision!r}")


def _is_elsewhere(factor: Any) -> bool:
    """Whether a factor is a tensor of torch or an array of CuPy."""
    return hasattr(factor, "detach") or on_device(factor)


def _valid(factor: Any, pattern: KroneckerPattern, name: str) -> Any:
    """Return the values of a factor, checked against its pattern."""
    elsewhere = not isinstance(factor, np.ndarray) and _is_elsewhere(factor)
    values: Any = factor if elsewhere else as_array(factor, name)
    if tuple(values.shape) != pattern.values_shape:
        raise ProblemError(
            f"{name} has shape {tuple(values.shape)}; its pattern {tuple(pattern)} needs values "
            f"of shape {pattern.values_shape}"
        )
    # Dtypes of torch have no kind but a name; NumPy takes bfloat16 for bytes.
    kind = getattr(values.dtype, "kind", None) or str(values.dtype)[6:7]
    if kind not in "fc" and str(values.dtype) != "bfloat16":
        raise ProblemError(f"{name} has dtype {values.dtype}; use float or complex")
    if elsewhere:
        if on_device(values):
            require_finite_beside(values, name)
        elif str(values.layout) != "torch.strided":
            raise ProblemError(f"{name} is a sparse tensor; pass .to_dense()")
        elif not bool(values.isfinite().all()):
            raise ProblemError(f"{name} has a NaN or an infinity; remove or replace it first")
        return values
    require_finite(values, name)
    return read_only(values)
