"""Proofs that some vector of a kind is not recovered: one that is missed, checked exactly."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.interface.arrays import read_only
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_proofs import require_verdict
from sparseopt.judging.integers import as_integers

MOST_BITS = 100_000


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
    steps.require(len(vector) == columns, f"it has one entry for each of {columns} columns",
                  str(len(vector)))  # fmt: skip


@proves(RecoveryGuarantee)
@json_type
@dataclass(frozen=True, eq=False)
class KernelCertificate(Certificate):
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

    problem: RecoveryGuarantee
    answer: RecoveryVerdict
    direction: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", as_rationals(self.direction, "direction"))

    @classmethod
    def proved(cls, problem: RecoveryGuarantee, direction: Any) -> KernelCertificate:
        """Return the certificate; `check` tells whether the condition holds."""
        words = f"{problem.method}: {cls._condition(problem)}"
        return cls(problem, RecoveryVerdict("fails", words), direction)

    @staticmethod
    def _condition(problem: RecoveryGuarantee) -> str:
        if problem.method == "l1":
            return "another vector with the same image has no larger 1-norm"
        return "two such vectors have the same image"

    @property
    def support(self) -> list[int]:
        """The columns S that the counterexample is about."""
        if self.problem.support is not None:
            return list(self.problem.support)
        order = sorted(range(len(self.direction)), key=lambda i: (-abs(self.direction[i]), i))
        return sorted(order[: self.problem.size])

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

    @property
    def accuracy(self) -> float:
        """A verdict: 0."""
        return 0.0

    def check(self, steps: Steps) -> None:
        """Do all of it over the rationals."""
        problem, h = self.problem, self.direction
        require_verdict(steps, self, problem, "fails", self._condition(problem))
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
        signs = [1 if h[j] > 0 else -1 for j in on]
        if problem.signs is not None:
            signs = list(problem.signs)
        gain = sum(s * h[j] for s, j in zip(signs, on, strict=True))
        rest = sum(abs(v) for v in h) - sum(abs(h[j]) for j in on)
        steps.require(gain >= rest, "the other vector's 1-norm is not larger")
