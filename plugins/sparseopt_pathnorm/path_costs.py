"""The path cost of every weight by one pass forward and one backward."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import sparseopt as so
from sparseopt.interface.printing import short
from sparseopt.judging.rounding import UNIT
from sparseopt.pathnorm.path_cost import COARSEST, no_costs
from sparseopt.pathnorm.plain import rounding_room
from sparseopt_pathnorm.condensed_costs import CondensedCosts
from sparseopt_pathnorm.one_pass import PRECISIONS
from sparseopt_pathnorm.pass_memory import (
    all_values,
    all_weights,
    forward_bytes,
    loaded_in_words,
    loading_seconds,
)
from sparseopt_pathnorm.torch_fitness import fits


@dataclass(frozen=True)
class PathCosts(so.Solver[so.PathCost]):
    """The network with absolute weights, forward from ones and backward from ones.

    Takes every problem, in float64 with a power of two per tensor; all values between layers are
    kept, each at one of the positions that hold the same numbers. Source: Gonon et al., arXiv
    2405.15006, section 5.

    Time O(E), memory O(P + V), for a network of E edges and P parameters, with V values between
    layers.
    """

    def accepts(self, problem: so.PathCost) -> so.Accepted | so.Refused:
        """Accept everything."""
        return so.Accepted()

    def cost(self, problem: so.PathCost) -> float:
        """About a fifth of a nanosecond per edge, and 20 for each weight with its check."""
        return 1e-4 + 2e-10 * problem.network.edge_count + 2e-8 * all_weights(problem.network)

    def bytes_needed(self, problem: so.PathCost) -> float:
        """Predict the bytes: a share of every weight in float64, and one layer."""
        network = problem.network
        return 8.0 * (all_weights(network) + all_values(network)) + forward_bytes(network)

    def solve(
        self, problem: so.PathCost, context: so.Context
    ) -> tuple[so.PathCosts, so.Certificate]:
        """Return the shares."""
        network = problem.network
        run = CondensedCosts(network, context)
        total = run.forward()
        shares = run.shares(total) if total.array else no_costs(network)
        answer = so.PathCosts(shares, promised(network))
        return answer, so.PathCostCertificate(problem, answer)


def promised(network: so.Network) -> float:
    """Return the relative error to state; more than usual where sums are extremely long."""
    positions = max(math.prod(shape[1:]) for shape in network.shapes.values())
    return max(PRECISIONS["float64"], 8 * (2 * rounding_room(network) + UNIT * positions))


@dataclass(frozen=True)
class PathCostsTorch(so.Solver[so.PathCost]):
    """As `PathCosts`, with PyTorch's kernels and its automatic derivative.

    Where the entries of one tensor lie too far apart for one power of two, the solver gives up
    and leaves the problem to ``path_costs``.

    Time O(E), memory O(P + V), for a network of E edges and P parameters, with V values between
    layers.

    Parameters
    ----------
    dtype : {"float64", "float32"}
        Precision of the passes; float32 promises the shares to a relative 1e-3 only, less
        than is asked by default, so that its answers are WEAK.
    """

    dtype: str = "float64"

    def __post_init__(self) -> None:
        if self.dtype not in PRECISIONS:
            raise so.ProblemError(
                f"dtype must be one of {sorted(PRECISIONS)}, not {short(self.dtype)}"
            )

    def accepts(self, problem: so.PathCost) -> so.Accepted | so.Refused:
        """Accept layers with float weights."""
        return fits(problem.network, "path_costs takes them")

    def cost(self, problem: so.PathCost) -> float:
        """A second for importing PyTorch, a third of a nanosecond per edge, 20 for each weight."""
        own = 3e-10 * problem.network.edge_count + 2e-8 * all_weights(problem.network)
        return loading_seconds() + own

    def cost_rests_on(self, problem: so.PathCost) -> str:
        """Say whether PyTorch is loaded."""
        return loaded_in_words()

    def bytes_needed(self, problem: so.PathCost) -> float:
        """Predict all weights twice in float64, with their derivatives, and what PyTorch takes."""
        network = problem.network
        return 2.0**21 + 16.0 * (all_weights(network) + all_values(network))

    def solve(
        self, problem: so.PathCost, context: so.Context
    ) -> tuple[so.PathCosts, so.Certificate]:
        """Return the shares."""
        from sparseopt_pathnorm.torch_costs import torch_path_costs

        shares: Any = torch_path_costs(problem.network, self.dtype, context)
        tolerance = COARSEST if self.dtype == "float32" else promised(problem.network)
        answer = so.PathCosts(shares, tolerance)
        return answer, so.PathCostCertificate(problem, answer)
