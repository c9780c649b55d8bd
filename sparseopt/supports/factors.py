"""The answer of a factorization with fixed supports."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import printable
from sparseopt.judging.scaling import spread_power

ATTAINMENTS = ("attained", "not_attained", "suspected_not_attained", "unknown")


@json_type
@dataclass(frozen=True, eq=False)
class SupportedFactors:
    """Two factors with the asked supports, and what is known about the infimum.

    Attributes
    ----------
    left, right : array (m, r), (r, n)
        The factors; their product approximates the target.
    attainment : str
        ``"attained"``: some factors with these supports are nearest, by proof; how far from them
        these are is the certificate's gap. ``"not_attained"``: the infimum is 0 and no product
        reaches it, by proof. ``"suspected_not_attained"``: the factors grow without bound while the
        error falls, on supports proved not closed. ``"unknown"`` otherwise. With a decay the least
        value of the objective always is ``"attained"``.
    remark : str
        What the engine saw, in words that nobody checks.
    """

    left: np.ndarray
    right: np.ndarray
    attainment: str = "unknown"
    remark: str = ""

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """The pair (left, right)."""
        return self.left, self.right

    def to_dense(self) -> np.ndarray:
        """Return the product, an array (m, n)."""
        return self.left @ self.right

    def times_power(self, exponent: int) -> SupportedFactors:
        """Return factors whose product is 2**exponent times as large, half of it in each."""
        left, right = spread_power(self.factors, exponent)
        return replace(self, left=left, right=right)

    def __str__(self) -> str:
        norms = f"|X| = {np.linalg.norm(self.left):.3g}, |Y| = {np.linalg.norm(self.right):.3g}"
        remark = f"; remark, not checked: {self.remark}" if self.remark else ""
        attainment = self.attainment.replace("_", " ")
        return printable(f"factors with {norms}; infimum {attainment}{remark}", 2000)
