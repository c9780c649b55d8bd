"""What the heuristic solvers of a butterfly factorization share: scaling, starts, history, answer.

They decrease the error from random factors and promise nothing about where they end. They exist
to be compared with the hierarchical engines, and to refine their answers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.butterfly.splitting import lift
from sparseopt.judging.scaling import exponent_of, largest_part, times_power
from sparseopt.tools.hierarchy import certified
from sparseopt_butterfly.memory import require_memory

Watch = Callable[[float, float], None]
"""Called with the seconds since the start of the solver and the relative error reached."""

Factors = list[Any]


@dataclass(frozen=True, eq=False)
class Task:
    """A problem made ready for descent.

    Attributes
    ----------
    architecture : Architecture
        Non-redundant, with the same products as the problem's.
    values : array, shape of the values of ``architecture.product``
        Entries of the target inside the support, times ``2**-exponent``, so that the largest real
        or imaginary part is in [1/2, 1). In the target's dtype.
    exponent : int
        Undoes the scaling.
    inside, outside : float
        Norm of `values`, and of the scaled entries outside the support.
    watch : callable(seconds, relative error) or None
        Told every error reached.
    started : float
        `time.perf_counter` when the solver began.
    """

    architecture: so.Architecture
    values: np.ndarray
    exponent: int
    inside: float
    outside: float
    watch: Watch | None
    started: float

    @staticmethod
    def of(problem: so.ButterflyFactorization, watch: Watch | None, copies: int) -> Task:
        """Read the whole target, once, if there is memory for so many copies of it."""
        started = time.perf_counter()
        m, n = problem.shape
        require_memory(copies * m * n * problem.dtype.itemsize, "hierarchical_numpy needs less")
        matrix = problem.columns(0, problem.shape[1])
        exponent = exponent_of(largest_part(matrix))
        matrix = times_power(matrix, -exponent)
        architecture = problem.architecture.reduced()
        pattern = architecture.product
        values = matrix[pattern.indices()]
        outside = 0.0
        if pattern.nnz < matrix.size:
            outside = float(np.linalg.norm(matrix - pattern.dense(values)))
        inside = float(np.linalg.norm(values))
        return Task(architecture, values, exponent, inside, outside, watch, started)

    @property
    def is_trivial(self) -> bool:
        """Whether the values themselves are the one factor, or all zero."""
        return len(self.architecture) == 1 or self.inside == 0

    @property
    def eps(self) -> float:
        """Rounding unit of the target's dtype."""
        return float(np.finfo(self.values.dtype).eps)

    def relative(self, error: float) -> float:
        """Return the relative error of a product with this error inside the support."""
        whole = math.hypot(self.inside, self.outside)
        return math.hypot(error, self.outside) / whole if whole else 0.0

    def tell(self, error: float) -> None:
        """Pass an error inside the support on to whoever watches."""
        if self.watch is not None:
            self.watch(time.perf_counter() - self.started, self.relative(error))

    def random_start(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Return Gaussian factors whose product has, on average, the norm of the target.

        An entry of the product is a sum of ``r_1 .. r_(L-1)`` products of L entries.
        """
        dtype = self.values.dtype
        terms = math.prod(self.architecture.ranks)
        size = self.inside / math.sqrt(self.values.size * terms)
        scale = size ** (1 / len(self.architecture))
        drawn = []
        for pattern in self.architecture:
            factor = rng.standard_normal(pattern.values_shape)
            if dtype.kind == "c":
                factor = (factor + 1j * rng.standard_normal(pattern.values_shape)) / math.sqrt(2)
            drawn.append((scale * factor).astype(dtype))
        return drawn

    def trivial_factors(self) -> list[np.ndarray]:
        """Return the factors of a trivial task."""
        if len(self.architecture) == 1:
            return [self.values]
        return [np.zeros(p.values_shape, self.values.dtype) for p in self.architecture]

    def finish(
        self, problem: so.ButterflyFactorization, factors: Sequence[Any]
    ) -> tuple[so.KroneckerProduct, so.ButterflyCertificate]:
        """Undo the scaling, share it among the factors, lift redundant factors back, and certify.

        The core computes error and bounds itself when they are asked for.
        """
        values = lift(factors, problem.architecture)
        answer = so.KroneckerProduct(values, problem.architecture).times_power(self.exponent)
        return answer, certified(problem, answer)


Run = Callable[[Factors], tuple[float, Factors]]
"""Descends from factors; returns the squared error inside the support and the factors reached."""


def best_of(
    task: Task, context: so.Context, restarts: int, first: Factors | None, run: Run
) -> Factors:
    """Return the best factors over the starts; the first start may be given.

    Once one run is done, the end of the time ends the search with the best factors found.

    Raises
    ------
    Inconclusive
        If every run left the finite numbers.
    """
    rng = context.rng()
    best: tuple[float, Factors] | None = None
    for i in range(restarts):
        if best is not None and context.remaining() <= 0:
            break
        context.check_time("descending")
        context.report(i / restarts, f"start {i + 1} of {restarts}")
        start = task.random_start(rng)
        found = run(first if first is not None and i == 0 else start)
        if math.isfinite(found[0]) and (best is None or found[0] < best[0]):
            best = found
    if best is None:
        raise so.Inconclusive("every start ended in non-finite factors; lower the learning rate")
    return best[1]
