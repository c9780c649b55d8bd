"""Partially observed problems, and the reductions that keep the answer.

Term k of a pair of supports is a rank-one block on the rectangle R_k = rows I[:, k] x columns
J[k, :]. An observed problem asks whether B = {(sum_k x_k y_k^T) on O} is closed, O a set of
observed cells. Everything below holds over the real and the complex numbers.

Normal form. Row i of a block without an observed cell in the block has no influence: drop it, and
columns likewise. If the graph of observed cells of a block (rows on one side, columns on the
other) falls into parts, these share neither x nor y entries, and cells between them are not
observed: they are independent blocks.

Components. Classes of blocks that share no observed cell make B a product of sets: B is closed
if and only if every factor is.

Free families. Let S be some of the blocks, F their observed cells, and B_S = K^F. Then
B = K^F + B' with B' the set of the other blocks, so B is K^F times the projection of B' to O \\ F,
and is closed if and only if that projection is: drop S and observe only O \\ F. Proofs of
B_S = K^F, with U_j the rows of F in column j:

- ``["columns", matchings]``: for each column j the rows U_j are matched to distinct terms of S
  that cover them in column j. For generic X the square minor of X given by the matching is a
  nonzero polynomial, so the vectors x_k, k covering j, restricted to U_j span everything there:
  solve every column for Y. ``matchings`` lists, for every column with U_j not empty, in order, one
  term per row of U_j, in order.
- ``["rows", matchings]``: the same for the transposed problem.
- ``["determined", j, l, matchings]``: term l of S covers column j and all rows of U_j. For every
  other column c with U_c not empty and every row i in U_j, ``matchings[c-th][i-th]`` is a matching
  of U_c as above in which l stands, if it does, in row i or in a row outside U_j. Proof: if column
  j of the target is zero, all is generic. Else some entry i of it is not zero: let x_l be the
  target's column on U_j, y_lj = 1, the other y of column j zero, everything else in X generic. In
  the minor of column c distinct permutations have distinct monomials in the generic entries
  (the rows of the other terms fix the row of l), and that of the matching has a nonzero
  coefficient. So the minor is not the zero polynomial; solve column c for Y.
- ``["determined_t", i, l, matchings]``: the same for the transposed problem.
- ``["submersion", X, Y]``: X Y = 0 on F and (X', Y') -> X Y' + X' Y is onto K^F, X and Y integer
  matrices with the supports, given as [row, column, value]. Proof: the product map is open at
  (X, Y), so B_S contains a ball around 0, and it is a cone.

Source of the setting: Le, Riccietti, Gribonval, arXiv 2306.02666.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sparseopt.judging.evidence import INDEX, INDICES, EvidenceError, Integer, List, Node, Record
from sparseopt.judging.exact import rank_modulo

ReductionError = EvidenceError

MATCHINGS = List(INDICES)
POINT = List(Record((INDEX, INDEX, Integer(-1000, 1000))))
FAMILY = List(INDEX, distinct=True, least=1)
EVIDENCE = Node(
    "kind of evidence",
    {
        "columns": (MATCHINGS,),
        "rows": (MATCHINGS,),
        "determined": (INDEX, INDEX, List(MATCHINGS)),
        "determined_t": (INDEX, INDEX, List(MATCHINGS)),
        "submersion": (POINT, POINT),
    },
)
STEP = Node(
    "reduction",
    {"free": (FAMILY, EVIDENCE), "component": (INDEX,), "keep": (INDICES, INDICES)},
)


@dataclass(frozen=True, eq=False)
class ObservedProblem:
    """Blocks and observed cells.

    Attributes
    ----------
    left, right : bool arrays, shapes (m, r) and (r, n)
        Rows and columns of every block, in the numbering of the problem that was asked.
    observed : bool array, shape (m, n)
    origin : tuple of int
        The term of the asked problem that each block is a part of.
    turned : bool
        Whether these are the transposed matrices, which matters only for words.
    """

    left: np.ndarray
    right: np.ndarray
    observed: np.ndarray
    origin: tuple[int, ...]
    turned: bool = False

    @property
    def transposed(self) -> ObservedProblem:
        """The problem of the transposed matrices."""
        return ObservedProblem(
            self.right.T, self.left.T, self.observed.T, self.origin, not self.turned
        )

    @property
    def lines(self) -> tuple[str, str]:
        """What rows and columns are in the problem that was asked."""
        return ("column", "row") if self.turned else ("row", "column")

    def place(self, i: int, j: int) -> tuple[int, int]:
        """Return cell (i, j) as row and column of the problem that was asked."""
        return (j, i) if self.turned else (i, j)

    def terms(self, blocks: Iterable[int]) -> list[int]:
        """Return the terms that blocks are parts of, each once, in ascending order."""
        return sorted({self.origin[k] for k in blocks})

    def block(self, k: int) -> np.ndarray:
        """Return the observed cells of block k, a bool array of shape (m, n)."""
        return np.logical_and.outer(self.left[:, k], self.right[k]) & self.observed

    def family(self, terms: Sequence[int]) -> ObservedProblem:
        """Return the blocks `terms` with their observed cells."""
        left, right = self.left[:, list(terms)], self.right[list(terms)]
        origin = tuple(self.origin[k] for k in terms)
        return ObservedProblem(
            left, right, covered(left, right) & self.observed, origin, self.turned
        )

    def without(self, terms: Sequence[int]) -> ObservedProblem:
        """Return the other blocks on the cells that `terms` do not reach, in normal form."""
        rest = [k for k in range(len(self.origin)) if k not in set(terms)]
        reached = self.family(terms).observed
        return normal_form(
            ObservedProblem(
                self.left[:, rest],
                self.right[rest],
                self.observed & ~reached,
                tuple(self.origin[k] for k in rest),
                self.turned,
            )
        )

    def keep(self, rows: Sequence[int], columns: Sequence[int]) -> ObservedProblem:
        """Return the problem on some rows and columns, in normal form."""
        chosen = np.zeros_like(self.observed)
        chosen[np.ix_(list(rows), list(columns))] = True
        return normal_form(replace(self, observed=self.observed & chosen))


def covered(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the cells that some term covers, a bool array.

    A sum of zeros and ones in floats is 0 for zeros only, however many there are.
    """
    product = left.astype(np.float32) @ right.astype(np.float32)
    return np.asarray(product > 0)


def start(left: np.ndarray, right: np.ndarray) -> ObservedProblem:
    """Return the problem of a pair of supports in normal form: all covered cells are observed."""
    everything = ObservedProblem(left, right, covered(left, right), tuple(range(left.shape[1])))
    return normal_form(everything)


def normal_form(state: ObservedProblem) -> ObservedProblem:
    """Trim and split all blocks. O(r m n) for bounded numbers of parts."""
    lefts, rights, origin = [], [], []
    for k in range(len(state.origin)):
        for rows, columns in _parts(state.block(k)):
            lefts.append(rows)
            rights.append(columns)
            origin.append(state.origin[k])
    m, n = state.observed.shape
    left = np.array(lefts, dtype=bool).reshape(-1, m).T
    right = np.array(rights, dtype=bool).reshape(-1, n)
    return ObservedProblem(left, right, state.observed, tuple(origin), state.turned)


def _parts(cells: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows and columns of the connected parts of a bipartite graph, by first row."""
    left: np.ndarray = np.asarray(cells.any(axis=1))
    while left.any():
        rows = np.zeros_like(left)
        rows[int(left.argmax())] = True
        while True:
            columns = np.asarray(cells[rows].any(axis=0))
            grown = np.asarray(cells[:, columns].any(axis=1))
            if np.array_equal(grown, rows):
                break
            rows = grown
        yield rows, columns
        left = left & ~rows


def components(state: ObservedProblem) -> list[list[int]]:
    """Return the classes of blocks joined by shared observed cells, by first block."""
    left = list(range(len(state.origin)))
    classes = []
    while left:
        group = [left.pop(0)]
        cells = state.block(group[0])
        while joined := [k for k in left if bool((state.block(k) & cells).any())]:
            for k in joined:
                cells = cells | state.block(k)
                left.remove(k)
            group += joined
        classes.append(sorted(group))
    return classes


def is_full(state: ObservedProblem) -> bool:
    """Return whether every cell of every block is observed."""
    return all(
        int(state.block(k).sum()) == int(state.left[:, k].sum()) * int(state.right[k].sum())
        for k in range(len(state.origin))
    )


def remove_free(
    state: ObservedProblem, terms: Sequence[int], evidence: Sequence[Any]
) -> ObservedProblem:
    """Check that the family `terms` is free and return the rest in normal form.

    Raises
    ------
    EvidenceError
        If the evidence is malformed or proves no such thing.
    """
    return reduced(state, STEP.read(["free", terms, evidence], ("reduction",)))


def _check_free(family: ObservedProblem, evidence: tuple[Any, ...]) -> None:
    kind = evidence[0]
    if kind == "columns":
        _check_matchings(family, evidence[1])
    elif kind == "rows":
        _check_matchings(family.transposed, evidence[1])
    elif kind == "determined":
        _check_determined(family, *evidence[1:])
    elif kind == "determined_t":
        _check_determined(family.transposed, *evidence[1:])
    else:
        _check_submersion(family, *evidence[1:])


def _check_matching(family: ObservedProblem, column: int, matching: Sequence[int]) -> None:
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


def _check_matchings(family: ObservedProblem, matchings: Sequence[Sequence[int]]) -> None:
    columns = np.flatnonzero(family.observed.any(axis=0)).tolist()
    if len(matchings) != len(columns):
        raise EvidenceError(f"one matching per {family.lines[1]} of the family is needed")
    for column, matching in zip(columns, matchings, strict=True):
        _check_matching(family, column, matching)


def _check_determined(
    family: ObservedProblem, fixed: int, term: int, matchings: Sequence[Sequence[Sequence[int]]]
) -> None:
    r, n = family.right.shape
    line, across = family.lines
    if fixed >= n or term >= r:
        raise EvidenceError(f"there is no {across} {fixed}, or no block number {term}")
    target = family.observed[:, fixed]
    if not family.right[term, fixed] or bool((target & ~family.left[:, term]).any()):
        raise EvidenceError(f"term {family.origin[term]} does not cover all of {across} {fixed}")
    others = [c for c in np.flatnonzero(family.observed.any(axis=0)).tolist() if c != fixed]
    if len(matchings) != len(others):
        raise EvidenceError(f"one list of matchings per other {across} is needed")
    entries = np.flatnonzero(target).tolist()
    for column, variants in zip(others, matchings, strict=True):
        rows = np.flatnonzero(family.observed[:, column]).tolist()
        if len(variants) != len(entries):
            raise EvidenceError(f"one matching per entry of the determined {across} is needed")
        for entry, matching in zip(entries, variants, strict=True):
            _check_matching(family, column, matching)
            if term in matching:
                row = rows[matching.index(term)]
                if row != entry and bool(target[row]):
                    raise EvidenceError(
                        f"{across} {column}: term {family.origin[term]} stands in {line} {row}, "
                        f"not in {line} {entry}"
                    )


def integer_matrix(entries: Sequence[Sequence[int]], support: np.ndarray) -> np.ndarray:
    """Return the matrix with the given [row, column, value], refusing what leaves the support."""
    matrix = np.zeros(support.shape, dtype=np.int64)
    given = set()
    for i, k, value in entries:
        if i >= support.shape[0] or k >= support.shape[1] or not support[i, k] or (i, k) in given:
            raise EvidenceError(f"entry ({i}, {k}) of a point leaves the support, or is repeated")
        given.add((i, k))
        matrix[i, k] = value
    return matrix


def tangent_map(family: ObservedProblem, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (X', Y') -> X Y' + X' Y on the observed cells, shape (cells, variables).

    Variables are the entries of X in the order of ``np.argwhere(left)``, then those of Y.
    """
    cells = np.argwhere(family.observed)
    number = -np.ones(family.observed.shape, dtype=np.intp)
    number[family.observed] = np.arange(len(cells))
    xs, ys = np.argwhere(family.left), np.argwhere(family.right)
    matrix = np.zeros((len(cells), len(xs) + len(ys)), dtype=np.int64)
    for v, (i, k) in enumerate(xs):
        seen = family.observed[i] & family.right[k]
        matrix[number[i, seen], v] = y[k, seen]
    for v, (k, j) in enumerate(ys, start=len(xs)):
        seen = family.observed[:, j] & family.left[:, k]
        matrix[number[seen, j], v] = x[seen, k]
    return matrix


def _check_submersion(family: ObservedProblem, x: Sequence[Any], y: Sequence[Any]) -> None:
    first, second = integer_matrix(x, family.left), integer_matrix(y, family.right)
    # Entries are at most 1000: sums of their products do not overflow int64.
    if bool((first @ second)[family.observed].any()):
        raise EvidenceError("the point of the submersion does not have product zero")
    cells = int(family.observed.sum())
    if rank_modulo(tangent_map(family, first, second)) != cells:
        raise EvidenceError(f"the tangent map is not onto the {cells} cells")


def reduced(state: ObservedProblem, step: tuple[Any, ...]) -> ObservedProblem:
    """Return what one step, as `STEP` reads it, leaves; see `replay`."""
    if step[0] == "free":
        _, blocks, evidence = step
        if max(blocks) >= len(state.origin):
            raise EvidenceError(f"there are {len(state.origin)} blocks, not all of {list(blocks)}")
        _check_free(state.family(blocks), evidence)
        return state.without(blocks)
    if step[0] == "component":
        classes = components(state)
        if step[1] >= len(classes):
            raise EvidenceError(f"there are {len(classes)} components, none of number {step[1]}")
        return state.family(classes[step[1]])
    _, *places = step
    for line, chosen, size in zip(("row", "column"), places, state.observed.shape, strict=True):
        if max(chosen, default=-1) >= size:
            raise EvidenceError(f"there is no {line} {max(chosen)}")
    return state.keep(*places)


def replay(left: np.ndarray, right: np.ndarray, steps: Sequence[Sequence[Any]]) -> ObservedProblem:
    """Apply recorded steps and return the observed problem that is left.

    Steps are ``["free", terms, evidence]``, ``["component", c]`` and ``["keep", rows, columns]``.
    The first keeps the answer both ways. If what is left by the others is not closed, neither is
    what was there before: a component is a factor of a product of nonempty sets, and a limit on
    some rows and columns outside the smaller set, padded by zeros, is a limit outside the larger
    one, since restricting factors restricts the product.

    Raises
    ------
    EvidenceError
        If a step is malformed or does not hold.
    """
    state = start(left, right)
    for step in List(STEP).read(steps, ("reductions",)):
        state = reduced(state, step)
    return state
