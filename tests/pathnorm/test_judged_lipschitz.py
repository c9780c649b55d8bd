"""Lipschitz bounds, as the judge computes them, against exact rationals."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from path_networks import dense

import sparseopt as so
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.pathnorm import exact, plain
from sparseopt.pathnorm.lipschitz import dual, proven_bound


@pytest.mark.parametrize("p", [1, 1.0000001, 1.1, 1.5, 2, 3, 3.7, 10, 1e9, math.inf])
def test_dual_exponents_are_not_rounded_up(p: float) -> None:
    found = dual(p)
    if p in (1, math.inf):
        assert found == (math.inf if p == 1 else 1.0)
        return
    right = Fraction(p) / (Fraction(p) - 1)
    assert right * (1 - Fraction(1, 10**15)) <= Fraction(found) <= right


def table_of(network: Network) -> list[list[Fraction]]:
    """Return the table of path sums in exact arithmetic, by a pass for each input."""
    size = math.prod(network.input_shape)
    columns = []
    for i in range(size):
        arithmetic = exact.Exacts(1)
        array = np.full(size, 0, dtype=object)
        array[i] = 1
        first = exact.Exact(array.reshape(1, *network.input_shape), 1)
        columns.append(arithmetic.fractions(plain.forward(network, arithmetic, {}, first=first)))
    return [list(row) for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("p_in", [1, 1.5, 2, 3, math.inf])
@pytest.mark.parametrize("p_out", [1, 1.5, 2, 4, math.inf])
def test_bounds_are_not_below_their_definition(p_in: float, p_out: float) -> None:
    import mpmath

    mpmath.mp.dps = 50
    network = dense(3, 4, 3, seed=1)
    table = [[mpmath.mpf(v.numerator) / v.denominator for v in row] for row in table_of(network)]
    columns = [list(column) for column in zip(*table, strict=True)]

    def norm(values: list[Any], p: float) -> Any:
        if p == math.inf:
            return max(values)
        return mpmath.fsum(v ** mpmath.mpf(p) for v in values) ** (1 / mpmath.mpf(p))

    star = {1: math.inf, math.inf: 1.0}.get(p_in) or mpmath.mpf(p_in) / (mpmath.mpf(p_in) - 1)
    problem = so.LipschitzBound(network, p_in, p_out)
    weights = np.array([0.3, 1.0, 0.7])
    v = [mpmath.mpf(w) for w in weights.tolist()]
    forward = [mpmath.fsum(c * w for c, w in zip(row, v, strict=True)) for row in table]
    back = [mpmath.fsum(c * u for c, u in zip(column, forward, strict=True)) for column in columns]
    definitions = {
        "rows": lambda: norm([mpmath.fsum(row) for row in table], p_out),
        "columns": lambda: norm([mpmath.fsum(column) for column in columns], star),
        "spectral": lambda: mpmath.sqrt(max(u / w for u, w in zip(back, v, strict=True))),
        "interpolated": lambda: (
            max(map(mpmath.fsum, columns)) ** (1 / mpmath.mpf(p_in))
            * max(map(mpmath.fsum, table)) ** (1 - 1 / mpmath.mpf(p_in))
        ),
        "table": lambda: min(
            norm([norm(row, star) for row in table], p_out),
            norm([norm(column, p_out) for column in columns], star),
        ),
    }
    for method in problem.methods():
        found = proven_bound(problem, method, weights)
        right = definitions[method]()
        stored = found.as_fraction()
        near = mpmath.mpf(stored.numerator) / stored.denominator
        assert found.error < 1e-12
        assert near * (1 + mpmath.mpf(found.error)) >= right
        assert near <= right * (1 + 2 * mpmath.mpf(found.error))


def test_a_bound_far_beyond_float64() -> None:
    network = chain((2,), *(Dense(np.full((2, 2), 1e200)) for _ in range(3)))
    for p_in, p_out in ((math.inf, 1), (2, 2), (3, 3), (1, math.inf)):
        solution = so.solve(so.LipschitzBound(network, p_in, p_out))
        assert solution.answer.value == math.inf
        assert "10^60" in so.verify(solution).claim
    small = chain((2,), *(Dense(np.full((2, 2), 1e-200)) for _ in range(3)))
    for p in (2, 3):
        solution = so.solve(so.LipschitzBound(small, p, p))
        assert "10^-59" in so.verify(solution).claim
