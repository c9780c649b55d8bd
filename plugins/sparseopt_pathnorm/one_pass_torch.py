"""The path-norm by one pass with PyTorch's kernels; for large networks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import sparseopt as so
from sparseopt.interface.printing import short
from sparseopt_pathnorm.one_pass import PRECISIONS, promised
from sparseopt_pathnorm.pass_memory import (
    checking_seconds,
    loaded_in_words,
    loading_seconds,
    torch_bytes,
)
from sparseopt_pathnorm.torch_fitness import fits


@dataclass(frozen=True)
class OnePassTorch(so.Solver[so.PathNorm]):
    """One evaluation of the network with weights |w|^q, at the all-ones input, in PyTorch.

    Tensors carry a power of two each. Where the entries of one tensor lie too far apart for
    that, the solver gives up and leaves the problem to ``one_pass``.

    Time O(E), memory O(P + V), for a network of E edges and P parameters, with V values between
    layers.

    Parameters
    ----------
    dtype : {"float64", "float32"}
        Precision of the pass; float32 promises a relative error of 1e-4 (in practice it is 1e-7),
        less than is asked by default, so that its answers are WEAK.
    """

    dtype: str = "float64"

    def __post_init__(self) -> None:
        if self.dtype not in PRECISIONS:
            raise so.ProblemError(
                f"dtype must be one of {sorted(PRECISIONS)}, not {short(self.dtype)}"
            )

    def accepts(self, problem: so.PathNorm) -> so.Accepted | so.Refused:
        """Accept layers with float weights, and finite positive q."""
        if problem.q in (0, math.inf):
            return so.Refused(f"q = {problem.q:g} is not a sum of powers; one_pass computes it")
        return fits(problem.network, "one_pass keeps them")

    def cost(self, problem: so.PathNorm) -> float:
        """A second for importing PyTorch, and about a tenth of a nanosecond per edge."""
        own = 1e-10 * problem.network.edge_count + checking_seconds(problem.network)
        return loading_seconds() + own

    def cost_rests_on(self, problem: so.PathNorm) -> str:
        """Say whether PyTorch is loaded."""
        return loaded_in_words()

    def bytes_needed(self, problem: so.PathNorm) -> float:
        """Predict the largest layer in float64, twice, and what PyTorch takes."""
        return torch_bytes(problem.network)

    def solve(
        self, problem: so.PathNorm, context: so.Context
    ) -> tuple[so.PathNormValue, so.Certificate]:
        """Return the norm."""
        from sparseopt_pathnorm.torch_pass import torch_power_sums

        powers = torch_power_sums(problem.chosen, float(problem.q), self.dtype, context)
        answer = problem.answer_from(powers, tolerance=promised(problem, self.dtype))
        return answer, so.PathNormCertificate(problem, answer)
