"""Orthogonal matching pursuit: when it recovers every vector, and vectors that it misses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_counterexamples import as_rationals, require_length
from sparseopt.inverse.recovery_proofs import require_verdict, support_count, supports_of
from sparseopt.judging.exact import eliminate
from sparseopt.judging.integers import as_integers
from sparseopt.judging.rounding import above, float_above

MOST_SUPPORTS = 5000
"""Supports up to which a proof goes through all of one size."""


@dataclass(frozen=True, eq=False)
class ExactColumns:
    """Inner products of columns as integers, all up to one power of two.

    Those of `columns` with all, and the squared norms.
    """

    inner: dict[int, np.ndarray]
    norms: np.ndarray

    @classmethod
    def of(cls, problem: RecoveryGuarantee) -> ExactColumns:
        """Return the products that the supports of a problem need."""
        whole = as_integers(problem.design)[0][0]
        columns = range(whole.shape[1]) if problem.support is None else problem.support
        inner = {j: whole[:, j].dot(whole) for j in columns}
        return cls(inner, (whole * whole).sum(axis=0))

    def constant(self, support: tuple[int, ...]) -> float:
        """Return an upper bound of ``max_j sum_i |w_i| |a_i| / |a_j|``; infinity if not injective.

        w solves ``A_S^T A_S w = A_S^T a_j``; the bound is at most a few units above.
        """
        on, chosen = list(support), set(support)
        off = [j for j in range(len(self.norms)) if j not in chosen and self.norms[j]]
        rows = [[*self.inner[i][on], *(int(i == j) for j in on)] for i in on]
        if len(eliminate(rows, len(on))) < len(on):
            return math.inf
        inverse = [[Fraction(v) for v in row[len(on) :]] for row in rows]
        shared = math.lcm(*(v.denominator for row in inverse for v in row))
        whole = np.array([[int(v * shared) for v in row] for row in inverse], dtype=object)
        weights = whole.dot(np.array([self.inner[i][off] for i in on], dtype=object))
        worst = 0.0
        for w, norm in zip(weights.T, self.norms[off], strict=True):
            squares = (Fraction(v * v * self.norms[i], shared * shared * norm)
                       for v, i in zip(w, on, strict=True))  # fmt: skip
            total = sum(above(math.sqrt(float_above(v)), 2) for v in squares)
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
        columns = ExactColumns.of(problem)
        for support in supports_of(problem):
            found = columns.constant(support)
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
    column : int
        The column that the first step may take.
    """

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    vector: np.ndarray
    column: int

    def __post_init__(self) -> None:
        if isinstance(self.column, bool) or not isinstance(self.column, int | np.integer):
            raise ProblemError(f"column must be a column number, got {self.column!r}")
        object.__setattr__(self, "column", int(self.column))
        object.__setattr__(self, "vector", as_rationals(self.vector, "vector"))

    @classmethod
    def proved(
        cls, problem: RecoveryGuarantee, vector: Any, column: int
    ) -> GreedyFailureCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        verdict = RecoveryVerdict("fails", f"{problem.method}: {cls._condition}")
        return cls(problem, verdict, vector, column)

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
        inside = 0 <= self.column < len(x) and self.column not in on
        steps.require(inside, "the column is one off the support", str(self.column))
        whole = as_integers(problem.design[:, [*on, self.column]])[0][0]
        shared = math.lcm(*(Fraction(v).denominator for v in x[on]))
        target = whole[:, :-1].dot(np.array([int(v * shared) for v in x[on]], dtype=object))
        pulls, norms = target.dot(whole), (whole * whole).sum(axis=0)
        steps.require(norms[-1] > 0, "the column is not zero")
        wins = all(
            pulls[-1] ** 2 * b >= a**2 * norms[-1] for a, b in zip(pulls, norms, strict=True)
        )
        steps.require(wins, "no column of the support has a larger correlation over its norm")
