"""Which local search gets how much of the time, for repairs; imported where numba is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, partial

import numpy as np
from numba import get_num_threads

from sparseopt_closedness.core_bounds import CoreBound
from sparseopt_closedness.kernel_cache import PARTS, remember
from sparseopt_closedness.quick_proofs import quick_proof
from sparseopt_closedness.repair_clock import Alarm, Clock
from sparseopt_closedness.repair_search import (
    AddSearch,
    Entries,
    LineChains,
    LineSearch,
    LocalSearch,
)
from sparseopt_closedness.repairs_found import Repairs

PROBE = 0.06
"""Share of the time after which the searches are compared."""
CLOSE = 0.05
"""Difference of what two searches found up to which both go on."""
SHORT = 0.04
"""Seconds of one run without a look at the bound."""


LU = np.array([[True, False], [True, True]]), np.array([[True, True], [False, True]])


def _load_lines() -> None:
    for allow in ("remove", "add"):
        CoreBound(LU, allow, None, 0, fast=True).run(lambda: 1.0)
    once = iter([1.0, 0.0])
    LineSearch(Entries.of(LU, "remove", None), False, 0).run(lambda: next(once))


def _load_entries() -> None:
    once = iter([1.0, 0.0] * 2)
    LocalSearch(Entries.of(LU, "remove", None), LU, False, 0).run(lambda: next(once), True)
    full = np.ones((2, 2), dtype=bool), np.ones((2, 2), dtype=bool)
    AddSearch(Entries.of(LU, "add", None), full, 0).run(lambda: next(once))


LOADS = dict(zip(PARTS, (_load_lines, _load_entries), strict=True))
"""What loads the kernels of a part, or compiles them at their first use on a machine."""


@cache
def load() -> None:
    """Load all kernels."""
    for part in LOADS.values():
        part()


def search_rounds(found: Repairs, clock: Clock, done: Callable[[], bool], seed: int) -> None:
    """Probe every search, then give the time to the better; offer what they find."""
    with Alarm(clock.seconds()) as stop:
        _rounds(found, clock, done, seed, stop)


def _rounds(
    found: Repairs, clock: Clock, done: Callable[[], bool], seed: int, stop: np.ndarray
) -> None:
    problem = found.problem
    entries = Entries.of(found.given, problem.allow, problem.costs)
    if not len(entries.places):
        return
    if problem.allow == "add":
        _add(found, entries, clock, done, seed, stop)
        return
    removals = Entries.of(found.given, "remove", problem.costs)
    lines = [
        LineChains(LineSearch(e, problem.keep_lines, seed, stop), get_num_threads())
        for e in (removals, removals.transposed())
    ]
    whole = Clock(clock.seconds())
    for line in lines:
        _run(line, whole.part(PROBE), found, removals, done, warm=True)
        if done():
            return
    local = LocalSearch(removals, found.given, problem.keep_lines, seed, stop)
    _run(local, whole.part(PROBE), found, removals, done, warm=True)
    best = min(lines, key=lambda line: line.least)
    while not done():
        left = whole.seconds() / whole.total
        searches: list[LocalSearch | LineChains] = [local] if local.least <= best.least else [best]
        if abs(local.least - best.least) <= CLOSE * best.least:
            searches = [local, best]
        for chosen in searches:
            share = max(0.05, 0.9 * left) / len(searches)
            warm = left > 0.3 or chosen is best
            _run(chosen, whole.part(share), found, removals, done, warm=warm)
        if found.best in found.starts and not done():
            # From the best so far, and where entries may be added, with additions.
            local = LocalSearch(entries, found.best.pair, problem.keep_lines, seed + 1, stop)
            removals = entries
            _run(local, whole.part(max(0.05, 0.5 * left)), found, entries, done, warm=False)
            if entries.present.all():
                continue
            while not done():
                _run(local, whole.part(0.2), found, entries, done, warm=False)


def _run(
    search: LineChains | LocalSearch | AddSearch,
    part: Clock,
    found: Repairs,
    entries: Entries,
    done: Callable[[], bool],
    *,
    warm: bool,
) -> None:
    """Run a search for a while and offer its best; stop early where the bound is met."""
    offered = np.inf
    while part.seconds() > 0:
        end = Clock(min(SHORT + 0.02 * part.total, part.seconds()))
        search.run(partial(_share, part, end), warm)
        if search.least < offered:
            offered = search.least
            if search.least < found_price(found, entries):
                found.offer(entries.pair_of(search.best), quick_proof)
        if done():
            return


def _share(part: Clock, end: Clock) -> float:
    return part.share() if end.seconds() > 0 else 0.0


def found_price(found: Repairs, entries: Entries) -> float:
    """Return the price of the best repair in the units of the searches."""
    if found.best is None:
        return np.inf
    changed = entries.changed_in(found.best.pair)
    return float((entries.weights * changed).sum()) - 1e-9


def _add(
    found: Repairs,
    entries: Entries,
    clock: Clock,
    done: Callable[[], bool],
    seed: int,
    stop: np.ndarray,
) -> None:
    """Undo additions of structures that are always closed, from each in turn."""
    whole = Clock(clock.seconds())
    starts = sorted(found.starts, key=lambda start: start.cost)
    searches = [AddSearch(entries, start.pair, seed, stop) for start in starts]
    while searches and not done():
        for search in searches:
            _run(search, whole.part(0.1), found, entries, done, warm=False)
            if done():
                return
        searches = [min(searches, key=lambda search: search.least)]


if __name__ == "__main__":  # run by `Compiling`
    LOADS[sys.argv[1]]()
    remember(sys.argv[1])
