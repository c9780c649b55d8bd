"""Local searches for repairs: what the compiled test calls closed is proved, and what is found too.

Slow: the first run on a machine compiles the kernels.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
from sparseopt_closedness import closed_kernels, line_kernels, repair_kernels
from sparseopt_closedness.closed_structures import structured
from sparseopt_closedness.kernel_cache import PARTS, Compiling, are_cached, remember
from sparseopt_closedness.quick_proofs import quick_proof
from sparseopt_closedness.repair_clock import Alarm
from sparseopt_closedness.repair_rounds import load
from sparseopt_closedness.repair_search import (
    AddSearch,
    Entries,
    LineChains,
    LineSearch,
    LocalSearch,
    words_of,
)
from sparseopt_closedness.repairs_found import Repairs

import sparseopt as so

pytestmark = pytest.mark.slow


def drawn(rng: np.random.Generator, *size: int, density: float) -> tuple[np.ndarray, np.ndarray]:
    m, r, n = size
    return rng.random((m, r)) < density, rng.random((r, n)) < density


def times(count: int) -> Callable[[], float]:
    """Return a clock of so many ticks."""
    ticks = iter([1.0] * count)
    return lambda: next(ticks, 0.0)


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
            LineChains(LineSearch(entries, False, seed), 2),
            LocalSearch(entries, given, False, seed),
        ]
        for search in searches:
            search.run(times(20), True)
            pair = entries.pair_of(search.best)
            assert quick_proof(pair) is not None
            assert all((new <= old).all() for new, old in zip(pair, given, strict=True))
            paid = float((entries.weights * entries.changed_in(pair)).sum())
            assert paid == pytest.approx(search.least)


def test_chains_that_are_cold_go_on_from_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparseopt_closedness.repair_search.COOLING", 40)
    entries = Entries.of(drawn(np.random.default_rng(7), 9, 12, 8, density=0.3), "remove", None)
    first = LineSearch(entries, False, 5)
    chains = LineChains(first, 3)
    before = chains.least
    chains.run(times(40))
    assert first.steps == 40
    assert chains.least <= min(first.least, before)
    assert quick_proof(entries.pair_of(chains.best)) is not None


def test_additions_stay_additions() -> None:
    given = drawn(np.random.default_rng(2), 6, 7, 6, density=0.35)
    entries = Entries.of(given, "add", None)
    for _, start in structured(given, "add"):
        search = AddSearch(entries, start, 0)
        before = search.least
        search.run(times(10))
        pair = entries.pair_of(search.best)
        assert search.least <= before
        assert quick_proof(pair) is not None
        assert all((new >= old).all() for new, old in zip(pair, given, strict=True))


def test_a_stopped_search_stands_at_closed_supports() -> None:
    given = drawn(np.random.default_rng(4), 9, 12, 8, density=0.4)
    entries, stop = Entries.of(given, "remove", None), np.ones(1, dtype=np.int64)
    stopped = LocalSearch(entries, given, False, 0, stop)
    assert stopped.least == np.inf  # nothing closed was reached
    line = LineSearch(entries, False, 0, stop)
    before = line.least
    line.run(times(3))
    assert line.least == before
    assert quick_proof(entries.pair_of(line.best)) is not None
    assert quick_proof((line.left > 0, line.right > 0)) is not None
    with Alarm(0.0) as flag:
        for _ in range(10_000):
            if flag[0]:
                break
            sleep(0.001)
        assert flag[0] == 1


def test_no_proof_is_begun_without_time_for_it() -> None:
    given = drawn(np.random.default_rng(5), 30, 40, 30, density=0.3)
    repairs = Repairs(so.NearestClosedSupport(given), lambda: 0.0)
    pairs = [pair for _, pair in structured(given, "remove")]
    assert repairs.offer(pairs[0], quick_proof)
    repairs.proving = 1.0
    assert not any(repairs.offer(pair, quick_proof) for pair in pairs)


def test_structures_that_take_too_long_are_left_out() -> None:
    given = drawn(np.random.default_rng(6), 8, 9, 8, density=0.4)
    assert len(list(structured(given, "both"))) == 6
    assert len(list(structured(given, "both", lambda _: False))) == 4


def test_entries_are_put_back_while_kernels_are_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Cold:
        signatures: tuple[str, ...] = ()
        stats = type("Stats", (), {"cache_path": str(tmp_path)})

    monkeypatch.setattr("sparseopt_closedness.repair_kernels.search", Cold)
    monkeypatch.setattr(Compiling, "done", lambda _: False)
    given = drawn(np.random.default_rng(7), 20, 30, 20, density=0.2)
    for limit in (1.0, 4.0):
        solution = so.solve(so.NearestClosedSupport(given), time_limit=limit)
        assert solution.answer.changes > 0
        assert so.verify(solution).ok


def test_kernels_are_cached_as_they_are_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Cold:
        signatures: tuple[str, ...] = ()
        stats = type("Stats", (), {"cache_path": str(tmp_path)})

    monkeypatch.setattr("sparseopt_closedness.repair_kernels.search", Cold)
    for part in PARTS:
        assert not are_cached()
        remember(part)
    assert are_cached()
    monkeypatch.setattr("numba.__version__", "0.0")
    assert not are_cached()


@pytest.mark.slow
def test_other_processes_compile_the_kernels(tmp_path: Path) -> None:
    """In a limit that compiling by this process would not keep."""
    code = (
        "import numpy as np, sparseopt as so\n"
        "rng = np.random.default_rng(0)\n"
        "given = [rng.random((20, 30)) < 0.2, rng.random((30, 20)) < 0.2]\n"
        "from sparseopt_closedness.kernel_cache import are_cached\n"
        "print(are_cached())\n"
        "solution = so.solve(so.NearestClosedSupport(given), time_limit=60)\n"
        "print(are_cached(), solution.answer.changes <= 38)\n"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["False", "True", "True"]


def test_what_is_loaded_is_all_that_is_called(record_property: Any) -> None:
    """A kernel that is compiled later would be compiled under the caller's time limit."""
    load()
    before = {name: len(kernel.signatures) for name, kernel in compiled()}
    for allow in ("remove", "add", "both"):
        given = drawn(np.random.default_rng(8), 12, 16, 12, density=0.4)
        so.solve(so.NearestClosedSupport(given, allow, keep_lines=allow == "both"), time_limit=4.0)
    after = {name: len(kernel.signatures) for name, kernel in compiled()}
    record_property("signatures", after)
    assert after == before


def test_a_search_with_guard_keeps_lines() -> None:
    given = drawn(np.random.default_rng(3), 10, 20, 12, density=0.3)
    problem = so.NearestClosedSupport(given, keep_lines=True)
    solution = so.solve(problem, time_limit=8.0)
    assert problem.cut_off(solution.answer) == ([], [])
    assert so.verify(solution).ok
    free = so.solve(so.NearestClosedSupport(given), time_limit=8.0).answer
    assert free.lower_bound <= solution.answer.changes


def compiled() -> Iterator[tuple[str, Any]]:
    """Yield the kernels of the local searches."""
    for module in (closed_kernels, line_kernels, repair_kernels):
        for name, value in vars(module).items():
            if hasattr(value, "signatures"):
                yield f"{module.__name__}.{name}", value


@pytest.mark.parametrize(("density", "changes"), [(0.1, 5), (0.6, 0), (0.7, 0)])
def test_known_distances(density: float, changes: int) -> None:
    given = drawn(np.random.default_rng(0), 20, 30, 20, density=density)
    answer = so.solve(so.NearestClosedSupport(given), time_limit=20.0).answer
    assert (answer.changes, answer.lower_bound) == (changes, changes)
