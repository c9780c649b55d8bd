"""The rule of exclusions that combines the equations to 1, and what equations there are.

See `sparseopt.closedness.proofs.exclusion`.

A factor of an equation is a list of [coefficient, monomial]; a monomial lists its variables, each
as often as its power says: ``[0, i, k]`` for x_ik, ``[1, k, j]`` for y_kj, ``[2, i, k]`` and
``[3, k, j]`` for their inverses.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction

from sparseopt.closedness.names import Names, Story
from sparseopt.closedness.proofs.exclusion_branch import (
    TREE,
    VARIABLE,
    ExclusionBranch,
    ExclusionRule,
    Named,
)
from sparseopt.closedness.proofs.polynomials import (
    ONE,
    Polynomial,
    Variable,
    add,
    multiply,
    polynomial,
)
from sparseopt.judging.evidence import (
    INDEX,
    EvidenceError,
    Integer,
    List,
    Node,
    Rational,
    Record,
    Rule,
)

Factor = tuple[tuple[Fraction, tuple[Variable, ...]], ...]

EQUATION = Node("equation of an exclusion")
FACTOR = List(Record((Rational(), List(Record((Integer(0, 3), INDEX, INDEX))))))


class Equation(Rule):
    """A polynomial that is 0 at every solution of a branch."""

    @abstractmethod
    def polynomial(self, branch: ExclusionBranch) -> Polynomial:
        """Return it; refuse, by an EvidenceError, what does not hold on the branch."""

    @abstractmethod
    def sentence(self, names: Names) -> str:
        """Return it in words."""


@EQUATION.rule("cell", INDEX, INDEX)
@dataclass(frozen=True)
class CellEquation(Equation):
    """``["cell", i, j]``: the sum of x_ik y_kj over the terms k live at a cell, minus A_ij."""

    i: int
    j: int

    def polynomial(self, branch: ExclusionBranch) -> Polynomial:
        """Return the sum minus the entry."""
        value = branch.value(self.i, self.j)
        live = branch.live(self.i, self.j)
        return add({((0, self.i, k), (1, k, self.j)): 1 for k in live}, ONE, -value)

    def sentence(self, names: Names) -> str:
        """Return the cell in words."""
        return f"the equation of cell {names.cell(self.i, self.j)}"


class VariableEquation(Equation):
    """An equation of one variable of which something is known."""

    variable: Named

    def polynomial(self, branch: ExclusionBranch) -> Polynomial:
        """Return what is known, if it is."""
        kind, a, b = branch.existing(self.variable)
        found = self._known(branch, ("xy".index(kind), a, b))
        if found is None:
            name = branch.names.entry(*self.variable)
            raise EvidenceError(f"there is no equation of the {self.rule} of {name}")
        return found

    @abstractmethod
    def _known(self, branch: ExclusionBranch, own: Variable) -> Polynomial | None: ...


@EQUATION.rule("value", VARIABLE)
@dataclass(frozen=True)
class ValueEquation(VariableEquation):
    """``["value", variable]``: the variable minus its known value."""

    variable: Named

    def _known(self, branch: ExclusionBranch, own: Variable) -> Polynomial | None:
        if self.variable not in branch.values:
            return None
        return add({(own,): 1}, ONE, -branch.values[self.variable])

    def sentence(self, names: Names) -> str:
        """Return the difference in words."""
        return f"{names.entry(*self.variable)} - its value"


@EQUATION.rule("inverse", VARIABLE)
@dataclass(frozen=True)
class InverseEquation(VariableEquation):
    """``["inverse", variable]``: a variable known not to be zero times its inverse, minus 1."""

    variable: Named

    def _known(self, branch: ExclusionBranch, own: Variable) -> Polynomial | None:
        if self.variable not in branch.nonzero:
            return None
        side, a, b = own
        return {(own, (side + 2, a, b)): 1, (): -1}

    def sentence(self, names: Names) -> str:
        """Return the difference in words."""
        return f"{names.entry(*self.variable)} / itself - 1"


def polynomial_words(factor: Factor, names: Names) -> str:
    """Return a factor as a person writes it."""
    words = []
    for value, monomial in factor:
        entries = [
            ("" if kind < 2 else "1/") + names.entry("xyxy"[kind], a, b) for kind, a, b in monomial
        ]
        words.append(" ".join([str(value), *entries]))
    return " + ".join(words)


@TREE.rule("identity", List(Record((EQUATION, FACTOR))))
@dataclass(frozen=True)
class Identity(ExclusionRule):
    """``["identity", [[equation, factor], ...]]``: the equations have no solution.

    The equations times the factors, polynomials with rational coefficients, add up to 1
    (Nullstellensatz); at a solution all equations would be 0.
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
