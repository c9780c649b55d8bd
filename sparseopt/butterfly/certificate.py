"""The certificate: the error of the factors, and bounds on the error of any factors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sparseopt.butterfly.probing import FAILURE, probed_error
from sparseopt.certificate import Certificate, Steps
from sparseopt.errors import ProblemError
from sparseopt.kronecker.product import KroneckerProduct
from sparseopt.serialization import json_type

if TYPE_CHECKING:
    from sparseopt.butterfly.problem import ButterflyFactorization


@json_type
@dataclass(frozen=True, eq=False)
class ButterflyCertificate(Certificate):
    """The error of the factors, with a lower and an upper bound on the least possible one.

    Whatever is not stated is computed by the core when it is first asked for; whatever is stated
    is recomputed by `check`. So an engine may state what it learnt for free and leave the rest.

    Proof of the bounds. Let E_0 be the norm of the target outside the support of the product and
    E_j the least error of two factors grouped at cut j, inside the support. Every product of the
    architecture is also a product of the two grouped factors, so its squared error is at least
    E_0^2 + max E_j^2. Conversely, peel the factors from the left, each step by the best rank-r
    approximation of every block with orthonormal left parts. Step j leaves a residual orthogonal
    to the block ranges of the left factors before it, so squared residuals add up; and it is the
    least split error of a projection of the target from the left, which is at most E_j. So some
    product has a squared error of at most E_0^2 + sum E_j^2, with E_j over the cuts of the
    non-redundant architecture, which has the same products.

    Parameters
    ----------
    problem, answer
        What the certificate speaks of.
    stated_error : float or None
        Frobenius error.
    stated_splits : tuple of float or None
        E_0, E_1, ..., see `ButterflyFactorization.split_errors`.
    probes : int
        0: the product is expanded, and the error is exact up to rounding. Otherwise the number of
        random vectors: `error` is then an upper bound of the error that holds except with
        probability 1e-9, see `sparseopt.butterfly.probing`.
    """

    problem: ButterflyFactorization
    answer: KroneckerProduct
    stated_error: float | None = None
    stated_splits: tuple[float, ...] | None = None
    probes: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.probes, bool) or not isinstance(self.probes, int) or self.probes < 0:
            raise ProblemError(f"probes must be 0 or a number of vectors, got {self.probes!r}")

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON; the error always, the split errors if stated."""
        return {
            "problem": self.problem,
            "answer": self.answer,
            "error": self.error,
            "split_errors": None if self.stated_splits is None else list(self.stated_splits),
            "probes": self.probes,
        }

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> ButterflyCertificate:
        """Inverse of `to_fields`."""
        extra = set(fields) - {"problem", "answer", "error", "split_errors", "probes"}
        if extra:
            raise ProblemError(f"a butterfly certificate has no fields {sorted(extra)}")
        splits = fields["split_errors"]
        return cls(
            fields["problem"],
            fields["answer"],
            float(fields["error"]),
            None if splits is None else tuple(float(e) for e in splits),
            fields["probes"],
        )

    def with_bounds(self) -> ButterflyCertificate:
        """Return the certificate with the split errors stated, to be kept and checked."""
        return replace(self, stated_splits=self.split_errors)

    @cached_property
    def error(self) -> float:
        """Frobenius error of the product (with probes, an upper bound of it)."""
        return self._own_error if self.stated_error is None else self.stated_error

    @cached_property
    def split_errors(self) -> tuple[float, ...]:
        """E_0, E_1, ...; computed now, one batched SVD per cut, unless stated."""
        if self.stated_splits is not None:
            return self.stated_splits
        return self.problem.split_errors()

    @property
    def lower_bound(self) -> float:
        """No product of the architecture has a smaller error: sqrt(E_0^2 + max E_j^2).

        At most the error of the answer, which the formula exceeds by rounding alone.
        """
        outside, *splits = self.split_errors
        bound = math.hypot(outside, max(splits, default=0.0))
        return bound if self.probes else min(bound, self.error)

    @property
    def upper_bound(self) -> float:
        """The least error is at most this: sqrt(E_0^2 + sum E_j^2)."""
        return math.hypot(*self.split_errors)

    @property
    def relative_error(self) -> float:
        """Error over the norm of the target (0 for the zero target reached exactly)."""
        norm = self.problem.norm
        return self.error / norm if norm else self.error

    @property
    def claim(self) -> str:
        """What is proved."""
        sense = f" (except with probability {FAILURE:g})" if self.probes else ""
        most = "at most " if self.probes else ""
        text = f"the product has error {most}{self.error:.6g}{sense}"
        if self.stated_splits is None:
            return text
        return (
            f"{text}; no product of this architecture has an error below {self.lower_bound:.6g}, "
            f"and the infimum is at most {self.upper_bound:.6g}"
        )

    @cached_property
    def _own_error(self) -> float:
        """The error as the core finds it, from problem and answer alone."""
        if self.probes:
            return probed_error(self.problem, self.answer, self.probes)
        return self.problem.error_of(self.answer)

    def check(self, steps: Steps) -> None:
        """Expand the product (or probe it) and compute every stated figure again."""
        problem, answer = self.problem, self.answer
        steps.require(
            problem.permutations == "known", "the problem takes the target in the order given"
        )
        steps.require(
            type(answer) is KroneckerProduct and answer.architecture == problem.architecture,
            "the answer is a product with the asked architecture",
        )
        error = self._own_error
        self._compare(steps, "error", self.error, error)
        if self.stated_splits is None:
            steps.note("bounds were not stated; they are computed when asked for")
            return
        own = problem.split_errors()
        steps.require(
            len(own) == len(self.stated_splits),
            "one split error is stated for the outside and for every cut",
            f"{len(self.stated_splits)} for {len(own)}",
        )
        for j, (stated, right) in enumerate(zip(self.stated_splits, own, strict=True)):
            self._compare(steps, f"split error E_{j}", stated, right)

    def _compare(self, steps: Steps, name: str, stated: float, right: float) -> None:
        """Require a stated figure to agree with the core's own within rounding.

        An engine that sums squares in the target's precision may lose half the digits of the
        difference, never more than sqrt(eps) / 2 of the figure beyond the rounding of the product.
        """
        eps = float(np.finfo(self.problem.dtype).eps)
        allowed = self.problem.rounding + 0.5 * math.sqrt(eps) * right
        steps.require(
            abs(stated - right) <= allowed,
            f"{name} agrees with the core's own computation",
            f"{stated:.17g} against {right:.17g}",
        )
