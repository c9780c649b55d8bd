"""Certificates for chains of more than two factors."""

from __future__ import annotations

from collections.abc import Sequence
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
from sparseopt.closedness.proofs.chain_cases import CHAIN_CASES, ChainCases, chain_support
from sparseopt.closedness.proofs.observed import EVIDENCE, FAMILY, covered, replay
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.judging.evidence import INDEX, EvidenceError, Integer, List, Node, Record, Word

SHORT = (
    NotClosedCertificate,
    ComparableCertificate,
    ReducedClosedCertificate,
    SingleFactorCertificate,
)
FREE = Node("contraction", {"free": (FAMILY, EVIDENCE)})
STEP = Node(
    "step that shortens a chain",
    {
        "absorb": (INDEX, Word(("left", "right"))),
        "contract": (INDEX, List(FREE)),
        "cases": (INDEX, Integer(1), CHAIN_CASES),
    },
)
PATTERN = Record((Integer(1), Integer(1), Integer(1), Integer(1)))


def shorten(supports: Sequence[np.ndarray], step: Sequence[Any]) -> tuple[np.ndarray, ...]:
    """Check one step and return the shorter chain, whose set of products is the same.

    Steps are:

    - ``["absorb", l, side]``: drop factor l, whose support is square and contains the diagonal,
      because its product with factor l + 1 (side "right"; l - 1 for "left") has the support of
      that factor. Products stay in that support, and with W_l the identity all are reached.
    - ``["contract", l, steps]``: replace factors l and l + 1 by one whose support S is where their
      product may be nonzero. The steps of `sparseopt.closedness.proofs.observed.replay`
      remove free families until no block is left, so the products of the two are all matrices
      with support S.
    - ``["cases", l, count, tree]``: replace factors l, ..., l + count - 1 likewise; the tree is
      checked by `sparseopt.closedness.proofs.chain_cases`.

    Raises
    ------
    EvidenceError
        If the step does not hold.
    """
    return shortened(supports, STEP.read(step, ("step",)))


def shortened(supports: Sequence[np.ndarray], step: tuple[Any, ...]) -> tuple[np.ndarray, ...]:
    """Do the same for a step that was read."""
    rule, place, *parts = step
    if rule == "absorb":
        return _absorbed(supports, place, *parts)
    count = 2 if rule == "contract" else parts[0]
    if place + count > len(supports):
        raise EvidenceError(f"there are no {count} factors from {place} on")
    group = supports[place : place + count]
    if rule == "contract":
        if replay(group[0], group[1], parts[0]).origin:
            raise EvidenceError("blocks are left that are not free")
    else:
        ChainCases(group).prove(parts[1])
    return (*supports[:place], chain_support(group), *supports[place + count :])


def _absorbed(supports: Sequence[np.ndarray], place: int, side: str) -> tuple[np.ndarray, ...]:
    other = place + (1 if side == "right" else -1)
    if place >= len(supports) or not 0 <= other < len(supports):
        raise EvidenceError(f"there is no factor {place} with a {side} neighbour")
    own, near = supports[place], supports[other]
    if own.shape[0] != own.shape[1] or not own.diagonal().all():
        raise EvidenceError(f"support {place} does not contain the diagonal")
    product = covered(own, near) if side == "right" else covered(near, own)
    if bool((product & ~near).any()):
        raise EvidenceError(f"products of factors {place} and {other} leave support {other}")
    return (*supports[:place], *supports[place + 1 :])


@proves(Closedness)
@json_type
@dataclass(frozen=True, eq=False)
class ShortenedChainCertificate(ClosednessCertificate):
    """A chain has the same set of products as a shorter one, which is decided.

    Attributes
    ----------
    steps : list
        Steps of `shorten`, in order; places count in the chain of the moment.
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
            raise EvidenceError("short: a certificate of one or two factors is wanted")
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
    def path(self) -> tuple[tuple[Any, ...], ...]:
        """The steps, read once.

        Raises
        ------
        EvidenceError
            If one is malformed.
        """
        return List(STEP).read(self.steps, ("steps",))

    def prove(self, steps: Steps) -> None:
        """Replay the steps and check the certificate of what is left."""
        with proving(steps, "the steps have the form of their kinds"):
            path = self.path
        chain = tuple(self.problem.supports)
        for number, step in enumerate(path):
            with proving(steps, f"step {number}, {step[0]}, keeps the set of products"):
                chain = shortened(chain, step)
        left = Closedness(list(chain), self.problem.field)
        steps.require_proof(self.decided, of=left, verdict=self.verdict)

    def explain(self) -> str:
        """Return the proof in words; factors are numbered as in the problem."""
        groups = [(number, number) for number in range(len(self.problem.supports))]
        lines = []
        for rule, place, *parts in self.path:
            if rule == "absorb":
                name = _named(*groups.pop(place))
                lines.append(f"{name} is absorbed by its {parts[0]} neighbour: drop it.")
                continue
            count = 2 if rule == "contract" else parts[0]
            first, last = groups[place][0], groups[place + count - 1][1]
            groups[place : place + count] = [(first, last)]
            how = ", by factors given in every case" if rule == "cases" else ""
            lines.append(
                f"Factors {first} to {last} give all matrices with one support{how}: take them as "
                "one factor."
            )
        return "\n".join([*lines, self.decided.explain()])


def _named(first: int, last: int) -> str:
    return f"Factor {first}" if first == last else f"The product of factors {first} to {last}"


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
