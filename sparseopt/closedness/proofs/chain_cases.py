"""Proofs that the products of a chain of factors are all matrices with one support.

A tree of cases over the target A, see `sparseopt.closedness.proofs.cases`: splits, empty branches,
and leaves ``["product", factors, d]``. The factors are given by entries ``[i, k, p]`` in the
supports, d and the p polynomials in the entries of A that are not expressed and in parameters, with
``W_1 ... W_L = d A`` as polynomials. As a polynomial in the parameters d is not zero on the branch,
so for almost all parameters the first factor divided by d gives A as a product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparseopt.closedness.proofs.branch import (
    FACTOR,
    Branch,
    Factor,
    in_free,
    is_generic,
    read_factor,
)
from sparseopt.closedness.proofs.cases import CaseTree, common_rules
from sparseopt.closedness.proofs.observed import covered
from sparseopt.closedness.proofs.polynomials import POLYNOMIAL, add, multiply, polynomial
from sparseopt.judging.evidence import EvidenceError, List, Node

CHAIN_CASES = Node("node of a tree of cases of a chain", {})
CHAIN_CASES.rules.update({**common_rules(CHAIN_CASES), "product": (List(FACTOR), POLYNOMIAL)})


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

    def _other(self, branch: Branch, tree: tuple[Any, ...]) -> None:
        _, factors, terms = tree
        if len(factors) != len(self.supports):
            raise EvidenceError(f"{len(self.supports)} factors are needed")
        total = read_factor(factors[0], self.supports[0], branch)
        for entries, support in zip(factors[1:], self.supports[1:], strict=True):
            total = product(total, read_factor(entries, support, branch))
        scale = in_free(polynomial(terms), branch)
        if not is_generic(scale, branch.nonzero):
            raise EvidenceError("the scale of the product can vanish")
        for (i, j), (over, under) in branch.entries.items():
            reached = multiply(total.get((i, j), {}), under)
            if add(reached, multiply(scale, over), -1):
                raise EvidenceError(f"the product is not the target in cell ({i}, {j})")
