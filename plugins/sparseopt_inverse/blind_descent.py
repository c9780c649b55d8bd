"""Blind deconvolution by alternating descent, which does not get to the optimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.inverse.deconvolution import (
    BlindDeconvolution,
    BlindDeconvolutionCertificate,
    FilterAndSignal,
)
from sparseopt.judging.scaling import times_power


@dataclass(frozen=True)
class BlindDescent(so.Solver[BlindDeconvolution]):
    """Proximal steps for ``1/2 |h * s - y|^2 + strength (|h|_1 + |s|_1)``, by turns (PALM).

    It ends in a stationary pair, where both norms agree, and rarely on a spike.

    Time O(n log(n)), memory O(n), for n entries of the target, each step.

    Parameters
    ----------
    strength : float
        Of the penalty, for the target scaled to 1-norm 1.
    steps : int
    """

    strength: float = 1e-3
    steps: int = 2000

    def accepts(self, problem: BlindDeconvolution) -> so.Accepted | so.Refused:
        """Take targets other than zero."""
        if not problem.target.any():
            return so.Refused("the target is zero; blind_spike answers")
        return so.Accepted()

    def cost(self, problem: BlindDeconvolution) -> float:
        """Return the predicted seconds."""
        return 1e-2 + self.steps * (1e-4 + 5e-8 * len(problem.target))

    def bytes_needed(self, problem: BlindDeconvolution) -> float:
        """Predict a few vectors, and exact numbers for each entry."""
        return 2.0**20 + 1e3 * len(problem.target)

    def solve(
        self, problem: BlindDeconvolution, context: so.Context
    ) -> tuple[FilterAndSignal, BlindDeconvolutionCertificate]:
        """Descend from a random pair."""
        scaled = times_power(problem.target, -2 * problem.exponent) / problem.norm
        start = context.rng().standard_normal((2, len(scaled))) / np.sqrt(len(scaled))
        pair = descend(scaled, start, self.strength, self.steps, context)
        h, s = (times_power(v * np.sqrt(problem.norm), problem.exponent) for v in pair)
        certificate = BlindDeconvolutionCertificate.build(problem, h, s)
        return certificate.answer, certificate


def descend(
    target: np.ndarray, start: np.ndarray, strength: float, steps: int, context: so.Context
) -> np.ndarray:
    """Return filter and signal after proximal steps by turns (Bolte, Sabach, Teboulle 2014)."""
    n, pair = len(target), start.copy()
    waves = np.fft.rfft(target)
    for i in range(steps):
        context.check_time("descending")
        for one, other in ((0, 1), (1, 0)):
            fixed = np.fft.rfft(pair[other])
            largest = float(np.abs(fixed).max()) ** 2
            if largest == 0.0:
                return np.zeros_like(pair)
            slope = np.fft.irfft(np.conj(fixed) * (fixed * np.fft.rfft(pair[one]) - waves), n)
            moved = pair[one] - slope / largest
            pair[one] = np.sign(moved) * np.maximum(np.abs(moved) - strength / largest, 0.0)
        context.report((i + 1) / steps, "descending")
    return pair
