"""Fixed-support matrix factorization: the nearest product of two factors with given supports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import (
    Supports,
    as_array,
    as_figure,
    read_only,
    require_finite,
    to_double,
)
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.problem import Problem
from sparseopt.interface.support_arrays import as_support
from sparseopt.judging.scaling import exponent_of, largest_part, times_power
from sparseopt.supports.bounds import ScaledTarget
from sparseopt.supports.components import is_tractable, same_rectangle
from sparseopt.supports.factors import SupportedFactors

SMALLEST, LARGEST = 1e-151, 1e153
"""Magnitudes whose squares are floats, small fractions of them included."""


@json_type
@dataclass(frozen=True, eq=False)
class FixedSupportFactorization(Problem[SupportedFactors, Any]):
    """Minimize ``|A - X Y|`` (Frobenius) over factors with given supports, or its coercive form.

    With a decay above 0 it is ``1/2 |A - X Y|^2 + decay/2 (|X|^2 + |Y|^2)`` that is minimized.

    Parameters
    ----------
    target : array (m, n)
        float32, float64, complex64 or complex128; integers are taken as float64.
    supports : sequence of two 0/1 arrays (m, r), (r, n)
        The entries of X and Y that may be nonzero.
    decay : float
        Weight of the squared norms of the factors, at least 0, in units of the target (`decay` and
        target times c give the optimum times c^2). What other conventions call decay: without the
        factor 1/2 before the norms it is half of this, with a mean over the m n squared errors it
        is 2 / (m n) of this.

    Raises
    ------
    ProblemError
        If shapes do not chain, a support is not 0/1, the target has NaN, infinity or a norm
        beyond the range of floats, or decay is negative or no finite number; for a decay above 0
        also if squares of the target's largest entry leave the range of floats.

    Notes
    -----
    NP-hard in general; solved exactly when the rectangles are pairwise disjoint or identical
    (arXiv 2112.00386). For supports that are not closed the infimum may not be attained: ask
    `Closedness` about them. With a decay above 0 it always is, since the objective grows with the
    factors; `decay_path` shows what that costs in error and norm. The certificate is a
    `FixedSupportCertificate` without decay and a `CoerciveCertificate` with.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> I, J = [[1, 0], [1, 0], [0, 1]], [[1, 1, 0], [0, 0, 1]]
    >>> solution = so.solve(so.FixedSupportFactorization(np.ones((3, 3)), [I, J]))
    >>> round(solution.certificate.error**2, 12), solution.answer.attainment
    (4.0, 'attained')

    No lower times upper triangular factors are nearest to this target, but with a decay some are
    best, and proved to be.

    >>> supports = [[1, 0], [1, 1]], [[1, 1], [0, 1]]
    >>> solution = so.solve(so.FixedSupportFactorization([[0, 1], [1, 0]], supports, 1 / 3))
    >>> round(solution.certificate.primal, 9), solution.certificate.accuracy < 1e-8
    (0.777777778, True)
    """

    target: np.ndarray
    supports: tuple[np.ndarray, np.ndarray]
    decay: float = 0.0

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, target: ArrayLike, supports: Supports, decay: float = 0.0) -> None: ...

    def __post_init__(self) -> None:
        if hasattr(self.target, "toarray"):
            raise ProblemError("target is sparse, and is taken dense only; give target.toarray()")
        target = as_array(self.target, "target")
        if target.ndim != 2 or 0 in target.shape:
            raise ProblemError(f"target must be a non-empty matrix, got shape {target.shape}")
        if target.dtype.kind in "biu":
            target = to_double(target, "target")
        if target.dtype not in (np.float32, np.float64, np.complex64, np.complex128):
            raise ProblemError(
                f"target has dtype {target.dtype}; use float32, float64, complex64 or complex128"
            )
        require_finite(target, "target")
        if ScaledTarget(target).norm().high() == math.inf:
            raise ProblemError(
                "the norm of the target is beyond the range of floats; divide the target by a "
                "power of two, and multiply a factor by it afterwards"
            )
        supports = self.supports
        if not isinstance(supports, list | tuple | np.ndarray) or len(supports) != 2:
            raise ProblemError("supports must be two 0/1 matrices [I, J]")
        left, right = as_support(supports[0], "I"), as_support(supports[1], "J")
        if left.shape[1] != right.shape[0]:
            raise ProblemError(
                f"the supports do not chain: I has {left.shape[1]} columns and J has "
                f"{right.shape[0]} rows"
            )
        if (left.shape[0], right.shape[1]) != target.shape:
            raise ProblemError(
                f"the supports give products of shape {(left.shape[0], right.shape[1])}, "
                f"the target has shape {target.shape}"
            )
        object.__setattr__(self, "target", read_only(target))
        object.__setattr__(self, "supports", (left, right))
        object.__setattr__(self, "decay", _as_decay(self.decay, target))

    @property
    def default_tolerance(self) -> float | None:  # type: ignore[override]
        """Of the gap with a decay; without one the bound is rarely near, so nothing is asked."""
        return 1e-8 if self.decay else None

    @property
    def accuracy_is(self) -> str:  # type: ignore[override]
        """What the accuracy of the certificate measures."""
        if self.decay:
            return "duality gap over the objective on covered cells"
        return "error above the proven lower bound, over the norm of the target"

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON; a decay only where there is one."""
        fields = {"target": self.target, "supports": self.supports}
        return {**fields, "decay": self.decay} if self.decay else fields

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> FixedSupportFactorization:
        """Inverse of `to_fields`; files of earlier versions know no decay."""
        if set(fields) | {"decay"} != {"target", "supports", "decay"}:
            raise ProblemError(
                f"a fixed-support factorization has fields target, supports and decay, not "
                f"{sorted(fields)}"
            )
        return cls(**fields)

    def normalized(self) -> tuple[FixedSupportFactorization, int]:
        """Return the problem for the target times ``2**-exponent``, and the exponent.

        Engines solve that one: sums of squares, and of products of such, are safe. It is the
        problem itself where the exponent is 0; `SupportedFactors.times_power` takes the answer
        back. Nothing is rounded, except entries below 2^-126 (single precision) or 2^-1022 of the
        largest.
        """
        target = self.target
        exponent = exponent_of(largest_part(target))
        if self.decay:
            exponent += exponent % 2  # so that both factors get the same share
        if exponent == 0:
            return self, 0
        scaled = times_power(target, -exponent)
        decay = min(max(float(times_power(self.decay, -exponent)), 1e-300), 1e300)
        return FixedSupportFactorization(
            scaled, self.supports, decay if self.decay else 0.0
        ), exponent

    def largest_decay(self) -> float:
        """Return the decay from which on zero factors are optimal; not a bound, but a float.

        It is the largest spectral norm of the target on a rectangle: O(m n min(m, n)) for each.
        """
        left, right = self.supports
        norms = [0.0]
        for terms in same_rectangle(left, right):
            rows, columns = np.flatnonzero(left[:, terms[0]]), np.flatnonzero(right[terms[0]])
            norms.append(float(np.linalg.norm(self.target[np.ix_(rows, columns)], 2)))
        return max(norms)

    def evaluate(self, answer: SupportedFactors) -> Mapping[str, float]:
        """Return the Frobenius error and the mass of the factors outside their supports.

        With a decay also the objective and half the squared norm of both factors.
        """
        left, right = self.supports
        outside = np.linalg.norm(answer.left[~left]) + np.linalg.norm(answer.right[~right])
        error = ScaledTarget(self.target).error(answer.left, answer.right)
        found = math.ldexp(error.value, error.exponent)
        figures = {"error": found, "outside_support": float(outside)}
        if self.decay:
            with np.errstate(over="ignore"):
                squares = [np.linalg.norm(factor.astype(complex)) ** 2 for factor in answer.factors]
                norm = 0.5 * float(squares[0] + squares[1])
                figures["objective"] = float(0.5 * np.float64(found) ** 2) + self.decay * norm
                figures["half_squared_norms"] = norm
        return figures

    def describe(self) -> str:
        """Return one line with the sizes."""
        (m, r), n = self.supports[0].shape, self.supports[1].shape[1]
        text = f"nearest product of factors {m} x {r} and {r} x {n} with fixed supports"
        return f"{text}, decay {self.decay:g}" if self.decay else text

    def structure(self) -> dict[str, Any]:
        """Say whether the rectangles are pairwise disjoint or identical, and the norms count."""
        return {"tractable": is_tractable(*self.supports), "coercive": self.decay > 0.0}


def _as_decay(value: Any, target: np.ndarray) -> float:
    """Return the decay as a float, if numbers allow to prove anything with it."""
    decay = as_figure(value, "decay")
    if not 0.0 <= decay < math.inf:
        raise ProblemError(f"decay must be a finite number, at least 0, got {decay}")
    peak = largest_part(target)
    if decay and peak and not SMALLEST <= peak <= LARGEST / math.sqrt(target.size):
        raise ProblemError(
            f"the largest entry of the target is {peak:.3g} in magnitude, and with a decay its "
            f"square must be a float: multiply target and decay by a constant so that it lies "
            f"between {SMALLEST:g} and {LARGEST:g}"
        )
    return decay
