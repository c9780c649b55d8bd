"""Certificate that the set of products of two factors is not closed."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.certificate import Certificate, Steps
from sparseopt.closedness.exclusion import Exclusion, ExclusionError, Matrix
from sparseopt.closedness.laurent import Laurent, add_product, laurent, show
from sparseopt.closedness.masked import Masked, ReductionError, replay
from sparseopt.closedness.problem import Closedness, ClosednessVerdict
from sparseopt.serialization import json_type

Curve = list[list[Any]]
"""Nonzero entries of one factor: [row, column, {exponent: coefficient}], local indices."""


@json_type
@dataclass(frozen=True, eq=False)
class NotClosedCertificate(Certificate):
    """Factors that follow the supports, a limit of their products, and why it is no product.

    Only a sub-support is spoken of, rows P of the first and columns Q of the second factor: if its
    products are not closed, neither are those of the whole. Proof: a limit A' outside the smaller
    set, padded by zeros, is a limit in the larger one; if it were a product there, restricting the
    factors to P and Q would make A' a product.

    Attributes
    ----------
    rows, columns : tuple of int
        P and Q, indices into the first and the last dimension of the supports.
    left, right : list of [i, k, {exponent: coefficient}]
        Nonzero entries of X(t), with i counted in P, and of Y(t), [k, j, ...] with j in Q.
    limit : list of list of Fraction
        X(t) Y(t) at t = 0, shape (len(rows), len(columns)). At cells that are not observed it is
        not compared, and 0 is written.
    exclusion : list
        Tree that proves that the limit is no product, see `sparseopt.closedness.exclusion`.
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
    exclusion: list[Any]
    reductions: list[Any] = field(default_factory=list)

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

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: the set is not closed"

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
        """Expand the curve, compare the limit, and check the exclusion."""
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
            state = self.masked()
        except ReductionError as error:
            steps.require(False, "the recorded reductions hold", str(error))
            raise
        steps.require(True, f"the {len(self.reductions)} recorded reductions hold")
        left, right = state.left[list(self.rows)], state.right[:, list(self.columns)]
        observed = state.observed[np.ix_(list(self.rows), list(self.columns))]
        x = _entries(self.left, left, "X", steps)
        y = _entries(self.right, right, "Y", steps)
        self._check_limit(x, y, observed, steps)
        proof = Exclusion(left, right, self.limit, observed)
        try:
            proof.check(self.exclusion)
        except (ExclusionError, TypeError, ValueError, IndexError) as error:
            steps.require(
                False, "the limit is no product: every branch meets a conflict", str(error)
            )
        steps.require(
            True, f"the limit is no product: {proof.nodes} nodes, every branch a conflict"
        )

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
        lines.append("which is no product with these supports:")
        lines += _words(self.exclusion, "  ")
        return "\n".join(lines)


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


def _words(tree: Any, indent: str) -> list[str]:
    """Return an exclusion tree as indented sentences."""
    rule, rest = tree[0], tree[1:]
    if rule == "split":
        v, a, b = rest[0]
        return [
            f"{indent}either {v}[{a}, {b}] = 0:",
            *_words(rest[1], indent + "  "),
            f"{indent}or it is not zero:",
            *_words(rest[2], indent + "  "),
        ]
    if rule == "scale":
        v, a, b = rest[0]
        return [f"{indent}scale its term so that {v}[{a}, {b}] = 1", *_words(rest[1], indent)]
    if rule in ("line", "line_t"):
        line, places = ("column", "rows") if rule == "line" else ("row", "columns")
        text = f"{indent}the linear equations of {line} {rest[0]} on {places} {rest[1]}"
        if rest[2] is None:
            return [text + " have no solution that fits: contradiction"]
        return [text + " fix further entries", *_words(rest[2], indent)]
    if rule == "identity":
        return [
            f"{indent}the equations add up to 1 = 0, each times the polynomial in front of it:",
            *(f"{indent}  ({_sum(factor)}) ({_equation(name)})" for name, factor in rest[0]),
        ]
    if rule == "product":
        i, j = rest[:2]
        return [
            f"{indent}cell ({i}, {j}) is 0 and one term is left there, so its x is zero:",
            *_words(rest[2], indent + "  "),
            f"{indent}or its y is zero:",
            *_words(rest[3], indent + "  "),
        ]
    return [
        indent
        + {
            "cell": "cell ({0}, {1}) cannot take its value with the terms left: contradiction",
            "minor": "the minor of rows {0} and columns {1} has a higher rank than terms are left",
            "free_minor": "rows {0} and columns {1} ask blocks {2} for a higher rank",
            "span": "on rows {0}, column {1} is not in the span of columns {2} that fix its terms",
            "span_t": "on columns {0}, row {1} is not in the span of rows {2} that fix its terms",
        }[rule].format(*rest)
    ]


def _equation(name: Any) -> str:
    """Return an equation of an identity in words."""
    if name[0] == "cell":
        return f"the equation of cell ({name[1]}, {name[2]})"
    v, a, b = name[1]
    return f"{v}[{a}, {b}] - its value" if name[0] == "value" else f"{v}[{a}, {b}] / itself - 1"


def _sum(factor: Any) -> str:
    """Return a polynomial of an identity as a person writes it."""
    kinds = ("x[{}, {}]", "y[{}, {}]", "1/x[{}, {}]", "1/y[{}, {}]")
    words = [
        " ".join([str(value), *(kinds[kind].format(a, b) for kind, a, b in monomial)])
        for value, monomial in factor
    ]
    return " + ".join(words)
