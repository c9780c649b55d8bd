"""Search for trees of cases that prove a set of sums of blocks to be given by vanishing minors.

A leaf needs factors, see `factor_draws`: some are drawn, and whether they reach the target at the
generic point of the branch is tested with numbers modulo a prime.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from sparseopt.closedness.proofs.branch import Branch
from sparseopt.closedness.proofs.cases import cleared, pivoted, vanishes
from sparseopt.closedness.proofs.observed import ObservedProblem
from sparseopt.closedness.proofs.polynomials import (
    Polynomial,
    Variable,
    is_product,
    variable,
    variables,
    without_factors,
    write,
)
from sparseopt.judging.evidence import EvidenceError
from sparseopt.judging.exact import PRIME
from sparseopt_closedness.factor_draws import FactorDraw
from sparseopt_closedness.tree_search import CaseEffort, TreeSearch

LONGEST = 600
"""Letters of factors beyond which they are not repaired again."""


class CaseSearch(TreeSearch):
    """Searches for one tree for an observed problem on few rows and columns."""

    def __init__(
        self, state: ObservedProblem, effort: CaseEffort, seed: int, tick: Callable[[], None]
    ) -> None:
        super().__init__(state.observed, effort, seed, tick)
        self.state = state
        self.minors = list(self._vanishing())
        self.column_pairs = line_pairs(state)
        self.row_pairs = line_pairs(state.transposed)
        self.column_kinds = line_kinds(state)
        self.row_kinds = line_kinds(state.transposed)

    def _vanishing(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        used_rows = np.flatnonzero(self.state.observed.any(axis=1)).tolist()
        used_columns = np.flatnonzero(self.state.observed.any(axis=0)).tolist()
        most = min(len(used_rows), len(used_columns), len(self.state.origin) + 1)
        for size in range(2, most + 1):
            for rows in combinations(used_rows, size):
                for columns in combinations(used_columns, size):
                    if vanishes(self.state, rows, columns):
                        yield rows, columns

    def _condition(self, branch: Branch, depth: int) -> Any | None:
        """Clear entries, then use minors that must vanish; None if nothing is left to do."""
        cleared = self._clear(branch)
        if cleared is not None:
            rule, place, later = cleared
            return [rule, *place, self._prove(later, depth)]
        for rows, columns in self.minors:
            p = branch.minor(rows, columns)
            if not p:
                continue
            if is_product(p, branch.nonzero):
                return ["conflict", list(rows), list(columns)]
            p = without_factors(p, branch.nonzero)
            name = self._linear(p, branch)
            if name is None:
                return self._split(branch, self._obstacle(p, branch), depth)
            whole = branch.minor(rows, columns)
            try:
                rest = branch.solved(whole, name)
            except EvidenceError:
                return self._split(branch, self._obstacle(p, branch), depth)
            tree = self._prove(rest, depth)
            return ["minor", list(rows), list(columns), list(name), tree]
        return None

    def _clear(self, branch: Branch) -> tuple[str, tuple[int, int, int], Branch] | None:
        """Return the first subtraction of lines that makes an entry zero, or None."""
        for turned, pairs in ((False, self.column_pairs), (True, self.row_pairs)):
            for j, other in pairs:
                for i in range(self.observed.shape[1 if turned else 0]):
                    entry, emptied = ((j, i), (other, i)) if turned else ((i, j), (i, other))
                    if (
                        emptied not in branch.free
                        or entry not in branch.entries
                        or not is_product(branch.entries[entry][0], branch.nonzero)
                    ):
                        continue
                    with contextlib.suppress(EvidenceError):
                        later = cleared(self.state, branch, i, j, other, turned)
                        return "clear_t" if turned else "clear", (i, j, other), later
        return None

    def _split(self, branch: Branch, p: Polynomial, depth: int) -> Any:
        """Split on p; if it is an entry, on all entries that can be mixed with it."""
        p = without_factors(p, branch.nonzero)
        if len(p) == 1 and len(next(iter(p))) == 1:
            (name,) = next(iter(p))
            lines = self._alike(branch, name)
            if lines is not None:
                turned, i, columns = lines
                zero, nonzero = pivoted(self.state, branch, i, columns, turned)
                if_zero = self._prove(zero, depth + 1)
                if_nonzero = self._prove(nonzero, depth + 1)
                return ["pivot_t" if turned else "pivot", i, columns, if_zero, if_nonzero]
        return super()._split(branch, p, depth)

    def _alike(self, branch: Branch, name: Variable) -> tuple[bool, int, list[int]] | None:
        """Return whether columns or rows can be mixed at an entry, where, and which; or None."""
        if name not in branch.free:
            return None
        used = {
            v
            for cell, (over, under) in branch.entries.items()
            if cell not in branch.free
            for v in variables(over) | variables(under)
        }
        best: tuple[bool, int, list[int]] | None = None
        for turned, kinds in ((False, self.column_kinds), (True, self.row_kinds)):
            i, j = (name[1], name[0]) if turned else name
            state = self.state.transposed if turned else self.state
            rows = np.flatnonzero(state.observed[:, j]).tolist()

            def look(column: int, rows: list[int] = rows, turned: bool = turned) -> list[Any]:
                """Return for every row whether the entry is zero, None if it cannot be mixed."""
                seen: list[Any] = []
                for row in rows:
                    cell = (column, row) if turned else (row, column)
                    if not branch.entries[cell][0]:
                        seen.append(True)
                    else:
                        seen.append(None if cell not in branch.free or cell in used else False)
                return seen

            own = look(j)
            if None in own:
                continue
            others = [c for c in kinds[j] if c != j and look(c) == own]
            if others and (best is None or len(others) >= len(best[2])):
                best = turned, i, [j, *others]
        return best

    def _simplify(self, branch: Branch, depth: int) -> Any | None:
        """Split on an entry so that others can be cleared by it; None if there is none."""
        p = self._pivot(branch)
        return None if p is None else self._split(branch, p, depth)

    def _pivot(self, branch: Branch) -> Polynomial | None:
        """Return an entry to split on so that others can be cleared by it, or None."""
        for turned, pairs in ((False, self.column_pairs), (True, self.row_pairs)):
            for j, other in pairs:
                for i in range(self.observed.shape[1 if turned else 0]):
                    entry, emptied = ((j, i), (other, i)) if turned else ((i, j), (i, other))
                    if entry not in branch.free or emptied not in branch.free:
                        continue
                    p = variable(entry)
                    if p in branch.nonzero:
                        continue
                    with contextlib.suppress(EvidenceError):
                        cleared(self.state, branch.knowing(p), i, j, other, turned)
                        return p
        return None

    def _point(self, branch: Branch, parameters: int) -> dict[Variable, int]:
        point: dict[Variable, int] = {v: self.rng.randrange(1, PRIME) for v in branch.free}
        point.update({(n,): self.rng.randrange(1, PRIME) for n in range(parameters)})
        return point

    def _leaves(self, branch: Branch, number: int) -> Iterator[tuple[Any, list[Polynomial]]]:
        for draw in self._draws(branch, number):
            with contextlib.suppress(ValueError):  # a polynomial became too large
                columns, wanted = draw.leaf(self._point(branch, draw.parameters))
                entries = [[i, k, write(p)] for (i, k), p in sorted(draw.x.items()) if p]
                yield ["solve_t" if draw.turned else "solve", entries, columns], wanted

    def _draws(self, branch: Branch, first: int) -> list[FactorDraw]:
        """Return the shortest of the factors drawn that work generically, short ones first."""
        found: dict[str, FactorDraw] = {}
        for number in range(self.effort.draws):
            self.tick()
            turned = bool(number % 2)
            state = self.state.transposed if turned else self.state
            draw = FactorDraw(state, branch, turned, self.rng)
            with contextlib.suppress(ValueError):  # a polynomial became too large
                if self._works(draw, branch, number + first * self.effort.draws):
                    found.setdefault(str(draw.x), draw)
        return sorted(found.values(), key=lambda draw: draw.size)[: self.effort.looks]

    def _works(self, draw: FactorDraw, branch: Branch, number: int) -> bool:
        """Build factors and repair them until they reach the generic point, at two points."""
        if not draw.build(self._fixed(draw, number)):
            return False
        for _ in range(4):
            point = self._point(branch, draw.parameters)
            failing = draw.failing(point)
            if failing == []:
                return draw.failing(self._point(branch, draw.parameters)) == []
            if failing is None or number < self.effort.draws:
                return False
            if not draw.repair(failing[0], point) or draw.size > LONGEST:
                return False
        return False

    def _fixed(self, draw: FactorDraw, number: int) -> list[int]:
        """Return the columns in which the second factor is drawn: none first, then a few."""
        if number < 2:
            return []
        short = [
            j
            for j in draw.columns
            if int(draw.state.observed[:, j].sum()) > int(draw.state.right[:, j].sum())
        ]
        if short and self.rng.random() < 0.6:
            size = self.rng.randint(1, min(len(short), 3))
            return sorted(self.rng.sample(short, size))
        size = self.rng.randint(1, min(len(draw.columns), 3))
        return sorted(self.rng.sample(draw.columns, size))


def line_pairs(state: ObservedProblem) -> list[tuple[int, int]]:
    """Return pairs of columns so that multiples of the first may be subtracted from the second."""
    columns = np.flatnonzero(state.observed.any(axis=0)).tolist()
    pairs = [
        (j, other)
        for j in columns
        for other in columns
        if j != other
        and not bool((state.right[:, j] & ~state.right[:, other]).any())
        and not bool((state.observed[:, other] & ~state.observed[:, j]).any())
    ]
    return sorted(pairs, key=lambda pair: int(state.right[:, pair[0]].sum()))


def line_kinds(state: ObservedProblem) -> list[list[int]]:
    """Return for every column those covered by the same terms and observed in the same rows."""
    kinds: dict[bytes, list[int]] = {}
    keys = []
    for j in range(state.observed.shape[1]):
        keys.append(state.right[:, j].tobytes() + state.observed[:, j].tobytes())
        kinds.setdefault(keys[-1], []).append(j)
    return [kinds[key] for key in keys]


LARGEST_PART = 120
"""Observed cells x blocks up to which cases of a part are searched."""


def close_by_cases(
    state: ObservedProblem, effort: CaseEffort, rng: np.random.Generator, tick: Callable[[], None]
) -> tuple[list[Any] | None, list[np.ndarray]]:
    """Return the proof ``["cases", tree]`` that a part is closed, or None.

    Without a proof also return matrices of the branch where the search got stuck.
    """
    if int(state.observed.sum()) * len(state.origin) > LARGEST_PART:
        return None, []
    search = CaseSearch(state, effort, int(rng.integers(2**31)), tick)
    tree = search.run()
    if tree is not None:
        return ["cases", tree], []
    listed = [m for branch in search.stuck for m in stuck_targets(state, branch, search.rng, 6)]
    return None, listed


def stuck_targets(
    state: ObservedProblem, branch: Branch, rng: random.Random, most: int
) -> Iterator[np.ndarray]:
    """Yield small integer matrices of a branch: candidates for limits that are not in the set."""
    seen = set()
    for _ in range(10 * most):
        point = {v: rng.choice((0, 1, 1, 1, -1, -1, 2)) for v in sorted(branch.free)}
        if not all(value_at(p, point) for p in branch.nonzero):
            continue
        values = {
            cell: value_at(over, point) / value_at(under, point)
            for cell, (over, under) in branch.entries.items()
        }
        scale = math.lcm(*(v.denominator for v in values.values()))
        matrix = np.zeros(state.observed.shape, dtype=np.int64)
        for cell, value in values.items():
            matrix[cell] = int(value * scale)
        if matrix.tobytes() in seen or np.abs(matrix).max() > 1000:
            continue
        seen.add(matrix.tobytes())
        yield matrix
        if len(seen) >= most:
            return


def value_at(p: Polynomial, point: dict[Variable, int]) -> Fraction:
    """Return the value of a polynomial at a point."""
    total = Fraction(0)
    for monomial, value in p.items():
        total += value * math.prod(point[name] for name in monomial)
    return total
