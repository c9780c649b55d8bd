"""Search for a proof that a matrix is no product with given supports.

The proof is a tree of the rules of `sparseopt.closedness.exclusion`, found by a depth-first search:
what is forced is written down first, then minors are looked at, then a variable is split.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from sparseopt.closedness.exclusion import Exclusion, Matrix, has_constant_determinant, rank
from sparseopt.closedness.masked import Masked

Variable = tuple[Any, ...]


class _GaveUp(Exception):
    """The node budget is spent, or nothing is left to split."""


class ExclusionSearch:
    """Searches for one tree.

    Parameters
    ----------
    state : Masked
        The blocks and observed cells, in local numbering.
    matrix : list of list of Fraction
        The matrix to exclude; what stands at cells that are not observed is not looked at.
    budget : int
        Largest number of branches.
    """

    def __init__(self, state: Masked, matrix: Matrix, budget: int) -> None:
        self.state, self.matrix, self.budget = state, matrix, budget
        self.cells = [(int(i), int(j)) for i, j in np.argwhere(state.observed)]
        self.terms = {
            (i, j): np.flatnonzero(state.left[i] & state.right[:, j]).tolist()
            for i, j in self.cells
        }
        self.minors = self._nonzero_minors()

    def root_minor(self) -> bool:
        """Return whether a minor is not zero that vanishes for all products."""
        return any(len(live) < len(rows) for rows, _, live in self._live_minors(set()))

    def run(self) -> Any | None:
        """Return a tree, or None."""
        try:
            return self._prove(set(), set(), {}, set())
        except _GaveUp:
            return None

    def _nonzero_minors(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        m, n = self.state.observed.shape
        found = []
        for size in range(2, min(m, n, len(self.state.origin) + 1, 4) + 1):
            for rows in combinations(range(m), size):
                for columns in combinations(range(n), size):
                    if not self.state.observed[np.ix_(rows, columns)].all():
                        continue
                    if rank([[self.matrix[i][j] for j in columns] for i in rows]) == size:
                        found.append((rows, columns))
        return found

    def _live_minors(self, zero: set[Variable]) -> Any:
        for rows, columns in self.minors:
            live = {
                k
                for i in rows
                for j in columns
                for k in self.terms[i, j]
                if ("x", i, k) not in zero and ("y", k, j) not in zero
            }
            yield rows, columns, live

    def _prove(
        self,
        zero: set[Variable],
        nonzero: set[Variable],
        values: dict[Variable, Fraction],
        scaled: set[int],
    ) -> Any:
        """Return a tree that closes this branch. The sets are this branch's own copies."""
        self.budget -= 1
        if self.budget < 0:
            raise _GaveUp
        path: list[tuple[Any, ...]] = []
        while True:
            leaf = self._cell_rules(zero, nonzero, path)
            leaf = leaf or self._lines(zero, nonzero, values, path)
            if leaf is not None:
                return _wrap(path, leaf)
            if path and path[-1] == ("changed",):
                path.pop()
                continue
            if not self._scale(nonzero, values, scaled, path):
                break
        for rows, columns, live in self._live_minors(zero):
            if len(live) < len(rows):
                return _wrap(path, ["minor", list(rows), list(columns)])
        leaf = self._free_minor(zero)
        if leaf is not None:
            return _wrap(path, leaf)
        name = self._choose(zero, nonzero)
        if_zero = self._prove(zero | {name}, set(nonzero), dict(values), set(scaled))
        if_nonzero = self._prove(set(zero), nonzero | {name}, dict(values), set(scaled))
        return _wrap(path, ["split", list(name), if_zero, if_nonzero])

    def _free_minor(self, zero: set[Variable]) -> Any:
        """Return a minor with unknown entries that fewer terms than its size cannot reach."""
        (m, n), r = self.state.observed.shape, len(self.state.origin)
        rules = Exclusion(self.state.left, self.state.right, self.matrix, self.state.observed)
        rules.zero = zero
        for size in range(2, min(m, n, r + 1, 3) + 1):
            for terms in combinations(range(r), size - 1):
                chosen = list(terms)
                entries = [[rules.known_entry(i, j, chosen) for j in range(n)] for i in range(m)]
                for rows in combinations(range(m), size):
                    if all(e is None for i in rows for e in entries[i]):
                        continue
                    for columns in combinations(range(n), size):
                        block = [[entries[i][j] for j in columns] for i in rows]
                        if has_constant_determinant(block):
                            return ["free_minor", list(rows), list(columns), chosen]
        return None

    def _live(self, cell: tuple[int, int], zero: set[Variable]) -> list[int]:
        i, j = cell
        return [k for k in self.terms[cell] if ("x", i, k) not in zero and ("y", k, j) not in zero]

    def _cell_rules(self, zero: set[Variable], nonzero: set[Variable], path: list[Any]) -> Any:
        """Apply what single cells force, to a fixpoint; return a closing leaf or None."""
        changed = True
        while changed:
            changed = False
            for i, j in self.cells:
                live = self._live((i, j), zero)
                value = self.matrix[i][j]
                if len(live) > 1 or not (live or value):
                    continue
                close = ["cell", i, j]
                if not live:
                    return close
                x, y = ("x", i, live[0]), ("y", live[0], j)
                if value:
                    for name in (x, y):
                        if name not in nonzero:
                            path.append(("nonzero", name, close))
                            nonzero.add(name)
                            changed = True
                elif x in nonzero and y in nonzero:
                    return close
                elif x in nonzero or y in nonzero:
                    name = y if x in nonzero else x
                    path.append(("zero", name, close))
                    zero.add(name)
                    changed = True
        return None

    def _scale(
        self,
        nonzero: set[Variable],
        values: dict[Variable, Fraction],
        scaled: set[int],
        path: list[Any],
    ) -> bool:
        for name in sorted(nonzero):
            term = name[2] if name[0] == "x" else name[1]
            if term not in scaled and name not in values:
                scaled.add(term)
                values[name] = Fraction(1)
                path.append(("scale", name))
                return True
        return False

    def _lines(
        self,
        zero: set[Variable],
        nonzero: set[Variable],
        values: dict[Variable, Fraction],
        path: list[Any],
    ) -> Any:
        """Solve one line with known values; return a closing leaf, or None.

        If something new is known, ("changed",) is put at the end of the path.
        """
        if not values:
            return None
        rules = Exclusion(self.state.left, self.state.right, self.matrix, self.state.observed)
        rules.zero, rules.nonzero, rules.values = zero, nonzero, values
        m, n = self.state.observed.shape
        for turned, lines, count in ((False, n, m), (True, m, n)):
            for line in range(lines):
                places = [
                    p
                    for p in range(count)
                    if self._known((line, p) if turned else (p, line), turned, zero, values)
                ]
                if not places:
                    continue
                found = rules.line_values(line, places, turned)
                rule = "line_t" if turned else "line"
                if found is None or any(v == 0 and name in nonzero for name, v in found.items()):
                    return [rule, line, places, None]
                if found:
                    path += [(rule, line, places), ("changed",)]
                    values.update(found)
                    zero.update(name for name, v in found.items() if v == 0)
                    nonzero.update(name for name, v in found.items() if v != 0)
                    return None
        return None

    def _known(
        self,
        cell: tuple[int, int],
        turned: bool,
        zero: set[Variable],
        values: dict[Variable, Fraction],
    ) -> bool:
        """Return whether all given sides of the live terms at a cell have values."""
        if cell not in self.terms:
            return False
        i, j = cell
        return all(
            (("y", k, j) if turned else ("x", i, k)) in values for k in self._live(cell, zero)
        )

    def _choose(self, zero: set[Variable], nonzero: set[Variable]) -> Variable:
        """Return an undecided variable at a cell with the fewest live terms."""
        best: tuple[tuple[int, int, int], Variable] | None = None
        for i, j in self.cells:
            live = self._live((i, j), zero)
            for k in live:
                for name in (("x", i, k), ("y", k, j)):
                    if name in nonzero:
                        continue
                    partner = ("y", k, j) if name[0] == "x" else ("x", i, k)
                    key = (len(live), int(self.matrix[i][j] != 0), int(partner not in nonzero))
                    if best is None or key < best[0]:
                        best = (key, name)
        if best is None:
            raise _GaveUp
        return best[1]


def _wrap(path: list[tuple[Any, ...]], leaf: Any) -> Any:
    """Put the forced steps of a branch around what closes it."""
    tree = leaf
    for kind, *rest in reversed(path):
        if kind == "nonzero":
            tree = ["split", list(rest[0]), rest[1], tree]
        elif kind == "zero":
            tree = ["split", list(rest[0]), tree, rest[1]]
        elif kind == "scale":
            tree = ["scale", list(rest[0]), tree]
        elif kind in ("line", "line_t"):
            tree = [kind, *rest, tree]
    return tree


def exclude(state: Masked, matrix: Matrix, budget: int) -> Any | None:
    """Return a tree that proves that `matrix` is no product, or None."""
    return ExclusionSearch(state, matrix, budget).run()
