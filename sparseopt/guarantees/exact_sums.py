"""Sums over the edges of neurons in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from sparseopt.guarantees.wires import Layer, Wires
from sparseopt.pathnorm.effort import ExactEffort


def exact_sums(wires: Wires, layer: Layer, values: np.ndarray, effort: ExactEffort) -> np.ndarray:
    """Return the sums of a linear layer, (neurons, inputs), from the values of all neurons.

    Raises
    ------
    ProblemError
        If they take too long, with what was spent before.
    """
    result = np.zeros((layer.size, values.shape[1]), dtype=object)
    exact = [Fraction(wires.exact[entry]) for entry in layer.entries.tolist()]
    heads = (layer.heads - layer.start).tolist()
    for head, tail, weight in zip(heads, layer.tails.tolist(), exact, strict=True):
        result[head] += weight * values[tail]
        effort.spend(result[head])
    for row in layer.biased.tolist():
        result[row] += Fraction(wires.exact[layer.bias[row]])
    return result
