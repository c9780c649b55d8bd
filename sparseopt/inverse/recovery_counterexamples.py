"""Proofs that some vector of a kind is not recovered: one that is missed, checked exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from sparseopt.interface.arrays import as_int64, read_only
from sparseopt.interface.certificate import Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.real_arrays import as_real
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_certificate import RecoveryCertificate
from sparseopt.inverse.recovery_proofs import (
    CLOSE,
    largest_sum,
    product,
    require_unrounded,
)
from sparseopt.judging.integers import as_integers
from sparseopt.judging.rounding import TINY, above, below, row_dots

MOST_BITS = 13_000
"""Of a number, about 4000 decimal digits: JSON takes no more."""


def as_rationals(value: Any, name: str) -> np.ndarray:
    """Return a vector of integers and Fractions; floats stand for what they are."""
    array = np.asarray(value)
    if array.ndim != 1 or array.size == 0:
        raise ProblemError(f"{name} must be a vector with at least one entry")
    exact = np.empty(len(array), dtype=object)
    for i, number in enumerate(array.tolist()):
        if isinstance(number, float) and not np.isfinite(number):
            raise ProblemError(f"{name} has a {number} at entry {i}")
        if isinstance(number, bool) or not isinstance(number, int | float | Fraction):
            raise ProblemError(f"{name} holds a {type(number).__name__} at entry {i}")
        found = Fraction(number)
        if found.numerator.bit_length() + found.denominator.bit_length() > MOST_BITS:
            raise ProblemError(f"{name} holds a number of too many digits at entry {i}")
        exact[i] = found.numerator if found.denominator == 1 else found
    return read_only(exact)


def image(design: np.ndarray, vector: np.ndarray) -> list[Any]:
    """Return ``design @ vector`` exactly, up to one power of two."""
    columns = [j for j, v in enumerate(vector) if v]
    whole = as_integers(design[:, columns])[0][0]
    return [
        sum((a * vector[j] for a, j in zip(row, columns, strict=True)), start=0) for row in whole
    ]


def require_length(steps: Steps, problem: RecoveryGuarantee, vector: np.ndarray) -> None:
    columns = problem.design.shape[1]
    steps.require(
        len(vector) == columns, f"it has one entry for each of {columns} columns", str(len(vector))
    )


def support_of(problem: RecoveryGuarantee, direction: np.ndarray) -> list[int]:
    """Return the columns S of the problem, or those of the k largest entries of a direction."""
    if problem.support is not None:
        return list(problem.support)
    order = sorted(range(len(direction)), key=lambda i: (-abs(direction[i]), i))
    return sorted(order[: problem.size])


def terms_of(problem: RecoveryGuarantee, direction: np.ndarray) -> list[Any]:
    """Return numbers that add up to ``|h_S|_1 - |h_rest|_1``, or with signs ``s.h_S``."""
    on = support_of(problem, direction)
    terms = [-abs(v) for v in direction.tolist()]
    for place, j in enumerate(on):
        given = None if problem.signs is None else problem.signs[place]
        terms[j] = abs(direction[j]) if given is None else given * direction[j]
    return terms


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class KernelCertificate(RecoveryCertificate):
    """Not every vector is recovered: a direction h != 0 with ``design @ h = 0`` leads to another.

    Conditions, S the support and s the signs on it:

    - l1: ``|h_S|_1 >= |h_rest|_1`` (for a sparsity k: for the k largest entries of h; for signs:
      ``s.h_S >= |h_rest|_1``). Then x, which is h on S and 0 elsewhere (for signs: c s with c =
      max |h_S|), and x - h are two vectors of one image, and ``|x - h|_1 <= |x|_1``.
    - omp: h vanishes off S (for a sparsity k: has at most 2 k nonzeros). Then two vectors of the
      kind have one image, and no method whatever finds both.

    Attributes
    ----------
    problem : RecoveryGuarantee
    answer : RecoveryVerdict
    direction : object array of int and Fraction, shape (n,)
        h; floats are taken as the rationals that they are.
    """

    value: ClassVar = "fails"

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    direction: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", as_rationals(self.direction, "direction"))

    @classmethod
    def proved(cls, problem: RecoveryGuarantee, direction: Any) -> KernelCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        condition = cls._condition(problem)
        return cls(problem, cls.verdict(problem, condition), direction)

    @staticmethod
    def _condition(problem: RecoveryGuarantee) -> str:
        if problem.method == "l1":
            return "another vector with the same image has no larger 1-norm"
        return "two such vectors have the same image"

    @property
    def support(self) -> list[int]:
        """The columns S that the counterexample is about."""
        return support_of(self.problem, self.direction)

    @property
    def missed(self) -> np.ndarray:
        """A vector of the kind; it and ``missed - direction`` have the same image."""
        x = np.zeros(len(self.direction), dtype=object)
        on = self.support
        if self.problem.signs is None:
            x[on] = self.direction[on]
        else:
            most = max(abs(v) for v in self.direction[on])
            x[on] = [most * s for s in self.problem.signs]
        return x

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: not always, as {self._condition(self.problem)}"

    def check(self, steps: Steps) -> None:
        """Do all of it over the rationals."""
        problem, h = self.problem, self.direction
        self.require_verdict(steps, self._condition(problem))
        require_length(steps, problem, h)
        steps.require(any(h), "the direction is not zero")
        steps.require(not any(image(problem.design, h)), "design @ direction is exactly zero")
        on = self.support
        if problem.method == "omp":
            count = sum(1 for v in h if v)
            inside = not any(h[j] for j in range(len(h)) if j not in set(on))
            few = problem.sparsity is not None and count <= 2 * problem.sparsity
            steps.require(inside or few, "it is the difference of two vectors of the kind")
            return
        steps.require(sum(terms_of(problem, h)) >= 0, "the other vector's 1-norm is not larger")


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class NearKernelCertificate(RecoveryCertificate):
    """l1 does not recover every vector: near a direction h there is one with ``design @ h' = 0``.

    For designs whose kernels would take too long to be computed exactly. Condition: with m columns
    C, a matrix V and ``R = 1 - A_C V``, ``|R|_inf < 1``, the vector ``h' = h - V (1 - R)^-1 A h``,
    V's rows at C, is in the kernel: ``A h' = A h - (1 - R) (1 - R)^-1 A h``. Its m changed entries
    move by at most ``d = |V|_inf |A h|_inf / (1 - |R|_inf)``. If ``|h_S|_1 - |h_rest|_1 > m d``
    (for signs ``s.h_S``), then ``|h'_S|_1 > |h'_rest|_1``; what follows says `KernelCertificate`.

    Attributes
    ----------
    problem : RecoveryGuarantee
        Of l1.
    answer : RecoveryVerdict
    direction : ndarray of float64, shape (n,)
        h.
    columns : ndarray of int, shape (m,)
        C.
    inverse : ndarray of float64, shape (m, m)
        V, for the scaled design.
    """

    value: ClassVar = "fails"

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    direction: np.ndarray
    columns: np.ndarray
    inverse: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", as_real(self.direction, "direction", 1))
        object.__setattr__(self, "inverse", as_real(self.inverse, "inverse", 2))
        columns = np.asarray(self.columns)
        if columns.ndim != 1 or columns.dtype.kind not in "iu":
            raise ProblemError("columns must be a vector of column numbers")
        object.__setattr__(self, "columns", read_only(as_int64(columns, "columns").astype(np.intp)))

    @classmethod
    def proved(
        cls, problem: RecoveryGuarantee, direction: Any, columns: Any, inverse: Any
    ) -> NearKernelCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        verdict = cls.verdict(problem, cls._condition)
        return cls(problem, verdict, direction, columns, inverse)

    _condition = "another vector with the same image has a smaller 1-norm"

    @property
    def claim(self) -> str:
        """What is proved."""
        return f"{self.problem.describe()}: not always, as {self._condition}"

    def check(self, steps: Steps) -> None:
        """Bound how far the direction is from the kernel. O(m^3 + m n)."""
        problem, h, columns = self.problem, self.direction, self.columns
        self.require_verdict(steps, self._condition)
        steps.require(problem.method == "l1", "the method is l1")
        require_unrounded(steps, problem)
        m, n = problem.design.shape
        require_length(steps, problem, h)
        fits = columns.shape == (m,) and self.inverse.shape == (m, m)
        steps.require(fits, f"there are {m} columns and an inverse of {m} rows and columns")
        inside = bool(((columns >= 0) & (columns < n)).all())
        steps.require(inside and len(set(columns.tolist())) == m, "the columns are distinct ones")
        values, bounds = product(problem.scaled[:, columns], self.inverse)
        defect = largest_sum(np.eye(m) - values, bounds + 4.0 * TINY)
        steps.require(defect <= CLOSE, "the inverse is one of these columns", f"{defect:.3g}")
        values, bounds = row_dots(problem.scaled, h)
        missed = above(float((np.abs(values) + bounds).max()), 2)
        moved = above(m * largest_sum(self.inverse, np.zeros((m, m))) * missed / (1.0 - defect), 8)
        gain = below(max(math.fsum(terms_of(problem, h)), 0.0), 2)
        steps.require(
            gain > moved,
            "the other vector's 1-norm is smaller, also in the kernel",
            f"{gain:.3g} and {moved:.3g}",
        )
