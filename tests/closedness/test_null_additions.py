"""Additions at points with product zero: as many as are lacking, the cheapest, and no fewer do."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from second_judge import assert_both_accept
from sparseopt_closedness.null_additions import with_additions
from sparseopt_closedness.null_points import NearPoint, nearest_point

import sparseopt as so
from sparseopt.judging.exact import rank

Pair = tuple[np.ndarray, np.ndarray]


def drawn(m: int, r: int, n: int, density: float, seed: int) -> Pair:
    rng = np.random.default_rng(seed)
    return rng.random((m, r)) < density, rng.random((r, n)) < density


def lacking(pair: Pair, x: np.ndarray, y: np.ndarray) -> int:
    """Return how many dimensions X' Y + X Y' lacks on the covered cells, by the definition."""
    left, right = pair
    cells = np.argwhere(left.astype(int) @ right.astype(int)).tolist()
    images = []
    for i, k in np.argwhere(left).tolist():
        images.append([int(y[k, b]) if a == i else 0 for a, b in cells])
    for k, j in np.argwhere(right).tolist():
        images.append([int(x[a, k]) if b == j else 0 for a, b in cells])
    return len(cells) - rank(images)


def point_of(pair: Pair, near: NearPoint) -> Pair:
    """Return the point in the numbering of the supports."""
    x, y = (near.point[1].T, near.point[0].T) if near.turned else near.point
    left, right = (np.zeros(s.shape, dtype=int) for s in pair)
    origin = list(near.side.origin)
    left[:, origin], right[origin] = x, y
    return left, right


def cost(given: Pair, pair: Pair, costs: Pair) -> Fraction:
    changed = [a != b for a, b in zip(given, pair, strict=True)]
    return sum(
        (Fraction(float(c[m].sum())) for c, m in zip(costs, changed, strict=True)), Fraction(0)
    )


def test_the_cheapest_entries_that_make_a_point_onto() -> None:
    tried = 0
    for seed in range(120):
        pair = drawn(4, 6, 4, 0.6, seed)
        rng = np.random.default_rng(seed)
        near = nearest_point(pair, rng, lambda: 10.0, short=0.3)
        if near is None or near.lacking not in (1, 2):
            continue
        x, y = point_of(pair, near)
        assert not (x @ y).any()
        assert lacking(pair, x, y) == near.lacking
        costs = tuple(rng.integers(1, 8, s.shape).astype(float) for s in pair)
        found = with_additions(pair, near, (costs[0], costs[1]), rng)
        cells = pair[0].astype(int) @ pair[1].astype(int) > 0
        entries = [(f, *at) for f in (0, 1) for at in np.argwhere(~pair[f]).tolist()]
        best = None
        for chosen in combinations(entries, near.lacking):
            trial = pair[0].copy(), pair[1].copy()
            for f, a, b in chosen:
                trial[f][a, b] = True
            if ((trial[0].astype(int) @ trial[1].astype(int) > 0) == cells).all() and not lacking(
                trial, x, y
            ):
                price = cost(pair, trial, (costs[0], costs[1]))
                best = price if best is None else min(best, price)
        assert (found is None) == (best is None)
        if found is not None:
            assert all((a <= b).all() for a, b in zip(pair, found[0], strict=True))
            assert lacking(found[0], x, y) == 0
            assert cost(pair, found[0], (costs[0], costs[1])) == best
            tried += 1
    assert tried > 5


@pytest.mark.slow
@pytest.mark.parametrize("turned", [False, True])
def test_few_additions_to_moderately_dense_supports(turned: bool) -> None:
    left, right = drawn(20, 30, 20, 0.5, 0)
    pair = (right.T, left.T) if turned else (left, right)
    solution = so.solve(so.NearestClosedSupport(pair, "add"), time_limit=20.0)
    added = [new.astype(int) - old for new, old in zip(solution.answer.supports, pair, strict=True)]
    assert min(int(a.min()) for a in added) == 0
    assert sum(int(a.sum()) for a in added) == solution.answer.changes < 60
    assert_both_accept(solution.certificate)
