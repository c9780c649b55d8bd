"""A proof of recovery for all supports of one size at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import as_array, as_figure
from sparseopt.interface.certificate import Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_certificate import RecoveryCertificate
from sparseopt.inverse.recovery_columns import largest, moduli
from sparseopt.inverse.recovery_proofs import (
    CLOSE,
    as_evidence,
    largest_sum,
    require_unrounded,
)
from sparseopt.judging.rounding import above, shown_above


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class NullSpaceBoundCertificate(RecoveryCertificate):
    """l1 recovers every k-sparse vector, by one matrix Y.

    Condition: in each column of ``M = 1 - Y^T A`` the k largest magnitudes add up to less than 1/2.

    Proof: ``A h = 0`` gives ``h = M h``, so for any k columns S ``|h_S|_1 <= sum_j |h_j| m_j`` with
    m_j the sum of ``|M_ij|`` over i in S, which is below ``|h|_1 / 2`` if h != 0: the null space
    property of order k (Juditsky, Nemirovski 2011, arXiv:0809.2650). ``Y = A diag(1 / |a_i|^2) / (1
    + mu)`` gives the coherence condition; the best Y is a linear program for each column. Complex
    numbers: the same with ``Y^H`` and moduli.

    Attributes
    ----------
    problem : RecoveryGuarantee
        Of l1, with a sparsity.
    answer : RecoveryVerdict
    multipliers : ndarray of float64 or complex128, shape (m, n)
        Y, for the scaled design.
    constant : float
        The sums are at most this.
    """

    value: ClassVar = "recovers"

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    multipliers: np.ndarray
    constant: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "multipliers", as_evidence(self.multipliers, "multipliers"))
        object.__setattr__(self, "constant", as_figure(self.constant, "constant"))

    @classmethod
    def proved(
        cls, problem: RecoveryGuarantee, multipliers: ArrayLike
    ) -> NullSpaceBoundCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        verdict = cls.verdict(problem, cls._condition)
        made = cls(problem, verdict, as_array(multipliers, "multipliers"), math.inf)
        if made.multipliers.shape != problem.design.shape:
            return made
        # Room for another machine's rounding.
        return cls(problem, verdict, made.multipliers, above(made._largest(), 64) + CLOSE**2)

    _condition = "a bound of all kernel vectors at once"

    def _largest(self) -> float:
        """Return an upper bound of the largest sum of k magnitudes in a column of M."""
        worst, columns = 0.0, self.problem.columns
        for part in columns.parts(most=1024):
            values, bounds = part.correlations(self.multipliers)
            unit = part.entries[:, None] == np.arange(columns.shape[1])
            sizes = moduli(unit - values, bounds)
            # Row j holds |M_ij| for all i, as the conjugate transpose was computed.
            most = np.sort(sizes, axis=1)[:, -self.problem.size :]
            worst = largest([worst, largest_sum(most, np.zeros(1))])
        return worst

    @property
    def claim(self) -> str:
        """What is proved."""
        most = shown_above(self.constant, 4)
        return (
            f"{self.problem.describe()}: always, as {self.problem.size} entries of a vector of the "
            f"kernel are at most {most} of its 1-norm"
        )

    def check(self, steps: Steps) -> None:
        """Compute M, with a bound of its rounding. O(m n^2)."""
        problem = self.problem
        self.require_verdict(steps, self._condition)
        steps.require(problem.method == "l1", "the method is l1")
        steps.require(problem.sparsity is not None, "a sparsity is given")
        require_unrounded(steps, problem)
        shape = self.multipliers.shape
        steps.require(shape == problem.design.shape, "Y is as large as the design", str(shape))
        own = self._largest()
        steps.require(own <= self.constant, f"the sums are at most {self.constant!r}", repr(own))
        steps.require(self.constant < 0.5, "the sums are below 1/2", repr(self.constant))
