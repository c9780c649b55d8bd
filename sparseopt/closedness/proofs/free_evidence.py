"""What a proof says for a family of blocks to be free: one class a kind of evidence."""

from __future__ import annotations

from abc import abstractmethod

from sparseopt.closedness.proofs.observed import ObservedProblem
from sparseopt.judging.evidence import Node, Rule

EVIDENCE = Node("kind of evidence")
"""Complete once `sparseopt.closedness.proofs.reductions` is imported, which imports all kinds."""


class FreeEvidence(Rule):
    """A proof that the sums of a family S of blocks reach every matrix on its observed cells F.

    In short B_S = K^F. U_j are the rows of F in column j.
    """

    @abstractmethod
    def check(self, family: ObservedProblem) -> None:
        """Check it for the blocks of the family with their cells; refuse by an EvidenceError."""

    @property
    @abstractmethod
    def sentence(self) -> str:
        """Why the family is free, as the end of a sentence."""
