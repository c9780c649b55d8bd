"""Lower bounds on repairs: against every smaller change, and of the cases of the facts."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sparseopt_closedness.blocked_windows import blocked_certificate, find_blocked
from sparseopt_closedness.core_bounds import CoreBound, written
from sparseopt_closedness.lu_windows import find_window
from sparseopt_closedness.quick_proofs import quick_proof

import sparseopt as so
from sparseopt.closedness.cores import bound_of, read_cores

CASES = json.loads((Path(__file__).parent / "repairs.json").read_text())


def drawn(m: int, r: int, n: int, density: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((m, r)) < density, rng.random((r, n)) < density


def bounded(pair: Any, allow: str, costs: Any = None, fast: bool = False) -> CoreBound:
    search = CoreBound(tuple(np.asarray(s, dtype=bool) for s in pair), allow, costs, 0, fast)
    assert search.run(lambda: 60.0)
    return search


def supports(case: Any, name: str) -> np.ndarray:
    return np.array([[c == "1" for c in row] for row in case[name].split()])


# P4 takes a local search, whose kernels are compiled at their first use.
NAMES = [pytest.param(n, marks=pytest.mark.slow if n == "P4" else ()) for n in sorted(CASES)]


@pytest.mark.parametrize("name", NAMES)
def test_the_optimum_of_a_case_is_proved(name: str) -> None:
    case = CASES[name]
    pair = supports(case, "I"), supports(case, "J")
    answer = so.solve(so.NearestClosedSupport(pair, case["allow"])).answer
    assert (answer.changes, answer.lower_bound) == (case["optimum"], case["optimum"])


@pytest.mark.parametrize("allow", ["remove", "add", "both"])
def test_no_smaller_change_is_proved_closed(allow: str) -> None:
    met = 0
    for seed in range(60):
        pair = drawn(4, 4, 4, 0.45, seed)
        search = bounded(pair, allow)
        bound = bound_of(read_cores(written(search.cores)), pair, allow, None)
        if not bound:
            continue
        met += 1
        assert quick_proof(pair) is None
        places = [(f, *at) for f in (0, 1) for at in np.argwhere(np.ones((4, 4))).tolist()]
        places = [p for p in places if allow == "both" or pair[p[0]][p[1:]] == (allow == "remove")]
        for size in range(1, min(int(bound), 3)):
            for chosen in itertools.combinations(places, size):
                other = pair[0].copy(), pair[1].copy()
                for f, a, b in chosen:
                    other[f][a, b] ^= True
                assert quick_proof(other) is None
    assert met > 5


def test_costs_scale_the_bound() -> None:
    pair = drawn(6, 8, 6, 0.3, 3)
    one = bounded(pair, "remove").value
    for scale in (1e-150, 1.0, 1e150):
        costs = [np.full(s.shape, scale) for s in pair]
        search = bounded(pair, "remove", costs)
        value = bound_of(read_cores(written(search.cores)), pair, "remove", tuple(costs))
        assert float(value) == pytest.approx(float(one) * scale, rel=1e-6)
        assert value <= one * Fraction(scale)


def test_free_entries_carry_no_weight() -> None:
    lu = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
    costs = [[[0, 1], [1, 1]], [[1, 1], [1, 1]]]
    solution = so.solve(so.NearestClosedSupport(lu, costs=costs))
    assert solution.answer.cost == 0
    assert solution.answer.lower_bound == 0
    assert solution.certificate.accuracy == 0.0
    assert "as cheap as possible" in str(solution.answer)


def test_costs_choose_what_is_removed() -> None:
    lu = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
    costs = [[[3, 1], [2, 2]], [[0.25, 5], [6, 1]]]
    solution = so.solve(so.NearestClosedSupport(lu, costs=costs))
    assert solution.answer.cost == solution.answer.lower_bound == Fraction(1, 4)
    assert not solution.answer.supports[1][0, 0]
    again = so.Solution.from_json(solution.to_json())
    assert so.verify(again).ok


def test_a_bound_of_nothing_is_0_in_words() -> None:
    answer = so.ClosedSupport([[[1]], [[1]]], 1, Fraction(0), Fraction(1, 3))
    assert "(at least 0 needed)" in str(answer)


def test_lines_are_kept() -> None:
    for seed in range(8):
        pair = drawn(5, 6, 5, 0.4, seed)
        problem = so.NearestClosedSupport(pair, keep_lines=True)
        answer = so.solve(problem).answer
        assert problem.cut_off(answer) == ([], [])
        for given, kept, axis in zip(pair, answer.supports, (1, 0), strict=True):
            assert (given.any(axis=axis) == kept.any(axis=axis)).all()


def test_what_is_cut_off_is_said() -> None:
    lu = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
    costs = [[[0.5, 1], [2, 2]], [[3, 5], [6, 1]]]
    certificate = so.solve(so.NearestClosedSupport(lu, costs=costs)).certificate
    assert "cut off: every entry of row of I 0" in certificate.explain()


def test_blocked_windows_of_masks_without_lu_windows() -> None:
    found = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        m, r, n = rng.integers(3, 8, 3).tolist()
        pair = drawn(m, r, n, float(rng.uniform(0.3, 0.6)), seed)
        problem = so.Closedness(pair)
        core = find_blocked(problem, so.Context())
        assert core is not None or find_window(*pair) is None
        if core is None:
            continue
        assert quick_proof(pair) is None
        assert so.verify(blocked_certificate(problem, core)).ok
        found += bool(core.blockers)
    assert found > 10


def test_a_time_limit_hands_out_the_best() -> None:
    """A random mask that no search repairs at once, and too little time."""
    pair = drawn(20, 30, 20, 0.2, 0)
    solution = so.solve(so.NearestClosedSupport(pair), time_limit=0.5)
    assert solution.answer.changes < int(pair[0].sum() + pair[1].sum())
    assert so.verify(solution).ok


def test_without_numba_entries_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_closedness import nearest_closed

    monkeypatch.setattr(nearest_closed, "has_numba", lambda: False)
    pair = drawn(16, 20, 16, 0.15, 1)
    solution = so.solve(so.NearestClosedSupport(pair), time_limit=4.0)
    thin = sum(int(s.sum()) - int(s.any(axis=0).sum()) for s in pair[:1])
    assert 0 < solution.answer.lower_bound <= solution.answer.changes < thin
    assert so.verify(solution).ok
