"""Proofs that every vector of a kind is recovered."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import as_count, as_figure
from sparseopt.interface.certificate import CheckFailed, Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.interface.real_arrays import as_complex, as_real
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_certificate import RecoveryCertificate
from sparseopt.inverse.recovery_columns import coherence, largest, moduli
from sparseopt.judging.rounding import FUNCTION, above, shown_above

CLOSE = 2.0**-20
"""How far evidence may be from what it stands for: more would prove no more."""
MOST_PHASES = 1024
MOST_SIGNS = 1 << 20
"""Vectors of signs, times the supports, up to which a proof holds one vector for each."""


def largest_sum(values: np.ndarray, bounds: np.ndarray) -> float:
    """Return an upper bound of the largest row sum of ``|values| + bounds``; 0 for no rows."""
    sums = moduli(values, bounds).sum(axis=1)
    return above(float(sums.max(initial=0.0)), values.shape[1] + 2)


def as_evidence(value: Any, name: str) -> np.ndarray:
    """Return a matrix of float64 or, of complex numbers, complex128."""
    is_complex = getattr(value, "dtype", np.dtype(float)).kind == "c"
    return as_complex(value, name, 2) if is_complex else as_real(value, name, 2)


def signs_of(size: int, phases: int = 2) -> np.ndarray:
    """Return all vectors of `size` signs that begin with +1, one a row.

    Of complex numbers those on a grid of so many phases.
    """
    turns = np.exp(2j * np.pi / phases * np.arange(phases))
    values = (1.0, -1.0) if phases == 2 else tuple(turns.tolist())
    return np.array([(1.0, *row) for row in itertools.product(values, repeat=size - 1)])


def between(size: int, phases: int) -> float:
    """Return how far a sign may be from the nearest of a grid of so many phases, at most.

    0 for one column, whose sign may be taken for 1, as h and its multiples are the same here.
    """
    return above(2.0 * math.sin(math.pi / (2 * phases)), 8) if size > 1 else 0.0


def exact_signs(problem: RecoveryGuarantee) -> np.ndarray:
    """Return the signs of a problem that gives them, rounded where they are complex."""
    given = np.array([problem.signs])
    return given / np.abs(given) if problem.is_complex else given.astype(float)


def supports_of(problem: RecoveryGuarantee) -> Iterator[tuple[int, ...]]:
    """Yield the supports of the largest size that the problem speaks of."""
    if problem.support is not None:
        return iter((problem.support,))
    return itertools.combinations(range(problem.design.shape[1]), problem.size)


def support_count(problem: RecoveryGuarantee) -> int:
    """Return how many these are."""
    return 1 if problem.support is not None else math.comb(problem.design.shape[1], problem.size)


def require_unrounded(steps: Steps, problem: RecoveryGuarantee) -> None:
    """Require that the design was scaled without a loss."""
    steps.require(problem.columns.is_unrounded, "no entry is so small that scaling it loses digits")


def defect_of(problem: RecoveryGuarantee, support: tuple[int, ...], w: np.ndarray) -> float:
    """Return an upper bound of the largest row sum of ``1 - A_S^H w``."""
    values, bounds = problem.columns.part(support).correlations(w)
    return largest_sum(np.eye(len(support)) - values, bounds)


def largest_reach(problem: RecoveryGuarantee, support: tuple[int, ...], w: np.ndarray) -> float:
    """Return an upper bound of ``|A_j^H w|_1`` over the columns j off a support; 0 for none."""
    return largest(largest_sum(*found) for found in problem.columns.others(support, w))


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class CoherenceCertificate(RecoveryCertificate):
    """Every k-sparse vector is recovered, because columns are close to orthogonal.

    Condition: ``k < (1 + 1/mu) / 2``, mu the largest ``|a_i.a_j|`` over ``|a_i|^2`` for l1, over
    ``|a_i| |a_j|`` for omp, i != j (Donoho, Huo 2001; Tropp 2004, theorem 3.5 and corollary 3.6,
    for columns of one norm, where the two are the same). Real or complex, ``a_i.a_j`` is ``a_i^H
    a_j``.

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
        found = above(coherence(problem.columns, problem.method == "l1"), 4)
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
        own = coherence(problem.columns, problem.method == "l1")
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
    condition ``(1 - r) |h_T|_1 <= t |h_rest|_1``, and t < 1 - r. If h_rest = 0 then h = 0. For
    complex numbers the same, with ``^H`` for ``^T``, moduli, and ``x.y`` for ``x^H y``.

    Attributes
    ----------
    problem : RecoveryGuarantee
        Of l1.
    answer : RecoveryVerdict
    inverse : ndarray of float64 or complex128, shape (m, |T|)
        W, for the scaled design. T is the support; or all columns, where there are n of W's: then
        the design is injective.
    """

    value: ClassVar = "recovers"

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    inverse: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "inverse", as_evidence(self.inverse, "inverse"))

    @classmethod
    def proved(cls, problem: RecoveryGuarantee, inverse: ArrayLike) -> ExactRecoveryCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        inverse = as_evidence(inverse, "inverse")
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
        defect = defect_of(problem, support, w)
        reach = largest_reach(problem, support, w)
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

    Complex numbers: the same, with ``^H`` for ``^T`` and phases for signs (Foucart, Rauhut 2013,
    theorem 4.26 is stated for them). All phases on S are a continuum. Of one column it is enough to
    take 1, as h and its multiples by numbers of modulus 1 are the same. Of more there is a vector
    for each point of a grid, N phases for each column but the first. Every s lies within ``2 sin(pi
    / 2N)`` of one of them, entry by entry, and this is added to ``|e|_inf``.

    Attributes
    ----------
    problem : RecoveryGuarantee
        Of l1.
    answer : RecoveryVerdict
    vectors : ndarray of float64 or complex128, shape (count, m)
        For the scaled design. The supports of one size in lexicographic order, and for each the
        signs that begin with +1, likewise, + before -, or phases from 0 upwards; or one vector for
        the signs of the problem.
    inverse : ndarray of float64 or complex128, shape (m, |S|), or None
        W, where signs are given.
    constant : float
        The largest constant of all is at most this.
    phases : int
        N, of at most 1024, where there is a grid; else 2.
    """

    value: ClassVar = "recovers"

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    vectors: np.ndarray
    inverse: np.ndarray | None
    constant: float
    phases: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "vectors", as_evidence(self.vectors, "vectors"))
        if self.inverse is not None:
            object.__setattr__(self, "inverse", as_evidence(self.inverse, "inverse"))
        object.__setattr__(self, "constant", as_figure(self.constant, "constant"))
        object.__setattr__(self, "phases", as_count(self.phases, "phases"))

    @classmethod
    def proved(
        cls, problem: RecoveryGuarantee, vectors: Any, inverse: Any = None, phases: int = 2
    ) -> DualVectorsCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        verdict = cls.verdict(problem, cls._condition(problem))
        made = cls(problem, verdict, vectors, inverse, math.inf, phases)
        try:
            found = made._bound(Steps())
        except CheckFailed:
            return made
        # Room for another machine's rounding.
        most = above(found, 64) + CLOSE**2
        return cls(problem, verdict, made.vectors, made.inverse, most, phases)

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
        single, phases = problem.signs is not None, self.phases
        grid = problem.is_complex and not single and problem.size > 1
        allowed = 2 <= phases <= MOST_PHASES if grid else phases == 2
        steps.require(allowed, "the phases are + and -, or a grid of complex ones", str(phases))
        each = 1 if single else phases ** min(problem.size - 1, 64)
        count = each * support_count(problem)
        steps.require(count <= MOST_SIGNS, f"there are at most {MOST_SIGNS} vectors of signs")
        m = problem.design.shape[0]
        steps.require(
            self.vectors.shape == (count, m),
            f"there are {count} vectors of {m} entries",
            str(self.vectors.shape),
        )
        steps.require((self.inverse is not None) == single, "W is there if signs are given")
        signs = exact_signs(problem) if single else signs_of(problem.size, phases)
        for i, support in enumerate(supports_of(problem)):
            found = self._largest(steps, signs, self.vectors[i * each : (i + 1) * each], support)
            if not found < 1.0:  # also where it is not a number
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
        problem = self.problem
        values, bounds = problem.columns.part(support).correlations(vectors.T)
        missed = moduli(values - signs.T, bounds)
        miss = float(missed.max())
        if problem.is_complex:  # the signs themselves are rounded
            miss = above(miss + 16.0 * FUNCTION, 2)
        if not miss <= CLOSE:
            steps.require(False, "a dual vector meets its signs", f"{miss:.3g} on {list(support)}")
        others = problem.columns.others(support, vectors.T)
        reach = largest(moduli(*found).max(initial=0.0) for found in others)
        if self.inverse is not None:
            miss *= self._correction(steps, support)
        elif problem.is_complex:
            miss = above(miss + between(problem.size, self.phases), 2)
        return above(above(miss, 8) + above(reach, 4), 2)

    def _correction(self, steps: Steps, support: tuple[int, ...]) -> float:
        """Return how far correlations off the support move for each unit that signs are missed."""
        w, shape = self.inverse, (self.problem.design.shape[0], len(support))
        assert w is not None
        steps.require(w.shape == shape, "W has one column for each of the support", str(w.shape))
        defect = defect_of(self.problem, support, w)
        steps.require(
            defect <= CLOSE, "the columns of the support are injective, by W", f"{defect:.6g}"
        )
        return above(largest_reach(self.problem, support, w) / (1.0 - defect), 8)
