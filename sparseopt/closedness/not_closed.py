"""Certificates that the set of products of two factors is not closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.certificate import Steps
from sparseopt.closedness.exclusion import Exclusion, ExclusionError
from sparseopt.closedness.limits import LimitCertificate
from sparseopt.serialization import json_type


@json_type
@dataclass(frozen=True, eq=False)
class NotClosedCertificate(LimitCertificate):
    """A limit of products, and a tree that proves that it is no product.

    Attributes
    ----------
    exclusion : list
        Tree of the rules of `sparseopt.closedness.exclusion`.
    """

    exclusion: list[Any]

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: the set is not closed"

    def exclude(
        self, left: np.ndarray, right: np.ndarray, observed: np.ndarray, steps: Steps
    ) -> None:
        """Check the tree."""
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

    def explain_exclusion(self) -> list[str]:
        """Return the tree as indented sentences."""
        return ["which is no product with these supports:", *_words(self.exclusion, "  ")]


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
