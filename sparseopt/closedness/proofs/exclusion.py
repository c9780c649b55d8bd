"""Proofs that a matrix is no product with given supports: branching trees, checked exactly.

The statement: there are no X, Y with supp X in I, supp Y in J and ``X Y = A`` on the observed
cells (all of them unless a mask is given). Rules speak of observed cells only. A proof splits on
"is this variable zero?" until every branch meets a contradiction. Variables are ``("x", i, k)``
and ``("y", k, j)``. A term k is live at cell (i, j) if it covers the cell and neither x_ik nor
y_kj is known to be zero on this branch. Nodes are written as lists so that they are plain JSON;
each rule is a class, and its docstring says what is written, what is shown, and why.

Every rule holds over any field that contains the rationals. Values are rational: they follow from
A by linear equations with rational coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations
from typing import Any

from sparseopt.closedness.names import Names, Story
from sparseopt.closedness.proofs.exclusion_branch import ExclusionBranch, ExclusionRule, Named
from sparseopt.closedness.proofs.identities import (
    TERMS,
    VARIABLE,
    Equation,
    Factor,
    polynomial_words,
)
from sparseopt.closedness.proofs.polynomials import ONE, Polynomial, add, multiply, polynomial
from sparseopt.judging.evidence import INDEX, INDICES, EvidenceError, Map, Node, Optional, brief
from sparseopt.judging.exact import fixed_unknowns, rank

TREE = Node("rule of an exclusion")
LARGEST_FREE_MINOR = 6
"""Rows of the largest minor with unknown entries: its determinant is expanded over s! orders."""


class Exclusion(ExclusionBranch):
    """Checks one tree against supports and a matrix A."""

    def check(self, tree: Any) -> None:
        """Read a tree and follow it.

        Raises
        ------
        EvidenceError
            Unless the tree proves that A is no product.
        """
        self.follow(TREE.read(tree, ("exclusion",)))


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


@TREE.rule("span", INDICES, INDEX, Map(INDEX, INDEX), mirrored="span_t")
@dataclass(frozen=True)
class Span(ExclusionRule):
    """``["span", rows, j, {k: column}]``: no multiples of known columns add up to column j.

    The terms k listed are those live in column j on these rows; on these rows each is the only
    live one in its listed column, where A is not zero, so x_k is a multiple of that column of A
    there; but column j of A is not in the span of these columns.

    ``["span_t", columns, i, {k: row}]``: the same for the transposed matrices.
    """

    places: tuple[int, ...]
    line: int
    listed: Mapping[int, int]
    turned: bool = False

    def check(self, branch: ExclusionBranch) -> None:
        """Check every listed column, and the span."""

        def at(i: int, c: int) -> tuple[int, int]:
            return (c, i) if self.turned else (i, c)

        target = [branch.value(*at(i, self.line)) for i in self.places]
        live = {k for i in self.places for k in branch.live(*at(i, self.line))}
        if set(self.listed) != live:
            raise self._refused(
                branch,
                f"has live terms {branch.names.terms_of(live)}; a {self._lines[0]} must be listed "
                "for each of these blocks, and for no other",
            )
        known = []
        for k, c in self.listed.items():
            # Where block k has no row x_ik = 0, so A_ic = 0 as well: else X Y is not A there.
            known.append([branch.value(*at(i, c)) for i in self.places])
            alone = all(set(branch.live(*at(i, c))) <= {k} for i in self.places)
            if not alone or not any(known[-1]):
                raise EvidenceError(
                    f"{self._named(c, branch.names)} does not determine term "
                    f"{branch.names.terms[k]} there"
                )
        if rank([*known, target]) == rank(known):
            raise self._refused(branch, "lies in the span of the listed")

    def _refused(self, branch: ExclusionBranch, why: str) -> EvidenceError:
        branch.require_line(self.line, self.turned)  # without places no cell of it was looked for
        return EvidenceError(f"{self._named(self.line, branch.names)} {why}")

    def _named(self, line: int, names: Names) -> str:
        return f"{self._lines[0]} {names.columns_of([line], self.turned)[0]}"

    @property
    def _lines(self) -> tuple[str, str]:
        return ("row", "columns") if self.turned else ("column", "rows")

    def sentence(self, names: Names) -> Story:
        """Yield the contradiction."""
        fixing = ", ".join(
            f"{self._named(c, names)} (term {names.terms[k]})" for k, c in self.listed.items()
        )
        yield (
            0,
            f"on {self._lines[1]} {names.rows_of(self.places, self.turned)}, "
            f"{self._named(self.line, names)} is not in the span of those that fix its terms: "
            f"{fixing}",
        )


@TREE.rule("scale", VARIABLE, TREE)
@dataclass(frozen=True)
class Scale(ExclusionRule):
    """``["scale", variable, rest]``: a variable is 1 without loss of generality.

    It is known not to be zero, and its term was not scaled before on this branch: multiplying x_k
    and dividing y_k by a number makes it 1. A variable gets a value only if another of its term
    has one, and the first from here: so nothing of a term that was not scaled has a value that
    scaling would change.
    """

    variable: Named
    rest: ExclusionRule

    def check(self, branch: ExclusionBranch) -> ExclusionRule:
        """Check that it may be scaled; go on with its value."""
        kind, a, b = branch.existing(self.variable)
        term = b if kind == "x" else a
        if self.variable not in branch.nonzero or term in branch.scaled:
            name = branch.names.entry(*self.variable)
            raise EvidenceError(f"{name} cannot be scaled to 1 here")
        branch.learn(branch.scaled, [term])
        branch.fix({self.variable: Fraction(1)})
        return self.rest

    def sentence(self, names: Names) -> Story:
        """Yield the choice, and what follows."""
        yield 0, f"scale its term so that {names.entry(*self.variable)} = 1"
        yield 0, self.rest.sentence(names)


@TREE.rule("line", INDEX, INDICES, Optional(TREE), mirrored="line_t")
@dataclass(frozen=True)
class Line(ExclusionRule):
    """``["line", j, rows, rest]``: the equations of a column are linear and fix further entries.

    On these rows the x of every term live in column j have known values. The linear equations for
    the y of column j (known y put in) have no solution, or force a y to be zero that is known not
    to be, and the rest is None; or they fix the values of some y, with which the rest goes on.

    ``["line_t", i, columns, rest]``: the same for the transposed matrices.
    """

    line: int
    places: tuple[int, ...]
    rest: ExclusionRule | None
    turned: bool = False

    def check(self, branch: ExclusionBranch) -> ExclusionRule | None:
        """Solve the equations; go on with the values."""
        branch.require_line(self.line, self.turned)
        found = self.values(branch)
        conflict = found is None or any(
            not value and name in branch.nonzero for name, value in found.items()
        )
        if conflict != (self.rest is None):
            what = "nothing is left to prove" if conflict else "a proof must follow"
            raise EvidenceError(f"after the equations of a line {what}")
        if found is not None:
            branch.fix(found)
            branch.learn(branch.zero, [name for name, value in found.items() if not value])
            branch.learn(branch.nonzero, [name for name, value in found.items() if value])
        return self.rest

    def values(self, branch: ExclusionBranch) -> dict[Named, Fraction] | None:
        """Return the values that the line newly fixes, None for a contradiction."""
        unknowns: list[Named] = []
        equations = []
        for place in self.places:
            i, j = (self.line, place) if self.turned else (place, self.line)
            total, row = branch.value(i, j), {}
            for k in branch.live(i, j):
                x, y = ("x", i, k), ("y", k, j)
                given, asked = (y, x) if self.turned else (x, y)
                if given not in branch.values:
                    raise EvidenceError(f"{branch.names.entry(*given)} has no known value")
                if asked in branch.values:
                    total -= branch.values[given] * branch.values[asked]
                else:
                    row[asked] = branch.values[given]
                    if asked not in unknowns:
                        unknowns.append(asked)
            equations.append((row, total))
        system = [[row.get(u, Fraction(0)) for u in unknowns] + [t] for row, t in equations]
        return fixed_unknowns(system, unknowns)

    def sentence(self, names: Names) -> Story:
        """Yield what the equations do, and what follows."""
        own, across = ("row", "columns") if self.turned else ("column", "rows")
        ends = "fix further entries" if self.rest else "have no solution that fits: contradiction"
        yield (
            0,
            f"the linear equations of {own} {names.columns_of([self.line], self.turned)[0]} on "
            f"{across} {names.rows_of(self.places, self.turned)} {ends}",
        )
        if self.rest is not None:
            yield 0, self.rest.sentence(names)


@TREE.rule("identity", TERMS)
@dataclass(frozen=True)
class Identity(ExclusionRule):
    """``["identity", [[equation, factor], ...]]``: the equations have no solution.

    The equations times the factors, polynomials with rational coefficients, add up to 1
    (Nullstellensatz); at a solution all equations would be 0. What an equation and a factor are:
    see `sparseopt.closedness.proofs.identities`.
    """

    terms: tuple[tuple[Equation, Factor], ...]

    def check(self, branch: ExclusionBranch) -> None:
        """Multiply out."""
        total: Polynomial = {}
        for equation, factor in self.terms:
            for _, monomial in factor:
                for side, a, b in monomial:
                    branch.existing(("xyxy"[side], a, b))
            total = add(total, multiply(equation.polynomial(branch), polynomial(factor)))
        if total != ONE:
            raise EvidenceError(f"the combination of {len(self.terms)} equations is not 1")

    def sentence(self, names: Names) -> Story:
        """Yield the combination."""
        yield 0, "the equations add up to 1 = 0, each times the polynomial in front of it:"
        for equation, factor in self.terms:
            yield 1, f"({polynomial_words(factor, names)}) ({equation.sentence(names)})"
