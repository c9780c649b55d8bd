"""Certificates that the set of products of two factors is not closed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.closedness.certificate import proving
from sparseopt.closedness.limits import LimitCertificate, Window
from sparseopt.closedness.names import told
from sparseopt.closedness.problem import Closedness
from sparseopt.closedness.proofs.exclusion import TREE, Exclusion
from sparseopt.closedness.proofs.exclusion_branch import ExclusionRule
from sparseopt.closedness.proofs.exclusion_cells import Cell, Product
from sparseopt.closedness.proofs.exclusion_lines import Span
from sparseopt.interface.certificate import Steps, proves
from sparseopt.interface.json_type import json_type


@proves(Closedness)
@json_type
@dataclass(frozen=True, eq=False)
class NotClosedCertificate(LimitCertificate):
    """A limit of products, and a tree that proves that it is not a product.

    Attributes
    ----------
    exclusion : list
        Tree of the rules of `sparseopt.closedness.proofs.exclusion`.
    """

    exclusion: list[Any]

    @cached_property
    def tree(self) -> ExclusionRule:
        """The tree, read once.

        Raises
        ------
        EvidenceError
            If it is malformed.
        """
        return TREE.read(self.exclusion, ("exclusion",))

    @property
    def reason(self) -> str:
        """What kind of limit it is, and where."""
        rows, columns, *_ = self.evidence
        kind = window_kind(self.tree, len(rows), len(columns))
        if kind == "LU window" and not self.evidence.reductions:
            left, right, _ = self.window()
            first, last = (set(np.flatnonzero(left[i] & right[:, i]).tolist()) for i in (0, 1))
            # The tree shows that one term is live in cell (0, 0); the curve needs another.
            terms = f"terms {min(first)} and {min((last & self.blocks) - first)}"
            return f"LU window at rows {rows} and columns {columns}, {terms}"
        kind = kind or f"curve of order {self.order}"
        return f"{kind} on {len(rows)} rows and {len(columns)} columns"

    def exclude(self, window: Window, steps: Steps) -> None:
        """Check the tree."""
        limit = [list(row) for row in self.evidence.limit]
        proof = Exclusion(window.left, window.right, limit, window.observed, self.names)
        with proving(steps, "the limit is not a product: every branch meets a conflict"):
            proof.follow(self.tree)
        steps.note(f"the proof that the limit is not a product has {proof.nodes} nodes")

    def explain_exclusion(self) -> list[str]:
        """Return the tree as indented sentences."""
        lines = told(self.tree.sentence(self.names), 1)
        return ["which is no product with these supports:", *lines]


def window_kind(tree: ExclusionRule, height: int, width: int) -> str | None:
    """Return the name of the window whose limit a tree excludes in its usual way, or None.

    LU window: the one term of cell (0, 0), where the limit is 0, is all that cells (0, 1) and
    (1, 0) have. Merge window: of three columns (rows) two fix the terms of the one between.
    """
    if (height, width) == (2, 2) and tree == Product(0, 0, Cell(0, 1), Cell(1, 0)):
        return "LU window"
    if isinstance(tree, Span) and (tree.places, tree.line) == ((0, 1), 1):
        return "merge window" if (height, width) == ((3, 2) if tree.turned else (2, 3)) else None
    return None
