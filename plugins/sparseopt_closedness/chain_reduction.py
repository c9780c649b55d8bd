"""Chains of more than two factors: Kronecker-sparse patterns, or shorter chains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.closedness.chains import KroneckerChainCertificate, ShortenedChainCertificate
from sparseopt.closedness.proofs.chain_cases import chain_support
from sparseopt.closedness.proofs.chain_steps import shorten
from sparseopt.closedness.proofs.observed import covered, start
from sparseopt_closedness.chain_case_search import cases_of_chain
from sparseopt_closedness.matchings import routes
from sparseopt_closedness.reduction import reduce_state
from sparseopt_closedness.sizes import of_more

LARGEST_SIZE = 30_000_000
"""Rows x terms x columns of two neighbours up to which absorption takes seconds."""

DRAWS = 3
"""Choices of entries around a pair."""

LONGEST_GROUP = 4
"""Factors that are replaced by one at once."""


@dataclass(frozen=True)
class ChainReduction(so.Solver[so.Closedness]):
    """Decides chains that are Kronecker-sparse and chainable, or shorten to two factors.

    Time O(n^2 L), memory O(n^2), for L supports of n x n that are Kronecker-sparse; products of
    neighbours take O(n^3).
    """

    def accepts(self, problem: so.Closedness) -> so.Accepted | so.Refused:
        """Take chains of more than two factors."""
        return of_more(problem, LARGEST_SIZE)

    def solve(
        self, problem: so.Closedness, context: so.Context
    ) -> tuple[so.ClosednessVerdict, KroneckerChainCertificate | ShortenedChainCertificate]:
        """Look for patterns, then for steps that shorten the chain."""
        patterns = kronecker_chain(problem.supports)
        if patterns is not None:
            whole = KroneckerChainCertificate.proved(problem, patterns)
            return whole.answer, whole
        chain, steps = tuple(problem.supports), []
        while True:
            step = next(_steps(chain, context), None)
            if step is None:
                break
            chain = shorten(chain, step)
            steps.append(step)
        if len(chain) > 2:
            raise so.Inconclusive(f"{len(chain)} factors are left that cannot be contracted")
        left = context.remaining()
        solution = so.solve(
            so.Closedness(chain, problem.field),
            seed=context.seed,
            progress=context.part(0.5, 1.0),
            time_limit=None if left == float("inf") else max(left, 1e-3),
        )
        if solution.answer.value == "unknown" or solution.certificate is None:
            raise so.Inconclusive(f"the chain shortens to {len(chain)} factors, not decided")
        certificate = ShortenedChainCertificate.proved(problem, steps, solution.certificate)
        return certificate.answer, certificate

    def cost(self, problem: so.Closedness) -> float:
        """Predict products of supports and tests of families."""
        return 2e-3 * len(problem.supports) + 1e-8 * sum(s.size for s in problem.supports)

    def bytes_needed(self, problem: so.Closedness) -> float:
        """Predict copies of the supports."""
        return 2.0**20 + 4.0 * sum(s.size for s in problem.supports)


def _steps(chain: Sequence[np.ndarray], context: so.Context) -> Iterator[list[Any]]:
    """Yield steps that shorten a chain, cheap ones first."""
    for place, own in enumerate(chain):
        if own.shape[0] != own.shape[1] or not own.diagonal().all():
            continue
        for side, other in (("right", place + 1), ("left", place - 1)):
            if not 0 <= other < len(chain):
                continue
            near = chain[other]
            product = covered(own, near) if other > place else covered(near, own)
            if not bool((product & ~near).any()):
                yield ["absorb", place, side]
    for place, (left, right) in enumerate(pairwise(chain)):
        inner = _all_free(left, right, context)
        if inner is not None:
            yield ["contract", place, inner]
    through = through_pair(chain, context)
    if through is not None:
        yield through
    for count in range(3, min(len(chain), LONGEST_GROUP) + 1):
        for place in range(len(chain) - count + 1):
            tree = cases_of_chain(chain[place : place + count], context)
            if tree is not None:
                yield ["cases", place, count, tree]


def through_pair(chain: Sequence[np.ndarray], context: so.Context) -> list[Any] | None:
    """Return the step to one factor by a pair that reaches everything, or None.

    Rows and columns of the product are led to distinct ones of the pair by maximum matchings, one
    factor after the other.
    """
    if len(chain) < 3:
        return None
    whole, rng = chain_support(chain), context.rng()
    if not whole.any():
        return None
    across = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    for at in range(len(chain) - 1):
        for _ in range(DRAWS):
            after = [s.T for s in chain[at + 2 :][::-1]]
            rows = routes(chain[:at], across[0].tolist(), rng)
            columns = routes(after, across[1].tolist(), rng)
            if len(rows) < len(across[0]) or len(columns) < len(across[1]):
                break
            left = chain[at][[path[-1] for path in rows]]
            right = chain[at + 1][:, [path[-1] for path in columns]]
            if covered(left, right).sum() == whole.sum():
                steps = _all_free(left, right, context)
                if steps is not None:
                    back = [path[::-1] for path in columns]
                    return ["through", 0, len(chain), at, rows, back, steps]
    return None


def _all_free(left: np.ndarray, right: np.ndarray, context: so.Context) -> list[Any] | None:
    """Return the steps that remove all blocks of a pair as free families, or None."""
    proof, still_open = reduce_state(start(left, right), context)
    steps = []
    while proof[0] == "free":
        steps.append(proof[:3])
        proof = proof[3]
    return steps if not still_open and proof == ["components", []] else None


def kronecker_chain(supports: Sequence[np.ndarray]) -> list[list[int]] | None:
    """Return chainable patterns (a, b, c, d) of the supports, or None.

    Only diagonal supports have several patterns, (a, 1, 1, d) with a d fixed.
    """
    options = [_patterns(np.asarray(s)) for s in supports]
    chosen: list[so.KroneckerPattern] = []

    def extend(place: int) -> bool:
        if place == len(options):
            return True
        for pattern in options[place]:
            if not chosen or chosen[-1].is_chainable_with(pattern):
                chosen.append(pattern)
                if extend(place + 1):
                    return True
                chosen.pop()
        return False

    return [list(p) for p in chosen] if extend(0) else None


def _patterns(support: np.ndarray) -> list[so.KroneckerPattern]:
    m, n = support.shape
    columns, rows = np.flatnonzero(support[0]), np.flatnonzero(support[:, 0])
    b, c = len(rows), len(columns)
    if not b or not c or m % b or n % c or m // b != n // c:
        return []
    blocks = m // b
    if c > 1:
        steps = [int(columns[1])]
    elif b > 1:
        steps = [int(rows[1])]
    else:
        steps = [d for d in range(1, blocks + 1) if blocks % d == 0]
    found = []
    for d in steps:
        if d >= 1 and blocks % d == 0:
            pattern = so.KroneckerPattern(blocks // d, b, c, d)
            if np.array_equal(pattern.support(), support):
                found.append(pattern)
    return found
