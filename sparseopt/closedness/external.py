"""Verdicts that rely on a program outside this library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from sparseopt.certificate import Steps
from sparseopt.closedness.exclusion import Matrix
from sparseopt.closedness.limits import LimitCertificate
from sparseopt.serialization import json_type


@json_type
@dataclass(frozen=True, eq=False)
class ExternalExclusionCertificate(LimitCertificate):
    """A limit of products; that it is no product is the word of an external program.

    The check verifies everything else: the reductions, the supports, the curve and its limit. What
    is left is one statement, that the formula of `smtlib` has no solution. The claim says so. Any
    program that reads SMT-LIB can repeat this step.

    Attributes
    ----------
    engine : str
        Name and version of the program that found no solution.
    """

    engine: str

    @property
    def claim(self) -> str:
        """What is proved, and what it relies on."""
        return (
            f"{self.problem.describe()}: the set is not closed, if {self.engine} is right that the "
            "limit is no product (this step is not checked)"
        )

    def exclude(
        self, left: np.ndarray, right: np.ndarray, observed: np.ndarray, steps: Steps
    ) -> None:
        """Check that the trust is named; the step itself is reported, not checked."""
        steps.require(self.problem.field == "real", "the field is that of the formula, the reals")
        steps.require(
            bool(self.engine) and self.engine in self.answer.reason,
            "the answer names the program that it relies on",
        )
        steps.note(
            f"not checked: {self.engine} says that the limit is no product, that is, that the "
            "SMT-LIB formula of this certificate has no solution"
        )

    def smtlib(self) -> str:
        """Return the formula, satisfiable exactly if the limit is a product, as SMT-LIB text."""
        return smtlib(*self.window(), self.limit)

    def explain_exclusion(self) -> list[str]:
        """Return the formula."""
        return [
            f"which is no product with these supports, says {self.engine} (not checked here):",
            "this formula has no solution.",
            *(f"  {line}" for line in self.smtlib().splitlines()),
        ]


def smtlib(left: np.ndarray, right: np.ndarray, observed: np.ndarray, matrix: Matrix) -> str:
    """Return "there are real X, Y in the supports with X Y = A on the observed cells" in SMT-LIB.

    Examples
    --------
    >>> one = np.ones((1, 1), dtype=bool)
    >>> print(smtlib(one, one, one, [[Fraction(-1, 2)]]))
    (set-logic QF_NRA)
    (declare-const x_0_0 Real)
    (declare-const y_0_0 Real)
    (assert (= (+ 0.0 (* x_0_0 y_0_0)) (/ (- 1.0) 2.0)))
    (check-sat)
    """
    lines = ["(set-logic QF_NRA)"]
    for name, support in (("x", left), ("y", right)):
        lines += [f"(declare-const {name}_{a}_{b} Real)" for a, b in np.argwhere(support)]
    for i, j in np.argwhere(observed).tolist():
        terms = np.flatnonzero(left[i] & right[:, j]).tolist()
        lines.append(f"(assert (= {_sum(i, j, terms)} {_number(matrix[i][j])}))")
    return "\n".join([*lines, "(check-sat)"])


def _sum(i: int, j: int, terms: Sequence[int]) -> str:
    return "(+ " + " ".join(["0.0", *(f"(* x_{i}_{k} y_{k}_{j})" for k in terms)]) + ")"


def _number(value: int | Fraction) -> str:
    exact = Fraction(value)
    text = f"{abs(exact.numerator)}.0"
    text = f"(- {text})" if exact < 0 else text
    return text if exact.denominator == 1 else f"(/ {text} {exact.denominator}.0)"
