"""Primal and dual of every block penalty in exact arithmetic: rationals, norms with 80 digits.

Written from the formulas of the problem alone: complex numbers as pairs, free columns projected out
by Gauss and Jordan.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np

import sparseopt as so

Vector = list[Fraction]


def _exact(values: Any) -> Vector:
    return [
        value if isinstance(value, Fraction) else Fraction(float(value))
        for value in np.asarray(values).ravel()
    ]


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _dot(a: Vector, b: Vector) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def _pairs(values: np.ndarray, is_complex: bool) -> np.ndarray:
    return np.concatenate([values.real, values.imag], axis=-1) if is_complex else values


@dataclass
class Exact:
    """What a certificate is about, exactly.

    Attributes
    ----------
    primal : Decimal
    dual : Decimal or None
        At the dual point less its projection onto the free columns; None if that is not feasible.
    """

    primal: Decimal
    dual: Decimal | None


def _solved(matrix: list[Vector], right: Vector) -> Vector:
    """Return a solution of a consistent semidefinite system; free unknowns are 0."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    pivots: list[tuple[int, int]] = []
    used = 0
    for column in range(len(right)):
        found = next((i for i in range(used, len(rows)) if rows[i][column]), None)
        if found is None:
            continue
        rows[used], rows[found] = rows[found], rows[used]
        rows[used] = [value / rows[used][column] for value in rows[used]]
        for i, row in enumerate(rows):
            if i != used and row[column]:
                rows[i] = [a - row[column] * b for a, b in zip(row, rows[used], strict=True)]
        pivots.append((used, column))
        used += 1
    x = [Fraction(0)] * len(right)
    for row, column in pivots:
        x[column] = rows[row][-1]
    return x


class Oracle:
    """Exact data of a problem with a block penalty."""

    def __init__(self, problem: so.SparseRegression, dense: Any = None) -> None:
        self.problem = problem
        design = problem.design if dense is None else dense
        matrix = design.toarray() if hasattr(design, "toarray") else np.asarray(design)
        self.complex = "c" in (matrix.dtype.kind, problem.target.dtype.kind)
        if self.complex:
            matrix = np.block([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]])
        self.columns = [_exact(column) for column in matrix.T]
        self.target = _exact(_pairs(problem.target, self.complex))
        weights = problem.sample_weights
        own = np.ones(problem.shape[0]) if weights is None else weights
        self.weights = _exact(np.tile(own, 2 if self.complex else 1))
        self._penalty(problem.penalty, problem.shape[1])

    def _penalty(self, penalty: so.Penalty, n: int) -> None:
        parts = getattr(penalty, "parts", (penalty,))
        self.ridge, self.positive = Fraction(0), False
        self.groups = [[j] for j in range(n)]
        l1, limits = [Fraction(0)] * n, None
        for part in parts:
            self.positive |= getattr(part, "positive", False)
            if isinstance(part, so.Ridge):
                self.ridge += Fraction(part.strength)
            elif isinstance(part, so.L1):
                own = np.ones(n) if part.weights is None else part.weights
                l1 = [a + Fraction(part.strength) * w for a, w in zip(l1, _exact(own), strict=True)]
            else:
                self.groups = [group.tolist() for group in part.groups]
                sparse = isinstance(part, so.SparseGroupL1)
                weights = part.group_weights if sparse else part.weights
                strength = Fraction(part.group if sparse else part.strength)
                own = _exact(np.ones(len(self.groups)) if weights is None else weights)
                more = [strength * w for w in own]
                limits = (
                    more if limits is None else [a + b for a, b in zip(limits, more, strict=True)]
                )
                if sparse:
                    own = _exact(np.ones(n) if part.l1_weights is None else part.l1_weights)
                    l1 = [a + Fraction(part.l1) * w for a, w in zip(l1, own, strict=True)]
        if limits is None:
            limits, l1 = l1, [Fraction(0)] * n
        self.limits, self.l1 = limits, l1
        if self.complex:
            self.groups = [[*g, *(j + n for j in g)] for g in self.groups]
            self.l1 = self.l1 * 2
        self.free = [
            j
            for group, limit in zip(self.groups, limits, strict=True)
            for j in group
            if not limit and not self.l1[j] and not self.ridge
        ]

    def objective(self, x: np.ndarray) -> Decimal:
        """Return P at x; inf where a coefficient must not be negative."""
        values = _exact(_pairs(np.asarray(x), self.complex))
        if self.positive and min(values) < 0:
            return Decimal("inf")
        residual = list(self.target)
        for value, column in zip(values, self.columns, strict=True):
            if value:
                residual = [r - value * a for r, a in zip(residual, column, strict=True)]
        loss = _dot(self.weights, [r * r for r in residual]) / 2
        loss += self.ridge * _dot(values, values) / 2
        loss += _dot(self.l1, [abs(value) for value in values])
        with localcontext() as context:
            context.prec = 80
            total = _decimal(loss)
            for group, limit in zip(self.groups, self.limits, strict=True):
                square = sum((values[j] ** 2 for j in group), Fraction(0))
                total += _decimal(limit) * _decimal(square).sqrt()
            return total

    def dual(self, point: np.ndarray) -> Decimal | None:
        """Return D at a dual point of one or two rows, None where it is not feasible."""
        rows = [_exact(row) for row in _pairs(np.atleast_2d(point), self.complex)]
        t = [sum(parts, Fraction(0)) for parts in zip(*rows, strict=True)]
        if any(value and not weight for value, weight in zip(t, self.weights, strict=True)):
            return None
        # Whatever is projected away, the point that is left proves what it proves.
        shares = [10**6, 10**8, 10**9, 10**10, 10**12] if self.positive and self.free else [1]
        found = [self._dual_at(self._projected(t, share)) for share in shares]
        kept = [value for value in found if value is not None]
        return max(kept) if kept else None

    def _dual_at(self, t: Vector) -> Decimal | None:
        value = _dot(self.target, t)
        value -= (
            sum((s * s / w for s, w in zip(t, self.weights, strict=True) if w), Fraction(0)) / 2
        )
        correlation = [_dot(column, t) for column in self.columns]
        with localcontext() as context:
            context.prec = 80
            total = _decimal(value)
            for group, limit in zip(self.groups, self.limits, strict=True):
                left = [
                    max((correlation[j] if self.positive else abs(correlation[j])) - self.l1[j], 0)
                    for j in group
                ]
                square = sum((value * value for value in left), Fraction(0))
                if not self.ridge:
                    if square > limit * limit:
                        return None
                    continue
                over = max(_decimal(square).sqrt() - _decimal(limit), Decimal(0))
                total -= over * over / (2 * _decimal(self.ridge))
            return total

    def _projected(self, t: Vector, share: int) -> Vector:
        free = self.free
        if self.positive:  # those that are nearly orthogonal must be so, the others stay negative
            size = sum((abs(value) for value in t), Fraction(0))
            free = [
                j
                for j in free
                if _dot(self.columns[j], t)
                >= -Fraction(1, share) * size * max(map(abs, self.columns[j]))
            ]
        if not free:
            return t
        columns = [self.columns[j] for j in free]
        weighted = [[a * w for a, w in zip(c, self.weights, strict=True)] for c in columns]
        gram = [[_dot(a, b) for b in columns] for a in weighted]
        x = _solved(gram, [_dot(column, t) for column in columns])
        for value, column in zip(x, weighted, strict=True):
            t = [s - value * a for s, a in zip(t, column, strict=True)]
        return t


def wrong(certificate: so.DualityGapCertificate, dense: Any = None) -> list[str]:
    """Return which figures of a certificate do not follow from its own evidence."""
    oracle = Oracle(certificate.problem, dense)
    primal = oracle.objective(certificate.answer.x)
    dual = oracle.dual(certificate.dual_point)
    found = []
    if primal > Decimal(certificate.primal):
        found.append("primal")
    if dual is None:
        return [*found, "feasible"]
    if not (Decimal(certificate.dual) <= max(dual, Decimal(0))):
        found.append("dual")
    if primal - max(dual, Decimal(0)) > Decimal(certificate.gap):
        found.append("gap")
    return found
