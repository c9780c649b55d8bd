"""Proofs that a matrix is not a product with given supports: branching trees, checked exactly.

The statement: there are no X, Y with supp X in I, supp Y in J and ``X Y = A`` on the observed
cells (all of them unless some are given). Rules speak of observed cells only. A proof splits on
"is this variable zero?" until every branch meets a contradiction. Variables are ``("x", i, k)``
and ``("y", k, j)``. A term k is live at cell (i, j) if it covers the cell and neither x_ik nor
y_kj is known to be zero on this branch. Nodes are written as lists so that they are plain JSON;
each rule is a class, and its docstring says what is written, what is shown, and why.

Every rule holds over any field that contains the rationals. Values are rational: they follow from
A by linear equations with rational coefficients.
"""

from __future__ import annotations

from typing import Any

from sparseopt.closedness.proofs.exclusion_branch import TREE, ExclusionBranch
from sparseopt.closedness.proofs.exclusion_cells import Cell, FreeMinor, Minor, Product, Split
from sparseopt.closedness.proofs.exclusion_lines import Line, Scale, Span
from sparseopt.closedness.proofs.exclusion_ranks import EqualBoth, EqualColumns, Trace
from sparseopt.closedness.proofs.identities import Identity

RULES = (
    *(Split, Product, Cell, Minor, FreeMinor, Span, Scale, Line, Identity),
    *(Trace, EqualColumns, EqualBoth),
)


class Exclusion(ExclusionBranch):
    """Checks one tree against supports and a matrix A."""

    def check(self, tree: Any) -> None:
        """Read a tree and follow it.

        Raises
        ------
        EvidenceError
            Unless the tree proves that A is not a product.
        """
        self.follow(TREE.read(tree, ("exclusion",)))
