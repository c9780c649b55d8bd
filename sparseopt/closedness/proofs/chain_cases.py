"""Proofs that the products of a chain of factors are all matrices with one support.

A tree of cases over the target A, see `sparseopt.closedness.proofs.case_tree`, whose leaves give
the factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparseopt.closedness.proofs.branch import (
    FACTOR,
    Branch,
    Entries,
    Factor,
    Terms,
    in_free,
    is_generic,
    read_factor,
)
from sparseopt.closedness.proofs.case_tree import CHAIN_CASES, CaseRule, CaseTree
from sparseopt.closedness.proofs.observed import covered
from sparseopt.closedness.proofs.polynomials import POLYNOMIAL, add, multiply, polynomial
from sparseopt.judging.evidence import EvidenceError, List


def chain_support(supports: Sequence[np.ndarray]) -> np.ndarray:
    """Return where products of matrices with these supports may be nonzero, a bool array."""
    total = np.asarray(supports[0], dtype=bool)
    for support in supports[1:]:
        total = covered(total, support)
    return total


def product(first: Factor, second: Factor) -> Factor:
    """Return the product of two matrices of polynomials."""
    total: Factor = {}
    for (i, k), p in first.items():
        for (inner, j), q in second.items():
            if inner == k:
                total[i, j] = add(total.get((i, j), {}), multiply(p, q))
    return total


class ChainCases(CaseTree):
    """Checks one tree for a chain of supports."""

    form = CHAIN_CASES

    def __init__(self, supports: Sequence[np.ndarray]) -> None:
        super().__init__(chain_support(supports))
        self.supports = supports


@CHAIN_CASES.rule("product", List(FACTOR), POLYNOMIAL)
@dataclass(frozen=True)
class Product(CaseRule):
    """``["product", factors, d]``: factors whose product is a multiple of the target.

    The factors are given by entries ``[i, k, p]`` in the supports, d and the p polynomials in the
    entries of A that are not expressed and in parameters, with ``W_1 ... W_L = d A`` as
    polynomials. As a polynomial in the parameters d is not zero on the branch, so for almost all
    parameters the first factor divided by d gives A as a product.
    """

    factors: tuple[Entries, ...]
    scale: Terms

    def check(self, tree: ChainCases, branch: Branch) -> None:
        """Multiply out."""
        if len(self.factors) != len(tree.supports):
            raise EvidenceError(f"{len(tree.supports)} factors are needed")
        total = read_factor(self.factors[0], tree.supports[0], branch)
        for entries, support in zip(self.factors[1:], tree.supports[1:], strict=True):
            total = product(total, read_factor(entries, support, branch))
        scale = in_free(polynomial(self.scale), branch)
        if not is_generic(scale, branch.nonzero):
            raise EvidenceError("the scale of the product can vanish")
        for (i, j), (over, under) in branch.entries.items():
            reached = multiply(total.get((i, j), {}), under)
            if add(reached, multiply(scale, over), -1):
                raise EvidenceError(f"the product is not the target in cell ({i}, {j})")
