"""The problem: the nearest product of Kronecker-sparse factors of a chainable architecture."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, overload

import numpy as np

from sparseopt.butterfly.architecture import Architecture, Patterns
from sparseopt.butterfly.comparison import Comparison, compare
from sparseopt.butterfly.expansion import Grid, outside_norm, split_figure
from sparseopt.butterfly.permuted import PermutedKroneckerProduct, permutation
from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.butterfly.stored import Stored
from sparseopt.butterfly.target import (
    Reader,
    accept_target,
    is_operator,
    is_tensor,
    read_columns,
    scaled_target,
    target_dtype,
    times,
    units_of,
)
from sparseopt.interface.arrays import on_device, require_finite
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.interface.problem import Problem
from sparseopt.judging import limits
from sparseopt.judging.figures import Figure, NormSum, sum_of_squares
from sparseopt.judging.scaling import exponent_of, is_safe, largest_part

if TYPE_CHECKING:  # a default, which typing has from Python 3.13 on: plain names stay complete
    from typing_extensions import TypeVar as TypeVarWithDefault

    Product = TypeVarWithDefault(
        "Product", bound=KroneckerProduct | PermutedKroneckerProduct, default=Any
    )
else:
    Product = TypeVar("Product")

# Norms of doubles in this range are computed without scaling: no square that counts is lost.
_SAFE_NORM = 2.0**-300, 2.0**400


@json_type
@dataclass(frozen=True, eq=False)
class ButterflyFactorization(Problem[Product, Any], Generic[Product]):
    """Find factors of a chainable architecture whose product is nearest to a matrix.

    Parameters
    ----------
    target : array, stored array, torch tensor, CuPy array, LinearOperator, KroneckerProduct (m, n)
        float32, float64, complex64 or complex128; integers and booleans are converted to float64
        (a copy). Arrays are kept as read-only views, tensors and CuPy arrays on their device. A map
        of a file (`numpy.load` with ``mmap_mode="r"``) is read block by block, by engine, error and
        bounds alike; the file must stay as it is while problem or certificate are used. So is an
        array outside memory (anything with ``shape``, ``dtype``, ``chunks`` and slices: zarr, h5py,
        dask), by rows or columns of chunks, never whole; nothing of it is read before it is
        needed, and integers are converted block by block. A linear operator (anything with
        ``shape``, ``dtype`` and ``matvec``, or a SciPy sparse matrix) is read by its products with
        columns of the identity, a group of columns at a time, never whole.
    architecture : Architecture
        Chainable, of the target's shape.
    permutations : {"known", "unknown"}
        "known": the target is taken as it stands. "unknown": orders of rows and columns are
        looked for as well, and the answer is a `PermutedKroneckerProduct`; only for
        ``Architecture.square_dyadic``.

    Raises
    ------
    ProblemError
        If the architecture is not chainable (naming the pair and the condition), the sizes do not
        fit, the target is empty, ragged, of another dtype, has NaN or infinity, or a norm beyond
        the range of floats, or unknown permutations are asked for with another architecture.
        Entries of an operator or of a stored array are checked when they are read.

    Notes
    -----
    Certificates speak of the real numbers behind the entries. A `KroneckerProduct` is the product
    of its factors in exact arithmetic; the columns of another linear operator are, by definition,
    its products with those of the identity.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> hadamard = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    >>> problem = so.ButterflyFactorization(hadamard, so.Architecture.square_dyadic(4))
    >>> solution = so.solve(problem)
    >>> solution.certificate.relative_error < 1e-15
    True
    """

    target: Any
    architecture: Architecture
    permutations: str = "known"
    accuracy_is: ClassVar[str] = "error above the proven lower bound, over the norm of the target"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        @overload
        def __init__(
            self: ButterflyFactorization[KroneckerProduct],
            target: Any,
            architecture: Patterns,
            permutations: Literal["known"] = "known",
        ) -> None: ...
        @overload
        def __init__(
            self: ButterflyFactorization[PermutedKroneckerProduct],
            target: Any,
            architecture: Patterns,
            permutations: Literal["unknown"],
        ) -> None: ...
        @overload
        def __init__(
            self: ButterflyFactorization[Any],
            target: Any,
            architecture: Patterns,
            permutations: str,
        ) -> None: ...
        def __init__(
            self, target: Any, architecture: Patterns, permutations: str = "known"
        ) -> None: ...

    def __post_init__(self) -> None:
        target = accept_target(self.target)
        object.__setattr__(self, "target", target)
        known = isinstance(target, np.ndarray | KroneckerProduct)
        if known and not math.isfinite(self._squares):
            _require_norm(self)
        architecture = self.architecture
        if type(architecture) is not Architecture:  # nor one whose methods say otherwise
            architecture = Architecture(architecture)
        if architecture.why_not_chainable:
            remedy = (
                "; its transpose is chainable: factorize the transposed matrix over it"
                if architecture.transpose.is_chainable
                else ""
            )
            raise ProblemError(
                f"the architecture is not chainable: {architecture.why_not_chainable}{remedy}"
            )
        if architecture.shape != tuple(target.shape):
            raise ProblemError(
                f"the architecture gives products of shape {architecture.shape}, the target has "
                f"shape {tuple(target.shape)}"
            )
        _require_permutations(self.permutations, architecture)
        object.__setattr__(self, "architecture", architecture)

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON: all arrays as NumPy's; what is too large, or known by its
        products only, cannot be."""
        target = self.target
        size = math.prod(self.shape) * self.dtype.itemsize
        if self.kind == "stored" and size > limits.HELD_BYTES:
            raise ProblemError(
                f"a stored target of more than {limits.HELD_BYTES >> 20} MiB is not written as "
                "JSON; save the factors, and verify them against the stored array: "
                "so.ButterflyCertificate(problem, product)"
            )
        if self.kind in ("tensor", "device", "stored"):
            target = self.columns(0, self.shape[1])
        elif is_operator(target) and not isinstance(target, KroneckerProduct):
            raise ProblemError(
                "a target given as a linear operator cannot be written as JSON; state the problem "
                "with the matrix, for example operator @ np.eye(n)"
            )
        return {
            "target": target,
            "architecture": self.architecture,
            "permutations": self.permutations,
        }

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> ButterflyFactorization:
        """Inverse of `to_fields`."""
        return cls(**fields)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the target."""
        return self.architecture.shape

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """NumPy dtype of the target."""
        return target_dtype(self.target)

    @property
    def kind(self) -> str:
        """How the target is held: ``"array"``, ``"tensor"``, ``"device"`` (an array of CuPy),
        ``"stored"`` (outside memory) or ``"operator"``."""
        if is_tensor(self.target):
            return "tensor"
        if on_device(self.target):
            return "device"
        if isinstance(self.target, Stored):
            return "stored"
        return "operator" if is_operator(self.target) else "array"

    @property
    def takes_products_as_exact(self) -> bool:
        """Whether the target is an operator that only its own products describe."""
        return is_operator(self.target) and not isinstance(self.target, KroneckerProduct)

    def columns(self, start: int, stop: int) -> np.ndarray:
        """Return columns of the target as an array (m, stop - start), a view where possible."""
        return read_columns(self.target, start, stop)

    @cached_property
    def _squares(self) -> float:
        """Sum of the squared entries, roughly, in the precision of the target; not scaled.

        Of an operator it is estimated by four random vectors: it is not read for that.
        """
        if self.kind == "array":
            return sum_of_squares(self.target)
        if self.kind == "stored":
            found = sum(sum_of_squares(strip) for _, _, strip in self.target.strips())
            if not math.isfinite(found):
                _require_norm(self)
            return found
        x = np.random.default_rng(0).standard_normal((self.shape[1], 4)).astype(self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            return sum_of_squares(times(self.target, x)) / 4

    @cached_property
    def exponent(self) -> int:
        """Times ``2**-exponent`` the target is in a range where squares are safe; mostly 0."""
        if self.kind in ("tensor", "device"):
            peak = _largest_where_it_lies(self.target)
            safe = peak == 0.0 or is_safe(peak * peak * self.shape[0], 1, self.dtype)
            return 0 if safe else exponent_of(peak)
        safe = is_safe(self._squares, math.prod(self.shape), self.dtype)
        return 0 if safe else self._peak_exponent()

    def _peak_exponent(self) -> int:
        """Return the exponent that brings the largest entry between 1/2 and 1."""
        product = isinstance(self.target, KroneckerProduct)
        power = units_of(self.target)[1] if product else 0
        parts = Reader(self.target, power).parts()
        return power + exponent_of(max(largest_part(part) for part in parts))

    def normalized(self) -> tuple[ButterflyFactorization, int]:
        """Return the problem for the target times ``2**-exponent``, and the exponent.

        Engines solve that one: sums of squares, and of products of such, are safe. It is the
        problem itself where the exponent is 0; `KroneckerProduct.times_power` takes the answer
        back. Nothing is rounded, except entries below 2^-126 (single precision) or 2^-1022 of the
        largest.
        """
        if not self.exponent:
            return self, 0
        target = scaled_target(self.target, -self.exponent)
        problem = ButterflyFactorization(target, self.architecture, self.permutations)
        return problem, self.exponent

    @cached_property
    def norm(self) -> float:
        """Frobenius norm of the target, in double precision."""
        return math.ldexp(self.norm_figure.value, self.norm_figure.exponent)

    @cached_property
    def norm_figure(self) -> Figure:
        """The norm, with what rounding may have done to it."""
        found = _norm_of(Reader(self.target))
        if is_safe_norm(found):
            return found
        return _norm_of(Reader(self.target, self._peak_exponent()))

    def permuted(self, rows: Any, columns: Any) -> ButterflyFactorization:
        """Return the problem for ``target[rows][:, columns]`` with these orders known.

        Parameters
        ----------
        rows, columns : int array (m,), (n,)
            Permutations.

        Returns
        -------
        ButterflyFactorization
            Its target is a copy, an array.
        """
        order = np.ix_(*self._orders(rows, columns))
        return ButterflyFactorization(self.columns(0, self.shape[1])[order], self.architecture)

    def _orders(self, rows: Any, columns: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return orders of rows and columns; refuse what is none."""
        m, n = self.shape
        return permutation(rows, m, "rows"), permutation(columns, n, "columns")

    def compare(self, answer: KroneckerProduct | PermutedKroneckerProduct) -> Comparison:
        """Return norm and error of an answer, with what rounding may have done to them.

        One read of the target; a second one where its squares are not safe.
        """
        orders = None
        if isinstance(answer, PermutedKroneckerProduct):
            orders, answer = self._orders(answer.rows, answer.columns), answer.product
            if not isinstance(self.target, KroneckerProduct):
                return self.permuted(*orders).compare(answer)
        with np.errstate(over="ignore", invalid="ignore"):  # the norm tells, and it is done again
            found = compare(Reader(self.target, 0, orders), answer)
        if is_safe_norm(found.norm):
            return found
        return compare(Reader(self.target, self._peak_exponent(), orders), answer)

    def error_of(self, answer: KroneckerProduct | PermutedKroneckerProduct) -> float:
        """Return the Frobenius error of an answer, in double precision; one read of the target."""
        error = self.compare(answer).error
        return math.ldexp(error.value, error.exponent)

    def split_figures(self) -> tuple[Figure, ...]:
        """Return E_0, E_1, ..., the errors that no product of the architecture can avoid.

        E_0 is the norm of the entries outside the support of the product; E_j the least error of
        the two factors grouped at cut j of the non-redundant architecture, inside the support.
        One batched SVD of the target per cut: expensive for large matrices.
        """
        reduced = self.architecture.reduced()
        reader = Reader(self.target, self.exponent)
        found, room = outside_norm(reader, Grid.of(reduced, 0)), reader.room()
        outside = Figure(found.value, found.room + room, self.exponent)
        cuts = range(1, len(reduced))
        return outside, *(split_figure(reader, reduced, cut) for cut in cuts)

    def split_errors(self) -> tuple[float, ...]:
        """Return E_0, E_1, ... of `split_figures`, in double precision."""
        return tuple(math.ldexp(e.value, e.exponent) for e in self.split_figures())

    def structure(self) -> Mapping[str, str | int | bool]:
        """Say whether orders are known, and whether a CUDA device holds the target."""
        on_cuda = str(getattr(self.target, "device", "")).startswith("cuda")
        place = "device" if on_cuda or self.kind == "device" else "host"
        return {"permutations": self.permutations, "place": place}

    def evaluate(self, answer: Product) -> Mapping[str, float]:
        """Return the Frobenius error."""
        return {"error": self.error_of(answer)}

    def describe(self) -> str:
        """Return one line with sizes and patterns."""
        orders = "" if self.permutations == "known" else ", in unknown orders of rows and columns,"
        return (
            f"butterfly factorization of a {self.shape[0]} x {self.shape[1]} matrix{orders} with "
            f"patterns {self.architecture}"
        )


def _require_permutations(value: Any, architecture: Architecture) -> None:
    """Refuse anything but "known", or "unknown" with a square dyadic architecture."""
    if value not in ("known", "unknown"):
        raise ProblemError(f"permutations must be 'known' or 'unknown', got {short(value)}")
    if value == "known":
        return
    m, n = architecture.shape
    is_power = m == n and n >= 2 and not n & (n - 1)
    if not is_power or architecture != Architecture.square_dyadic(n):
        raise ProblemError(
            "unknown permutations are looked for only with Architecture.square_dyadic(n), whose "
            "blocks of rank one show the orders; for any other architecture order the target "
            "first and leave permutations='known'"
        )


def _norm_of(reader: Reader) -> Figure:
    """Return the norm of a target; one read, two of a product of factors."""
    norm = NormSum()
    for part in reader.parts():
        norm.add(part)
    found = norm.figure()
    return Figure(found.value, found.room + reader.room(), reader.exponent)


def is_safe_norm(norm: Figure) -> bool:
    """Whether a norm is exactly zero or far from where squares of doubles are lost."""
    return norm.high() == 0.0 or _SAFE_NORM[0] < norm.value < _SAFE_NORM[1]


def _largest_where_it_lies(tensor: Any) -> float:
    """Return the largest magnitude in a tensor or array, on its device."""
    if on_device(tensor):
        return float(abs(tensor).max())
    torch = sys.modules["torch"]  # there is a tensor, so it is there
    return float(torch.linalg.vector_norm(tensor, ord=math.inf))


def _require_norm(problem: ButterflyFactorization) -> None:
    """Refuse entries that are not finite, and a norm beyond the range of floats."""
    if problem.kind == "array":
        require_finite(problem.target, "target")
    if problem.norm_figure.high() == math.inf:
        raise ProblemError(
            "the norm of the target is beyond the range of floats; divide the target by a power "
            "of two, and multiply a factor by it afterwards"
        )
