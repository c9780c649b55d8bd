"""Proofs that a matrix is no product with given supports: branching trees, checked exactly.

The statement: there are no X, Y with supp X in I, supp Y in J and ``X Y = A`` on the observed
cells (all of them unless a mask is given). Rules speak of observed cells only. A proof splits on
"is this variable zero?" until every branch meets a contradiction. Variables are ``("x", i, k)``
and ``("y", k, j)``. A term k is live at cell (i, j) if it covers the cell and neither x_ik nor
y_kj is known to be zero on this branch. Nodes, written as lists so that they are plain JSON:

- ``["split", variable, if_zero, if_nonzero]``.
- ``["product", i, j, if_x_zero, if_y_zero]``: A_ij = 0 and exactly one term is live, so one of its
  two variables is zero.
- ``["cell", i, j]``: no term is live, but A_ij is not zero; or exactly one is live, A_ij = 0, and
  both of its variables are known not to be zero.
- ``["minor", rows, columns]``: fewer terms are live anywhere on these rows and columns than the
  rank of A is there (and X Y has no higher rank there than terms).
- ``["free_minor", rows, columns, terms]``: put an unknown at the cells that are not observed or
  where another term than `terms` is live; the determinant is a constant other than zero, so the
  sum of the blocks of `terms`, whose entries at the other cells are those of A, has rank s
  whatever stands there; but there are fewer than s terms.
- ``["span", rows, j, {k: column}]``: the terms k listed are those live in column j on these rows;
  on these rows each is the only live one in its listed column, where A is not zero, so x_k is a
  multiple of that column of A there; but column j of A is not in the span of these columns.
- ``["span_t", columns, i, {k: row}]``: the same for the transposed matrices.
- ``["scale", variable, rest]``: the variable is known not to be zero, and its term was not scaled
  before on this branch: multiplying x_k and dividing y_k by a number makes it 1.
- ``["line", j, rows, rest]``: on these rows the x of every term live in column j have known values;
  the linear equations for the y of column j (known y put in) have no solution, or force a y to be
  zero that is known not to be, and the rest is None; or they fix the values of some y, with which
  the rest goes on.
- ``["line_t", i, columns, rest]``: the same for the transposed matrices.
- ``["identity", [[equation, factor], ...]]``: the equations times the factors, polynomials with
  rational coefficients, add up to 1 (Nullstellensatz); at a solution all equations would be 0.
  An equation is ``["cell", i, j]``: sum of x_ik y_kj over the live terms k, minus A_ij;
  ``["value", variable]``: the variable minus its known value; or ``["inverse", variable]``: the
  variable, known not to be zero, times its inverse, minus 1. A factor lists [coefficient,
  monomial], a monomial lists its variables, as often as the power says: ``[0, i, k]`` for x_ik,
  ``[1, k, j]`` for y_kj, ``[2, i, k]`` and ``[3, k, j]`` for their inverses.

Every rule holds over any field that contains the rationals. Values are rational: they follow from
A by linear equations with rational coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np

from sparseopt.closedness.names import Names
from sparseopt.closedness.proofs.polynomials import ONE, Polynomial, add, multiply, polynomial
from sparseopt.judging.evidence import (
    INDEX,
    INDICES,
    EvidenceError,
    Integer,
    List,
    Map,
    Node,
    Optional,
    Rational,
    Record,
    Word,
    brief,
)
from sparseopt.judging.exact import fixed_unknowns, rank

Matrix = list[list[Fraction]]
Named = tuple[Any, ...]
"""A variable: ("x", i, k) or ("y", k, j)."""

VARIABLE = Record((Word(("x", "y")), INDEX, INDEX))
EQUATION = Node(
    "equation of an exclusion",
    {"cell": (INDEX, INDEX), "value": (VARIABLE,), "inverse": (VARIABLE,)},
)
FACTOR = List(Record((Rational(), List(Record((Integer(0, 3), INDEX, INDEX))))))
TREE = Node("rule of an exclusion", {})
TREE.rules.update(
    {
        "split": (VARIABLE, TREE, TREE),
        "product": (INDEX, INDEX, TREE, TREE),
        "cell": (INDEX, INDEX),
        "minor": (INDICES, INDICES),
        "free_minor": (INDICES, INDICES, INDICES),
        "span": (INDICES, INDEX, Map(INDEX, INDEX)),
        "span_t": (INDICES, INDEX, Map(INDEX, INDEX)),
        "scale": (VARIABLE, TREE),
        "line": (INDEX, INDICES, Optional(TREE)),
        "line_t": (INDEX, INDICES, Optional(TREE)),
        "identity": (List(Record((EQUATION, FACTOR))),),
    }
)
RULES = tuple(TREE.rules)
ExclusionError = EvidenceError
LARGEST_FREE_MINOR = 6
"""Rows of the largest minor with unknown entries: its determinant is expanded over s! orders."""


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


class Exclusion:
    """Checks one tree against supports and a matrix A; knows what holds on the current branch.

    Parameters
    ----------
    left, right : bool arrays, shapes (m, r) and (r, n)
    matrix : m lists of n rationals
        What stands at cells that are not observed is not looked at.
    observed : bool array, shape (m, n), or None
        None for all cells.
    names : Names or None
        For messages; None if the window is the whole.

    Attributes
    ----------
    zero, nonzero : set of variables
    values : dict from variable to Fraction
    scaled : set of int
        Terms of which one variable was made 1.
    nodes : int
        Nodes checked so far.
    """

    def __init__(
        self,
        left: np.ndarray,
        right: np.ndarray,
        matrix: Matrix,
        observed: np.ndarray | None = None,
        names: Names | None = None,
    ) -> None:
        self.left, self.right, self.matrix = left, right, matrix
        self.shape = (left.shape[0], right.shape[1])
        self.observed = np.ones(self.shape, dtype=bool) if observed is None else observed
        self.names = names or Names(*map(range, (*self.shape, left.shape[1])))
        self.zero: set[Named] = set()
        self.nonzero: set[Named] = set()
        self.values: dict[Named, Fraction] = {}
        self.scaled: set[int] = set()
        self.nodes = 0

    def check(self, tree: Any) -> None:
        """Read a tree and follow it.

        Raises
        ------
        EvidenceError
            Unless the tree proves that A is no product.
        """
        self.follow(TREE.read(tree, ("exclusion",)))

    def follow(self, tree: Any, *assumed: tuple[set[Any], Any]) -> None:
        """Check a tree that was read; what is assumed or found holds for this call only."""
        undo: list[Callable[[], object]] = []
        for known, fact in assumed:
            self._learn(undo, known, [fact])
        try:
            while tree is not None:
                self.nodes += 1
                tree = _RULES[tree[0]](self, undo, *tree[1:])
        finally:
            for forget in undo:
                forget()

    @staticmethod
    def _learn(undo: list[Callable[[], object]], known: set[Any], facts: Iterable[Any]) -> None:
        fresh = set(facts) - known
        known |= fresh
        undo.append(lambda: known.difference_update(fresh))

    def _value(self, i: int, j: int) -> Fraction:
        if not self._seen(i, j):
            raise EvidenceError(f"cell {self.names.cell(i, j)} is not observed")
        return self.matrix[i][j]

    def _seen(self, i: int, j: int) -> bool:
        if i >= self.shape[0] or j >= self.shape[1]:
            raise EvidenceError(f"the window of shape {self.shape} has no cell number ({i}, {j})")
        return bool(self.observed[i, j])

    def _existing(self, variable: Named) -> Named:
        """Return a variable, if it lies in the supports."""
        kind, a, b = variable
        support = self.left if kind == "x" else self.right
        if a >= support.shape[0] or b >= support.shape[1]:
            raise EvidenceError(f"the window has no entry number ({a}, {b}) of {kind}")
        if not support[a, b]:
            raise EvidenceError(f"{self.names.entry(*variable)} lies outside the support")
        return variable

    def _live(self, i: int, j: int) -> list[int]:
        terms = np.flatnonzero(self.left[i] & self.right[:, j]).tolist()
        return [k for k in terms if ("x", i, k) not in self.zero and ("y", k, j) not in self.zero]

    # Rules: each returns the tree that is left to follow, or None at a conflict -----------------

    def _split(self, undo: list[Any], variable: Named, if_zero: Any, if_nonzero: Any) -> Any:
        name = self._existing(variable)
        self.follow(if_zero, (self.zero, name))
        self._learn(undo, self.nonzero, [name])
        return if_nonzero

    def _product(self, undo: list[Any], i: int, j: int, if_x_zero: Any, if_y_zero: Any) -> Any:
        value, live = self._value(i, j), self._live(i, j)
        if value != 0 or len(live) != 1:
            raise EvidenceError(
                f"cell {self.names.cell(i, j)} must be 0 with one live term, it is {brief(value)} "
                f"with terms {self.names.terms_of(live)}"
            )
        self.follow(if_x_zero, (self.zero, ("x", i, live[0])))
        self._learn(undo, self.zero, [("y", live[0], j)])
        return if_y_zero

    def _cell(self, undo: list[Any], i: int, j: int) -> None:
        value, live = self._value(i, j), self._live(i, j)
        if not live and value != 0:
            return
        if len(live) == 1 and value == 0:
            k = live[0]
            if ("x", i, k) in self.nonzero and ("y", k, j) in self.nonzero:
                return
        raise EvidenceError(
            f"cell {self.names.cell(i, j)} holds {brief(value)} with live terms "
            f"{self.names.terms_of(live)}: no conflict"
        )

    def _minor(self, undo: list[Any], rows: tuple[int, ...], columns: tuple[int, ...]) -> None:
        block = [[self._value(i, j) for j in columns] for i in rows]
        live = {k for i in rows for j in columns for k in self._live(i, j)}
        if rank(block) <= len(live):
            raise EvidenceError(
                f"{self._window(rows, columns)} have no higher rank than {len(live)}, the number "
                f"of blocks of the terms {self.names.terms_of(live)}"
            )

    def _window(self, rows: Iterable[int], columns: Iterable[int]) -> str:
        return f"rows {self.names.rows_of(rows)} and columns {self.names.columns_of(columns)}"

    def _free_minor(
        self,
        undo: list[Any],
        rows: tuple[int, ...],
        columns: tuple[int, ...],
        terms: tuple[int, ...],
    ) -> None:
        size = len(rows)
        if len(columns) != size or size > LARGEST_FREE_MINOR or len(terms) >= size:
            raise EvidenceError(
                f"a minor with unknown entries needs as many rows as columns, at most "
                f"{LARGEST_FREE_MINOR}, and fewer terms"
            )
        if any(k >= len(self.right) for k in terms):
            raise EvidenceError(f"there are {len(self.right)} blocks, not all of {list(terms)}")
        block = [[self._known_entry(i, j, terms) for j in columns] for i in rows]
        if not has_constant_determinant(block):
            raise EvidenceError(
                f"the minor of {self._window(rows, columns)} can vanish for terms "
                f"{self.names.terms_of(terms)}"
            )

    def _known_entry(self, i: int, j: int, terms: tuple[int, ...]) -> Fraction | None:
        """Return the entry of the sum of the blocks of `terms`, None if it is not known."""
        if not self._seen(i, j) or not set(self._live(i, j)) <= set(terms):
            return None
        return self.matrix[i][j]

    def _span(self, undo: list[Any], rows: tuple[int, ...], j: int, columns: Any) -> None:
        self._outside_span(rows, j, columns, turned=False)

    def _span_t(self, undo: list[Any], columns: tuple[int, ...], i: int, rows: Any) -> None:
        self._outside_span(columns, i, rows, turned=True)

    def _outside_span(self, rows: tuple[int, ...], j: int, columns: Any, turned: bool) -> None:
        """Check that no multiples of known columns add up to column j on some rows."""

        def at(i: int, c: int) -> tuple[int, int]:
            return (c, i) if turned else (i, c)

        target = [self._value(*at(i, j)) for i in rows]
        live = {k for i in rows for k in self._live(*at(i, j))}
        line = "row" if turned else "column"
        if set(columns) != live:
            raise EvidenceError(
                f"{line} {self.names.columns_of([j], turned)[0]} has live terms "
                f"{self.names.terms_of(live)}; a {line} must be listed for each of these blocks, "
                "and for no other"
            )
        known = []
        for k, c in columns.items():
            # Where block k has no row x_ik = 0, so A_ic = 0 as well: else X Y is not A there.
            known.append([self._value(*at(i, c)) for i in rows])
            alone = all(set(self._live(*at(i, c))) <= {k} for i in rows)
            if not alone or not any(known[-1]):
                raise EvidenceError(
                    f"{line} {self.names.columns_of([c], turned)[0]} does not determine term "
                    f"{self.names.terms[k]} there"
                )
        if rank([*known, target]) == rank(known):
            raise EvidenceError(
                f"{line} {self.names.columns_of([j], turned)[0]} lies in the span of the listed"
            )

    def _scale(self, undo: list[Any], variable: Named, rest: Any) -> Any:
        kind, a, b = self._existing(variable)
        term = b if kind == "x" else a
        # A variable gets a value only if another of its term has one, and the first from here: so
        # nothing of a term that was not scaled has a value that scaling would change.
        if variable not in self.nonzero or term in self.scaled:
            raise EvidenceError(f"{self.names.entry(*variable)} cannot be scaled to 1 here")
        self._learn(undo, self.scaled, [term])
        self._fix(undo, {variable: Fraction(1)})
        return rest

    def _fix(self, undo: list[Any], found: dict[Named, Fraction]) -> None:
        self.values.update(found)
        undo.append(lambda: [self.values.pop(name) for name in found])

    def _line(self, undo: list[Any], j: int, rows: tuple[int, ...], rest: Any) -> Any:
        return self._solve(undo, j, rows, rest, turned=False)

    def _line_t(self, undo: list[Any], i: int, columns: tuple[int, ...], rest: Any) -> Any:
        return self._solve(undo, i, columns, rest, turned=True)

    def _solve(
        self, undo: list[Any], line: int, places: tuple[int, ...], rest: Any, turned: bool
    ) -> Any:
        if line >= self.shape[0 if turned else 1]:
            raise EvidenceError(f"the window of shape {self.shape} has no line number {line}")
        found = self.line_values(line, places, turned)
        conflict = found is None or any(not v and name in self.nonzero for name, v in found.items())
        if conflict != (rest is None):
            what = "nothing is left to prove" if conflict else "a proof must follow"
            raise EvidenceError(f"after the equations of a line {what}")
        if found is not None:
            self._fix(undo, found)
            self._learn(undo, self.zero, [name for name, value in found.items() if not value])
            self._learn(undo, self.nonzero, [name for name, value in found.items() if value])
        return rest

    def line_values(
        self, line: int, places: Iterable[int], turned: bool
    ) -> dict[Named, Fraction] | None:
        """Return the values that a column (a row if `turned`) newly fixes, None for a conflict."""
        unknowns: list[Named] = []
        equations = []
        for place in places:
            i, j = (line, place) if turned else (place, line)
            total, row = self._value(i, j), {}
            for k in self._live(i, j):
                x, y = ("x", i, k), ("y", k, j)
                given, asked = (y, x) if turned else (x, y)
                if given not in self.values:
                    raise EvidenceError(f"{self.names.entry(*given)} has no known value")
                if asked in self.values:
                    total -= self.values[given] * self.values[asked]
                else:
                    row[asked] = self.values[given]
                    if asked not in unknowns:
                        unknowns.append(asked)
            equations.append((row, total))
        system = [[row.get(u, Fraction(0)) for u in unknowns] + [t] for row, t in equations]
        return fixed_unknowns(system, unknowns)

    def _identity(self, undo: list[Any], terms: Any) -> None:
        total: Polynomial = {}
        for equation, factor in terms:
            for _, monomial in factor:
                for side, a, b in monomial:
                    self._existing(("xyxy"[side], a, b))
            total = add(total, multiply(self._equation(*equation), polynomial(factor)))
        if total != ONE:
            raise EvidenceError(f"the combination of {len(terms)} equations is not 1")

    def equation(self, name: Any) -> Polynomial:
        """Return a polynomial that is 0 at every solution of this branch.

        Parameters
        ----------
        name : list
            ``["cell", i, j]``, ``["value", variable]`` or ``["inverse", variable]``.
        """
        return self._equation(*EQUATION.read(name, ("equation",)))

    def _equation(self, kind: str, *place: Any) -> Polynomial:
        if kind == "cell":
            i, j = place
            value = self._value(i, j)
            products: Polynomial = {((0, i, k), (1, k, j)): 1 for k in self._live(i, j)}
            return add(products, ONE, -value)
        variable = self._existing(*place)
        side = "xy".index(variable[0])
        own = (side, *variable[1:])
        if kind == "value" and variable in self.values:
            return add({(own,): 1}, ONE, -self.values[variable])
        if kind == "inverse" and variable in self.nonzero:
            return {(own, (side + 2, *variable[1:])): 1, (): -1}
        raise EvidenceError(f"there is no equation of the {kind} of {self.names.entry(*variable)}")


_RULES: dict[str, Callable[..., Any]] = {
    "split": Exclusion._split,
    "product": Exclusion._product,
    "cell": Exclusion._cell,
    "minor": Exclusion._minor,
    "free_minor": Exclusion._free_minor,
    "span": Exclusion._span,
    "span_t": Exclusion._span_t,
    "scale": Exclusion._scale,
    "line": Exclusion._line,
    "line_t": Exclusion._line_t,
    "identity": Exclusion._identity,
}
