"""The methods on a CUDA device, what each moves and computes, and the time that predicts.

``strided``
    cuBLAS on strided views: the smaller of a and d launches (one for d = 1 and batch first), none
    of them with a permutation. Not for d > 1 and batch first, where no view is a matrix.
``dense``
    one product by cuBLAS with the whole matrix, zeros included.
``kernel``
    the factor kernel: tensor cores, or for tiny blocks registers.
``fused``
    a run of factors in shared memory, in one pass over the operand.

The time of a launch is the largest of three: what memory must move, what the cache must give, and
the products; over a share of these rates that is assumed until it is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.tools.chain_plan import Step
from sparseopt_cupy import kernel_table
from sparseopt_cupy.kernels.launches import (
    SHARED_LIMIT,
    TYPES,
    Launch,
    Layout,
    Pattern,
    Precision,
    flops_per_product,
    itemsize,
)
from sparseopt_cupy.rates import CACHE_SPEED, Rates
from sparseopt_cupy.tuned import Measured, key_of

# Shares of the rates of memory and of products that are reached. Nothing here is measured: rates of
# products are the library's own; kernels use instructions that reach some 60 % of them at most.
_SHARES = {
    "strided": (0.75, 0.95),
    "dense": (0.85, 0.95),
    "kernel": (0.8, 0.5),
    "fused": (0.7, 0.5),
}
METHODS = tuple(_SHARES)
# cuBLAS computes whole tiles of so many outputs and inputs.
_LIBRARY_TILE = 32
# More launches than this are never better than one kernel.
_MOST_LAUNCHES = 64
_LARGEST_INT = 2**31 - 1
_LARGEST_DENSE = 1 << 24
NOTHING: Mapping[str, Mapping[str, Measured]] = MappingProxyType({})


@lru_cache(maxsize=4096)
def factor(
    pattern: Pattern,
    n: int,
    dtype: str,
    precision: Precision,
    layout: Layout,
    alignment: int,
    limit: int,
    order: kernel_table.Order = "adbc",
    transposed: bool = False,
    conjugated: bool = False,
    tile: tuple[int, ...] = (),
) -> tuple[Launch, ...]:
    """Return `kernel_table.factor`, remembered."""
    return kernel_table.factor(
        pattern,
        n,
        dtype,
        precision=precision,
        layout=layout,
        order=order,
        transposed=transposed,
        conjugated=conjugated,
        alignment=alignment,
        shared_limit=limit,
        tile=tile,
    )


@lru_cache(maxsize=4096)
def run_of(
    patterns: tuple[Pattern, ...], n: int, dtype: str, layout: Layout, alignment: int, limit: int
) -> tuple[Launch, ...] | None:
    """Return the launch of several factors in one pass; None if no kernel can take them."""
    a, d, count = patterns[0][0], patterns[-1][3], len(patterns)
    pairs = tuple((a << k, 2, 2, d << (count - 1 - k)) for k in range(count))
    more = {"layout": layout, "alignment": alignment, "shared_limit": limit}
    try:
        if patterns == pairs:
            return kernel_table.fused_pairs(a, d, count, n, dtype, **more)  # type: ignore[arg-type]
        if not _fits_one_pass(patterns):
            return None
        return kernel_table.fused_chain(patterns, n, dtype, **more)  # type: ignore[arg-type]
    except ValueError:  # it does not fit into shared memory
        return None


def _fits_one_pass(patterns: Sequence[Pattern]) -> bool:
    """Whether groups of rows stay apart: a of the first divides every a, d of the last every d."""
    a, d = patterns[0][0], patterns[-1][3]
    return all(p[0] % a == 0 and p[3] % d == 0 for p in patterns)


class Methods:
    """What can be applied to operands of one shape, and for how long.

    Parameters
    ----------
    n : int
        Columns.
    dtype : str
    precision : "ieee", "tf32" or "tf32x3"
    layout : "last" or "first"
    rates : Rates
    limit : int
        Bytes of shared memory of a block.
    most_values : int
        Of a merged group; 0 where factors are never merged.
    library : bool
        Whether cuBLAS may be used.
    order : "adbc" or "abcd"
        How the factor kernel finds the weights.
    measured : mapping
        Steps whose times and tiles are known: those are taken in place of predictions.
    """

    def __init__(
        self,
        n: int,
        dtype: str,
        precision: Precision,
        layout: Layout,
        rates: Rates,
        limit: int = SHARED_LIMIT,
        most_values: int = 0,
        library: bool = True,
        order: kernel_table.Order = "adbc",
        measured: Mapping[str, Mapping[str, Measured]] = NOTHING,
    ) -> None:
        self.n, self.dtype, self.precision, self.layout = n, dtype, precision, layout
        self.rates, self.limit, self.most_values = rates, limit, most_values
        self.library, self.order = library, order
        self.measured = measured

    def offers(
        self, first: int, last: int, pattern: KroneckerPattern, run: Sequence[KroneckerPattern]
    ) -> list[Step]:
        """Return the steps that apply the factors `run`, first .. last, whose product has a
        pattern."""
        whole: Pattern = pattern.a, pattern.b, pattern.c, pattern.d
        times = {}
        if first == last or pattern.nnz <= self.most_values:
            launches = factor(
                whole,
                self.n,
                self.dtype,
                self.precision,
                self.layout,
                16,
                self.limit,
                self.order,
            )
            times["kernel"] = self._of_launches("kernel", launches)
            if self.library and self.takes_strided(whole):
                times["strided"] = self.of_library("strided", whole)
            rows, columns = pattern.shape
            if self.library and self.most_values and rows * columns <= _LARGEST_DENSE:
                times["dense"] = self.of_library("dense", (1, rows, columns, 1))
        if last > first:
            patterns = tuple(tuple(p) for p in run)
            found = run_of(patterns, self.n, self.dtype, self.layout, 16, self.limit)
            if found:
                times["fused"] = self._of_launches("fused", found)
        key = key_of(run, self.n, self.dtype, self.precision, self.layout, self.order)
        known = self.measured.get(key, {})
        return [
            Step(first, last, pattern, name, known[name].microseconds, known[name].tile)
            if name in known
            else Step(first, last, pattern, name, time)
            for name, time in times.items()
        ]

    def takes_strided(self, pattern: Pattern) -> bool:
        """Whether views of operand and result are matrices for cuBLAS, in few launches."""
        a, _, _, d = pattern
        if self.layout == "first" and self.n > 1:
            return d == 1
        return min(a, d) <= _MOST_LAUNCHES and d * self.n <= _LARGEST_INT

    def _of_launches(self, method: str, launches: Sequence[Launch]) -> float:
        rates, time = self.rates, 0.0
        arithmetic = "ieee" if method == "fused" else self.precision
        dtype = "float32" if method == "fused" and itemsize(self.dtype) == 2 else self.dtype
        for launch in launches:
            time += rates.launch + self._share(
                method,
                max(launch.floor_bytes, launch.predicted_bytes / CACHE_SPEED) / rates.copy,
                launch.flops / rates.of_products(dtype, arithmetic),
            )
        return time

    def of_library(self, method: str, pattern: Pattern) -> float:
        """Return the predicted microseconds of cuBLAS."""
        a, b, c, d = pattern
        size = itemsize(self.dtype)
        moved = size * (self.n * a * d * (b + c) + a * b * c * d)
        tile = _LIBRARY_TILE
        products = a * d * self.n * (-(-b // tile) * tile) * (-(-c // tile) * tile)
        precision = "ieee" if self.precision == "tf32x3" else self.precision
        rate = self.rates.of_products(self.dtype, precision)
        flops = flops_per_product(self.dtype) * products
        launches = 1 if self.layout == "first" else min(a, d)
        share = self._share(method, moved / self.rates.copy, flops / rate)
        return self.rates.launch * launches + share

    @staticmethod
    def _share(method: str, memory: float, products: float) -> float:
        of_memory, of_products = _SHARES[method]
        return max(memory / of_memory, products / of_products)


def supported(dtype: str) -> bool:
    """Whether there are kernels for a data type."""
    return dtype in TYPES
