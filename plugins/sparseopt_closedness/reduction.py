"""Closed by reductions: free families are removed until closed parts are left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sparseopt as so
from sparseopt.closedness.closed import ReducedClosedCertificate
from sparseopt.closedness.proofs.closed_parts import first_incomparable, first_late, reached
from sparseopt.closedness.proofs.observed import ObservedProblem, components, is_full, start
from sparseopt_closedness.free_families import free_families
from sparseopt_closedness.sizes import of_two

LARGEST_SIZE = 2_000_000
"""Rows x terms x columns up to which all free families are found in seconds to minutes."""


@dataclass(frozen=True, eq=False)
class Open:
    """A component that the reductions leave open, and the steps that lead to it.

    `proofs` and `place` say where its proof of closedness is to stand.
    """

    state: ObservedProblem
    steps: list[Any]
    proofs: list[Any]
    place: int

    def close(self, proof: list[Any]) -> None:
        """Write the proof of closedness."""
        self.proofs[self.place] = proof


def reduce_state(
    state: ObservedProblem, context: so.Context, steps: list[Any] | None = None
) -> tuple[list[Any], list[Open]]:
    """Remove free families to a fixpoint, then judge the components.

    Returns the proof of closedness, complete if no component is left open, and the open ones.
    """

    def tick() -> None:
        context.check_time("removing free families")

    tick()
    done = list(steps or [])
    classes = components(state)
    found = next(free_families(state, classes, tick=tick), None)
    if found is not None:
        terms, evidence = found
        done.append(["free", terms, evidence])
        rest, left = reduce_state(state.without(terms), context, done)
        return ["free", terms, evidence, rest], left
    proofs: list[Any] = []
    left = []
    for c, terms in enumerate(classes):
        part = state.family(terms)
        proofs.append(closed_as_it_is(part))
        if proofs[c] is None:
            left.append(Open(part, [*done, ["component", c]], proofs, c))
    return ["components", proofs], left


def closed_as_it_is(part: ObservedProblem) -> list[Any] | None:
    """Return a proof that a component is closed which needs no further step, or None."""
    if is_full(part) and first_incomparable(part.left, part.right) is None:
        return ["comparable"]
    if reached(part).all() and first_late(part) is None:
        return ["rank"]
    return None


@dataclass(frozen=True)
class Reduction(so.Solver[so.Closedness]):
    """Closed by the rules of `sparseopt.closedness.proofs.closed_parts`; decides nothing else.

    Time O(m n r), memory O(m r + r n), for m x r and r x n supports that come apart at once; where
    many families must be tried, their number comes on top, r^4 at most.
    """

    def accepts(self, problem: so.Closedness) -> so.Accepted | so.Refused:
        """Take pairs of moderate size."""
        return of_two(problem, LARGEST_SIZE)

    def solve(
        self, problem: so.Closedness, context: so.Context
    ) -> tuple[so.ClosednessVerdict, ReducedClosedCertificate]:
        """Reduce and look at what is left."""
        proof, left = reduce_state(start(*problem.supports), context)
        if left:
            raise so.Inconclusive(f"{len(left)} parts are left open by the reductions")
        certificate = ReducedClosedCertificate.proved(problem, proof)
        return certificate.answer, certificate

    def cost(self, problem: so.Closedness) -> float:
        """Predict a test for each term, as supports need it that come apart at once."""
        (m, r), n = problem.supports[0].shape, problem.supports[1].shape[1]
        return 1e-3 + 2e-3 * r + 1e-8 * m * n * r

    def bytes_needed(self, problem: so.Closedness) -> float:
        """Predict copies of the supports."""
        (m, r), n = problem.supports[0].shape, problem.supports[-1].shape[1]
        return 2.0**20 + 16.0 * r * (m + n)
