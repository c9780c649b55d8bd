"""The certificate: the error of the factors, and bounds on the error of any factors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.butterfly.comparison import Comparison
from sparseopt.butterfly.probing import FAILURE, allowance, deflation, estimate, inflation
from sparseopt.butterfly.problem import ButterflyFactorization
from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.judging.figures import ROOMS, Figure
from sparseopt.judging.rounding import above, below, shown_above, shown_below
from sparseopt.judging.stated import (
    Interval,
    described,
    gap,
    interval,
    ratio,
    require_interval,
    stated,
)

_MOST_PROBES = 4096


@proves(ButterflyFactorization)
@json_type
@dataclass(frozen=True, eq=False)
class ButterflyCertificate(Certificate):
    """The error of the factors, with a lower and an upper bound on the least possible one.

    All figures are bounds of real numbers, proved in spite of rounding: see `comparison.compare`
    for the error and `low_rank` for the split errors. What is not stated is computed by the core
    when it is first asked for, with three rooms of rounding (`figures.Figure`); what is stated is
    computed again by `check`, and must leave one.

    Proof of the bounds. Let E_0 be the norm of the target outside the support of the product and
    E_j the least error of two factors grouped at cut j, inside the support. Every product of the
    architecture is also a product of the two grouped factors, so its squared error is at least
    E_0^2 + max E_j^2. Conversely, peel the factors from the left, each step by the best rank-r
    approximation of every block with orthonormal left parts. Step j leaves a residual orthogonal
    to the block ranges of the left factors before it, so squared residuals add up; and it is the
    least split error of a projection of the target from the left, which is at most E_j. So some
    product has a squared error of at most E_0^2 + sum E_j^2, with E_j over the cuts of the
    non-redundant architecture, which has the same products.

    An answer is refused, however true its figures, if its error is above that bound, or above what
    peeling guarantees for every target (`comparison.guaranteed_share`, half of the share): then
    something went wrong where it was made.

    Time O(m n), memory O(m n^0.5 + n m^0.5), for an m x n target and blocks of 2 x 2; the bounds
    take O(m n min(m, n)^0.5) where they are stated or asked for.

    Parameters
    ----------
    problem, answer
        What the certificate speaks of.
    stated_error : (float, float) or None
        A lower and an upper bound of the Frobenius error of the answer.
    stated_splits : tuple of (float, float) or None
        Lower and upper bounds of E_0, E_1, ..., see `ButterflyFactorization.split_figures`.
    probes : int
        0: the product is expanded. Otherwise the number of random vectors: `error` is then an
        upper bound of the error that is checked with vectors drawn anew each time, which confirm a
        wrong one with probability 1e-9 at most, see `sparseopt.butterfly.probing`.
    bounds : bool
        Whether a lower and an upper bound on the least error are claimed; stated ones are.
    """

    problem: ButterflyFactorization
    answer: KroneckerProduct
    stated_error: Interval | None = None
    stated_splits: tuple[Interval, ...] | None = None
    probes: int = 0
    bounds: bool = False

    def __post_init__(self) -> None:
        probes, error, splits = self.probes, self.stated_error, self.stated_splits
        if isinstance(probes, bool) or not isinstance(probes, int) or probes < 0:
            raise ProblemError(f"probes must be 0 or a number of vectors, got {short(probes)}")
        if probes > _MOST_PROBES:
            raise ProblemError(f"probes must be at most {_MOST_PROBES}, got {probes}")
        if error is not None:
            object.__setattr__(self, "stated_error", interval(error, "error"))
        if splits is not None:
            pairs = tuple(interval(pair, "split_errors") for pair in splits)
            object.__setattr__(self, "stated_splits", pairs)
            object.__setattr__(self, "bounds", True)

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON; the error always, the split errors if claimed."""
        low, high = self.error_interval
        return {
            "problem": self.problem,
            "answer": self.answer,
            "error": high,
            "error_low": low,
            "split_errors": [list(pair) for pair in self.split_errors] if self.bounds else None,
            "probes": self.probes,
        }

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> ButterflyCertificate:
        """Inverse of `to_fields`; files of earlier versions state single numbers."""
        known = {"problem", "answer", "error", "error_low", "split_errors", "probes"}
        extra = set(fields) - known
        if extra:
            raise ProblemError(f"a butterfly certificate has no fields {sorted(extra)}")
        splits = fields["split_errors"]
        if splits is not None:
            splits = tuple(e if isinstance(e, list) else (e, e) for e in splits)
        error = fields.get("error_low", 0.0), fields["error"]
        return cls(fields["problem"], fields["answer"], error, splits, fields["probes"])

    def with_bounds(self) -> ButterflyCertificate:
        """Return the certificate with bounds on the least error claimed, to be checked."""
        return replace(self, bounds=True)

    @cached_property
    def _comparison(self) -> Comparison:
        """Norm and error as the core finds them, from problem and answer alone."""
        return self.problem.compare(self.answer)

    @cached_property
    def _estimate(self) -> tuple[Figure, Figure | None]:
        """The error by vectors drawn now, and the norm of the target where it is known."""
        return estimate(self.problem, self.answer, self.probes)

    @cached_property
    def _split_figures(self) -> tuple[Figure, ...]:
        """E_0, E_1, ... as the core finds them; one batched SVD per cut."""
        return self.problem.split_figures()

    @cached_property
    def error_interval(self) -> Interval:
        """A lower and an upper bound of the Frobenius error of the product."""
        if self.stated_error is not None:
            return self.stated_error
        if not self.probes:
            return stated(self._comparison.error)
        return 0.0, above(self._estimate[0].high(ROOMS) * allowance(self.probes), 8)

    @property
    def error(self) -> float:
        """Proven upper bound of the Frobenius error of the product."""
        return self.error_interval[1]

    @property
    def split_errors(self) -> tuple[Interval, ...]:
        """Proven lower and upper bounds of E_0, E_1, ...; computed now unless stated."""
        if self.stated_splits is not None:
            return self.stated_splits
        return tuple(stated(figure) for figure in self._split_figures)

    @property
    def lower_bound(self) -> float:
        """No product of the architecture has a smaller error: sqrt(E_0^2 + max E_j^2)."""
        outside, *splits = (low for low, _ in self.split_errors)
        return below(math.hypot(outside, max(splits, default=0.0)), 2)

    @property
    def upper_bound(self) -> float:
        """The least error is at most this: sqrt(E_0^2 + sum E_j^2)."""
        found = math.hypot(*(high for _, high in self.split_errors))
        return above(found, 2) if found else 0.0

    @property
    def _norm(self) -> Figure:
        """Norm of the target."""
        norm = self._estimate[1] if self.probes else self._comparison.norm
        return self.problem.norm_figure if norm is None else norm

    @property
    def relative_error(self) -> float:
        """Error over the norm of the target, rounded up; 0 for a zero target reached exactly."""
        return ratio(self.error, self._norm)

    @property
    def accuracy(self) -> float:
        """What is proved of (error - least possible error) / norm of the target.

        Without claimed bounds the least possible error counts as 0.
        """
        if not self.bounds:
            return self.relative_error
        return ratio(gap(self.error, self.lower_bound), self._norm)

    @property
    def claim(self) -> str:
        """What is proved."""
        if self.probes:
            text = (
                f"the product has error at most {shown_above(self.error)}; a check draws "
                f"{self.probes} random vectors anew and accepts a wrong bound with probability "
                f"{FAILURE:g} at most"
            )
        else:
            text = f"the product has error {described(self.error_interval)}"
        if self.problem.takes_products_as_exact:
            text += ", taking the products of the target operator as exact"
        if not self.bounds:
            return text
        return (
            f"{text}; no product of this architecture has an error below "
            f"{shown_below(self.lower_bound)}, and the infimum is at most "
            f"{shown_above(self.upper_bound)}"
        )

    def check(self, steps: Steps) -> None:
        """Expand the product (or probe it) and compute every claimed figure again."""
        problem, answer = self.problem, self.answer
        steps.require(
            problem.permutations == "known", "the problem takes the target in the order given"
        )
        steps.require(
            type(answer) is KroneckerProduct and answer.architecture == problem.architecture,
            "the answer is a product with the asked architecture",
        )
        if problem.kind == "device" or getattr(problem.target, "is_cuda", False):
            steps.note("the target lies on a device; the check reads it and runs on the processor")
        if self.probes:
            self._check_probes(steps)
        else:
            own = self._comparison
            require_interval(steps, "the error", self.error_interval, own.error)
            require_worth(steps, own)
        if not self.bounds:
            steps.note("bounds were not claimed; they are computed when asked for")
            return
        figures = self._split_figures
        steps.require(
            len(figures) == len(self.split_errors),
            "one split error is stated for the outside and for every cut",
            f"{len(self.split_errors)} for {len(figures)}",
        )
        for j, (claimed, figure) in enumerate(zip(self.split_errors, figures, strict=False)):
            require_interval(steps, f"split error E_{j}", claimed, figure)
        if not self.probes:
            own = self._comparison
            most = self.upper_bound + _rounding(problem, own.norm)
            steps.require(
                own.error.low() <= most,
                "the error is not above the method's own upper bound",
                f"{own.error.low():.17g} against {most:.17g}",
            )

    def _check_probes(self, steps: Steps) -> None:
        """Draw vectors and require that they confirm the bound, see `probing`."""
        found, norm = self._estimate
        steps.require(self.error_interval[0] == 0.0, "vectors prove no lower bound of the error")
        most = above(found.high() / math.sqrt(deflation(self.probes)), 8)
        steps.require(
            most <= self.error < math.inf,
            f"{self.probes} vectors drawn now confirm the error",
            f"they allow no bound below {most:.17g}, {self.error:.17g} is stated",
        )
        if norm is not None:
            most = norm.high() * math.sqrt(inflation(self.probes))
            steps.require(
                found.low() <= most, "zero is no better answer", f"{found.low()} against {most}"
            )


def require_worth(steps: Steps, own: Comparison) -> None:
    """Require that the error is not above what is guaranteed for every target."""
    steps.require(
        own.error.low() <= own.guaranteed,
        "the error is not above what peeling guarantees for every target",
        f"{own.error.low():.17g} against {own.guaranteed:.17g}",
    )


def _rounding(problem: ButterflyFactorization, norm: Figure) -> float:
    """Return by how much factors of the target's dtype may miss a bound of exact arithmetic.

    It decides what is refused as a blunder, and is not part of a claim.
    """
    eps = float(np.finfo(problem.dtype).eps)
    return 32 * len(problem.architecture) * eps * norm.high()
