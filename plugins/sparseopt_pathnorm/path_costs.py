"""The path cost of every weight by one pass forward and one backward."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.judging.rounding import UNIT
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Operator
from sparseopt.pathnorm.path_cost import COARSEST, no_costs, weight_names
from sparseopt.pathnorm.plain import rounding_room
from sparseopt_pathnorm.one_pass import PRECISIONS
from sparseopt_pathnorm.rationals import as_floats
from sparseopt_pathnorm.torch_fitness import fits

Scaled = tuple[np.ndarray, int]


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
        total, exponent = run.forward()
        shares = no_costs(network) if total == 0.0 else run.shares(total, exponent)
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

    def forward(self) -> tuple[float, int]:
        """Return the norm as (m, e)."""
        ones = np.ones((1, *self._network.input_shape))
        value, exponent = self._network.walk((ones, 0), self._visit)
        return float(value.sum()), exponent

    def _visit(self, node: Node, values: list[Scaled]) -> Scaled:
        self._context.check_time(f"passing layer {node.name!r}")
        shifts: list[int] = []

        def size(array: np.ndarray) -> np.ndarray:
            mantissa, shift = sizes_of(array)
            shifts.append(shift)
            return mantissa

        op = node.op.mapped(size)
        arrays, exponent = aligned(values)
        self._layers[node.name] = (op, sum(shifts))
        self._entering[node.name] = [(a, exponent) for a in arrays]
        result: Scaled = (op.propagate(arrays), exponent + sum(shifts))
        offset = node.op.offset()
        if offset is not None and np.any(offset):
            sizes, shift = sizes_of(offset)
            shape = (1,) * (result[0].ndim - sizes.ndim) + sizes.shape
            wide = np.broadcast_to(sizes.reshape(shape), result[0].shape)
            result = added([result, (wide, shift)])
        return scaled(*result)

    def shares(self, total: float, exponent: int) -> dict[str, np.ndarray]:
        """Return the shares of the norm (m, e), by a pass backwards."""
        network = self._network
        names = {node: name for name, node in weight_names(network).items()}
        ones = np.full((1, *network.output_shape), 1.0 / total)
        pending: dict[str, list[Scaled]] = {network.output: [(ones, -exponent)]}
        result = {}
        for node in reversed(network.nodes[1:]):
            if node.name not in network.used:
                continue
            self._context.check_time(f"passing layer {node.name!r} backwards")
            value, power = scaled(*added(pending.pop(node.name)))
            op, shift = self._layers[node.name]
            entering = self._entering.pop(node.name)
            if node.name in names:
                arrays, above = [x for x, _ in entering], entering[0][1]
                gradient = op.weight_adjoint(value, arrays)  # type: ignore[attr-defined]
                share = op.parameters()["weight"] * gradient
                result[names[node.name]] = np.ldexp(share, power + shift + above)
            shapes = [network.shapes[name] for name in node.inputs]
            for name, back in zip(node.inputs, op.adjoint(value, shapes), strict=True):
                pending.setdefault(name, []).append((back, power + shift))
        return {name: result[name] for name in weight_names(network)}


def sizes_of(array: np.ndarray) -> Scaled:
    """Return absolute values, of floats or exact numbers."""
    if array.dtype == object:
        return scaled(*as_floats(array))
    return scaled(np.asarray(np.abs(array), dtype=np.float64), 0)


def scaled(array: np.ndarray, exponent: int) -> Scaled:
    """Return the same number with its largest entry in [1/2, 1)."""
    top = float(array.max(initial=0.0))
    shift = math.frexp(top)[1] if top > 0.0 else 0
    return np.ldexp(array, -shift), exponent + shift


def aligned(values: list[Scaled]) -> tuple[list[np.ndarray], int]:
    """Return the arrays under one exponent."""
    parts = [scaled(*value) for value in values]
    common = max((e for a, e in parts if a.any()), default=0)
    return [np.ldexp(a, max(e - common, -2000)) if a.any() else a for a, e in parts], common


def added(values: list[Scaled]) -> Scaled:
    arrays, exponent = aligned(values)
    return sum(arrays[1:], start=arrays[0]), exponent


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
