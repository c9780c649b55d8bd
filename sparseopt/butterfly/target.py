"""What a butterfly factorization may approximate: arrays, files, tensors, linear operators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.butterfly.product import KroneckerProduct, apply_factor
from sparseopt.butterfly.stored import Stored
from sparseopt.interface.arrays import (
    as_array,
    on_device,
    read_only,
    require_finite,
    require_finite_beside,
    to_double,
    unmasked,
)
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.sparse_arrays import summed
from sparseopt.judging.figures import NormSum
from sparseopt.judging.rounding import gamma, lost, sum_terms
from sparseopt.judging.scaling import (
    exponent_of,
    largest_part,
    times_power,
    times_power_not_to_zero,
)

_FLOATS = ("float32", "float64", "complex64", "complex128")
# Entries read at once: what is computed of them stays in the second-level cache of one core. Copies
# that are overwritten have room for twice as many.
CHUNK = 1 << 16
_WANTED = "use float32, float64, complex64 or complex128"


def is_tensor(value: Any) -> bool:
    """Whether `value` is a torch tensor; torch itself is never imported here."""
    return hasattr(value, "detach") and hasattr(value, "device")


def is_operator(value: Any) -> bool:
    """Whether `value` is known by its products only."""
    return not (isinstance(value, np.ndarray | Stored) or is_tensor(value) or on_device(value))


def accept_target(value: Any) -> Any:
    """Return a validated target: a view, a tensor, an array of CuPy, an operator, or `Stored`.

    Raises
    ------
    ProblemError
        Not a non-empty matrix, a dtype without a factorization, NaN or infinity by place.
    """
    if is_tensor(value):
        # Itself where it can be: what goes through a constructor again stays what it was.
        target = _accept_tensor(value.detach() if value.requires_grad else value)
    elif on_device(value):
        target = _accept_on_device(value)
    elif isinstance(value, KroneckerProduct):
        target = value.to_numpy()
    elif isinstance(value, Stored):
        target = value
    elif scipy.sparse.issparse(value) or (hasattr(value, "matvec") and hasattr(value, "shape")):
        from scipy.sparse.linalg import aslinearoperator

        if scipy.sparse.issparse(value) and value.ndim == 2:
            kept = value.format if value.format in ("csr", "csc") else "coo"
            value = summed(value, getattr(scipy.sparse, f"{kept}_array"), "target")
        target = aslinearoperator(value)
    elif not isinstance(value, np.ndarray) and hasattr(value, "chunks"):
        target = Stored(value)
    else:
        target = _accept_array(value)
    if len(target.shape) != 2 or 0 in target.shape:
        raise ProblemError(
            f"target must be a non-empty matrix, got an object of shape {tuple(target.shape)}"
        )
    target_dtype(target)
    return target


def _accept_array(value: Any) -> np.ndarray:
    value = unmasked(value, "target")
    array = as_array(value, "target")
    if array.dtype.kind == "O":
        raise ProblemError(
            f"target holds Python objects (dtype object); {_WANTED}, for example "
            "np.asarray(target, dtype=float)"
        )
    if array.dtype.kind in "biu":
        array = to_double(array, "target")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.name not in _FLOATS:
        raise ProblemError(f"target has dtype {array.dtype}; {_WANTED}")
    return read_only(array)


def _accept_tensor(tensor: Any) -> Any:
    name = str(tensor.dtype).rpartition(".")[2]
    if str(tensor.layout) != "torch.strided":
        raise ProblemError("target is a sparse tensor; pass .to_dense(), or SciPy's sparse matrix")
    if name.startswith(("int", "uint", "bool")):
        to_double(tensor.cpu().numpy(), "target")
        tensor, name = tensor.double(), "float64"
    if name not in _FLOATS:
        raise ProblemError(f"target has dtype {name}; {_WANTED}")
    if not bool(tensor.isfinite().all()):
        place = tuple(int(i) for i in (~tensor.isfinite()).nonzero()[0])
        raise ProblemError(
            f"target has a NaN or an infinity at entry {place}; remove or replace it first"
        )
    return tensor


def _accept_on_device(array: Any) -> Any:
    if array.dtype.kind in "biu":
        to_double(array.get(), "target")
        array = array.astype(np.float64)
    if array.dtype.name not in _FLOATS:
        raise ProblemError(f"target has dtype {array.dtype}; {_WANTED}")
    require_finite_beside(array, "target")
    return array


def target_dtype(target: Any) -> np.dtype[Any]:
    """Return the NumPy dtype in which the target is factorized."""
    name = str(target.dtype).rpartition(".")[2] if is_tensor(target) else str(target.dtype)
    if is_operator(target) and hasattr(np, name) and np.dtype(name).kind in "biu":
        name = "float64"
    if name not in _FLOATS:
        raise ProblemError(f"target has dtype {name}; {_WANTED}")
    return np.dtype(name)


def read_columns(target: Any, start: int, stop: int) -> np.ndarray:
    """Return columns start..stop as an array (m, stop - start); a view where there is one.

    Of an operator, the columns are its products with those of the identity.
    """
    if isinstance(target, np.ndarray):
        return target[:, start:stop]
    if isinstance(target, Stored):
        return target.read(slice(0, target.shape[0]), slice(start, stop))
    if on_device(target):
        return np.asarray(target[:, start:stop].get())
    if is_tensor(target):
        columns = target[:, start:stop].cpu().resolve_conj().resolve_neg()
        return np.asarray(columns.numpy())
    dtype = target_dtype(target)
    identity = np.eye(target.shape[1], stop - start, -start, dtype=dtype)
    columns = times(target, identity)
    if columns.shape != (target.shape[0], stop - start):
        raise ProblemError(
            f"the target operator of shape {target.shape} maps a block of shape {identity.shape} "
            f"to one of shape {columns.shape}"
        )
    if not np.can_cast(columns.dtype, dtype):
        raise ProblemError(
            f"the target operator declares the dtype {dtype}, but its products have the dtype "
            f"{columns.dtype}; declare that, or convert the products"
        )
    require_finite(columns, f"columns {start} to {stop} of the target operator")
    return columns.astype(dtype, copy=False)


def times(operator: Any, x: np.ndarray) -> np.ndarray:
    """Return an operator times a matrix, without any engine if it is a `KroneckerProduct`."""
    if isinstance(operator, KroneckerProduct):
        return np.asarray(operator.to_numpy().one_by_one(x))
    return np.asarray(operator.matmat(x))


def scaled_target(target: Any, exponent: int) -> Any:
    """Return a target times 2**exponent, of the same kind and dtype."""
    if isinstance(target, KroneckerProduct | Stored):
        return target.times_power(exponent)
    if not is_operator(target):
        return times_power(target, exponent)

    def matmat(x: np.ndarray) -> np.ndarray:
        return np.asarray(times_power(target.matmat(x), exponent))

    from scipy.sparse.linalg import LinearOperator

    dtype = target_dtype(target)
    return LinearOperator(target.shape, matvec=matmat, matmat=matmat, dtype=dtype)  # type: ignore[call-arg]


class Reader:
    """Reads a target in double precision, times ``2**-exponent``, for whoever judges.

    Arrays and tensors are read as they are, stored ones by rows or columns of chunks. A
    `KroneckerProduct` is the product of its factors in exact arithmetic; what is read of it is
    rounded, and `room` says how far off that is. Of any other linear operator the columns are, by
    definition, its products with those of the identity.

    Parameters
    ----------
    target : object
        As `accept_target` returns it.
    exponent : int
        Scales what is read.
    orders : (int array, int array) or None
        Of a `KroneckerProduct`: the orders in which rows and columns are read.

    Attributes
    ----------
    array : ndarray or None
        The target itself, neither converted nor scaled, if it lies in memory.
    """

    def __init__(
        self,
        target: Any,
        exponent: int = 0,
        orders: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.target, self.exponent, self._orders = target, exponent, orders
        self.array: np.ndarray | None = None
        self._chain: Chain | None = None
        if isinstance(target, np.ndarray):
            self.array = target
        elif is_tensor(target) and target.device.type == "cpu":
            self.array = np.asarray(target.resolve_conj().resolve_neg().numpy())
        elif isinstance(target, KroneckerProduct):
            self._chain = Chain(target, exponent)

    def double(self, part: np.ndarray) -> np.ndarray:
        """Return a part of `array` in double precision, scaled; the part itself if it is so."""
        return times_power_not_to_zero(as_double(part), -self.exponent)

    def columns(self, start: int, stop: int) -> np.ndarray:
        """Return columns start..stop, scaled, as an array (m, stop - start) of doubles."""
        if self.array is not None:
            return self.double(self.array[:, start:stop])
        if self._chain is None:
            return self.double(read_columns(self.target, start, stop))
        found = self._chain.times(self._identity(start, stop))
        return found if self._orders is None else found[self._orders[0]]

    def parts(self) -> Iterator[np.ndarray]:
        """Yield the whole target, scaled doubles, in parts and in the order in which it lies."""
        for _, _, part in self.placed_parts():
            yield part

    def placed_parts(self) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Yield the same with the rows and the columns of each part."""
        m, n = self.target.shape
        if isinstance(self.target, Stored):
            for at, beside, strip in self.target.strips():
                for rows, columns, part in Reader(strip, self.exponent).placed_parts():
                    yield within(at, rows), within(beside, columns), part
            return
        if self.array is not None and abs(self.array.strides[0]) > abs(self.array.strides[1]):
            step = max(1, CHUNK // n)
            for start in range(0, m, step):
                rows = slice(start, min(start + step, m))
                yield rows, slice(0, n), self.double(self.array[rows])
            return
        for start, stop in self._spans():
            yield slice(0, m), slice(start, stop), self.columns(start, stop)

    def room(self) -> float:
        """Return a bound of the Frobenius norm of what is read minus the target, scaled.

        0 but for a product of factors: then as expensive as reading it.
        """
        if self._chain is None:
            return 0.0
        norm = NormSum()
        for span in self._spans():
            norm.add(self._chain.magnitudes(self._identity(*span)))
        return self._chain.room(norm.figure().high())

    def _spans(self) -> Iterator[tuple[int, int]]:
        m, n = self.target.shape
        step = max(1, CHUNK // m)
        for start in range(0, n, step):
            yield start, min(start + step, n)

    def _identity(self, start: int, stop: int) -> np.ndarray:
        identity = np.eye(self.target.shape[1], stop - start, -start)
        return identity if self._orders is None else identity[np.argsort(self._orders[1])]


class Chain:
    """Factors in double precision, applied one after the other, with a bound of all rounding.

    The judge's own: no plan, and no kernel of a plugin.

    |fl(F_1 .. F_L x) - F_1 .. F_L x| <= gamma(k) |F_1| .. |F_L| |x| entry by entry, with k the sum
    of all c (`rounding.sum_terms`), since a row of a factor holds c numbers.

    Parameters
    ----------
    product : KroneckerProduct
    exponent : int
        The product is taken times 2**-exponent.
    """

    def __init__(self, product: KroneckerProduct, exponent: int) -> None:
        self.factors, power = units_of(product)
        self._patterns = list(product.architecture)
        self._power = power - exponent

    def times(self, x: np.ndarray) -> np.ndarray:
        """Return the scaled product times a matrix (n, batch)."""
        return np.asarray(times_power(self._apply(self.factors, x), self._power))

    def magnitudes(self, x: np.ndarray) -> np.ndarray:
        """Return the same for the absolute values of all factors."""
        factors = [np.abs(factor) for factor in self.factors]
        return np.asarray(times_power(self._apply(factors, x), self._power))

    def room(self, size: float) -> float:
        """Return a bound of the norm of what `times` rounds, if that of `magnitudes` is `size`.

        Entries of the factors are at most 1, which bounds what underflows before the power is
        applied; one per cent covers the rounding of the bound itself.
        """
        lengths = [pattern.c for pattern in self._patterns]
        terms = sum_terms(sum(lengths), *self.factors)
        return 1.01 * gamma(terms) * size + lost(*lengths) * (1.0 + scale_of(self._power))

    def _apply(self, factors: Sequence[np.ndarray], x: np.ndarray) -> np.ndarray:
        for factor, pattern in reversed(list(zip(factors, self._patterns, strict=True))):
            x = np.asarray(apply_factor(factor, pattern, x))
        return x


def within(whole: slice, part: slice) -> slice:
    """Return a part of a range, given in places of the range, in places of the whole."""
    return slice(whole.start + part.start, whole.start + part.stop)


def units_of(product: KroneckerProduct) -> tuple[list[np.ndarray], int]:
    """Return the factors in double precision, with entries of at most 1, and the power of two that
    was taken out of their product."""
    doubles = [np.ascontiguousarray(as_double(f)) for f in product.to_numpy().factors]
    powers = [exponent_of(largest_part(factor)) for factor in doubles]
    pairs = zip(doubles, powers, strict=True)
    return [times_power(f, -power) if power else f for f, power in pairs], sum(powers)


def scale_of(exponent: int) -> float:
    """Return 2**exponent, infinity or 0 where it is not a float."""
    return float(times_power(np.float64(1.0), exponent))


def as_double(array: np.ndarray) -> np.ndarray:
    """Return an array in double precision, itself if it is; no dtype that this would round.

    Raises
    ------
    ProblemError
        For integers and longer floats.
    """
    if array.dtype.kind not in "fc" or not np.can_cast(array.dtype, np.complex128):
        raise ProblemError(f"dtype {array.dtype} may have more digits than a double; {_WANTED}")
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64, copy=False)
