"""Search for curves of factors whose products tend to a matrix outside the set.

First order: X0 Y0 = 0 on the observed cells; every A = X0 Y1 + X1 Y0 is the limit of
(X0 + t X1) (Y0 + t Y1) / t. Second order: X0 Y0 = 0 and X0 Y1 + X1 Y0 = 0; every
A = X0 Y2 + X1 Y1 + X2 Y0 is the limit of (X0 + t X1 + t^2 X2) (Y0 + t Y1 + t^2 Y2) / t^2.
Given X0, Y0 (and X1, Y1) both are linear conditions on A. So small matrices that are proved
outside the set are listed first, and tested against random X0, Y0 all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.closedness.proofs.exclusion_branch import Matrix
from sparseopt.closedness.proofs.observed import ObservedProblem
from sparseopt.judging.exact import PRIME, eliminate, eliminate_modulo, rank_modulo, residues
from sparseopt_closedness.exclusion_search import ExclusionSearch
from sparseopt_closedness.observed_windows import Limit

STEPS = 200
"""Reduction steps of the search for an identity, for a matrix no curve is known to tend to."""


@dataclass(frozen=True, eq=False)
class Submersion:
    """Integer factors with product zero at which the product map is onto the observed cells."""

    x: list[list[int]]
    y: list[list[int]]


@dataclass(frozen=True)
class Effort:
    """How much is tried on one observed problem."""

    targets: int = 400
    branches: int = 60
    draws: int = 300


class CurveSearch:
    """Curves and submersions of one observed problem.

    Attributes
    ----------
    local : ObservedProblem
        The problem on its used rows and columns only.
    outside : callable or None
        Asked about a matrix that a curve tends to and that no search excludes; what it returns,
        unless it is None, is the evidence that the matrix is outside.
    """

    def __init__(
        self,
        state: ObservedProblem,
        rng: np.random.Generator,
        outside: Callable[[ObservedProblem, Matrix], list[Any] | None] | None = None,
    ) -> None:
        self.outside = outside
        self.rows = np.flatnonzero(state.observed.any(axis=1))
        self.columns = np.flatnonzero(state.observed.any(axis=0))
        self.local = ObservedProblem(
            state.left[self.rows],
            state.right[:, self.columns],
            state.observed[np.ix_(self.rows, self.columns)],
            state.origin,
        )
        self.rng = rng
        self.targets: list[tuple[np.ndarray, Any]] = []
        self.branches = 0
        self.tick: Callable[[], None] = lambda: None

    def run(
        self, effort: Effort, context: so.Context, likely: Sequence[np.ndarray] = ()
    ) -> Limit | Submersion | None:
        """Return a limit outside the set, a submersion, or None.

        `likely` are matrices, of the shape of the whole problem, that are likely to be outside;
        whether they are is asked only once a curve tends to them.
        """
        self.tick = lambda: context.check_time("proving that matrices are outside")
        place = np.ix_(self.rows, self.columns)
        self.targets = [*((m[place], None) for m in likely), *self._targets(effort, context)]
        self.branches = 20 * effort.branches
        wanted = np.zeros((int(self.local.observed.sum()), len(self.targets)), dtype=np.int64)
        for column, (matrix, _) in enumerate(self.targets):
            wanted[:, column] = matrix[self.local.observed]
        for draw in range(effort.draws):
            context.check_time("searching for curves")
            turned = bool(draw % 2)
            near = self.targets[int(self.rng.integers(len(likely)))][0] if len(likely) else None
            if turned:
                near = None if near is None else near.T
            x0, y0 = self._draw(self.local.transposed if turned else self.local, near)
            if turned:
                x0, y0 = y0.T, x0.T
            found = self._at(x0, y0, wanted)
            if found is not None:
                return found
        return None

    def _targets(self, effort: Effort, context: so.Context) -> Iterator[tuple[np.ndarray, Any]]:
        """Yield small matrices with a proof that they are outside.

        Those outside the closure are left out as far as minors show it.
        """
        for matrix in self._small(effort.targets):
            context.check_time("listing matrices outside the set")
            exact = [[Fraction(int(v)) for v in row] for row in matrix]
            search = ExclusionSearch(self.local, exact, effort.branches, self.tick, STEPS)
            if search.root_minor():
                continue
            tree = search.run()
            if tree is not None or self.outside is not None:
                yield matrix, tree

    def _small(self, most: int) -> Iterator[np.ndarray]:
        cells = int(self.local.observed.sum())
        listed: list[np.ndarray] = []
        if 2**cells <= most * 2:
            listed = [np.array(bits) for bits in product((0, 1), repeat=cells)]
        seen = {bits.tobytes() for bits in listed}
        values = np.array([0, 1, -1])
        while len(listed) < most and len(seen) < 3**cells - 1:
            full = self.rng.uniform(0.25, 0.8)
            share = [1 - full, full * 0.8, full * 0.2]
            bits = self.rng.choice(values, size=cells, p=share)
            if bits.tobytes() not in seen:
                seen.add(bits.tobytes())
                listed.append(bits)
        for bits in listed:
            matrix = np.zeros(self.local.observed.shape, dtype=np.int64)
            matrix[self.local.observed] = bits
            yield matrix

    def _draw(
        self, state: ObservedProblem, near: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return random integer X0, Y0 with the supports and X0 Y0 = 0 on the observed cells.

        Columns of X0 are taken from the matrix `near`, if it is given, more often than not: in a
        limit many terms have to follow columns of it.
        """
        full = self.rng.uniform(0.3, 1.0)
        share = [1 - full, full * 0.6, full * 0.25, full * 0.15]
        x = np.where(
            state.left, self.rng.choice([0, 1, -1, 2], size=state.left.shape, p=share), 0
        ).astype(np.int64)
        if near is not None:
            for k in np.flatnonzero(self.rng.random(len(state.origin)) < 0.7).tolist():
                j = int(self.rng.choice(np.flatnonzero(state.right[k])))
                x[:, k] = np.where(state.left[:, k], near[:, j], 0)
        y = np.zeros(state.right.shape, dtype=np.int64)
        for j in range(state.right.shape[1]):
            terms = np.flatnonzero(state.right[:, j])
            rows = np.flatnonzero(state.observed[:, j])
            basis = null_space(x[np.ix_(rows, terms)])
            if len(basis):
                mix = self.rng.choice([0, 1, -1], size=len(basis), p=[0.3, 0.5, 0.2])
                combined = mix @ basis
                if np.abs(combined).max(initial=0) <= 1000:
                    y[terms, j] = combined
        return x, y

    def _at(self, x0: np.ndarray, y0: np.ndarray, wanted: np.ndarray) -> Limit | Submersion | None:
        tangent = tangent_map(self.local, x0, y0)
        cells = tangent.shape[0]
        if rank_modulo(tangent) == cells:
            return Submersion(_entries(x0), _entries(y0))
        if not self.targets:
            return None
        blind = left_null_modulo(tangent)
        hits = np.flatnonzero(~_times(blind, wanted).any(axis=0))
        for hit in hits.tolist():
            limit = self._limit(hit, tangent, [(x0, y0)])
            if limit is not None:
                return limit
        for _ in range(3):
            x1, y1 = self._kernel_element(tangent)
            square = (x1 @ y1)[self.local.observed]
            hits = np.flatnonzero(~_times(blind, wanted - square[:, None]).any(axis=0))
            for hit in hits.tolist():
                limit = self._limit(hit, tangent, [(x0, y0), (x1, y1)])
                if limit is not None:
                    return limit
        return None

    def _kernel_element(self, tangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        basis = null_space(tangent)
        mix = self.rng.choice([0, 1, -1], size=len(basis), p=[0.6, 0.25, 0.15])
        combined = mix @ basis if len(basis) else np.zeros(tangent.shape[1], dtype=np.int64)
        if np.abs(combined).max(initial=0) > 1000:
            combined = np.zeros(tangent.shape[1], dtype=np.int64)
        return self._factors(combined)

    def _factors(self, variables: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return X and Y whose entries are given in the order of `tangent_map`."""
        values = np.asarray(variables)
        count = int(self.local.left.sum())
        x = np.zeros(self.local.left.shape, dtype=values.dtype)
        y = np.zeros(self.local.right.shape, dtype=values.dtype)
        x[self.local.left], y[self.local.right] = values[:count], values[count:]
        return x, y

    def _limit(
        self, hit: int, tangent: np.ndarray, known: list[tuple[np.ndarray, np.ndarray]]
    ) -> Limit | None:
        """Solve for the last coefficients of the curve exactly, and write the evidence."""
        matrix, tree = self.targets[hit]
        if tree is None:
            exact = [[Fraction(int(v)) for v in row] for row in matrix]
            search = ExclusionSearch(self.local, exact, self.branches, self.tick, 10 * STEPS)
            tree = search.run() or (self.outside and self.outside(self.local, exact)) or False
            self.targets[hit] = matrix, tree
        if tree is False:
            return None
        right_side = matrix[self.local.observed].copy()
        if len(known) == 2:
            right_side = right_side - (known[1][0] @ known[1][1])[self.local.observed]
        solution = solve_exactly(tangent, right_side)
        if solution is None:
            return None
        coefficients = [(x.astype(object), y.astype(object)) for x, y in known]  # Python's ints
        coefficients.append(self._factors(np.array(solution, dtype=object)))
        order = len(known)
        left: list[list[Any]] = []
        right: list[list[Any]] = []
        for side, listed, support, shift in (
            (0, left, self.local.left, 0),
            (1, right, self.local.right, -order),
        ):
            for a, b in np.argwhere(support).tolist():
                polynomial = {
                    power + shift: Fraction(factors[side][a, b])
                    for power, factors in enumerate(coefficients)
                    if factors[side][a, b]
                }
                if polynomial:
                    listed.append([a, b, polynomial])
        return Limit(
            tuple(self.rows.tolist()),
            tuple(self.columns.tolist()),
            left,
            right,
            [[Fraction(int(v)) for v in row] for row in matrix],
            tree,
        )


def _entries(matrix: np.ndarray) -> list[list[int]]:
    return [[i, k, int(matrix[i, k])] for i, k in np.argwhere(matrix).tolist()]


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a b modulo `PRIME` for |b| <= 2^20; sums of products stay below 2^63."""
    total = np.zeros((a.shape[0], b.shape[1]), dtype=np.int64)
    for k in range(a.shape[1]):
        total = (total + np.outer(a[:, k], b[k])) % PRIME
    return total


def left_null_modulo(matrix: np.ndarray) -> np.ndarray:
    """Return a basis of the vectors v with v matrix = 0 modulo `PRIME`, one per row."""
    work = np.concatenate([residues(matrix), np.eye(len(matrix), dtype=np.int64)], axis=1)
    found = eliminate_modulo(work, matrix.shape[1])
    return work[found:, matrix.shape[1] :]


def null_space(matrix: np.ndarray) -> np.ndarray:
    """Return an integer basis of the kernel of an integer matrix, one vector per row."""
    columns = matrix.shape[1]
    rows = [[Fraction(int(v)) for v in row] for row in matrix]
    pivots = eliminate(rows, columns)
    basis = []
    for free in (c for c in range(columns) if c not in pivots):
        vector = [Fraction(0)] * columns
        vector[free] = Fraction(1)
        for row, column in zip(rows, pivots, strict=False):
            vector[column] = -row[free]
        scale = int(np.lcm.reduce([v.denominator for v in vector]))
        basis.append([int(v * scale) for v in vector])
    return np.array(basis, dtype=np.int64).reshape(-1, columns)


def solve_exactly(matrix: np.ndarray, right_side: np.ndarray) -> list[Fraction] | None:
    """Return one rational solution of matrix z = right_side, or None."""
    columns = matrix.shape[1]
    rows = [
        [Fraction(int(v)) for v in row] + [Fraction(int(b))]
        for row, b in zip(matrix, right_side, strict=True)
    ]
    pivots = eliminate(rows, columns)
    if any(row[-1] for row in rows[len(pivots) :]):
        return None
    solution = [Fraction(0)] * columns
    for row, column in zip(rows, pivots, strict=False):
        solution[column] = row[-1]
    return solution


def tangent_map(family: ObservedProblem, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (X', Y') -> X Y' + X' Y on the observed cells, shape (cells, variables).

    Variables are the entries of X in the order of ``np.argwhere(left)``, then those of Y.
    """
    cells = np.argwhere(family.observed)
    number = -np.ones(family.observed.shape, dtype=np.intp)
    number[family.observed] = np.arange(len(cells))
    xs, ys = np.argwhere(family.left), np.argwhere(family.right)
    matrix = np.zeros((len(cells), len(xs) + len(ys)), dtype=np.int64)
    for v, (i, k) in enumerate(xs):
        seen = family.observed[i] & family.right[k]
        matrix[number[i, seen], v] = y[k, seen]
    for v, (k, j) in enumerate(ys, start=len(xs)):
        seen = family.observed[:, j] & family.left[:, k]
        matrix[number[seen, j], v] = x[seen, k]
    return matrix
