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
- ``["minor", rows, columns]``: the s x s minor of A is not zero, but fewer than s terms are live
  anywhere in it (so the block of X Y has rank below s).
- ``["free_minor", rows, columns, terms]``: put an unknown at the cells that are not observed or
  where another term than `terms` is live; the determinant is a constant other than zero, so the
  sum of the blocks of `terms`, whose entries at the other cells are those of A, has rank s
  whatever stands there; but there are fewer than s terms.
- ``["span", rows, j, {k: column}]``: on these rows each term k live in column j is the only live
  one in its listed column, where A is not zero, so x_k is a multiple of that column of A there;
  but column j of A is not in the span of these columns.
- ``["span_t", columns, i, {k: row}]``: the same for the transposed matrices.
- ``["scale", variable, rest]``: the variable is known not to be zero, and its term was not scaled
  before on this branch: multiplying x_k and dividing y_k by a number makes it 1.
- ``["line", j, rows, rest]``: on these rows the x of every term live in column j have known values;
  the linear equations for the y of column j (known y put in) have no solution, or force a y to be
  zero that is known not to be, and nothing is left to prove; or they fix the values of some y,
  with which the rest goes on.
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

from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np

from sparseopt.closedness.polynomials import ONE, Polynomial, Variable, add, multiply, read

Matrix = list[list[Fraction]]


class ExclusionError(Exception):
    """A node of the tree does not hold; the message says which."""


def rank(matrix: Matrix) -> int:
    """Return the rank of a rational matrix by exact elimination."""
    rows = [list(row) for row in matrix]
    found = 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for i in range(found + 1, len(rows)):
            factor = rows[i][column] / rows[found][column]
            if factor:
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[found], strict=True)]
        found += 1
    return found


def solve_line(system: Matrix, unknowns: list[Any]) -> dict[Any, Fraction] | None:
    """Return the unknowns that linear equations fix, or None if they have no solution.

    Each row of `system` holds the coefficients of one equation and then its right-hand side.
    """
    rows = [list(row) for row in system]
    pivots: list[int] = []
    for column in range(len(unknowns)):
        found = len(pivots)
        pivot = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        head = rows[found][column]
        rows[found] = [value / head for value in rows[found]]
        for i in range(len(rows)):
            factor = rows[i][column]
            if i != found and factor:
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[found], strict=True)]
        pivots.append(column)
    if any(row[-1] for row in rows[len(pivots) :]):
        return None
    alone = [i for i in range(len(pivots)) if sum(1 for v in rows[i][:-1] if v) == 1]
    return {unknowns[pivots[i]]: rows[i][-1] for i in alone}


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
    """Checks one tree against the supports (bool arrays) and the matrix A (rationals)."""

    def __init__(
        self,
        left: np.ndarray,
        right: np.ndarray,
        matrix: Matrix,
        observed: np.ndarray | None = None,
    ) -> None:
        self.left, self.right, self.matrix, self.observed = left, right, matrix, observed
        self.zero: set[tuple[Any, ...]] = set()
        self.nonzero: set[tuple[Any, ...]] = set()
        self.values: dict[tuple[Any, ...], Fraction] = {}
        self.scaled: set[int] = set()
        self.nodes = 0

    def check(self, tree: Any) -> None:
        """Raise `ExclusionError` unless the tree proves that A is no product."""
        self.nodes += 1
        if not isinstance(tree, list | tuple) or not tree:
            raise ExclusionError(f"a node must be a list, found {tree!r}")
        rule = getattr(self, f"_{tree[0]}", None) if isinstance(tree[0], str) else None
        if rule is None or tree[0] not in RULES:
            raise ExclusionError(f"unknown rule {tree[0]!r}")
        rule(*tree[1:])

    def _value(self, i: int, j: int) -> Fraction:
        if not self._seen(i, j):
            raise ExclusionError(f"cell ({i}, {j}) is not observed")
        return self.matrix[i][j]

    def _seen(self, i: int, j: int) -> bool:
        """Return whether a cell is observed; `i` and `j` may come from anywhere."""
        if type(i) is not int or type(j) is not int or min(i, j) < 0:
            raise ExclusionError(f"cell ({i!r}, {j!r}) does not exist")
        return self.observed is None or bool(self.observed[i, j])

    def _live(self, i: int, j: int) -> list[int]:
        terms = np.flatnonzero(self.left[i] & self.right[:, j]).tolist()
        return [k for k in terms if ("x", i, k) not in self.zero and ("y", k, j) not in self.zero]

    def _assume(self, known: set[tuple[Any, ...]], variable: tuple[Any, ...], tree: Any) -> None:
        added = variable not in known
        known.add(variable)
        try:
            self.check(tree)
        finally:
            if added:
                known.discard(variable)

    def _split(self, variable: Any, if_zero: Any, if_nonzero: Any) -> None:
        name = tuple(variable)
        self._assume(self.zero, name, if_zero)
        self._assume(self.nonzero, name, if_nonzero)

    def _product(self, i: int, j: int, if_x_zero: Any, if_y_zero: Any) -> None:
        live = self._live(i, j)
        if self._value(i, j) != 0 or len(live) != 1:
            raise ExclusionError(f"cell ({i}, {j}) must be 0 with one live term, has {live}")
        self._assume(self.zero, ("x", i, live[0]), if_x_zero)
        self._assume(self.zero, ("y", live[0], j), if_y_zero)

    def _cell(self, i: int, j: int) -> None:
        live = self._live(i, j)
        value = self._value(i, j)
        if not live and value != 0:
            return
        if len(live) == 1 and value == 0:
            k = live[0]
            if ("x", i, k) in self.nonzero and ("y", k, j) in self.nonzero:
                return
        raise ExclusionError(f"cell ({i}, {j}) holds {value} with live terms {live}: no conflict")

    def _minor(self, rows: list[int], columns: list[int]) -> None:
        if len(rows) != len(columns) or len(set(rows)) != len(rows):
            raise ExclusionError("a minor needs as many different rows as columns")
        live = {k for i in rows for j in columns for k in self._live(i, j)}
        block = [[self._value(i, j) for j in columns] for i in rows]
        if rank(block) != len(rows) or len(live) >= len(rows):
            raise ExclusionError(f"the minor {rows} x {columns} is no conflict with {sorted(live)}")

    def _scale(self, variable: Any, rest: Any) -> None:
        name = tuple(variable)
        term = name[2] if name[0] == "x" else name[1]
        # Entries of a term get values only from other entries of it, so the first is this one.
        if name not in self.nonzero or term in self.scaled or name in self.values:
            raise ExclusionError(f"{name} cannot be scaled to 1 here")
        self.scaled.add(term)
        self.values[name] = Fraction(1)
        try:
            self.check(rest)
        finally:
            self.scaled.discard(term)
            del self.values[name]

    def _line(self, j: int, rows: list[int], rest: Any) -> None:
        self._solve_line(j, rows, rest, turned=False)

    def _line_t(self, i: int, columns: list[int], rest: Any) -> None:
        self._solve_line(i, columns, rest, turned=True)

    def _solve_line(self, line: int, places: list[int], rest: Any, turned: bool) -> None:
        found = self.line_values(line, places, turned)
        if found is None or any(v == 0 and name in self.nonzero for name, v in found.items()):
            return
        fresh_zero = {name for name, v in found.items() if v == 0} - self.zero
        fresh_nonzero = {name for name, v in found.items() if v != 0} - self.nonzero
        self.values.update(found)
        self.zero |= fresh_zero
        self.nonzero |= fresh_nonzero
        try:
            self.check(rest)
        finally:
            self.zero -= fresh_zero
            self.nonzero -= fresh_nonzero
            for name in found:
                del self.values[name]

    def line_values(
        self, line: int, places: list[int], turned: bool
    ) -> dict[tuple[Any, ...], Fraction] | None:
        """Return the values that a column (a row if `turned`) newly fixes, None for a conflict."""
        unknowns: list[tuple[Any, ...]] = []
        equations = []
        for place in places:
            i, j = (line, place) if turned else (place, line)
            total, row = self._value(i, j), {}
            for k in self._live(i, j):
                x, y = ("x", i, k), ("y", k, j)
                given, asked = (y, x) if turned else (x, y)
                if given not in self.values:
                    raise ExclusionError(f"{given} has no known value")
                if asked in self.values:
                    total -= self.values[given] * self.values[asked]
                else:
                    row[asked] = self.values[given]
                    if asked not in unknowns:
                        unknowns.append(asked)
            equations.append((row, total))
        system = [[row.get(u, Fraction(0)) for u in unknowns] + [t] for row, t in equations]
        return solve_line(system, unknowns)

    def _identity(self, terms: Any) -> None:
        total: Polynomial = {}
        for equation, factor in terms:
            total = add(total, multiply(self.equation(equation), read(factor)))
        if total != ONE:
            raise ExclusionError(f"the combination of {len(terms)} equations is not 1")

    def equation(self, name: Any) -> Polynomial:
        """Return a polynomial that is 0 at every solution of this branch."""
        kind, place = name[0], name[1:]
        if kind == "cell":
            i, j = place
            products: Polynomial = {((0, i, k), (1, k, j)): 1 for k in self._live(i, j)}
            return add(products, ONE, -self._value(i, j))
        variable = tuple(place[0])
        side = ("x", "y").index(variable[0])
        own: Variable = (side, *variable[1:])
        if kind == "value" and variable in self.values:
            return add({(own,): 1}, ONE, -self.values[variable])
        if kind == "inverse" and variable in self.nonzero:
            return {(own, (side + 2, *variable[1:])): 1, (): -1}
        raise ExclusionError(f"there is no equation {name!r} on this branch")

    def _free_minor(self, rows: list[int], columns: list[int], terms: list[int]) -> None:
        if len(rows) != len(columns) or len(rows) > 6 or len(set(terms)) >= len(rows):
            raise ExclusionError("a minor needs as many rows as columns, and fewer terms")
        block = [[self.known_entry(i, j, terms) for j in columns] for i in rows]
        if not has_constant_determinant(block):
            raise ExclusionError(f"the minor {rows} x {columns} can vanish for {terms}")

    def known_entry(self, i: int, j: int, terms: list[int]) -> Fraction | None:
        """Return the entry of the sum of the blocks of `terms`, None if it is not known."""
        if not self._seen(i, j):
            return None
        return self._value(i, j) if set(self._live(i, j)) <= set(terms) else None

    def _span(self, rows: list[int], j: int, columns: Any) -> None:
        listed = {int(k): int(c) for k, c in dict(columns).items()}
        live = {k for i in rows for k in self._live(i, j)}
        for k in live:
            c = listed.get(k)
            if c is None:
                raise ExclusionError(f"term {k} is live in column {j} and has no listed column")
            alone = all(set(self._live(i, c)) <= {k} for i in rows)
            # Rows where term k has no row support have x_ik = 0 and must have A_ic = 0: they do,
            # because X Y = A there; a mismatch would itself be a contradiction.
            if not alone or not any(self._value(i, c) for i in rows):
                raise ExclusionError(f"column {c} does not determine term {k} on rows {rows}")
        known = [[self._value(i, listed[k]) for i in rows] for k in sorted(live)]
        target = [self._value(i, j) for i in rows]
        if rank([*known, target]) != (rank(known) if known else 0) + 1:
            raise ExclusionError(f"column {j} lies in the span of the listed columns")

    def _span_t(self, columns: list[int], i: int, rows: Any) -> None:
        turned = Exclusion(
            self.right.T,
            self.left.T,
            [list(column) for column in zip(*self.matrix, strict=True)],
            None if self.observed is None else self.observed.T,
        )
        swap = {"x": "y", "y": "x"}
        turned.zero = {(swap[v], b, a) for v, a, b in self.zero}
        turned._span(columns, i, rows)


RULES = (
    "split",
    "product",
    "cell",
    "minor",
    "free_minor",
    "span",
    "span_t",
    "scale",
    "line",
    "line_t",
    "identity",
)
