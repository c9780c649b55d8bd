"""An analyzer of a problem that sparseopt has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so


@dataclass(frozen=True)
class Selection(so.Analyzer[so.SparseRegression]):
    """Says how many coefficients a lasso selects, and warns if it is none or nearly all.

    Parameters
    ----------
    many : float
        The share of the coefficients from which on a penalty hardly selects.
    """

    many: float = 0.9

    def accepts(self, subject: so.SparseRegression) -> so.Accepted | so.Refused:
        """Take plain L1 penalties."""
        penalty = subject.penalty
        if not isinstance(penalty, so.L1):
            return so.Refused("it takes the L1 penalty only")
        if penalty.weights is not None or penalty.positive or subject.sample_weights is not None:
            return so.Refused("it takes no weights and no signs")
        return so.Accepted()

    def analyze(self, subject: so.SparseRegression, context: so.Context) -> Iterator[so.Finding]:
        """Yield one finding, with the proof of the solution that it rests on."""
        solution = so.solve(subject, seed=context.seed)
        count, selected = len(solution.answer.x), len(solution.answer.support)
        strongest = float(np.max(np.abs(subject.design.T @ subject.target)))
        severity, remedy = so.Severity.INFO, ""
        if selected == 0:
            severity = so.Severity.WARNING
            remedy = f"choose a strength below {strongest:g}, from which on nothing is selected"
        elif selected >= self.many * count:
            severity = so.Severity.WARNING
            remedy = "choose a larger strength, or do without the penalty"
        yield so.Finding(
            "selected-coefficients",
            severity,
            "penalty",
            f"{selected} of {count} coefficients are selected at strength "
            f"{subject.penalty.strength:g}",
            value=selected,
            remedy=remedy,
            certificate=solution.certificate,
        )
