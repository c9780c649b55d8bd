"""The path cost of every weight by one pass forward and one backward."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.judging.rounding import UNIT
from sparseopt.judging.scaling import ScaledArray
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Operator
from sparseopt.pathnorm.path_cost import COARSEST, no_costs, weight_names
from sparseopt.pathnorm.plain import rounding_room
from sparseopt_pathnorm.one_pass import PRECISIONS
from sparseopt_pathnorm.scaled_sums import Scaled, added, aligned, normal, sizes_of
from sparseopt_pathnorm.torch_fitness import fits


@dataclass(frozen=True)
class PathCosts(so.Solver[so.PathCost]):
    """The network with absolute weights, forward from ones and backward from ones.

    Takes every problem, in float64 with a power of two per tensor; all values between layers are
    kept. Source: Gonon et al., arXiv 2405.15006, section 5.
    """

    def accepts(self, problem: so.PathCost) -> so.Accepted | so.Refused:
        """Accept everything."""
        return so.Accepted()

    def cost(self, problem: so.PathCost) -> float:
        """About two nanoseconds per edge."""
        return 1e-4 + 2e-9 * problem.network.edge_count

    def solve(
        self, problem: so.PathCost, context: so.Context
    ) -> tuple[so.PathCosts, so.Certificate]:
        """Return the shares."""
        network = problem.network
        run = _Passes(network, context)
        total = run.forward()
        shares = run.shares(total) if total.array else no_costs(network)
        answer = so.PathCosts(shares, promised(network))
        return answer, so.PathCostCertificate(problem, answer)


def promised(network: so.Network) -> float:
    """Return the relative error to state; more than usual where sums are extremely long."""
    positions = max(math.prod(shape[1:]) for shape in network.shapes.values())
    return max(PRECISIONS["float64"], 8 * (2 * rounding_room(network) + UNIT * positions))


class _Passes:
    """Values of one network: what enters each layer, with absolute weights."""

    def __init__(self, network: so.Network, context: so.Context) -> None:
        self._network = network
        self._context = context
        self._layers: dict[str, tuple[Operator, int]] = {}
        self._entering: dict[str, list[Scaled]] = {}

    def forward(self) -> ScaledArray[float]:
        """Return the norm."""
        ones = np.ones((1, *self._network.input_shape))
        value = self._network.walk(Scaled(ones, 0), self._visit)
        return ScaledArray(float(value.array.sum()), value.exponent)

    def _visit(self, node: Node, values: list[Scaled]) -> Scaled:
        self._context.check_time(f"passing layer {node.name!r}")
        shifts: list[int] = []

        def size(array: np.ndarray) -> np.ndarray:
            found = sizes_of(array)
            shifts.append(found.exponent)
            return found.array

        op = node.op.mapped(size)
        arrays, exponent = aligned(values)
        self._layers[node.name] = (op, sum(shifts))
        self._entering[node.name] = [Scaled(a, exponent) for a in arrays]
        result = Scaled(op.propagate(arrays), exponent + sum(shifts))
        offset = node.op.offset()
        if offset is not None and np.any(offset):
            sizes = sizes_of(offset)
            shape = (1,) * (result.array.ndim - sizes.array.ndim) + sizes.array.shape
            wide = np.broadcast_to(sizes.array.reshape(shape), result.array.shape)
            result = added([result, Scaled(wide, sizes.exponent)])
        return normal(result)

    def shares(self, total: ScaledArray[float]) -> dict[str, np.ndarray]:
        """Return the shares of the norm, by a pass backwards."""
        network = self._network
        names = {node: name for name, node in weight_names(network).items()}
        ones = np.full((1, *network.output_shape), 1.0 / total.array)
        pending: dict[str, list[Scaled]] = {network.output: [Scaled(ones, -total.exponent)]}
        result = {}
        for node in reversed(network.nodes[1:]):
            if node.name not in network.used:
                continue
            self._context.check_time(f"passing layer {node.name!r} backwards")
            value = normal(added(pending.pop(node.name)))
            op, shift = self._layers[node.name]
            entering = self._entering.pop(node.name)
            if node.name in names:
                arrays, above = [x.array for x in entering], entering[0].exponent
                gradient = op.weight_adjoint(value.array, arrays)  # type: ignore[attr-defined]
                share = op.parameters()["weight"] * gradient
                result[names[node.name]] = np.ldexp(share, value.exponent + shift + above)
            shapes = [network.shapes[name] for name in node.inputs]
            for name, back in zip(node.inputs, op.adjoint(value.array, shapes), strict=True):
                pending.setdefault(name, []).append(Scaled(back, value.exponent + shift))
        return {name: result[name] for name in weight_names(network)}


@dataclass(frozen=True)
class PathCostsTorch(so.Solver[so.PathCost]):
    """As `PathCosts`, with PyTorch's kernels and its automatic derivative.

    Where the entries of one tensor lie too far apart for one power of two, the solver gives up
    and leaves the problem to ``path_costs``.

    Parameters
    ----------
    dtype : {"float64", "float32"}
        Precision of the passes; float32 promises the shares to a relative 1e-3 only, less
        than is asked by default, so that its answers are WEAK.
    """

    dtype: str = "float64"

    def __post_init__(self) -> None:
        if self.dtype not in PRECISIONS:
            raise so.ProblemError(f"dtype must be one of {sorted(PRECISIONS)}, not {self.dtype!r}")

    def accepts(self, problem: so.PathCost) -> so.Accepted | so.Refused:
        """Accept layers with float weights."""
        return fits(problem.network, "path_costs takes them")

    def cost(self, problem: so.PathCost) -> float:
        """A second for importing PyTorch, and about a third of a nanosecond per edge."""
        return 1.0 + 3e-10 * problem.network.edge_count

    def solve(
        self, problem: so.PathCost, context: so.Context
    ) -> tuple[so.PathCosts, so.Certificate]:
        """Return the shares."""
        from sparseopt_pathnorm.torch_costs import torch_path_costs

        shares: Any = torch_path_costs(problem.network, self.dtype, context)
        tolerance = COARSEST if self.dtype == "float32" else promised(problem.network)
        answer = so.PathCosts(shares, tolerance)
        return answer, so.PathCostCertificate(problem, answer)
