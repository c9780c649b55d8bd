"""Orthogonal matching pursuit: when it recovers every vector, and vectors that it misses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from sparseopt.interface.certificate import Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_certificate import RecoveryCertificate
from sparseopt.inverse.recovery_counterexamples import as_rationals, require_length, squares_of
from sparseopt.inverse.recovery_proofs import support_count, supports_of
from sparseopt.judging.exact import eliminate
from sparseopt.judging.rounding import above, float_above

MOST_SUPPORTS = 5000
"""Supports up to which a proof goes through all of one size."""
MOST_WORK = 2.0**35
"""What all eliminations of a proof take at most, as `elimination_work` counts: some minutes."""


def elimination_work(size: int, width: int, bits: int) -> float:
    """Return about how many products of words an elimination of integers takes.

    Of `size` rows of `width` entries, with minors of up to `bits` bits; two numbers of w words of
    64 bits are multiplied in about w^1.6.
    """
    return float(size * size * width) * max(1.0, bits / 64) ** 1.6


@dataclass(frozen=True, eq=False)
class ExactColumns:
    """Inner products of columns as integers, all up to one power of two.

    Those of `columns` with all, and the squared norms. Complex columns stand twice, as in [[Re,
    -Im], [Im, Re]].
    """

    inner: dict[int, np.ndarray]
    norms: np.ndarray
    pairs: Callable[[Any], np.ndarray]

    @classmethod
    def of(cls, problem: RecoveryGuarantee) -> ExactColumns:
        """Return the products that the supports of a problem need."""
        pairs, n = problem.columns.pairs, problem.design.shape[1]
        whole = problem.columns.whole(pairs(np.arange(n)))
        columns = range(n) if problem.support is None else problem.support
        inner = {j: whole[:, j].dot(whole) for j in pairs(list(columns)).tolist()}
        return cls(inner, (whole * whole).sum(axis=0)[:n], pairs)

    def work_of(self, problem: RecoveryGuarantee) -> float:
        """Return what all eliminations of a problem take, see `elimination_work`."""
        size, bits = len(self.pairs(range(problem.size))), int(max(self.norms)).bit_length()
        width = 2 * size + len(self.norms)
        return support_count(problem) * elimination_work(size, width, size * bits)

    def constant(self, support: tuple[int, ...]) -> float:
        """Return an upper bound of ``max_j sum_i |w_i| |a_i| / |a_j|``; infinity if not injective.

        w solves ``A_S^H A_S w = A_S^H a_j``; the bound is at most a few units above.
        """
        on, chosen = self.pairs(list(support)).tolist(), set(support)
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
            moduli = (w * w).reshape(-1, len(support)).sum(axis=0)
            squares = (
                Fraction(v * self.norms[i], shared * shared * norm)
                for v, i in zip(moduli, support, strict=True)
            )
            total = sum(above(math.sqrt(float_above(v)), 2) for v in squares)
            worst = max(worst, above(total, len(on) + 1))
        return worst


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class GreedyRecoveryCertificate(RecoveryCertificate):
    """omp recovers, by the exact recovery condition on every support.

    Condition: A_S is injective and ``sum_i |w_i| |a_i| < |a_j|`` for each j off S with a_j != 0,
    where ``w = pinv(A_S) a_j`` (Tropp 2004, theorem 3.1, for columns of norm 1; real or complex).
    Then, as what is left to explain lies in the span of A_S, every step takes a column of S that
    is not used yet.

    There is no evidence: w is computed exactly, over the rationals.
    """

    value: ClassVar = "recovers"

    problem: RecoveryGuarantee
    answer: RecoveryVerdict

    @classmethod
    def proved(cls, problem: RecoveryGuarantee) -> GreedyRecoveryCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        condition = cls._condition(problem)
        return cls(problem, cls.verdict(problem, condition))

    @staticmethod
    def _condition(problem: RecoveryGuarantee) -> str:
        where = "the support" if problem.support is not None else "every support of this size"
        return f"exact recovery condition on {where}"

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: always, by this: {self._condition(self.problem)}"

    def check(self, steps: Steps) -> None:
        """Solve for w over the rationals, support by support."""
        problem = self.problem
        self.require_verdict(steps, self._condition(problem))
        steps.require(problem.method == "omp", "the method is omp")
        count = support_count(problem)
        steps.require(count <= MOST_SUPPORTS, f"there are at most {MOST_SUPPORTS} supports")
        columns = ExactColumns.of(problem)
        few = columns.work_of(problem) <= MOST_WORK
        steps.require(few, "the exact recovery condition takes some minutes at most")
        for support in supports_of(problem):
            found = columns.constant(support)
            if not found < 1.0:
                steps.require(False, "the condition holds", f"{found:.6g} on {list(support)}")
        steps.require(True, f"the exact recovery condition holds on {count} supports")


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class GreedyFailureCertificate(RecoveryCertificate):
    """omp misses a vector: in one of its steps it takes, or may take, a column off the support.

    Let x have as many nonzeros as omp makes steps. The columns of `path` but the last are in its
    support S, and in each step the next one has the largest correlation, over its norm, of those of
    S with what is left to explain. The last is off S and has at least as large a one. So omp may
    take them, if it has not left S before; then not all columns of S are among those that it ends
    with, and what it finds is not x.

    Attributes
    ----------
    problem : RecoveryGuarantee
        Of omp.
    answer : RecoveryVerdict
    vector : object array of int and Fraction, shape (n,), or (2, n) for complex numbers
        x, its real parts and then its imaginary parts; floats are taken as the rationals that they
        are.
    path : tuple of int
    """

    value: ClassVar = "fails"

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    vector: np.ndarray
    path: tuple[int, ...]

    def __post_init__(self) -> None:
        path = tuple(self.path)
        if not all(isinstance(j, int) and not isinstance(j, bool) for j in path):
            raise ProblemError("path must hold column numbers")
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "vector", as_rationals(self.vector, "vector"))

    @classmethod
    def proved(
        cls, problem: RecoveryGuarantee, vector: Any, *path: int
    ) -> GreedyFailureCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        verdict = cls.verdict(problem, cls._condition)
        return cls(problem, verdict, vector, path)

    _condition = "it may take a column off the support"

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: not always, as {self._condition}"

    def check(self, steps: Steps) -> None:
        """Follow the path over the rationals, comparing squared correlations times norms."""
        problem, x, path = self.problem, self.vector, self.path
        self.require_verdict(steps, self._condition)
        steps.require(problem.method == "omp", "the method is omp")
        require_length(steps, problem, x)
        on = [j for j, square in enumerate(squares_of(x)) if square]
        steps.require(
            len(on) == problem.size, "x has as many nonzeros as omp makes steps", str(len(on))
        )
        if problem.support is not None:
            steps.require(tuple(on) == problem.support, "they are the support")
        if problem.signs is not None:
            steps.require(_has_signs(problem, x[..., on]), "they have the signs")
        inside = len(set(path)) == len(path) <= len(on) and set(path[:-1]) <= set(on)
        steps.require(inside, "the path has distinct columns of the support before its last")
        leaves = bool(path) and 0 <= path[-1] < x.shape[-1] and path[-1] not in on
        steps.require(leaves, "its last column is one off the support")
        columns = [*on, path[-1]]
        whole = problem.columns.whole(problem.columns.pairs(columns))
        parts, count = (2 if problem.is_complex else 1), len(columns)
        norms = (whole * whole).sum(axis=0)[:count]
        used = [i + part * count for part in range(parts) for i in range(len(on))]
        target = whole[:, used].dot(_as_whole(x[..., on].ravel()))
        places = [columns.index(j) for j in path]
        few = _path_work(norms, target, parts * len(places)) <= MOST_WORK
        steps.require(few, "the path takes some minutes at most")
        for step, place in enumerate(places):
            before = [i + part * count for part in range(parts) for i in places[:step]]
            left = _left_over(whole[:, before], target)
            pulls = np.square(left.dot(whole)).reshape(parts, count).sum(axis=0)
            steps.require(pulls[place] != 0, f"something is left for step {step + 1} of the path")
            ahead = all(
                pulls[place] * b >= a * norms[place]
                for a, b in zip(pulls[:-1], norms[:-1], strict=True)
            )
            steps.require(ahead, f"no column of the support is ahead of step {step + 1}")


def _path_work(norms: np.ndarray, target: np.ndarray, most: int) -> float:
    """Return what the eliminations for up to `most` columns take, see `elimination_work`."""
    bits, more = (int(max(v, default=0)).bit_length() for v in (norms, np.abs(target)))
    return sum(elimination_work(i, i + 1, i * bits + more) for i in range(most))


def _has_signs(problem: RecoveryGuarantee, values: np.ndarray) -> bool:
    """Whether exact numbers have the signs of a problem: complex ones are multiples above 0."""
    assert problem.signs is not None
    if not problem.is_complex:
        return tuple(1 if v > 0 else -1 for v in values) == problem.signs
    z = [(Fraction(s.real), Fraction(s.imag)) for s in problem.signs]
    return all(
        a * y == b * x and a * x + b * y > 0 for (a, b), x, y in zip(z, *values, strict=True)
    )


def _as_whole(values: Any) -> np.ndarray:
    """Return a positive multiple of rationals in integers."""
    shared = math.lcm(*(Fraction(v).denominator for v in values))
    return np.array([int(v * shared) for v in values], dtype=object)


def _left_over(chosen: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return a positive multiple of what is left of a target beside chosen columns, in integers."""
    count = chosen.shape[1]
    rows = [[*row, b] for row, b in zip(chosen.T.dot(chosen), chosen.T.dot(target), strict=True)]
    if len(eliminate(rows, count)) < count:
        return target * 0
    weights = _as_whole([Fraction(1), *(row[-1] for row in rows)])
    return np.asarray(target * weights[0] - chosen.dot(weights[1:]))
