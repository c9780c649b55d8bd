"""Local search for closed supports near given ones, around the compiled test."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]

COLDEST = 0.2
"""Temperatures of annealing fall from here, in mean costs of an entry, to 0."""
LINES_COLDEST = 1.0
"""The same where lines are searched."""
COOLING = 20_000
"""Steps after which lines are cold: the digits end no lower with four times as many."""
REHEATED = 0.7
"""What of the first warmth a search of lines gets that goes on from the best: the digits end lower
than from new beginnings, and with 0.5 they do not get away from where they are."""


def never() -> np.ndarray:
    """Return a flag that nothing sets, for searches that run to their end."""
    return np.zeros(1, dtype=np.int64)


def words_of(sets: np.ndarray) -> np.ndarray:
    """Return bool rows as int64 words of 64 bits."""
    count, size = sets.shape
    wide = np.zeros((count, (size + 63) // 64 * 64), dtype=np.uint8)
    wide[:, :size] = sets
    packed = np.packbits(wide, axis=1, bitorder="little")
    return packed.view(np.int64).reshape(count, -1).copy()


@dataclass(frozen=True, eq=False)
class Entries:
    """The entries that may change: places (factor, row, column), costs, and whether they are 1."""

    given: Pair
    places: np.ndarray
    weights: np.ndarray
    present: np.ndarray

    @classmethod
    def of(cls, given: Pair, allow: str, costs: Any) -> Entries:
        """Return the ones, the zeros, or both of supports; costs are scaled to a mean of 1."""
        left, right = given
        parts, weights = [], []
        for factor, support in enumerate((left, right)):
            if allow == "both":
                mask = np.ones_like(support)
            else:
                mask = support if allow == "remove" else ~support
            at = np.argwhere(mask)
            parts.append(np.column_stack([np.full(len(at), factor), at]))
            cost = np.ones(support.shape) if costs is None else np.asarray(costs[factor])
            weights.append(cost[mask])
        places = np.ascontiguousarray(np.vstack(parts), dtype=np.int64)
        weight = np.concatenate(weights).astype(float)
        largest = weight.max(initial=0.0)
        scaled = weight / largest if largest > 0 else weight
        mean = scaled.mean() if scaled.size and scaled.any() else 1.0
        entries = cls(given, places, scaled / mean, np.zeros(len(places), dtype=np.int64))
        return replace(entries, present=entries.changed_in(given))

    def changed_in(self, pair: Pair) -> np.ndarray:
        """Return for each entry 1 if it differs in a pair, else 0."""
        factor, a, b = self.places.T
        there = np.empty(len(self.places), dtype=np.int64)
        for f in (0, 1):
            mine = factor == f
            there[mine] = pair[f][a[mine], b[mine]]
        return there ^ self.present

    def pair_of(self, changed: np.ndarray) -> Pair:
        """Return the supports with some entries changed."""
        left, right = self.given[0].copy(), self.given[1].copy()
        for factor in (0, 1):
            mine = (self.places[:, 0] == factor) & (changed != 0)
            at = self.places[mine]
            (left, right)[factor][at[:, 1], at[:, 2]] ^= True
        return left, right

    def by_term(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where the entries of every term start, and the entries in that order."""
        r = self.given[0].shape[1]
        term = np.where(self.places[:, 0] == 0, self.places[:, 2], self.places[:, 1])
        order = np.argsort(term, kind="stable")
        starts = np.searchsorted(term[order], np.arange(r + 1))
        return starts.astype(np.int64), order.astype(np.int64)

    def transposed(self) -> Entries:
        """The same for the transposed matrices, in the same order."""
        flipped = np.column_stack([1 - self.places[:, 0], self.places[:, 2], self.places[:, 1]])
        given = (self.given[1].T.copy(), self.given[0].T.copy())
        return Entries(given, np.ascontiguousarray(flipped), self.weights, self.present)


class LocalSearch:
    """Ruin and recreate; a step ruins a part and undoes what the test lets be undone.

    Parameters
    ----------
    entries : Entries
    start : pair of bool arrays
        Closed supports, or any; entries are dropped until the test holds.
    guard : bool
        Whether lines that are cut off are fined.
    seed : int
    stop : int array, shape (1,), optional
        Steps end soon after it is not 0, see `sparseopt_closedness.repair_clock.Alarm`.
    """

    def __init__(
        self, entries: Entries, start: Pair, guard: bool, seed: int, stop: np.ndarray | None = None
    ) -> None:
        from sparseopt_closedness import repair_kernels as kernels

        self.kernels, self.entries, self.stop = kernels, entries, never() if stop is None else stop
        self.rng = np.random.default_rng(seed)
        (m, r), n = entries.given[0].shape, entries.given[1].shape[1]
        self.size = m, n, r * (min(m, n) // 2 + 1) + 1
        self.starts, self.order = entries.by_term()
        self.wide = words_of(entries.given[0].T), words_of(entries.given[1])
        self.rows, self.columns = words_of(start[0].T), words_of(start[1])
        self.changed = entries.changed_in(start)
        self.fine = float(entries.weights.sum() + 1.0) if guard else 0.0
        self.adds = bool((entries.present == 0).any())
        closed = kernels.unstick(
            entries.places,
            entries.present,
            self.starts,
            self.order,
            self.rows,
            self.columns,
            self.changed,
            *self.size,
            self.stop,
        )
        kernels.restore(
            entries.places,
            entries.weights,
            entries.present,
            self.rows,
            self.columns,
            self.changed,
            *self.size,
            0,
            np.ones(r, dtype=np.int64),
            self.stop,
        )
        self.best = self.changed.copy()
        self.cost = self.least = self._price(self.changed) if closed else np.inf
        self.steps = 1

    def _price(self, changed: np.ndarray) -> float:
        e, (m, n, _) = self.entries, self.size
        return float(self.kernels.priced(e.places, e.weights, e.present, changed, m, n, self.fine))

    def run(self, left: Callable[[], float], annealed: bool) -> None:
        """Search while `left`, the share of the time that is left, is positive."""
        e = self.entries
        while (share := left()) > 0:
            warm = COLDEST * share if annealed else 0.0
            seed = float(self.rng.integers(2**31))
            settings = np.array(
                [seed, self.steps, warm, self.fine, self.adds, self.cost, self.least]
            )
            self.cost, self.least = self.kernels.search(
                e.places,
                e.weights,
                e.present,
                self.starts,
                self.order,
                self.rows,
                self.columns,
                self.changed,
                self.best,
                *self.wide,
                *self.size,
                settings,
                self.stop,
            )

    def found(self) -> Pair:
        """Return the best supports."""
        return self.entries.pair_of(self.best)


class LineSearch:
    """The same for supports in which every column can be solved for; of removals only."""

    def __init__(
        self, entries: Entries, guard: bool, seed: int, stop: np.ndarray | None = None
    ) -> None:
        from sparseopt_closedness import line_kernels as kernels

        self.kernels, self.entries, self.stop = kernels, entries, never() if stop is None else stop
        self.rng = np.random.default_rng(seed)
        left, right = entries.given
        # One row a term, the one that the fewest terms have so far: rows stay alive.
        thin, load = np.zeros_like(left), np.zeros(left.shape[0])
        for k in self.rng.permutation(left.shape[1]).tolist():
            rows = np.flatnonzero(left[:, k])
            if len(rows):
                chosen = rows[np.argmin(load[rows])]
                load[chosen] += 1
                thin[chosen, k] = True
        self.left, self.right = thin.astype(np.int64), right.astype(np.int64)
        self.guard, self.seed, self.steps = guard, seed, 0
        self.changed = entries.changed_in((thin, right))
        self.best = self.changed.copy()
        self.fine = float(entries.weights.sum() + 1.0) if guard else 0.0
        lines = left.shape[0], right.shape[1]
        self.cost = self.least = float(
            kernels.priced(
                entries.places, entries.weights, entries.present, self.changed, *lines, self.fine
            )
        )

    def anew(self, seed: int) -> LineSearch:
        """Return a search for the same from other beginnings."""
        return LineSearch(self.entries, self.guard, seed, self.stop)

    def reheated(self, seed: int, best: np.ndarray, least: float) -> LineSearch:
        """Return a search that goes on from what was found, and what it costs."""
        other = self.anew(seed)
        other.left, other.right = (s.astype(np.int64) for s in self.entries.pair_of(best))
        other.changed, other.best = best.copy(), best.copy()
        other.cost = other.least = least
        other.steps = round((1.0 - REHEATED) * COOLING)
        return other

    def run(self, left: Callable[[], float], annealed: bool = True) -> None:
        """Search while `left`, the share of the time that is left, is positive, and until cold."""
        e, many = self.entries, 20
        while (share := min(left(), 1.0 - self.steps / COOLING)) > 0:
            warm = LINES_COLDEST * share if annealed else 0.0
            seed = float(self.rng.integers(2**31))
            settings = np.array([seed, many, warm, self.fine, self.cost, self.least])
            self.steps += many
            self.cost, self.least = self.kernels.line_search(
                e.places,
                e.weights,
                e.present,
                self.changed,
                self.best,
                self.left,
                self.right,
                settings,
                self.stop,
            )

    def found(self) -> Pair:
        """Return the best supports."""
        return self.entries.pair_of(self.best)


class LineChains:
    """Searches of lines side by side, a thread each; those that are cold go on from the best.

    Parameters
    ----------
    first : LineSearch
        Goes on; the others are as it was at the beginning, of other seeds.
    threads : int
    """

    def __init__(self, first: LineSearch, threads: int) -> None:
        self.least, self.best = first.least, first.best
        self._chains = [first, *(first.anew(first.seed + k) for k in range(1, threads))]
        self._seed = first.seed + threads

    def run(self, left: Callable[[], float], annealed: bool = True) -> None:
        """Search while `left`, the share of the time that is left, is positive."""
        while left() > 0:
            with ThreadPoolExecutor(len(self._chains)) as pool:
                list(pool.map(lambda chain: chain.run(left, annealed), self._chains))
            for number, chain in enumerate(self._chains):
                if chain.least < self.least:
                    self.least, self.best = chain.least, chain.best
                if chain.steps >= COOLING:
                    self._chains[number] = chain.reheated(self._seed, self.best, self.least)
                    self._seed += 1


class AddSearch:
    """Undo additions one by one while the test holds, again and again in other orders."""

    def __init__(
        self, entries: Entries, start: Pair, seed: int, stop: np.ndarray | None = None
    ) -> None:
        from sparseopt_closedness import closed_kernels, repair_kernels

        self.stop = never() if stop is None else stop
        self.stuck_terms, self.kernels = closed_kernels.stuck_terms, repair_kernels
        self.entries = entries
        self.rng = np.random.default_rng(seed)
        (m, r), n = entries.given[0].shape, entries.given[1].shape[1]
        self.size = m, n, r * (min(m, n) // 2 + 1) + 1
        self.start = entries.changed_in(start)
        self.best = self.start.copy()
        self.least = float((entries.weights * self.start).sum())

    def run(self, left: Callable[[], float], annealed: bool = False) -> None:
        """Put some of the additions back to where it started, and undo them again."""
        e = self.entries
        while left() > 0:
            changed = self.best.copy()
            if self.rng.random() < 0.8:
                changed |= self.start & (self.rng.random(len(changed)) < self.rng.random() * 0.5)
            else:
                changed = self.start.copy()
            left_side, right_side = e.pair_of(changed)
            rows, columns = words_of(left_side.T), words_of(right_side)
            flags = np.zeros(len(rows), dtype=np.int64)
            if self.stuck_terms(rows, columns, *self.size, flags):
                continue
            self.kernels.restore(
                e.places,
                e.weights,
                e.present,
                rows,
                columns,
                changed,
                *self.size,
                int(self.rng.integers(3)),
                np.ones(len(rows), dtype=np.int64),
                self.stop,
            )
            cost = float((e.weights * changed).sum())
            if cost <= self.least:
                self.least, self.best = cost, changed
