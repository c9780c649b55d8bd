"""Ranks over the rationals by exact differences, without any code of `sparseopt.guarantees`."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Relu

STEP = Fraction(1, 2**60)


def rank_of(rows: list[list[Fraction]]) -> int:
    """Return the rank of a matrix by Gauss's elimination."""
    rows, rank = [list(row) for row in rows], 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        top = rows[rank]
        for i in range(rank + 1, len(rows)):
            if rows[i][column]:
                factor = rows[i][column] / top[column]
                rows[i] = [a - factor * b for a, b in zip(rows[i], top, strict=True)]
        rank += 1
    return rank


def exact_network(network: so.Network) -> so.Network:
    """Return a network with its weights as Fractions."""
    turned = np.frompyfunc(Fraction, 1, 1)
    arrays = {
        name: np.asarray(turned(array), object) for name, array in network.parameters().items()
    }
    return network.with_parameters(arrays)


def exact_rank(
    network: so.Network, free: dict[str, np.ndarray], inputs: np.ndarray, ties: Any = ()
) -> int:
    """Return the rank of the derivative at regular inputs: parameters have degree 2 at most, so
    that central differences with a small step are exact."""
    held = exact_network(network)
    x = np.asarray(np.frompyfunc(Fraction, 1, 1)(inputs), object)
    tied = {name: group for group in ties for name in group}
    columns = []
    for name, mask in free.items():
        if name in tied and name != tied[name][0]:
            continue
        for place in np.argwhere(mask).tolist():
            sides = []
            for step in (STEP, -STEP):
                changed = {}
                for each in tied.get(name, (name,)):
                    array = held.parameters()[each].copy()
                    array[tuple(place)] += step
                    changed[each] = array
                sides.append(held.with_parameters(changed).run(x).ravel())
            columns.append(((sides[0] - sides[1]) / (2 * STEP)).tolist())
    return rank_of([list(row) for row in columns])


def mlp(layers: list[tuple[np.ndarray, np.ndarray | None]]) -> so.Network:
    """Return the multilayer perceptron of weights and biases."""
    ops: list[Any] = []
    for weight, bias in layers:
        ops += [Dense(weight, bias), Relu()]
    return chain((layers[0][0].shape[1],), *ops[:-1])


def is_regular(layers: Any, x: np.ndarray) -> bool:
    """Whether an input is regular for a multilayer perceptron all of whose units have a free bias:
    no pre-activation is 0."""
    h = [Fraction(v) for v in x.tolist()]
    for weight, bias in layers[:-1]:
        z = [
            sum((Fraction(w) * v for w, v in zip(row, h, strict=True)), Fraction(b))
            for row, b in zip(weight, bias, strict=True)
        ]
        if 0 in z:
            return False
        h = [max(value, Fraction(0)) for value in z]
    return True
