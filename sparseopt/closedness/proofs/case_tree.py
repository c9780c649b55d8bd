"""Trees of cases over the entries of a target: what the trees of all kinds have in common.

The entries of the target A are variables ``[i, j]``. A branch of the tree knows polynomials that
are not zero at A, and has expressed some entries as fractions of polynomials in the others, with
denominators that are products of polynomials known to be not zero. Nodes are lists, plain JSON;
each rule is a class, and its docstring says what is written, what is shown, and why.

Polynomials are taken over the rationals and evaluated at numbers of an infinite field that
contains them, so all of this holds over the real and the complex numbers.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.closedness.proofs.branch import Branch, Terms
from sparseopt.closedness.proofs.polynomials import POLYNOMIAL, Variable, polynomial, variables
from sparseopt.judging.evidence import INDEX, EvidenceError, Node, Record, Rule

CELL = Record((INDEX, INDEX))
CASES = Node("node of a tree of cases")
"""Complete once `sparseopt.closedness.proofs.cases` is imported."""
CHAIN_CASES = Node("node of a tree of cases of a chain")
"""Complete once `sparseopt.closedness.proofs.chain_cases` is imported."""


class CaseRule(Rule):
    """A node of a tree of cases. A tree is told by what it proves, so no rule has a sentence."""

    @abstractmethod
    def check(self, tree: Any, branch: Branch) -> tuple[Branch, CaseRule] | None:
        """Check the rule on a branch; return what follows and its branch, None after a leaf.

        `tree` is the `CaseTree` that the rule belongs to. An EvidenceError refuses.
        """


class CaseTree:
    """Checks trees of one kind.

    Attributes
    ----------
    leaves : int
        Leaves checked so far.
    """

    form: Node

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

    def prove(self, tree: CaseRule) -> None:
        """Check a tree that was read, as `check` does."""
        self.follow(Branch.root(self.observed), tree)

    def follow(self, branch: Branch, tree: CaseRule) -> None:
        """Check a part of a tree on its branch."""
        later: tuple[Branch, CaseRule] | None = branch, tree
        while later is not None:
            branch, tree = later
            later = tree.check(self, branch)
        self.leaves += 1


@CASES.rule("split", POLYNOMIAL, CELL, CASES, CASES)
@CHAIN_CASES.rule("split", POLYNOMIAL, CELL, CHAIN_CASES, CHAIN_CASES)
@dataclass(frozen=True)
class Split(CaseRule):
    """``["split", p, v, if_zero, if_nonzero]``: a polynomial is 0, which gives v, or it is not.

    p = c v + r, with v not in c and r and c a product of polynomials known to be not zero (no
    variable in it if it is a number). Either p = 0, hence v = -r / c, or p is known to be not zero.
    """

    p: Terms
    name: Variable
    if_zero: CaseRule
    if_nonzero: CaseRule

    def check(self, tree: CaseTree, branch: Branch) -> tuple[Branch, CaseRule]:
        """Follow the first case here; go on with the second."""
        p = polynomial(self.p)
        if not variables(p) <= branch.free:
            raise EvidenceError("a split uses entries that are not free on its branch")
        tree.follow(branch.solved(p, self.name), self.if_zero)
        return branch.knowing(p), self.if_nonzero


@CASES.rule("empty")
@CHAIN_CASES.rule("empty")
@dataclass(frozen=True)
class Empty(CaseRule):
    """``["empty"]``: a polynomial known to be not zero is 0 after the fractions are put in."""

    def check(self, tree: CaseTree, branch: Branch) -> None:
        """Look for it."""
        if all(branch.nonzero):
            raise EvidenceError("no polynomial that is not zero became zero")
