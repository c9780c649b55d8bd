"""The data set that goes with a limit of products that is no product."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt.closedness.proofs.laurent import Laurent
from sparseopt.training.repeated_pattern import RepeatedPatternCertificate
from sparseopt.training.sparse_training import SparseTraining

MOST_SAMPLES = 400
MOST_COLUMNS = 6
"""Beyond which a data set is proved to exist, but not written down."""

Row = dict[int, Laurent]


def data_for(problem: SparseTraining, closedness: object) -> RepeatedPatternCertificate | None:
    """Return the certificate with the data set, or None if it would be large.

    Hidden units whose input is negative at the samples get both their signs changed, so that all
    are active and the network is the product along the curve.
    """
    if type(closedness) is not NotClosedCertificate or closedness.evidence.reductions:
        return None
    rows, columns = closedness.evidence.rows, closedness.evidence.columns
    count = _needed(problem, list(columns))
    if count > MOST_SAMPLES or len(columns) > MOST_COLUMNS:
        return None
    second: dict[int, Row] = {}
    for k, j, powers in closedness.evidence.right:
        second.setdefault(k, {})[j] = powers
    for nodes in _nodes(count):
        signs = {k: {_sign(row, s) for s in nodes} for k, row in second.items()}
        if all(len(found) == 1 for found in signs.values()):
            break
    else:
        return None
    sign = {k: found.pop() or 1 for k, found in signs.items()}
    outer = [
        [rows[i], k, {e: sign.get(k, 1) * v for e, v in powers.items()}]
        for i, k, powers in closedness.evidence.left
    ]
    inner = [
        [k, columns[j], {e: sign[k] * v for e, v in powers.items()}]
        for k, j, powers in closedness.evidence.right
    ]
    inputs = [[[q, s**power] for power, q in enumerate(columns, start=1)] for s in nodes]
    limit = closedness.evidence.limit
    targets = []
    for s in nodes:
        values = [sum((v * s**p for p, v in enumerate(row, start=1)), Fraction(0)) for row in limit]
        targets.append([[i, v] for i, v in zip(rows, values, strict=True) if v])
    return RepeatedPatternCertificate.proved(problem, [outer, inner], inputs, targets, closedness)


def _nodes(count: int) -> Iterator[list[Fraction]]:
    """Yield so many points at a time: small integers if they are few, then close ones."""
    if count <= 16:
        yield [Fraction(p) for p in range(1, count + 1)]
    for start in (1, 2, 4, 8, 16, 64, 1024):
        yield [start + Fraction(p * start, count) for p in range(count)]


def _needed(problem: SparseTraining, columns: list[int]) -> int:
    """Return how many samples the proof needs."""
    first, last = problem.supports
    n, affine = len(columns), problem.hidden_biases or problem.output_biases
    units = np.count_nonzero(np.any(last[:, columns], axis=1) & np.any(first, axis=0))
    return (int(units) * (n if problem.hidden_biases else n - 1) + 1) * (n + affine - 1) + 1


def _sign(row: Row, s: Fraction) -> int:
    """Return the sign, for small t > 0, of what a unit sees at the point of s."""
    total: dict[int, Fraction] = {}
    for j, powers in row.items():
        for e, value in powers.items():
            total[e] = total.get(e, Fraction(0)) + value * s ** (j + 1)
    lowest = min((e for e, value in total.items() if value), default=None)
    return 0 if lowest is None else (1 if total[lowest] > 0 else -1)
