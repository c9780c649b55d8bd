"""Certificates that the set of products of two factors is not closed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.closedness.certificate import proving
from sparseopt.closedness.limits import LimitCertificate, Window
from sparseopt.closedness.names import Names
from sparseopt.closedness.problem import Closedness
from sparseopt.closedness.proofs.exclusion import TREE, Exclusion
from sparseopt.interface.certificate import Steps, proves
from sparseopt.interface.json_type import json_type


@proves(Closedness)
@json_type
@dataclass(frozen=True, eq=False)
class NotClosedCertificate(LimitCertificate):
    """A limit of products, and a tree that proves that it is no product.

    Attributes
    ----------
    exclusion : list
        Tree of the rules of `sparseopt.closedness.proofs.exclusion`.
    """

    exclusion: list[Any]

    @cached_property
    def tree(self) -> tuple[Any, ...]:
        """The tree, read once.

        Raises
        ------
        EvidenceError
            If it is malformed.
        """
        return TREE.read(self.exclusion, ("exclusion",))

    @property
    def reason(self) -> str:
        """What kind of limit it is, and where."""
        rows, columns, *_ = self.evidence
        kind = window_kind(self.tree, len(rows), len(columns))
        if kind == "LU window" and not self.evidence.reductions:
            left, right, _ = self.window()
            first, last = (set(np.flatnonzero(left[i] & right[:, i]).tolist()) for i in (0, 1))
            # The tree shows that one term is live in cell (0, 0); the curve needs another.
            terms = f"terms {min(first)} and {min((last & self.blocks) - first)}"
            return f"LU window at rows {rows} and columns {columns}, {terms}"
        kind = kind or f"curve of order {self.order}"
        return f"{kind} on {len(rows)} rows and {len(columns)} columns"

    def exclude(self, window: Window, steps: Steps) -> None:
        """Check the tree."""
        left, right, observed = window
        limit = [list(row) for row in self.evidence.limit]
        proof = Exclusion(left, right, limit, observed, self.names)
        with proving(steps, "the limit is no product: every branch meets a conflict"):
            proof.follow(self.tree)
        steps.note(f"the proof that the limit is no product has {proof.nodes} nodes")

    def explain_exclusion(self) -> list[str]:
        """Return the tree as indented sentences."""
        return ["which is no product with these supports:", *_words(self.tree, self.names, "  ")]


def window_kind(tree: tuple[Any, ...], height: int, width: int) -> str | None:
    """Return the name of the window whose limit a tree excludes in its usual way, or None.

    LU window: the one term of cell (0, 0), where the limit is 0, is all that cells (0, 1) and
    (1, 0) have. Merge window: of three columns (rows) two fix the terms of the one between.
    """
    if (height, width) == (2, 2) and tree == ("product", 0, 0, ("cell", 0, 1), ("cell", 1, 0)):
        return "LU window"
    if (height, width, tree[:3]) in ((2, 3, SPAN), (3, 2, ("span_t", *SPAN[1:]))):
        return "merge window"
    return None


SPAN = ("span", (0, 1), 1)


def _words(tree: Any, names: Names, indent: str) -> list[str]:
    """Return an exclusion tree as indented sentences."""
    lines: list[str] = []
    while tree is not None:
        rule, *parts = tree
        tree = None
        if rule == "split":
            name, if_zero, tree = parts
            lines += [f"{indent}either {names.entry(*name)} = 0:"]
            lines += _words(if_zero, names, indent + "  ")
            lines += [f"{indent}or it is not zero:"]
            indent += "  "
        elif rule == "product":
            i, j, if_x_zero, tree = parts
            lines += [
                f"{indent}cell {names.cell(i, j)} is 0 and one term is left there, so its x is "
                "zero:",
                *_words(if_x_zero, names, indent + "  "),
                f"{indent}or its y is zero:",
            ]
            indent += "  "
        elif rule == "scale":
            name, tree = parts
            lines.append(f"{indent}scale its term so that {names.entry(*name)} = 1")
        elif rule in ("line", "line_t"):
            line, places, tree = parts
            ends = "fix further entries" if tree else "have no solution that fits: contradiction"
            lines.append(indent + _equations(rule, line, places, names) + ends)
        elif rule == "identity":
            lines.append(
                f"{indent}the equations add up to 1 = 0, each times the polynomial in front of it:"
            )
            lines += [
                f"{indent}  ({_polynomial_words(factor, names)}) ({_equation_words(name, names)})"
                for name, factor in parts[0]
            ]
        else:
            lines.append(indent + _conflict(rule, parts, names))
    return lines


def _equations(rule: str, line: int, places: tuple[int, ...], names: Names) -> str:
    turned = rule == "line_t"
    own, across = ("row", "columns") if turned else ("column", "rows")
    where = names.rows_of(places, turned)
    return (
        f"the linear equations of {own} {names.columns_of([line], turned)[0]} on {across} {where} "
    )


def _conflict(rule: str, parts: list[Any], names: Names) -> str:
    """Return a leaf in words."""
    if rule == "cell":
        return f"cell {names.cell(*parts)} cannot take its value with the terms left: contradiction"
    if rule == "minor":
        rows, columns = names.rows_of(parts[0]), names.columns_of(parts[1])
        return f"rows {rows} and columns {columns} have a higher rank than terms are left"
    if rule == "free_minor":
        rows, columns = names.rows_of(parts[0]), names.columns_of(parts[1])
        terms = names.terms_of(parts[2])
        return f"rows {rows} and columns {columns} ask the terms {terms} for a higher rank"
    places, line, listed = parts
    turned = rule == "span_t"
    own, across = ("row", "columns") if turned else ("column", "rows")
    fixing = ", ".join(
        f"{own} {names.columns_of([c], turned)[0]} (term {names.terms[k]})"
        for k, c in listed.items()
    )
    return (
        f"on {across} {names.rows_of(places, turned)}, {own} "
        f"{names.columns_of([line], turned)[0]} is not in the span of those that fix its terms: "
        f"{fixing}"
    )


def _equation_words(name: tuple[Any, ...], names: Names) -> str:
    """Return an equation of an identity in words."""
    if name[0] == "cell":
        return f"the equation of cell {names.cell(*name[1:])}"
    entry = names.entry(*name[1])
    return f"{entry} - its value" if name[0] == "value" else f"{entry} / itself - 1"


def _polynomial_words(factor: tuple[Any, ...], names: Names) -> str:
    """Return a polynomial of an identity as a person writes it."""
    words = []
    for value, monomial in factor:
        entries = [
            ("" if kind < 2 else "1/") + names.entry("xyxy"[kind], a, b) for kind, a, b in monomial
        ]
        words.append(" ".join([str(value), *entries]))
    return " + ".join(words)
