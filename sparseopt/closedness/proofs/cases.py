"""Proofs that a set of sums of blocks is given by vanishing minors: a tree of cases, checked.

The statement: for an observed problem (see `sparseopt.closedness.proofs.observed`) with observed
cells O call a minor conditional if its s rows and columns are observed and fewer than s blocks meet
it: the rank of that part of a sum of blocks is below s. So all conditional minors vanish on B. The
tree proves that B is the whole zero set Z of the conditional minors, hence closed. If it uses none
of them, it proves B = K^O.

Proof of B = Z. The entries of A are variables ``[i, j]``. A branch of the tree knows polynomials
that are not zero at A, and has expressed some entries as fractions of polynomials in the others,
with denominators that are products of polynomials known to be not zero. Nodes, plain JSON:

- ``["split", p, v, if_zero, if_nonzero]``: p = c v + r, with v not in c and r and c a product of
  polynomials known to be not zero (no variable in it if it is a number). Either p = 0, hence
  v = -r / c, or p is known to be not zero.
- ``["minor", rows, columns, v, rest]``: the minor vanishes on Z, and gives v as above.
- ``["clear", i, j, l, rest]``: A_ij is known to be not zero, every term that covers column j covers
  column l, and column j is observed in every row in which column l is. Subtract A_il / A_ij times
  column j from column l, so that A_il = 0. If the new target is X Y on O, so is the old one, with
  the same multiple of column j of Y added to column l. The new target is in Z: if the columns of a
  conditional minor contain l, then the same minor with j in place of l is conditional or 0. The
  entries of column l change in the rows where A_.j is not 0: they must not be expressed, nor used
  to express others, and what is known not to be zero with their help is forgotten.
- ``["clear_t", j, i, l, rest]``: the same for the transposed problem: A_lj becomes 0 by row i.
- ``["pivot", i, columns, if_zero, if_nonzero]``: the columns are covered by the same terms and
  observed in the same rows, row i among them. Either their entries of row i are all 0, or an
  invertible mixture of these columns makes the first of them nonzero and the others 0. If the new
  target is X Y on O, so is the old one, with the inverse mixture of these columns of Y. The new
  target is in Z: a conditional minor of it is a sum of multiples of minors of the old one in the
  same rows and in columns that are as well covered and observed, so conditional or 0. In every
  row the entries of these columns must all be 0, or all not expressed, nor used to express others;
  what is known not to be zero with their help is forgotten where they are mixed.
- ``["pivot_t", j, rows, if_zero, if_nonzero]``: the same for the transposed problem.
- ``["conflict", rows, columns]``: the minor vanishes on Z, but it is a number times polynomials
  known to be not zero: there is no target on this branch.
- ``["empty"]``: a polynomial known to be not zero is 0 after the fractions are put in.
- ``["solve", x, columns]``: factors. x lists ``[i, k, p]``, entries of X in the supports, p a
  polynomial in the entries that are not expressed and in parameters ``[n]``. ``columns`` lists for
  every column j with observed cells, U_j their rows, a pair of rows R in U_j and terms K that cover
  column j, as many. The minor det X[R, K] is, as a polynomial in the parameters, not zero: one
  coefficient is a number times polynomials known to be not zero. So for almost all parameters all
  these minors are not zero at once. Then y_K = X[R, K]^-1 A_R, the other y of the column being 0,
  gives A in the rows R. Every minor of [X_K | A_j] with R and one more row of U_j is zero as a
  polynomial in all variables; so row i of X_K and A_ij depend on those of R in the same way, and
  the column agrees there too.
- ``["solve_t", y, rows]``: the same for the transposed problem, ``[j, k, p]`` entries of Y^T.

Polynomials are taken over the rationals and evaluated at numbers of an infinite field that
contains them, so all of this holds over the real and the complex numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparseopt.closedness.proofs.branch import FACTOR, Branch, bordered, is_generic, read_factor
from sparseopt.closedness.proofs.observed import ObservedProblem
from sparseopt.closedness.proofs.polynomials import (
    POLYNOMIAL,
    Polynomial,
    Variable,
    determinant,
    is_product,
    polynomial,
    variables,
)
from sparseopt.judging.evidence import INDEX, INDICES, EvidenceError, Form, List, Node, Record

CELL = Record((INDEX, INDEX))
SOLVED = List(Record((INDICES, INDICES)))


def common_rules(tree: Form) -> dict[str, tuple[Form, ...]]:
    """Return the rules that trees of cases of all kinds have in common."""
    return {"split": (POLYNOMIAL, CELL, tree, tree), "empty": ()}


CASES = Node("node of a tree of cases", {})
CASES.rules.update(
    {
        **common_rules(CASES),
        "minor": (INDICES, INDICES, CELL, CASES),
        "clear": (INDEX, INDEX, INDEX, CASES),
        "clear_t": (INDEX, INDEX, INDEX, CASES),
        "pivot": (INDEX, INDICES, CASES, CASES),
        "pivot_t": (INDEX, INDICES, CASES, CASES),
        "conflict": (INDICES, INDICES),
        "solve": (FACTOR, SOLVED),
        "solve_t": (FACTOR, SOLVED),
    }
)


def vanishes(state: ObservedProblem, rows: Sequence[int], columns: Sequence[int]) -> bool:
    """Return whether fewer blocks than its size meet a minor of observed cells."""
    window = np.ix_(list(rows), list(columns))
    if not state.observed[window].all():
        return False
    meeting = state.left[list(rows)].any(axis=0) & state.right[:, list(columns)].any(axis=1)
    return bool(meeting.sum() < len(rows))


class CaseTree:
    """Checks what trees of cases have in common: splits and empty branches.

    Attributes
    ----------
    leaves : int
        Leaves checked so far.
    """

    form: Node = CASES

    def __init__(self, observed: np.ndarray) -> None:
        self.observed = observed
        self.leaves = 0

    def check(self, tree: Any) -> None:
        """Read a tree and prove by it.

        Raises
        ------
        EvidenceError
            Unless the tree is a proof.
        """
        self.prove(self.form.read(tree, ("tree",)))

    def prove(self, tree: tuple[Any, ...]) -> None:
        """Check a tree that was read, as `check` does."""
        self._follow(Branch.root(self.observed), tree)

    def _follow(self, branch: Branch, tree: tuple[Any, ...]) -> None:
        while True:
            if tree[0] == "split":
                _, terms, name, if_zero, tree = tree
                p = polynomial(terms)
                if not variables(p) <= branch.free:
                    raise EvidenceError("a split uses entries that are not free on its branch")
                self._follow(branch.solved(p, name), if_zero)
                branch = branch.knowing(p)
            elif tree[0] == "empty":
                self.leaves += 1
                if all(branch.nonzero):
                    raise EvidenceError("no polynomial that is not zero became zero")
                return
            else:
                later = self._other(branch, tree)
                if later is None:
                    self.leaves += 1
                    return
                branch, tree = later

    def _other(self, branch: Branch, tree: tuple[Any, ...]) -> tuple[Branch, Any] | None:
        """Check a node of another rule; return what follows, None after a leaf."""
        raise NotImplementedError


class Cases(CaseTree):
    """Checks one tree of cases for an observed problem.

    Attributes
    ----------
    conditions : set of (rows, columns)
        The minors used so far; without any the set is everything.
    """

    def __init__(self, state: ObservedProblem) -> None:
        super().__init__(state.observed)
        self.state = state
        self.conditions: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()

    def _other(self, branch: Branch, tree: tuple[Any, ...]) -> tuple[Branch, Any] | None:
        rule, *parts = tree
        turned = rule.endswith("_t")
        if rule == "minor":
            rows, columns, name, rest = parts
            return branch.solved(self._condition(branch, rows, columns), name), rest
        if rule in ("clear", "clear_t"):
            i, j, other, rest = parts
            return clear(self.state, branch, i, j, other, turned), rest
        if rule in ("pivot", "pivot_t"):
            i, columns, if_zero, if_nonzero = parts
            zero, nonzero = pivot(self.state, branch, i, columns, turned)
            self._follow(zero, if_zero)
            return nonzero, if_nonzero
        if rule == "conflict":
            if not is_product(self._condition(branch, *parts), branch.nonzero):
                rows, columns = (list(places) for places in parts)
                raise EvidenceError(f"the minor of rows {rows} and columns {columns} can vanish")
        else:
            solve(self.state.transposed if turned else self.state, branch, *parts)
        return None

    def _condition(
        self, branch: Branch, rows: tuple[int, ...], columns: tuple[int, ...]
    ) -> Polynomial:
        _existing(rows, self.observed.shape[0])
        _existing(columns, self.observed.shape[1])
        if len(rows) != len(columns) or not vanishes(self.state, rows, columns):
            raise EvidenceError(
                f"the minor of rows {list(rows)} and columns {list(columns)} need not vanish"
            )
        self.conditions.add((rows, columns))
        return branch.minor(rows, columns)


def clear(
    state: ObservedProblem, branch: Branch, i: int, j: int, other: int, turned: bool
) -> Branch:
    """Return the branch after column j is subtracted from column `other` to clear row i.

    If `turned`, rows and columns change places.

    Raises
    ------
    EvidenceError
        If the lines or what is known of their entries do not allow it.
    """
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


def pivot(
    state: ObservedProblem, branch: Branch, i: int, columns: Sequence[int], turned: bool
) -> tuple[Branch, Branch]:
    """Return the branches where row i is zero in some columns, and where it is after mixing them.

    In the second the entry of the first of these columns is not zero. If `turned`, rows and
    columns change places.

    Raises
    ------
    EvidenceError
        If the columns are not covered and observed alike, or what is known does not allow it.
    """
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


def _existing(chosen: Sequence[int], size: int) -> None:
    """Refuse what is no list of distinct lines (or terms) of that many."""
    if max(INDICES.read(chosen, ("lines",)), default=-1) >= size:
        raise EvidenceError(f"there is no line {max(chosen)}, there are {size}")


def solve(
    state: ObservedProblem,
    branch: Branch,
    x: tuple[Any, ...],
    columns: Sequence[tuple[Sequence[int], Sequence[int]]],
) -> None:
    """Check a leaf with factors; `state` may be transposed, the branch is not."""
    m, r = state.left.shape
    line, across = state.lines
    factor = read_factor(x, state.left, branch)
    seen = np.flatnonzero(state.observed.any(axis=0)).tolist()
    if len(columns) != len(seen):
        raise EvidenceError(f"one choice of {line}s and terms per {across} is needed")
    for j, (rows, terms) in zip(seen, columns, strict=True):
        _existing(rows, m)
        _existing(terms, r)
        covering = len(rows) == len(terms) and all(state.right[k, j] for k in terms)
        if not covering or not all(state.observed[i, j] for i in rows):
            raise EvidenceError(
                f"{across} {j}: as many observed {line}s as covering terms are needed"
            )
        block = [[factor.get((i, k), {}) for k in terms] for i in rows]
        if not is_generic(determinant(block), branch.nonzero):
            raise EvidenceError(
                f"{across} {j}: the minor of {line}s {list(rows)} and terms {state.terms(terms)} "
                "can vanish"
            )
        target = {
            i: branch.entries[state.place(i, j)]
            for i in np.flatnonzero(state.observed[:, j]).tolist()
        }
        for i in target:
            if i not in rows and bordered(factor, target, [*rows, i], terms):
                raise EvidenceError(f"{across} {j}: the factors do not reach {line} {i}")
