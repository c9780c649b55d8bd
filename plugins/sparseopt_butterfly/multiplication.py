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

Neighbours may be merged first, and grouping and methods are those of least predicted time, see
`sparseopt.tools.chain_plan`; the prediction is linear in the counts of `_features`, with
coefficients fitted by ``benchmarks/multiplication_calibration.py``. The choice depends on shapes,
dtype and batch only, and is made once for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.interface.errors import ProblemError
from sparseopt.tools.chain_plan import (
    MultiplicationPlan as MultiplicationPlan,
    Step,
    cheapest_steps,
    merged_group,
    merged_pattern as merged_pattern,
    merged_values as merged_values,
    merging_limit,
    planned_batch,
)
from sparseopt_butterfly.multiplication_costs import COEFFICIENTS

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
        key = planned_batch(batch), real
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
        key = planned_batch(batch), dtype
        if key not in self._runs:
            steps = reversed(self.plan(batch, dtype).steps)
            self._runs[key] = [self._function(step, *reversed(key)) for step in steps]
        return self._runs[key]

    def _best(self, batch: int, dtype: np.dtype) -> MultiplicationPlan:
        """Minimise the predicted time over groupings and methods."""
        limit = merging_limit(self._architecture)

        def offers(first: int, last: int, pattern: KroneckerPattern) -> list[Step]:
            return self._offers(first, last, pattern, batch, dtype, limit)

        steps, separately = cheapest_steps(self._architecture, offers)
        return MultiplicationPlan(steps, batch, dtype, separately, self._note)

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
        if first == last:
            return self._factors[first]
        if (first, last) not in self._merged:
            patterns = self._architecture.patterns
            self._merged[first, last] = merged_group(self._factors, patterns, first, last)
        return self._merged[first, last]


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
