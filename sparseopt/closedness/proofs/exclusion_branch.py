"""What is known on a branch of a proof that a matrix is not a product, and how a tree is followed.

The rules stand in `sparseopt.closedness.proofs.exclusion`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.closedness.names import Names, Story
from sparseopt.judging.evidence import INDEX, EvidenceError, Node, Record, Rule, Word

VARIABLE = Record((Word(("x", "y")), INDEX, INDEX))
TREE = Node("rule of an exclusion")
"""Complete once `sparseopt.closedness.proofs.exclusion` is imported, which imports all rules."""

Matrix = list[list[Fraction]]
Named = tuple[Any, ...]
"""A variable: ("x", i, k) or ("y", k, j)."""


class ExclusionRule(Rule):
    """A node of a tree that shows a matrix to be no product."""

    @abstractmethod
    def check(self, branch: ExclusionBranch) -> ExclusionRule | None:
        """Check the rule and learn what it shows; return what is left to follow.

        None means that nothing is: the branch met a contradiction.

        Raises
        ------
        EvidenceError
            If a side condition does not hold.
        """

    @abstractmethod
    def sentence(self, names: Names) -> Story:
        """Yield the rule in words, with what follows from it."""


class ExclusionBranch:
    """Follows one tree for supports and a matrix A; knows what holds on the current branch.

    Parameters
    ----------
    left, right : bool arrays, shapes (m, r) and (r, n)
    matrix : m lists of n rationals
        What stands at cells that are not observed is not looked at.
    observed : bool array, shape (m, n), or None
        None for all cells.
    names : Names or None
        For messages; None if the window is the whole.

    Attributes
    ----------
    zero, nonzero : set of variables
    values : dict from variable to Fraction
    scaled : set of int
        Terms of which one variable was made 1.
    nodes : int
        Nodes checked so far.
    """

    def __init__(
        self,
        left: np.ndarray,
        right: np.ndarray,
        matrix: Matrix,
        observed: np.ndarray | None = None,
        names: Names | None = None,
    ) -> None:
        self.left, self.right, self.matrix = left, right, matrix
        self.shape = (left.shape[0], right.shape[1])
        self.observed = np.ones(self.shape, dtype=bool) if observed is None else observed
        self.names = names or Names(*map(range, (*self.shape, left.shape[1])))
        self.zero: set[Named] = set()
        self.nonzero: set[Named] = set()
        self.values: dict[Named, Fraction] = {}
        self.scaled: set[int] = set()
        self.nodes = 0
        self._undo: list[Callable[[], object]] = []

    def follow(self, tree: ExclusionRule | None, *assumed: tuple[set[Any], Any]) -> None:
        """Check a tree that was read; what is assumed or found holds for this call only."""
        known_before = len(self._undo)
        for known, fact in assumed:
            self.learn(known, [fact])
        try:
            while tree is not None:
                self.nodes += 1
                tree = tree.check(self)
        finally:
            while len(self._undo) > known_before:
                self._undo.pop()()

    def learn(self, known: set[Any], facts: Iterable[Any]) -> None:
        """Add facts to `zero`, `nonzero` or `scaled` for the rest of the branch."""
        fresh = set(facts) - known
        known |= fresh
        self._undo.append(lambda: known.difference_update(fresh))

    def fix(self, found: dict[Named, Fraction]) -> None:
        """Give values to variables that have none, for the rest of the branch."""
        self.values.update(found)
        self._undo.append(lambda: [self.values.pop(name) for name in found])

    def seen(self, i: int, j: int) -> bool:
        """Return whether a cell is observed; refuse one that does not exist."""
        if i >= self.shape[0] or j >= self.shape[1]:
            raise EvidenceError(f"the window of shape {self.shape} has no cell number ({i}, {j})")
        return bool(self.observed[i, j])

    def value(self, i: int, j: int) -> Fraction:
        """Return the entry of A at an observed cell; refuse others."""
        if not self.seen(i, j):
            raise EvidenceError(f"cell {self.names.cell(i, j)} is not observed")
        return self.matrix[i][j]

    def existing(self, variable: Named) -> Named:
        """Return a variable, refused unless it lies in the supports."""
        kind, a, b = variable
        support = self.left if kind == "x" else self.right
        if a >= support.shape[0] or b >= support.shape[1]:
            raise EvidenceError(f"the window has no entry number ({a}, {b}) of {kind}")
        if not support[a, b]:
            raise EvidenceError(f"{self.names.entry(*variable)} lies outside the support")
        return variable

    def require_line(self, line: int, turned: bool) -> None:
        """Refuse a column, a row if `turned`, that does not exist."""
        if line >= self.shape[0 if turned else 1]:
            raise EvidenceError(f"the window of shape {self.shape} has no line number {line}")

    def live(self, i: int, j: int) -> list[int]:
        """Return the terms that cover a cell and have no variable there that is known to be 0."""
        terms = np.flatnonzero(self.left[i] & self.right[:, j]).tolist()
        return [k for k in terms if ("x", i, k) not in self.zero and ("y", k, j) not in self.zero]
