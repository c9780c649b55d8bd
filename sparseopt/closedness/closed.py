"""Certificates that the set of products is closed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.closedness.certificate import ClosednessCertificate, proving
from sparseopt.closedness.problem import Closedness
from sparseopt.closedness.proofs.cases import CASES, Cases
from sparseopt.closedness.proofs.observed import (
    EVIDENCE,
    FAMILY,
    ObservedProblem,
    components,
    is_full,
    reduced,
    start,
)
from sparseopt.interface.certificate import Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.judging.evidence import List, Node
from sparseopt.judging.exact import counting_type

BLOCKS = 256
"""Terms that are compared with all others at a time."""

PART = Node("proof of one component", {})
PROOF = Node("proof", {})
PROOF.rules.update(
    {
        "free": (FAMILY, EVIDENCE, PROOF),
        "components": (List(PART),),
        "comparable": (),
        "cases": (CASES,),
    }
)
PART.rules.update({rule: PROOF.rules[rule] for rule in ("free", "comparable", "cases")})


def first_incomparable(
    left: np.ndarray, right: np.ndarray, tick: Callable[[], None] = lambda: None
) -> tuple[int, int] | None:
    """Return two terms whose rectangles overlap without being comparable, or None.

    Term k covers rows I[:, k] and columns J[k, :]. Two terms are comparable if the rows of one
    lie in those of the other and the columns the other way round; identical terms are. O(r^2 m)
    by matrix products whose counts are exact, 256 terms against all others at a time; `tick` is
    called in between.
    """
    rows = left.T.astype(counting_type(left.shape[0]))
    columns = right.astype(counting_type(right.shape[1]))
    tall, wide = left.sum(axis=0), right.sum(axis=1)
    for first in range(0, len(rows), BLOCKS):
        tick()
        some = slice(first, first + BLOCKS)
        shared_rows, shared_columns = rows[some] @ rows.T, columns[some] @ columns.T
        # Rows of k lie in those of l, and columns of l in those of k; or the other way round.
        below = (shared_rows == tall[some, None]) & (shared_columns == wide[None])
        above = (shared_rows == tall[None]) & (shared_columns == wide[some, None])
        overlap = (shared_rows > 0) & (shared_columns > 0)
        bad = np.argwhere(overlap & ~(below | above))
        if bad.size:
            return first + int(bad[0][0]), int(bad[0][1])
    return None


@proves(Closedness)
@json_type
@dataclass(frozen=True, eq=False)
class ComparableCertificate(ClosednessCertificate):
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

    @property
    def verdict(self) -> str:
        """Closed."""
        return "closed"

    @property
    def reason(self) -> str:
        """The hypothesis."""
        return "any two rectangles are disjoint or comparable"

    def prove(self, steps: Steps) -> None:
        """Check the hypothesis for every pair of terms."""
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


@proves(Closedness)
@json_type
@dataclass(frozen=True, eq=False)
class SingleFactorCertificate(ClosednessCertificate):
    """One factor: all matrices with one support, a coordinate subspace, which is closed."""

    @property
    def verdict(self) -> str:
        """Closed."""
        return "closed"

    @property
    def reason(self) -> str:
        """What the set is."""
        return "one factor: a coordinate subspace"

    def prove(self, steps: Steps) -> None:
        """Check that there is one factor."""
        steps.require(len(self.problem.supports) == 1, "the problem has one factor")

    def explain(self) -> str:
        """Return the proof in words."""
        return "There is one factor: its matrices form a coordinate subspace, which is closed."


@proves(Closedness)
@json_type
@dataclass(frozen=True, eq=False)
class ReducedClosedCertificate(ClosednessCertificate):
    """Two factors: reductions lead to parts that are all closed.

    The reductions, the meaning of their evidence, and the proofs that they keep the answer stand
    in `sparseopt.closedness.proofs.observed`.

    Attributes
    ----------
    proof : list
        One of ``["free", terms, evidence, proof of the rest]``; ``["components", [proof, ...]]``,
        one proof per component (none is left if no block is); ``["comparable"]``: all cells of all
        blocks are observed and any two blocks are disjoint or comparable, see
        `ComparableCertificate`. A single block of rank one on a full rectangle is a case of it;
        ``["cases", tree]``: the set is where some minors vanish, see
        `sparseopt.closedness.proofs.cases`.
    """

    proof: list[Any]

    @property
    def verdict(self) -> str:
        """Closed."""
        return "closed"

    @cached_property
    def tree(self) -> tuple[Any, ...]:
        """The proof, read once.

        Raises
        ------
        EvidenceError
            If it is malformed.
        """
        return PROOF.read(self.proof, ("proof",))

    @property
    def reason(self) -> str:
        """What was removed, and why the parts that are left are closed."""
        blocks, node = 0, self.tree
        while node[0] == "free":
            blocks, node = blocks + len(node[1]), node[3]
        parts = node[1] if node[0] == "components" else [node]
        if not parts:
            return f"a coordinate subspace: {blocks} blocks in free families"
        kinds = Counter(part[0] for part in parts)
        told = [f"{count} {_PARTS[kind]}" for kind, count in sorted(kinds.items())]
        first = f"{blocks} blocks in free families, then " if blocks else ""
        return f"{first}parts: {', '.join(told)}"

    def prove(self, steps: Steps) -> None:
        """Replay the reductions and check the hypothesis of every part's theorem."""
        steps.require(len(self.problem.supports) == 2, "the problem has two factors")
        with proving(steps, "the proof has the form of its kind"):
            tree = self.tree
        _replay(start(*self.problem.supports), tree, steps)

    def explain(self) -> str:
        """Return the proof in words."""
        return "\n".join(_sentences(start(*self.problem.supports), self.tree, ""))


def _replay(state: ObservedProblem, node: tuple[Any, ...], steps: Steps) -> None:
    """Check a proof that an observed problem is closed."""
    while node[0] == "free":
        with proving(steps, f"terms {_listed(state, node)} reach all matrices on their cells"):
            state = reduced(state, node[:3])
        node = node[3]
    if node[0] == "components":
        classes = components(state)
        steps.require(len(node[1]) == len(classes), f"{len(classes)} components have a proof")
        for blocks, part in zip(classes, node[1], strict=True):
            _replay(state.family(blocks), part, steps)
    elif node[0] == "comparable":
        steps.require(is_full(state), "all cells of the blocks that are left are observed")
        bad = first_incomparable(state.left, state.right)
        steps.require(
            bad is None,
            "any two blocks are disjoint or comparable",
            f"blocks of terms {state.terms(bad or ())}",
        )
    else:
        cases = Cases(state)
        with proving(steps, "in every case factors reach the target"):
            cases.prove(node[1])
        steps.note(
            f"in each of {cases.leaves} cases factors reach all targets on which "
            f"{len(cases.conditions)} minors vanish, as they do on the set"
        )


def _listed(state: ObservedProblem, node: tuple[Any, ...]) -> list[int]:
    """Return the terms of a family; what does not exist is left to its check."""
    return state.terms([k for k in node[1] if k < len(state.origin)])


_PARTS = {
    "comparable": "of comparable rectangles",
    "free": "with further free families",
    "cases": "where factors were found in all cases",
}
_EVIDENCE = {
    "columns": "for generic first factors every column can be solved for",
    "rows": "for generic second factors every row can be solved for",
    "determined": "one term takes one column of the target, and generic others solve the rest",
    "determined_t": "one term takes one row of the target, and generic others solve the rest",
    "submersion": "the product is a submersion at factors whose product is zero",
}


def _sentences(state: ObservedProblem, node: tuple[Any, ...], indent: str) -> Iterator[str]:
    """Yield a proof of closedness as indented sentences."""
    while node[0] == "free":
        _, blocks, evidence, rest = node
        cells = int(state.family(blocks).observed.sum())
        where = "cell" if cells == 1 else f"{cells} cells"
        yield (
            f"{indent}The terms {state.terms(blocks)} reach every matrix on their {where}: "
            f"{_EVIDENCE[evidence[0]]}. Leave them and their cells away."
        )
        state, node = state.without(blocks), rest
    terms = state.terms(range(len(state.origin)))
    if node[0] == "components":
        classes = components(state)
        if not classes:
            yield f"{indent}Nothing is left: the set is a coordinate subspace, closed."
            return
        if len(classes) > 1:
            yield f"{indent}{len(classes)} independent parts are left, and each is closed:"
            indent += "  "
        for blocks, part in zip(classes, node[1], strict=True):
            yield from _sentences(state.family(blocks), part, indent)
    elif node[0] == "comparable":
        yield (
            f"{indent}The blocks of the terms {terms} are pairwise disjoint or comparable, so they "
            "can be chosen orthogonal: limits of their sums are such sums."
        )
    else:
        cases = Cases(state)
        cases.prove(node[1])
        minors = ", ".join(f"{list(r)} x {list(c)}" for r, c in sorted(cases.conditions))
        where = "every matrix on their cells"
        if minors:
            where = f"the matrices on their cells whose minors (rows x columns) {minors} vanish"
        yield (
            f"{indent}The blocks of the terms {terms} reach exactly {where}, by factors given in "
            f"each of {cases.leaves} cases: closed."
        )
