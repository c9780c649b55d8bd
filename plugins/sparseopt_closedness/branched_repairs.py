"""Repairs of small supports: branch over the entries that a proof of "not closed" names."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt_closedness.repairs_found import Pair, Repairs

Change = tuple[int, int, int]
"""Factor (0 for I, 1 for J), row and column of the entry that is flipped."""

LARGEST_BRANCHED = 4000
"""Rows x terms x columns up to which verdicts on the way take milliseconds."""


def branched(search: Any, found: Repairs) -> bool:
    """Offer the first closed supports of a search by fewest changes, or cheapest changes.

    Every proof of "not closed" names rows and columns, and closed supports differ in an entry
    there; so where all verdicts come in time and the queue does not run dry the first closed
    supports are the nearest. Returns whether they are, or the best found before is.
    """
    part = search.clock.part(0.3)
    order = itertools.count()
    queue: list[tuple[float, int, int, tuple[Change, ...]]] = [(0.0, 0, next(order), ())]
    seen, complete = {frozenset[Change]()}, True
    while queue and part.seconds() > 0:
        cost, _, _, done = heapq.heappop(queue)
        pair = _changed(found.given, done)
        asked = so.Closedness(list(pair), found.problem.field)
        if found.best is not None and cost >= float(found.best.cost):
            return complete
        limit = min(search.settings.seconds_per_verdict, max(1e-3, part.seconds()))
        verdict = so.solve(asked, time_limit=limit, seed=search.context.seed)
        if verdict.answer.value == "closed":
            if found.follows(pair):
                found.offer(pair, partial(_known, verdict.certificate))
                return complete
            complete = False  # what lies beyond closed supports is not looked at
            continue
        lines = list(range(pair[0].shape[0])), list(range(pair[1].shape[1]))
        if isinstance(verdict.certificate, NotClosedCertificate):
            lines = list(verdict.certificate.rows), list(verdict.certificate.columns)
        else:
            complete = False  # unknown: it may be closed, or any entry may have to change
        for change in _zone(found, pair, lines, done):
            more = (*done, change)
            if frozenset(more) not in seen:
                seen.add(frozenset(more))
                price = float(found.cost(_changed(found.given, more)))
                count = so.lu_window_count(list(_changed(found.given, more)))
                heapq.heappush(queue, (price, count, next(order), more))
    return complete and not queue


def _zone(
    found: Repairs, pair: Pair, lines: tuple[list[int], list[int]], done: tuple[Change, ...]
) -> Iterator[Change]:
    """Yield the allowed changes in some rows and columns."""
    rows, columns = lines
    places = [(0, i, k) for i in rows for k in range(pair[0].shape[1])]
    places += [(1, k, j) for k in range(pair[1].shape[0]) for j in columns]
    for place in places:
        present = bool(pair[place[0]][place[1:]])
        if place not in done and found.problem.allow in ("both", "remove" if present else "add"):
            yield place


def _known(certificate: Any, _: Pair) -> Any:
    return certificate


def _changed(given: Pair, changes: tuple[Change, ...]) -> Pair:
    left, right = given[0].copy(), given[1].copy()
    for factor, i, j in changes:
        matrix: np.ndarray = (left, right)[factor]
        matrix[i, j] = not matrix[i, j]
    return left, right
