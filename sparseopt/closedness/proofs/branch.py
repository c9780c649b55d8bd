"""What is known of a target in one branch of a tree of cases, and factors that use it.

See `sparseopt.closedness.proofs.case_tree`. Nothing is changed in place: what is learned makes
a new branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from sparseopt.closedness.proofs.polynomials import (
    ONE,
    POLYNOMIAL,
    Polynomial,
    Variable,
    coefficients,
    degree,
    determinant,
    is_product,
    multiply,
    polynomial,
    power,
    put,
    variable,
    variables,
)
from sparseopt.judging.evidence import INDEX, EvidenceError, List, Record

Factor = dict[tuple[int, int], Polynomial]
"""The entries of a factor that are not zero."""
Terms = tuple[tuple[Fraction, tuple[Variable, ...]], ...]
Entries = tuple[tuple[int, int, Terms], ...]
"""A polynomial, and the entries [i, k, polynomial] of a factor, as they are read."""

FACTOR = List(Record((INDEX, INDEX, POLYNOMIAL)))


class Branch:
    """What is known of the target in one branch; changed only by making a new one.

    Attributes
    ----------
    entries : dict from variable (i, j) to pair of polynomials
        Every observed entry as numerator and denominator.
    nonzero : tuple of Polynomial
    """

    def __init__(
        self,
        entries: dict[Variable, tuple[Polynomial, Polynomial]],
        nonzero: tuple[Polynomial, ...] = (),
    ) -> None:
        self.entries, self.nonzero = entries, nonzero

    @classmethod
    def root(cls, observed: np.ndarray) -> Branch:
        """Return the branch that knows nothing of a target on the observed cells."""
        cells = [(int(i), int(j)) for i, j in np.argwhere(observed)]
        return cls({cell: (variable(cell), ONE) for cell in cells})

    @property
    def free(self) -> set[Variable]:
        """The entries that are not expressed by others.

        The numerator alone shows it: an entry whose numerator is its own variable is as it was at
        the root, over `ONE`. For once it is expressed by others or emptied, its variable occurs in
        no entry any more, nor can it come back: what is learned later uses free entries only.
        """
        return {v for v, (over, _) in self.entries.items() if over == variable(v)}

    def knowing(self, p: Polynomial) -> Branch:
        """Return the branch on which p is not zero as well."""
        return Branch(self.entries, (*self.nonzero, p))

    def solved(self, p: Polynomial, name: Variable) -> Branch:
        """Return the branch with p = 0 solved for a variable.

        Raises
        ------
        EvidenceError
            If p is not c v + r with c known to be not zero.
        """
        if name not in self.free or degree(p, name) != 1:
            raise EvidenceError(f"the polynomial is not linear in the entry {name}")
        parts = coefficients(p, [name])
        lead, rest = parts[(name,)], parts.get((), {})
        if not is_product(lead, self.nonzero):
            raise EvidenceError(f"the coefficient of the entry {name} can vanish")
        over = {monomial: -value for monomial, value in rest.items()}
        entries = {}
        for cell, (top, bottom) in self.entries.items():
            up, down = degree(top, name), degree(bottom, name)
            entries[cell] = (
                multiply(put(top, name, over, lead), power(lead, down - up)),
                multiply(put(bottom, name, over, lead), power(lead, up - down)),
            )
        known = tuple(put(q, name, over, lead) for q in self.nonzero)
        # The coefficient is known to be not zero: it is a product of polynomials that are.
        return Branch(entries, known)

    def cleared(self, pivot: Variable, emptied: Variable, changed: set[Variable]) -> Branch:
        """Return the branch of the target with a multiple of one line subtracted from another.

        Parameters
        ----------
        pivot, emptied : (i, j)
            The entry that is not zero and the one that becomes zero, in the other line.
        changed : set of (i, j)
            The entries of the other line that change.

        Raises
        ------
        EvidenceError
            If the pivot can vanish or an entry that changes is expressed or used to express others.
        """
        if emptied not in changed or not changed <= self.free:
            raise EvidenceError("an entry that changes is not observed, or expressed by others")
        if not is_product(self.entries[pivot][0], self.nonzero):
            raise EvidenceError(f"the entry {pivot} can vanish")
        for cell, (over, under) in self.entries.items():
            if cell not in changed and (variables(over) | variables(under)) & changed:
                raise EvidenceError(f"an entry that changes is used to express {cell}")
        known = tuple(q for q in self.nonzero if not variables(q) & changed)
        return Branch({**self.entries, emptied: ({}, ONE)}, known)

    def mixed(self, lines: Sequence[Sequence[Variable]], place: int) -> Branch:
        """Return the branch of the target with lines mixed so that one entry of a place is left.

        Parameters
        ----------
        lines : sequence of lists of (i, j)
            The observed entries of each line, in the same order of places.
        place : int
            Where the entry of the first line is not zero, and those of the others become zero.

        Raises
        ------
        EvidenceError
            If entries of a place differ in kind, are expressed or used to express others.
        """
        changed: set[Variable] = set()
        for entries in zip(*lines, strict=True):
            if any(self.entries[entry][0] for entry in entries):
                changed.update(entries)
        if not changed <= self.free:
            raise EvidenceError("lines are mixed, but their entries are not all free or all zero")
        for cell, (over, under) in self.entries.items():
            if cell not in changed and (variables(over) | variables(under)) & changed:
                raise EvidenceError(f"an entry that changes is used to express {cell}")
        known = [q for q in self.nonzero if not variables(q) & changed]
        emptied: dict[Variable, tuple[Polynomial, Polynomial]] = {
            entries[place]: ({}, ONE) for entries in lines[1:]
        }
        first = variable(lines[0][place])
        return Branch({**self.entries, **emptied}, (*known, first))

    def without(self, names: Sequence[Variable]) -> Branch:
        """Return the branch on which some free entries are zero."""
        branch = self
        for name in names:
            branch = branch.solved(variable(name), name)
        return branch

    def minor(self, rows: Sequence[int], columns: Sequence[int]) -> Polynomial:
        """Return a polynomial that vanishes if and only if the minor of the target does."""
        block = []
        for i in rows:
            bottoms = [self.entries[i, j][1] for j in columns]
            row = []
            for place, j in enumerate(columns):
                value = self.entries[i, j][0]
                for other, bottom in enumerate(bottoms):
                    if other != place:
                        value = multiply(value, bottom)
                row.append(value)
            block.append(row)
        return determinant(block)


def read_factor(entries: Entries, support: np.ndarray, branch: Branch) -> Factor:
    """Return the entries [i, k, p] of a factor, polynomials in free entries and parameters.

    Raises
    ------
    EvidenceError
        If an entry lies outside the support, is given twice, or uses what is not free.
    """
    factor: Factor = {}
    for i, k, terms in entries:
        inside = i < support.shape[0] and k < support.shape[1] and bool(support[i, k])
        if not inside or (i, k) in factor:
            raise EvidenceError(f"entry ({i}, {k}) lies outside the support or is given twice")
        factor[i, k] = in_free(polynomial(terms), branch)
    return factor


def in_free(p: Polynomial, branch: Branch) -> Polynomial:
    """Return a polynomial in free entries and parameters, refused if it uses anything else."""
    if not all(len(name) == 1 or name in branch.free for name in variables(p)):
        raise EvidenceError("a polynomial uses what is not free on its branch")
    return p


def is_generic(p: Polynomial, nonzero: Sequence[Polynomial]) -> bool:
    """Return whether p, as a polynomial in the parameters, is not zero on the branch."""
    parameters = [name for name in variables(p) if len(name) == 1]
    return any(is_product(part, nonzero) for part in coefficients(p, parameters).values())


def bordered(
    factor: Factor,
    target: dict[int, tuple[Polynomial, Polynomial]],
    rows: Sequence[int],
    terms: Sequence[int],
) -> Polynomial:
    """Return a minor of [X | column of the target] times the denominators of the target."""
    block = []
    for i in rows:
        over, under = target[i]
        block.append([multiply(factor.get((i, k), {}), under) for k in terms] + [over])
    return determinant(block)
