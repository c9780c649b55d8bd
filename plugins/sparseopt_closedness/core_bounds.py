"""Lower bounds on repairs by windows with weights: a linear program by column generation.

The windows and what keeps them: `sparseopt.closedness.cores`. The weights are the dual of
min sum c_e y_e, y(H_w) >= 1, y >= 0; windows that the present y violates are added until there
is none, or the time is up: the weights of any round are a valid bound.
"""

from __future__ import annotations

import importlib.util
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse

from sparseopt.closedness.cores import Core, Entry
from sparseopt_closedness import core_kernels

MOST_A_ROUND = 600
MOST_AN_ENTRY = 3
LARGEST_DENOMINATOR = 10_000
Pair = tuple[np.ndarray, np.ndarray]
Tables = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Prices and cells of blockers by term and row, and by term and column."""


def has_numba() -> bool:
    """Return whether kernels can be compiled."""
    return importlib.util.find_spec("numba") is not None


@dataclass(frozen=True, eq=False)
class _Cells:
    """How often every cell is covered, by which terms, and which term owns it."""

    count: np.ndarray
    cover: np.ndarray
    owner: np.ndarray

    @classmethod
    def of(cls, left: np.ndarray, right: np.ndarray) -> _Cells:
        count = left.astype(np.int64) @ right.astype(np.int64)
        most = max(1, int(count.max()))
        cover = np.full((*count.shape, most), -1, dtype=np.int64)
        place = np.zeros_like(count)
        for k in range(left.shape[1]):
            rows, columns = np.nonzero(np.logical_and.outer(left[:, k], right[k]))
            cover[rows, columns, place[rows, columns]] = k
            place[rows, columns] += 1
        owner = np.where(count == 1, cover[:, :, 0], -1)
        return cls(count, cover, owner)


class CoreBound:
    """Column generation; `cores` and `value` are those of the best round so far."""

    def __init__(self, given: Pair, allow: str, costs: Any, seed: int, fast: bool) -> None:
        self.left, self.right = (np.ascontiguousarray(s, dtype=np.uint8) for s in given)
        self.allow, self.fast = allow, fast
        self.cells = _Cells.of(*given)
        self.rng = np.random.default_rng(seed)
        self.costs = costs
        self.windows: list[Core] = []
        self.known: set[frozenset[Entry]] = set()
        self.cores: list[Core] = []
        self.value = Fraction(0)

    def run(self, left: Callable[[], float], enough: Fraction | int | None = None) -> bool:
        """Improve the bound while there are seconds `left`; return whether it is the best."""
        prices = [np.zeros(self.left.shape), np.zeros(self.right.shape)]
        while left() > 0:
            added = self._separate(prices, left)
            if not added:
                return left() > 0
            solved = self._solve(left)
            if solved is None:
                if not self.cores:
                    self.cores = self._apart()
                    self.value = sum((core.weight for core in self.cores), Fraction(0))
                return False
            prices, weights = solved
            cores = self._rational(weights)
            value = sum((core.weight for core in cores), Fraction(0))
            if value > self.value:
                self.cores, self.value = cores, value
            if enough is not None and self.value >= enough:
                return True
        return False

    def _cost(self, entry: Entry) -> float:
        return 1.0 if self.costs is None else float(self.costs[entry[0]][entry[1:]])

    def _separate(self, prices: list[np.ndarray], left: Callable[[], float]) -> int:
        """Add the cheapest windows; return how many."""
        x, y = (p + self.rng.random(p.shape) * 1e-7 for p in prices)
        r, n = self.right.shape
        tables = self.blockers(x, y)
        out, price_out = np.zeros((n, 4), dtype=np.int64), np.zeros(n)
        found: list[tuple[float, int, int, tuple[int, ...]]] = []
        for k in self.rng.permutation(r).tolist():
            for i2 in np.flatnonzero(self.left[:, k]).tolist():
                if left() <= 0:
                    break
                number = self.windows_of(k, i2, x, y, tables, out, price_out)
                for s in range(number):
                    found.append((float(price_out[s]), k, i2, tuple(out[s].tolist())))
        found.sort()
        load: dict[Entry, int] = defaultdict(int)
        added = 0
        for price, k, i2, place in found:
            if price >= 1 - 1e-5 or added >= MOST_A_ROUND or (added and left() <= 0):
                break
            core = self.core(k, i2, place, x, y, tables)
            entries = frozenset(core.entries(self.allow))
            if entries in self.known or any(load[e] >= MOST_AN_ENTRY for e in entries):
                continue
            for e in entries:
                load[e] += 1
            self.known.add(entries)
            self.windows.append(core)
            added += 1
        return added

    def blockers(self, x: np.ndarray, y: np.ndarray) -> Tables:
        """Return the cheapest blocker of every term in every row and in every column."""
        (m, r), n = self.left.shape, self.right.shape[1]
        places = np.zeros((r, m, 2), dtype=np.int64), np.zeros((r, n, 2), dtype=np.int64)
        tables = np.empty((r, m)), places[0], np.empty((r, n)), places[1]
        if self.allow == "remove":
            self._kernel(core_kernels.blockers)(
                self.left, self.right, self.cells.owner, x, y, *tables
            )
        return tables

    def _kernel(self, kernel: Any) -> Any:
        return core_kernels.compiled(kernel, self.fast)

    def windows_of(
        self, k: int, i2: int, x: np.ndarray, y: np.ndarray, tables: Tables, out: Any, prices: Any
    ) -> int:
        fixed = (self.left, self.right, self.cells.count, self.cells.cover, x, y)
        if self.allow == "remove":
            kernel = self._kernel(core_kernels.blocked_windows)
            return int(kernel(*fixed, tables[0], tables[2], k, i2, out, prices))
        kernel = self._kernel(core_kernels.zero_windows)
        return int(kernel(*fixed, self.allow == "both", k, i2, out, prices))

    def core(
        self, k: int, i2: int, place: tuple[int, ...], x: np.ndarray, y: np.ndarray, tables: Any
    ) -> Core:
        """Return the window with its cheapest blockers or zeros."""
        i1, j1, j2, other = place
        core = Core(k, (i1, i2), (j1, j2), other, (), (), Fraction(0))
        if self.allow != "remove":
            return core._replace(zeros=self._zeros(core, x, y))
        row_best, row_at, column_best, column_at = tables
        corners: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for i, j in core.corners:
            for c in self.cells.cover[i, j, : self.cells.count[i, j]].tolist():
                if c != k:
                    corners[c].append((i, j))
        blocked = []
        for c, cells in sorted(corners.items()):
            rows, columns = {i for i, _ in cells}, {j for _, j in cells}
            by_row = row_best[c, cells[0][0]] if len(rows) == 1 else np.inf
            by_column = column_best[c, cells[0][1]] if len(columns) == 1 else np.inf
            if by_row <= by_column:
                line = cells[0][0]
                blocked.append((c, "row", line, *row_at[c, line].tolist()))
            else:
                line = cells[0][1]
                blocked.append((c, "column", line, *column_at[c, line].tolist()))
        return core._replace(blockers=tuple(blocked))

    def _zeros(self, core: Core, x: np.ndarray, y: np.ndarray) -> tuple[Entry, ...]:
        (i1, i2), (j1, j2) = core.rows, core.columns
        zeros: list[Entry] = []
        for c in range(self.left.shape[1]):
            if c == core.term:
                continue
            pairs: list[tuple[Entry, Entry]] = [
                ((1, c, j1), (0, i1, c)),
                ((0, i2, c), (0, i1, c)),
                ((1, c, j1), (1, c, j2)),
            ]
            free = [p for p in pairs if not any((self.left, self.right)[f][a, b] for f, a, b in p)]
            zeros += min(free, key=lambda p: sum((x, y)[f][a, b] for f, a, b in p))
        return tuple(sorted(set(zeros)))

    def _solve(self, left: Callable[[], float]) -> tuple[list[np.ndarray], np.ndarray] | None:
        """Return the prices of the entries and the weights of the windows so far."""
        cores = [sorted(core.entries(self.allow)) for core in self.windows]
        entries = sorted({e for core in cores for e in core})
        number = {e: s for s, e in enumerate(entries)}
        indptr = np.cumsum([0, *map(len, cores)])
        indices = np.array([number[e] for core in cores for e in core])
        matrix = scipy.sparse.csr_array(
            (np.ones(len(indices)), indices, indptr), shape=(len(cores), len(entries))
        )
        costs = np.array([self._cost(e) for e in entries])
        scale = costs.max(initial=0.0) or 1.0
        found = scipy.optimize.linprog(
            costs / scale,
            A_ub=-matrix,
            b_ub=-np.ones(len(cores)),
            method="highs-ipm",
            options={"time_limit": max(left(), 0.05)},
        )
        if found.x is None or found.status != 0:
            return None
        prices = [np.zeros(self.left.shape), np.zeros(self.right.shape)]
        for e, value in zip(entries, found.x, strict=True):
            prices[e[0]][e[1:]] = max(0.0, value)
        return prices, np.maximum(0.0, -found.ineqlin.marginals) * scale

    def _apart(self) -> list[Core]:
        """Return windows whose cores share no entry, each with its cheapest entry as weight."""
        taken: set[Entry] = set()
        found = []
        for core in self.windows:
            entries = core.entries(self.allow)
            weight = min(Fraction(self._cost(e)) for e in entries)
            if weight > 0 and not taken & entries:
                taken |= entries
                found.append(core._replace(weight=weight))
        return found

    def _rational(self, weights: np.ndarray) -> list[Core]:
        """Return the windows with fractions as weights that no entry carries beyond its cost."""
        largest = float(weights.max(initial=0.0))
        rounded = []
        for core, weight in zip(self.windows, weights.tolist(), strict=True):
            if weight > 1e-9 * largest:
                share = Fraction(weight / largest).limit_denominator(LARGEST_DENOMINATOR)
                rounded.append(core._replace(weight=share * Fraction(largest)))
        if self.costs is None:
            rounded = [
                core._replace(weight=core.weight.limit_denominator(LARGEST_DENOMINATOR))
                for core in rounded
            ]
        rounded = [core for core in rounded if core.weight > 0]
        load: dict[Entry, Fraction] = defaultdict(Fraction)
        for core in rounded:
            for e in core.entries(self.allow):
                load[e] += core.weight
        over = Fraction(1)
        for e, carried in load.items():
            cost = Fraction(self._cost(e))
            if cost == 0:
                return []
            over = max(over, carried / cost)
        exact = [core._replace(weight=core.weight / over) for core in rounded]
        if self.costs is None:
            return exact
        # Sums of fractions with many denominators would have thousands of digits.
        unit = Fraction(2) ** (math.frexp(largest)[1] - 40)
        floored = [core._replace(weight=core.weight // unit * unit) for core in exact]
        return [core for core in floored if core.weight > 0]


def written(cores: list[Core]) -> list[list[Any]]:
    """Return windows as `ClosedSupportCertificate` holds them."""
    return [
        [
            core.term,
            list(core.rows),
            list(core.columns),
            core.other,
            [list(b) for b in core.blockers],
            [list(z) for z in core.zeros],
            core.weight,
        ]
        for core in cores
    ]
