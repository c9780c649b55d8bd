"""Certificates for chains of more than two factors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.closedness.certificate import ClosednessCertificate, proving
from sparseopt.closedness.closed import (
    ComparableCertificate,
    ReducedClosedCertificate,
    SingleFactorCertificate,
)
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt.closedness.problem import Closedness
from sparseopt.closedness.proofs.chain_steps import STEP, ChainStep
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.judging.evidence import EvidenceError, Integer, List, Record

SHORT = (
    NotClosedCertificate,
    ComparableCertificate,
    ReducedClosedCertificate,
    SingleFactorCertificate,
)
PATTERN = Record((Integer(1), Integer(1), Integer(1), Integer(1)))


@proves(Closedness)
@json_type
@dataclass(frozen=True, eq=False)
class ShortenedChainCertificate(ClosednessCertificate):
    """A chain has the same set of products as a shorter one, which is decided.

    Attributes
    ----------
    steps : list
        Of the rules of `sparseopt.closedness.proofs.chain_steps`, in order; places count in
        the chain of the moment.
    short : Certificate
        Of the chain of one or two factors that is left, over the same field.
    """

    steps: list[Any]
    short: Certificate

    @property
    def decided(self) -> ClosednessCertificate:
        """The certificate of the chain that is left.

        Raises
        ------
        EvidenceError
            If it is of another kind.
        """
        if type(self.short) not in SHORT:
            raise EvidenceError("short must be a certificate of one or two factors")
        assert isinstance(self.short, ClosednessCertificate)
        return self.short

    @property
    def verdict(self) -> str:
        """The verdict on the chain that is left."""
        return self.decided.verdict

    @property
    def reason(self) -> str:
        """How many factors are left, and why they are closed or not."""
        short = self.decided
        return f"same products as {len(short.problem.supports)} factors: {short.reason}"

    @cached_property
    def path(self) -> tuple[ChainStep, ...]:
        """The steps, read once.

        Raises
        ------
        EvidenceError
            If one is malformed.
        """
        return List(STEP).read(self.steps, ("steps",))

    def check(self, steps: Steps) -> None:
        """Check first what tells the verdict, then everything."""
        with proving(steps, "the chain that is left has a certificate of its kind"):
            assert self.decided is self.short
        super().check(steps)

    def prove(self, steps: Steps) -> None:
        """Replay the steps and check the certificate of what is left."""
        with proving(steps, "the steps have the form of their kinds"):
            path = self.path
        chain = tuple(self.problem.supports)
        for number, step in enumerate(path):
            with proving(steps, f"step {number}, {step.rule}, keeps the set of products"):
                chain = step.check(chain)
        left = Closedness(list(chain), self.problem.field)
        steps.require_proof(self.decided, of=left, verdict=self.verdict)

    def explain(self) -> str:
        """Return the proof in words; factors are numbered as in the problem."""
        groups = [(number, number) for number in range(len(self.problem.supports))]
        lines = [step.sentence(groups) for step in self.path]
        return "\n".join([*lines, self.decided.explain()])


@proves(Closedness)
@json_type
@dataclass(frozen=True, eq=False)
class KroneckerChainCertificate(ClosednessCertificate):
    """The supports are Kronecker-sparse patterns, each chainable with the next: closed.

    Proof. For a chainable architecture a matrix is a product if and only if for every l it is a
    product of two factors with the supports of W_1 ... W_l and W_(l+1) ... W_L (Le, Zheng,
    Riccietti, Gribonval, arXiv 2411.04506: the theorem that the hierarchical algorithm recovers
    such matrices exactly). Both are again Kronecker-sparse and chainable, so their rectangles are
    pairwise disjoint or identical, and each of these sets is closed by the theorem proved in
    `ComparableCertificate`. The set of products is their intersection.

    Attributes
    ----------
    patterns : list of [a, b, c, d]
        One per factor.
    """

    patterns: list[list[int]]

    @property
    def verdict(self) -> str:
        """Closed."""
        return "closed"

    @property
    def reason(self) -> str:
        """The hypothesis."""
        return "a chainable chain of Kronecker-sparse factors"

    def prove(self, steps: Steps) -> None:
        """Compare the supports, and check that the patterns are chainable."""
        supports = self.problem.supports
        with proving(steps, "the patterns are lists of four positive integers"):
            numbers = List(PATTERN).read(self.patterns, ("patterns",))
        steps.require(len(numbers) == len(supports), "there is one pattern per support")
        patterns = [KroneckerPattern(*four) for four in numbers]
        for number, (pattern, support) in enumerate(zip(patterns, supports, strict=True)):
            same = pattern.shape == support.shape and np.array_equal(pattern.support(), support)
            steps.require(same, f"support {number} is the Kronecker-sparse pattern {pattern}")
        chain = Architecture(patterns)  # they multiply, since their shapes are the supports'
        steps.require(chain.is_chainable, "the patterns are chainable", chain.why_not_chainable)

    def explain(self) -> str:
        """Return the proof in words."""
        return (
            "The supports are Kronecker-sparse patterns, each chainable with the next. A matrix is "
            "a product exactly if it is one for every cut of the chain into two, and for two such "
            "factors the rectangles are disjoint or identical: closed sets, and their "
            "intersection is closed."
        )
