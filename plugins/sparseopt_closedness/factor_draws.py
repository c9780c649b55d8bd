"""Factors with parameters that reach a target given by variables, at the generic point of a branch.

The second factor is fixed in some columns, by small numbers and parameters; the rows of the first
then solve linear equations, what these leave open being parameters; equations that are left are
solved for parameters linear in them; the other columns are solved for the second factor.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from sparseopt.closedness.proofs.branch import Branch, Factor, bordered, is_generic
from sparseopt.closedness.proofs.observed import ObservedProblem
from sparseopt.closedness.proofs.polynomials import (
    ONE,
    Polynomial,
    Variable,
    add,
    coefficients,
    degree,
    determinant,
    divide,
    multiply,
    put,
    variable,
    variables,
    without_factors,
)
from sparseopt.judging.exact import PRIME, rank_modulo


class FactorDraw:
    """Factors for one branch: X with parameters, and how every column is solved."""

    def __init__(
        self, state: ObservedProblem, branch: Branch, turned: bool, rng: random.Random
    ) -> None:
        self.state, self.branch, self.turned, self.rng = state, branch, turned, rng
        self.parameters = 0
        self.numeric = rng.choice((0.0, 0.4, 0.8))
        self.x: Factor = {}
        self.columns = np.flatnonzero(state.observed.any(axis=0)).tolist()

    def entry(self, i: int, j: int) -> tuple[Polynomial, Polynomial]:
        """Return an entry of the target, in the orientation of `state`."""
        return self.branch.entries[(j, i) if self.turned else (i, j)]

    def parameter(self) -> Polynomial:
        """Return a new parameter, or a small number in its place: shorter but more special."""
        if self.rng.random() < self.numeric:
            return {(): self.rng.choice((1, -1, 2, 3, -2, 5))}
        self.parameters += 1
        return variable((self.parameters - 1,))

    def _value(self, weights: tuple[float, float, float]) -> Polynomial:
        kind = self.rng.choices((0, 1, 2), weights)[0]
        return {} if kind == 0 else ONE if kind == 1 else self.parameter()

    def build(self, fixed: Sequence[int]) -> bool:
        """Draw the second factor in the `fixed` columns and solve for the first."""
        right = self.state.right
        # Either mixtures, or mostly columns of the target itself for single terms.
        weights = (0.3, 0.45, 0.25) if self.rng.random() < 0.5 else (0.75, 0.1, 0.15)
        y: dict[tuple[int, int], Polynomial] = {}
        for j in fixed:
            terms = np.flatnonzero(right[:, j]).tolist()
            y.update({(k, j): self._value(weights) for k in terms})
            y[self.rng.choice(terms), j] = ONE
        sparse = self.rng.random()
        open_weights = (0.0, 0.0, 1.0) if sparse < 0.5 else (0.25, 0.25, 0.5)
        scales: dict[int, Polynomial] = {}
        rows: dict[int, tuple[dict[int, Polynomial], Polynomial]] = {}
        for i in range(self.state.left.shape[0]):
            terms = np.flatnonzero(self.state.left[i]).tolist()
            asked = [j for j in fixed if self.state.observed[i, j]]
            solved = self._row(i, terms, asked, y, open_weights)
            if solved is None:
                return False
            rows[i] = solved
        # Every x_k is multiplied by the denominators of its rows.
        for values, under in rows.values():
            for k in values:
                scale = scales.setdefault(k, ONE)
                if set(under) != {()}:
                    scales[k] = multiply(scale, under)
        for i, (values, under) in rows.items():
            for k, value in values.items():
                rest = scales[k] if set(under) == {()} else divide(scales[k], under)
                assert rest is not None
                self.x[i, k] = multiply(value, rest)
        return True

    def _row(
        self,
        i: int,
        terms: list[int],
        asked: list[int],
        y: dict[tuple[int, int], Polynomial],
        weights: tuple[float, float, float],
    ) -> tuple[dict[int, Polynomial], Polynomial] | None:
        """Solve row i of X Y = A in the asked columns; return numerators and the denominator."""
        order = terms[:]
        self.rng.shuffle(order)
        chosen = list(asked)
        while chosen:
            pivots = self._pivots(order, chosen, y)
            if pivots is not None:
                break
            chosen.pop(self.rng.randrange(len(chosen)))
        else:
            return {k: self._value(weights) for k in terms}, ONE
        values = {k: self._value(weights) for k in terms if k not in pivots}
        matrix, side = [], []
        for j in chosen:
            over, under = self.entry(i, j)
            total = over
            for k, value in values.items():
                product = multiply(multiply(value, y.get((k, j), {})), under)
                total = add(total, product, -1)
            matrix.append([multiply(y.get((k, j), {}), under) for k in pivots])
            side.append(total)
        bottom = determinant(matrix)
        if not bottom:
            return None
        for place, k in enumerate(pivots):
            swapped = [
                [side[a] if b == place else matrix[a][b] for b in range(len(pivots))]
                for a in range(len(chosen))
            ]
            values[k] = determinant(swapped)
        if set(bottom) == {()}:
            number = bottom[()]
            if number not in (1, -1):
                number = Fraction(1) / number
            for k in pivots:
                values[k] = {m: c * number for m, c in values[k].items()}
            return values, ONE
        for k in values:
            if k not in pivots:
                values[k] = multiply(values[k], bottom)
        return values, bottom

    def _pivots(
        self, order: list[int], asked: list[int], y: dict[tuple[int, int], Polynomial]
    ) -> list[int] | None:
        """Return terms whose minor of Y in the asked columns is not zero, or None."""
        for chosen in combinations(order, len(asked)):
            if determinant([[y.get((k, j), {}) for k in chosen] for j in asked]):
                return list(chosen)
        return None

    def numbers(self, point: dict[Variable, int]) -> np.ndarray:
        """Return X at a point modulo the prime, shape (m, r)."""
        values = np.zeros(self.state.left.shape, dtype=object)
        for (i, k), p in self.x.items():
            values[i, k] = evaluate(p, point)
        return values

    def failing(self, point: dict[Variable, int]) -> list[int] | None:
        """Return columns that X does not reach at a point, None if the point is on a pole."""
        values = self.numbers(point)
        failing = []
        for j in self.columns:
            rows = np.flatnonzero(self.state.observed[:, j]).tolist()
            terms = np.flatnonzero(self.state.right[:, j]).tolist()
            block = values[np.ix_(rows, terms)]
            target = []
            for i in rows:
                over, under = self.entry(i, j)
                bottom = evaluate(under, point)
                if not bottom:
                    return None
                target.append(evaluate(over, point) * pow(bottom, -1, PRIME) % PRIME)
            if rank_modulo(block) < rank_modulo(np.column_stack([block, target])):
                failing.append(j)
        return failing

    def repair(self, j: int, point: dict[Variable, int]) -> bool:
        """Solve the first equation that column j leaves for a parameter linear in it."""
        rows = np.flatnonzero(self.state.observed[:, j]).tolist()
        basis = next(iter(self.bases(j, point)), None)
        if basis is None:
            return False
        chosen, picked = basis
        target = {i: self.entry(i, j) for i in rows}
        for i in rows:
            if i in chosen:
                continue
            rest = bordered(self.x, target, [*chosen, i], picked)
            if not rest or len(rest) > 100:
                continue
            names = sorted(v for v in variables(rest) if len(v) == 1 and degree(rest, v) == 1)
            self.rng.shuffle(names)
            for name in names:
                parts = coefficients(rest, [name])
                lead, other = parts[(name,)], parts.get((), {})
                if len(lead) > 40:
                    continue
                over = {m: -c for m, c in other.items()}
                self._put(name, over, lead)
                return True
        return False

    def _put(self, name: Variable, over: Polynomial, under: Polynomial) -> None:
        """Put a fraction in for a parameter; every x_k is scaled so that it stays polynomial."""
        highest: dict[int, int] = {}
        for (_, k), p in self.x.items():
            highest[k] = max(highest.get(k, 0), degree(p, name))
        for (i, k), p in self.x.items():
            value = put(p, name, over, under)
            for _ in range(highest[k] - degree(p, name)):
                value = multiply(value, under)
            self.x[i, k] = value

    def bases(self, j: int, point: dict[Variable, int]) -> Iterator[tuple[list[int], list[int]]]:
        """Yield rows and terms of largest minors of X that are not zero at a point."""
        values = self.numbers(point)
        rows = np.flatnonzero(self.state.observed[:, j]).tolist()
        terms = np.flatnonzero(self.state.right[:, j]).tolist()
        size = rank_modulo(values[np.ix_(rows, terms)])
        for chosen in combinations(rows, size):
            for picked in combinations(terms, size):
                if rank_modulo(values[np.ix_(chosen, picked)]) == size:
                    yield list(chosen), list(picked)

    @property
    def size(self) -> int:
        """How much there is to write."""
        return sum(len(monomial) + 1 for p in self.x.values() for monomial in p)

    def leaf(self, point: dict[Variable, int]) -> tuple[list[Any], list[Polynomial]]:
        """Return how columns are solved, and polynomials still to be known not zero."""
        solved: list[Any] = []
        wanted: list[Polynomial] = []
        for j in self.columns:
            best: tuple[Any, ...] | None = None
            for rows, terms in self.bases(j, point):
                p = determinant([[self.x.get((i, k), {}) for k in terms] for i in rows])
                if is_generic(p, self.branch.nonzero):
                    best = (0, rows, terms, None)
                    break
                names = [v for v in variables(p) if len(v) == 1]
                for part in coefficients(p, names).values():
                    left = without_factors(part, self.branch.nonzero)
                    weight = sum(len(m) + 1 for m in left)
                    if best is None or weight < best[0]:
                        best = (weight, rows, terms, left)
            if best is None:
                # Rank zero: nothing of the column is left to solve.
                solved.append([[], []])
                continue
            solved.append([best[1], best[2]])
            if best[3] is not None:
                wanted.append(best[3])
        return solved, wanted


def evaluate(p: Polynomial, point: dict[Variable, int]) -> int:
    """Return the value of a polynomial modulo the prime."""
    total = 0
    for monomial, value in p.items():
        part = value.numerator
        if value.denominator != 1:
            part = part * pow(value.denominator, -1, PRIME)
        for name in monomial:
            part = part * point[name] % PRIME
        total += part
    return int(total % PRIME)
