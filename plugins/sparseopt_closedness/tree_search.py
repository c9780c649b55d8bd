"""Depth-first search for trees of cases: what a leaf has to know becomes the next split."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.closedness.proofs.branch import Branch
from sparseopt.closedness.proofs.polynomials import (
    Polynomial,
    Variable,
    coefficients,
    degree,
    is_product,
    variable,
    variables,
    without_factors,
    write,
)


@dataclass(frozen=True)
class CaseEffort:
    """How much is tried: rounds per branch of factors drawn and looked at, branches, splits.

    If `eager`, every branch is first split on what makes the target simpler; otherwise only where
    no factors are found, which gives fewer cases where factors are easily found.
    """

    rounds: int = 4
    draws: int = 15
    looks: int = 3
    branches: int = 60
    depth: int = 12
    eager: bool = True


SHORT = 2
"""Letters of a polynomial that is split on without looking further."""


class GaveUp(Exception):
    """No tree was found within the effort."""


class TreeSearch:
    """Searches for one tree.

    Parameters
    ----------
    observed : bool array
        The cells of the target.
    effort : CaseEffort
    seed : int
    tick : callable
        Called before every draw; it raises to stop the search.

    Attributes
    ----------
    stuck : list of Branch
        Where no factors were found that reach the generic target.
    """

    def __init__(
        self, observed: np.ndarray, effort: CaseEffort, seed: int, tick: Callable[[], None]
    ) -> None:
        self.observed, self.effort, self.tick = observed, effort, tick
        self.rng = random.Random(seed)
        self.branches = 0
        self.stuck: list[Branch] = []

    def run(self) -> Any | None:
        """Return a tree, or None."""
        try:
            return self._prove(Branch.root(self.observed), 0)
        except GaveUp:
            return None

    def _leaves(self, branch: Branch, number: int) -> Iterator[tuple[Any, list[Polynomial]]]:
        """Yield leaves that hold generically, and polynomials that must not vanish for them."""
        raise NotImplementedError

    def _condition(self, branch: Branch, depth: int) -> Any | None:
        """Return the rest of the tree after a condition that all targets meet, or None."""
        return None

    def _simplify(self, branch: Branch, depth: int) -> Any | None:
        """Return the tree after a split that makes the target simpler, or None."""
        return None

    def _prove(self, branch: Branch, depth: int) -> Any:
        self.branches += 1
        if self.branches > self.effort.branches or depth > self.effort.depth:
            raise GaveUp
        if not all(branch.nonzero):
            return ["empty"]
        condition = self._condition(branch, depth)
        if condition is not None:
            return condition
        best: tuple[int, Polynomial] | None = None
        for number in range(self.effort.rounds):
            for leaf, wanted in self._leaves(branch, number):
                if not wanted:
                    return leaf
                weights = [letters(p) for p in wanted]
                total = sum(weights)
                if best is None or total < best[0]:
                    best = total, wanted[weights.index(min(weights))]
            simpler = self._simplify(branch, depth) if self.effort.eager else None
            if simpler is not None:
                return simpler
            # What is short is split on at once; longer rounds may find something shorter.
            if best is not None and (number or best[0] <= SHORT):
                break
        if best is None:
            simpler = self._simplify(branch, depth)
            if simpler is None:
                self.stuck.append(branch)
                raise GaveUp
            return simpler
        return self._split(branch, best[1], depth)

    def _linear(self, p: Polynomial, branch: Branch) -> Variable | None:
        """Return an entry that p can be solved for, or None."""
        for name in sorted(variables(p)):
            if degree(p, name) == 1 and is_product(
                coefficients(p, [name])[(name,)], branch.nonzero
            ):
                return name
        return None

    def _obstacle(self, p: Polynomial, branch: Branch) -> Polynomial:
        """Return a polynomial to split on before p can be solved: a factor or a coefficient."""
        common = set.intersection(*(set(monomial) for monomial in p)) if p else set()
        if common:
            return variable(min(common))
        best: Polynomial | None = None
        for name in sorted(variables(p)):
            if degree(p, name) != 1:
                continue
            lead = without_factors(coefficients(p, [name])[(name,)], branch.nonzero)
            if best is None or len(lead) < len(best):
                best = lead
        if best is None:
            raise GaveUp
        return best

    def _split(self, branch: Branch, p: Polynomial, depth: int) -> Any:
        """Split on p, or on what has to be known before p can be solved."""
        p = without_factors(p, branch.nonzero)
        for _ in range(6):
            name = self._linear(p, branch)
            if name is not None:
                break
            p = without_factors(self._obstacle(p, branch), branch.nonzero)
        else:
            raise GaveUp
        if_zero = self._prove(branch.solved(p, name), depth + 1)
        if_nonzero = self._prove(branch.knowing(p), depth + 1)
        return ["split", write(p), list(name), if_zero, if_nonzero]


def letters(p: Polynomial) -> int:
    """Return how much there is to write."""
    return sum(len(monomial) + 1 for monomial in p)
