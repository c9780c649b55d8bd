"""Scores of weights: the lowest are pruned first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.choosing import offers
from sparseopt.choosing.solving import solve
from sparseopt.interface.context import Context
from sparseopt.interface.errors import ProblemError, UnknownNameError
from sparseopt.interface.printing import short
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
    generator = Context(seed=seed).rng()
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


CriterionLike = str | Callable[[Network], Scores]
"""A name, of `CRITERIA` or of a plugin's `CriterionEntry`, or a function of the network."""


def require_criterion(criterion: CriterionLike) -> str:
    """Return the name of a criterion; `ProblemError` if there is none such, or not here."""
    if callable(criterion):
        return str(getattr(criterion, "__name__", type(criterion).__name__))
    if isinstance(criterion, str) and criterion in CRITERIA:
        return criterion
    _of_plugin(criterion)
    return criterion


def scores(network: Network, criterion: CriterionLike, seed: int, names: Collection[str]) -> Scores:
    """Return the scores of weights by parameter, ``"node.weight"``; of `names` at least."""
    if callable(criterion):
        found = criterion(network)
    elif criterion in CRITERIA:
        return CRITERIA[criterion].scores(network, seed)
    else:
        found = _of_plugin(criterion)(network, seed)
    return checked(network, require_criterion(criterion), found, names)


def _of_plugin(name: Any) -> Callable[[Network, int], Scores]:
    known = {item.name: item for item in offers.registered_criteria()}
    if not isinstance(name, str) or name not in known:
        names = [*CRITERIA, *sorted(set(known) - set(CRITERIA))]
        if isinstance(name, str):
            raise UnknownNameError("criterion", name, names)
        raise ProblemError(
            f"criterion must be one of {', '.join(names)}, or a function of the network, "
            f"not {short(name)}"
        )
    missing = known[name].availability()
    if missing is not None:
        raise ProblemError(
            f"the criterion {name} cannot be used here: {missing.reason}; remedy: {missing.remedy}"
        )
    return known[name].cls  # type: ignore[no-any-return]


def checked(network: Network, name: str, found: Any, names: Collection[str]) -> Scores:
    """Return scores as arrays; refuse those that do not fit the weights, and NaN."""
    if not isinstance(found, Mapping):
        raise ProblemError(
            f"the criterion {name} must return a mapping from parameters, such as "
            f"{next(iter(names))!r}, to arrays of scores; got a {type(found).__name__}"
        )
    arrays = network.parameters()
    result = {}
    for parameter in names:
        if parameter not in found:
            raise ProblemError(f"the criterion {name} gives no scores for {parameter!r}")
        values = np.asarray(found[parameter])
        if values.shape != arrays[parameter].shape or values.dtype.kind not in "biuf":
            raise ProblemError(
                f"the criterion {name} gives {parameter!r} scores of shape {values.shape} and type "
                f"{values.dtype}; real numbers of shape {arrays[parameter].shape} are needed"
            )
        if np.isnan(values).any():
            where = tuple(int(i) for i in np.argwhere(np.isnan(values))[0])
            raise ProblemError(
                f"the criterion {name} gives the score NaN at {list(where)} of {parameter!r}"
            )
        result[parameter] = values.astype(np.float64)
    return result


def lowest(values: np.ndarray, zero: np.ndarray, count: int) -> np.ndarray:
    """Return a mask of the `count` lowest of a vector; zeros first, then ties in order."""
    result = np.zeros(len(values), dtype=bool)
    if count <= 0:
        return result
    ranked = np.where(zero, -np.inf, values.astype(np.float64))
    if count >= len(values):
        result[:] = True
        return result
    threshold = np.partition(ranked, count - 1)[count - 1]
    result[ranked < threshold] = True
    ties = np.flatnonzero(ranked == threshold)
    result[ties[: count - int(result.sum())]] = True
    return result
