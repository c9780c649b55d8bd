"""Zeros that are proved, against the set of all optima of small lassos over the rationals.

Ties, equal and opposite columns, columns of zeros, weights of 0, positive coefficients, targets of
zeros, strengths at which the answer just becomes zero. A coefficient may be claimed to vanish in
every optimum only if no exact optimum has it nonzero.
"""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import sparseopt as so

Vector = list[Fraction]


def _dot(a: Vector, b: Vector) -> Fraction:
    return sum((u * v for u, v in zip(a, b, strict=True)), Fraction(0))


def _solved(matrix: list[Vector], right: Vector) -> Vector | None:
    """Return the solution of square equations, None where they are singular."""
    k = len(matrix)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for c in range(k):
        pivot = next((i for i in range(c, k) if rows[i][c]), None)
        if pivot is None:
            return None
        rows[c], rows[pivot] = rows[pivot], rows[c]
        rows[c] = [value / rows[c][c] for value in rows[c]]
        for i in range(k):
            if i != c:
                rows[i] = [a - rows[i][c] * b for a, b in zip(rows[i], rows[c], strict=True)]
    return [row[k] for row in rows]


def _optimum(
    columns: list[Vector], target: Vector, limits: Vector, positive: bool
) -> tuple[Vector, Vector]:
    """Return an optimum and the correlations that all optima share, by going through all faces."""
    n = len(columns)
    for k in range(min(len(target), n) + 1):
        for support in itertools.combinations(range(n), k):
            gram = [[_dot(columns[a], columns[b]) for b in support] for a in support]
            for signs in itertools.product((1, -1), repeat=k):
                pulls = [s * limits[a] for a, s in zip(support, signs, strict=True)]
                wanted = [_dot(columns[a], target) - p for a, p in zip(support, pulls, strict=True)]
                x = _solved(gram, wanted)
                if x is None:
                    break
                whole = [Fraction(0)] * n
                for a, value in zip(support, x, strict=True):
                    whole[a] = value
                if _is_optimal(columns, target, limits, positive, whole):
                    return whole, _correlations(columns, target, whole)
    raise AssertionError("no face holds an optimum")


def _correlations(columns: list[Vector], target: Vector, x: Vector) -> Vector:
    rest = list(target)
    for column, value in zip(columns, x, strict=True):
        rest = [r - value * a for r, a in zip(rest, column, strict=True)]
    return [_dot(column, rest) for column in columns]


def _is_optimal(
    columns: list[Vector], target: Vector, limits: Vector, positive: bool, x: Vector
) -> bool:
    for c, limit, value in zip(_correlations(columns, target, x), limits, x, strict=True):
        if positive and (value < 0 or c > limit or (value > 0 and c != limit)):
            return False
        sign = (value > 0) - (value < 0)
        if not positive and (abs(c) > limit or (value and c != sign * limit)):
            return False
    return True


def _may_be_nonzero(
    columns: list[Vector], limits: Vector, positive: bool, x: Vector, c: Vector
) -> set[int]:
    """Return the coefficients that some optimum has nonzero, by linear programs."""
    tied = [j for j, value in enumerate(c) if (value if positive else abs(value)) == limits[j]]
    if not tied:
        return set()
    bounds = []
    for j in tied:
        low = 0 if positive or (limits[j] and c[j] > 0) else -100
        bounds.append((low, 0 if limits[j] and not positive and c[j] < 0 else 100))
    fit = np.array([[float(v) for v in columns[j]] for j in tied]).T.reshape(-1, len(tied))
    image = [
        float(sum(column[i] * v for column, v in zip(columns, x, strict=True)))
        for i in range(len(columns[0]))
    ]
    found = set()
    for place, j in enumerate(tied):
        for sign in (1.0, -1.0):
            goal = np.zeros(len(tied))
            goal[place] = sign
            done = scipy.optimize.linprog(goal, A_eq=fit, b_eq=image, bounds=bounds)
            if done.status == 0 and abs(done.fun) > 1e-9:
                found.add(j)
    return found


def _drawn(rng: random.Random) -> tuple[list[Vector], Vector, Fraction, Vector, bool]:
    m, n = rng.randint(1, 4), rng.randint(1, 4)
    columns = [[Fraction(rng.randint(-2, 2)) for _ in range(m)] for _ in range(n)]
    if n > 1 and rng.random() < 0.4:
        a, b = rng.sample(range(n), 2)
        factor = rng.choice((1, -1, 2))
        columns[b] = [factor * v for v in columns[a]]
    if rng.random() < 0.2:
        columns[rng.randrange(n)] = [Fraction(0)] * m
    target = [Fraction(rng.randint(-4, 4)) * (rng.random() > 0.05) for _ in range(m)]
    strength = Fraction(rng.choice((0, 1, 1, 2, 3, 5)), rng.choice((1, 1, 2)))
    if rng.random() < 0.25:  # where the answer just becomes zero
        strength = max([abs(_dot(column, target)) for column in columns] + [Fraction(1)])
    uneven = rng.random() < 0.4
    weights = [Fraction(rng.choice((0, 1, 1, 1, 2)) if uneven else 1) for _ in range(n)]
    return columns, target, strength, weights, rng.random() < 0.35


@pytest.mark.parametrize("part", range(4))
def test_no_proved_zero_is_nonzero_in_an_optimum(part: int) -> None:
    proved = 0
    for seed in range(40 * part, 40 * part + 40):
        columns, target, strength, weights, positive = _drawn(random.Random(seed))
        limits = [strength * w for w in weights]
        x, c = _optimum(columns, target, limits, positive)
        design = np.array([[float(v) for v in column] for column in columns]).T
        penalty = so.L1(float(strength), [float(w) for w in weights], positive)
        solution: Any = so.solve(so.SparseRegression(design, [float(v) for v in target], penalty))
        assert solution.status is so.Status.VERIFIED, seed
        certificate = solution.certificate
        rest = [
            t - sum(a[i] * v for a, v in zip(columns, x, strict=True)) for i, t in enumerate(target)
        ]
        size = sum(limit * abs(v) for limit, v in zip(limits, x, strict=True))
        value = _dot(rest, rest) / 2 + size
        assert Fraction(certificate.dual) <= value <= Fraction(certificate.primal), seed
        zeros = set(certificate.zeros.tolist())
        assert not zeros & _may_be_nonzero(columns, limits, positive, x, c), seed
        proved += len(zeros)
    assert proved > 20
