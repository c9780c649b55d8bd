"""Proofs that the set of an observed problem is closed: reductions, then parts that all are.

Each rule is a class; its docstring says what is written, what is shown, and why.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sparseopt.closedness.certificate import proving
from sparseopt.closedness.names import Story
from sparseopt.closedness.proofs.case_tree import CASES, CaseRule
from sparseopt.closedness.proofs.cases import Cases
from sparseopt.closedness.proofs.observed import ObservedProblem, components, is_full
from sparseopt.closedness.proofs.reductions import (
    EVIDENCE,
    FAMILY,
    FreeEvidence,
    without_family,
)
from sparseopt.interface.certificate import Steps
from sparseopt.judging.evidence import List, Node, Rule
from sparseopt.judging.exact import counts

PART = Node("proof of one component")
PROOF = Node("proof")
BLOCKS = 256
"""Terms that are compared with all others at a time."""


class PartRule(Rule):
    """A node of a proof that an observed problem is closed.

    Attributes
    ----------
    phrase : str
        What a part is that is proved by it, after a count.
    """

    phrase: ClassVar[str]

    @abstractmethod
    def check(
        self, state: ObservedProblem, steps: Steps
    ) -> tuple[ObservedProblem, PartRule] | None:
        """Require what the rule needs; return the problem that is left and its proof, if any is."""

    @abstractmethod
    def sentence(self, state: ObservedProblem) -> Story:
        """Yield the rule in words, with what is left to prove."""


def replay(state: ObservedProblem, node: PartRule, steps: Steps) -> None:
    """Check a proof that an observed problem is closed."""
    later: tuple[ObservedProblem, PartRule] | None = state, node
    while later is not None:
        state, node = later
        later = node.check(state, steps)


@PROOF.rule("free", FAMILY, EVIDENCE, PROOF)
@PART.rule("free", FAMILY, EVIDENCE, PROOF)
@dataclass(frozen=True)
class Free(PartRule):
    """``["free", terms, evidence, proof of the rest]``: `FreeFamily`, then the rest.

    The reduction keeps the answer, see `sparseopt.closedness.proofs.reductions.FreeFamily`.
    """

    phrase = "with further free families"
    blocks: tuple[int, ...]
    evidence: FreeEvidence
    rest: PartRule

    def check(self, state: ObservedProblem, steps: Steps) -> tuple[ObservedProblem, PartRule]:
        """Check the evidence; go on with the rest."""
        # What does not exist is left to the check of the reduction.
        terms = state.terms([k for k in self.blocks if k < len(state.origin)])
        with proving(steps, f"terms {terms} reach all matrices on their cells"):
            state = without_family(state, self.blocks, self.evidence)
        return state, self.rest

    def sentence(self, state: ObservedProblem) -> Story:
        """Yield what is left away, and what follows."""
        cells = int(state.family(self.blocks).observed.sum())
        where = "cell" if cells == 1 else f"{cells} cells"
        yield (
            0,
            f"The terms {state.terms(self.blocks)} reach every matrix on their {where}: "
            f"{self.evidence.sentence}. Leave them and their cells away.",
        )
        yield 0, self.rest.sentence(state.without(self.blocks))


@PROOF.rule("components", List(PART))
@dataclass(frozen=True)
class Components(PartRule):
    """``["components", [proof, ...]]``: one proof per component, none if no block is left.

    The set is the product of those of the components, and of zeros where no block is.
    """

    parts: tuple[PartRule, ...]

    def check(self, state: ObservedProblem, steps: Steps) -> None:
        """Check every part."""
        classes = components(state)
        steps.require(len(self.parts) == len(classes), f"{len(classes)} components have a proof")
        for blocks, part in zip(classes, self.parts, strict=True):
            replay(state.family(blocks), part, steps)

    def sentence(self, state: ObservedProblem) -> Story:
        """Yield every part."""
        classes = components(state)
        if not classes:
            yield 0, "Nothing is left: the set is a coordinate subspace, closed."
            return
        if len(classes) > 1:
            yield 0, f"{len(classes)} independent parts are left, and each is closed:"
        for blocks, part in zip(classes, self.parts, strict=True):
            yield int(len(classes) > 1), part.sentence(state.family(blocks))


@PROOF.rule("comparable")
@PART.rule("comparable")
@dataclass(frozen=True)
class Comparable(PartRule):
    """``["comparable"]``: all cells are observed, and any two blocks disjoint or comparable.

    The theorem is proved in `sparseopt.closedness.closed.ComparableCertificate`. A single block of
    rank one on a full rectangle is a case of it.
    """

    phrase = "of comparable rectangles"

    def check(self, state: ObservedProblem, steps: Steps) -> None:
        """Require both hypotheses."""
        steps.require(is_full(state), "all cells of the blocks that are left are observed")
        bad = first_incomparable(state.left, state.right)
        steps.require(
            bad is None,
            "any two blocks are disjoint or comparable",
            f"blocks of terms {state.terms(bad or ())}",
        )

    def sentence(self, state: ObservedProblem) -> Story:
        """Yield the reason."""
        terms = state.terms(range(len(state.origin)))
        yield (
            0,
            f"The blocks of the terms {terms} are pairwise disjoint or comparable, so they "
            "can be chosen orthogonal: limits of their sums are such sums.",
        )


@PROOF.rule("rank")
@PART.rule("rank")
@dataclass(frozen=True)
class BoundedRank(PartRule):
    """``["rank"]``: the set is that of all m x n matrices of rank at most r, which is closed.

    m and n are the numbers of rows and of columns that some of the r blocks has; all m n cells are
    observed. In some order the block at place t, counted from 1, lacks at most t - 1 of the rows
    and columns together. A sum of r blocks has rank at most r. Conversely a target of rank t <= r
    loses one by the block at place t, as proved in
    `sparseopt.closedness.proofs.staircase.Staircase` without full terms, and so on until nothing
    is left; the blocks after place t are zero.
    """

    phrase = "of all matrices up to a rank"

    def check(self, state: ObservedProblem, steps: Steps) -> None:
        """Require both hypotheses."""
        steps.require(bool(reached(state).all()), "all cells are observed")
        late = first_late(state)
        steps.require(
            late is None, "at place t a block lacks at most t - 1 lines", f"not at place {late}"
        )

    def sentence(self, state: ObservedProblem) -> Story:
        """Yield the set."""
        terms = state.terms(range(len(state.origin)))
        m, n = reached(state).shape
        yield (
            0,
            f"The blocks of the terms {terms} reach exactly the {m} x {n} matrices of rank at "
            f"most {len(state.origin)}, as block after block lowers the rank of what is left: "
            "closed.",
        )


@PROOF.rule("cases", CASES)
@PART.rule("cases", CASES)
@dataclass(frozen=True)
class GivenByMinors(PartRule):
    """``["cases", tree]``: the set is where some minors vanish, hence closed.

    Proved in `sparseopt.closedness.proofs.cases`.
    """

    phrase = "where factors were found in all cases"
    tree: CaseRule

    def check(self, state: ObservedProblem, steps: Steps) -> None:
        """Check the tree."""
        cases = Cases(state)
        with proving(steps, "in every case factors reach the target"):
            cases.prove(self.tree)
        steps.note(
            f"in each of {cases.leaves} cases factors reach all targets on which "
            f"{len(cases.conditions)} minors vanish, as they do on the set"
        )

    def sentence(self, state: ObservedProblem) -> Story:
        """Yield which minors."""
        terms = state.terms(range(len(state.origin)))
        cases = Cases(state)
        cases.prove(self.tree)
        minors = ", ".join(f"{list(r)} x {list(c)}" for r, c in sorted(cases.conditions))
        where = "every matrix on their cells"
        if minors:
            where = f"the matrices on their cells whose minors (rows x columns) {minors} vanish"
        yield (
            0,
            f"The blocks of the terms {terms} reach exactly {where}, by factors given in "
            f"each of {cases.leaves} cases: closed.",
        )


def reached(state: ObservedProblem) -> np.ndarray:
    """Return what is observed of the rows and columns that some block has, a bool array."""
    return state.observed[np.ix_(state.left.any(axis=1), state.right.any(axis=0))]


def first_late(state: ObservedProblem) -> int | None:
    """Return the first place t, from 1, for which all blocks left lack t lines or more, or None.

    Those that lack least come first. O(r (m + n)).
    """
    rows, columns = state.left.any(axis=1), state.right.any(axis=0)
    zeros = (~state.left[rows]).sum(axis=0) + (~state.right[:, columns]).sum(axis=1)
    late = np.flatnonzero(np.sort(zeros) > np.arange(len(zeros)))
    return int(late[0]) + 1 if late.size else None


def first_incomparable(
    left: np.ndarray, right: np.ndarray, tick: Callable[[], None] = lambda: None
) -> tuple[int, int] | None:
    """Return two terms whose rectangles overlap without being comparable, or None.

    Term k covers rows I[:, k] and columns J[k, :]. Two terms are comparable if the rows of one
    lie in those of the other and the columns the other way round; identical terms are. O(r^2 m)
    by matrix products whose counts are exact, 256 terms against all others at a time; `tick` is
    called in between.
    """
    tall, wide = left.sum(axis=0), right.sum(axis=1)
    for first in range(0, len(right), BLOCKS):
        tick()
        some = slice(first, first + BLOCKS)
        shared_rows, shared_columns = counts(left.T[some], left), counts(right[some], right.T)
        # Rows of k lie in those of l, and columns of l in those of k; or the other way round.
        below = (shared_rows == tall[some, None]) & (shared_columns == wide[None])
        above = (shared_rows == tall[None]) & (shared_columns == wide[some, None])
        overlap = (shared_rows > 0) & (shared_columns > 0)
        bad = np.argwhere(overlap & ~(below | above))
        if bad.size:
            return first + int(bad[0][0]), int(bad[0][1])
    return None
