"""Lower bounds on repairs: windows that no change outside a few entries can destroy.

Window. Rows i1 != i2, columns j1 != j2 and terms k != l such that k covers the four cells, l covers
(i2, j2) and none of the three cells (i1, j1), (i1, j2), (i2, j1), and what else covers one of
these three is blocked (below). Then the set B(I, J) is not closed, over every field.

*Blockers.* A cell is single, and owned by its term, if no other term covers it. Term c, neither k
nor l, is blocked in row i by an owned cell (i3, j3) of c with i3 != i if c has row i and owns
(i, j3) too; in column j by one with j3 != j if c has column j and owns (i3, j) too. One blocker a
term, and all of the three cells that c covers lie in its line.

*Proof.* Let A be 1 at (i1, j2), at (i2, j1) and at the cells (i3, j3) of the blockers, else 0.
With x_k = t e_i1 + e_i2, y_k = e_j1 + e_j2 / t, x_l = -e_i2, y_l = e_j2 / t, x_c = e_i3 and
y_c = e_j3 the products tend to A. Owned cells of different terms differ, so A is 0 at (i, j3) and
(i3, j). If A = X Y, then x_c[i3] y_c[j3] = 1 and x_c[i] y_c[j3] = 0 at a blocker in row i, hence
x_c[i] = 0; in column j likewise y_c[j] = 0. So at the three cells only term k is left:
x_k[i1] y_k[j2] = 1 = x_k[i2] y_k[j1] and x_k[i1] y_k[j1] = 0, a contradiction.

*Core.* A set H of entries such that supports which agree with I, J on H have a window too.
Removals only: the six ones I[i1, k], I[i2, k], J[k, j1], J[k, j2], I[i2, l], J[l, j2] and the two
ones I[i3, c], J[c, j3] of every blocker. For supports only shrink: k and l cover what they did, no
new term covers anything, c still owns (i3, j3), and (i, j3) is still owned by c or I[i, c] was
removed, and then c covers nothing in row i. Additions only: zeros such that for each of the three
cells (i, j) and every term c other than k one of I[i, c], J[c, j] is listed: nothing but k ever
covers the three cells. Both kinds of changes: the six ones and such zeros; no blockers then, for an
added entry could cover the cells they own.

*Bound.* Weights of windows such that, for every entry, those of the cores that hold it sum to at
most its cost. The set D of changed entries of closed supports meets every core, so
sum_w u_w <= sum_w u_w |D n H_w| = sum_(e in D) sum_(w: e in H_w) u_w <= cost of D (weak duality of
linear programs). With costs of 1 the cost is an integer, and the sum may be rounded up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from sparseopt.judging.evidence import (
    INDEX,
    EvidenceError,
    Integer,
    List,
    Rational,
    Record,
    Word,
    brief,
)

Entry = tuple[int, int, int]
"""Factor (0 for I, 1 for J), row and column."""
Cell = tuple[int, int]

PAIR = List(INDEX, distinct=True, least=2, most=2)
BLOCKER = Record((INDEX, Word(("row", "column")), INDEX, INDEX, INDEX))
ENTRY = Record((Integer(0, 1), INDEX, INDEX))
CORES = List(Record((INDEX, PAIR, PAIR, INDEX, List(BLOCKER), List(ENTRY), Rational())))


class Core(NamedTuple):
    """A window and what keeps it: term k, rows i1 i2, columns j1 j2, term l, and its weight.

    A blocker is (c, "row" or "column", the line, i3, j3).
    """

    term: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    other: int
    blockers: tuple[tuple[int, str, int, int, int], ...]
    zeros: tuple[Entry, ...]
    weight: Fraction

    @property
    def corners(self) -> tuple[Cell, Cell, Cell]:
        """The three cells where term k is to be alone."""
        (i1, i2), (j1, j2) = self.rows, self.columns
        return (i1, j1), (i1, j2), (i2, j1)

    def ones(self) -> Iterator[Entry]:
        """Yield the six entries by which k and l cover their cells."""
        k, ell = self.term, self.other
        yield from ((0, i, k) for i in self.rows)
        yield from ((1, k, j) for j in self.columns)
        yield from ((0, self.rows[1], ell), (1, ell, self.columns[1]))

    def entries(self, allow: str) -> set[Entry]:
        """Return the core H for these changes."""
        found = set[Entry](self.zeros)
        if allow != "add":
            found.update(self.ones())
        for c, _, _, i, j in self.blockers:
            found.update(((0, i, c), (1, c, j)))
        return found


def read_cores(value: Any) -> tuple[Core, ...]:
    """Return the windows of a bound; refuse, by an EvidenceError, what is malformed."""
    return tuple(Core(*parts) for parts in CORES.read(value, ("cores",)))


def check_core(core: Core, supports: tuple[np.ndarray, ...], allow: str) -> None:
    """Refuse, by an EvidenceError, what is no window or whose core does not keep it."""
    left, right = supports
    (m, r), n = left.shape, right.shape[1]
    lines = (m, n)
    inside = core.term < r and core.other < r
    inside = inside and max(core.rows) < m and max(core.columns) < n
    inside = inside and all(
        c < r and line < lines[way == "column"] and i < m and j < n
        for c, way, line, i, j in core.blockers
    )
    inside = inside and all(
        a < supports[f].shape[0] and b < supports[f].shape[1] for f, a, b in core.zeros
    )
    _need(inside, core, "its entries exist")
    _need(core.weight > 0, core, f"its weight is positive, not {brief(core.weight)}")
    _need(core.other != core.term, core, "its two terms are distinct")
    _need(all(supports[f][a, b] for f, a, b in core.ones()), core, "the six entries are 1")
    if allow == "remove":
        _need(not core.zeros, core, "removals need no zeros")
        _check_blockers(core, left, right)
    else:
        _need(not core.blockers, core, f"with {allow!r} nothing is blocked")
        _check_zeros(core, left, right)


def _check_blockers(core: Core, left: np.ndarray, right: np.ndarray) -> None:
    lines = {}
    for c, way, line, i, j in core.blockers:
        _need(c not in (core.term, core.other), core, f"term {c} of a blocker is a third one")
        _need(c not in lines, core, f"term {c} has one blocker")
        lines[c] = (way, line)
        row, column = (line, j) if way == "row" else (i, line)
        _need((row, column) != (i, j), core, f"the blocker of term {c} lies outside its line")
        for place in ((i, j), (row, column)):
            owners = np.flatnonzero(left[place[0]] & right[:, place[1]]).tolist()
            _need(owners == [c], core, f"cell {place} is owned by term {c}")
    for i, j in core.corners:
        for c in np.flatnonzero(left[i] & right[:, j]).tolist():
            blocked = lines.get(c) in (("row", i), ("column", j))
            _need(c == core.term or blocked, core, f"term {c} is blocked at cell {(i, j)}")


def _check_zeros(core: Core, left: np.ndarray, right: np.ndarray) -> None:
    zeros = set(core.zeros)
    _need(not any((left, right)[f][a, b] for f, a, b in zeros), core, "its zeros are 0")
    for i, j in core.corners:
        for c in range(left.shape[1]):
            kept = c == core.term or (0, i, c) in zeros or (1, c, j) in zeros
            _need(kept, core, f"a zero keeps term {c} from cell {(i, j)}")


def _need(holds: bool, core: Core, step: str) -> None:
    if not holds:
        raise EvidenceError(f"window of term {core.term}: it does not hold that {step}")


def bound_of(
    cores: tuple[Core, ...],
    supports: tuple[np.ndarray, ...],
    allow: str,
    costs: tuple[np.ndarray, ...] | None,
) -> int | Fraction:
    """Return the least cost that the windows prove; refuse, by an EvidenceError, false ones."""
    loads: dict[Entry, Fraction] = defaultdict(Fraction)
    for core in cores:
        check_core(core, supports, allow)
        for entry in core.entries(allow):
            loads[entry] += core.weight
    for (factor, a, b), load in loads.items():
        cost = Fraction(1) if costs is None else Fraction(float(costs[factor][a, b]))
        if load > cost:
            raise EvidenceError(
                f"the weights at entry ({a}, {b}) of {'IJ'[factor]} sum to more than its cost"
            )
    total = sum((core.weight for core in cores), Fraction(0))
    return -(-total.numerator // total.denominator) if costs is None else total
