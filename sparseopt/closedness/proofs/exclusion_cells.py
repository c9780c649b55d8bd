"""Rules of exclusions that look at one variable, one cell, or the rank of some rows and columns.

See `sparseopt.closedness.proofs.exclusion`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations

from sparseopt.closedness.names import Names, Story
from sparseopt.closedness.proofs.exclusion_branch import (
    TREE,
    VARIABLE,
    ExclusionBranch,
    ExclusionRule,
    Named,
)
from sparseopt.judging.evidence import INDEX, INDICES, EvidenceError, brief
from sparseopt.judging.exact import rank

LARGEST_FREE_MINOR = 6
"""Rows of the largest minor with unknown entries: its determinant is expanded over s! orders."""


@TREE.rule("split", VARIABLE, TREE, TREE)
@dataclass(frozen=True)
class Split(ExclusionRule):
    """``["split", variable, if_zero, if_nonzero]``: a variable of the supports is 0 or not."""

    variable: Named
    if_zero: ExclusionRule
    if_nonzero: ExclusionRule

    def check(self, branch: ExclusionBranch) -> ExclusionRule:
        """Follow the first case here; go on with the second."""
        name = branch.existing(self.variable)
        branch.follow(self.if_zero, (branch.zero, name))
        branch.learn(branch.nonzero, [name])
        return self.if_nonzero

    def sentence(self, names: Names) -> Story:
        """Yield both cases."""
        yield 0, f"either {names.entry(*self.variable)} = 0:"
        yield 1, self.if_zero.sentence(names)
        yield 0, "or it is not zero:"
        yield 1, self.if_nonzero.sentence(names)


@TREE.rule("product", INDEX, INDEX, TREE, TREE)
@dataclass(frozen=True)
class Product(ExclusionRule):
    """``["product", i, j, if_x_zero, if_y_zero]``: one of the two variables of a term is zero.

    For A_ij = 0 and exactly one term k is live there: x_ik y_kj = 0.
    """

    i: int
    j: int
    if_x_zero: ExclusionRule
    if_y_zero: ExclusionRule

    def check(self, branch: ExclusionBranch) -> ExclusionRule:
        """Check the cell, and follow the first case here; go on with the second."""
        value, live = branch.value(self.i, self.j), branch.live(self.i, self.j)
        if value != 0 or len(live) != 1:
            raise EvidenceError(
                f"cell {branch.names.cell(self.i, self.j)} must be 0 with one live term, it is "
                f"{brief(value)} with terms {branch.names.terms_of(live)}"
            )
        branch.follow(self.if_x_zero, (branch.zero, ("x", self.i, live[0])))
        branch.learn(branch.zero, [("y", live[0], self.j)])
        return self.if_y_zero

    def sentence(self, names: Names) -> Story:
        """Yield both cases."""
        cell = names.cell(self.i, self.j)
        yield 0, f"cell {cell} is 0 and one term is left there, so its x is zero:"
        yield 1, self.if_x_zero.sentence(names)
        yield 0, "or its y is zero:"
        yield 1, self.if_y_zero.sentence(names)


@TREE.rule("cell", INDEX, INDEX)
@dataclass(frozen=True)
class Cell(ExclusionRule):
    """``["cell", i, j]``: the entry A_ij contradicts what is known.

    No term is live there, so (X Y)_ij = 0, but A_ij is not; or exactly one is live, A_ij = 0, and
    both of its variables are known not to be zero.
    """

    i: int
    j: int

    def check(self, branch: ExclusionBranch) -> None:
        """Check that one of the two holds."""
        value, live = branch.value(self.i, self.j), branch.live(self.i, self.j)
        if not live and value != 0:
            return
        if len(live) == 1 and value == 0:
            both = {("x", self.i, live[0]), ("y", live[0], self.j)}
            if both <= branch.nonzero:
                return
        raise EvidenceError(
            f"cell {branch.names.cell(self.i, self.j)} holds {brief(value)} with live terms "
            f"{branch.names.terms_of(live)}: no conflict"
        )

    def sentence(self, names: Names) -> Story:
        """Yield the contradiction."""
        cell = names.cell(self.i, self.j)
        yield 0, f"cell {cell} cannot take its value with the terms left: contradiction"


@TREE.rule("minor", INDICES, INDICES)
@dataclass(frozen=True)
class Minor(ExclusionRule):
    """``["minor", rows, columns]``: A has a higher rank there than X Y can have.

    Fewer terms are live anywhere on these rows and columns than the rank of A is there, and X Y
    has no higher rank there than terms, each a matrix of rank one.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def check(self, branch: ExclusionBranch) -> None:
        """Compare rank and number of terms."""
        block = [[branch.value(i, j) for j in self.columns] for i in self.rows]
        live = {k for i in self.rows for j in self.columns for k in branch.live(i, j)}
        if rank(block) <= len(live):
            # Where there is no row or no column, no cell was looked for.
            for row in self.rows:
                branch.require_line(row, turned=True)
            for column in self.columns:
                branch.require_line(column, turned=False)
            raise EvidenceError(
                f"{branch.names.window(self.rows, self.columns)} have no higher rank than "
                f"{len(live)}, the number of blocks of the terms {branch.names.terms_of(live)}"
            )

    def sentence(self, names: Names) -> Story:
        """Yield the contradiction."""
        window = names.window(self.rows, self.columns)
        yield 0, f"{window} have a higher rank than terms are left"


@TREE.rule("free_minor", INDICES, INDICES, INDICES)
@dataclass(frozen=True)
class FreeMinor(ExclusionRule):
    """``["free_minor", rows, columns, terms]``: some terms would need a higher rank than theirs.

    Put an unknown at the cells that are not observed or where another term than `terms` is live;
    the determinant is a constant other than zero, so the sum of the blocks of `terms`, whose
    entries at the other cells are those of A, has rank s, the number of rows and of columns,
    whatever stands there; but there are fewer than s terms.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    terms: tuple[int, ...]

    def check(self, branch: ExclusionBranch) -> None:
        """Expand the determinant."""
        size = len(self.rows)
        if len(self.columns) != size or size > LARGEST_FREE_MINOR or len(self.terms) >= size:
            raise EvidenceError(
                f"a minor with unknown entries needs as many rows as columns, at most "
                f"{LARGEST_FREE_MINOR}, and fewer terms"
            )
        if any(k >= len(branch.right) for k in self.terms):
            raise EvidenceError(
                f"there are {len(branch.right)} blocks, not all of {list(self.terms)}"
            )
        block = [[self._known_entry(branch, i, j) for j in self.columns] for i in self.rows]
        if not has_constant_determinant(block):
            raise EvidenceError(
                f"the minor of {branch.names.window(self.rows, self.columns)} can vanish for terms "
                f"{branch.names.terms_of(self.terms)}"
            )

    def _known_entry(self, branch: ExclusionBranch, i: int, j: int) -> Fraction | None:
        """Return the entry of the sum of the blocks of `terms`, None if it is not known."""
        if not branch.seen(i, j) or not set(branch.live(i, j)) <= set(self.terms):
            return None
        return branch.matrix[i][j]

    def sentence(self, names: Names) -> Story:
        """Yield the contradiction."""
        window, terms = names.window(self.rows, self.columns), names.terms_of(self.terms)
        yield 0, f"{window} ask the terms {terms} for a higher rank"


def has_constant_determinant(block: list[list[Fraction | None]]) -> bool:
    """Return whether the determinant is a constant other than zero for all values of the Nones.

    Expanded over permutations: the coefficient of every product of unknowns must vanish. O(s!).
    """
    size = len(block)
    coefficients: dict[tuple[tuple[int, int], ...], Fraction] = {}
    for order in permutations(range(size)):
        swaps = sum(order[a] > order[b] for a in range(size) for b in range(a + 1, size))
        value, unknowns = Fraction(-1 if swaps % 2 else 1), []
        for i, j in enumerate(order):
            entry = block[i][j]
            if entry is None:
                unknowns.append((i, j))
            else:
                value *= entry
        if value:
            key = tuple(unknowns)
            coefficients[key] = coefficients.get(key, Fraction(0)) + value
    constant = coefficients.pop((), Fraction(0))
    return constant != 0 and not any(coefficients.values())
