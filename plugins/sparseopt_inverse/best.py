"""The most accurate answer of several attempts."""

from __future__ import annotations

import numpy as np

from sparseopt.interface.context import Context
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
        self._made: tuple[Coefficients, DualityGapCertificate] | None = None

    @property
    def result(self) -> tuple[Coefficients, DualityGapCertificate]:
        """The answer and its certificate; something was offered before."""
        assert self._made is not None
        return self._made

    @property
    def offered(self) -> bool:
        """Whether anything was offered."""
        return self._made is not None

    @property
    def good(self) -> bool:
        """Whether the accuracy is as asked."""
        return self._made is not None and self._made[1].accuracy <= self.asked

    def offer(self, x: np.ndarray, *dual_points: np.ndarray) -> None:
        """Certify coefficients by the best of some dual points, or by their residual."""
        points = [self._scaled.original_dual_point(t) for t in dual_points]
        x = self._scaled.original_coefficients(x)
        self.offer_original(x, *points)

    def offer_original(self, x: np.ndarray, *points: np.ndarray) -> None:
        """Do the same in the units of the problem."""
        made = None
        if self.asked > 2.0 * ROUGH:
            made = DualityGapCertificate.build(self._problem, x, *points, rough=True)
        if made is None or made[1].accuracy > self.asked:
            made = DualityGapCertificate.build(self._problem, x, *points)
        if self._made is None or made[1].accuracy < self._made[1].accuracy:
            self._made = made

    def take(self, other: Best) -> None:
        """Keep what another one found if it is more accurate."""
        if other.offered and (
            self._made is None or other.result[1].accuracy < self._made[1].accuracy
        ):
            self._made = other.result
