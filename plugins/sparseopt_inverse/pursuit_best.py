"""The most accurate answer to a basis pursuit of several attempts."""

from __future__ import annotations

import math

import numpy as np

from sparseopt import Context, Inconclusive
from sparseopt.inverse.basis_pursuit import BasisPursuit, PursuitAnswer
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.infeasible_certificate import InfeasibleCertificate
from sparseopt.inverse.pursuit_certificate import PursuitCertificate
from sparseopt_inverse.exact_faces import exact_face
from sparseopt_inverse.faces import columns_of

MOST_TRIES = 8
"""Sets of columns on which a problem without noise is solved exactly."""
Made = tuple[PursuitAnswer, PursuitCertificate | InfeasibleCertificate]


class BestPursuit:
    """Certifies what it is offered, in scaled units, and keeps the most accurate.

    Parameters
    ----------
    problem : BasisPursuit
    context : Context
    """

    def __init__(self, problem: BasisPursuit, context: Context) -> None:
        self.problem, self.context = problem, context
        self.fit = Fit(problem.system)
        self.noise = math.ldexp(problem.noise, -self.fit.unit)
        self.asked = 1e-13 if context.tolerance is None else context.tolerance
        self._made: Made | None = None
        self._tried: set[bytes] = set()

    @property
    def good(self) -> bool:
        """Whether the accuracy is as asked."""
        return self._made is not None and self._made[1].accuracy <= self.asked

    @property
    def offered(self) -> bool:
        """Whether anything was certified."""
        return self._made is not None

    @property
    def result(self) -> Made:
        """The best answer; `Inconclusive` if nothing was offered."""
        if self._made is None:
            raise Inconclusive("no vector was found that can be certified")
        return self._made

    def offer(self, x: np.ndarray, w: np.ndarray) -> None:
        """Certify a vector by a dual point."""
        if not (np.isfinite(x).all() and np.isfinite(w).all()):
            return
        x = self.fit.scaled.original_coefficients(x)
        made = PursuitCertificate.build(self.problem, x, self.fit.scaled.joined(w))
        if self._made is None or self._rank(made[1]) < self._rank(self._made[1]):
            self._made = made

    def _rank(self, certificate: PursuitCertificate | InfeasibleCertificate) -> tuple[float, ...]:
        """Return what is to be small: within what was asked, a fit within the noise goes first."""
        accuracy = certificate.accuracy
        if isinstance(certificate, InfeasibleCertificate):
            return accuracy, 0.0, 0.0, accuracy
        beyond, open_ = float(certificate.excess > 0.0), float(not certificate.unique)
        return max(accuracy, self.asked), beyond, open_, accuracy

    @property
    def excess(self) -> float:
        """The misfit of the best beyond the noise."""
        assert self._made is not None
        made = self._made[1]
        return made.excess if isinstance(made, PursuitCertificate) else 0.0

    def is_zero(self) -> bool:
        """Offer 0 where it fits, at the border up to rounding, and say whether it is the answer."""
        if np.linalg.norm(self.fit.target) > self.noise * (1.0 + 1e-15):
            return False
        self.offer(np.zeros(self.fit.scaled.size), np.zeros(self.fit.scaled.rows))
        return self.good

    def offer_only(self, w: np.ndarray | None = None) -> None:
        """Offer the one vector that fits, where the columns are few and exactly independent."""
        size = self.fit.scaled.size
        if self.noise or (self.fit.is_complex and self.problem.norm != 2):
            return
        if size > self.fit.scaled.rows:
            return
        self.offer_exact(np.arange(size), np.zeros(self.fit.scaled.rows) if w is None else w)

    def offer_exact(self, chosen: np.ndarray, w: np.ndarray) -> None:
        """Offer what exact arithmetic makes of some columns, once for each set of them."""
        key = chosen.tobytes()
        if key in self._tried or len(self._tried) >= MOST_TRIES:
            return
        self._tried.add(key)
        columns = columns_of(self.fit, chosen)
        made = exact_face(columns, self.fit.target, w, self.context, self.problem.norm)
        if made is not None:
            found = np.zeros(self.fit.scaled.size)
            found[chosen] = made[0]
            self.offer(found, made[1])
