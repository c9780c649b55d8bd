"""Products of factors before and after quantization, with inner scales that agree.

Only the product of the factors of a layer counts, and its quantization may multiply the values into
an inner unit by any number and divide those out of it. A bound that compares value by value sees a
large change where there is none, so the units between the factors of the layer as it was are
rescaled to what those of the quantized one have. This changes no function.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from sparseopt.networks.network import Network
from sparseopt.tools.rescaling.factors import rescaled
from sparseopt.tools.rescaling.groups import PINNED, RescalingGroups


def alignment(
    reference: Network, quantized: Network, constants: Collection[str]
) -> tuple[Network, np.ndarray]:
    """Return the reference with units between `constants`, parameters, rescaled; the factors."""
    groups = RescalingGroups(reference)
    inner = _between(groups, constants)
    before, after = reference.parameters(), quantized.parameters()
    logs = np.zeros(groups.count + 1)
    for node, layer in groups.layers.items():
        name = f"{node}.weight"
        chosen = layer[inner[layer]]
        if name not in constants or not len(chosen):
            continue
        old, new = np.abs(before[name]), np.abs(after[name]).astype(np.float64)
        head, tail = (np.broadcast_to(labels, old.shape) for labels in groups.weights[name])
        both = (old > 0) & (new > 0)
        apart = np.log(new[both]) - np.log(old[both]) + logs[tail[both]]
        _set_medians(logs, chosen, head[both], apart)
    factors = np.exp(logs)
    return rescaled(groups, factors), factors


def _between(groups: RescalingGroups, constants: Collection[str]) -> np.ndarray:
    """Return which groups have no weights at either end, and no biases, but these."""
    inner = np.ones(groups.count + 1, dtype=bool)
    inner[PINNED] = False
    for name, (head, tail) in groups.weights.items():
        if name not in constants:
            inner[head] = inner[tail] = False
    for labels in groups.biases.values():
        inner[labels] = False
    return inner


def _set_medians(
    logs: np.ndarray, chosen: np.ndarray, labels: np.ndarray, values: np.ndarray
) -> None:
    """Set entries to the medians of the values with their labels, where there are any."""
    order = np.lexsort((values, labels))
    labels, values = labels[order], values[order]
    starts = np.searchsorted(labels, chosen, "left")
    stops = np.searchsorted(labels, chosen, "right")
    some = stops > starts
    lower = values[np.minimum((starts + stops - 1) // 2, len(values) - 1)] if len(values) else 0.0
    upper = values[np.minimum((starts + stops) // 2, len(values) - 1)] if len(values) else 0.0
    logs[chosen] = np.where(some, (lower + upper) / 2, logs[chosen])
