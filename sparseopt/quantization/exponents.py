"""The problem: powers of two between factors that bring all entries into the range of a format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import networkx as nx
import numpy as np

from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.interface.problem import Problem
from sparseopt.quantization.nearest import Grid, nearest
from sparseopt.quantization.number_format import NumberFormat
from sparseopt.quantization.rank_one import FormatLike, as_format

FREE = 1 << 20
"""Stands for any power: zeros fit at all."""
_DTYPES = {
    4: Grid(24, -126, float(np.finfo(np.float32).max)),
    8: Grid(53, -1022, float(np.finfo(np.float64).max)),
}
"""What a part of an entry is kept in, by its bytes."""


@json_type
@dataclass(frozen=True, eq=False)
class ExponentFit:
    """The answer to an `ExponentFitting`.

    Attributes
    ----------
    value : {"fits", "does_not_fit"}
    powers : tuple of int64 array
        For each cut between two factors the powers s: the columns of the factor before it are
        multiplied by ``2**s``, the rows of the one after it divided. Empty if it does not fit.
    product : KroneckerProduct or None
        The factors, so scaled, without a rounding.
    """

    value: str
    powers: tuple[np.ndarray, ...] = ()
    product: KroneckerProduct | None = None

    def __post_init__(self) -> None:
        if self.value not in ("fits", "does_not_fit"):
            raise ProblemError(f"value must be 'fits' or 'does_not_fit', got {short(self.value)}")
        powers = [np.asarray(p) for p in self.powers]
        if any(p.dtype.kind != "i" or p.ndim != 1 for p in powers):
            raise ProblemError("powers must be vectors of integers")
        object.__setattr__(self, "powers", tuple(p.astype(np.int64) for p in powers))
        if self.product is not None and not isinstance(self.product, KroneckerProduct):
            raise ProblemError("product must be a KroneckerProduct or None")

    def __str__(self) -> str:
        return self.value


@json_type
@dataclass(frozen=True, eq=False)
class ExponentFitting(Problem[ExponentFit, Any]):
    """Find powers of two between the factors of a product that bring every entry into a format.

    The product does not change: columns of a factor are multiplied by powers that the rows of the
    next one are divided by. An entry fits if rounding it to the format does the same as rounding it
    to the format's digits, whatever its exponent: nothing overflows, and nothing loses digits at
    the lower end.

    Parameters
    ----------
    product : KroneckerProduct
        NumPy or torch factors, real or complex; parts of complex entries must both fit.
    format : NumberFormat, str, int or None, or a sequence with one for each factor
        Without a scale. F_t fits always, as long as the dtype of the factor holds the entries; None
        likewise.

    Raises
    ------
    ProblemError
        For other formats, formats with a scale, and another number of them than of factors.

    Notes
    -----
    With s of the rows and columns of factor l, entry (i, j) has the power ``s_l(j) - s_(l-1)(i)``,
    which lies in an interval of integers: difference constraints. They have a solution if and only
    if no cycle of them adds up to less than zero, which is found by shortest paths (Cormen,
    Leiserson, Rivest, Stein, section 22.4).

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> first, second = np.array([[1.5, 3000.0]]), np.array([[1.0], [0.001]])
    >>> product = so.KroneckerProduct(
    ...     [first.reshape(1, 1, 2, 1), second.reshape(1, 2, 1, 1)], [(1, 1, 2, 1), (1, 2, 1, 1)]
    ... )
    >>> solution = so.fit_exponents(product, "e4m3")
    >>> solution.answer.powers, solution.answer.product.factors[0].ravel()
    ((array([ 0, -3]),), array([  1.5, 375. ]))
    """

    product: KroneckerProduct
    format: tuple[NumberFormat | None, ...]
    accuracy_is: ClassVar = "0: the verdict is proved"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self, product: KroneckerProduct, format: FormatLike | Iterable[FormatLike]
        ) -> None: ...

    def __post_init__(self) -> None:
        if not isinstance(self.product, KroneckerProduct):
            raise ProblemError(
                f"product must be a KroneckerProduct, got a {type(self.product).__name__}"
            )
        object.__setattr__(self, "product", self.product.to_numpy())
        for i, factor in enumerate(self.product.factors):
            if factor.dtype.char not in "fdFD":
                raise ProblemError(
                    f"factor {i} has dtype {factor.dtype}; convert it to float32 or float64"
                )
        object.__setattr__(self, "format", as_formats(self.format, len(self.product.factors)))
        for form in self.format:
            if form is not None and form.scale is not None:
                raise ProblemError(f"{form}: a format with a scale has no range; leave scale=None")

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Rows of the first factor, then columns of each."""
        patterns = list(self.product.architecture)
        return (patterns[0].shape[0], *(p.shape[1] for p in patterns))

    @cached_property
    def ranges(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Of each factor the least and the largest powers by which its entries fit.

        int64 arrays of the shape of the factor; beyond `FREE` for zeros.
        """
        pairs = zip(self.product.factors, self.format, strict=True)
        return tuple(_ranges(np.asarray(factor), form) for factor, form in pairs)

    def differences(self, powers: tuple[np.ndarray, ...], place: int) -> np.ndarray:
        """Return the powers that the entries of one factor are multiplied by."""
        a, b, c, d = self.product.architecture[place]
        count = len(self.product.factors)
        left = powers[place - 1] if place else np.zeros(a * b * d, dtype=np.int64)
        right = powers[place] if place < count - 1 else np.zeros(a * c * d, dtype=np.int64)
        return right.reshape(a, 1, c, d) - left.reshape(a, b, 1, d)

    def scaled(self, powers: tuple[np.ndarray, ...]) -> KroneckerProduct:
        """Return the product with its factors scaled."""
        factors = []
        for place, factor in enumerate(self.product.factors):
            moved = np.array(factor)
            with np.errstate(over="ignore", under="ignore"):
                parts = (moved.real, moved.imag) if moved.dtype.kind == "c" else (moved,)
                for part in parts:
                    part[...] = np.ldexp(part, self.differences(powers, place))
            factors.append(moved)
        return KroneckerProduct(factors, self.product.architecture)

    def misfits(self, powers: tuple[np.ndarray, ...]) -> int:
        """Return how many entries do not fit once they are scaled."""
        count = 0
        for place, (least, most) in enumerate(self.ranges):
            moved = self.differences(powers, place)
            count += int(((moved < least) | (moved > most)).sum())
        return count

    def graph(self) -> nx.DiGraph:
        """Return the constraints as a graph: ``s(to) <= s(from) + weight`` for each edge.

        Nodes are (cut, place); the two outer cuts are the one node (0, 0). For drawings, and to
        look at small products: two Python objects for each nonzero entry.
        """
        graph = nx.DiGraph()
        graph.add_node((0, 0))
        for place, (least, most) in enumerate(self.ranges):
            for flat in np.flatnonzero(most.ravel() < FREE).tolist():
                one, other = self.ends(place, flat)
                for edge in (
                    (one, other, int(most.flat[flat])),
                    (other, one, -int(least.flat[flat])),
                ):
                    old = graph.get_edge_data(*edge[:2], {"weight": edge[2]})["weight"]
                    graph.add_edge(*edge[:2], weight=min(edge[2], old))
        return graph

    def ends(self, place: int, flat: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the nodes of row and column of an entry of a factor."""
        _, b, c, d = self.product.architecture[place]
        i, j, k, m = np.unravel_index(flat, self.product.factors[place].shape)
        row, column = (int(i) * b + int(j)) * d + int(m), (int(i) * c + int(k)) * d + int(m)
        last = place == len(self.product.factors) - 1
        return (place, row) if place else (0, 0), (0, 0) if last else (place + 1, column)

    def evaluate(self, answer: ExponentFit) -> Mapping[str, float]:
        """Return how many entries do not fit; all of them if no powers are given."""
        is_whole = len(answer.powers) == len(self.product.factors) - 1
        return {"misfits": float(self.misfits(answer.powers) if is_whole else self.product.nnz)}

    def describe(self) -> str:
        """Return one line with sizes and formats."""
        names = list(dict.fromkeys(str(form or "no format") for form in self.format))
        return f"fitting {len(self.product.factors)} factors into {', '.join(names)}"


def as_formats(value: Any, count: int) -> tuple[NumberFormat | None, ...]:
    """Return one format for each factor, from one for all or from a sequence."""
    if isinstance(value, list | tuple):
        if len(value) != count:
            raise ProblemError(f"{len(value)} formats were given for {count} factors")
        return tuple(as_format(v, f"format {i}") for i, v in enumerate(value))
    return (as_format(value),) * count


def _ranges(factor: np.ndarray, form: NumberFormat | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the powers by which entries fit, of complex ones those of both parts."""
    parts = (factor.real, factor.imag) if factor.dtype.kind == "c" else (factor,)
    limits = [_DTYPES[parts[0].dtype.itemsize]]
    if form is not None and form.is_finite:
        limits.append(form.grid)
    least, most = np.full(factor.shape, -FREE), np.full(factor.shape, FREE)
    for part in parts:
        for grid in limits:
            low, high = _range(part.astype(np.float64), grid)
            least, most = np.maximum(least, low), np.minimum(most, high)
    return least, most


def _range(values: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return the powers of two by which numbers, rounded to the digits of a grid, are in it."""
    assert grid.lowest is not None
    mantissas, powers = np.frexp(np.abs(values))
    mantissas, more = np.frexp(nearest(mantissas, Grid(grid.digits), "saturate", ""))
    powers = powers.astype(np.int64) + more
    top, top_power = np.frexp(grid.largest)
    most = int(top_power) - powers - (mantissas > top)
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    last = powers - 54 + np.frexp((whole & -whole).astype(np.float64))[1]
    least = grid.lowest - grid.digits + 1 - last
    is_zero = values == 0.0
    return np.where(is_zero, -FREE, least), np.where(is_zero, FREE, most)
