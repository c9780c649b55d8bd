"""Chains that are not closed: matched curves of two neighbours, with single entries around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.closedness.chain_limits import ChainLimitCertificate
from sparseopt.closedness.chain_parts import SubChainCertificate
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt.closedness.proofs.chain_cases import chain_support
from sparseopt.closedness.proofs.observed import ObservedProblem
from sparseopt_closedness.matched_curves import LARGEST_SIZE, SMALL
from sparseopt_closedness.matched_search import Whole, whole_limit
from sparseopt_closedness.matched_windows import window_limit
from sparseopt_closedness.matchings import routes
from sparseopt_closedness.observed_windows import Limit, find_limit
from sparseopt_closedness.sizes import largest_pair, of_more

DRAWS = 10
"""Choices of entries around each pair of neighbours."""

Chain = Sequence[np.ndarray]


@dataclass(frozen=True)
class ChainCurves(so.Solver[so.Closedness]):
    """Not closed by a matched curve of two neighbours; decides nothing else.

    First on rows and columns that the other factors lead to one to one, then with one entry in
    each of their rows and columns, where the limit is compared with the products of two factors.

    Time O(n^3 L), memory O(n^2 L), for L supports of n x n; draws that are in vain come first.
    """

    def accepts(self, problem: so.Closedness) -> so.Accepted | so.Refused:
        """Take chains of more than two factors up to a size."""
        return of_more(problem, LARGEST_SIZE)

    def solve(
        self, problem: so.Closedness, context: so.Context
    ) -> tuple[so.ClosednessVerdict, ChainLimitCertificate | SubChainCertificate]:
        """Look at every pair of neighbours."""
        search = _Search(problem, context)
        certificate = search.by_parts() or search.by_cuts()
        if certificate is None:
            raise so.Inconclusive("no matched curve of two neighbours")
        return certificate.answer, certificate

    def cost(self, problem: so.Closedness) -> float:
        """Predict matchings; more than shortening a chain of small factors."""
        size = largest_pair(problem.supports)
        return 1e-3 + 1e-9 * size if size > SMALL else 3e-3 * len(problem.supports)

    def bytes_needed(self, problem: so.Closedness) -> float:
        """Predict copies of the supports, and matchings."""
        return 2.0**20 + 8.0 * sum(s.size for s in problem.supports)


class _Search:
    """Searches one chain."""

    def __init__(self, problem: so.Closedness, context: so.Context) -> None:
        self.problem, self.rng = problem, context.rng()
        self.supports = list(problem.supports)
        self.tick: Callable[[], None] = lambda: context.check_time("matching units of a chain")

    def by_parts(self) -> SubChainCertificate | None:
        """Return a pair of neighbours that is not closed where the others lead one to one."""
        for first in range(len(self.supports) - 1):
            self.tick()
            left, right = self.supports[first : first + 2]
            rows, top = _singles(self.supports[:first], left.shape[0])
            after = [s.T for s in self.supports[first + 2 :][::-1]]
            columns, bottom = _singles(after, right.shape[1])
            if len(rows) < 2 or len(columns) < 2:
                continue
            pair = so.Closedness([left[top], right[:, bottom]], self.problem.field)
            found = self._pair_limit(*pair.supports)
            if found is None:
                continue
            inner = NotClosedCertificate.proved(
                pair, found.rows, found.columns, found.left, found.right, found.limit, [],
                found.exclusion,
            )  # fmt: skip
            return SubChainCertificate.proved(
                self.problem, first, first + 1, tuple(rows), tuple(columns), inner
            )
        return None

    def _pair_limit(self, left: np.ndarray, right: np.ndarray) -> Limit | None:
        """Return a limit of two factors that is no product, on all their cells."""
        observed = np.ones((left.shape[0], right.shape[1]), dtype=bool)
        state = ObservedProblem(left, right, observed, tuple(range(left.shape[1])))
        found = find_limit(state, self.tick) or whole_limit(
            Whole.of(left, right, self.rng, self.tick)
        )
        small = left.shape[0] * left.shape[1] * right.shape[1] <= SMALL
        return window_limit(left, right, self.tick) if found is None and small else found

    def by_cuts(self) -> ChainLimitCertificate | None:
        """Return a curve whose limit is no product of the two sides of a cut."""
        for _ in range(DRAWS):
            for cut in range(1, len(self.supports)):
                self.tick()
                found = self._through(cut)
                if found is not None:
                    return found
        return None

    def _through(self, cut: int) -> ChainLimitCertificate | None:
        first, second = self.supports[cut - 1 : cut + 1]
        rows = routes(self.supports[: cut - 1], range(len(self.supports[0])), self.rng)
        after = [s.T for s in self.supports[cut + 1 :][::-1]]
        columns = routes(after, range(self.supports[-1].shape[1]), self.rng)
        if len(rows) < 2 or len(columns) < 2:
            return None
        left = first[[path[-1] for path in rows]]
        right = second[:, [path[-1] for path in columns]]
        outer = (
            chain_support(self.supports[:cut])[[path[0] for path in rows]],
            chain_support(self.supports[cut:])[:, [path[0] for path in columns]],
        )
        found = whole_limit(Whole.of(left, right, self.rng, self.tick, outer))
        if found is None:
            return None
        top, bottom = [rows[i] for i in found.rows], [columns[j] for j in found.columns]
        factors = [*led(top), *[_turned(curve) for curve in led(bottom)[::-1]]]
        factors.insert(cut - 1, self._inner(found.left, top, 0, cut > 1))
        factors.insert(cut, self._inner(found.right, bottom, 1, cut + 1 < len(self.supports)))
        return ChainLimitCertificate.proved(
            self.problem,
            tuple(path[0] for path in top),
            tuple(path[0] for path in bottom),
            factors,
            found.limit,
            cut,
            found.exclusion,
        )

    @staticmethod
    def _inner(curve: Any, paths: list[list[int]], side: int, moved: bool) -> list[list[Any]]:
        """Return a factor of the pair, its lines those that the paths lead to."""
        if not moved:
            return [list(entry) for entry in curve]
        result = [list(entry) for entry in curve]
        for entry in result:
            entry[side] = paths[entry[side]][-1]
        return result


def led(paths: list[list[int]]) -> list[list[list[Any]]]:
    """Return factors of single ones along paths, the lines of the first by number of the path."""
    if not paths:
        return []
    curves = []
    for place in range(len(paths[0]) - 1):
        curves.append(
            [
                [path[place] if place else number, path[place + 1], {0: 1}]
                for number, path in enumerate(paths)
            ]
        )
    return curves


def _turned(curve: list[list[Any]]) -> list[list[Any]]:
    return [[b, a, p] for a, b, p in curve]


def _singles(factors: Chain, size: int) -> tuple[list[int], list[int]]:
    """Return lines that lead through some factors to one place each, distinct, and these places."""
    if not factors:
        return list(range(size)), list(range(size))
    ends = chain_support(factors)
    first: dict[int, int] = {}
    for line in np.flatnonzero(ends.sum(axis=1) == 1).tolist():
        first.setdefault(int(ends[line].argmax()), line)
    return list(first.values()), list(first)
