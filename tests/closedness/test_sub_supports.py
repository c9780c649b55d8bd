"""Sub-supports: what is not closed on some rows and columns is not closed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sparseopt_closedness.limit_curves import LimitCurves
from sparseopt_closedness.observed_windows import merge_window
from sparseopt_closedness.sub_supports import shape_of, sub_supports

import sparseopt as so
from sparseopt.closedness.proofs.exclusion import Exclusion
from sparseopt.closedness.proofs.observed import ObservedProblem, start


def random_state(rng: np.random.Generator, largest: int = 6) -> ObservedProblem:
    """Return an observed problem, with blocks taken out half of the time."""
    m, n, r = (int(v) for v in rng.integers(1, largest, 3))
    density = rng.uniform(0.3, 0.9)
    state = start(rng.random((m, r)) < density, rng.random((r, n)) < density)
    if rng.random() < 0.5 and state.origin:
        state = state.without([int(rng.integers(len(state.origin)))])
    return state


@pytest.mark.parametrize("seed", range(20))
def test_all_sub_supports_of_small_problems(seed: int) -> None:
    state = random_state(np.random.default_rng(seed))
    rows = np.flatnonzero(state.observed.any(axis=1)).tolist()
    columns = np.flatnonzero(state.observed.any(axis=0)).tolist()
    found = [(tuple(p), tuple(q)) for p, q in sub_supports(state, np.random.default_rng(0), 10**6)]
    expected = {
        (p, q)
        for h in range(2, len(rows) + 1)
        for w in range(2, len(columns) + 1)
        for p in combinations(rows, h)
        for q in combinations(columns, w)
    } - {(tuple(rows), tuple(columns))}
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert found == sorted(found, key=lambda pair: len(pair[0]) * len(pair[1]))


def test_random_sub_supports_of_large_problems() -> None:
    rng = np.random.default_rng(0)
    state = start(rng.random((30, 20)) < 0.5, rng.random((20, 40)) < 0.5)
    found = list(sub_supports(state, rng, 50))
    assert 40 <= len(found) <= 50
    for rows, columns in found:
        assert 2 <= len(set(rows)) == len(rows) <= 5
        assert 2 <= len(set(columns)) == len(columns) <= 5
        assert rows == sorted(rows)
        assert columns == sorted(columns)
        assert max(rows) < 30
        assert max(columns) < 40
    narrow = start(np.ones((30, 2), dtype=bool), np.ones((2, 1), dtype=bool))
    assert not list(sub_supports(narrow, rng, 50))


@pytest.mark.parametrize("seed", range(30))
def test_shapes_do_not_depend_on_orders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = random_state(rng)
    (m, r), n = state.left.shape, state.right.shape[1]
    rows, blocks, columns = rng.permutation(m), rng.permutation(r), rng.permutation(n)
    moved = ObservedProblem(
        state.left[np.ix_(rows, blocks)],
        state.right[np.ix_(blocks, columns)],
        state.observed[np.ix_(rows, columns)],
        tuple(range(r)),
    )
    assert shape_of(state) == shape_of(moved) == shape_of(moved.transposed)
    if state.observed.any():
        i, j = np.argwhere(state.observed)[0]
        fewer = state.observed.copy()
        fewer[i, j] = False
        assert shape_of(state) != shape_of(
            ObservedProblem(state.left, state.right, fewer, state.origin)
        )


def test_a_pair_decided_on_fewer_rows() -> None:
    """Most rows and columns are alike; the curve found lives on few of them."""
    left, right = np.ones((8, 3), dtype=bool), np.ones((3, 8), dtype=bool)
    left[:3] = [[0, 1, 1], [1, 1, 0], [1, 0, 1]]
    right[:, :3] = [[0, 1, 1], [0, 1, 1], [1, 0, 1]]
    solution = so.solve(so.Closedness([left, right]), LimitCurves(), time_limit=60.0)
    assert solution.answer.value == "not_closed"
    assert solution.certificate is not None
    assert len(solution.certificate.rows) < 8  # type: ignore[attr-defined]
    assert so.verify(so.Solution.from_json(solution.to_json())).ok


def brute_force_merge(state: ObservedProblem) -> bool:
    """Look for a merge window by its definition."""
    for i1, i2 in combinations(range(len(state.observed)), 2):
        alone, pairs = set(), []
        for j in range(state.observed.shape[1]):
            if not (state.observed[i1, j] and state.observed[i2, j]):
                continue
            either = state.left[i1] | state.left[i2]
            terms = np.flatnonzero(either & state.right[:, j]).tolist()
            if not all(state.left[i1, k] and state.left[i2, k] for k in terms):
                continue
            if len(terms) == 1:
                alone.add(terms[0])
            elif len(terms) == 2:
                pairs.append(set(terms))
        if any(pair <= alone for pair in pairs):
            return True
    return False


def test_merge_windows_against_brute_force() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(600):
        state = random_state(rng, 7)
        for side in (state, state.transposed):
            found = merge_window(side)
            assert (found is not None) == brute_force_merge(side)
            if found is not None:
                rows, columns = list(found.rows), list(found.columns)
                observed = side.observed[np.ix_(rows, columns)]
                proof = Exclusion(side.left[rows], side.right[:, columns], found.limit, observed)
                proof.check(found.exclusion)
                hits += 1
    assert hits > 10


def test_large_pairs_are_answered_within_the_time_limit() -> None:
    """Bounded work between two looks at the clock; the answer says what was tried."""
    rng = np.random.default_rng(0)
    for size, density in ((100, 0.3), (12, 0.6)):
        left, right = rng.random((size, size)) < density, rng.random((size, size)) < density
        problem = so.Closedness([left, right])
        solution = so.solve(problem, time_limit=1.0, block=("matched_curves",))
        assert solution.answer.value == "unknown"
        assert "time limit" in solution.answer.reason
