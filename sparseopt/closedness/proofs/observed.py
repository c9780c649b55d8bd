"""Partially observed problems: blocks, observed cells, and their independent parts.

Term k of a pair of supports is a rank-one block on the rectangle R_k = rows I[:, k] x columns
J[k, :]. An observed problem asks whether B = {(sum_k x_k y_k^T) on O} is closed, O a set of
observed cells. Everything below holds over the real and the complex numbers.

Normal form. Row i of a block without an observed cell in the block has no influence: drop it, and
columns likewise. If the graph of observed cells of a block (rows on one side, columns on the
other) falls into parts, these share neither x nor y entries, and cells between them are not
observed: they are independent blocks.

Components. Classes of blocks that share no observed cell make B a product of sets: B is closed
if and only if every factor is.

Steps that take such a problem to a smaller one: `sparseopt.closedness.proofs.reductions`.

Source of the setting: Le, Riccietti, Gribonval, arXiv 2306.02666.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparseopt.judging.exact import counts


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
    """Return the cells that some term covers, a bool array."""
    return np.asarray(counts(left, right) > 0)


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
        # Cells are observed ones, so those of a block are found on its rectangle.
        while joined := [k for k in left if cells[state.left[:, k]][:, state.right[k]].any()]:
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
