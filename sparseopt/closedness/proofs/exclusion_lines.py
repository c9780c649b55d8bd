"""Rules of exclusions that look at one column or one row, of which much is known.

See `sparseopt.closedness.proofs.exclusion`.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from sparseopt.judging.evidence import INDEX, INDICES, EvidenceError, Map, Optional
from sparseopt.judging.exact import fixed_unknowns, rank


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
            # Where block k has no row x_ik = 0, so A_ic = 0 as well: otherwise X Y is not A there.
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
