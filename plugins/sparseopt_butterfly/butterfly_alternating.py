"""Alternating least squares on the factors of a chainable architecture.

Fix all factors but X_j. Let L be the product of those before it and R that of those after. In the
block form of `sparseopt.butterfly.splitting`, applied at both cuts, the target falls apart into
blocks B, and the product into ``U X W`` with U a block of L, X one of X_j, of shape r_(j-1) x r_j,
and W a block of R; every entry of X_j stands in exactly one of these blocks. So the least-squares
problem of one factor is one independent problem per small block, solved by ``U^+ B W^+``.

Blocks are kept orthonormal: those of all factors before j by columns, of all after j by rows, as
in the sweeps for tensor trains (Holtz, Rohwedder, Schneider, SIAM J. Sci. Comput. 34(2), 2012).
Then L and R have orthonormal blocks as well, ``X = U^H B W^H``, and no inverse is formed. Going
from j to j + 1, the triangle of the QR decomposition of X may be dropped, since X_(j+1) is solved
for next. The squared error is |target|^2 - |X|^2, free of charge. ``U^H B`` is carried along, and
it shrinks: a sweep over all factors of a butterfly costs O(n^2), not O(n^2 log n).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.butterfly.splitting import (
    from_left_blocks,
    from_right_blocks,
    left_blocks,
    merge,
    merge_all,
    right_blocks,
    to_blocks,
)
from sparseopt.interface.printing import short
from sparseopt_butterfly.descent import Factors, Task, Watch, best_of
from sparseopt_butterfly.hierarchical_numpy import HierarchicalNumpy

STARTS = ("random", "hierarchical")


@dataclass(frozen=True)
class ButterflyAlternating(so.Solver[so.ButterflyFactorization]):
    """Solve for one factor at a time, exactly, in sweeps to and fro; the error never increases.

    Time O(m n L), memory O(m n), for an m x n target and L factors, each sweep.

    Parameters
    ----------
    sweeps : int
        Most passes over all factors from one start.
    restarts : int
        Number of starts.
    start : {"random", "hierarchical"}
        "hierarchical": the first start is the answer of the hierarchical algorithm, which is
        refined; the other ones are random.
    tolerance : float
        A run ends when a sweep lowers the error by less than this share.
    watch : callable(seconds, relative_error) or None
        Called after each factor, with the seconds since the solver began; once the error is so
        small that it has to be computed from the product, after each sweep.
    """

    sweeps: int = 100
    restarts: int = 1
    start: str = "random"
    tolerance: float = 1e-6
    watch: Watch | None = None

    def __post_init__(self) -> None:
        if self.sweeps < 1 or self.restarts < 1 or not self.tolerance >= 0:
            raise so.ProblemError(
                "sweeps and restarts must be at least 1 and tolerance at least 0, got "
                f"{self.sweeps!r}, {self.restarts!r} and {self.tolerance!r}"
            )
        if self.start not in STARTS:
            raise so.ProblemError(
                f"start must be one of {', '.join(STARTS)}, got {short(self.start)}"
            )

    def accepts(self, problem: so.ButterflyFactorization) -> so.Accepted | so.Refused:
        """Take every problem with known orders of rows and columns."""
        if problem.permutations == "known":
            return so.Accepted()
        return so.Refused("the orders of rows and columns are unknown")

    def solve(
        self, problem: so.ButterflyFactorization, context: so.Context
    ) -> tuple[so.KroneckerProduct, so.ButterflyCertificate]:
        """Return the best factors over all starts.

        About four times the memory of the target.
        """
        context.check_time("reading the target")
        task = Task.of(problem, self.watch, 4)
        if task.is_trivial:
            task.tell(0.0)
            return task.finish(problem, task.trivial_factors())
        first = None
        if self.start == "hierarchical":
            first = _hierarchical(task, context)

        def run(factors: Factors) -> tuple[float, Factors]:
            return _Sweeps(task, factors, context).run(self.sweeps, self.tolerance)

        return task.finish(problem, best_of(task, context, self.restarts, first, run))

    def cost(self, problem: so.ButterflyFactorization) -> float:
        """Predict the seconds of all sweeps."""
        m, n = problem.shape
        each = 4e-5 * len(problem.architecture) + 4e-8 * m * n
        return self.restarts * self.sweeps * each

    def bytes_needed(self, problem: so.ButterflyFactorization) -> float:
        """Predict products of the factors on both sides of one, dense."""
        m, n = problem.shape
        return 2.0**20 + 32.0 * m * n


def _hierarchical(task: Task, context: so.Context) -> Factors:
    """Return the hierarchical algorithm's factors of the scaled target."""
    matrix = task.architecture.product.dense(task.values)
    scaled = so.ButterflyFactorization(matrix, task.architecture)
    return list(HierarchicalNumpy(bounds="never").solve(scaled, context)[0].factors)


class _Sweeps:
    """The state of one run: the factors, orthonormal but for the one last solved for."""

    def __init__(self, task: Task, factors: Factors, context: so.Context) -> None:
        self.task = task
        self.context = context
        self.patterns = list(task.architecture)
        self.factors = list(factors)
        count = len(self.patterns)
        # Patterns of the products of the first j factors, and of all from the j-th on.
        self.before = [task.architecture[:j].product for j in range(1, count + 1)]
        self.after = [task.architecture[j:].product for j in range(count)]

    def run(self, sweeps: int, tolerance: float) -> tuple[float, Factors]:
        """Return squared error and factors after the last sweep, which the clock may end early."""
        self._orthonormalize()
        floor = 8 * len(self.patterns) * self.task.eps * self.task.inside
        last = error = math.inf
        for sweep in range(sweeps):
            for free in self._forward() if sweep % 2 == 0 else self._backward():
                error = free
                if self._is_accurate(error):
                    self.task.tell(error)
            if not self._is_accurate(error):
                made = merge_all(self.factors, self.task.architecture)
                error = float(np.linalg.norm(self.task.values - made))
                self.task.tell(error)
            if error <= floor or last - error <= tolerance * error:
                break
            last = error
            if self.context.remaining() <= 0:
                break
        return error**2, self.factors

    def _is_accurate(self, error: float) -> bool:
        """Whether a difference of squares is large enough not to be spoilt by rounding."""
        return error > math.sqrt(math.sqrt(self.task.eps)) * self.task.inside

    def _free_error(self, solved: np.ndarray) -> float:
        squares = self.task.inside**2 - float(np.linalg.norm(solved)) ** 2
        return math.sqrt(max(squares, 0.0))

    def _orthonormalize(self) -> None:
        """Make the blocks of all factors but the first orthonormal by rows, same product."""
        for j in range(len(self.patterns) - 1, 0, -1):
            pair = self.patterns[j - 1], self.patterns[j]
            rows, triangle = _orthonormal_rows(right_blocks(self.factors[j], *pair))
            self.factors[j] = from_right_blocks(rows, pair[1])
            left = left_blocks(self.factors[j - 1], *pair) @ triangle
            self.factors[j - 1] = from_left_blocks(left, pair[0])

    def _forward(self) -> Iterator[float]:
        """Solve for X_1, .., X_L in turn and yield the error after each."""
        count = len(self.patterns)
        rights = [self.factors[-1]]
        for j in range(count - 2, 0, -1):
            pair = self.patterns[j], self.after[j + 1]
            rights.append(merge(self.factors[j], rights[-1], *pair))
        rest = self.task.values  # L^H target, values of the product from X_j on
        for j in range(count - 1):
            pair = self.patterns[j], self.after[j + 1]
            blocks = to_blocks(rest, *pair)
            solved = blocks @ _adjoint(right_blocks(rights.pop(), *pair))
            columns = _adjoint(_orthonormal_rows(_adjoint(solved))[0])
            self.factors[j] = from_left_blocks(columns, pair[0])
            rest = from_right_blocks(_adjoint(columns) @ blocks, pair[1])
            yield self._free_error(solved)
        self.factors[-1] = rest
        yield self._free_error(rest)

    def _backward(self) -> Iterator[float]:
        """Solve for X_L, .., X_1 in turn and yield the error after each."""
        count = len(self.patterns)
        lefts = [self.factors[0]]
        for j in range(1, count - 1):
            pair = self.before[j - 1], self.patterns[j]
            lefts.append(merge(lefts[-1], self.factors[j], *pair))
        rest = self.task.values  # target R^H, values of the product up to X_j
        for j in range(count - 1, 0, -1):
            pair = self.before[j - 1], self.patterns[j]
            blocks = to_blocks(rest, *pair)
            solved = _adjoint(left_blocks(lefts.pop(), *pair)) @ blocks
            rows = _orthonormal_rows(solved)[0]
            self.factors[j] = from_right_blocks(rows, pair[1])
            rest = from_left_blocks(blocks @ _adjoint(rows), pair[0])
            yield self._free_error(solved)
        self.factors[0] = rest
        yield self._free_error(rest)


def _adjoint(blocks: np.ndarray) -> np.ndarray:
    return blocks.conj().swapaxes(-1, -2)


def _orthonormal_rows(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factorize blocks (..., r, c), r <= c, into T Q with orthonormal rows of Q.

    Returns Q (..., r, c) and T (..., r, r). A block of deficient rank gets orthonormal rows too.
    """
    if blocks.shape[-2] > 1:
        columns, triangle = np.linalg.qr(_adjoint(blocks))
        return _adjoint(columns), _adjoint(triangle)
    size = np.linalg.norm(blocks, axis=-1, keepdims=True)
    zero = size == 0
    rows = blocks / np.where(zero, 1, size)
    rows[..., :1][zero] = 1
    return rows, size.astype(blocks.dtype)
