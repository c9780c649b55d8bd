"""Blind deconvolution in closed form: the spike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.inverse.deconvolution import (
    BlindDeconvolution,
    BlindDeconvolutionCertificate,
    FilterAndSignal,
)


@dataclass(frozen=True)
class BlindSpike(so.Solver[BlindDeconvolution]):
    """A spike at place 0, as large as the root of the target's 1-norm.

    Time O(n), memory O(n), for n entries of the target.
    """

    def accepts(self, problem: BlindDeconvolution) -> so.Accepted | so.Refused:
        """Take every target."""
        return so.Accepted()

    def cost(self, problem: BlindDeconvolution) -> float:
        """Return the predicted seconds."""
        return 1e-4 + 1e-6 * len(problem.target)

    def bytes_needed(self, problem: BlindDeconvolution) -> float:
        """Predict exact numbers for each entry."""
        return 2.0**20 + 1e3 * len(problem.target)

    def solve(
        self, problem: BlindDeconvolution, context: so.Context
    ) -> tuple[FilterAndSignal, BlindDeconvolutionCertificate]:
        """Write the optimum down."""
        context.check_time("writing the optimum down")
        size = math.ldexp(math.sqrt(problem.norm), problem.exponent)
        spike = np.zeros(len(problem.target))
        spike[0] = size
        signal = problem.target / size if size else np.zeros_like(spike)
        certificate = BlindDeconvolutionCertificate.build(problem, spike, signal)
        return certificate.answer, certificate
