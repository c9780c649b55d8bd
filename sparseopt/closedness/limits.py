"""Certificates of limits: factors whose products tend to a matrix that is no product."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.certificate import Certificate, Steps
from sparseopt.closedness.exclusion import Matrix
from sparseopt.closedness.laurent import Laurent, add_product, laurent, show
from sparseopt.closedness.masked import Masked, ReductionError, replay
from sparseopt.closedness.problem import Closedness, ClosednessVerdict

Curve = list[list[Any]]
"""Nonzero entries of one factor: [row, column, {exponent: coefficient}], local indices."""


@dataclass(frozen=True, eq=False)
class LimitCertificate(Certificate):
    """Factors that follow the supports, and the limit of their products.

    Only a sub-support is spoken of, rows P of the first and columns Q of the second factor: if its
    products are not closed, neither are those of the whole. Proof: a limit A' outside the smaller
    set, padded by zeros, is a limit in the larger one; if it were a product there, restricting the
    factors to P and Q would make A' a product. (Terms may not be left out: with one term more the
    set may be all matrices.)

    Subclasses say why the limit is no product.

    Attributes
    ----------
    rows, columns : tuple of int
        P and Q, indices into the first and the last dimension of the supports.
    left, right : list of [i, k, {exponent: coefficient}]
        Nonzero entries of X(t), with i counted in P, and of Y(t), [k, j, ...] with j in Q.
    limit : list of list of Fraction
        X(t) Y(t) at t = 0, shape (len(rows), len(columns)). At cells that are not observed it is
        not compared, and 0 is written.
    reductions : list
        Recorded steps, see `sparseopt.closedness.masked`, that lead to a masked problem; what is
        said above is then said of its blocks and observed cells. Without steps it is said of the
        terms of the problem itself. The limit padded by zeros is also a limit of the whole problem
        outside the set: on cells that are not observed the removed families reach every value.
    """

    problem: Closedness
    answer: ClosednessVerdict
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    left: Curve
    right: Curve
    limit: Matrix
    reductions: list[Any]

    @abstractmethod
    def exclude(
        self, left: np.ndarray, right: np.ndarray, observed: np.ndarray, steps: Steps
    ) -> None:
        """Check why the limit is no product of factors with these supports on these cells."""

    @abstractmethod
    def explain_exclusion(self) -> list[str]:
        """Return why the limit is no product, as lines that follow "which is no product"."""

    def masked(self) -> Masked:
        """Return the masked problem that the curve speaks of.

        Raises
        ------
        ReductionError
            If a recorded step does not hold.
        """
        left, right = self.problem.supports
        if self.reductions:
            return replay(left, right, self.reductions)
        observed = np.ones((left.shape[0], right.shape[1]), dtype=bool)
        return Masked(left, right, observed, tuple(range(left.shape[1])))

    def window(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the supports and the observed cells of the rows and columns spoken of.

        Raises
        ------
        ReductionError
            If a recorded step does not hold.
        """
        state = self.masked()
        rows, columns = list(self.rows), list(self.columns)
        return state.left[rows], state.right[:, columns], state.observed[np.ix_(rows, columns)]

    @property
    def terms(self) -> tuple[int, ...]:
        """The inner indices that the curve uses."""
        origin = self.masked().origin
        used = {entry[1] for entry in self.left} | {entry[0] for entry in self.right}
        return tuple(sorted({origin[k] for k in used}))

    def marked_cells(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the cells of the two supports that the curve uses, for figures."""
        origin = self.masked().origin
        left = [(self.rows[i], origin[k]) for i, k, _ in self.left]
        return left, [(origin[k], self.columns[j]) for k, j, _ in self.right]

    def limit_matrix(self) -> Any:
        """Return the limit padded by zeros to the full shape, an object array of rationals."""
        first, last = self.problem.supports[0], self.problem.supports[-1]
        full = np.full((first.shape[0], last.shape[1]), Fraction(0), dtype=object)
        for i, row in zip(self.rows, self.limit, strict=True):
            for j, value in zip(self.columns, row, strict=True):
                full[i, j] = value
        return full

    def check(self, steps: Steps) -> None:
        """Expand the curve, compare the limit, and check why it is no product."""
        supports = self.problem.supports
        steps.require(self.answer.value == "not_closed", "the verdict is not_closed")
        steps.require(len(supports) == 2, "the problem has two factors")
        shape = (supports[0].shape[0], supports[1].shape[1])
        for name, chosen, size in zip(
            ("rows", "columns"), (self.rows, self.columns), shape, strict=True
        ):
            inside = all(type(i) is int and 0 <= i < size for i in chosen)
            distinct = len(set(chosen)) == len(chosen)
            steps.require(inside and distinct, f"{name} are different indices below {size}")
        try:
            left, right, observed = self.window()
        except ReductionError as error:
            steps.require(False, "the recorded reductions hold", str(error))
            raise
        steps.require(True, f"the {len(self.reductions)} recorded reductions hold")
        x = _entries(self.left, left, "X", steps)
        y = _entries(self.right, right, "Y", steps)
        self._check_limit(x, y, observed, steps)
        self.exclude(left, right, observed, steps)

    def _check_limit(
        self,
        x: dict[tuple[int, int], Laurent],
        y: dict[tuple[int, int], Laurent],
        observed: np.ndarray,
        steps: Steps,
    ) -> None:
        products: dict[tuple[int, int], Laurent] = {}
        by_term: dict[int, list[tuple[int, Laurent]]] = {}
        for (k, j), q in y.items():
            by_term.setdefault(k, []).append((j, q))
        for (i, k), p in x.items():
            for j, q in by_term.get(k, []):
                add_product(products.setdefault((i, j), {}), p, q)
        poles = [cell for cell, p in products.items() if p and observed[cell] and min(p) < 0]
        steps.require(not poles, "X(t) Y(t) has no negative power of t", f"at {poles[:1]}")
        shape_fits = len(self.limit) == len(self.rows) and all(
            len(row) == len(self.columns) for row in self.limit
        )
        steps.require(shape_fits, "the limit has the shape of the sub-support")
        exact = all(isinstance(v, int | Fraction) for row in self.limit for v in row)
        steps.require(exact, "the limit holds exact numbers")
        for i, row in enumerate(self.limit):
            for j, value in enumerate(row):
                at_zero = products.get((i, j), {}).get(0, Fraction(0))
                if at_zero != value and observed[i, j]:
                    steps.require(False, f"X(0) Y(0) at ({i}, {j}) is the limit", str(at_zero))
        steps.require(True, "the limit is X(t) Y(t) at t = 0")

    def explain(self) -> str:
        """Return the proof in words."""
        lines = []
        for step in self.reductions:
            lines.append(_STEPS[step[0]].format(*step[1:]))
        lines.append(
            f"Take rows {list(self.rows)} and columns {list(self.columns)}, all else zero."
        )
        for name, curve in (("X", self.left), ("Y", self.right)):
            lines += [f"  {name}[{a}, {b}](t) = {show(laurent(p))}" for a, b, p in curve]
        lines.append("As t goes to 0, X(t) Y(t) converges to the matrix")
        lines += ["  [" + ", ".join(str(v) for v in row) + "]" for row in self.limit]
        return "\n".join([*lines, *self.explain_exclusion()])


_STEPS = {
    "free": "The blocks {0} reach every matrix on their cells: leave them and their cells away.",
    "component": "The blocks fall into parts that share no observed cell: look at part {0}.",
    "keep": "Look at rows {0} and columns {1} only.",
}


def _entries(curve: Curve, support: Any, name: str, steps: Steps) -> dict[tuple[int, int], Laurent]:
    """Return the entries of a factor, after checking that they lie in the support."""
    entries: dict[tuple[int, int], Laurent] = {}
    for a, b, polynomial in curve:
        inside = (
            type(a) is int
            and type(b) is int
            and 0 <= a < support.shape[0]
            and 0 <= b < support.shape[1]
            and bool(support[a, b])
        )
        steps.require(inside, f"{name}[{a}, {b}] lies in the support")
        steps.require((a, b) not in entries, f"{name}[{a}, {b}] is given once")
        entries[a, b] = laurent(polynomial)
    steps.require(True, f"{name}(t) has the asked support")
    return entries
