"""Certificates that the set of products is closed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sparseopt.closedness.certificate import ClosednessCertificate, proving
from sparseopt.closedness.names import told
from sparseopt.closedness.problem import Closedness
from sparseopt.closedness.proofs.closed_parts import (
    PROOF,
    Components,
    Free,
    PartRule,
    first_incomparable,
    replay,
)
from sparseopt.closedness.proofs.observed import start
from sparseopt.interface.certificate import Steps, proves
from sparseopt.interface.json_type import json_type


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

    Attributes
    ----------
    proof : list
        Of the rules of `sparseopt.closedness.proofs.closed_parts`.
    """

    proof: list[Any]

    @property
    def verdict(self) -> str:
        """Closed."""
        return "closed"

    @cached_property
    def tree(self) -> PartRule:
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
        while isinstance(node, Free):
            blocks, node = blocks + len(node.blocks), node.rest
        parts = node.parts if isinstance(node, Components) else (node,)
        if not parts:
            return f"a coordinate subspace: {blocks} blocks in free families"
        kinds = Counter((part.rule, part.phrase) for part in parts)
        counts = [f"{count} {phrase}" for (_, phrase), count in sorted(kinds.items())]
        first = f"{blocks} blocks in free families, then " if blocks else ""
        return f"{first}parts: {', '.join(counts)}"

    def prove(self, steps: Steps) -> None:
        """Replay the reductions and check the hypothesis of every part's theorem."""
        steps.require(len(self.problem.supports) == 2, "the problem has two factors")
        with proving(steps, "the proof has the form of its kind"):
            tree = self.tree
        replay(start(*self.problem.supports), tree, steps)

    def explain(self) -> str:
        """Return the proof in words."""
        return "\n".join(told(self.tree.sentence(start(*self.problem.supports))))
