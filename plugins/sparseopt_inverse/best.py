"""The most accurate answer of several attempts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparseopt.interface.context import Context
from sparseopt.inverse.building import Evidence, best_evidence
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.duality import ROUGH
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import ScaledProblem

AIM = 1e-14
"""Relative gap at which a search ends unless less was asked for."""


NEARLY = 1.0 - 4e-15
"""Times this, correlations that reach their limits but for rounding do not exceed them."""


class Best:
    """Certifies what it is offered, in scaled units, and keeps the most accurate.

    Attributes
    ----------
    asked : float
        The accuracy that the call asks for.
    """

    def __init__(self, problem: SparseRegression, scaled: ScaledProblem, context: Context) -> None:
        self._problem, self._scaled, self.context = problem, scaled, context
        self.asked = AIM if context.tolerance is None else context.tolerance
        self._made: Evidence | None = None

    @property
    def result(self) -> tuple[Coefficients, DualityGapCertificate]:
        """The answer and its certificate; something was offered before."""
        assert self._made is not None
        answer = Coefficients(self._made.x)
        return answer, DualityGapCertificate(self._problem, answer, *self._made.fields)

    @property
    def rough(self) -> bool:
        """Whether plain arithmetic may prove what is asked."""
        return self.asked > 2.0 * ROUGH

    @property
    def offered(self) -> bool:
        """Whether anything was offered."""
        return self._made is not None

    @property
    def good(self) -> bool:
        """Whether the accuracy is as asked."""
        return self._made is not None and self._made.accuracy <= self.asked

    def offer(
        self, x: np.ndarray, *dual_points: np.ndarray, correlation: np.ndarray | None = None
    ) -> None:
        """Certify coefficients by the best of some dual points, or by their residual.

        The correlation of the columns with the only dual point saves a pass over the design.
        """
        points = [self._scaled.original_dual_point(t) for t in dual_points]
        self._offer(self._scaled.original_coefficients(x), points, correlation)

    def offer_original(self, x: np.ndarray, *points: np.ndarray) -> None:
        """Do the same in the units of the problem."""
        self._offer(x, points, None)

    def _offer(
        self, x: np.ndarray, points: Sequence[np.ndarray], correlation: np.ndarray | None
    ) -> None:
        made = None
        if self.rough:
            made = best_evidence(self._problem, x, points, True, correlation)
        if made is None or made.accuracy > self.asked:
            made = best_evidence(self._problem, x, points, False, correlation)
        self.keep(made)

    def keep(self, made: Evidence) -> None:
        """Keep evidence if it is the most accurate."""
        if self._made is None or made.accuracy < self._made.accuracy:
            self._made = made

    def take(self, other: Best) -> None:
        """Keep what another one found if it is more accurate."""
        if other._made is not None:
            self.keep(other._made)
