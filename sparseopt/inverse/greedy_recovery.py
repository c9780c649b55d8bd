"""Orthogonal matching pursuit: when it recovers every vector, and vectors that it misses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_counterexamples import as_rationals, require_length
from sparseopt.inverse.recovery_proofs import require_verdict, support_count, supports_of
from sparseopt.judging.exact import eliminate
from sparseopt.judging.integers import as_integers
from sparseopt.judging.rounding import above, float_above

MOST_SUPPORTS = 5000
"""Supports up to which a proof goes through all of one size."""


def exact_gram(design: np.ndarray) -> np.ndarray:
    """Return all inner products of the columns as integers, up to one power of two."""
    whole = as_integers(design)[0][0]
    return np.asarray(whole.T.dot(whole))


def greedy_constant(gram: np.ndarray, support: tuple[int, ...]) -> float:
    """Return an upper bound of ``max_j sum_i |w_i| |a_i| / |a_j|``; infinity if not injective.

    At most a few units above it.
    """
    on = list(support)
    off = [j for j in range(len(gram)) if j not in set(on) and gram[j, j]]
    rows = [[int(v) for v in gram[i, on]] + [int(v) for v in gram[i, off]] for i in on]
    if len(eliminate(rows, len(on))) < len(on):
        return math.inf
    worst = 0.0
    for place, j in enumerate(off):
        total = 0.0
        for row, i in zip(rows, on, strict=True):
            square = Fraction(row[len(on) + place]) ** 2 * Fraction(
                int(gram[i, i]), int(gram[j, j])
            )
            total += above(math.sqrt(float_above(square)), 2)
        worst = max(worst, above(total, len(on) + 1))
    return worst


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class GreedyRecoveryCertificate(Certificate):
    """omp recovers, by the exact recovery condition on every support.

    Condition: A_S is injective and ``sum_i |w_i| |a_i| < |a_j|`` for each j off S with a_j != 0,
    where ``w = pinv(A_S) a_j`` (Tropp 2004, theorem 3.1, for columns of norm 1). Then, as what is
    left to explain lies in the span of A_S, every step takes a column of S that is not used yet.

    There is no evidence: w is computed exactly, over the rationals.
    """

    problem: RecoveryGuarantee
    answer: RecoveryVerdict

    @classmethod
    def proved(cls, problem: RecoveryGuarantee) -> GreedyRecoveryCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        words = f"{problem.method}: {cls._condition(problem)}"
        return cls(problem, RecoveryVerdict("recovers", words))

    @staticmethod
    def _condition(problem: RecoveryGuarantee) -> str:
        where = "the support" if problem.support is not None else "every support of this size"
        return f"exact recovery condition on {where}"

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: always, by this: {self._condition(self.problem)}"

    @property
    def accuracy(self) -> float:
        """A verdict: 0."""
        return 0.0

    def check(self, steps: Steps) -> None:
        """Solve for w over the rationals, support by support."""
        problem = self.problem
        require_verdict(steps, self, problem, "recovers", self._condition(problem))
        steps.require(problem.method == "omp", "the method is omp")
        count = support_count(problem)
        steps.require(count <= MOST_SUPPORTS, f"there are at most {MOST_SUPPORTS} supports")
        gram = exact_gram(problem.design)
        for support in supports_of(problem):
            found = greedy_constant(gram, support)
            if not found < 1.0:
                steps.require(False, "the condition holds", f"{found:.6g} on {list(support)}")
        steps.require(True, f"the exact recovery condition holds on {count} supports")


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class GreedyFailureCertificate(Certificate):
    """omp misses a vector: its first step takes, or may take, a column off the support.

    Let x have as many nonzeros as omp makes steps. If some column off its support has a correlation
    with ``design @ x``, over its norm, at least as large as each of the support, omp may take it
    first. What it finds then lies on other columns than those of x.

    Attributes
    ----------
    problem : RecoveryGuarantee
        Of omp.
    answer : RecoveryVerdict
    vector : object array of int and Fraction, shape (n,)
        x; floats are taken as the rationals that they are.
    """

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    vector: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "vector", as_rationals(self.vector, "vector"))

    @classmethod
    def proved(cls, problem: RecoveryGuarantee, vector: Any) -> GreedyFailureCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        return cls(problem, RecoveryVerdict("fails", f"{problem.method}: {cls._condition}"), vector)

    _condition = "the first step may take a column off the support"

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: not always, as {self._condition}"

    @property
    def accuracy(self) -> float:
        """A verdict: 0."""
        return 0.0

    def check(self, steps: Steps) -> None:
        """Compare squared correlations times squared norms over the rationals."""
        problem, x = self.problem, self.vector
        require_verdict(steps, self, problem, "fails", self._condition)
        steps.require(problem.method == "omp", "the method is omp")
        require_length(steps, problem, x)
        on = [j for j, v in enumerate(x) if v]
        steps.require(len(on) == problem.size, "x has as many nonzeros as omp makes steps",
                      str(len(on)))  # fmt: skip
        if problem.support is not None:
            steps.require(tuple(on) == problem.support, "they are the support")
        if problem.signs is not None:
            signs = tuple(1 if x[j] > 0 else -1 for j in on)
            steps.require(signs == problem.signs, "they have the signs")
        whole = as_integers(problem.design)[0][0]
        target = whole[:, on].dot(x[on])
        pulls, norms = target.dot(whole), (whole * whole).sum(axis=0)
        best = max((Fraction(pulls[i] ** 2, norms[i]) for i in on if norms[i]), default=Fraction(0))
        wins = [j for j in range(len(x)) if j not in set(on) and norms[j]
                and pulls[j] ** 2 >= best * norms[j]]  # fmt: skip
        steps.require(bool(wins), "a column off the support has the largest correlation")
