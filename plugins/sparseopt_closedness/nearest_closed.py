"""Closed supports near given ones: search by single changes, structured candidates, restoration."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.closedness.nearest import ClosedSupport, ClosedSupportCertificate
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt_closedness.closed_structures import Pair, structured
from sparseopt_closedness.lu_pattern import find_window, window_certificate

Change = tuple[int, int, int]
"""Factor (0 for I, 1 for J), row and column of the entry that is flipped."""


@dataclass(frozen=True)
class WindowRepair(so.Solver[so.NearestClosedSupport]):
    """Change entries until a solver of `Closedness` proves the supports closed.

    Every proof of "not closed" names rows and columns, and closed supports differ from the given
    ones in an entry there. So a search that branches over these entries, fewest changes first,
    finds the least number of changes, if it ends in time and no verdict is unknown. Beside it,
    candidates of structures that are always closed are made and improved by restoring entries.
    Where a limit below cuts something off, what is found depends on the speed of the machine.

    Parameters
    ----------
    seconds : float
        For the whole search.
    seconds_per_verdict : float
        Time limit of one verdict; unknown after it.
    """

    seconds: float = 10.0
    seconds_per_verdict: float = 0.5

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.seconds_per_verdict > 0):
            raise so.ProblemError("seconds and seconds_per_verdict must be positive")

    def accepts(self, problem: so.NearestClosedSupport) -> so.Accepted | so.Refused:
        """Take every pair."""
        return so.Accepted()

    def cost(self, problem: so.NearestClosedSupport) -> float:
        """Predict the seconds of the search."""
        return self.seconds

    def solve(
        self, problem: so.NearestClosedSupport, context: so.Context
    ) -> tuple[so.ClosedSupport, so.Certificate]:
        """Return the closed supports with fewest changes that were found."""
        search = _Search(problem, context, self)
        found = search.best()
        windows = search.bound(found[0])
        answer = ClosedSupport(list(found[1]), found[0], len(windows))
        return answer, ClosedSupportCertificate(problem, answer, found[2], windows)


Found = tuple[int, Pair, Any]
"""Number of changes, supports, certificate that they are closed."""

# Restorations in a row, each in another random order, that may bring nothing new.
_PATIENCE = 8


def _changes_of(found: Found) -> int:
    return found[0]


class _Search:
    """Verdicts under a clock, remembered."""

    def __init__(
        self, problem: so.NearestClosedSupport, context: so.Context, settings: WindowRepair
    ) -> None:
        self.problem = problem
        self.context = context
        self.settings = settings
        left, right = problem.supports
        self.given: Pair = (np.asarray(left), np.asarray(right))
        self._verdicts: dict[bytes, so.Solution] = {}
        context.check_time("looking for closed supports")
        self._clock = so.Context(time_limit=max(1e-3, min(settings.seconds, context.remaining())))

    def left(self, share: float = 0.0) -> bool:
        """Whether more than this share of the time is left."""
        self.context.check_time("looking for closed supports")
        return self._clock.remaining() > share * self.settings.seconds

    def verdict(self, pair: Pair, seconds: float | None = None) -> so.Solution:
        """Ask whether a pair is closed."""
        key = np.packbits(pair[0]).tobytes() + np.packbits(pair[1]).tobytes()
        if key not in self._verdicts:
            limit = seconds or self.settings.seconds_per_verdict
            asked = so.Closedness(list(pair), self.problem.field)
            self._verdicts[key] = so.solve(asked, time_limit=limit, seed=self.context.seed)
        return self._verdicts[key]

    def changes(self, pair: Pair) -> int:
        """Return the number of entries that differ from the given ones."""
        return sum(int((a != b).sum()) for a, b in zip(self.given, pair, strict=True))

    def best(self) -> Found:
        """Return the best that was found; there is always something."""
        first = self.verdict(self.given, self.settings.seconds / 2)
        if first.answer.value == "closed":
            return 0, self.given, first.certificate
        near = self._branch()
        if near is not None and near[0] <= 3:
            return near
        starts = []
        for pair in sorted(structured(self.given, self.problem.allow), key=self.changes):
            asked = self.verdict(pair, self.settings.seconds)
            if asked.answer.value == "closed":
                starts.append((self.changes(pair), pair, asked.certificate))
        candidates: list[Found] = [found for found in (near, *starts) if found is not None]
        if not candidates:
            raise so.Inconclusive("no candidate could be proved closed in time")
        rng, best, patience = self.context.rng(), min(candidates, key=_changes_of), _PATIENCE
        for start in itertools.cycle(starts):
            if not (patience and self.left()):
                break
            found = self._restored(start, rng)
            best, patience = (found, _PATIENCE) if found[0] < best[0] else (best, patience - 1)
        return best

    def _branch(self) -> Found | None:
        """Branch over the entries that the proof of "not closed" names."""
        order = itertools.count()
        start: tuple[Change, ...] = ()
        queue = [(0, so.lu_window_count(list(self.given)), next(order), start)]
        seen = {frozenset(start)}
        while queue and self.left(0.6):
            size, _, _, done = heapq.heappop(queue)
            pair = self._changed(done)
            verdict = self.verdict(pair)
            if verdict.answer.value == "closed":
                return size, pair, verdict.certificate
            if not isinstance(verdict.certificate, NotClosedCertificate):
                continue  # unknown
            for change in self._zone(pair, verdict.certificate, done):
                more = (*done, change)
                if frozenset(more) not in seen:
                    seen.add(frozenset(more))
                    count = so.lu_window_count(list(self._changed(more)))
                    heapq.heappush(queue, (size + 1, count, next(order), more))
        return None

    def _zone(self, pair: Pair, certificate: Any, done: tuple[Change, ...]) -> Iterator[Change]:
        """Yield the allowed changes in the rows and columns of a proof of "not closed"."""
        rows, columns = list(certificate.rows), list(certificate.columns)
        places = [(0, i, k) for i in rows for k in range(pair[0].shape[1])]
        places += [(1, k, j) for k in range(pair[1].shape[0]) for j in columns]
        for place in places:
            present = bool(pair[place[0]][place[1:]])
            allowed = self.problem.allow
            if place not in done and allowed in ("both", "remove" if present else "add"):
                yield place

    def _changed(self, changes: tuple[Change, ...]) -> Pair:
        left, right = self.given[0].copy(), self.given[1].copy()
        for factor, i, j in changes:
            matrix = (left, right)[factor]
            matrix[i, j] = not matrix[i, j]
        return left, right

    def _restored(self, best: Found, rng: np.random.Generator) -> Found:
        """Undo changes, several at a time, as long as the supports stay proved closed."""
        chunk = max(1, best[0] // 4)
        while self.left():
            current = best[1]
            places = [
                (f, int(i), int(j))
                for f in (0, 1)
                for i, j in np.argwhere(current[f] != self.given[f])
            ]
            rng.shuffle(places)
            improved = False
            for start in range(0, len(places), chunk):
                if not self.left():
                    break
                trial = best[1][0].copy(), best[1][1].copy()
                for f, i, j in places[start : start + chunk]:
                    trial[f][i, j] = self.given[f][i, j]
                found = self.verdict(trial)
                if found.answer.value == "closed":
                    best = (self.changes(trial), trial, found.certificate)
                    improved = True
            if chunk > 1:
                chunk //= 2
            elif not improved:
                break
        return best

    def bound(self, changes: int) -> list[Any]:
        """Return proofs of "not closed" with disjoint rows and disjoint columns."""
        if not changes:
            return []
        left, right = self.given
        problem = so.Closedness([left, right], self.problem.field)
        rows, columns = np.ones(left.shape[0], bool), np.ones(right.shape[1], bool)
        proofs: list[Any] = []
        while rows.any() and columns.any() and len(proofs) < changes:
            some = left * rows[:, None], right * columns
            window = find_window(*some)
            if window is None:
                break
            proofs.append(window_certificate(problem, window)[1])
            rows[list(window.rows)] = False
            columns[list(window.columns)] = False
        verdict = self.verdict(self.given)
        if not proofs and isinstance(verdict.certificate, NotClosedCertificate):
            proofs.append(verdict.certificate)
        return proofs
