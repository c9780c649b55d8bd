"""Verdict, proof and pictures for a chain of supports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

import sparseopt as so

# The curve is drawn at t = 1, 1/2, ..., 2 ** -_HALVINGS.
_HALVINGS = 20
_ZERO = Fraction(0)

Sparse = dict[tuple[int, int], Fraction]


@dataclass(frozen=True)
class ChainClosedness(so.Analyzer[so.Closedness]):
    """Decides closedness and draws the supports, with the window of the proof outlined, and the
    factors that run away along its curve."""

    def accepts(self, subject: so.Closedness) -> so.Accepted | so.Refused:
        """Take every chain."""
        return so.Accepted()

    def analyze(self, subject: so.Closedness, context: so.Context) -> Iterator[so.Finding]:
        """Yield the verdict, and the curve if that is its proof."""
        left = context.remaining()
        solution = so.solve(
            subject,
            seed=context.seed,
            progress=context.progress,
            time_limit=None if left == float("inf") else max(left, 1e-3),
        )
        verdict = solution.answer.value
        severity, message, remedy = {
            "closed": (
                so.Severity.OK,
                "the set of products with these supports is closed",
                "",
            ),
            "not_closed": (
                so.Severity.WARNING,
                "the set of products with these supports is not closed: there are matrices that "
                "products approach without reaching, and data sets for which training with these "
                "supports has no optimum",
                "change the outlined entries, or bound the factors by weight decay",
            ),
            "unknown": (
                so.Severity.INFO,
                f"no solver could decide: {solution.answer.reason}",
                "give a larger time limit",
            ),
        }[verdict]
        yield so.Finding(
            f"supports-{verdict.replace('_', '-')}",
            severity,
            f"chain of {len(subject.supports)} supports",
            message,
            {"verdict": verdict, "reason": solution.answer.reason},
            remedy,
            solution.certificate,
            _figure(subject, solution),
        )
        proof = solution.certificate
        if isinstance(proof, so.NotClosedCertificate | so.ChainLimitCertificate):
            yield _curve(proof)


def _figure(subject: so.Closedness, solution: so.Solution) -> so.SupportFigure:
    names = [f"support {i}" for i in range(len(subject.supports))]
    panels = {name: np.asarray(s) for name, s in zip(names, subject.supports, strict=True)}
    marks: dict[str, list[tuple[int, int]]] = {}
    if isinstance(solution.certificate, so.NotClosedCertificate):
        cells = solution.certificate.marked_cells()
        marks = dict(zip((names[0], names[-1]), cells, strict=True))
    return so.SupportFigure(solution.problem.describe(), panels, marks)


def _curve(certificate: so.NotClosedCertificate | so.ChainLimitCertificate) -> so.Finding:
    """Return how near the products come and how large the factors grow as t falls."""
    evidence = certificate.evidence
    limit = {(i, j): v for i, row in enumerate(evidence.limit) for j, v in enumerate(row) if v}
    if isinstance(certificate, so.NotClosedCertificate):
        factors: Sequence[Any] = (certificate.evidence.left, certificate.evidence.right)
        observed = certificate.window()[2]
    else:
        factors = certificate.evidence.factors
        observed = np.broadcast_to(np.True_, (len(evidence.rows), len(evidence.columns)))
    times = [Fraction(1, 2**k) for k in range(_HALVINGS + 1)]
    distances, norms = [], []
    for t in times:
        values = [_at(entries, t) for entries in factors]
        product = reduce(_product, values)
        cells = [cell for cell in {*product, *limit} if observed[cell]]
        distances.append(_norm(product.get(c, _ZERO) - limit.get(c, _ZERO) for c in cells))
        norms.append(max(_norm(value.values()) for value in values))
    # A logarithmic axis has no place for 0.
    drawn = [distance or math.nan for distance in distances]
    names = " and ".join(f"W_{number}(t)" for number in range(1, len(factors) + 1))
    return so.Finding(
        "limit-curve",
        so.Severity.INFO,
        f"rows {list(certificate.rows)}, columns {list(certificate.columns)}",
        f"along the curve of the proof, from t = 1 to 2^-{_HALVINGS}, the products come within "
        f"{distances[-1]:.3g} of a matrix that is not a product, and the factors grow to "
        f"{norms[-1]:.3g}",
        {"t": [float(t) for t in times], "distance": distances, "norm": norms},
        figure=so.SeriesFigure(
            "Distance of X(t) Y(t) to its limit, and the larger norm of X(t) and Y(t)"
            if len(factors) == 2
            else f"Distance of the product to its limit, and the largest norm of {names}",
            "t",
            "Frobenius norm",
            [f"2^-{k}" for k in range(_HALVINGS + 1)],
            {"distance": drawn, "norm of the factors": norms},
            "line",
            log=True,
        ),
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
