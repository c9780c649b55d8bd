"""Verdict, proof and pictures for a chain of supports."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.tools.growing.findings import growth_finding

# The curve is drawn at t = 1, 1/2, ..., 2 ** -_HALVINGS.
_HALVINGS = 20


@dataclass(frozen=True)
class ChainClosedness(so.Analyzer[so.Closedness]):
    """Decides closedness and draws the supports, with the window of the proof outlined, and the
    factors that run away along its curve. Where it cannot decide, fits hint whether they would."""

    def accepts(self, subject: so.Closedness) -> so.Accepted | so.Refused:
        """Take every chain."""
        return so.Accepted()

    def analyze(self, subject: so.Closedness, context: so.Context) -> Iterator[so.Finding]:
        """Yield the verdict, and the curve if that is its proof; the hint if there is none."""
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
        if isinstance(solution.certificate, so.NotClosedCertificate):
            yield _curve(solution.certificate)
        if verdict == "unknown":
            where = f"chain of {len(subject.supports)} supports"
            yield growth_finding(subject.supports, where, context)


def _figure(subject: so.Closedness, solution: so.Solution) -> so.SupportFigure:
    names = [f"support {i}" for i in range(len(subject.supports))]
    panels = {name: np.asarray(s) for name, s in zip(names, subject.supports, strict=True)}
    marks: dict[str, list[tuple[int, int]]] = {}
    if isinstance(solution.certificate, so.NotClosedCertificate):
        cells = solution.certificate.marked_cells()
        marks = dict(zip((names[0], names[-1]), cells, strict=True))
    return so.SupportFigure(solution.problem.describe(), panels, marks)


def _curve(certificate: so.NotClosedCertificate) -> so.Finding:
    """Return how near the products come and how large the factors grow as t falls."""
    left, right, observed = certificate.window()
    limit = np.array(certificate.evidence.limit, dtype=object)
    times = [Fraction(1, 2**k) for k in range(_HALVINGS + 1)]
    distances, norms = [], []
    for t in times:
        x = _at(certificate.evidence.left, left.shape, t)
        y = _at(certificate.evidence.right, right.shape, t)
        distances.append(_norm(np.where(observed, x @ y - limit, 0)))
        norms.append(max(_norm(x), _norm(y)))
    # A logarithmic axis has no place for 0.
    drawn = [distance or math.nan for distance in distances]
    return so.Finding(
        "limit-curve",
        so.Severity.INFO,
        f"rows {list(certificate.rows)}, columns {list(certificate.columns)}",
        f"along the curve of the proof, from t = 1 to 2^-{_HALVINGS}, the products come within "
        f"{distances[-1]:.3g} of a matrix that is not a product, and the factors grow to "
        f"{norms[-1]:.3g}",
        {"t": [float(t) for t in times], "distance": distances, "norm": norms},
        figure=so.SeriesFigure(
            "Distance of X(t) Y(t) to its limit, and the larger norm of X(t) and Y(t)",
            "t",
            "Frobenius norm",
            [f"2^-{k}" for k in range(_HALVINGS + 1)],
            {"distance": drawn, "norm of the factors": norms},
            "line",
            log=True,
        ),
    )


def _at(entries: Sequence[Sequence[Any]], shape: tuple[int, int], t: Fraction) -> np.ndarray:
    """Return a factor at t, an object array of rationals."""
    found = np.full(shape, Fraction(0), dtype=object)
    for row, column, terms in entries:
        found[row, column] = sum((Fraction(c) * t**e for e, c in terms.items()), Fraction(0))
    return found


def _norm(matrix: np.ndarray) -> float:
    return math.sqrt(sum(value * value for value in matrix.ravel()))
