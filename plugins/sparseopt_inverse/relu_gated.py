"""Gated training of two-layer networks with one output: a group lasso."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparseopt import (
    Accepted,
    Context,
    GroupL1,
    Inconclusive,
    Refused,
    Solver,
    SparseRegression,
    solve as solve_problem,
)
from sparseopt.interface.errors import UnknownNameError
from sparseopt.interface.plan import SolveError
from sparseopt.judging.figures import ROOMS
from sparseopt.judging.rounding import UNIT
from sparseopt.training.two_layer_bounds import gated_reach
from sparseopt.training.two_layer_certificate import TwoLayerReLUCertificate
from sparseopt.training.two_layer_network import TwoLayerNetwork
from sparseopt.training.two_layer_relu import TwoLayerReLU
from sparseopt_inverse.predicting import BASE


def distinct_gates(problem: TwoLayerReLU) -> np.ndarray:
    """Return the numbers of gates with distinct patterns that let something through."""
    _, first = np.unique(problem.patterns, axis=1, return_index=True)
    return np.sort(first[problem.patterns[:, first].any(axis=0)])


def certified(
    problem: TwoLayerReLU,
    chosen: np.ndarray,
    blocks: np.ndarray,
    points: list[np.ndarray],
    nothing: float = 0.0,
) -> tuple[TwoLayerNetwork, TwoLayerReLUCertificate]:
    """Return the balanced network of some gates' matrices, with the best of some dual points.

    Parameters
    ----------
    problem : TwoLayerReLU
    chosen : ndarray of int, shape (count,)
        Gates.
    blocks : ndarray, shape (count, features, outputs)
        In scaled units.
    points : list of ndarray, shape (samples, outputs)
        In scaled units, feasible or not; at least one.
    nothing : float
        Singular values of that size, relative to the largest of all, are taken for zero.
    """
    units = problem.units()
    assert problem.gates is not None
    hidden, outer, gates = [], [], []
    largest = max((float(np.linalg.norm(block, 2)) for block in blocks), default=0.0)
    for gate, block in zip(chosen, blocks, strict=True):
        u, values, v = np.linalg.svd(block, full_matrices=False)
        for k in np.flatnonzero(values > max(4.0 * UNIT * values[0], nothing * largest)):
            hidden.append(u[:, k] * math.sqrt(values[k]))
            outer.append(v[k] * math.sqrt(values[k]))
            gates.append(problem.gates[:, gate])
    features, outputs = blocks.shape[1:]
    outer_weights = units.original_weights(np.array(outer).reshape(-1, outputs))
    network = TwoLayerNetwork(
        units.original_weights(np.array(hidden).reshape(-1, features).T),
        outer_weights[:, 0] if problem.targets.ndim == 1 else outer_weights,
        np.array(gates).reshape(-1, features).T,
    )
    feasible = [_feasible_multiple(problem, point) for point in points]
    targets = units.targets
    best = max(feasible, key=lambda t: float((targets * t).sum() - 0.5 * (t * t).sum()))
    point = units.original_dual(best).reshape(problem.targets.shape)
    return network, TwoLayerReLUCertificate.build(problem, network, point, None)


def _feasible_multiple(problem: TwoLayerReLU, point: np.ndarray) -> np.ndarray:
    """Return the multiple of a dual point with the best bound among those that are feasible."""
    units = problem.units()
    square, most = float((point * point).sum()), float(gated_reach(problem, point, ROOMS).max())
    if square == 0.0:
        return point
    factor = max(float((units.targets * point).sum()) / square, 0.0)
    if most > 0.0:
        factor = min(factor, units.decay / most)
    shrink = 0.0
    while True:
        scaled = point * (factor * (1.0 - shrink))
        most = float(gated_reach(problem, scaled, ROOMS).max())
        if most <= units.decay:
            return scaled
        if shrink == 1.0:  # not even zero, for which the bound of rounding is left
            raise Inconclusive("the decay is below the bounds of rounding, so nothing is proved")
        shrink = min(2.0 * max(shrink, 1.0 - units.decay / most, 2.0 * UNIT), 1.0)


@dataclass(frozen=True)
class GatedGroupLasso(Solver[TwoLayerReLU]):
    """States gated training as a `SparseRegression` with `GroupL1` and lets the library solve it.

    With the patterns D_k fixed it is ``min 1/2 |sum_k D_k X u_k - y|^2 + decay sum_k |u_k|``; each
    u_k becomes one neuron with hidden and outer weights of equal norm.

    Time O(n d g), memory O(n d g), for n samples of d features and g gates, as the group lasso.

    Parameters
    ----------
    regression : str or None
        The solver of the group lasso, such as "skglm" or "celer". None leaves it to the library
        and the user's preferences.
    """

    regression: str | None = None

    def __post_init__(self) -> None:
        if not (self.regression is None or isinstance(self.regression, str)):
            raise ValueError(f"regression must be the name of a solver, got {self.regression!r}")

    def accepts(self, problem: TwoLayerReLU) -> Accepted | Refused:
        """Refuse problems without gates, and several outputs."""
        if problem.gates is None:
            return Refused("the problem has no gates; exact training has cone constraints")
        if problem.outputs > 1:
            return Refused(
                f"the targets have {problem.outputs} outputs, which makes it a regression with "
                "nuclear norms, not a group lasso"
            )
        return Accepted()

    def solve(
        self, problem: TwoLayerReLU, context: Context
    ) -> tuple[TwoLayerNetwork, TwoLayerReLUCertificate]:
        """Solve the group lasso and turn its answer and dual point into a network and its proof."""
        units = problem.units()
        n, features = units.inputs.shape
        chosen = distinct_gates(problem)
        context.check_time("stating the group lasso")
        if not len(chosen):
            return certified(problem, chosen, np.zeros((0, features, 1)), [units.targets])
        active = problem.patterns[:, chosen]
        design = (active[:, :, None] * units.inputs[:, None, :]).reshape(n, -1)
        groups = np.arange(design.shape[1]).reshape(-1, features).tolist()
        stated = SparseRegression(design, units.targets[:, 0], GroupL1(units.decay, groups))
        asked = None if context.tolerance is None else max(0.5 * context.tolerance, 1e-14)
        limit = None if context.time_limit is None else max(context.remaining(), 1e-3)
        try:
            found = solve_problem(
                stated, self.regression, tolerance=asked, seed=context.seed, time_limit=limit
            )
        except (SolveError, UnknownNameError) as error:
            context.check_time("solving the group lasso")
            raise Inconclusive(f"the group lasso was not solved: {error}") from error
        x = found.answer.x.reshape(-1, features, 1)
        point = np.atleast_2d(found.certificate.dual_point).sum(axis=0)[:, None]
        used = x.any(axis=(1, 2))
        return certified(problem, chosen[used], x[used], [point])

    def cost(self, problem: TwoLayerReLU) -> float:
        """Return seconds, about those of the group lasso."""
        n, d = problem.inputs.shape
        gates = 0 if problem.gates is None else problem.gates.shape[1]
        return 8e-2 + 2.5e-7 * n * d * gates

    def bytes_needed(self, problem: TwoLayerReLU) -> float:
        """Predict the design of the group lasso, and copies of it."""
        n, d = problem.inputs.shape
        gates = 0 if problem.gates is None else problem.gates.shape[1]
        return BASE + 24.0 * n * d * gates
