"""Certificates of limits: factors whose products tend to a matrix that is not a product."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sparseopt.closedness.certificate import ClosednessCertificate, proving
from sparseopt.closedness.names import Names
from sparseopt.closedness.proofs.laurent import POWERS, Laurent, add_product, laurent, show
from sparseopt.closedness.proofs.observed import ObservedProblem, start
from sparseopt.closedness.proofs.reductions import STEP, Reduction
from sparseopt.interface.certificate import Steps
from sparseopt.judging.evidence import INDEX, INDICES, EvidenceError, List, Rational, Record, brief

Curve = list[list[Any]]
"""Nonzero entries of one factor: [row, column, {exponent: coefficient}], local indices."""
Matrix = list[list[Any]]
"""Lists of integers and Fractions."""

Factor = dict[tuple[int, int], Laurent]
"""The entries of a factor that are given."""

LARGEST_SHOWN = 12
"""Rows and columns up to which a limit is shown as a matrix."""

CURVE = List(Record((INDEX, INDEX, POWERS)))
FORMS = {
    "rows": INDICES,
    "columns": INDICES,
    "left": CURVE,
    "right": CURVE,
    "limit": List(List(Rational())),
    "reductions": List(STEP),
}


class Evidence(NamedTuple):
    """What a certificate of a limit says, read."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    left: tuple[tuple[int, int, Laurent], ...]
    right: tuple[tuple[int, int, Laurent], ...]
    limit: tuple[tuple[Fraction, ...], ...]
    reductions: tuple[Reduction, ...]


class Window(NamedTuple):
    """The part of an observed problem that a limit lives on."""

    left: np.ndarray
    right: np.ndarray
    observed: np.ndarray


@dataclass(frozen=True, eq=False)
class LimitCertificate(ClosednessCertificate):
    """Factors that follow the supports, and the limit of their products.

    Only a sub-support is spoken of, rows P of the first and columns Q of the second factor: if its
    products are not closed, neither are those of the whole. Proof: a limit A' outside the smaller
    set, padded by zeros, is a limit in the larger one; if it were a product there, restricting the
    factors to P and Q would make A' a product. (Terms may not be left out: with one term more the
    set may be all matrices.)

    Subclasses say why the limit is not a product. What is checked, shown and used is `evidence`.

    Attributes
    ----------
    rows, columns : tuple of int
        P and Q, distinct indices into the first and the last dimension of the supports.
    left, right : list of [i, k, {exponent: coefficient}]
        Nonzero entries of X(t), with i counted in P, and of Y(t), [k, j, ...] with j in Q.
    limit : list of list of int or Fraction
        X(t) Y(t) at t = 0, shape (len(rows), len(columns)). At cells that are not observed it is
        0, and not compared.
    reductions : list
        Recorded steps, see `sparseopt.closedness.proofs.reductions`, that lead to an observed
        problem; what is said above is then said of its blocks and observed cells. Without steps
        it is said of the terms of the problem itself. The limit padded by zeros is also a limit
        of the whole problem outside the set: on cells that are not observed the removed families
        reach every value.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    left: Curve
    right: Curve
    limit: Matrix
    reductions: list[Any]

    @abstractmethod
    def exclude(self, window: Window, steps: Steps) -> None:
        """Check why the limit is not a product of factors with these supports on these cells."""

    @abstractmethod
    def explain_exclusion(self) -> list[str]:
        """Return why the limit is not a product, as lines that follow "which is no product"."""

    @property
    def verdict(self) -> str:
        """Not closed."""
        return "not_closed"

    @cached_property
    def evidence(self) -> Evidence:
        """The fields, read once.

        Raises
        ------
        EvidenceError
            If one is malformed.
        """
        read = {name: form.read(getattr(self, name), (name,)) for name, form in FORMS.items()}
        for side in ("left", "right"):
            read[side] = tuple((a, b, laurent(powers)) for a, b, powers in read[side])
        return Evidence(**read)

    @cached_property
    def state(self) -> ObservedProblem:
        """The observed problem that the curve speaks of.

        Raises
        ------
        EvidenceError
            If a recorded step is malformed or does not hold.
        """
        return self._states()[-1]

    def _states(self) -> list[ObservedProblem]:
        """Return the observed problem before every recorded step and after the last."""
        left, right = self.problem.supports
        if not self.evidence.reductions:
            # All cells, without the memory that they would take.
            observed = np.broadcast_to(np.True_, (left.shape[0], right.shape[1]))
            return [ObservedProblem(left, right, observed, tuple(range(left.shape[1])))]
        states = [start(left, right)]
        for step in self.evidence.reductions:
            states.append(step.check(states[-1]))
        return states

    def window(self) -> Window:
        """Return the supports and the observed cells of the rows and columns spoken of.

        Raises
        ------
        EvidenceError
            If the evidence is malformed, or a row or column does not exist.
        """
        return self._window

    @cached_property
    def _window(self) -> Window:
        state = self.state
        rows, columns = list(self.evidence.rows), list(self.evidence.columns)
        for line, chosen, size in zip(
            ("row", "column"), (rows, columns), state.observed.shape, strict=True
        ):
            if max(chosen, default=-1) >= size:
                raise EvidenceError(f"there is no {line} {max(chosen)}, there are {size}")
        observed = state.observed[np.ix_(rows, columns)]
        return Window(state.left[rows], state.right[:, columns], observed)

    @property
    def names(self) -> Names:
        """What rows, columns and blocks of the window are called in the problem."""
        return Names(self.evidence.rows, self.evidence.columns, self.state.origin)

    @property
    def blocks(self) -> set[int]:
        """The numbers of the blocks that the curve uses."""
        return {k for _, k, _ in self.evidence.left} | {k for k, _, _ in self.evidence.right}

    @property
    def terms(self) -> tuple[int, ...]:
        """The inner indices that the curve uses."""
        return tuple(self.state.terms(sorted(self.blocks)))

    @property
    def order(self) -> int:
        """The highest power of t or 1/t in the factors."""
        entries = (*self.evidence.left, *self.evidence.right)
        return max((abs(exponent) for *_, p in entries for exponent in p), default=0)

    def marked_cells(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the cells of the two supports that the curve uses, for figures."""
        rows, columns, left, right, *_ = self.evidence
        origin = self.state.origin
        used = [(rows[i], origin[k]) for i, k, _ in left]
        return used, [(origin[k], columns[j]) for k, j, _ in right]

    def limit_matrix(self) -> Any:
        """Return the limit padded by zeros to the full shape, an object array of Fractions."""
        first, last = self.problem.supports[0], self.problem.supports[-1]
        full = np.full((first.shape[0], last.shape[1]), Fraction(0), dtype=object)
        for i, row in zip(self.evidence.rows, self.evidence.limit, strict=True):
            for j, value in zip(self.evidence.columns, row, strict=True):
                full[i, j] = value
        return full

    def prove(self, steps: Steps) -> None:
        """Expand the curve, compare the limit, and check why it is not a product."""
        steps.require(len(self.problem.supports) == 2, "the problem has two factors")
        with proving(steps, "the evidence has the form of its kind"):
            evidence = self.evidence
        count = len(evidence.reductions)
        with proving(
            steps, f"the {count} recorded reductions hold, and the rows and columns exist"
        ):
            window = self.window()
        with proving(steps, "X(t) and Y(t) have the asked supports"):
            x = entries_of(evidence.left, window.left, "X", self.names)
            y = entries_of(evidence.right, window.right, "Y", self.names)
        self._check_limit(x, y, window.observed, steps)
        self.exclude(window, steps)

    def _check_limit(
        self,
        x: Factor,
        y: Factor,
        observed: np.ndarray,
        steps: Steps,
    ) -> None:
        limit = self.evidence.limit
        height, width = observed.shape
        fits = len(limit) == height and all(len(row) == width for row in limit)
        steps.require(fits, f"the limit has the shape {height} x {width}")
        with proving(steps, "the limit is X(t) Y(t) at t = 0, and 0 at cells not observed"):
            require_limit(multiplied(x, y), limit, observed, self.names)

    def explain(self) -> str:
        """Return the proof in words, with rows, columns and terms of the problem."""
        evidence, names = self.evidence, self.names
        states = self._states()
        lines = [
            step.sentence(before, after)
            for step, before, after in zip(evidence.reductions, states, states[1:], strict=False)
        ]
        rows, columns = list(evidence.rows), list(evidence.columns)
        lines.append(f"Take rows {rows} and columns {columns}, all else zero.")
        for name, curve in (("X", evidence.left), ("Y", evidence.right)):
            lines += [f"  {names.entry(name, a, b)}(t) = {show(p)}" for a, b, p in curve]
        lines.append("As t goes to 0, X(t) Y(t) converges to the matrix")
        lines += shown_matrix(evidence.limit, names)
        return "\n".join([*lines, *self.explain_exclusion()])


def entries_of(
    curve: tuple[tuple[int, int, Laurent], ...], support: np.ndarray, name: str, names: Names
) -> Factor:
    """Return the entries of a factor, after checking that they lie in the support."""
    entries: Factor = {}
    for a, b, polynomial in curve:
        if a >= support.shape[0] or b >= support.shape[1]:
            raise EvidenceError(f"the window has no entry number ({a}, {b}) of {name}")
        if not support[a, b]:
            raise EvidenceError(f"{names.entry(name, a, b)} lies outside the support")
        if (a, b) in entries:
            raise EvidenceError(f"{names.entry(name, a, b)} is given twice")
        entries[a, b] = polynomial
    return entries


def shown_matrix(limit: Sequence[Sequence[Fraction]], names: Names) -> list[str]:
    """Return a limit in lines: as it is if it is small, else by its entries that are not 0."""
    if all(size <= LARGEST_SHOWN for size in (len(limit), *map(len, limit))):
        return ["  [" + ", ".join(str(v) for v in row) + "]" for row in limit]
    entries = [
        f"{v} at {names.cell(i, j)}" for i, row in enumerate(limit) for j, v in enumerate(row) if v
    ]
    return [f"  that is 0 but for {', '.join(entries)}"]


def multiplied(x: Factor, y: Factor) -> Factor:
    """Return the product of two factors, its entries that some term contributes to."""
    products: Factor = {}
    by_term: dict[int, list[tuple[int, Laurent]]] = {}
    for (k, j), q in y.items():
        by_term.setdefault(k, []).append((j, q))
    for (i, k), p in x.items():
        for j, q in by_term.get(k, []):
            add_product(products.setdefault((i, j), {}), p, q)
    return products


def require_limit(
    products: Factor, limit: Sequence[Sequence[Fraction]], observed: np.ndarray, names: Names
) -> None:
    """Refuse, by an EvidenceError, what is not the product at t = 0, or has a pole there."""
    # At all other cells both are 0.
    nonzero = {(i, j) for i, row in enumerate(limit) for j, v in enumerate(row) if v}
    for i, j in sorted(nonzero.union(products)):
        product = products.get((i, j), {}) if observed[i, j] else {}
        if min(product, default=0) < 0:
            raise EvidenceError(f"the product has a pole at {names.cell(i, j)}")
        found, value = limit[i][j], product.get(0, Fraction(0))
        if found != value:
            raise EvidenceError(f"it is {brief(value)} at {names.cell(i, j)}, not {brief(found)}")
