"""Proofs that every vector of a kind is recovered."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import as_figure
from sparseopt.interface.certificate import CheckFailed, Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.interface.real_arrays import as_real
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_certificate import RecoveryCertificate
from sparseopt.judging.rounding import TINY, above, gamma, shown_above
from sparseopt.judging.scaling import times_power

CLOSE = 2.0**-20
"""How far evidence may be from what it stands for: more would prove no more."""
MOST_SIGNS = 1 << 20
"""Vectors of signs, times the supports, up to which a proof holds one vector for each."""


def product(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``left @ right`` and a bound of each entry's error."""
    terms = left.shape[-1]
    size = np.abs(left) @ np.abs(right)
    # gamma(k) of the true sizes is at most gamma(2 k) of those found, which are off by gamma(k).
    return left @ right, size * gamma(2 * terms + 8) + TINY


def largest_sum(values: np.ndarray, bounds: np.ndarray) -> float:
    """Return an upper bound of the largest row sum of ``|values| + bounds``; 0 for no rows."""
    sums = (np.abs(values) + bounds).sum(axis=1)
    return above(float(sums.max(initial=0.0)), values.shape[1] + 2)


def signs_of(size: int) -> np.ndarray:
    """Return all vectors of `size` signs that begin with +1, one a row."""
    rest = itertools.product((1.0, -1.0), repeat=size - 1)
    return np.array([(1.0, *row) for row in rest])


def supports_of(problem: RecoveryGuarantee) -> Iterator[tuple[int, ...]]:
    """Yield the supports of the largest size that the problem speaks of."""
    if problem.support is not None:
        return iter((problem.support,))
    return itertools.combinations(range(problem.design.shape[1]), problem.size)


def support_count(problem: RecoveryGuarantee) -> int:
    """Return how many these are."""
    return 1 if problem.support is not None else math.comb(problem.design.shape[1], problem.size)


def split(problem: RecoveryGuarantee, support: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the scaled columns on a support, and the others."""
    rest = np.ones(problem.design.shape[1], dtype=bool)
    rest[list(support)] = False
    return problem.scaled[:, list(support)], problem.scaled[:, rest]


def require_unrounded(steps: Steps, problem: RecoveryGuarantee) -> None:
    """Require that the design was scaled without a loss."""
    back = times_power(problem.scaled, problem.exponent)
    steps.require(
        np.array_equal(back, problem.design), "no entry is so small that scaling it loses digits"
    )


def coherence(problem: RecoveryGuarantee) -> float:
    """Return an upper bound of the coherence that counts for the problem's method.

    Of ``|a_i.a_j| / |a_i|^2`` for l1, where a column's size matters, of ``|a_i.a_j| / (|a_i|
    |a_j|)`` for omp, where it does not, largest over i != j; infinity if a column is zero.
    O(m n^2).
    """
    design = problem.scaled
    gram, bounds = product(design.T, design)
    low = np.diag(gram) - np.diag(bounds)
    if not (low > 0.0).all():
        return math.inf
    most = np.abs(gram) + bounds
    np.fill_diagonal(most, 0.0)
    with np.errstate(over="ignore", under="ignore"):
        scale = low[:, None] if problem.method == "l1" else np.sqrt(low)[:, None] * np.sqrt(low)
        # The least normal number: a quotient that underflowed is below it.
        return above(float((most / scale).max()), 8) + TINY


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class CoherenceCertificate(RecoveryCertificate):
    """Every k-sparse vector is recovered, because columns are close to orthogonal.

    Condition: ``k < (1 + 1/mu) / 2``, mu the largest ``|a_i.a_j|`` over ``|a_i|^2`` for l1, over
    ``|a_i| |a_j|`` for omp, i != j (Donoho, Huo 2001; Tropp 2004, theorem 3.5 and corollary 3.6,
    for columns of one norm, where the two are the same).

    Proof for l1 and any norms: ``design @ h = 0`` gives ``|a_i|^2 h_i = -sum_j a_i.a_j h_j``, so
    ``|h_i| <= mu (|h|_1 - |h_i|)`` and ``|h_S|_1 <= k mu / (1 + mu) |h|_1 < |h|_1 / 2``. For omp
    the norms cancel.

    Attributes
    ----------
    problem : RecoveryGuarantee
    answer : RecoveryVerdict
    coherence : float
        mu is at most this.
    """

    value: ClassVar = "recovers"

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    coherence: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "coherence", as_figure(self.coherence, "coherence"))

    @classmethod
    def proved(cls, problem: RecoveryGuarantee) -> CoherenceCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        condition = cls._condition(problem)
        found = above(coherence(problem), 4)
        return cls(problem, cls.verdict(problem, condition), found)

    @staticmethod
    def _condition(problem: RecoveryGuarantee) -> str:
        return f"{problem.size} < (1 + 1 / coherence) / 2"

    @property
    def claim(self) -> str:
        """What is proved."""
        most = shown_above(self.coherence, 4)
        return f"{self.problem.describe()}: always, as the coherence is at most {most}"

    def check(self, steps: Steps) -> None:
        """Compute the coherence, with a bound of its rounding."""
        problem = self.problem
        self.require_verdict(steps, self._condition(problem))
        require_unrounded(steps, problem)
        own = coherence(problem)
        steps.require(
            own <= self.coherence, f"the coherence is at most {self.coherence!r}", repr(own)
        )
        steps.require(
            above((2 * problem.size - 1) * self.coherence) < 1.0,
            f"{problem.size} is less than (1 + 1 / coherence) / 2",
        )


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class ExactRecoveryCertificate(RecoveryCertificate):
    """l1 recovers every vector on a set T of columns, by one matrix for all signs.

    Condition: with W of T's columns, ``R = 1 - A_T^T W`` and the largest sums of absolute values in
    a row, ``max_j |A_j^T W|_1 + |R|_inf < 1`` over j off T. For ``W = pinv(A_T)^T``, where R = 0,
    it is the exact recovery condition (Tropp 2004, theorem 3.3); other W may prove more.

    Proof: let ``A h = 0``, h != 0, and s the signs of h on T. Then ``s.h_T = (A_T^T W s + R s).h_T
    <= |A_rest^T W s|_inf |h_rest|_1 + |R|_inf |h_T|_1``; with t and r the two terms of the
    condition ``(1 - r) |h_T|_1 <= t |h_rest|_1``, and t < 1 - r. If h_rest = 0 then h = 0.

    Attributes
    ----------
    problem : RecoveryGuarantee
        Of l1.
    answer : RecoveryVerdict
    inverse : ndarray of float64, shape (m, |T|)
        W, for the scaled design. T is the support; or all columns, where there are n of W's: then
        the design is injective.
    """

    value: ClassVar = "recovers"

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    inverse: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "inverse", as_real(self.inverse, "inverse", 2))

    @classmethod
    def proved(cls, problem: RecoveryGuarantee, inverse: ArrayLike) -> ExactRecoveryCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        inverse = as_real(inverse, "inverse", 2)
        condition = cls._condition(problem, inverse)
        return cls(problem, cls.verdict(problem, condition), inverse)

    @staticmethod
    def _condition(problem: RecoveryGuarantee, inverse: np.ndarray) -> str:
        if inverse.shape[1] == problem.design.shape[1]:
            return "the design is injective"
        return "exact recovery condition on the support"

    @property
    def claim(self) -> str:
        """What is proved."""
        words = self._condition(self.problem, self.inverse)
        return f"{self.problem.describe()}: always, by this: {words}"

    def check(self, steps: Steps) -> None:
        """Compute both terms of the condition, with bounds of their rounding. O(m n |T|)."""
        problem, w = self.problem, self.inverse
        self.require_verdict(steps, self._condition(problem, w))
        steps.require(problem.method == "l1", "the method is l1")
        require_unrounded(steps, problem)
        m, n = problem.design.shape
        support = tuple(range(n)) if w.shape[1] == n else problem.support
        steps.require(support is not None, "the support is given, or all columns are meant")
        assert support is not None
        steps.require(
            w.shape == (m, len(support)), "W has one column for each of the set", str(w.shape)
        )
        on, off = split(problem, support)
        values, bounds = product(on.T, w)
        defect = largest_sum(np.eye(len(support)) - values, bounds + 4.0 * TINY)
        reach = largest_sum(*product(off.T, w))
        steps.require(defect <= CLOSE, "W is an inverse of the columns", f"{defect:.3g}")
        steps.require(
            above(defect + reach, 2) < 1.0,
            "the correlations off the set and the defect of W add up to less than 1",
            f"{reach:.6g} and {defect:.3g}",
        )


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class DualVectorsCertificate(RecoveryCertificate):
    """l1 recovers, by a dual vector for each support and each vector of signs.

    Condition for signs s on S and a vector nu, with ``e = A_S^T nu - s``: the constant ``c = t +
    |e|_inf`` is below 1, t the largest ``|A_j^T nu|`` over j off S. It bounds the null space
    constant, the largest ``|h_S|_1 / |h_rest|_1``, as ``t / (1 - |e|_inf) <= c``.

    Proof: let ``A h = 0``, h != 0 and s the signs of h on S (any where h vanishes). Then ``|h_S|_1
    = s.h_S = -A_rest^T nu.h_rest - e.h_S <= t |h_rest|_1 + |e|_inf |h_S|_1``, so ``|h_S|_1 <
    |h_rest|_1``, also if h_rest = 0. As h and -h are the same, signs that begin with +1 suffice.

    For one vector of signs the columns must be injective as well, which W shows: ``R = 1 - A_S^T
    W`` has ``|R|_inf < 1``. With ``c = (1 - R)^-1 e`` the vector ``nu - W c`` has ``A_S^T`` of it
    equal to s, and correlations off S of at most ``t + max_j |A_j^T W|_1 |e|_inf / (1 - |R|_inf)``,
    which must be less than 1 (Fuchs 2004; Foucart, Rauhut 2013, theorem 4.26).

    Attributes
    ----------
    problem : RecoveryGuarantee
        Of l1.
    answer : RecoveryVerdict
    vectors : ndarray of float64, shape (count, m)
        For the scaled design. The supports of one size in lexicographic order, and for each the
        signs that begin with +1, likewise, + before -; or one vector for the signs of the problem.
    inverse : ndarray of float64, shape (m, |S|), or None
        W, where signs are given.
    constant : float
        The largest constant of all is at most this.
    """

    value: ClassVar = "recovers"

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    vectors: np.ndarray
    inverse: np.ndarray | None
    constant: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "vectors", as_real(self.vectors, "vectors", 2))
        if self.inverse is not None:
            object.__setattr__(self, "inverse", as_real(self.inverse, "inverse", 2))
        object.__setattr__(self, "constant", as_figure(self.constant, "constant"))

    @classmethod
    def proved(
        cls, problem: RecoveryGuarantee, vectors: Any, inverse: Any = None
    ) -> DualVectorsCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        verdict = cls.verdict(problem, cls._condition(problem))
        made = cls(problem, verdict, vectors, inverse, math.inf)
        try:
            found = made._bound(Steps())
        except CheckFailed:
            return made
        # Room for another machine's rounding.
        return cls(problem, verdict, made.vectors, made.inverse, above(found, 64) + CLOSE**2)

    @staticmethod
    def _condition(problem: RecoveryGuarantee) -> str:
        if problem.signs is not None:
            return "a dual vector for these signs"
        if problem.support is not None:
            return "a dual vector for all signs on the support"
        return "the null space constant is below 1"

    @property
    def claim(self) -> str:
        """What is proved."""
        words = f"{self._condition(self.problem)} (at most {shown_above(self.constant, 4)})"
        return f"{self.problem.describe()}: always, by this: {words}"

    def check(self, steps: Steps) -> None:
        """Compute all correlations, with bounds of their rounding. O(count m n)."""
        self.require_verdict(steps, self._condition(self.problem))
        own = self._bound(steps)
        steps.require(
            own <= self.constant < math.inf, f"the constant is at most {self.constant!r}", repr(own)
        )

    def _bound(self, steps: Steps) -> float:
        """Return the largest constant, required to be below 1."""
        problem, worst = self.problem, 0.0
        steps.require(problem.method == "l1", "the method is l1")
        require_unrounded(steps, problem)
        single = problem.signs is not None
        each = 1 if single else 2 ** min(problem.size - 1, 64)
        count = each * support_count(problem)
        steps.require(count <= MOST_SIGNS, f"there are at most {MOST_SIGNS} vectors of signs")
        m = problem.design.shape[0]
        steps.require(
            self.vectors.shape == (count, m),
            f"there are {count} vectors of {m} entries",
            str(self.vectors.shape),
        )
        steps.require((self.inverse is not None) == single, "W is there if signs are given")
        signs = np.array([problem.signs], dtype=float) if single else signs_of(problem.size)
        for i, support in enumerate(supports_of(problem)):
            found = self._largest(steps, signs, self.vectors[i * each : (i + 1) * each], support)
            if not found < 1.0:  # also where it is no number
                steps.require(False, "a dual vector proves it", f"{found:.6g} on {list(support)}")
            worst = max(worst, found)
        steps.require(
            True,
            f"all {count} dual vectors prove it: correlations off the support, "
            "with what the signs are missed by, are below 1",
        )
        return worst

    def _largest(
        self, steps: Steps, signs: np.ndarray, vectors: np.ndarray, support: tuple[int, ...]
    ) -> float:
        """Return the largest constant of all signs on one support."""
        on, off = split(self.problem, support)
        values, bounds = product(vectors, on)
        miss = float((np.abs(values - signs) + bounds).max()) + TINY
        if not miss <= CLOSE:
            steps.require(False, "a dual vector meets its signs", f"{miss:.3g} on {list(support)}")
        values, bounds = product(vectors, off)
        reach = float((np.abs(values) + bounds).max(initial=0.0))
        if self.inverse is not None:
            miss *= self._correction(steps, on, off)
        return above(above(miss, 8) + above(reach, 4), 2)

    def _correction(self, steps: Steps, on: np.ndarray, off: np.ndarray) -> float:
        """Return how far correlations off the support move for each unit that signs are missed."""
        w = self.inverse
        assert w is not None
        steps.require(w.shape == on.shape, "W has one column for each of the support", str(w.shape))
        values, bounds = product(on.T, w)
        defect = largest_sum(np.eye(on.shape[1]) - values, bounds + 4.0 * TINY)
        steps.require(
            defect <= CLOSE, "the columns of the support are injective, by W", f"{defect:.6g}"
        )
        return above(largest_sum(*product(off.T, w)) / (1.0 - defect), 8)
