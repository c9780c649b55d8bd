"""Certificates that the set of products is closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.certificate import Certificate, Steps
from sparseopt.closedness.cases import Cases
from sparseopt.closedness.masked import (
    Masked,
    ReductionError,
    components,
    is_full,
    remove_free,
    start,
)
from sparseopt.closedness.problem import Closedness, ClosednessVerdict
from sparseopt.serialization import json_type


def first_incomparable(
    left: np.ndarray, right: np.ndarray, tick: Callable[[], None] = lambda: None
) -> tuple[int, int] | None:
    """Return two terms whose rectangles overlap without being comparable, or None.

    Term k covers rows I[:, k] and columns J[k, :]. Two terms are comparable if the rows of one
    lie in those of the other and the columns the other way round; identical terms are. O(r^2 m)
    by matrix products, 256 terms against all others at a time; `tick` is called in between.
    """
    rows = left.T.astype(np.float32)
    columns = right.astype(np.float32)
    tall, wide = rows.sum(axis=1), columns.sum(axis=1)
    for first in range(0, len(rows), 256):
        tick()
        some = slice(first, first + 256)
        shared_rows, shared_columns = rows[some] @ rows.T, columns[some] @ columns.T
        # Rows of k lie in those of l, and columns of l in those of k; or the other way round.
        below = (shared_rows == tall[some, None]) & (shared_columns == wide[None])
        above = (shared_rows == tall[None]) & (shared_columns == wide[some, None])
        overlap = (shared_rows > 0) & (shared_columns > 0)
        bad = np.argwhere(overlap & ~(below | above))
        if bad.size:
            return first + int(bad[0][0]), int(bad[0][1])
    return None


@json_type
@dataclass(frozen=True, eq=False)
class ComparableCertificate(Certificate):
    """Two factors whose rectangles are pairwise disjoint or comparable: closed.

    Proof. Order the terms so that l comes after every k with rows of k inside those of l and
    columns of l inside those of k (k <= l). In any product, remove from x_l its projection on
    span{x_k : k < l}; the removed part a x_k y_l^T lies on the rectangle of k and goes into y_k.
    So every product has a representation with <x_k, x_l> = 0 for comparable pairs, hence with
    blocks orthogonal for all pairs (disjoint ones are so anyway) and |A|^2 = sum |x_k y_k^T|^2.
    A bounded sequence of products then has bounded blocks; the rank-one matrices on a rectangle
    are a closed set, so a convergent subsequence of the blocks gives the limit as a product. Over
    the complex numbers the same with the Hermitian inner product. It contains the criterion
    "pairwise disjoint or identical" of arXiv 2112.00386.
    """

    problem: Closedness
    answer: ClosednessVerdict

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: the set is closed"

    def check(self, steps: Steps) -> None:
        """Check the hypothesis for every pair of terms."""
        steps.require(self.answer.value == "closed", "the verdict is closed")
        steps.require(len(self.problem.supports) == 2, "the problem has two factors")
        left, right = self.problem.supports
        bad = first_incomparable(left, right)
        steps.require(
            bad is None, "any two rectangles are disjoint or comparable", f"terms {bad} are not"
        )

    def explain(self) -> str:
        """Return the proof in words."""
        return (
            "Any two rectangles share no cell, or one is taller and the other wider (or they are "
            "identical). Then the terms can be chosen orthogonal to each other, so bounded "
            "products have bounded terms, and limits of products are products."
        )


@json_type
@dataclass(frozen=True, eq=False)
class SingleFactorCertificate(Certificate):
    """One factor: all matrices with one support, a coordinate subspace, which is closed."""

    problem: Closedness
    answer: ClosednessVerdict

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: the set is closed"

    def check(self, steps: Steps) -> None:
        """Check that there is one factor."""
        steps.require(self.answer.value == "closed", "the verdict is closed")
        steps.require(len(self.problem.supports) == 1, "the problem has one factor")

    def explain(self) -> str:
        """Return the proof in words."""
        return "There is one factor: its matrices form a coordinate subspace, which is closed."


@json_type
@dataclass(frozen=True, eq=False)
class ReducedClosedCertificate(Certificate):
    """Two factors: reductions lead to parts that are all closed.

    The reductions, the meaning of their evidence, and the proofs that they keep the answer stand
    in `sparseopt.closedness.masked`.

    Attributes
    ----------
    proof : list
        One of ``["free", terms, evidence, proof of the rest]``; ``["components", [proof, ...]]``,
        one proof per component (none is left if no block is); ``["comparable"]``: all cells of all
        blocks are observed and any two blocks are disjoint or comparable, see
        `ComparableCertificate`. A single block of rank one on a full rectangle is a case of it;
        ``["cases", tree]``: the set is where some minors vanish, see `sparseopt.closedness.cases`.
    """

    problem: Closedness
    answer: ClosednessVerdict
    proof: list[Any]

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: the set is closed"

    def check(self, steps: Steps) -> None:
        """Replay the reductions and check the hypothesis of every part's theorem."""
        steps.require(self.answer.value == "closed", "the verdict is closed")
        steps.require(len(self.problem.supports) == 2, "the problem has two factors")
        self._replay(start(*self.problem.supports), self.proof, steps)

    def _replay(self, state: Masked, node: Sequence[Any], steps: Steps) -> None:
        kind = node[0]
        if kind == "free":
            try:
                rest = remove_free(state, node[1], node[2])
            except ReductionError as error:
                steps.require(False, f"the family {node[1]} spans all matrices", str(error))
                raise
            steps.require(True, f"the family {node[1]} spans all matrices on its cells")
            self._replay(rest, node[3], steps)
        elif kind == "components":
            classes = components(state)
            steps.require(len(node[1]) == len(classes), f"{len(classes)} components have a proof")
            for terms, proof in zip(classes, node[1], strict=True):
                self._replay(state.family(terms), proof, steps)
        elif kind == "comparable":
            steps.require(is_full(state), "all cells of the blocks that are left are observed")
            bad = first_incomparable(state.left, state.right)
            steps.require(bad is None, "any two blocks are disjoint or comparable", f"{bad}")
        elif kind == "cases":
            cases = Cases(state)
            try:
                cases.check(node[1])
            except ReductionError as error:
                steps.require(False, "in every case factors reach the target", str(error))
                raise
            steps.require(
                True,
                f"in each of {cases.leaves} cases factors reach all targets on which "
                f"{len(cases.conditions)} minors vanish, as they do on the set",
            )
        else:
            steps.require(False, "the proof uses known rules", repr(kind))

    def explain(self) -> str:
        """Return the proof in words."""
        return "\n".join(_sentences(self.proof, start(*self.problem.supports), ""))


_EVIDENCE = {
    "columns": "for generic first factors every column can be solved for",
    "rows": "for generic second factors every row can be solved for",
    "determined": "one term takes one column of the target, and generic others solve the rest",
    "determined_t": "one term takes one row of the target, and generic others solve the rest",
    "submersion": "the product is a submersion at factors whose product is zero",
}


def _sentences(node: Sequence[Any], state: Masked, indent: str) -> list[str]:
    """Return a proof of closedness as indented sentences."""
    if node[0] == "free":
        terms = sorted({state.origin[k] for k in node[1]})
        cells = int(state.family(node[1]).observed.sum())
        line = f"{indent}The terms {terms} reach every matrix on their {cells} cells: "
        return [
            line + _EVIDENCE[node[2][0]] + ". Leave them and their cells away.",
            *_sentences(node[3], state.without(node[1]), indent),
        ]
    if node[0] == "components":
        classes = components(state)
        if not classes:
            return [f"{indent}Nothing is left: the set is a coordinate subspace, closed."]
        lines = [f"{indent}{len(classes)} independent parts are left, and each is closed:"]
        for terms, proof in zip(classes, node[1], strict=True):
            lines += _sentences(proof, state.family(terms), indent + "  ")
        return lines
    if node[0] == "cases":
        cases = Cases(state)
        cases.check(node[1])
        terms = sorted(set(state.origin))
        if not cases.conditions:
            where = "every matrix on their cells"
        else:
            minors = ", ".join(f"{list(r)} x {list(c)}" for r, c in sorted(cases.conditions))
            where = f"the matrices on their cells whose minors (rows x columns) {minors} vanish"
        return [
            f"{indent}The blocks of the terms {terms} reach exactly {where}, by factors given in "
            f"each of {cases.leaves} cases: closed."
        ]
    return [
        f"{indent}The blocks of the terms {sorted(set(state.origin))} are pairwise disjoint or "
        "comparable, so they can be chosen orthogonal: limits of their sums are such sums."
    ]
