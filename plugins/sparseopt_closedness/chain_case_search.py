"""Search for trees of cases that prove the products of a chain to be all matrices of a support.

Draws fix all factors but one by small numbers and parameters and solve the linear equations for
that one; equations that are left are solved for parameters that are linear in them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.closedness.proofs.branch import Branch, Factor
from sparseopt.closedness.proofs.chain_cases import chain_support, product
from sparseopt.closedness.proofs.polynomials import (
    ONE,
    Polynomial,
    Variable,
    add,
    coefficients,
    degree,
    multiply,
    put,
    variable,
    variables,
    without_factors,
    write,
)
from sparseopt_closedness.tree_search import CaseEffort, TreeSearch, letters

LARGEST_CHAIN = 9
"""Cells of the product up to which a chain is looked at."""
LONGEST = 400
"""Letters of factors beyond which a draw is given up."""


class ChainCaseSearch(TreeSearch):
    """Searches for one tree for a chain of supports."""

    def __init__(
        self,
        supports: Sequence[np.ndarray],
        effort: CaseEffort,
        seed: int,
        tick: Callable[[], None],
    ) -> None:
        super().__init__(chain_support(supports), effort, seed, tick)
        self.supports = supports

    def _leaves(self, branch: Branch, number: int) -> Iterator[tuple[Any, list[Polynomial]]]:
        for _ in range(self.effort.draws):
            self.tick()
            with contextlib.suppress(ValueError):  # a polynomial became too large
                found = self._draw(branch)
                if found is not None:
                    yield found

    def _draw(self, branch: Branch) -> tuple[Any, list[Polynomial]] | None:
        """Return a leaf, and what has to be known not to be zero for it, or None."""
        asked = self.rng.randrange(len(self.supports))
        count = 0
        factors: list[Factor] = []
        for place, support in enumerate(self.supports):
            entries: Factor = {}
            for i, k in np.argwhere(support).tolist():
                kind = self.rng.choices((0, 1, 2), (0.35, 0.3, 0.35))[0]
                if kind == 2 or place == asked:
                    entries[i, k] = variable((count,))
                    count += 1
                elif kind == 1 or i == k:
                    entries[i, k] = ONE
            factors.append(entries)
        scale = ONE
        unknown = {next(iter(variables(p))) for p in factors[asked].values()}
        # Solve for the entries of one factor first, then for what else is linear.
        for turn in range(2 * len(branch.entries)):
            total = factors[0]
            for factor in factors[1:]:
                total = product(total, factor)
            equations = []
            for (i, j), (over, under) in branch.entries.items():
                reached = multiply(total.get((i, j), {}), under)
                equation = add(reached, multiply(scale, over), -1)
                if equation:
                    equations.append(equation)
            if not equations:
                terms = [
                    [[i, k, write(p)] for (i, k), p in sorted(f.items()) if p] for f in factors
                ]
                return ["product", terms, write(scale)], self._wanted(scale, branch)
            chosen = self._linear_parameter(equations, unknown if turn < 40 else set())
            if chosen is None:
                return None
            name, over, under = chosen
            scale = self._put(factors, scale, name, over, under)
            if sum(letters(p) for f in factors for p in f.values()) > LONGEST:
                return None
        return None

    def _linear_parameter(
        self, equations: list[Polynomial], first: set[Variable]
    ) -> tuple[Variable, Polynomial, Polynomial] | None:
        """Return a parameter, numerator and denominator that solve one equation, or None."""
        options = []
        for equation in equations:
            for name in variables(equation):
                if len(name) == 1 and degree(equation, name) == 1:
                    lead = coefficients(equation, [name])[(name,)]
                    weight = letters(lead) + self.rng.random()
                    options.append((name not in first, weight, name, equation))
        if not options:
            return None
        _, _, name, equation = min(options, key=lambda option: option[:3])
        parts = coefficients(equation, [name])
        over = {m: -c for m, c in parts.get((), {}).items()}
        return name, over, parts[(name,)]

    def _put(
        self,
        factors: list[Factor],
        scale: Polynomial,
        name: Variable,
        over: Polynomial,
        under: Polynomial,
    ) -> Polynomial:
        """Put a fraction in for a parameter; factors are scaled to stay polynomial."""
        result = scale
        for place, factor in enumerate(factors):
            highest = max((degree(p, name) for p in factor.values()), default=0)
            for cell, p in factor.items():
                value = put(p, name, over, under)
                for _ in range(highest - degree(p, name)):
                    value = multiply(value, under)
                factors[place][cell] = value
            for _ in range(highest):
                result = multiply(result, under)
        up = degree(scale, name)
        if up:
            raise ValueError("the scale holds the parameter")
        return result

    def _wanted(self, scale: Polynomial, branch: Branch) -> list[Polynomial]:
        names = [v for v in variables(scale) if len(v) == 1]
        left = [
            without_factors(part, branch.nonzero) for part in coefficients(scale, names).values()
        ]
        best = min(left, key=letters)
        return [] if set(best) == {()} else [best]


def cases_of_chain(supports: Sequence[np.ndarray], context: so.Context) -> Any | None:
    """Return a tree that proves the products to be all matrices of their support, or None."""
    if supports[0].shape[0] * supports[-1].shape[1] > LARGEST_CHAIN:
        return None
    effort = CaseEffort(draws=30, branches=30)
    seed = int(context.rng().integers(2**31))
    return ChainCaseSearch(
        supports, effort, seed, lambda: context.check_time("drawing factors of a chain")
    ).run()
