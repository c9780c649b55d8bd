"""Steps from an observed problem to a smaller one that is closed if, or only if, it is.

See `sparseopt.closedness.proofs.observed`. Each step is a class, and so is each kind of evidence
that a family of blocks is free; their docstrings say what is written, what is shown, and why.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparseopt.closedness.proofs.free_evidence import EVIDENCE, FreeEvidence
from sparseopt.closedness.proofs.observed import ObservedProblem, components
from sparseopt.closedness.proofs.staircase import Staircase
from sparseopt.judging.evidence import (
    INDEX,
    INDICES,
    EvidenceError,
    Integer,
    List,
    Node,
    Record,
    Rule,
)
from sparseopt.judging.exact import eliminate_modulo, rank_modulo, residues

Entries = tuple[tuple[int, int, int], ...]

MATCHINGS = List(INDICES)
POINT = List(Record((INDEX, INDEX, Integer(-1000, 1000))))
KINDS = (Staircase,)
"""Evidence that stands in modules of its own."""
FAMILY = List(INDEX, distinct=True, least=1)
STEP = Node("reduction")


@EVIDENCE.rule("columns", MATCHINGS, mirrored="rows")
@dataclass(frozen=True)
class Matchings(FreeEvidence):
    """``["columns", matchings]``: for each column j the rows U_j are matched to terms.

    Distinct terms of S that cover them in column j. For generic X the square minor of X given by
    the matching is a nonzero polynomial, so the vectors x_k, k covering j, restricted to U_j span
    everything there: solve every column for Y. ``matchings`` lists, for every column with U_j not
    empty, in order, one term per row of U_j, in order.

    ``["rows", matchings]``: the same for the transposed problem.
    """

    matchings: tuple[tuple[int, ...], ...]
    turned: bool = False

    def check(self, family: ObservedProblem) -> None:
        """Check the matching of every column."""
        family = family.transposed if self.turned else family
        columns = np.flatnonzero(family.observed.any(axis=0)).tolist()
        if len(self.matchings) != len(columns):
            raise EvidenceError(f"one matching per {family.lines[1]} of the family is needed")
        for column, matching in zip(columns, self.matchings, strict=True):
            check_matching(family, column, matching)

    @property
    def sentence(self) -> str:
        """What is solved for."""
        first, across = ("second", "row") if self.turned else ("first", "column")
        return f"for generic {first} factors every {across} can be solved for"


@EVIDENCE.rule("determined", INDEX, INDEX, List(MATCHINGS), mirrored="determined_t")
@dataclass(frozen=True)
class Determined(FreeEvidence):
    """``["determined", j, l, matchings]``: one term takes one column of the target.

    Term l of S covers column j and all rows of U_j. For every other column c with U_c not empty
    and every row i in U_j, ``matchings[c-th][i-th]`` is a matching of U_c as in `Matchings` in
    which l stands, if it does, in row i or in a row outside U_j. Proof: if column j of the target
    is zero, all is generic. Otherwise some entry i of it is not zero: let x_l be the target's
    column on U_j, y_lj = 1, the other y of column j zero, everything else in X generic. In the
    minor of column c distinct permutations have distinct monomials in the generic entries (the rows
    of the other terms fix the row of l), and that of the matching has a nonzero coefficient. So the
    minor is not the zero polynomial; solve column c for Y.

    ``["determined_t", i, l, matchings]``: the same for the transposed problem.
    """

    fixed: int
    term: int
    matchings: tuple[tuple[tuple[int, ...], ...], ...]
    turned: bool = False

    def check(self, family: ObservedProblem) -> None:
        """Check the term, and every matching of every other column."""
        family = family.transposed if self.turned else family
        fixed, term = self.fixed, self.term
        r, n = family.right.shape
        across = family.lines[1]
        if fixed >= n or term >= r:
            raise EvidenceError(f"there is no {across} {fixed}, or no block number {term}")
        target = family.observed[:, fixed]
        if not family.right[term, fixed] or bool((target & ~family.left[:, term]).any()):
            raise EvidenceError(
                f"term {family.origin[term]} does not cover all of {across} {fixed}"
            )
        others = [c for c in np.flatnonzero(family.observed.any(axis=0)).tolist() if c != fixed]
        if len(self.matchings) != len(others):
            raise EvidenceError(f"one list of matchings per other {across} is needed")
        for column, variants in zip(others, self.matchings, strict=True):
            self._check_column(family, column, variants)

    def _check_column(
        self, family: ObservedProblem, column: int, variants: tuple[tuple[int, ...], ...]
    ) -> None:
        target = family.observed[:, self.fixed]
        rows, entries = (
            np.flatnonzero(cells).tolist() for cells in (family.observed[:, column], target)
        )
        line, across = family.lines
        if len(variants) != len(entries):
            raise EvidenceError(f"one matching per entry of the determined {across} is needed")
        for entry, matching in zip(entries, variants, strict=True):
            check_matching(family, column, matching)
            if self.term in matching:
                row = rows[matching.index(self.term)]
                if row != entry and bool(target[row]):
                    raise EvidenceError(
                        f"{across} {column}: term {family.origin[self.term]} stands in {line} "
                        f"{row}, not in {line} {entry}"
                    )

    @property
    def sentence(self) -> str:
        """What is taken, and what is solved."""
        across = "row" if self.turned else "column"
        return f"one term takes one {across} of the target, and generic others solve the rest"


@EVIDENCE.rule("submersion", POINT, POINT)
@dataclass(frozen=True)
class Submersion(FreeEvidence):
    """``["submersion", X, Y]``: the product map is open at a point where the product is zero.

    X Y = 0 on F and (X', Y') -> X Y' + X' Y is onto K^F, X and Y integer matrices with the
    supports, given as [row, column, value]. Proof: the product map is open at (X, Y), so B_S
    contains a ball around 0, and it is a cone.
    """

    x: Entries
    y: Entries

    def check(self, family: ObservedProblem) -> None:
        """Multiply, and compute the rank of the tangent map."""
        x, y = integer_matrix(self.x, family.left), integer_matrix(self.y, family.right)
        # Entries are at most 1000: sums of their products do not overflow int64.
        if bool((x @ y)[family.observed].any()):
            raise EvidenceError("the point of the submersion does not have product zero")
        if not is_submersion(family, x, y):
            cells = int(family.observed.sum())
            raise EvidenceError(f"the tangent map is not onto the {cells} cells")

    @property
    def sentence(self) -> str:
        """What kind of point it is."""
        return "the product is a submersion at factors whose product is zero"


def check_matching(family: ObservedProblem, column: int, matching: Sequence[int]) -> None:
    """Refuse, by an EvidenceError, what gives the rows of a column no terms that cover them."""
    rows = np.flatnonzero(family.observed[:, column]).tolist()
    line, across = family.lines
    if len(matching) != len(rows):
        raise EvidenceError(f"{across} {column}: a matching gives each {line} its own term")
    for i, k in zip(rows, matching, strict=True):
        if k >= len(family.origin):
            raise EvidenceError(f"{across} {column}: the family has {len(family.origin)} blocks")
        if not (family.left[i, k] and family.right[k, column]):
            raise EvidenceError(
                f"term {family.origin[k]} does not cover {line} {i} in {across} {column}"
            )


def integer_matrix(entries: Entries, support: np.ndarray) -> np.ndarray:
    """Return the matrix with the given [row, column, value], refusing what leaves the support."""
    matrix = np.zeros(support.shape, dtype=np.int64)
    given = set()
    for i, k, value in entries:
        if i >= support.shape[0] or k >= support.shape[1] or not support[i, k] or (i, k) in given:
            raise EvidenceError(f"entry ({i}, {k}) of a point leaves the support, or is repeated")
        given.add((i, k))
        matrix[i, k] = value
    return matrix


def is_submersion(family: ObservedProblem, x: np.ndarray, y: np.ndarray) -> bool:
    """Return whether (X', Y') -> X Y' + X' Y is onto the observed cells, modulo the prime.

    It is if no functional on the cells vanishes on its image. One that vanishes on all X Y' has in
    column j a vector u with u X = 0 on the rows observed there; so with a basis of such u for every
    column, X' -> (u (X' Y)_j) over all j and u must be onto. Its matrix has the entries
    u_i Y[k, j] at the unknown X'[i, k], and far fewer rows than there are cells.
    """
    matrix = functionals_on(family, x, y)
    return rank_modulo(matrix) == len(matrix)


def functionals_on(family: ObservedProblem, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the matrix whose rows must be independent, modulo the prime, see `is_submersion`."""
    unknowns = np.flatnonzero(family.left & (y != 0).any(axis=1)[None])
    r = family.left.shape[1]
    blocks = []
    for j in np.flatnonzero(family.observed.any(axis=0)).tolist():
        rows = np.flatnonzero(family.observed[:, j])
        terms = np.flatnonzero(family.right[:, j])
        at = x[np.ix_(rows, terms)]
        work = residues(np.hstack([at, np.eye(len(rows), dtype=np.int64)]))
        found = eliminate_modulo(work, len(terms))
        null = work[found:, len(terms) :]
        block = np.zeros((len(null), family.left.shape[0], r), dtype=np.int64)
        # Residues times entries of at most 1000 stay far below 2^63.
        block[:, rows] = null[:, :, None] * y[None, None, :, j]
        blocks.append(residues(block.reshape(len(null), family.left.size)[:, unknowns]))
    return np.vstack(blocks) if blocks else np.zeros((0, 0), dtype=np.int64)


class Reduction(Rule):
    """A step to a smaller problem; if that is not closed, neither is what was there before."""

    @abstractmethod
    def check(self, state: ObservedProblem) -> ObservedProblem:
        """Check the step and return what it leaves; refuse by an EvidenceError."""

    @abstractmethod
    def sentence(self, before: ObservedProblem, after: ObservedProblem) -> str:
        """Return the step in words, with the problems before and after it."""


@STEP.rule("free", FAMILY, EVIDENCE)
@dataclass(frozen=True)
class FreeFamily(Reduction):
    """``["free", terms, evidence]``: leave a family and its cells away. Keeps the answer both ways.

    Let S be some of the blocks, F their observed cells, and B_S = K^F, for which there is
    `FreeEvidence`. Then B = K^F + B' with B' the set of the other blocks, so B is K^F times the
    projection of B' to O minus F, and is closed if and only if that projection is: drop S and
    observe only O minus F.
    """

    blocks: tuple[int, ...]
    evidence: FreeEvidence

    def check(self, state: ObservedProblem) -> ObservedProblem:
        """Check the evidence."""
        return without_family(state, self.blocks, self.evidence)

    def sentence(self, before: ObservedProblem, after: ObservedProblem) -> str:
        """Return what is left away."""
        terms = before.terms(self.blocks)
        return (
            f"The terms {terms} reach every matrix on their cells: leave them and their cells away."
        )


def without_family(
    state: ObservedProblem, blocks: tuple[int, ...], evidence: FreeEvidence
) -> ObservedProblem:
    """Return what `FreeFamily` leaves; refuse, by an EvidenceError, what does not hold."""
    if max(blocks) >= len(state.origin):
        raise EvidenceError(f"there are {len(state.origin)} blocks, not all of {list(blocks)}")
    evidence.check(state.family(blocks))
    return state.without(blocks)


@STEP.rule("component", INDEX)
@dataclass(frozen=True)
class Component(Reduction):
    """``["component", c]``: one of the parts that share no observed cell, by first block.

    If it is not closed, neither is the whole: it is a factor of a product of nonempty sets.
    """

    number: int

    def check(self, state: ObservedProblem) -> ObservedProblem:
        """Check that there is such a part."""
        classes = components(state)
        if self.number >= len(classes):
            raise EvidenceError(
                f"there are {len(classes)} components, none of number {self.number}"
            )
        return state.family(classes[self.number])

    def sentence(self, before: ObservedProblem, after: ObservedProblem) -> str:
        """Return which part is looked at."""
        terms = after.terms(range(len(after.origin)))
        return f"Of the parts that share no observed cell, look at that of the terms {terms}."


@STEP.rule("keep", INDICES, INDICES)
@dataclass(frozen=True)
class Keep(Reduction):
    """``["keep", rows, columns]``: look at some rows and columns only.

    If what is left is not closed, neither is the whole: a limit on some rows and columns outside
    the smaller set, padded by zeros, is a limit outside the larger one, since restricting factors
    restricts the product.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def check(self, state: ObservedProblem) -> ObservedProblem:
        """Check that the lines exist."""
        sizes = state.observed.shape
        for line, chosen, size in zip(
            ("row", "column"), (self.rows, self.columns), sizes, strict=True
        ):
            if max(chosen, default=-1) >= size:
                raise EvidenceError(f"there is no {line} {max(chosen)}")
        return state.keep(self.rows, self.columns)

    def sentence(self, before: ObservedProblem, after: ObservedProblem) -> str:
        """Return which lines are looked at."""
        return f"Look at rows {list(self.rows)} and columns {list(self.columns)} only."
