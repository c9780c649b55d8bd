"""A problem of one's own: nonnegative least squares, and the certificate that judges answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

import sparseopt as so

TOLERANCE = 1e-9


@so.json_type
@dataclass(frozen=True, eq=False)
class NonnegativeLeastSquares(so.Problem[np.ndarray, "OptimalityCertificate"]):
    """Minimize ``1/2 |A x - y|^2`` over x >= 0.

    Parameters
    ----------
    design : array (m, n)
    target : array (m,)
    """

    design: np.ndarray
    target: np.ndarray

    def __post_init__(self) -> None:
        design, target = np.array(self.design, float), np.array(self.target, float)
        if design.ndim != 2 or 0 in design.shape or target.shape != design.shape[:1]:
            raise so.ProblemError(
                f"design must be a matrix (m, n) and target (m,), got {design.shape} and "
                f"{target.shape}"
            )
        for name, array in (("design", design), ("target", target)):
            for place in np.argwhere(~np.isfinite(array)):
                raise so.ProblemError(
                    f"{name} has {array[tuple(place)]} at entry {tuple(place.tolist())}; all "
                    "entries must be finite"
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def evaluate(self, answer: np.ndarray) -> Mapping[str, float]:
        """Return the objective and the largest violation of the sign condition."""
        residual = self.design @ answer - self.target
        return {
            "objective": 0.5 * float(residual @ residual),
            "negativity": float(max(0.0, -np.min(answer))),
        }

    def describe(self) -> str:
        """Return one line with the sizes."""
        m, n = self.design.shape
        return f"nonnegative least squares, design {m} x {n}"


@so.proves(NonnegativeLeastSquares)
@so.json_type
@dataclass(frozen=True, eq=False)
class OptimalityCertificate(so.Certificate):
    """The conditions of Karush, Kuhn and Tucker, recomputed from problem and answer.

    With x >= 0 and gradient g = A^T (A x - y): g >= 0 and x^T g = 0 hold exactly at the optima, as
    the problem is convex. The suboptimality of x is at most x^T g + |g_-| |x*|; both terms are
    held below `TOLERANCE` relative to the size of the data.
    """

    problem: NonnegativeLeastSquares
    answer: np.ndarray

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"the answer is optimal to a relative {TOLERANCE:g}: {self.problem.describe()}"

    def check(self, steps: so.Steps) -> None:
        """Check sign and optimality conditions."""
        design, target, x = self.problem.design, self.problem.target, np.asarray(self.answer)
        steps.require(x.shape == design.shape[1:], "the answer has one entry per column")
        steps.require(bool((x >= 0).all()), "the answer is nonnegative", f"least {x.min():g}")
        gradient = design.T @ (design @ x - target)
        scale = float(np.linalg.norm(design) * np.linalg.norm(target))
        worst = float(gradient.min(initial=0.0))
        steps.require(worst >= -TOLERANCE * scale, "the gradient is nonnegative", f"{worst:g}")
        product = abs(float(x @ gradient))
        limit = TOLERANCE * float(max(scale * np.linalg.norm(x), np.linalg.norm(target) ** 2))
        steps.require(product <= limit, "answer and gradient are orthogonal", f"{product:g}")
