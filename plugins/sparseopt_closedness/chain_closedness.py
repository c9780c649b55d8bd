"""Verdict, proof and picture for a chain of supports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so


@dataclass(frozen=True)
class ChainClosedness(so.Analyzer[so.Closedness]):
    """Decides closedness and draws the supports, with the window of the proof outlined."""

    def accepts(self, subject: so.Closedness) -> so.Accepted | so.Refused:
        """Take every chain."""
        return so.Accepted()

    def analyze(self, subject: so.Closedness, context: so.Context) -> Iterator[so.Finding]:
        """Yield the verdict."""
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


def _figure(subject: so.Closedness, solution: so.Solution) -> so.SupportFigure:
    names = [f"support {i}" for i in range(len(subject.supports))]
    panels = {name: np.asarray(s) for name, s in zip(names, subject.supports, strict=True)}
    marks: dict[str, list[tuple[int, int]]] = {}
    if isinstance(solution.certificate, so.NotClosedCertificate):
        cells = solution.certificate.marked_cells()
        marks = dict(zip((names[0], names[-1]), cells, strict=True))
    return so.SupportFigure(solution.problem.describe(), panels, marks)
