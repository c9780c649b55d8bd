"""Verdict, proof and pictures for a chain of supports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.tools.growing.findings import growth_finding
from sparseopt.tools.limit_curve import HALVINGS, limit_curve
from sparseopt.tools.report.numbers import number


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
            progress=context.part(0.0, 0.9),
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
            _where(subject),
            message,
            {"verdict": verdict, "reason": solution.answer.reason},
            remedy,
            solution.certificate,
            _figure(subject, solution),
        )
        proof = solution.certificate
        if isinstance(proof, so.NotClosedCertificate | so.ChainLimitCertificate):
            yield _curve(proof)
        if verdict == "unknown":
            where = _where(subject)
            yield growth_finding(subject.supports, where, context)


def _where(subject: so.Closedness) -> str:
    count = len(subject.supports)
    return "one support" if count == 1 else f"chain of {count} supports"


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
    figure = limit_curve(certificate)
    distances = [d if d == d else 0.0 for d in figure.series["distance"]]
    norms = figure.series["norm of the factors"]
    return so.Finding(
        "limit-curve",
        so.Severity.INFO,
        f"rows {list(certificate.rows)}, columns {list(certificate.columns)}",
        f"along the curve of the proof, from t = 1 to 2^-{HALVINGS}, the products come within "
        f"{number(distances[-1])} of a matrix that is not a product, and the factors grow to "
        f"{number(norms[-1])}",
        {"t": [2.0**-k for k in range(HALVINGS + 1)], "distance": distances, "norm": norms},
        figure=figure,
        key_figures=(
            so.KeyFigure(
                "norm of the factors at the end of the curve", norms[-1], "at its start", norms[0]
            ),
        ),
    )
