"""How products and factors behave along the curve of a proof that supports are not closed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from sparseopt.closedness.chain_limits import ChainLimitCertificate
from sparseopt.closedness.limits import LimitCertificate
from sparseopt.interface.finding import SeriesFigure

HALVINGS = 20
"""The curve is followed at t = 1, 1/2, ..., 2 ** -HALVINGS."""
_ZERO = Fraction(0)

Sparse = dict[tuple[int, int], Fraction]


def limit_curve(certificate: LimitCertificate | ChainLimitCertificate) -> SeriesFigure:
    """Return how near the products come to the limit, and how large the factors grow, as t falls.

    A distance of 0 is NaN: a logarithmic axis has no place for it.
    """
    evidence: Any = certificate.evidence
    limit = {(i, j): v for i, row in enumerate(evidence.limit) for j, v in enumerate(row) if v}
    if isinstance(certificate, LimitCertificate):
        factors: Sequence[Any] = (evidence.left, evidence.right)
        observed = certificate.window()[2]
    else:
        factors = evidence.factors
        observed = np.broadcast_to(np.True_, (len(evidence.rows), len(evidence.columns)))
    distances, norms = [], []
    for k in range(HALVINGS + 1):
        values = [_at(entries, Fraction(1, 2**k)) for entries in factors]
        product = reduce(_product, values)
        cells = [cell for cell in {*product, *limit} if observed[cell]]
        off = _norm(product.get(c, _ZERO) - limit.get(c, _ZERO) for c in cells)
        distances.append(off or math.nan)
        norms.append(max(_norm(value.values()) for value in values))
    names = " and ".join(f"W_{number}(t)" for number in range(1, len(factors) + 1))
    return SeriesFigure(
        "Distance of X(t) Y(t) to its limit, and the larger norm of X(t) and Y(t)"
        if len(factors) == 2
        else f"Distance of the product to its limit, and the largest norm of {names}",
        "t",
        "Frobenius norm",
        [f"2^-{k}" for k in range(HALVINGS + 1)],
        {"distance": distances, "norm of the factors": norms},
        "line",
        log=True,
    )


def _at(entries: Sequence[Sequence[Any]], t: Fraction) -> Sparse:
    """Return the entries of a factor at t."""
    return {
        (row, column): sum((Fraction(c) * t**e for e, c in terms.items()), _ZERO)
        for row, column, terms in entries
    }


def _product(left: Sparse, right: Sparse) -> Sparse:
    """Return the entries of a product."""
    lines: dict[int, list[tuple[int, Fraction]]] = {}
    for (k, j), value in right.items():
        lines.setdefault(k, []).append((j, value))
    found: Sparse = {}
    for (i, k), value in left.items():
        for j, other in lines.get(k, []):
            found[i, j] = found.get((i, j), _ZERO) + value * other
    return found


def _norm(values: Iterable[Fraction]) -> float:
    return math.sqrt(sum(value * value for value in values))
