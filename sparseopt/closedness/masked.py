"""Partially observed problems, and the reductions that keep the answer.

Term k of a pair of supports is a rank-one block on the rectangle R_k = rows I[:, k] x columns
J[k, :]. A masked problem asks whether B = {(sum_k x_k y_k^T) on O} is closed, O a set of observed
cells. Everything below holds over the real and the complex numbers.

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
  the minor of column c different permutations have different monomials in the generic entries
  (the rows of the other terms fix the row of l), and that of the matching has a nonzero
  coefficient. So the minor is not the zero polynomial; solve column c for Y.
- ``["determined_t", i, l, matchings]``: the same for the transposed problem.
- ``["submersion", X, Y]``: X Y = 0 on F and (X', Y') -> X Y' + X' Y is onto K^F, X and Y integer
  matrices with the supports, given as [row, column, value]. Proof: the product map is open at
  (X, Y), so B_S contains a ball around 0, and it is a cone.

Source of the setting: Le, Riccietti, Gribonval, arXiv 2306.02666.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PRIME = 2_147_483_629
"""Ranks are computed modulo this prime: full rank modulo a prime is full rank over Q."""


class ReductionError(Exception):
    """A step does not hold; the message says why."""


@dataclass(frozen=True, eq=False)
class Masked:
    """Blocks and observed cells.

    Attributes
    ----------
    left, right : bool arrays, shapes (m, r) and (r, n)
        Rows and columns of every block, in the numbering of the problem that was asked.
    observed : bool array, shape (m, n)
    origin : tuple of int
        The term of the asked problem that each block is a part of.
    """

    left: np.ndarray
    right: np.ndarray
    observed: np.ndarray
    origin: tuple[int, ...]

    @property
    def transposed(self) -> Masked:
        """The problem of the transposed matrices."""
        return Masked(self.right.T, self.left.T, self.observed.T, self.origin)

    def block(self, k: int) -> np.ndarray:
        """Return the observed cells of block k, a bool array of shape (m, n)."""
        return np.logical_and.outer(self.left[:, k], self.right[k]) & self.observed

    def family(self, terms: Sequence[int]) -> Masked:
        """Return the blocks `terms` with their observed cells."""
        left, right = self.left[:, list(terms)], self.right[list(terms)]
        return Masked(
            left, right, covered(left, right) & self.observed, tuple(self.origin[k] for k in terms)
        )

    def without(self, terms: Sequence[int]) -> Masked:
        """Return the other blocks on the cells that `terms` do not reach, in normal form."""
        rest = [k for k in range(len(self.origin)) if k not in set(terms)]
        reached = self.family(terms).observed
        return normal_form(
            Masked(
                self.left[:, rest],
                self.right[rest],
                self.observed & ~reached,
                tuple(self.origin[k] for k in rest),
            )
        )

    def keep(self, rows: Sequence[int], columns: Sequence[int]) -> Masked:
        """Return the problem on some rows and columns, in normal form."""
        chosen = np.zeros_like(self.observed)
        chosen[np.ix_(list(rows), list(columns))] = True
        return normal_form(Masked(self.left, self.right, self.observed & chosen, self.origin))


def covered(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the cells that some term covers, a bool array."""
    product = left.astype(np.float32) @ right.astype(np.float32)
    return np.asarray(product > 0)


def start(left: np.ndarray, right: np.ndarray) -> Masked:
    """Return the problem of a pair of supports in normal form: all covered cells are observed."""
    everything = Masked(left, right, covered(left, right), tuple(range(left.shape[1])))
    return normal_form(everything)


def normal_form(state: Masked) -> Masked:
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
    return Masked(left, right, state.observed, tuple(origin))


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


def components(state: Masked) -> list[list[int]]:
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


def is_full(state: Masked) -> bool:
    """Return whether every cell of every block is observed."""
    return all(
        int(state.block(k).sum()) == int(state.left[:, k].sum()) * int(state.right[k].sum())
        for k in range(len(state.origin))
    )


def remove_free(state: Masked, terms: Sequence[int], evidence: Sequence[Any]) -> Masked:
    """Check that the family `terms` is free and return the rest in normal form."""
    chosen = list(terms)
    if not chosen or len(set(chosen)) != len(chosen):
        raise ReductionError("a family is a list of different terms, not empty")
    if not all(type(k) is int and 0 <= k < len(state.origin) for k in chosen):
        raise ReductionError(f"family {chosen} names terms that do not exist")
    _check_free(state.family(chosen), evidence)
    return state.without(chosen)


def _check_free(family: Masked, evidence: Sequence[Any]) -> None:
    kind = evidence[0]
    if kind == "columns":
        _check_matchings(family, evidence[1])
    elif kind == "rows":
        _check_matchings(family.transposed, evidence[1])
    elif kind == "determined":
        _check_determined(family, *evidence[1:])
    elif kind == "determined_t":
        _check_determined(family.transposed, *evidence[1:])
    elif kind == "submersion":
        _check_submersion(family, *evidence[1:])
    else:
        raise ReductionError(f"unknown evidence {kind!r}")


def _check_matching(family: Masked, column: int, matching: Sequence[int]) -> None:
    rows = np.flatnonzero(family.observed[:, column]).tolist()
    if len(matching) != len(rows) or len(set(matching)) != len(rows):
        raise ReductionError(f"column {column}: a matching gives each row its own term")
    for i, k in zip(rows, matching, strict=True):
        known = type(k) is int and 0 <= k < len(family.origin)
        if not (known and family.left[i, k] and family.right[k, column]):
            raise ReductionError(f"term {k} of the family does not cover cell ({i}, {column})")


def _check_matchings(family: Masked, matchings: Sequence[Sequence[int]]) -> None:
    columns = np.flatnonzero(family.observed.any(axis=0)).tolist()
    if len(matchings) != len(columns):
        raise ReductionError("one matching per column of the family is needed")
    for column, matching in zip(columns, matchings, strict=True):
        _check_matching(family, column, matching)


def _check_determined(
    family: Masked, fixed: int, term: int, matchings: Sequence[Sequence[Sequence[int]]]
) -> None:
    r, n = family.right.shape
    if not (type(fixed) is int and 0 <= fixed < n and type(term) is int and 0 <= term < r):
        raise ReductionError("the determined column and its term must exist")
    target = family.observed[:, fixed]
    if not family.right[term, fixed] or bool((target & ~family.left[:, term]).any()):
        raise ReductionError(f"term {term} does not cover all of column {fixed}")
    others = [c for c in np.flatnonzero(family.observed.any(axis=0)).tolist() if c != fixed]
    if len(matchings) != len(others):
        raise ReductionError("one list of matchings per other column is needed")
    entries = np.flatnonzero(target).tolist()
    for column, variants in zip(others, matchings, strict=True):
        rows = np.flatnonzero(family.observed[:, column]).tolist()
        if len(variants) != len(entries):
            raise ReductionError("one matching per entry of the determined column is needed")
        for entry, matching in zip(entries, variants, strict=True):
            _check_matching(family, column, matching)
            if term in matching:
                row = rows[list(matching).index(term)]
                if row != entry and bool(target[row]):
                    raise ReductionError(f"term {term} stands in row {row}, not in row {entry}")


def integer_matrix(entries: Sequence[Sequence[int]], support: np.ndarray) -> np.ndarray:
    """Return the matrix with the given [row, column, value], refusing what leaves the support."""
    matrix = np.zeros(support.shape, dtype=np.int64)
    for i, k, value in entries:
        if not all(type(v) is int for v in (i, k, value)) or abs(value) > 1000:
            raise ReductionError("the point of a submersion holds integers up to 1000")
        if not (0 <= i < support.shape[0] and 0 <= k < support.shape[1] and support[i, k]):
            raise ReductionError(f"entry ({i}, {k}) of the point is outside the support")
        matrix[i, k] = value
    return matrix


def tangent_map(family: Masked, x: np.ndarray, y: np.ndarray) -> np.ndarray:
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


def rank_modulo(matrix: np.ndarray) -> int:
    """Return the rank of an integer matrix modulo `PRIME`, a lower bound of the rank over Q."""
    work = np.mod(matrix, PRIME).astype(np.int64)
    found = 0
    for column in range(work.shape[1]):
        below = np.flatnonzero(work[found:, column])
        if not below.size:
            continue
        pivot = found + int(below[0])
        work[[found, pivot]] = work[[pivot, found]]
        inverse = pow(int(work[found, column]), -1, PRIME)
        work[found] = work[found] * inverse % PRIME
        factors = work[found + 1 :, column]
        # Products stay below 2^62: both factors are below 2^31.
        work[found + 1 :] = (work[found + 1 :] - np.outer(factors, work[found]) % PRIME) % PRIME
        found += 1
        if found == work.shape[0]:
            break
    return found


def _check_submersion(family: Masked, x: Sequence[Any], y: Sequence[Any]) -> None:
    first, second = integer_matrix(x, family.left), integer_matrix(y, family.right)
    if bool((first @ second)[family.observed].any()):
        raise ReductionError("the point of the submersion does not have product zero")
    cells = int(family.observed.sum())
    if rank_modulo(tangent_map(family, first, second)) != cells:
        raise ReductionError(f"the tangent map is not onto the {cells} cells")


def replay(left: np.ndarray, right: np.ndarray, steps: Sequence[Sequence[Any]]) -> Masked:
    """Apply recorded steps and return the masked problem that is left.

    Steps are ``["free", terms, evidence]``, ``["component", c]`` and ``["keep", rows, columns]``.
    The first keeps the answer both ways. If what is left by the others is not closed, neither is
    what was there before: a component is a factor of a product of nonempty sets, and a limit on
    some rows and columns outside the smaller set, padded by zeros, is a limit outside the larger
    one, since restricting factors restricts the product.
    """
    state = start(left, right)
    for step in steps:
        if step[0] == "free":
            state = remove_free(state, step[1], step[2])
        elif step[0] == "component":
            classes = components(state)
            if type(step[1]) is not int or not 0 <= step[1] < len(classes):
                raise ReductionError(f"there is no component {step[1]}")
            state = state.family(classes[step[1]])
        elif step[0] == "keep":
            state = state.keep(_indices(step[1], 0, state), _indices(step[2], 1, state))
        else:
            raise ReductionError(f"unknown step {step[0]!r}")
    return state


def _indices(chosen: Sequence[int], axis: int, state: Masked) -> list[int]:
    size = state.observed.shape[axis]
    if not all(type(i) is int and 0 <= i < size for i in chosen) or len(set(chosen)) != len(chosen):
        raise ReductionError(f"{chosen} are no different indices below {size}")
    return list(chosen)
