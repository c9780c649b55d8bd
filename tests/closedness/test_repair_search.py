"""Local searches for repairs: what the compiled test calls closed is proved, and what is found too.

Slow: the first run on a machine compiles the kernels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sparseopt_closedness.closed_structures import structured
from sparseopt_closedness.quick_proofs import quick_proof
from sparseopt_closedness.repair_search import (
    AddSearch,
    Entries,
    LineSearch,
    LocalSearch,
    words_of,
)

import sparseopt as so

pytestmark = pytest.mark.slow


def drawn(rng: np.random.Generator, *size: int, density: float) -> tuple[np.ndarray, np.ndarray]:
    m, r, n = size
    return rng.random((m, r)) < density, rng.random((r, n)) < density


def times(count: int) -> Callable[[], float]:
    """Return a clock of so many ticks."""
    ticks = iter([1.0] * count + [0.0] * 2)
    return lambda: next(ticks)


def test_the_compiled_test_is_the_written_one() -> None:
    from sparseopt_closedness.closed_kernels import stuck_terms

    rng = np.random.default_rng(0)
    closed = 0
    for number in range(600):
        m, r, n = rng.integers(1, 8, 3).tolist()
        if number % 20 == 0:  # more rows and columns than bits in a word
            m, n = rng.integers(63, 70, 2).tolist()
        left, right = drawn(rng, m, r, n, density=0.08 if m > 8 else float(rng.random()))
        flags = np.zeros(r, dtype=np.int64)
        most = r * (min(m, n) // 2 + 1) + 1
        stuck = stuck_terms(words_of(left.T), words_of(right), m, n, most, flags)
        assert (stuck == 0) == (quick_proof((left, right)) is not None)
        assert stuck == flags.sum()
        closed += stuck == 0
    assert 100 < closed < 590


def test_what_is_found_is_proved_and_priced() -> None:
    rng = np.random.default_rng(1)
    for seed in range(6):
        given = drawn(rng, 9, 12, 8, density=0.3)
        costs = None if seed % 2 else [rng.random(s.shape) for s in given]
        entries = Entries.of(given, "remove", costs)
        searches = [
            LineSearch(entries, False, seed),
            LineSearch(entries.transposed(), False, seed),
            LocalSearch(entries, given, False, seed),
        ]
        for search in searches:
            search.run(times(20), True)
            pair = entries.pair_of(search.best)
            assert quick_proof(pair) is not None
            assert all((new <= old).all() for new, old in zip(pair, given, strict=True))
            paid = float((entries.weights * entries.changed_in(pair)).sum())
            assert paid == pytest.approx(search.least)


def test_additions_stay_additions() -> None:
    given = drawn(np.random.default_rng(2), 6, 7, 6, density=0.35)
    entries = Entries.of(given, "add", None)
    for start in structured(given, "add"):
        search = AddSearch(entries, start, 0)
        before = search.least
        search.run(times(10))
        pair = entries.pair_of(search.best)
        assert search.least <= before
        assert quick_proof(pair) is not None
        assert all((new >= old).all() for new, old in zip(pair, given, strict=True))


def test_a_search_with_guard_keeps_lines() -> None:
    given = drawn(np.random.default_rng(3), 10, 20, 12, density=0.3)
    problem = so.NearestClosedSupport(given, keep_lines=True)
    solution = so.solve(problem, time_limit=8.0)
    assert problem.cut_off(solution.answer) == ([], [])
    assert so.verify(solution).ok
    free = so.solve(so.NearestClosedSupport(given), time_limit=8.0).answer
    assert free.lower_bound <= solution.answer.changes


@pytest.mark.parametrize(("density", "changes"), [(0.1, 5), (0.6, 0), (0.7, 0)])
def test_known_distances(density: float, changes: int) -> None:
    given = drawn(np.random.default_rng(0), 20, 30, 20, density=density)
    answer = so.solve(so.NearestClosedSupport(given), time_limit=20.0).answer
    assert (answer.changes, answer.lower_bound) == (changes, changes)
