"""Steps that shorten a chain of factors and keep the set of its products.

Each step is a class; its docstring says what is written, what is shown, and why.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from sparseopt.closedness.proofs.case_tree import CHAIN_CASES, CaseRule
from sparseopt.closedness.proofs.chain_cases import ChainCases, chain_support
from sparseopt.closedness.proofs.observed import covered, start
from sparseopt.closedness.proofs.reductions import EVIDENCE, FAMILY, FreeFamily
from sparseopt.judging.evidence import INDEX, EvidenceError, Integer, List, Node, Rule, Word

Chain = tuple[np.ndarray, ...]
Groups = list[tuple[int, int]]
"""The first and the last factor of the problem that each factor of the chain stands for."""

FREE = Node("contraction")
FREE.rule("free", FAMILY, EVIDENCE)(FreeFamily)
STEP = Node("step that shortens a chain")


def shorten(supports: Sequence[np.ndarray], step: Sequence[Any]) -> Chain:
    """Read and check one step and return the shorter chain, whose set of products is the same.

    Raises
    ------
    EvidenceError
        If the step does not hold.
    """
    found: ChainStep = STEP.read(step, ("step",))
    return found.check(tuple(supports))


class ChainStep(Rule):
    """A step from a chain to a shorter one with the same set of products."""

    place: int

    @abstractmethod
    def check(self, chain: Chain) -> Chain:
        """Check the step and return the shorter chain; refuse by an EvidenceError."""

    @abstractmethod
    def sentence(self, groups: Groups) -> str:
        """Return the step in words, and shorten the groups likewise."""


@STEP.rule("absorb", INDEX, Word(("left", "right")))
@dataclass(frozen=True)
class Absorb(ChainStep):
    """``["absorb", l, side]``: a neighbour takes factor l in; drop it.

    The support of factor l is square and contains the diagonal, and its product with factor l + 1
    (side "right"; l - 1 for "left") has the support of that factor. Products stay in that support,
    and with W_l the identity all are reached.
    """

    place: int
    side: str

    def check(self, chain: Chain) -> Chain:
        """Check both supports."""
        place, side = self.place, self.side
        other = place + (1 if side == "right" else -1)
        if place >= len(chain) or not 0 <= other < len(chain):
            raise EvidenceError(f"there is no factor {place} with a {side} neighbour")
        own, near = chain[place], chain[other]
        if own.shape[0] != own.shape[1] or not own.diagonal().all():
            raise EvidenceError(f"support {place} does not contain the diagonal")
        product = covered(own, near) if side == "right" else covered(near, own)
        if bool((product & ~near).any()):
            raise EvidenceError(f"products of factors {place} and {other} leave support {other}")
        return (*chain[:place], *chain[place + 1 :])

    def sentence(self, groups: Groups) -> str:
        """Return which factor is dropped."""
        first, last = groups.pop(self.place)
        name = f"Factor {first}" if first == last else f"The product of factors {first} to {last}"
        return f"{name} is absorbed by its {self.side} neighbour: drop it."


class Contraction(ChainStep):
    """Some factors in a row reach every matrix with one support, that of their product.

    So one factor with that support may stand for them.
    """

    count: int
    how = ""

    def check(self, chain: Chain) -> Chain:
        """Check that there are so many factors, and that they reach every matrix."""
        place, count = self.place, self.count
        if place + count > len(chain):
            raise EvidenceError(f"there are no {count} factors from {place} on")
        group = chain[place : place + count]
        self.reach_all(group)
        return (*chain[:place], chain_support(group), *chain[place + count :])

    @abstractmethod
    def reach_all(self, group: Chain) -> None:
        """Check that the products of a group are all matrices with its support."""

    def sentence(self, groups: Groups) -> str:
        """Return which factors become one."""
        place, count = self.place, self.count
        first, last = groups[place][0], groups[place + count - 1][1]
        groups[place : place + count] = [(first, last)]
        return (
            f"Factors {first} to {last} give all matrices with one support{self.how}: take them as "
            "one factor."
        )


@STEP.rule("contract", INDEX, List(FREE))
@dataclass(frozen=True)
class Contract(Contraction):
    """``["contract", l, steps]``: factors l and l + 1, by free families.

    They are removed until no block is left, so the products of the two are all matrices with the
    support: see `sparseopt.closedness.proofs.reductions.FreeFamily`.
    """

    place: int
    steps: tuple[FreeFamily, ...]
    count = 2

    def reach_all(self, group: Chain) -> None:
        """Remove the families."""
        state = start(*group)
        for step in self.steps:
            state = step.check(state)
        if state.origin:
            raise EvidenceError("blocks are left that are not free")


@STEP.rule("cases", INDEX, Integer(1), CHAIN_CASES)
@dataclass(frozen=True)
class ByCases(Contraction):
    """``["cases", l, count, tree]``: factors l to l + count - 1, by factors given in every case.

    See `sparseopt.closedness.proofs.chain_cases`.
    """

    place: int
    count: int
    tree: CaseRule
    how = ", by factors given in every case"

    def reach_all(self, group: Chain) -> None:
        """Check the tree."""
        ChainCases(group).prove(self.tree)


PATHS = List(List(INDEX), least=1)


@STEP.rule("through", INDEX, Integer(3), INDEX, PATHS, PATHS, List(FREE))
@dataclass(frozen=True)
class Through(Contraction):
    """``["through", l, count, at, rows, columns, steps]``: a pair, with single entries around it.

    Of the factors l to l + count - 1 two neighbours, l + at and l + at + 1, are left free; of the
    others one entry in every row and column at most is used. ``rows`` lists paths ``[p_0, ...,
    p_at]``: p_0 is a row of the product, and factor l + t has the entry (p_t, p_{t+1}). ``columns``
    lists paths ``[q_0, ..., q]`` likewise, from the columns of factor l + at + 1 to those of the
    product. At every place paths are distinct. So with ones at these entries the product is, on the
    rows p_0 and the columns q, that of the pair on the rows p_at of its first and the columns q_0
    of its second factor, and 0 elsewhere. The ``steps`` remove free families of this pair until no
    block is left, so it reaches every matrix on the cells it covers
    (`sparseopt.closedness.proofs.reductions.FreeFamily`); these cells are all that the product
    covers. Two paths may not meet: their rows would be multiples of each other.
    """

    place: int
    count: int
    at: int
    rows: tuple[tuple[int, ...], ...]
    columns: tuple[tuple[int, ...], ...]
    steps: tuple[FreeFamily, ...]
    how = ", one pair of them with single entries around it"

    def reach_all(self, group: Chain) -> None:
        """Check the paths, the pair, and that it covers what the product does."""
        before, after = group[: self.at], group[self.at + 2 :]
        if self.at + 2 > len(group):
            raise EvidenceError(f"there is no pair of factors {self.at} and {self.at + 1} of them")
        first, second = group[self.at : self.at + 2]
        follow_paths(self.rows, before, len(first))
        follow_paths(self.columns, after, second.shape[1])
        left = first[[path[-1] for path in self.rows]]
        right = second[:, [path[0] for path in self.columns]]
        whole = chain_support(group)
        reached = np.zeros_like(whole)
        ends = [path[0] for path in self.rows], [path[-1] for path in self.columns]
        reached[np.ix_(*ends)] = covered(left, right)
        if bool((whole & ~reached).any()):
            raise EvidenceError("the product of all factors covers more than that of the pair")
        state = start(left, right)
        for step in self.steps:
            state = step.check(state)
        if state.origin:
            raise EvidenceError("blocks of the pair are left that are not free")


def follow_paths(paths: Sequence[Sequence[int]], factors: Chain, last: int) -> None:
    """Refuse, by an EvidenceError, what are no distinct paths through some factors.

    Parameters
    ----------
    last : int
        The number of places where they end, or begin if there are no factors.
    """
    sizes = [len(factor) for factor in factors] or [last]
    sizes += [factors[-1].shape[1]] if factors else []
    for path in paths:
        if len(path) != len(sizes) or any(p >= size for p, size in zip(path, sizes, strict=True)):
            raise EvidenceError("a path has a place that the factors do not have, or one too few")
        if not all(f[p, q] for f, (p, q) in zip(factors, pairwise(path), strict=True)):
            raise EvidenceError("a path uses an entry outside a support")
    for places in zip(*paths, strict=True):
        if len(set(places)) != len(places):
            raise EvidenceError("two paths meet")
