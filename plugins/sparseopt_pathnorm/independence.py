"""How many directions of parameters are independent of each other and of rescalings."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

import sparseopt as so
from sparseopt.guarantees.families import Direction
from sparseopt.guarantees.orbit import Scales
from sparseopt.guarantees.wires import Wires
from sparseopt.judging.exact import PRIME, eliminate_modulo

_MOST = 4000


def independent(wires: Wires, scales: Scales, directions: Sequence[Direction]) -> int:
    """Return a number of the directions that are independent of each other and of rescalings.

    A lower bound. Only rescalings that leave all other parameters as they are can lie in the span:
    those that are constant on the classes joined by these. Their rank is that of a graph, exactly;
    the rank of all together is one modulo a prime, which is never more than that over Q.
    """
    moved = sorted({column for each in directions for column in each})
    if len(moved) * len(directions) > _MOST**2:
        raise so.Inconclusive("too many directions to be counted")
    place = {column: i for i, column in enumerate(moved)}
    first = wires.parameters.first
    live = ~wires.is_zero[first]
    still = live.copy()
    still[moved] = False
    size = int(scales.label.max()) + 1
    ends = np.stack([scales.heads, scales.tails])
    part = _parts(ends[:, still], size)
    turned = [column for column in moved if live[column]]
    between = part[ends[:, turned]]
    used = np.unique(between[between != part[0]])
    rows = np.zeros((len(directions) + len(used), len(moved)), dtype=np.int64)
    for row, each in enumerate(directions):
        for column, value in each.items():
            rows[row, place[column]] = _residue(value)
    for column, (head, tail) in zip(turned, between.T.tolist(), strict=True):
        held = _residue(Fraction(wires.exact[first[column]]))
        for end, sign in ((head, 1), (tail, -1)):
            if end != part[0]:
                row = len(directions) + int(np.searchsorted(used, end))
                rows[row, place[column]] = (rows[row, place[column]] + sign * held) % PRIME
    vertices = np.unique([*used, part[0]])
    joined = _parts(np.searchsorted(vertices, between), len(vertices))
    rescalings = len(vertices) - len(np.unique(joined))
    return eliminate_modulo(rows, len(moved)) - rescalings


def _parts(ends: np.ndarray, size: int) -> np.ndarray:
    pairs = coo_array((np.ones(ends.shape[1], dtype=np.int8), tuple(ends)), shape=(size, size))
    label: np.ndarray = connected_components(pairs, directed=False)[1]
    return label


def _residue(value: Fraction) -> int:
    return value.numerator * pow(value.denominator, -1, PRIME) % PRIME
