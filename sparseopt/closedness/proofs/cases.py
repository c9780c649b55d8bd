"""Proofs that a set of sums of blocks is given by vanishing minors: a tree of cases, checked.

The statement: for an observed problem (see `sparseopt.closedness.proofs.observed`) with observed
cells O call a minor conditional if its s rows and columns are observed and fewer than s blocks meet
it: the rank of that part of a sum of blocks is below s. So all conditional minors vanish on B. The
tree proves that B is the whole zero set Z of the conditional minors, hence closed. If it uses none
of them, it proves B = K^O.

Proof of B = Z: by cases over the entries of A in Z, see `sparseopt.closedness.proofs.case_tree`,
whose leaves give factors of A or show that there is no such A.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparseopt.closedness.proofs.branch import (
    FACTOR,
    Branch,
    Entries,
    Factor,
    bordered,
    is_generic,
    read_factor,
)
from sparseopt.closedness.proofs.case_tree import CASES, CELL, CaseRule, CaseTree
from sparseopt.closedness.proofs.observed import ObservedProblem
from sparseopt.closedness.proofs.polynomials import Polynomial, Variable, determinant, is_product
from sparseopt.judging.evidence import INDEX, INDICES, EvidenceError, List, Record

SOLVED = List(Record((INDICES, INDICES)))

Indices = tuple[int, ...]


def vanishes(state: ObservedProblem, rows: Sequence[int], columns: Sequence[int]) -> bool:
    """Return whether fewer blocks than its size meet a minor of observed cells."""
    window = np.ix_(list(rows), list(columns))
    if not state.observed[window].all():
        return False
    meeting = state.left[list(rows)].any(axis=0) & state.right[:, list(columns)].any(axis=1)
    return bool(meeting.sum() < len(rows))


class Cases(CaseTree):
    """Checks one tree of cases for an observed problem.

    Attributes
    ----------
    conditions : set of (rows, columns)
        The minors used so far; without any the set is everything.
    """

    form = CASES

    def __init__(self, state: ObservedProblem) -> None:
        super().__init__(state.observed)
        self.state = state
        self.conditions: set[tuple[Indices, Indices]] = set()

    def condition(self, branch: Branch, rows: Indices, columns: Indices) -> Polynomial:
        """Return a polynomial that vanishes if a conditional minor does; refuse other minors."""
        _existing(rows, self.observed.shape[0])
        _existing(columns, self.observed.shape[1])
        if len(rows) != len(columns) or not vanishes(self.state, rows, columns):
            raise EvidenceError(
                f"the minor of rows {list(rows)} and columns {list(columns)} need not vanish"
            )
        self.conditions.add((rows, columns))
        return branch.minor(rows, columns)


def _existing(chosen: Sequence[int], size: int) -> None:
    """Refuse what is no list of distinct lines (or terms) of that many."""
    if max(INDICES.read(chosen, ("lines",)), default=-1) >= size:
        raise EvidenceError(f"there is no line {max(chosen)}, there are {size}")


@CASES.rule("minor", INDICES, INDICES, CELL, CASES)
@dataclass(frozen=True)
class Minor(CaseRule):
    """``["minor", rows, columns, v, rest]``: a conditional minor vanishes on Z, and gives v.

    As the polynomial of a `sparseopt.closedness.proofs.case_tree.Split` does where it is 0.
    """

    rows: Indices
    columns: Indices
    name: Variable
    rest: CaseRule

    def check(self, tree: Cases, branch: Branch) -> tuple[Branch, CaseRule]:
        """Solve for the entry."""
        return branch.solved(tree.condition(branch, self.rows, self.columns), self.name), self.rest


@CASES.rule("clear", INDEX, INDEX, INDEX, CASES, mirrored="clear_t")
@dataclass(frozen=True)
class Clear(CaseRule):
    """``["clear", i, j, l, rest]``: A_il = 0, by a multiple of column j.

    A_ij is known to be not zero, every term that covers column j covers column l, and column j is
    observed in every row in which column l is. Subtract A_il / A_ij times column j from column l,
    so that A_il = 0. If the new target is X Y on O, so is the old one, with the same multiple of
    column j of Y added to column l. The new target is in Z: if the columns of a conditional minor
    contain l, then the same minor with j in place of l is conditional or 0. The entries of column l
    change in the rows where A_.j is not 0: they must not be expressed, nor used to express others,
    and what is known not to be zero with their help is forgotten.

    ``["clear_t", j, i, l, rest]``: the same for the transposed problem: A_lj becomes 0 by row i.
    """

    i: int
    j: int
    other: int
    rest: CaseRule
    turned: bool = False

    def check(self, tree: Cases, branch: Branch) -> tuple[Branch, CaseRule]:
        """Clear the entry."""
        return cleared(tree.state, branch, self.i, self.j, self.other, self.turned), self.rest


def cleared(
    state: ObservedProblem, branch: Branch, i: int, j: int, other: int, turned: bool
) -> Branch:
    """Return the branch after `Clear`; an EvidenceError says why it is not allowed."""
    if turned:
        state = state.transposed
    m, n = state.observed.shape
    _existing([i], m)
    _existing([j, other], n)
    terms, seen = state.right, state.observed
    if bool((terms[:, j] & ~terms[:, other]).any()) or bool((seen[:, other] & ~seen[:, j]).any()):
        line = state.lines[1]
        raise EvidenceError(f"multiples of {line} {j} cannot be subtracted from {line} {other}")
    rows = np.flatnonzero(seen[:, other]).tolist()
    changed: set[Variable] = {
        state.place(row, other) for row in rows if branch.entries[state.place(row, j)][0]
    }
    return branch.cleared(state.place(i, j), state.place(i, other), changed)


@CASES.rule("pivot", INDEX, INDICES, CASES, CASES, mirrored="pivot_t")
@dataclass(frozen=True)
class Pivot(CaseRule):
    """``["pivot", i, columns, if_zero, if_nonzero]``: in row i at most one entry is not zero.

    The columns are covered by the same terms and observed in the same rows, row i among them.
    Either their entries of row i are all 0, or an invertible mixture of these columns makes the
    first of them nonzero and the others 0. If the new target is X Y on O, so is the old one, with
    the inverse mixture of these columns of Y. The new target is in Z: a conditional minor of it is
    a sum of multiples of minors of the old one in the same rows and in columns that are as well
    covered and observed, so conditional or 0. In every row the entries of these columns must all
    be 0, or all not expressed, nor used to express others; what is known not to be zero with their
    help is forgotten where they are mixed.

    ``["pivot_t", j, rows, if_zero, if_nonzero]``: the same for the transposed problem.
    """

    i: int
    columns: Indices
    if_zero: CaseRule
    if_nonzero: CaseRule
    turned: bool = False

    def check(self, tree: Cases, branch: Branch) -> tuple[Branch, CaseRule]:
        """Follow the first case here; go on with the second."""
        zero, nonzero = pivoted(tree.state, branch, self.i, self.columns, self.turned)
        tree.follow(zero, self.if_zero)
        return nonzero, self.if_nonzero


def pivoted(
    state: ObservedProblem, branch: Branch, i: int, columns: Sequence[int], turned: bool
) -> tuple[Branch, Branch]:
    """Return the two branches of `Pivot`; an EvidenceError says why it is not allowed."""
    if turned:
        state = state.transposed
    m, n = state.observed.shape
    _existing([i], m)
    _existing(columns, n)
    terms, seen = state.right[:, list(columns)], state.observed[:, list(columns)]
    lines = f"{state.lines[1]}s {list(columns)}"
    if not columns or bool((terms != terms[:, :1]).any()) or bool((seen != seen[:, :1]).any()):
        raise EvidenceError(f"{lines} are not covered and observed alike")
    if not seen[i, 0]:
        raise EvidenceError(f"{lines} are not observed in {state.lines[0]} {i}")
    rows = np.flatnonzero(seen[:, 0]).tolist()
    entries = [[state.place(row, j) for row in rows] for j in columns]
    place = rows.index(i)
    return branch.without([line[place] for line in entries]), branch.mixed(entries, place)


@CASES.rule("conflict", INDICES, INDICES)
@dataclass(frozen=True)
class Conflict(CaseRule):
    """``["conflict", rows, columns]``: there is no target on this branch.

    A conditional minor vanishes on Z, but it is a number times polynomials known to be not zero.
    """

    rows: Indices
    columns: Indices

    def check(self, tree: Cases, branch: Branch) -> None:
        """Divide the minor by what is known."""
        if not is_product(tree.condition(branch, self.rows, self.columns), branch.nonzero):
            raise EvidenceError(
                f"the minor of rows {list(self.rows)} and columns {list(self.columns)} can vanish"
            )


@CASES.rule("solve", FACTOR, SOLVED, mirrored="solve_t")
@dataclass(frozen=True)
class Solve(CaseRule):
    """``["solve", x, columns]``: factors.

    x lists ``[i, k, p]``, entries of X in the supports, p a polynomial in the entries that are not
    expressed and in parameters ``[n]``. ``columns`` lists for every column j with observed cells,
    U_j their rows, a pair of rows R in U_j and terms K that cover column j, as many. The minor
    det X[R, K] is, as a polynomial in the parameters, not zero: one coefficient is a number times
    polynomials known to be not zero. So for almost all parameters all these minors are not zero at
    once. Then y_K = X[R, K]^-1 A_R, the other y of the column being 0, gives A in the rows R. Every
    minor of [X_K | A_j] with R and one more row of U_j is zero as a polynomial in all variables; so
    row i of X_K and A_ij depend on those of R in the same way, and the column agrees there too.

    ``["solve_t", y, rows]``: the same for the transposed problem, ``[j, k, p]`` entries of Y^T.
    """

    x: Entries
    columns: tuple[tuple[Indices, Indices], ...]
    turned: bool = False

    def check(self, tree: Cases, branch: Branch) -> None:
        """Check the factor, and every column."""
        state = tree.state.transposed if self.turned else tree.state
        factor = read_factor(self.x, state.left, branch)
        seen = np.flatnonzero(state.observed.any(axis=0)).tolist()
        if len(self.columns) != len(seen):
            line, across = state.lines
            raise EvidenceError(f"one choice of {line}s and terms per {across} is needed")
        for j, (rows, terms) in zip(seen, self.columns, strict=True):
            _check_column(state, branch, factor, j, rows, terms)


def _check_column(
    state: ObservedProblem, branch: Branch, factor: Factor, j: int, rows: Indices, terms: Indices
) -> None:
    """Check that column j is solved for by some rows and terms; `branch` is never transposed."""
    m, r = state.left.shape
    line, across = state.lines
    _existing(rows, m)
    _existing(terms, r)
    covering = len(rows) == len(terms) and all(state.right[k, j] for k in terms)
    if not covering or not all(state.observed[i, j] for i in rows):
        raise EvidenceError(f"{across} {j}: as many observed {line}s as covering terms are needed")
    block = [[factor.get((i, k), {}) for k in terms] for i in rows]
    if not is_generic(determinant(block), branch.nonzero):
        raise EvidenceError(
            f"{across} {j}: the minor of {line}s {list(rows)} and terms {state.terms(terms)} "
            "can vanish"
        )
    target = {
        i: branch.entries[state.place(i, j)] for i in np.flatnonzero(state.observed[:, j]).tolist()
    }
    for i in target:
        if i not in rows and bordered(factor, target, [*rows, i], terms):
            raise EvidenceError(f"{across} {j}: the factors do not reach {line} {i}")
