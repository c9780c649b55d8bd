"""Certificates for chains of more than two factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.certificate import Certificate, Steps
from sparseopt.closedness.chain_cases import ChainCases, chain_support
from sparseopt.closedness.closed import (
    ComparableCertificate,
    ReducedClosedCertificate,
    SingleFactorCertificate,
)
from sparseopt.closedness.masked import ReductionError, covered, replay
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt.closedness.problem import Closedness, ClosednessVerdict
from sparseopt.kronecker import Architecture
from sparseopt.serialization import json_type

SHORT = (
    NotClosedCertificate,
    ComparableCertificate,
    ReducedClosedCertificate,
    SingleFactorCertificate,
)


def shorten(supports: Sequence[np.ndarray], step: Sequence[Any]) -> tuple[np.ndarray, ...]:
    """Check one step and return the shorter chain, whose set of products is the same.

    Steps are:

    - ``["absorb", l, side]``: drop factor l, whose support is square and contains the diagonal,
      because its product with factor l + 1 (side "right"; l - 1 for "left") has the support of
      that factor. Products stay in that support, and with W_l the identity all are reached.
    - ``["contract", l, steps]``: replace factors l and l + 1 by one whose support S is where their
      product may be nonzero. The steps of `sparseopt.closedness.masked.replay` remove free families
      until no block is left, so the products of the two are all matrices with support S.
    - ``["cases", l, count, tree]``: replace factors l, ..., l + count - 1 likewise; the tree is
      checked by `sparseopt.closedness.chain_cases`.

    Raises
    ------
    ReductionError
        If the step does not hold.
    """
    chain, place = list(supports), step[1]
    if type(place) is not int or not 0 <= place < len(chain):
        raise ReductionError(f"there is no factor {place!r}")
    if step[0] == "absorb":
        other = place + {"left": -1, "right": 1}.get(step[2], 0)
        if other == place or not 0 <= other < len(chain):
            raise ReductionError(f"factor {place} has no neighbour on side {step[2]!r}")
        own, near = chain[place], chain[other]
        if own.shape[0] != own.shape[1] or not own.diagonal().all():
            raise ReductionError(f"support {place} does not contain the diagonal")
        product = covered(own, near) if other > place else covered(near, own)
        if bool((product & ~near).any()):
            raise ReductionError(f"products of factors {place} and {other} leave support {other}")
        del chain[place]
    elif step[0] == "contract":
        if place + 1 >= len(chain):
            raise ReductionError(f"factor {place} is the last one")
        left, right = chain[place : place + 2]
        if not all(inner[0] == "free" for inner in step[2]):
            raise ReductionError("a contraction rests on free families only")
        if replay(left, right, step[2]).origin:
            raise ReductionError("blocks are left that are not free")
        chain[place : place + 2] = [covered(left, right)]
    elif step[0] == "cases":
        _, _, count, tree = step
        if type(count) is not int or not 1 <= count <= len(chain) - place:
            raise ReductionError(f"there are no {count!r} factors from {place} on")
        group = chain[place : place + count]
        ChainCases(group).check(tree)
        chain[place : place + count] = [chain_support(group)]
    else:
        raise ReductionError(f"unknown step {step[0]!r}")
    return tuple(chain)


@json_type
@dataclass(frozen=True, eq=False)
class ShortenedChainCertificate(Certificate):
    """A chain has the same set of products as a shorter one, which is decided.

    Attributes
    ----------
    steps : list
        Steps of `shorten`, in order; places count in the chain of the moment.
    short : Certificate
        Of the chain of one or two factors that is left, over the same field.
    """

    problem: Closedness
    answer: ClosednessVerdict
    steps: list[Any]
    short: Certificate

    @property
    def claim(self) -> str:
        """What is proved."""
        verdict = "closed" if self.answer.value == "closed" else "not closed"
        return f"{self.problem.describe()}: the set is {verdict}"

    def check(self, steps: Steps) -> None:
        """Replay the steps and check the certificate of what is left."""
        chain = tuple(self.problem.supports)
        for step in self.steps:
            try:
                chain = shorten(chain, step)
            except ReductionError as error:
                steps.require(False, f"step {step[:2]} keeps the set of products", str(error))
                raise
            steps.require(True, f"step {step[:2]} keeps the set of products")
        short = self.short
        steps.require(type(short) in SHORT, "the shorter chain has a certificate of its own")
        assert isinstance(short, SHORT)
        same = len(chain) == len(short.problem.supports) and all(
            np.array_equal(a, b) for a, b in zip(chain, short.problem.supports, strict=True)
        )
        steps.require(same, "that certificate is of the chain that is left")
        steps.require(short.problem.field == self.problem.field, "it is over the same field")
        steps.require(short.answer.value == self.answer.value, "the verdicts agree")
        type(short).check(short, steps)  # type: ignore[arg-type]

    def explain(self) -> str:
        """Return the proof in words."""
        lines = []
        for step in self.steps:
            if step[0] == "absorb":
                lines.append(f"Factor {step[1]} is absorbed by its {step[2]} neighbour: drop it.")
            elif step[0] == "cases":
                lines.append(
                    f"Factors {step[1]} to {step[1] + step[2] - 1} give all matrices with one "
                    "support, by factors given in every case: take them as one factor."
                )
            else:
                lines.append(
                    f"Factors {step[1]} and {step[1] + 1} give all matrices with one support: "
                    "take them as one factor."
                )
        return "\n".join([*lines, self.short.explain()])


@json_type
@dataclass(frozen=True, eq=False)
class KroneckerChainCertificate(Certificate):
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

    problem: Closedness
    answer: ClosednessVerdict
    patterns: list[list[int]]

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: the set is closed"

    def check(self, steps: Steps) -> None:
        """Compare the supports, and check that the patterns are chainable."""
        supports = self.problem.supports
        steps.require(self.answer.value == "closed", "the verdict is closed")
        steps.require(len(self.patterns) == len(supports), "there is one pattern per support")
        chain = Architecture(self.patterns)
        for number, (pattern, support) in enumerate(zip(chain, supports, strict=True)):
            same = pattern.shape == support.shape and np.array_equal(pattern.support(), support)
            steps.require(same, f"support {number} is the Kronecker-sparse pattern {pattern}")
        steps.require(chain.is_chainable, "the patterns are chainable", chain.why_not_chainable)

    def explain(self) -> str:
        """Return the proof in words."""
        return (
            "The supports are Kronecker-sparse patterns, each chainable with the next. A matrix is "
            "a product exactly if it is one for every cut of the chain into two, and for two such "
            "factors the rectangles are disjoint or identical: closed sets, and their "
            "intersection is closed."
        )
