"""Masks of whole units: neurons and channels, with all that they are coupled to."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.network import Network
from sparseopt.tools.pruning.criteria import Scores
from sparseopt.tools.rescaling.groups import PINNED, RescalingGroups


def scores_of_groups(groups: RescalingGroups, found: Scores) -> np.ndarray:
    """Return for each group, the pinned one first, the sum of the scores of its weights.

    A weight is of the groups at both its ends, and counts once in each.
    """
    totals = np.zeros(groups.count + 1)
    for name, (head, tail) in groups.weights.items():
        if name not in found:
            continue
        values = np.asarray(found[name], dtype=np.float64)
        flat = tuple(a for a in range(values.ndim) if head.shape[a] == tail.shape[a] == 1)
        values = values.sum(axis=flat, keepdims=True)
        into, out = (np.broadcast_to(x, values.shape) for x in (head, tail))
        totals += np.bincount(into.ravel(), values.ravel(), minlength=len(totals))
        other = np.where(into != out, values, 0.0)
        totals += np.bincount(out.ravel(), other.ravel(), minlength=len(totals))
    return totals


def removed_groups(
    groups: RescalingGroups,
    totals: np.ndarray,
    living: np.ndarray,
    ratio: float,
    scope: str,
    layers: Collection[str],
) -> np.ndarray:
    """Return which groups go: the lowest, as long as every layer keeps a unit.

    Parameters
    ----------
    groups : RescalingGroups
    totals : float64 array, shape (1 + groups,)
    living : bool array, shape (1 + groups,)
        Groups with weights in and out; the others go first.
    ratio : float
        Of the groups in the layers, together or layer by layer.
    scope : {"global", "layer"}
    layers : collection of str
        Whose units may go.

    Raises
    ------
    ProblemError
        If there is no such unit, and some should go.
    """
    gone = np.zeros(groups.count + 1, dtype=bool)
    units = {node: set(labels.tolist()) for node, labels in groups.units.items()}
    homes: dict[int, list[str]] = {}
    for node, own in units.items():
        for group in own - {PINNED}:
            homes.setdefault(group, []).append(node)
    left = {node: len(own) for node, own in units.items()}
    firsts = [
        [g for g in found.tolist() if all(node in layers for node in homes[g])]
        for found in groups.layers.values()
    ]
    if ratio > 0 and not any(firsts):
        raise ProblemError(
            "nothing is left to prune: no layer that is chosen has units that may go; those of "
            "inputs and outputs, and all that is coupled to them, stay"
        )
    parts = firsts if scope == "layer" else [[group for part in firsts for group in part]]
    ranked = np.where(living, totals, -np.inf)
    for part in parts:
        due = math.floor(ratio * len(part) + 0.5)
        for group in sorted(part, key=lambda g: (ranked[g], g)):
            if not due:
                break
            if all(left[node] > 1 for node in homes[group]):
                gone[group], due = True, due - 1
                for node in homes[group]:
                    left[node] -= 1
    return gone


def channel_masks(
    network: Network, groups: RescalingGroups, gone: np.ndarray, names: Collection[str]
) -> dict[str, np.ndarray]:
    """Return masks without the weights into and out of the groups that go."""
    arrays = network.parameters()
    result = {}
    for name in names:
        head, tail = groups.weights[name]
        kept = ~(gone[head] | gone[tail])
        result[name] = np.array(np.broadcast_to(kept, arrays[name].shape))
    return result
