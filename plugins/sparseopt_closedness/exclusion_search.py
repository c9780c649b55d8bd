"""Search for a proof that a matrix is not a product with given supports.

The proof is a tree of the rules of `sparseopt.closedness.proofs.exclusion`, found by a depth-first
search: what is forced is written down first, then minors are looked at, then a variable is split.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from sparseopt.choosing.availability import is_installed
from sparseopt.closedness.proofs.exclusion_branch import ExclusionBranch, Matrix
from sparseopt.closedness.proofs.exclusion_cells import has_constant_determinant
from sparseopt.closedness.proofs.exclusion_lines import Line
from sparseopt.closedness.proofs.observed import ObservedProblem
from sparseopt.judging.exact import rank

Variable = tuple[Any, ...]
MOST_MINORS = 2000
"""Minors of one size that are looked at, and determinants with unknowns per branch."""


class _GaveUp(Exception):
    """The node budget is spent, or nothing is left to split and no identity is found."""


class ExclusionSearch:
    """Searches for one tree.

    Parameters
    ----------
    state : ObservedProblem
        The blocks and observed cells, in local numbering.
    matrix : list of list of Fraction
        The matrix to exclude; what stands at cells that are not observed is not looked at.
    budget : int
        Largest number of branches.
    tick : callable
        Called now and then; raises to stop the search.
    steps : int
        Reduction steps of the search for an identity, once per branch where all is decided.
    """

    def __init__(
        self,
        state: ObservedProblem,
        matrix: Matrix,
        budget: int,
        tick: Callable[[], None] = lambda: None,
        steps: int = 0,
    ) -> None:
        self.state, self.matrix, self.budget, self.tick = state, matrix, budget, tick
        self.steps = steps
        self.cells = [(int(i), int(j)) for i, j in np.argwhere(state.observed)]
        self.terms = {
            (i, j): np.flatnonzero(state.left[i] & state.right[:, j]).tolist()
            for i, j in self.cells
        }
        self.values = np.array(matrix, dtype=float).reshape(state.observed.shape)
        # Two values for every entry that is not known: where they change a determinant, it is not
        # constant.
        self.drawn = np.random.default_rng(0).uniform(1.0, 3.0, (2, *state.observed.shape))
        self.minors = self._nonzero_minors()

    def root_minor(self) -> bool:
        """Return whether a minor is not zero that vanishes for all products."""
        return self._live_minor(set()) is not None

    def run(self) -> Any | None:
        """Return a tree, or None."""
        try:
            return self._prove(set(), set(), {}, set())
        except _GaveUp:
            return None

    def _nonzero_minors(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the rows and columns of minors that are not zero, arrays (count, size) by size."""
        found = []
        exact = all(v.denominator == 1 and abs(v) <= 1000 for row in self.matrix for v in row)
        for rows, columns in observed_windows(
            self.state.observed.tobytes(), self.state.observed.shape, len(self.state.origin) + 1
        ):
            if exact:
                blocks = self.values[rows[:, :, None], columns[:, None, :]]
                # Integers below 10^16: the nearest integer to the float is 0 only for 0.
                nonzero = np.rint(np.linalg.det(blocks)) != 0
            else:
                nonzero = np.array(
                    [
                        rank([[self.matrix[i][j] for j in js] for i in ins]) == rows.shape[1]
                        for ins, js in zip(rows.tolist(), columns.tolist(), strict=True)
                    ],
                    dtype=bool,
                )
            found.append((rows[nonzero], columns[nonzero]))
        return found

    def _live_masks(self, zero: set[Variable]) -> np.ndarray:
        """Return the live terms of every cell as bits, an array of uint64; all if over 63."""
        masks = np.zeros(self.state.observed.shape, dtype=np.uint64)
        for cell in self.cells:
            masks[cell] = sum(1 << k for k in self._live(cell, zero))
        return masks

    def _live_minor(self, zero: set[Variable]) -> list[Any] | None:
        """Return rows and columns of a minor that too few terms meet, or None."""
        if len(self.state.origin) > 63 or not any(len(rows) for rows, _ in self.minors):
            return None
        masks = self._live_masks(zero)
        for rows, columns in self.minors:
            blocks = masks[rows[:, :, None], columns[:, None, :]]
            live = np.bitwise_or.reduce(blocks, axis=(1, 2))
            low = np.flatnonzero(np.bitwise_count(live) < rows.shape[1])
            if low.size:
                return [rows[low[0]].tolist(), columns[low[0]].tolist()]
        return None

    def _prove(
        self,
        zero: set[Variable],
        nonzero: set[Variable],
        values: dict[Variable, Fraction],
        scaled: set[int],
    ) -> Any:
        """Return a tree that closes this branch. The sets are this branch's own copies."""
        self.tick()
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
        minor = self._live_minor(zero)
        if minor is not None:
            return _wrap(path, ["minor", *minor])
        leaf = self._free_minor(zero)
        if leaf is not None:
            return _wrap(path, leaf)
        name = self._choose(zero, nonzero)
        if name is None:
            return _wrap(path, self._identity(zero, nonzero, values))
        if_zero = self._prove(zero | {name}, set(nonzero), dict(values), set(scaled))
        if_nonzero = self._prove(set(zero), nonzero | {name}, dict(values), set(scaled))
        return _wrap(path, ["split", list(name), if_zero, if_nonzero])

    def _free_minor(self, zero: set[Variable]) -> Any:
        """Return a minor with unknown entries that fewer terms than its size cannot reach.

        Determinants at two draws of the unknowns: equal and not zero, or they are not constant.
        """
        observed, r = self.state.observed, len(self.state.origin)
        if r > 63:
            return None
        masks = self._live_masks(zero)
        everywhere = np.ones_like(observed).tobytes()
        for rows, columns in observed_windows(everywhere, observed.shape, min(r + 1, 3)):
            size = rows.shape[1]
            for terms in combinations(range(r), size - 1):
                others = masks & np.uint64((1 << r) - 1 - sum(1 << k for k in terms))
                unknown = ~observed | (others != 0)
                entries = np.where(unknown, self.drawn, self.values)
                first, second = np.linalg.det(entries[:, rows[:, :, None], columns[:, None, :]])
                likely = (np.abs(first - second) < 1e-6) & (np.abs(first) > 1e-6)
                for place in np.flatnonzero(likely).tolist():
                    block = [
                        [None if unknown[i, j] else self.matrix[i][j] for j in columns[place]]
                        for i in rows[place]
                    ]
                    if has_constant_determinant(block):
                        return [
                            "free_minor",
                            rows[place].tolist(),
                            columns[place].tolist(),
                            list(terms),
                        ]
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
        rules = ExclusionBranch(self.state.left, self.state.right, self.matrix, self.state.observed)
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
                found = Line(line, tuple(places), None, turned).values(rules)
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

    def _choose(self, zero: set[Variable], nonzero: set[Variable]) -> Variable | None:
        """Return an undecided variable at a cell with the fewest live terms, or None."""
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
        return None if best is None else best[1]

    def _identity(
        self, zero: set[Variable], nonzero: set[Variable], values: dict[Variable, Fraction]
    ) -> Any:
        """Return a combination of the equations that is 1, where every variable is decided."""
        if not self.steps or not is_installed("sympy"):
            raise _GaveUp
        from sparseopt_closedness.identities import identity_of

        rules = ExclusionBranch(self.state.left, self.state.right, self.matrix, self.state.observed)
        rules.zero, rules.nonzero, rules.values = zero, nonzero, values
        leaf = identity_of(rules, self.steps, self.tick)
        if leaf is None:
            raise _GaveUp
        return leaf


@lru_cache(maxsize=64)
def observed_windows(
    observed: bytes, shape: tuple[int, int], largest: int
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return rows and columns of observed s x s windows for s = 2 ... min(4, largest).

    Each as arrays (count, s); no more than `MOST_MINORS` of a size, the first ones.
    """
    cells = np.frombuffer(observed, dtype=bool).reshape(shape)
    found = []
    for size in range(2, min(*shape, largest, 4) + 1):
        pairs: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        for rows in combinations(range(shape[0]), size):
            seen = np.flatnonzero(cells[list(rows)].all(axis=0)).tolist()
            pairs += [(rows, columns) for columns in combinations(seen, size)]
            if len(pairs) > MOST_MINORS:
                break
        chosen = np.array(pairs[:MOST_MINORS], dtype=np.intp).reshape(-1, 2, size)
        found.append((chosen[:, 0], chosen[:, 1]))
    return tuple(found)


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
