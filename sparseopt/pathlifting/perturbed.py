"""The derivative of the L1 path-norm when weights are multiplied by 1 + e t, e going to 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sparseopt.network.network import Network, Node
from sparseopt.network.operator import Operator, unchecked
from sparseopt.pathlifting import runs

# Exponents further apart than this do not meet in float64.
_FAR = 2000

Pair = tuple[runs.Runs, np.ndarray]
"""Two samples, path sums and their derivatives, and a power of two for each."""


def perturbed_norms(network: Network, directions: Mapping[str, np.ndarray]) -> float:
    """Return the derivative of ``||Phi||_1`` at e = 0, divided by the norm.

    Parameters
    ----------
    network : Network
    directions : mapping from node name to float64 array
        Nonnegative t, in the shape of the node's weight: the weight becomes w (1 + e t).

    Returns
    -------
    float
        0.0 for a norm of 0.

    Notes
    -----
    One pass through the layers with pairs of values (u, du): a layer with weights W maps them to
    (|W| u + |b|, |W| du + (|W| t) u). All numbers are nonnegative, so nothing cancels.
    """
    ones = runs.Runs.ones(network.input_shape, samples=2)
    ones.array[1] = 0.0
    first: Pair = (ones, np.zeros(2, dtype=np.int64))

    def visit(node: Node, values: list[Any]) -> Pair:
        return _step(node.op, directions.get(node.name), values)

    value, exponents = network.walk(first, visit)
    sums = value.expanded().array.reshape(2, -1).sum(axis=1)
    if sums[0] == 0.0:
        return 0.0
    return math.ldexp(float(sums[1] / sums[0]), int(exponents[1] - exponents[0]))


def _step(op: Operator, direction: np.ndarray | None, values: list[Pair]) -> Pair:
    inputs, exponents = _aligned(values)
    shifts: list[int] = []

    def size(array: np.ndarray) -> np.ndarray:
        mantissa, shift = _scaled(np.asarray(np.abs(array), dtype=np.float64))
        shifts.append(shift)
        return mantissa

    absolute = op.mapped(size)
    result: Pair = (runs.propagate(absolute, inputs), exponents + sum(shifts))
    if direction is not None and np.any(direction):
        mantissa, first = _scaled(direction)
        slope, second = _scaled(absolute.parameters()["weight"] * mantissa)
        shift = first + second + sum(shifts)
        turned = unchecked(absolute, weight=slope)
        only_sums = [x.scaled(x.array[:1]) for x in inputs]
        extra = runs.propagate(turned, only_sums)
        array = np.concatenate([np.zeros_like(extra.array), extra.array])
        added: Pair = (extra.scaled(array), exponents[[0, 0]] + shift)
        result = _sum([result, added])
    offset = op.offset()
    if offset is not None and np.any(offset):
        mantissa, shift = _scaled(np.asarray(np.abs(offset), dtype=np.float64))
        wide = result[0].against(mantissa)
        constant = np.stack([np.broadcast_to(mantissa, wide.array.shape[1:]), 0 * wide.array[1]])
        result = _sum([(wide, result[1]), (wide.scaled(constant), np.array([shift, 0]))])
    return result


def _scaled(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Return (m, e) with ``array = m 2^e`` and largest entry of m in [1/2, 1)."""
    top = float(array.max(initial=0.0))
    shift = math.frexp(top)[1] if top > 0.0 else 0
    return np.ldexp(array, -shift), shift


def _sum(values: list[Pair]) -> Pair:
    inputs, exponents = _aligned(values)
    first, second = inputs
    return first.scaled(first.array + second.array), exponents


def _aligned(values: list[Pair]) -> tuple[list[runs.Runs], np.ndarray]:
    """Return the values under one exponent for each of the two samples."""
    tops = np.array([[float(part.max(initial=0.0)) for part in x.array] for x, _ in values])
    totals = np.array([e for _, e in values]) + np.frexp(tops)[1]
    totals = np.where(tops > 0, totals, np.iinfo(np.int64).min // 2)
    common = totals.max(axis=0)
    common = np.where(tops.max(axis=0) > 0, common, 0)
    result = []
    for x, exponents in values:
        moves = np.maximum(exponents - common, -_FAR)
        moves = np.where(x.array.reshape(2, -1).any(axis=1), moves, 0)
        wide = moves.astype(np.int64).reshape(2, *(1,) * (x.array.ndim - 1))
        result.append(x.scaled(np.ldexp(x.array, wide)))
    return result, common
