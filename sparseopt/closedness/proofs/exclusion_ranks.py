"""Rules of exclusions that compare the rank of the limit with the number of terms it may use.

See `sparseopt.closedness.proofs.exclusion`. They speak of the whole window, rows P and columns Q,
all of whose cells must be observed: on fewer cells the limit may well be a product. A term k, of
rows I_k and columns J_k in the window, touches it if neither is empty; other terms contribute the
zero matrix, so they neither count nor may serve as witness. r' is the number of touching terms,
where identical ones count each: a sum of twice as many rank-one matrices is another set. X and Y
stand for factors of the touching terms alone, M for the limit, and M = X Y is assumed and refuted.
All of it holds over every field.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np

from sparseopt.closedness.names import Names, Story
from sparseopt.closedness.proofs.exclusion_branch import TREE, ExclusionBranch, ExclusionRule
from sparseopt.judging.evidence import INDEX, EvidenceError, List
from sparseopt.judging.exact import rank

SOME = List(INDEX, distinct=True, least=1)
MOST_UNIONS = 100_000
"""Unions of columns of terms that are compared with the columns of an `EqualColumns`."""


@TREE.rule("trace", SOME)
@dataclass(frozen=True)
class Trace(ExclusionRule):
    """``["trace", terms]``: some terms are of no use for the limit, but too few may be idle.

    M has one entry that is not 0 in every row and every column, s in all. The terms k_1, ..., k_q
    are distinct and touch the window, q >= r' - s + 1, and for all a <= b, also for a = b, no cell
    of M that is not 0 has its row in term k_b and its column in term k_a.

    Proof. E = Y M^-1 X has size r', E^2 = Y M^-1 (X Y) M^-1 X = E, and rank s, since X E Y = M. So
    the rank of 1 - E is r' - s, and no part of it has a higher one. But M^-1 is not 0 exactly at
    the transposed cells of M, so the entry of E at (k_a, k_b), the sum of y_{k_a}[c] (M^-1)_{cp}
    x_{k_b}[p] over cells (p, c) of M, is 0 for a <= b. Therefore the part of 1 - E on k_1, ..., k_q
    is triangular with ones on the diagonal, of rank q > r' - s.
    """

    terms: tuple[int, ...]

    def check(self, branch: ExclusionBranch) -> None:
        """Check the limit, that the terms touch, their number, and every pair of them."""
        require_observed(branch)
        cells = [(i, j) for i, row in enumerate(branch.matrix) for j, v in enumerate(row) if v]
        used = [set(places) for places in zip(*cells, strict=True)]
        if not all(len(cells) == size for size in (*branch.shape, *map(len, used))):
            raise EvidenceError("the limit has not one entry in every row and every column")
        alive = touching(branch.left, branch.right)
        if any(k not in alive for k in self.terms):
            raise EvidenceError("a term that is to be idle has no row or no column of the window")
        least = len(alive) - len(cells) + 1
        names = branch.names.terms_of(self.terms)
        if len(self.terms) < least:
            raise EvidenceError(
                f"{len(alive)} blocks touch the window, so at least {least} must be shown to be of "
                f"no use, not {len(self.terms)}"
            )
        rows, columns = (list(places) for places in zip(*cells, strict=True))
        x = branch.left[rows][:, list(self.terms)].astype(np.int64)
        y = branch.right[list(self.terms)][:, columns].astype(np.int64)
        if np.tril(x.T @ y.T).any():
            raise EvidenceError(f"the limit has an entry where it must be 0 for the terms {names}")

    def sentence(self, names: Names) -> Story:
        """Yield the contradiction."""
        yield (
            0,
            f"the terms {names.terms_of(self.terms)} miss its entries, so they would be idle; but "
            "without them there are too few terms for its rank",
        )


@TREE.rule("equal_columns", INDEX, SOME, mirrored="equal_rows")
@dataclass(frozen=True)
class EqualColumns(ExclusionRule):
    """``["equal_columns", i, columns]``: columns that are equal ask row i for a term with them all.

    The columns A of M are equal, and not 0 in row i. With e = r' - rank M, no e + 1 touching terms
    with row i, nor all of them if there are fewer, have all of A among their columns together. At
    most `MOST_UNIONS` sets of so many terms are looked at; more are refused.

    Proof. rank X >= rank M, so the kernel of X has at most e dimensions. The columns A of Y differ
    by elements of this kernel, since those of M are equal; so on A the rank of Y is at most e + 1.
    Row i of M is, on A, a combination of the rows y_k of the touching terms k with row i, hence of
    a basis of their span, at most e + 1 of them; and as it is not 0 anywhere on A, each column of
    A belongs to one of these. (For rank M > r' there is no product anyway, and e counts as 0.)

    ``["equal_rows", j, rows]``: the same for the transposed matrices.
    """

    line: int
    places: tuple[int, ...]
    turned: bool = False

    def check(self, branch: ExclusionBranch) -> None:
        """Check the columns, and every union."""
        require_observed(branch)
        require_equal(branch, self.line, self.places, self.turned)
        spare = len(touching(branch.left, branch.right)) - peeled_rank(branch.matrix)
        parts = parts_of(branch, self.line, self.places, self.turned)
        size = min(max(spare, 0) + 1, len(parts))
        if comb(len(parts), size) > MOST_UNIONS:
            raise EvidenceError(f"{size} of {len(parts)} blocks are too many sets to look at")
        whole = (1 << len(self.places)) - 1
        for chosen in combinations(parts, size):
            union = 0
            for part in chosen:
                union |= part
            if union == whole:
                raise EvidenceError(
                    f"{size} blocks have {named(branch.names, self.places, self.turned)} together"
                )

    def sentence(self, names: Names) -> Story:
        """Yield the contradiction."""
        across = named(names, [self.line], not self.turned)
        yield (
            0,
            f"{named(names, self.places, self.turned)} are equal and the terms too few to tell "
            f"them apart, but those of {across} cannot make them equal there",
        )


@TREE.rule("equal_both", INDEX, SOME, INDEX, SOME)
@dataclass(frozen=True)
class EqualBoth(ExclusionRule):
    """``["equal_both", i, columns, j, rows]``: equal columns or equal rows, with one term to spare.

    The columns A of M are equal, and not 0 in row i; the rows C of M are equal, and not 0 in column
    j. r' <= rank M + 1. No touching term has row i and all of A, none has column j and all of C.

    Proof. If rank X = r', X is injective, and the columns A of Y are equal: y_k is not 0 on A only
    if A belongs to term k, so no term has a part in M_ia, which is not 0. Otherwise rank X = rank
    M, so X and M have the same column space, and the rows C of X are equal like those of M: no term
    has a part in M_cj. (Columns alone would not do: the rank of X decides which of them it is.)
    """

    i: int
    columns: tuple[int, ...]
    j: int
    rows: tuple[int, ...]

    def check(self, branch: ExclusionBranch) -> None:
        """Check both sides."""
        require_observed(branch)
        alive, most = touching(branch.left, branch.right), peeled_rank(branch.matrix) + 1
        for line, places, turned in ((self.i, self.columns, False), (self.j, self.rows, True)):
            require_equal(branch, line, places, turned)
            if (1 << len(places)) - 1 in parts_of(branch, line, places, turned):
                raise EvidenceError(f"a block has {named(branch.names, places, turned)} together")
        if len(alive) > most:
            raise EvidenceError(
                f"{len(alive)} blocks touch the window, but the rank plus one is {most}"
            )

    def sentence(self, names: Names) -> Story:
        """Yield the contradiction."""
        yield (
            0,
            f"columns {names.columns_of(self.columns)} are equal, and so are rows "
            f"{names.rows_of(self.rows)}; the terms are too few to tell both apart, but those of "
            f"row {names.rows_of([self.i])[0]}, and of column {names.columns_of([self.j])[0]}, "
            "cannot make them equal",
        )


def require_observed(branch: ExclusionBranch) -> None:
    """Refuse a window with a cell that is not observed."""
    if not branch.observed.all():
        raise EvidenceError("a cell of the window is not observed")


def require_equal(
    branch: ExclusionBranch, line: int, places: tuple[int, ...], turned: bool
) -> None:
    """Refuse columns that are not equal, or 0 in a row; rows and a column if `turned`."""
    branch.require_line(line, not turned)
    for place in places:
        branch.require_line(place, turned)
    matrix = list(zip(*branch.matrix, strict=True)) if turned else branch.matrix
    first = min(places)
    if any(row[place] != row[first] for row in matrix for place in places):
        raise EvidenceError(f"{named(branch.names, places, turned)} of the limit are not equal")
    if not matrix[line][first]:
        across = named(branch.names, [line], not turned)
        raise EvidenceError(f"{named(branch.names, places, turned)} are 0 in {across}")


def parts_of(
    branch: ExclusionBranch, line: int, places: tuple[int, ...], turned: bool
) -> list[int]:
    """Return which of some columns each touching term with a row has, as bits."""
    left, right = branch.left, branch.right
    if turned:
        left, right = right.T, left.T
    found = []
    for k in touching(left, right):
        if left[line, k]:
            found.append(sum(1 << bit for bit, place in enumerate(places) if right[k, place]))
    return found


def touching(left: np.ndarray, right: np.ndarray) -> list[int]:
    """Return the terms that have both a row and a column of the window."""
    return np.flatnonzero(left.any(axis=0) & right.any(axis=1)).tolist()


def peeled_rank(matrix: list[list[Fraction]]) -> int:
    """Return the rank: a row with an entry that is alone in its column counts one.

    For its column is 0 in the other rows. The first entry is looked at; the rest is eliminated.

    Examples
    --------
    >>> peeled_rank([[5, 0, 0], [0, 1, 1], [0, 1, 1]])
    2
    """
    rows = [[j for j, v in enumerate(row) if v] for row in matrix]
    columns: dict[int, int] = {}
    for row in rows:
        for j in row:
            columns[j] = columns.get(j, 0) + 1
    rest = [i for i, row in enumerate(rows) if row and columns[row[0]] > 1]
    left = sorted({j for i in rest for j in rows[i]})
    alone = sum(1 for row in rows if row) - len(rest)
    return alone + rank([[matrix[i][j] for j in left] for i in rest])


def named(names: Names, places: tuple[int, ...] | list[int], turned: bool) -> str:
    """Return columns of the window, rows if `turned`, as those of the whole."""
    line = "row" if turned else "column"
    return f"{line}s {names.columns_of(places, turned)}"
