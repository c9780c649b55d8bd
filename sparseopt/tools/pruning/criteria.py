"""Scores of weights: the lowest are pruned first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sparseopt.choosing.solving import solve
from sparseopt.interface.errors import ProblemError
from sparseopt.networks.network import Network
from sparseopt.pathnorm.path_cost import PathCost, weight_names
from sparseopt.tools.rescaling.balance import canonical_factors, living_weights
from sparseopt.tools.rescaling.factors import rescaled
from sparseopt.tools.rescaling.groups import RescalingGroups

Scores = Mapping[str, np.ndarray]


def path_cost(network: Network, seed: int) -> Scores:
    """Return the share of the L1 path-norm through each weight; no rescaling changes it."""
    return solve(PathCost(network)).answer.shares  # type: ignore[no-any-return]


def magnitude(network: Network, seed: int) -> Scores:
    """Return absolute values; they depend on the scale of each hidden unit."""
    arrays = network.parameters()
    return {name: np.abs(arrays[name]) for name in weight_names(network)}


def canonical_magnitude(network: Network, seed: int) -> Scores:
    """Return absolute values in the canonical form; no rescaling changes them, to rounding.

    Weights on no path from the input or a bias to the output score 0: the function is the same
    without them.
    """
    groups = RescalingGroups(network)
    scales = np.concatenate([[1.0], canonical_factors(groups)])
    living = living_weights(groups)
    found = magnitude(rescaled(groups, scales), seed)
    return {name: np.where(living[name], values, 0) for name, values in found.items()}


def random(network: Network, seed: int) -> Scores:
    """Return random numbers."""
    generator = np.random.default_rng(seed)
    arrays = network.parameters()
    return {name: generator.random(arrays[name].shape) for name in weight_names(network)}


@dataclass(frozen=True)
class Criterion:
    """A way to score weights.

    Attributes
    ----------
    scores : callable(network, seed)
        Returns the scores by parameter.
    invariant : bool
        Whether no positive rescaling of hidden units changes which weights score lowest; a law
        that the tests hold it to, on networks with dead, tied and unbalanced units.
    """

    scores: Callable[[Network, int], Scores]
    invariant: bool


CRITERIA: dict[str, Criterion] = {
    "path_cost": Criterion(path_cost, invariant=True),
    "magnitude": Criterion(magnitude, invariant=False),
    "canonical_magnitude": Criterion(canonical_magnitude, invariant=True),
    "random": Criterion(random, invariant=True),
}


def scores(network: Network, criterion: str, seed: int) -> Scores:
    """Return the scores of all prunable weights by parameter, ``"node.weight"``."""
    if criterion not in CRITERIA:
        raise ProblemError(f"criterion must be one of {', '.join(CRITERIA)}, not {criterion!r}")
    return CRITERIA[criterion].scores(network, seed)


def lowest(values: np.ndarray, zero: np.ndarray, count: int) -> np.ndarray:
    """Return a mask of the `count` lowest of a vector; zeros first, then ties in order."""
    result = np.zeros(len(values), dtype=bool)
    if count <= 0:
        return result
    ranked = np.where(zero, -1.0, values.astype(np.float64))
    if count >= len(values):
        result[:] = True
        return result
    threshold = np.partition(ranked, count - 1)[count - 1]
    result[ranked < threshold] = True
    ties = np.flatnonzero(ranked == threshold)
    result[ties[: count - int(result.sum())]] = True
    return result
