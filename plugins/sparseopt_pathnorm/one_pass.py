"""The path-norm by one pass through the network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.interface.printing import short
from sparseopt.pathnorm.exact import has_exact_powers
from sparseopt.pathnorm.plain import rounding_room
from sparseopt.pathnorm.powers import Powers
from sparseopt_pathnorm.counting import path_counts
from sparseopt_pathnorm.neuron_sums import is_small, power_sums_of
from sparseopt_pathnorm.pass_memory import checking_seconds, exact_bytes, forward_bytes
from sparseopt_pathnorm.passes import power_sums

PRECISIONS = {"float64": 1e-9, "float32": 1e-4}
"""Relative error that an answer promises at least, by the dtype of its pass."""


def promised(problem: so.PathNorm, dtype: str = "float64") -> float:
    """Return the relative error to state; more than usual where sums are extremely long."""
    room = rounding_room(problem.network, problem.q)
    return max(PRECISIONS[dtype], 6 * room / min(1.0, problem.q or 1.0))


@dataclass(frozen=True)
class OnePass(so.Solver[so.PathNorm]):
    """One evaluation of the network with weights |w|^q, at the all-ones input.

    Takes every problem. Exact for networks with rational weights and for path counts; float64
    with a power of two per tensor otherwise. Source: Gonon et al., arXiv 2310.01225, Theorem A.1.

    Time O(E), memory O(P + V), for a network of E edges and P parameters, with V values between
    layers; of large dense layers a part at a time, and for q = 0 with integers as long as the
    counts.

    Parameters
    ----------
    dtype : {"float64", "float32"}
        Precision of the pass where the answer is not exact; float32 promises a relative error of
        1e-4 (in practice it is 1e-6), less than is asked by default, so that its answers are
        WEAK, and takes float64 where its range does not suffice.
    """

    dtype: str = "float64"

    def __post_init__(self) -> None:
        if self.dtype not in PRECISIONS:
            raise so.ProblemError(
                f"dtype must be one of {sorted(PRECISIONS)}, not {short(self.dtype)}"
            )

    def accepts(self, problem: so.PathNorm) -> so.Accepted | so.Refused:
        """Accept everything."""
        return so.Accepted()

    def cost(self, problem: so.PathNorm) -> float:
        """About a tenth of a nanosecond per edge, ten times that for q = inf, and the check."""
        per_edge, passes = (1e-9, 2.0) if problem.q == math.inf else (1e-10, 1.0)
        own = 1e-4 + per_edge * problem.chosen.edge_count
        return own + checking_seconds(problem.chosen, passes)

    def bytes_needed(self, problem: so.PathNorm) -> float:
        """Predict the bytes of a layer in float64, twice in logarithms; of exact answers also of
        rational numbers."""
        if problem.q == 0 or problem.network.is_exact:
            return exact_bytes(problem.network)
        return forward_bytes(problem.network) * (2.0 if problem.q == math.inf else 1.0)

    def solve(
        self, problem: so.PathNorm, context: so.Context
    ) -> tuple[so.PathNormValue, so.Certificate]:
        """Return the norm, exact where the network is."""
        network = problem.chosen
        exact: tuple[Fraction, ...] | None = None
        if network.is_exact and is_small(network) and has_exact_powers(problem.q):
            exact = tuple(power_sums_of(network.neurons, problem.q))
        elif problem.q == 0:
            exact = tuple(Fraction(n) for n in path_counts(network))
        if exact is not None:
            powers = Powers.of_fractions(list(exact))
        else:
            powers = power_sums(
                network,
                problem.q,
                tick=lambda layer: context.check_time(f"passing layer {layer!r}"),
                dtype=np.float64 if self.dtype == "float64" else np.float32,
            )
        tolerance = promised(problem, self.dtype if exact is None else "float64")
        answer = problem.answer_from(powers, exact, tolerance)
        return answer, so.PathNormCertificate(problem, answer)
