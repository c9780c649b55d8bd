"""The problem: a product of sparse factors whose values take few bits, near a given product."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.interface.arrays import as_figure
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.interface.problem import Problem
from sparseopt.judging.figures import ROOMS, Figure
from sparseopt.quantization.chain_error import DENSE_UP_TO, is_rank_one, relative_error
from sparseopt.quantization.exponents import as_formats
from sparseopt.quantization.number_format import NumberFormat
from sparseopt.quantization.rank_one import FormatLike, RankOneQuantization, require_digits


@json_type
@dataclass(frozen=True, eq=False)
class ProductQuantization(Problem[KroneckerProduct, Any]):
    """Find a product near a given one, with the same patterns and with values of few bits.

    Only the product counts: what one factor loses to rounding the others may make up for. So the
    error ``|A - B| / |A|`` (Frobenius norm) may be far below that of rounding each value.

    Parameters
    ----------
    product : KroneckerProduct
        A. NumPy or torch factors, real or complex; of complex values both parts are rounded.
    format : NumberFormat, str, int or None, or a sequence with one for each factor
        Without a scale. A name or a number of digits stands for ``NumberFormat(name)`` or
        ``significand(t)``. None: that factor is left as it is.
    relative_error : float or None
        Instead of formats (None): the relative error asked for, with as few digits t of F_t for
        each factor as the solver finds.
    overflow : {"saturate", "error"}
        Whether values beyond the largest number of their format become that number, or are refused.

    Raises
    ------
    ProblemError
        For formats with a scale, another number of them than of factors, F_t with t > 24 for
        float32, values out of range if these are refused, a relative error that is not between 0
        and 1 or stands beside formats; and for a large product whose architecture is not chainable
        with rank 1, as its error is computed from the matrix.

    Notes
    -----
    In a chainable architecture of rank 1 a product of two factors is a sum of products of vectors
    with disjoint supports, each of which can be quantized best, see `RankOneQuantization`; longer
    products are quantized pair by pair. The error comes from O(nnz) operations.

    References
    ----------
    Gribonval, Mary, Riccietti, "Optimal quantization of rank-one matrices in floating-point
    arithmetic, with applications to butterfly factorizations", 2023.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> patterns = so.Architecture.square_dyadic(8)
    >>> rng = np.random.default_rng(0)
    >>> factors = [rng.standard_normal(p.values_shape) for p in patterns]
    >>> problem = so.ProductQuantization(so.KroneckerProduct(factors, patterns), "bf16")
    >>> certificate = so.solve(problem).certificate
    >>> 2 * certificate.relative_error < certificate.nearest_relative_error
    True
    """

    product: KroneckerProduct
    format: tuple[NumberFormat | None, ...]
    relative_error: float | None = None
    overflow: str = "saturate"
    accuracy_is: ClassVar = "relative error above what is proved to be the least"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            product: KroneckerProduct,
            format: FormatLike | Iterable[FormatLike],
            relative_error: float | None = None,
            overflow: str = "saturate",
        ) -> None: ...

    def __post_init__(self) -> None:
        if not isinstance(self.product, KroneckerProduct):
            raise ProblemError(
                f"product must be a KroneckerProduct, got a {type(self.product).__name__}"
            )
        _refuse_gradients(self.product)
        product = self.product.to_numpy()
        object.__setattr__(self, "product", product)
        object.__setattr__(self, "format", as_formats(self.format, len(product.factors)))
        if self.overflow not in ("saturate", "error"):
            raise ProblemError(
                f"overflow must be 'saturate' or 'error', got {short(self.overflow)}"
            )
        self._require_target()
        for i, (factor, form) in enumerate(zip(product.factors, self.format, strict=True)):
            self._require_format(i, factor, form)
        rows, columns = product.shape
        if not self.is_rank_one and rows * columns > DENSE_UP_TO:
            raise ProblemError(
                f"the architecture is not chainable with rank 1 ({self.why_not_rank_one}), so the "
                f"error is computed from the {rows} x {columns} matrix, which is too large; at "
                f"most {DENSE_UP_TO} entries are allowed"
            )

    def _require_target(self) -> None:
        """Require an error between 0 and 1, if any, and no formats beside it."""
        if self.relative_error is None:
            return
        target = as_figure(self.relative_error, "relative_error")
        if not 0.0 < target < 1.0:
            raise ProblemError(f"relative_error must be between 0 and 1, got {short(target)}")
        if any(form is not None for form in self.format):
            raise ProblemError("give formats or a relative error, not both; format=None finds some")
        object.__setattr__(self, "relative_error", target)

    def _require_format(self, i: int, factor: np.ndarray, form: NumberFormat | None) -> None:
        """Require a format that its factor can be stored in."""
        if np.dtype(factor.dtype.str).itemsize // (1 + (factor.dtype.kind == "c")) not in (4, 8):
            raise ProblemError(
                f"factor {i} has dtype {factor.dtype}; convert it to float32 or float64"
            )
        if form is None:
            return
        if form.scale is not None:
            raise ProblemError(f"{form}: the factors of a product share no scale; leave scale=None")
        require_digits(factor.real, form, f"factor {i}")
        if self.overflow == "error":
            try:
                form.round(factor, "error")
            except ProblemError as error:
                raise ProblemError(f"factor {i}: {error}") from error

    @cached_property
    def is_rank_one(self) -> bool:
        """Whether the architecture is chainable with rank 1 at each cut."""
        return is_rank_one(self.product.architecture)

    @property
    def why_not_rank_one(self) -> str:
        """The first pair that is not chainable, or whose rank is not 1; empty if there is none."""
        architecture = self.product.architecture
        if not architecture.is_chainable:
            return architecture.why_not_chainable
        for i, (rank, (one, two)) in enumerate(
            zip(architecture.ranks, pairwise(architecture), strict=True)
        ):
            if rank != 1:
                return f"patterns {i} and {i + 1}: {tuple(one)} and {tuple(two)} have rank {rank}"
        return ""

    def nearest(self) -> KroneckerProduct:
        """Return the product with each value rounded to nearest, beyond the range to the largest.

        With a relative error for a target: itself.
        """
        pairs = zip(self.product.factors, self.format, strict=True)
        factors = [f if form is None else form.round(f) for f, form in pairs]
        return KroneckerProduct(factors, self.product.architecture)

    def error_of(self, answer: KroneckerProduct) -> Figure:
        """Return the relative error of an answer, and how far it may be off."""
        return relative_error(self.product, answer)

    @cached_property
    def nearest_relative_error(self) -> float:
        """The relative error of `nearest`, rounded up."""
        return self.error_of(self.nearest()).high(ROOMS)

    def terms(self) -> list[RankOneQuantization]:
        """Return the terms of a real product of two factors, one for each inner column."""
        pairs = zip(*columns_and_rows(self.product), strict=True)
        first, second = self.format
        return [RankOneQuantization(x, y, first, second) for x, y in pairs]

    def evaluate(self, answer: KroneckerProduct) -> Mapping[str, float]:
        """Return the relative error."""
        return {"relative_error": self.error_of(answer).high(1)}

    def structure(self) -> Mapping[str, str | int | bool]:
        """Say what kind of product it is."""
        return {"factors": len(self.product.factors), "is_rank_one": self.is_rank_one}

    def describe(self) -> str:
        """Return one line with sizes and formats."""
        m, n = self.product.shape
        names = list(dict.fromkeys(str(form or "no format") for form in self.format))
        goal = (
            f"relative error {self.relative_error:g}" if self.relative_error else ", ".join(names)
        )
        count = len(self.product.factors)
        return f"product of {count} factors, {m} x {n}, in {goal}"


def columns_and_rows(product: KroneckerProduct) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of the first of two factors and the rows of the second, as float64.

    Shapes (k, b) and (k, c); the product is the sum of the products of each with its partner.
    """
    first, second = (np.asarray(f, dtype=np.float64) for f in product.factors)
    (_, b, _, _), (_, _, c, _) = first.shape, second.shape
    return first.transpose(0, 2, 3, 1).reshape(-1, b), second.transpose(0, 1, 3, 2).reshape(-1, c)


def _refuse_gradients(product: KroneckerProduct) -> None:
    """Refuse tensors that would lose their gradient."""
    for i, factor in enumerate(product.factors):
        if getattr(factor, "requires_grad", False):
            raise ProblemError(
                f"factor {i} is a tensor that needs a gradient; detach it first (.detach())"
            )
