"""Verdicts that rely on a program outside this library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from sparseopt.closedness.certificate import proving
from sparseopt.closedness.limits import LimitCertificate, Window
from sparseopt.closedness.problem import Closedness
from sparseopt.interface.certificate import Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.judging.evidence import Word

OUTSIDERS = ("z3",)
"""The programs whose word may stand for a proof that a limit is not a product."""
ENGINE = Word(OUTSIDERS)


@proves(Closedness)
@json_type
@dataclass(frozen=True, eq=False)
class ExternalExclusionCertificate(LimitCertificate):
    """A limit of products; that it is not a product is the word of an external program.

    The check verifies everything else: the reductions, the supports, the curve and its limit. What
    is left is one statement, that the formula of `smtlib` has no solution. Whoever allows the
    program has it asked again. Any program that reads SMT-LIB can repeat this step.

    Attributes
    ----------
    engine : str
        The program that found no solution, one of `OUTSIDERS`.
    """

    engine: str

    @property
    def outsider(self) -> str:
        """The program, read from `engine`.

        Raises
        ------
        EvidenceError
            If it is not one of `OUTSIDERS`.
        """
        return ENGINE.read(self.engine, ("engine",))

    @property
    def condition(self) -> str:
        """Whose word the claim relies on."""
        return f" (that the limit is not a product is the word of {self.outsider})"

    @property
    def reason(self) -> str:
        """What kind of limit it is, and whose word it relies on."""
        word = f"relying on {self.outsider} that its limit is no product"
        return f"curve of order {self.order}, {word}"

    def exclude(self, window: Window, steps: Steps) -> None:
        """Leave the step to the program, asked again if the user allows it."""
        steps.require(self.problem.field == "real", "the field is that of the formula, the reals")
        with proving(steps, f"the program relied on is one of {', '.join(OUTSIDERS)}"):
            outsider = self.outsider
        step = "the limit is not a product: the SMT-LIB formula of this certificate has no solution"
        steps.relies_on(outsider, step, self.smtlib())

    def smtlib(self) -> str:
        """Return the formula, satisfiable exactly if the limit is a product, as SMT-LIB text."""
        return smtlib(*self.window(), self.evidence.limit)

    def explain_exclusion(self) -> list[str]:
        """Return the formula."""
        return [
            f"which is no product with these supports, says {self.outsider} (not checked here):",
            "this formula has no solution.",
            *(f"  {line}" for line in self.smtlib().splitlines()),
        ]


def smtlib(
    left: np.ndarray,
    right: np.ndarray,
    observed: np.ndarray,
    matrix: Sequence[Sequence[Fraction]],
) -> str:
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


def _number(value: Fraction) -> str:
    exact = Fraction(value)
    text = f"{abs(exact.numerator)}.0"
    text = f"(- {text})" if exact < 0 else text
    return text if exact.denominator == 1 else f"(/ {text} {exact.denominator}.0)"
