"""What all hierarchical engines share: the plan of a left-to-right run, and what they return.

Standard form. Redundant neighbours are merged first. Then a_1 divides every a and d_L every d, so
the problem consists of a_1 d_L independent ones with a_1 = d_L = 1, on the same patterns
``(a / a_1, b, c, d / d_L)``. Their m' x n' targets are put side by side: one matrix with m' rows
and N = a_1 d_L n' columns. All that distinguishes them is a larger number of column groups.

A level. The rest R has rows (j, t) with j < b and t < d, and columns (g, k) with g over the groups
of the next pattern and k < c. Block (t, g) is the b x c matrix of entries (., t, g, .). Its best
rank-r approximation U W gives the factor ``X[i, j, s r + rho, t] = U[j, rho]`` with g = (i, s), and
the next R has rows (rho, t): the same rows (j', t') of the next level, without moving anything.
See `sparseopt.butterfly.splitting` for the general index map.

W = U^H B with orthonormal U leaves a residual of squared norm |B|^2 - |W|^2, and the residuals of
all levels are orthogonal, so their squares add up to the squared error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.butterfly.expansion import split_work
from sparseopt.butterfly.splitting import lift, permute
from sparseopt.butterfly.target import CHUNK
from sparseopt.interface.arrays import beside
from sparseopt.interface.printing import short

BOUNDS = ("auto", "always", "never")
ORDERS = ("left_to_right", "balanced")
# Up to this much work (about a millisecond) bounds are claimed without being asked for.
_CHEAP_WORK = 3e5


@dataclass(frozen=True)
class Level:
    """One step: blocks b x c, t < d, g < groups, of rank r; q groups per group before."""

    b: int
    c: int
    d: int
    q: int
    rank: int
    groups: int


@dataclass(frozen=True, eq=False)
class Standard:
    """A problem in standard form.

    Attributes
    ----------
    architecture : Architecture
        Non-redundant, with the same products as the problem's.
    outer, inner : int
        a_1 and d_L.
    levels : tuple of Level
        One fewer than patterns.
    rows, columns : int
        m' and N.
    """

    architecture: so.Architecture
    outer: int
    inner: int
    levels: tuple[Level, ...]
    rows: int
    columns: int

    @staticmethod
    @lru_cache(maxsize=64)  # targets of one shape often come one after the other
    def of(architecture: so.Architecture) -> Standard:
        """Return the standard form of a chainable architecture; the same object every time."""
        reduced = architecture.reduced()
        outer, inner = reduced[0].a, reduced[-1].d
        whole = reduced.product
        columns = outer * inner * whole.c
        levels = []
        for i, rank in enumerate(reduced.ranks):
            one, two = reduced[i], reduced[i + 1]
            groups = two.a * inner
            levels.append(
                Level(one.b, columns // groups, one.d // inner, two.a // one.a, rank, groups)
            )
        return Standard(reduced, outer, inner, tuple(levels), whole.b, columns)

    @cached_property
    def only_pairs(self) -> bool:
        """Whether all blocks have two rows and rank 1, as those of a butterfly."""
        return all(level.b == 2 and level.rank == 1 for level in self.levels)

    @property
    def is_whole(self) -> bool:
        """Whether the target itself is the standard matrix."""
        return self.outer * self.inner == 1

    def slices(
        self, problem: so.ButterflyFactorization, groups: int
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield the standard matrix by ranges of its column groups, in order.

        Parameters
        ----------
        groups : int
            Number of equal column groups to keep whole, a divisor of `columns`.

        Yields
        ------
        first, last : int
            Range of groups; a whole array target comes at once, as a view, and a stored one, read
            into memory.
        matrix : array (rows, (last - first) columns / groups)
        """
        if problem.kind == "stored" or (self.is_whole and problem.kind == "array"):
            yield 0, groups, self.matrix(problem)
            return
        width = self.columns // groups
        many = max(1, CHUNK // (self.rows * width))
        for first in range(0, groups, many):
            last = min(first + many, groups)
            yield first, last, self._gather(problem, first * width, last * width)

    def matrix(self, problem: so.ButterflyFactorization) -> np.ndarray:
        """Return the standard matrix; a view of an array or tensor target if it is whole.

        A stored target is read into memory.
        """
        if problem.kind == "stored":
            held = problem.columns(0, problem.shape[1])
            problem = so.ButterflyFactorization(held, problem.architecture)
        if self.is_whole and problem.kind == "tensor":
            return problem.columns(0, self.columns)
        if self.is_whole and problem.kind == "array":
            return np.asarray(problem.target)
        return self._gather(problem, 0, self.columns)

    def _gather(self, problem: so.ButterflyFactorization, start: int, stop: int) -> np.ndarray:
        """Return columns of the standard matrix, part by part of the problem."""
        inner, width = self.inner, self._width
        out = np.empty((self.rows, stop - start), dtype=problem.dtype)
        at = start
        while at < stop:
            part, k = divmod(at, width)
            i, h = divmod(part, inner)
            last = min(width, k + stop - at)
            offset = (i * width + k) * inner
            columns = problem.columns(offset, offset + (last - k) * inner)
            own = columns.reshape(self.outer, self.rows, inner, last - k, inner)
            out[:, at - start : at - start + last - k] = own[i, :, h, :, h]
            at += last - k
        return out

    @property
    def _width(self) -> int:
        return self.columns // (self.outer * self.inner)

    def factors(self, lefts: Sequence[Any], rest: Any) -> list[Any]:
        """Return the values of all factors.

        Parameters
        ----------
        lefts : sequence of array (d, groups, b, r)
            U of every level.
        rest : array (b, columns)
            The last R, rows of the last factor.
        """
        found = []
        grid = self.outer, self.inner
        for u, level, pattern in zip(lefts, self.levels, self.architecture, strict=False):
            own = u.reshape(level.d, *grid, -1, level.q, level.b, level.rank)
            found.append(permute(own, (1, 3, 5, 4, 6, 0, 2)).reshape(pattern.values_shape))
        last = self.architecture[-1]
        own = permute(rest.reshape(last.b, *grid, -1, last.c), (1, 3, 0, 4, 2))
        return [*found, own.reshape(last.values_shape)]

    def values(self, matrix: Any) -> Any:
        """Return the standard matrix as values (a, b, c, d) of the product's pattern."""
        own = matrix.reshape(self.rows, self.outer, self.inner, -1)
        return permute(own, (1, 0, 3, 2))


Engine = Callable[[so.ButterflyFactorization, Standard, so.Context], Sequence[Any]]
"""Returns values (a, b, c, d) of the factors of `Standard.architecture`."""


def factorize(
    problem: so.ButterflyFactorization,
    context: so.Context,
    engine: Engine,
    bounds: str,
    probes: int,
    scales: bool = False,
) -> tuple[so.KroneckerProduct, so.ButterflyCertificate]:
    """Return the answer of an engine, which sees the target in safe units, with its certificate.

    Redundant factors are lifted back. The factors of a tensor are tensors on its device, whatever
    the engine worked with. An engine that `scales` gets an array, or a stored one, as it is,
    and multiplies what it reads by 2**-exponent, so that there is no copy of the whole.

    The error is stated if the target is stored outside memory, where others may write: whoever
    checks later, and finds another one, refuses it.
    """
    standard = Standard.of(problem.architecture)
    exponent = problem.exponent if scales and problem.kind in ("array", "stored") else 0
    safe, exponent = (problem, exponent) if exponent else problem.normalized()
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        values = lift(engine(safe, standard, context), problem.architecture)
    if problem.kind == "tensor" and isinstance(values[0], np.ndarray):
        import torch

        device = problem.target.device
        values = tuple(torch.from_numpy(np.ascontiguousarray(v)).to(device) for v in values)
    if problem.kind == "device" and isinstance(values[0], np.ndarray):
        values = tuple(beside(np.ascontiguousarray(v), problem.target) for v in values)
    answer = so.KroneckerProduct(values, problem.architecture).times_power(exponent)
    found = certified(problem, answer, probes)
    return answer, found.with_bounds() if _wants_bounds(found, bounds, context) else found


def certified(
    problem: so.ButterflyFactorization, answer: so.KroneckerProduct, probes: int = 0
) -> so.ButterflyCertificate:
    """Return the certificate of an answer, which states the error of a stored target."""
    found = so.ButterflyCertificate(problem, answer, probes=probes)
    return replace(found, stated_error=found.error_interval) if problem.kind == "stored" else found


def _wants_bounds(found: so.ButterflyCertificate, bounds: str, context: so.Context) -> bool:
    """Whether to claim bounds: if asked for, or needed for the accuracy asked for, or cheap.

    An error that may be all rounding needs none: no product can be proved to be nearer.
    """
    if bounds != "auto":
        return bounds == "always"
    problem = found.problem
    if context.tolerance is not None and not found.probes:
        return found.relative_error > context.tolerance
    cheap = split_work(problem.architecture.reduced()) <= _CHEAP_WORK
    return problem.kind == "array" and cheap and (bool(found.probes) or found.error_interval[0] > 0)


def require_options(bounds: str, probes: int, order: str = ORDERS[0]) -> None:
    """Refuse options outside their range; called when an engine is built."""
    if bounds not in BOUNDS:
        raise so.ProblemError(f"bounds must be one of {', '.join(BOUNDS)}, got {short(bounds)}")
    if isinstance(probes, bool) or not isinstance(probes, int) or probes < 0:
        raise so.ProblemError(f"probes must be 0 or a number of vectors, got {short(probes)}")
    if order not in ORDERS:
        raise so.ProblemError(f"order must be one of {', '.join(ORDERS)}, got {short(order)}")
