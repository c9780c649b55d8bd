"""Fast multiplication by a chain of NumPy factors: which method, on which merged factors.

A factor (a, b, c, d) times an operand (a c d, batch) is a d independent products of a b x c block
with c rows of the operand. Rows that belong to one block stand d apart, so both operand and result
are read and written in place through strided views: no copy brings an operand into a permuted
layout, neither around a factor nor between factors.

The methods:

``matmul``
    one matrix product per block on the strided views.
``gathered``
    the same on a copy of the operand whose blocks are contiguous. Better where rows of a block lie
    a multiple of 4096 bytes apart, since such rows compete for the same cache lines.
``csr``
    SciPy's compressed rows. Better for the smallest blocks.
``dense``
    one product with the whole matrix, zeros included. Better for small matrices.
``fused``
    several factors in one compiled pass, by an `Accelerator`; only if the product asks for one.

Neighbours whose product is again Kronecker-sparse may be merged first: exact but for rounding,
with more values but fewer and larger blocks. A dynamic program over the cuts of the chain finds
the grouping and methods of least predicted time; the prediction is linear in the counts of
`_features`, with coefficients fitted by ``benchmarks/multiplication_calibration.py``. The choice
depends on shapes, dtype and batch only, and is made once for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.butterfly.splitting import merge, permute
from sparseopt.interface.errors import ProblemError
from sparseopt_butterfly.multiplication_costs import COEFFICIENTS

# Merged values of one group: at most this many, or this multiple of all values of the chain.
MERGED_VALUES = 2**16
MERGED_MULTIPLE = 4

# Shapes of operands for which the functions to call are remembered.
REMEMBERED = 256


class Accelerator(Protocol):
    """Another method of multiplication, for runs of factors: ``fused`` in plans."""

    def microseconds(
        self, patterns: Sequence[KroneckerPattern], batch: int, dtype: np.dtype
    ) -> float | None:
        """Return the predicted time of a run, or None if it, and any longer one, is impossible."""
        ...

    def prepare(
        self,
        factors: Sequence[np.ndarray],
        patterns: Sequence[KroneckerPattern],
        batch: int,
        dtype: np.dtype,
    ) -> Callable[..., np.ndarray]:
        """Return the function of a contiguous operand (n, batch) of this dtype that applies a run.

        One made for a batch of 1 gets such operands only; any other gets any but empty ones. With
        ``overwrite=True``, given for operands that nobody else holds, it may work in their place.
        """
        ...


@dataclass(frozen=True)
class Step:
    """One multiplication of a plan: factors ``first`` .. ``last`` merged into ``pattern``."""

    first: int
    last: int
    pattern: KroneckerPattern
    method: str
    microseconds: float

    def __str__(self) -> str:
        one = self.first == self.last
        how = "in one pass" if self.method in ("fused", "rows") else "merged"
        which = f"factor {self.first}" if one else f"factors {self.first}-{self.last} {how}"
        shape = f"{tuple(self.pattern)}"
        return f"{which:<25} {shape:<20} {self.method:<9} {self.microseconds:10.1f} us"


@dataclass(frozen=True)
class MultiplicationPlan:
    """How a product is applied to operands of one batch size and dtype.

    Parameters
    ----------
    steps : tuple of Step
        In the order of the factors; they are applied from the last to the first.
    batch : int
        Number of columns planned for: the asked one, rounded up to a power of two above 8.
    dtype : numpy dtype
        In which values are multiplied.
    separately : float
        Predicted microseconds without merging any factors.
    note : str
        Which methods could not be considered, and why.
    around : float
        Predicted microseconds of what a layer does beside the product: calls, looks whether a
        parameter was changed, copies.
    """

    steps: tuple[Step, ...]
    batch: int
    dtype: np.dtype
    separately: float
    note: str = ""
    around: float = 0.0

    @property
    def microseconds(self) -> float:
        """Predicted time of one multiplication, one thread."""
        return self.around + sum(step.microseconds for step in self.steps)

    def __str__(self) -> str:
        lines = [f"{self.dtype} operand with {self.batch} columns; predicted, one thread:"]
        lines += [f"  {step}" for step in self.steps]
        if self.around:
            lines.append(f"  {'around the product':<56}{self.around:10.1f} us")
        lines.append(f"  {'in all':<56}{self.microseconds:10.1f} us")
        if any(step.first != step.last for step in self.steps):
            lines.append(f"  {'without merging':<56}{self.separately:10.1f} us")
        if self.note:
            lines.append(f"  {self.note}")
        return "\n".join(lines)


def predicted_microseconds(
    method: str, pattern: KroneckerPattern, batch: int, dtype: np.dtype
) -> float:
    """Return the predicted time of one factor times (a c d, batch), in microseconds."""
    size = "one" if batch == 1 else "few" if batch <= 8 else "many"
    weights = COEFFICIENTS[method, "complex" if dtype.kind == "c" else "real", size]
    counts = _features(method, pattern, batch, dtype.itemsize)
    return sum(weight * count for weight, count in zip(weights, counts, strict=True))


def _features(
    method: str, pattern: KroneckerPattern, batch: int, itemsize: int
) -> tuple[float, ...]:
    """Return what the time of a method is linear in: calls, blocks (rows for CSR), KiB of values,
    of vectors, of values times batch, of vectors beyond 1 MiB, of vectors a multiple of 4096 bytes
    apart."""
    a, b, c, d = pattern
    if method == "dense":
        a, b, c, d = 1, pattern.shape[0], pattern.shape[1], 1
    values = a * b * c * d * itemsize / 1024
    vectors = a * d * (b + c) * batch * itemsize / 1024
    blocks = a * d * (b if method == "csr" else 1)
    aligned = method == "matmul" and d > 1 and c >= 4 and d * batch * itemsize % 4096 == 0
    return (
        1.0,
        blocks,
        values,
        vectors,
        values * batch,
        max(0.0, vectors - 1024),
        vectors if aligned else 0.0,
    )


class Multiplication:
    """Plans and runs the multiplication by a chain of NumPy factors.

    Parameters
    ----------
    factors : sequence of numpy.ndarray (a, b, c, d)
    architecture : Architecture
    accelerator : Accelerator, optional
    note : str
        What plans are to say of a method that was asked for and is not there.
    """

    def __init__(
        self,
        factors: Sequence[np.ndarray],
        architecture: Architecture,
        accelerator: Accelerator | None = None,
        note: str = "",
    ) -> None:
        self._factors = tuple(factors)
        self._architecture = architecture
        self._accelerator = accelerator
        self._note = note
        self._dtype = np.result_type(*self._factors)
        self._plans: dict[tuple[int, np.dtype], MultiplicationPlan] = {}
        self._runs: dict[tuple[int, np.dtype], list[Callable[[np.ndarray], np.ndarray]]] = {}
        self._merged: dict[tuple[int, int], np.ndarray] = {}
        self._prepared: dict[tuple[int, int, str, np.dtype, bool], Any] = {}
        self._known: dict[tuple[tuple[int, ...], np.dtype], list[Any]] = {}
        self._on_devices: dict[Any, KroneckerProduct] = {}

    def plan(self, batch: int, dtype: Any) -> MultiplicationPlan:
        """Return the plan for operands (n, batch) of a dtype.

        O(L^2) predictions for L factors, once per dtype and batch, the latter rounded up to a
        power of two above 8.
        """
        real = np.dtype(dtype)
        key = _rounded(batch), real
        if key not in self._plans:
            self._plans[key] = self._best(*key)
        return self._plans[key]

    def known(self, x: np.ndarray) -> np.ndarray | None:
        """Return the product with a vector or matrix like one seen before, else None.

        The short way for small products, where looking at the operand would take longer than
        multiplying it.
        """
        steps = self._known.get((x.shape, x.dtype))
        if steps is None or not x.flags.c_contiguous:
            return None
        if x.ndim == 1:
            y = x[:, None]
            for step in steps:
                y = step(y)
            return y[:, 0]
        for step in steps:
            x = step(x)
        return x

    def matmat(self, x: Any) -> Any:
        """Return the product with (n, batch). Complex operands of a real chain count as twice as
        many real columns. A torch tensor gives a tensor on its device, with its gradients."""
        if hasattr(x, "detach"):
            return self._times_tensor(x)
        if x.dtype.kind not in "biufc":
            raise ProblemError(f"the operand has dtype {x.dtype}; use bool, integer, real, complex")
        dtype = np.result_type(self._dtype, x.dtype)
        if x.shape[1] == 0:
            return np.empty((self._architecture.shape[0], 0), dtype=dtype)
        compute = np.result_type(dtype, np.float32)
        y = np.ascontiguousarray(x, dtype=compute)
        real = compute.kind == "c" and self._dtype.kind != "c"
        if real:
            y = y.view(np.empty(0, dtype=compute).real.dtype)
        steps = self._steps(y.shape[1], y.dtype)
        if x.dtype == dtype == y.dtype and len(self._known) < REMEMBERED:
            self._known[x.shape, x.dtype] = steps
            if x.shape[1] == 1:
                self._known[x.shape[:1], x.dtype] = steps
        for step in steps:
            y = step(y)
        return (y.view(compute) if real else y).astype(dtype, copy=False)

    def _times_tensor(self, x: Any) -> Any:
        """Return the product with a torch tensor, in the dtype that torch promotes to.

        On the CPU and without gradients NumPy does the work, by the plan; elsewhere the factors are
        copied to the device, once for each dtype.
        """
        import torch

        dtype = torch.result_type(x, torch.from_numpy(np.empty((1, 1), dtype=self._dtype)))
        x = x.to(dtype)
        wants_gradient = x.requires_grad and torch.is_grad_enabled()
        if x.device.type == "cpu" and not wants_gradient:
            plain = x.detach().resolve_conj().resolve_neg().numpy()
            return torch.from_numpy(self.matmat(plain))
        key = x.device, dtype
        if key not in self._on_devices:
            factors = [torch.tensor(f, dtype=dtype, device=x.device) for f in self._factors]
            self._on_devices[key] = KroneckerProduct(tuple(factors), self._architecture)
        return self._on_devices[key].matmat(x)

    def _steps(self, batch: int, dtype: np.dtype) -> list[Callable[[np.ndarray], np.ndarray]]:
        """Return the functions to apply, in order of application."""
        key = _rounded(batch), dtype
        if key not in self._runs:
            steps = reversed(self.plan(batch, dtype).steps)
            self._runs[key] = [self._function(step, *reversed(key)) for step in steps]
        return self._runs[key]

    def _best(self, batch: int, dtype: np.dtype) -> MultiplicationPlan:
        """Minimise the predicted time over groupings and methods: shortest path over the cuts."""
        patterns = self._architecture.patterns
        limit = max(MERGED_VALUES, MERGED_MULTIPLE * self._architecture.nnz)
        best: list[tuple[float, tuple[Step, ...]]] = [(0.0, ())]
        best += [(np.inf, ())] * len(patterns)
        separately = 0.0
        for first in range(len(patterns)):
            pattern: KroneckerPattern | None = patterns[first]
            for last in range(first, len(patterns)):
                if last > first:
                    assert pattern is not None
                    pattern = merged_pattern(pattern, patterns[last])
                if pattern is None:
                    break
                steps = self._offers(first, last, pattern, batch, dtype, limit)
                if not steps:
                    break
                step = min(steps, key=lambda offer: offer.microseconds)
                separately += step.microseconds if first == last else 0.0
                total = best[first][0] + step.microseconds
                if total < best[last + 1][0]:
                    best[last + 1] = total, (*best[first][1], step)
        return MultiplicationPlan(best[-1][1], batch, dtype, separately, self._note)

    def _offers(
        self,
        first: int,
        last: int,
        pattern: KroneckerPattern,
        batch: int,
        dtype: np.dtype,
        limit: int,
    ) -> list[Step]:
        """Return what factors first .. last, of this product, can be multiplied by."""
        offers = []
        if first == last or pattern.nnz <= limit:
            offers.append(_cheapest(first, last, pattern, batch, dtype, limit))
        if self._accelerator is not None:
            run = self._architecture.patterns[first : last + 1]
            time = self._accelerator.microseconds(run, batch, dtype)
            if time is not None:
                offers.append(Step(first, last, pattern, "fused", time))
        return offers

    def _function(
        self, step: Step, dtype: np.dtype, batch: int
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function of an operand that makes one step, values prepared."""
        key = step.first, step.last, step.method, dtype, batch == 1
        if key not in self._prepared:
            self._prepared[key] = self._prepare(step, dtype, batch)
        values = self._prepared[key]
        if step.method == "fused":
            whole = step.last + 1 == len(self._factors)
            return values if whole else partial(values, overwrite=True)
        if step.method == "csr":
            return values.__matmul__
        if step.method == "dense":
            return values.dot  # less ado than @
        return partial(_strided, values, step.pattern, step.method == "gathered")

    def _prepare(self, step: Step, dtype: np.dtype, batch: int) -> Any:
        """Return the values of a step in the form of its method; for ``fused``, the function."""
        if step.method == "fused":
            assert self._accelerator is not None
            run = slice(step.first, step.last + 1)
            patterns = self._architecture.patterns[run]
            return self._accelerator.prepare(self._factors[run], patterns, batch, dtype)
        values = self._values(step.first, step.last).astype(dtype, copy=False)
        if step.method == "csr":
            return step.pattern.sparse(values)
        if step.method == "dense":
            return np.ascontiguousarray(step.pattern.dense(values))
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))

    def _values(self, first: int, last: int) -> np.ndarray:
        """Return the values of factors first .. last merged, from the left."""
        patterns = self._architecture.patterns
        if first == last:
            return self._factors[first]
        if (first, last) not in self._merged:
            values, pattern = self._factors[first], patterns[first]
            for i in range(first + 1, last + 1):
                values = merged_values(values, self._factors[i], pattern, patterns[i])
                whole = merged_pattern(pattern, patterns[i])
                assert whole is not None
                pattern = whole
            self._merged[first, last] = values
        return self._merged[first, last]


def merged_pattern(left: KroneckerPattern, right: KroneckerPattern) -> KroneckerPattern | None:
    """Return the pattern of a product if the pair or its transpose is chainable, else None."""
    if left.is_chainable_with(right):
        return left.product(right)
    if right.transpose.is_chainable_with(left.transpose):
        return right.transpose.product(left.transpose).transpose
    return None


def merged_values(x: Any, y: Any, left: KroneckerPattern, right: KroneckerPattern) -> Any:
    """Return the values of a product of which `merged_pattern` knows the pattern."""
    if left.is_chainable_with(right):
        return merge(x, y, left, right)
    flipped = (permute(y, (0, 2, 1, 3)), permute(x, (0, 2, 1, 3)))
    return permute(merge(*flipped, right.transpose, left.transpose), (0, 2, 1, 3))


def _cheapest(
    first: int, last: int, pattern: KroneckerPattern, batch: int, dtype: np.dtype, limit: int
) -> Step:
    """Return the step of least predicted time among the methods."""
    methods = ["matmul", "csr"]
    if pattern.d > 1:
        methods.append("gathered")
    if pattern.shape[0] * pattern.shape[1] <= limit:
        methods.append("dense")
    costs = {method: predicted_microseconds(method, pattern, batch, dtype) for method in methods}
    method = min(methods, key=costs.__getitem__)
    return Step(first, last, pattern, method, costs[method])


def _rounded(batch: int) -> int:
    """Return the batch size that plans are made for."""
    return max(batch, 1) if batch <= 8 else 1 << (batch - 1).bit_length()


def _strided(
    values: np.ndarray, pattern: KroneckerPattern, gather: bool, x: np.ndarray
) -> np.ndarray:
    """Return values (a, d, b, c), block by block, times x (a c d, batch)."""
    a, b, c, d = pattern
    batch = x.shape[1]
    y = np.empty((a * b * d, batch), dtype=x.dtype)
    blocks = x.reshape(a, c, d, batch).transpose(0, 2, 1, 3)
    if gather:
        blocks = np.ascontiguousarray(blocks)
    np.matmul(values, blocks, out=y.reshape(a, b, d, batch).transpose(0, 2, 1, 3))
    return y
