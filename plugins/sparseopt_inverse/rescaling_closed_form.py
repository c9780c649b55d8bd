"""Optimal rescaling in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

import sparseopt as so
from sparseopt.inverse.rescaling import DIGITS, OptimalRescaling, RescalingCertificate, Scalings


@dataclass(frozen=True)
class RescalingClosedForm(so.Solver[OptimalRescaling]):
    """The stationary point, in decimal arithmetic.

    Time O(n), memory O(n), for n norms.
    """

    def accepts(self, problem: OptimalRescaling) -> so.Accepted | so.Refused:
        """Take every problem."""
        return so.Accepted()

    def cost(self, problem: OptimalRescaling) -> float:
        """Return the predicted seconds."""
        return 1e-4 + 9e-4 * problem.norms.size

    def bytes_needed(self, problem: OptimalRescaling) -> float:
        """Predict decimal numbers for each norm."""
        return 2.0**20 + 2e3 * problem.norms.size

    def solve(
        self, problem: OptimalRescaling, context: so.Context
    ) -> tuple[Scalings, RescalingCertificate]:
        """Write the optimum down, component by component."""
        norms = problem.norms.reshape(len(problem.norms), -1)
        scalings, multipliers = np.zeros(norms.shape), np.zeros(norms.shape[1])
        for q in np.flatnonzero(~problem.vanishing):
            context.check_time("rescaling")
            scalings[:, q], multipliers[q] = balanced(problem, norms[:, q])
        positive = np.append(scalings[:, ~problem.vanishing], multipliers[~problem.vanishing])
        if not ((positive > 0.0) & (positive < np.inf)).all():
            raise so.Inconclusive("the best scalings leave the range of floats")
        shaped = scalings.reshape(problem.norms.shape)
        certificate = RescalingCertificate.build(problem, shaped, multipliers)
        if not certificate.primal < np.inf:
            raise so.Inconclusive(
                "the least cost is above 1e300; divide the norms by a constant, which divides the "
                "cost and changes no scaling"
            )
        return certificate.answer, certificate


def balanced(problem: OptimalRescaling, norms: np.ndarray) -> tuple[list[float], float]:
    """Return the best scalings of a component without a vanishing penalty, and its multiplier."""
    degrees = [Decimal(float(p)) for p in problem.degrees]
    slopes = [
        DIGITS.ln(p) + DIGITS.ln(Decimal(float(mu))) + DIGITS.ln(Decimal(float(g)))
        for p, mu, g in zip(degrees, problem.weights, norms, strict=True)
    ]
    share, level = Decimal(0), Decimal(0)
    for slope, p in zip(slopes, degrees, strict=True):
        share, level = share + 1 / p, level + slope / p
    level /= share
    scalings = [DIGITS.exp((level - s) / p) for s, p in zip(slopes, degrees, strict=True)]
    return [float(v) for v in scalings], float(DIGITS.exp(level))
